/** The laws of a network tried by both judges, model and Linux, on the same packets: what comes of that, claim by claim. */
import { POSTURES, type PacketsClaim, type Posture } from '../claim/claim.ts';
import type { Kernel } from '../kernel/client.ts';
import { LinuxWorld } from '../kernel/linux-world.ts';
import type { Law, LawContext } from '../invariant/law.ts';
import { worldOf, type World } from '../network/walk.ts';
import type { Backend } from '../netfilter/skb.ts';
import { printArrival } from '../packet/notation.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { aimOf, askedIn, spread } from './aim.ts';
import { hardenedRuleset } from './hardened.ts';
import { samplesOf, tryPacket, type JudgeSettings } from './judge.ts';
import { tryOnLinux } from './on-linux.ts';

/** A network with its rules, and how much of its laws is tried. */
export interface LawsCase extends LawContext {
  readonly rulesets: ReadonlyMap<string, readonly Ruleset[]>;
  readonly backend: Backend;
  readonly laws: readonly Law[];
  /** At most so many claims of each law, from all over its list, and so many packets of each claim. */
  readonly claims: number;
  readonly packets: number;
  readonly seed: number;
}

/** What became of one law. */
export interface LawOnLinux {
  readonly law: Law;
  /** Packets on which both judges were asked. */
  readonly packets: number;
  readonly notAsked: number;
  /** Packets on which the claim is wrong, on Linux too. */
  readonly violated: number;
  /** Each packet on which they are not of one opinion, in words. */
  readonly differences: readonly string[];
}

interface Tally {
  packets: number;
  notAsked: number;
  violated: number;
  readonly differences: string[];
}

/** Tries the packets claims of each law. Throws NotLoaded, and KernelFailure where the judge itself is broken. */
export function lawsOnLinux(kernel: Kernel, given: LawsCase): readonly LawOnLinux[] {
  const { deployment, network, rulesets, backend, laws } = given;
  const settings = {
    runs: given.packets,
    seed: given.seed,
    aim: aimOf([...rulesets.values()].flat()),
    asked: askedIn(rulesets),
  };
  const tallies = new Map(
    laws.map((law): [Law, Tally] => [law, { packets: 0, notAsked: 0, violated: 0, differences: [] }]),
  );
  const linux = new LinuxWorld(kernel, { network, rulesets, backend });
  for (const posture of POSTURES) {
    const rules = inPosture(rulesets, posture);
    if (posture !== 'as-given') linux.reload(rules);
    const model = worldOf(network, rules, backend);
    for (const [law, tally] of tallies) {
      const applies = law.claims({ deployment, network });
      if (applies.kind === 'not-applicable') continue;
      const claims = applies.claims.filter(
        (claim): claim is PacketsClaim => claim.kind === 'packets' && (claim.postures ?? POSTURES).includes(posture),
      );
      for (const claim of spread(claims, given.claims, given.seed))
        tryClaim({ model, linux }, claim, settings, posture, tally);
    }
  }
  return [...tallies].map(([law, tally]) => ({ law, ...tally }));
}

const inPosture = (rulesets: LawsCase['rulesets'], posture: Posture): LawsCase['rulesets'] =>
  posture === 'as-given' ? rulesets : new Map([...rulesets].map(([host, own]) => [host, own.map(hardenedRuleset)]));

interface Judges {
  readonly model: World;
  readonly linux: LinuxWorld;
}

function tryClaim(
  { model, linux }: Judges,
  claim: PacketsClaim,
  settings: JudgeSettings,
  posture: Posture,
  tally: Tally,
): void {
  for (const arrival of samplesOf(claim, settings) ?? []) {
    const tried = tryOnLinux(linux, claim, arrival);
    if ('notAsked' in tried) {
      tally.notAsked++;
      continue;
    }
    tally.packets++;
    const ours = tryPacket(model, claim, arrival).outcome;
    // What the model does not know is no opinion.
    if (ours.kind === 'undecided') continue;
    const { outcome, difference } = tried;
    if (outcome.kind === 'otherwise') tally.violated++;
    if (outcome.kind === ours.kind && difference === undefined) continue;
    const opinions = outcome.kind === ours.kind ? '' : `: the model says ${ours.kind}, Linux ${outcome.kind}`;
    tally.differences.push(
      [
        `${claim.says} (${claim.host}, ${posture})${opinions}`,
        `  ${printArrival(arrival)}, entering ${claim.host}`,
        ...(difference === undefined ? [] : [`  ${difference}`]),
        ...(outcome.kind === 'otherwise' ? [`  on Linux ${outcome.because}`] : []),
      ].join('\n'),
    );
  }
}
