/** The same question for an SMT solver: two rulesets as bit vectors, and whether any packet could fare otherwise. */
import { rmSync, writeFileSync } from 'node:fs';
import type { Match, Ruleset } from '../src/ruleset/rule.ts';
import { runProgram, type Ran } from './measure.ts';

const hex = (value: number, digits: number): string => `#x${value.toString(16).padStart(digits, '0')}`;
const all = (tests: readonly string[]): string =>
  tests.length === 0 ? 'true' : tests.length === 1 ? (tests[0] ?? 'true') : `(and ${tests.join(' ')})`;
const between = (field: string, { from, to }: { from: number; to: number }): string =>
  from === to
    ? `(= ${field} ${hex(from, 4)})`
    : `(and (bvuge ${field} ${hex(from, 4)}) (bvule ${field} ${hex(to, 4)}))`;
const not = (is: boolean, test: string): string => (is ? `(not ${test})` : test);

const STATES = ['NEW', 'ESTABLISHED', 'RELATED', 'INVALID', 'UNTRACKED'];

function testOf(match: Match, devices: Map<string, number>): string {
  switch (match.kind) {
    case 'source':
    case 'destination': {
      const { address, mask } = match.value;
      const field = match.kind === 'source' ? 'src' : 'dst';
      return not(match.not, `(= (bvand ${field} ${hex(Number(mask), 8)}) ${hex(Number(address), 8)})`);
    }
    case 'in':
    case 'out': {
      const number = devices.get(match.name) ?? devices.size + 1;
      devices.set(match.name, number);
      return not(match.not, `(= ${match.kind === 'in' ? 'iif' : 'oif'} ${hex(number, 2)})`);
    }
    case 'protocol':
      return not(match.not, `(= proto ${hex(match.protocol, 2)})`);
    case 'tcp':
    case 'udp':
      return all([
        ...(match.sport === undefined ? [] : [not(match.sport.not, between('sport', match.sport.value))]),
        ...(match.dport === undefined ? [] : [not(match.dport.not, between('dport', match.dport.value))]),
      ]);
    case 'state':
      return not(
        match.not,
        `(or ${match.states.map((state) => `(= state ${hex(STATES.indexOf(state), 2)})`).join(' ')} false)`,
      );
    default:
      throw new Error(`${match.kind} is not spelt out for the solver`);
  }
}

/** Each chain as a definition: 0 goes on, 1 accepted, 2 dropped. Those that are called first. */
function definitions({ tables }: Ruleset, prefix: string, devices: Map<string, number>): readonly string[] {
  const chains = tables.get('filter')?.chains;
  const done = new Set<string>();
  const lines: string[] = [];
  // As deep as the shapes that are measured call.
  const define = (name: string): void => {
    const chain = chains?.get(name);
    if (chain === undefined || done.has(name)) return;
    done.add(name);
    for (const { target } of chain.rules) if (target?.kind === 'jump') define(target.chain);
    let body = chain.policy === undefined ? '#b00' : chain.policy === 'ACCEPT' ? '#b01' : '#b10';
    for (const { matches, target } of chain.rules.toReversed()) {
      const test = all(matches.map((match) => testOf(match, devices)));
      if (target?.kind === 'jump') {
        const called = `|${prefix}${target.chain}|`;
        body = `(ite (and ${test} (not (= ${called} #b00))) ${called} ${body})`;
      } else body = `(ite ${test} ${target?.kind === 'ACCEPT' ? '#b01' : '#b10'} ${body})`;
    }
    lines.push(`(define-fun |${prefix}${name}| () (_ BitVec 2) ${body})`);
  };
  define('FORWARD');
  return lines;
}

/** Whether the two FORWARD chains are the same for every packet; undefined where there is no solver. */
export function equalBySolver(a: Ruleset, b: Ruleset, limit: number): (Ran & { readonly equal: boolean }) | undefined {
  const devices = new Map<string, number>();
  const fields = { dst: 32, src: 32, proto: 8, dport: 16, sport: 16, state: 8, iif: 8, oif: 8 };
  const script = [
    '(set-logic QF_BV)',
    ...Object.entries(fields).map(([name, bits]) => `(declare-const ${name} (_ BitVec ${bits}))`),
    `(assert (bvult state ${hex(STATES.length, 2)}))`,
    ...definitions(a, 'a ', devices),
    ...definitions(b, 'b ', devices),
    '(assert (not (= |a FORWARD| |b FORWARD|)))',
    '(check-sat)',
  ];
  const file = `${process.env['TMPDIR'] ?? '/tmp'}/nfverdict-bench-${process.pid}.smt2`;
  writeFileSync(file, script.join('\n'));
  const ran = runProgram(['z3', file], limit);
  rmSync(file);
  return ran && { ...ran, equal: ran.stdout.startsWith('unsat') };
}
