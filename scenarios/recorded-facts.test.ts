/**
 * What a real kernel did in each scenario of kernel-facts, and the model's agreement with it: this runs everywhere, also where there is no kernel to ask. The files
 * kernel-facts/legacy.json and nft.json are made, where there is one, by `RECORD=1 npx vitest run scenarios/recorded-facts.test.ts`.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { openKernel } from '../src/kernel/client.ts';
import { probeKernel, type Probe } from '../src/kernel/probe.ts';
import type { Backend } from '../src/kernel/protocol.ts';
import { parseRuleset } from '../src/ruleset/parse.ts';
import { differencesOfLines, refusalOnLinux } from './on-kernel.ts';
import {
  recordingKernel,
  replayedKernel,
  type RecordedAnswer,
  type RecordedScenario,
  type RecordedScenarios,
} from './recorded-kernel.ts';
import { ROOT, filesEnding, loadingScenarios, read, readScenario, type LoadingScenario } from './scenario.ts';

const FACTS = 'kernel-facts';
const BACKENDS: readonly Backend[] = ['legacy', 'nft'];

const loading = new Map(
  loadingScenarios().flatMap((scenario) =>
    scenario.path.startsWith(`${FACTS}/`) ? [[scenario.path, scenario] as const] : [],
  ),
);

function rulesAt(path: string): LoadingScenario {
  const rules = loading.get(path);
  if (rules === undefined) throw new Error(`${path} is not about loading`);
  return rules;
}

/** The scenarios that behave so with this backend. */
const pathsOf = (backend: Backend): string[] => [
  ...filesEnding('.packets', join(ROOT, FACTS)).filter((path) => readScenario(path).backends.includes(backend)),
  ...loading.keys(),
];

const fileOf = (backend: Backend): string => join(FACTS, `${backend}.json`);

if (process.env['RECORD'] === '1') {
  const probe = probeKernel();
  for (const backend of BACKENDS) record(backend, probe);
}

/** A scenario a line: a person may look for one, and a change of one is a change of one line. */
function record(backend: Backend, probe: Probe): void {
  const { kernel: version, iptables } = probe;
  const kernel = openKernel(probe.mode === undefined ? {} : { mode: probe.mode });
  const head = { kernel: version, iptables: iptables[backend] ?? '', backend };
  const lines = pathsOf(backend).map((path) => {
    const answers: RecordedAnswer[] = [];
    const recording = recordingKernel(kernel, answers);
    if (loading.has(path)) refusalOnLinux(recording, rulesAt(path).text, backend);
    else differencesOfLines(recording, { ...readScenario(path), backend });
    return JSON.stringify({ path, answers } satisfies RecordedScenario);
  });
  kernel.close();
  const text = `${JSON.stringify(head).slice(0, -1)},"scenarios":[\n${lines.join(',\n')}\n]}\n`;
  writeFileSync(join(ROOT, fileOf(backend)), text);
}

const recorded = BACKENDS.map((backend) => JSON.parse(read(fileOf(backend))) as RecordedScenarios);

describe.each(recorded)('$backend, Linux $kernel', ({ backend, scenarios }) => {
  const packets = scenarios.filter(({ path }) => !loading.has(path));

  test.each(packets)('$path', ({ path, answers }) => {
    expect(differencesOfLines(replayedKernel(answers), { ...readScenario(path), backend })).toEqual([]);
  });

  test.each(scenarios.filter(({ path }) => loading.has(path)))('loading $path', ({ path, answers }) => {
    const { text } = rulesAt(path);
    const refusal = refusalOnLinux(replayedKernel(answers), text, backend);
    const lines = parseRuleset(text, { path, backend }).diagnostics.map(({ line }) => line);
    expect(refusal !== undefined).toBe(lines.length > 0);
    // What only the kernel refuses, legacy tells of where the table is committed.
    const written = text.split('\n')[(refusal?.line ?? 0) - 1];
    if (refusal !== undefined && written !== 'COMMIT') expect(lines).toContain(refusal.line);
  });

  test('every scenario is recorded, and no other', () => {
    expect(scenarios.map(({ path }) => path)).toEqual(pathsOf(backend));
  });

  test('what is recorded is what is compared: changed answers differ, in each scenario', () => {
    const agreeing = packets.filter(({ path, answers }) => {
      const changed = answers.map((answer) => {
        const steps = answer.steps?.map((observation) => ({ ...observation, exits: [], local: [], trace: [] }));
        return { ...answer, ...(steps === undefined ? {} : { steps }) };
      });
      const scenario = { ...readScenario(path), backend };
      try {
        return differencesOfLines(replayedKernel(changed), scenario).length === 0;
      } catch {
        return false;
      }
    });
    expect(agreeing.map(({ path }) => path)).toEqual([]);
  });

  test('a recording of something else is refused', () => {
    const [one, other] = packets;
    if (one === undefined || other === undefined) throw new Error('there are no recordings');
    expect(() => differencesOfLines(replayedKernel(other.answers), { ...readScenario(one.path), backend })).toThrow(
      'the kernel was asked something else then',
    );
  });
});

/** `S14` of `S14-loops-depth-and-names`. */
const numberOf = (folder: string): string => folder.replace(/-.*$/, '');

test('each of S01 to S30 has a recorded case', () => {
  const folders = readdirSync(join(ROOT, FACTS), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const facts = folders.map(({ name }) => numberOf(name)).sort();
  expect(facts).toEqual(Array.from({ length: 30 }, (_, at) => `S${`${at + 1}`.padStart(2, '0')}`));
  const paths = recorded.flatMap(({ scenarios }) => scenarios.map(({ path }) => path));
  const covered = new Set(paths.map((path) => numberOf(path.slice(FACTS.length + 1))));
  expect(facts.filter((fact) => !covered.has(fact))).toEqual([]);
});
