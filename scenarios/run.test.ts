import { existsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodeIo } from '../src/cli/io.ts';
import { runTrace } from '../src/cli/trace.ts';
import { parseConversation } from '../src/packet/conversation.ts';
import { complaint, printExchanges } from './journey-text.ts';
import { parseRuleset, readRuleset } from '../src/ruleset/parse.ts';
import { printRuleset } from '../src/ruleset/print.ts';
import { ROOT, filesEnding, loadingScenarios, read, readScenario, run } from './scenario.ts';

const paths = filesEnding('.packets');

describe.each(paths)('%s', (path) => {
  const scenario = readScenario(path);
  test(scenario.title, () => {
    const { exchanges } = run(scenario);
    expect(exchanges.flatMap((exchange) => complaint(scenario, exchange) ?? [])).toEqual([]);
    const trace = path.replace(/\.packets$/, '.trace');
    if (!existsSync(join(ROOT, trace))) return;
    const printed = printExchanges(scenario, exchanges);
    if (process.env['UPDATE'] === '1') writeFileSync(join(ROOT, trace), printed);
    expect(printed).toBe(read(trace));
  });
});

test.each(loadingScenarios())('$path: $title', ({ path, text, refused }) => {
  for (const backend of ['legacy', 'nft'] as const) {
    const { diagnostics } = parseRuleset(text, { path, backend });
    expect(
      diagnostics.map(({ line }) => line),
      backend,
    ).toEqual(refused[backend]);
  }
});

test.each(filesEnding('.saved'))('%s is what a save prints', (path) => {
  const rules = path.replace(/\.saved$/, '.rules');
  expect(printRuleset(readRuleset(read(rules), { path: rules }))).toBe(read(path));
});

/** The first packets file of each scenario with one host and a beginning of its own. */
const simple = paths.filter((path, at) => {
  const { after, network } = readScenario(path);
  const folder = dirname(path);
  return network.hosts.length === 1 && after === undefined && dirname(paths[at - 1] ?? '') !== folder;
});

test('nfverdict trace runs a packets file as it stands, and all is as expected there', () => {
  let told = '';
  const tell = (text: string): void => {
    told += text;
  };
  const io = { ...nodeIo, stdout: () => undefined, stderr: tell, env: {}, isTTY: false };
  const codes = simple.map((path) => {
    const { backend, place, rules } = readScenario(path);
    const [[host, { stem }] = ['', { stem: '' }]] = rules;
    const six = join(ROOT, `${stem}.v6.rules`);
    const code = runTrace(
      {
        words: [existsSync(six) ? `${host}/6=${six}` : join(ROOT, `${stem}.rules`)],
        packets: join(ROOT, path),
        [place.endsWith('host.yaml') ? 'host' : 'deployment']: join(ROOT, place),
        backend,
        posture: 'as-given',
        kernel: false,
        verbose: false,
        quiet: false,
        outputs: [{ format: 'text' }],
        color: 'never',
      },
      io,
    );
    return `${path} ${code}`;
  });
  expect(told).toBe('');
  expect(codes.length).toBeGreaterThan(40);
  expect(codes.filter((code) => !code.endsWith(' 0'))).toEqual([]);
});

test('every packets file begins with a sentence, expects something, and has a name of its own', () => {
  const titles = paths.map((path) => readScenario(path).title);
  expect(titles.filter((title) => !/^[A-Za-z0-9/-]+ .*[a-z]/.test(title))).toEqual([]);
  expect(titles.filter((title, at) => titles.indexOf(title) !== at)).toEqual([]);
  const silent = paths.filter((path) =>
    readScenario(path).conversation.items.every((item) => item.kind === 'flush' || item.expected === undefined),
  );
  expect(silent).toEqual([]);
});

test('every trace stands beside the packets that it is of', () => {
  const expected = filesEnding('.trace').map((path) => path.replace(/\.trace$/, '.packets'));
  expect(expected.filter((path) => !paths.includes(path))).toEqual([]);
});

/** A fate that is not the one written. */
const OTHER = new Map([
  ['delivered', 'dropped'],
  ['forwarded', 'delivered'],
  ['dropped', 'delivered'],
  ['rejected', 'forwarded'],
  ['undecided', 'dropped'],
]);

test('a wrong expectation makes its scenario fail, whichever it is', () => {
  for (const path of paths) {
    const scenario = readScenario(path);
    const wrong = read(path).replace(
      /^( *> *)([a-z]+).*/gm,
      (_, start: string, kind: string) => start + (OTHER.get(kind) ?? ''),
    );
    const { exchanges } = run({ ...scenario, conversation: parseConversation(wrong, path) });
    const expecting = exchanges.filter((exchange) => exchange.expected !== undefined);
    expect(expecting.filter((exchange) => complaint(scenario, exchange) === undefined)).toEqual([]);
  }
});
