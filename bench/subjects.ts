/** What is measured at one size, and against whom. Every answer is checked before its time counts. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { compileRuleset } from '../src/netfilter/compile.ts';
import { walkTable } from '../src/netfilter/walk.ts';
import type { Skb } from '../src/netfilter/skb.ts';
import { KnownRules } from '../src/ruleset/known.ts';
import { readRuleset } from '../src/ruleset/parse.ts';
import type { Ruleset } from '../src/ruleset/rule.ts';
import { compile } from '../src/space/classifier.ts';
import { Space } from '../src/space/space.ts';
import { tableDifference, verdictsOf } from '../src/space/table-difference.ts';
import { loopInC } from './c-loop.ts';
import { measure, measureOften, mostOf, runOften, runProgram, STRETCHES, type Ran } from './measure.ts';
import { packetsFor } from './packets.ts';
import { unproved } from './proof.ts';
import { flatRuleset, novaRuleset, oneRuleChanged, rewritten } from './rulesets.ts';
import { equalBySolver } from './z3.ts';

export type Shape = 'nova' | 'flat' | 'floats';

/** One figure. Seconds are of the processor, and on the clock; a rate is packets in a second of the processor. */
export interface Figure {
  readonly shape: Shape;
  readonly rules: number;
  readonly what: string;
  readonly cpu?: number;
  readonly wall?: number;
  readonly rate?: number;
  /** Octets, at most. */
  readonly memory?: number;
  readonly says?: string;
}

export interface Limits {
  /** Seconds that the solver may take. */
  readonly solver: number;
  /** Seconds for each rate. */
  readonly rates: number;
}

export const SEED = 20121122;
const COMMAND = ['node', 'dist/cli/main.js', 'diff'];
const LINT = ['node', 'dist/cli/main.js', 'lint'];
const RESTORE = ['unshare', '-n', 'iptables-legacy-restore', '--test'];

class Expectation extends Error {}

export function expectThat(holds: boolean, what: string): void {
  if (!holds) throw new Expectation(`the measurement is worth nothing: ${what}`);
}

const read = (text: string, known?: KnownRules): Ruleset =>
  readRuleset(text, { path: 'bench', family: 4, ...(known && { known }) });

function build(ruleset: Ruleset, deciding: boolean): { readonly space: Space; readonly node: number } {
  const space = new Space([ruleset], { family: 4, backend: 'nft' });
  return { space, node: verdictsOf(space, ruleset, { hook: 'FORWARD', table: 'filter' }, deciding) };
}

const of = ({ cpu, wall, memory }: Ran): Pick<Figure, 'cpu' | 'wall' | 'memory'> => ({
  cpu,
  wall,
  ...(memory === undefined ? {} : { memory }),
});

/** What is measured of nova's shape: all; what is asked for at sizes beyond those that all is measured at; or how a ruleset is read and its diagram made. */
export type Part = 'all' | 'growing' | 'made';

export function* novaFigures(instances: number, limits: Limits, part: Part = 'all'): Generator<Figure> {
  const shape = novaRuleset(instances, SEED);
  const { text, rules } = shape;
  const figure = (what: string, rest: Omit<Figure, 'shape' | 'rules' | 'what'>): Figure => ({
    shape: 'nova',
    rules,
    what,
    ...rest,
  });
  const nothing = (): void => undefined;

  const parsed = measureOften(rules, nothing, () => read(text));
  yield figure('parse', { cpu: parsed.cpu, wall: parsed.wall });
  const ruleset = parsed.value;

  const built = measureOften(rules, nothing, () => build(ruleset, false));
  const { space, node } = built.value;
  yield figure('build', {
    cpu: built.cpu,
    wall: built.wall,
    says: `${space.layout.diagrams.reachable(node).length} nodes`,
  });
  if (part === 'made') return;
  if (part === 'all') {
    const proved = measureOften(
      rules,
      () => build(ruleset, false),
      (fresh) => unproved(fresh.space, fresh.node, shape),
    );
    expectThat(proved.value === 0, `${proved.value} instances admit something else than their groups`);
    yield figure('prove', { cpu: proved.cpu, wall: proved.wall, says: `${instances} instances` });
    const deciding = measureOften(
      rules,
      () => read(text),
      (fresh) => build(fresh, true),
    );
    yield figure('build, deciding rules', { cpu: deciding.cpu, wall: deciding.wall });
  }

  const folder = mkdtempSync(join(tmpdir(), 'nfverdict-bench-'));
  try {
    const [old, now] = [join(folder, 'old.rules'), join(folder, 'new.rules')];
    writeFileSync(old, text);
    writeFileSync(now, oneRuleChanged(text, 0.5));
    const restored = runOften([...RESTORE, old], 600);
    if (restored?.code === 0)
      yield figure('iptables-legacy-restore --test', { cpu: restored.cpu, wall: restored.wall });
    const command = runOften([...COMMAND, old, now], 600);
    expectThat(command?.code === 1, `diff ended with ${command?.code ?? 'nothing'}`);
    if (command !== undefined) yield figure('diff, cold process', of(command));
    if (part === 'growing') return;
    const linted = runOften([...LINT, old], 600);
    expectThat(linted?.code === 1, `lint ended with ${linted?.code ?? 'nothing'}`);
    if (linted !== undefined) yield figure('lint, cold process', of(linted));
  } finally {
    rmSync(folder, { recursive: true });
  }

  const same = rewritten(text, SEED);
  const known = new KnownRules();
  const [before, after] = [read(text, known), read(same, known)];
  const equal = measureOften(rules, nothing, () => tableDifference(before, after, { backend: 'nft' }));
  expectThat(equal.value.regions.length === 0, 'a ruleset that means the same was told to differ');
  yield figure('equal though rewritten', { cpu: equal.cpu, wall: equal.wall });
  if (rules <= 12_000) {
    const solved = equalBySolver(before, after, limits.solver);
    if (solved !== undefined) {
      expectThat(solved.code === undefined || solved.equal, 'the solver found a difference');
      yield figure('equal though rewritten, z3', {
        cpu: solved.cpu,
        wall: solved.wall,
        ...(solved.code === undefined ? { says: `stopped after ${limits.solver} s` } : {}),
      });
    }
  }
  for (const one of rates(ruleset, packetsFor(shape, 60_000, SEED), limits)) yield figure(one.what, { rate: one.rate });
}

