/**
 * Whole cases for the model and for those that are compared with it: a host, its rulesets of both families, and a dialogue with it. They print as the files
 * that a person would write. (Several hosts: deployment.ts draws their networks.)
 */
import fc from 'fast-check';
import { LIMITED_BROADCAST, isMulticast, lastAddress, type Family } from '../address/address.ts';
import { printHost } from '../host/print.ts';
import type { Host } from '../host/host.ts';
import type { Move } from '../kernel/dialogue.ts';
import type { Backend } from '../netfilter/skb.ts';
import { parseRuleset } from '../ruleset/parse.ts';
import type { Ruleset } from '../ruleset/rule.ts';
import { at, INDEX } from './choice.ts';
import { arbitraryConversation } from './conversation.ts';
import { LANDMARKS, arbitraryTraits, hostWith } from './host.ts';
import { printMove } from './move.ts';
import { readable } from './readable.ts';
import { arbitraryRuleset, printGenerated, type GeneratedRule } from './ruleset.ts';

/** A host with rules, and what is sent. */
export interface WorldCase {
  readonly host: Host;
  readonly backend: Backend;
  /** iptables-save texts. A family without one has no rules. */
  readonly texts: readonly RulesetText[];
  /** The same, read. */
  readonly rulesets: readonly Ruleset[];
  readonly moves: readonly Move[];
}

export interface RulesetText {
  readonly family: Family;
  readonly text: string;
}

export interface WorldOptions {
  /** Of the packets; absent: one case in four is of IPv6. */
  readonly family?: Family;
  /** Rules of the other family stand beside them. */
  readonly both?: boolean;
  /** At most so many of the rules have a match that the model does not know. None by default. */
  readonly unmodelled?: number;
  /** Many rules say little of the packets that they are for, so that most packets meet some that decide. */
  readonly loose?: boolean;
  /** At most so many rules of a family, and moves. */
  readonly rules?: number;
  readonly moves?: number;
}

/** The rules that these texts leave in the kernel. A line that a restore refuses is left out. */
export const rulesetsOf = (texts: readonly RulesetText[]): readonly Ruleset[] =>
  texts.map(({ family, text }) => parseRuleset(text, { path: family === 4 ? 'rules' : 'rules6', family }).ruleset);

/** The case as files: the host's, the rulesets', the packets'. */
export const printCase = ({ host, backend, texts, moves }: Omit<WorldCase, 'rulesets'>): string =>
  [
    `# host, ${backend}`,
    printHost(host).trimEnd(),
    ...texts.flatMap(({ family, text }) => [`# rules of IPv${family}`, text.trimEnd()]),
    '# packets',
    ...moves.map(printMove),
  ].join('\n');

export const makeCase = (given: Omit<WorldCase, 'rulesets'>): WorldCase =>
  readable({ ...given, rulesets: rulesetsOf(given.texts) }, printCase);

/** A match of which nobody can say beforehand whether it holds. */
const CHANCE = '-m statistic --mode random --probability 0.50000000000';

/** The text with a chance in front of some rules' targets. */
function withChances(text: string, indexes: readonly number[]): string {
  const lines = text.split('\n');
  const rules = lines.flatMap((line, index) => (line.startsWith('-A ') ? [index] : []));
  if (rules.length === 0) return text;
  const chosen = new Set(indexes.map((index) => at(rules, index)));
  return lines
    .map((line, index) => {
      if (!chosen.has(index)) return line;
      const target = / -[jg] /.exec(line)?.index ?? line.length;
      return `${line.slice(0, target)} ${CHANCE}${line.slice(target)}`;
    })
    .join('\n');
}

/** A rule without its matches: one of two loses those that its target can be without, one of four those about a protocol also. */
export function loosened(rule: GeneratedRule, draw: number): GeneratedRule {
  if (draw % 2 === 0) return rule;
  const { target } = rule;
  const bound =
    (target?.kind === 'REJECT' && target.with === 'tcp-reset') ||
    (target !== undefined && 'to' in target && 'ports' in target.to);
  const keeps = bound || draw % 4 === 1;
  return { ...rule, matches: rule.matches.filter(({ kind }) => keeps && PROTOCOL_MATCHES.has(kind)) };
}

const PROTOCOL_MATCHES: ReadonlySet<string> = new Set(['protocol', 'tcp', 'udp', 'sctp', 'icmp', 'icmp6', 'multiport']);

const DROPS = [
  'filter FORWARD',
  'filter INPUT',
  'filter OUTPUT',
  'mangle FORWARD',
  'nat POSTROUTING',
  'raw PREROUTING',
];

/** The rules, loosened, in a text with policies of its own: one of four drops somewhere. */
const loosenedText = (rules: readonly GeneratedRule[], draws: readonly number[], drop: number): string =>
  printGenerated(
    rules.map((rule, index) => loosened(rule, at(draws, index))),
    drop % 4 === 3 ? [at(DROPS, drop >> 2)] : [],
  );

/** One dialogue in eight begins with a packet to everybody: a bridge floods it. */
function flooded(moves: readonly Move[], family: Family, draw: number): readonly Move[] {
  const [first, ...rest] = moves;
  if (draw % 8 !== 7 || first?.kind !== 'packet') return moves;
  const everybody = LANDMARKS[family].odd.filter((address) => address === LIMITED_BROADCAST || isMulticast(address));
  const toAll = [...everybody, ...(family === 4 ? [lastAddress(LANDMARKS[family].fixedRange)] : [])];
  const packet = { ...first.arrival.packet, daddr: at(toAll, draw >> 3) };
  return [{ kind: 'packet', arrival: { ...first.arrival, packet } }, ...rest];
}

function caseOf(family: Family, options: WorldOptions): fc.Arbitrary<WorldCase> {
  const { both = false, loose = false, unmodelled = 0, rules = 24, moves = 12 } = options;
  const other: Family = family === 4 ? 6 : 4;
  return fc
    .record({
      traits: arbitraryTraits(),
      backend: fc.nat({ max: 1 }),
      ruleset: arbitraryRuleset(family, rules),
      looseness: fc.array(fc.nat({ max: 3 }), { minLength: 16, maxLength: 16 }),
      drop: INDEX,
      flood: INDEX,
      chances: fc.array(INDEX, { maxLength: unmodelled }),
      others: both ? arbitraryRuleset(other, rules) : fc.constant(undefined),
      moves: arbitraryConversation(family, moves),
    })
    .map(({ traits, backend, ruleset, looseness, drop, flood, chances, others, moves: said }) => {
      const text = loose ? loosenedText(ruleset.rules, looseness, drop) : ruleset.text;
      return makeCase({
        host: hostWith(traits),
        backend: at(['legacy', 'nft'], backend),
        texts: [
          { family, text: withChances(text, chances) },
          ...(others === undefined ? [] : [{ family: other, text: others.text }]),
        ],
        moves: flooded(said, family, flood),
      });
    });
}

/** A host, its rules and a dialogue with it, aimed at each other. */
export const worldCase = (options: WorldOptions = {}): fc.Arbitrary<WorldCase> =>
  options.family !== undefined
    ? caseOf(options.family, options)
    : fc.oneof({ arbitrary: caseOf(4, options), weight: 3 }, { arbitrary: caseOf(6, options), weight: 1 });
