/** Every law of nova-network over random deployments, on the rulesets that the reference writes for them. */
import { INDEX, at } from '../src/arbitrary/choice.ts';
import { deploymentFileArb } from '../src/arbitrary/deployment.ts';
import { POSTURES, type Claim, type Posture } from '../src/claim/claim.ts';
import type { Law } from '../src/invariant/law.ts';
import { LAWS } from '../src/invariant/laws.ts';
import { judgeClaim, type Judgement } from '../src/judge/judge.ts';
import { printArrival } from '../src/packet/notation.ts';
import type { DeploymentText } from '../src/deployment/schema.ts';
import { printWay } from './support/ending.ts';
import { DEPLOYMENT, prepare, type Prepared } from './support/deployment.ts';
import { law, type Cover, type Seen } from './support/law.ts';

/** How many of a law's claims are judged in one deployment, and on how many packets. */
const CLAIMS = 4;
const PACKETS = 2;

type Drawn = [DeploymentText, number];

/** The release's own marks: claims that are known to fail. */
const isKnownToFail = ({ knownFailures }: Law, claim: Claim, context: Prepared): boolean =>
  knownFailures.some(
    ({ releases, where }) =>
      (releases === 'all' || releases.includes(context.deployment.release)) && (where?.(claim, context) ?? true),
  );

/** Some of the claims, from all over the list. */
function chosen(claims: readonly Claim[], start: number): readonly Claim[] {
  if (claims.length === 0) return [];
  const step = Math.max(1, Math.floor(claims.length / CLAIMS));
  return Array.from({ length: Math.min(CLAIMS, claims.length) }, (_, count) => at(claims, start + count * step));
}

/** What speaks against a claim, in words; undefined when nothing does. `judged` is called when it is about anything. */
function objection(claim: Claim, context: Prepared, seed: number, judged: () => void): string | undefined {
  if (claim.kind === 'ruleset') {
    const ruleset = context.rulesets.get(claim.host)?.find(({ family }) => family === claim.family);
    if (ruleset === undefined) return undefined;
    judged();
    return claim.breaches(ruleset)[0]?.message;
  }
  for (const posture of claim.postures ?? POSTURES) {
    const judgement = judgeClaim(context.worlds[posture], claim, posture, { runs: PACKETS, seed, aim: context.aim });
    if (judgement.result !== 'vacuous') judged();
    if (judgement.result === 'violated' || judgement.result === 'undecided') return objectionOf(judgement, posture);
  }
  return undefined;
}

function objectionOf({ message = '', witness, claim }: Judgement, posture: Posture): string {
  if (witness === undefined) return message;
  return [
    `${message} (${posture})`,
    `${printArrival(witness.arrival)}, entering ${claim.host}`,
    ...printWay(witness.way),
    ...(witness.reply === undefined ? [] : ['its answer:', ...printWay(witness.reply)]),
  ].join('\n');
}

function check(one: Law, [file, start]: Drawn, seen: Seen): void {
  const context = prepare(file);
  const applies = one.claims(context);
  if (applies.kind === 'not-applicable') return;
  for (const claim of chosen(applies.claims, start)) {
    const known = isKnownToFail(one, claim, context);
    const found = objection(claim, context, start, () => {
      seen('judged');
    });
    if (known) {
      seen('known to fail');
      if (found !== undefined) seen('fails as known');
    } else if (found !== undefined) throw new Error(`${one.id}: ${claim.says}\n${found}`);
  }
}

/** Laws that say nothing of any deployment that is drawn: none binds floating IPs to an interface. */
const NEVER_APPLIES: ReadonlySet<string> = new Set([
  'floating-ip/bound-on-interface',
  'bridge/only-listed',
  'apply/honours-patterns',
  'apply/keeps-duplicates',
]);

/** Laws whose known failures no deployment that is drawn can have: no host runs nova-api beside nova-api-metadata. */
const NEVER_FAILS: ReadonlySet<string> = new Set([
  'chains/fabric-hooked',
  'ipv6/types-honoured',
  'apply/keeps-duplicates',
]);

/** Relations compare two deployments (relation.property.test.ts). */
for (const one of LAWS.filter(({ kind }) => kind !== 'relation')) {
  // What only some releases break, few draws show: scenarios/ and the book of releases do.
  const isMarked = one.knownFailures.some(({ releases }) => releases === 'all');
  const often = (isDrawn: boolean): Cover<Drawn> => ({ atLeast: isDrawn ? 3 : 0 });
  law<Drawn>(
    one.id,
    [deploymentFileArb(), INDEX],
    (file, start, seen) => {
      check(one, [file, start], seen);
      return true;
    },
    {
      runs: 40,
      stored: DEPLOYMENT,
      cover: {
        judged: often(!NEVER_APPLIES.has(one.id)),
        'known to fail': often(isMarked && !NEVER_FAILS.has(one.id)),
        'fails as known': often(isMarked && !NEVER_FAILS.has(one.id)),
      },
    },
  );
}