/** Packets through FORWARD, by three ways that must agree. */
function* rates(ruleset: Ruleset, skbs: readonly Skb[], { rates: seconds }: Limits) {
  const classifier = compile(ruleset);
  const packed = classifier.pack(skbs);
  const accepted = (ends: Int32Array): number => {
    const isAccepted = classifier.ends.map(([outcome]) => outcome?.kind === 'accepted');
    return ends.reduce((sum, end) => sum + (isAccepted[end] === true ? 1 : 0), 0);
  };
  const repeated = (run: () => void, count: number): number =>
    mostOf(STRETCHES, () => {
      let [done, cpu] = [0, 0];
      while (cpu < seconds / STRETCHES) {
        cpu += measure(run).cpu;
        done += count;
      }
      return done / cpu;
    });
  classifier.classifyAll(packed);
  yield { what: 'classify', rate: repeated(() => classifier.classifyAll(packed), skbs.length) };

  const chains = compileRuleset(ruleset).tables.get('filter');
  if (chains === undefined) return;
  const around = { assume: () => false, record: () => undefined, translateTo: () => true };
  const few = skbs.slice(0, 2000);
  const walk = (skb: Skb): boolean => walkTable('filter', chains, 'FORWARD', skb, around).kind === 'accept';
  const agreed = accepted(classifier.classifyAll(classifier.pack(few))) === few.filter(walk).length;
  expectThat(agreed, 'the classifier and the model disagree');
  yield { what: 'classify, model packet by packet', rate: repeated(() => void few.filter(walk), few.length) };

  const looped = loopInC(ruleset, skbs, seconds);
  if (looped === undefined) return;
  const own = accepted(classifier.classifyAll(packed));
  expectThat(looped.accepted === own, `the loop in C accepts ${looped.accepted} packets, the classifier ${own}`);
  yield { what: 'classify, C rule after rule', rate: looped.linear };
  yield { what: 'classify, C with a hash', rate: looped.hashed };
}

export function* flatFigures(size: number): Generator<Figure> {
  const text = flatRuleset(size, SEED);
  const figure = (what: string, rest: Omit<Figure, 'shape' | 'rules' | 'what'>): Figure => ({
    shape: 'flat',
    rules: size,
    what,
    ...rest,
  });
  const parsed = measureOften(
    size,
    () => undefined,
    () => read(text),
  );
  yield figure('parse', { cpu: parsed.cpu, wall: parsed.wall });
  const folder = mkdtempSync(join(tmpdir(), 'nfverdict-bench-'));
  try {
    const [old, now] = [join(folder, 'old.rules'), join(folder, 'new.rules')];
    writeFileSync(old, text);
    writeFileSync(now, oneRuleChanged(text, 0));
    const command = runProgram([...COMMAND, old, now], 600);
    if (command === undefined) return;
    const { code } = command;
    const says = code === 3 ? 'stopped by its limit, exit 3' : undefined;
    expectThat(code === 0 || code === 1 || code === 3, `diff ended with ${code ?? 'nothing'}`);
    yield figure('diff, cold process', { ...of(command), ...(says === undefined ? {} : { says }) });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
