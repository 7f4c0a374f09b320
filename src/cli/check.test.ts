import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { checkSchema } from '../report/check-schema.ts';
import { traceSchema } from '../report/trace-schema.ts';
import type { Io } from './io.ts';
import { nfverdict } from './main.ts';
import { memoryIo } from './memory-io.ts';

const scenario = (file: string): string => readFileSync(new URL(`../../scenarios/${file}`, import.meta.url), 'utf8');

const ARTICLE = scenario('article/cloud/deployment.yaml');
const RULES = scenario('article/cloud/host1.rules');
const WITHOUT_METADATA = RULES.replace(/.*--to-destination 192\.168\.1\.90:8775\n/, '');
const SECOND = Object.fromEntries(
  ['deployment.yaml', 'api1.rules', 'net1.rules', 'compute1.rules', 'compute2.rules'].map((file) => [
    file,
    scenario(`second-cloud/${file}`),
  ]),
);

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly files: ReadonlyMap<string, string>;
}

async function run(
  words: readonly string[],
  files: Readonly<Record<string, string>> = {},
  surroundings: Partial<Pick<Io, 'env' | 'isTTY' | 'stderrIsTTY'>> = {},
): Promise<Ended> {
  const io = memoryIo(
    { 'd.yaml': ARTICLE, 'host1.rules': RULES, 'lost.rules': WITHOUT_METADATA, ...files },
    surroundings,
  );
  const code = await nfverdict(words, io);
  return { code, ...io.written };
}

const CHECK = ['check', '-d', 'd.yaml', '--runs', '5'];
const METADATA = ['--invariant', 'metadata/reaches-api'];

const documentOf = (stdout: string) => checkSchema.parse(JSON.parse(stdout));

test('without a ruleset the reference is checked, and the report says so', async () => {
  const { code, stdout, stderr } = await run([...CHECK, ...METADATA]);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toContain('assumed: no ruleset was given: host1.rules is what `nfverdict generate` writes\n');
  expect(stdout).toContain('ok        metadata/reaches-api                   tested 10\n');
  expect(stdout.endsWith('\n1 law, 1 holds\n')).toBe(true);
});

test('a law that is broken says the sentence, the packet, the chain and the command that shows it again', async () => {
  const { code, stdout } = await run([...CHECK, ...METADATA, 'lost.rules']);
  expect(code).toBe(1);
  expect(stdout).toContain(
    'FAIL      metadata/reaches-api                   1 claim is wrong, as-given and hardened\n',
  );
  expect(stdout).toContain('it is not so that myserver (10.10.10.2) asks 169.254.169.254:80');
  expect(stdout).toContain('at lost.rules nat nova-network-PREROUTING (no rule of it applies)\n');
  expect(stdout).toContain(
    "again: nfverdict trace lost.rules 'tcp 10.10.10.2:1024 > 169.254.169.254:80 in vnet0' -d d.yaml --posture hardened\n",
  );
});

test('the command that shows it again is called as the program was', async () => {
  const io = { ...memoryIo({ 'd.yaml': ARTICLE, 'lost.rules': WITHOUT_METADATA }), command: 'node dist/cli/main.js' };
  await nfverdict([...CHECK, ...METADATA, 'lost.rules'], io);
  expect(io.written.stdout).toContain(' again: node dist/cli/main.js trace lost.rules ');
});

test('a text says nothing of the tables that are not in it', async () => {
  const { stdout } = await run([...CHECK, ...METADATA, 'host1.rules', '--format', 'json']);
  expect(documentOf(stdout).assumptions).toContain(
    'host1.rules: judged from this text only, which has no table raw, mangle: no rules there, policy ACCEPT',
  );
});

test('a text that has lost its last COMMIT is read, and the report says so', async () => {
  const cut = RULES.trimEnd().replace(/COMMIT(?:\n#.*)*$/, '');
  const { stdout, code } = await run([...CHECK, ...METADATA, 'cut.rules', '--format', 'json'], { 'cut.rules': cut });
  expect(code).toBe(0);
  expect(documentOf(stdout).assumptions.join('\n')).toContain('cut.rules: ends without COMMIT');
});

test('the JSON document fits its schema, whatever the findings', async () => {
  const unknown = RULES.replace('-d 169.254.169.254/32', '-m recent --name a --rcheck --rsource -d 169.254.169.254/32');
  const laws = ['metadata/*', 'spoof/*', 'chains/*', 'security-group/*'].flatMap((glob) => ['--invariant', glob]);
  const results = new Set<string>();
  for (const rules of [RULES, WITHOUT_METADATA, unknown, '']) {
    const { stdout } = await run([...CHECK, ...laws, 'x.rules', '--format', 'json'], { 'x.rules': rules });
    const { findings, summary } = documentOf(stdout);
    for (const { result } of findings) results.add(result);
    expect(Object.values(summary).reduce((sum, count) => sum + count, 0)).toBe(
      new Set(findings.map(({ invariant }) => invariant)).size,
    );
  }
  expect([...results].sort()).toEqual(['holds', 'not-applicable', 'undecided', 'violated']);
});

test('the same input and seed give the same bytes', async () => {
  const words = [...CHECK, 'lost.rules', '--invariant', 'm*', '-v', '--seed', '7', '--format', 'json', '--output', 'a'];
  const [first, second] = [await run([...words, '--format', 'text']), await run([...words, '--format', 'text'])];
  expect(first).toEqual(second);
  expect(documentOf(first.files.get('a') ?? '').summary.violated).toBeGreaterThan(0);
  expect(first.stdout).toContain('FAIL ');
});

test('a match that is not modelled leaves a law undecided, with the line of the rule, and exit code 3', async () => {
  const unknown = RULES.replace('-d 169.254.169.254/32', '-m recent --name a --rcheck --rsource -d 169.254.169.254/32');
  const line = unknown.split('\n').findIndex((text) => text.includes('-m recent')) + 1;
  const { code, stdout } = await run([...CHECK, ...METADATA, 'x.rules'], { 'x.rules': unknown });
  expect(code).toBe(3);
  expect(stdout).toContain('undecided metadata/reaches-api ');
  expect(stdout).toContain('it is not known whether myserver');
  expect(stdout).toContain(`at x.rules:${line} `);
});

test('an empty text and the rules of another host are violations, not misfits', async () => {
  const files = { 'empty.rules': '', 'other.rules': SECOND['compute2.rules'] ?? '' };
  for (const file of Object.keys(files)) {
    const { code, stdout, stderr } = await run([...CHECK, ...METADATA, file, '--invariant', 'chains/*'], files);
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toContain('FAIL      metadata/reaches-api');
    expect(stdout).toContain('FAIL      chains/fabric-hooked');
  }
});

test('what compares two deployments, and what has no ruleset, does not apply', async () => {
  const laws = ['--invariant', 'security-group/monotone', '--invariant', 'dhcp/served'];
  const { code, stdout } = await run(
    ['check', '-d', 'deployment.yaml', ...laws, 'api1=api1.rules', '-q', '--runs', '5'],
    SECOND,
  );
  expect(code).toBe(0);
  expect(stdout).toContain('n/a       security-group/monotone ');
  expect(stdout).toContain('n/a       dhcp/served                            no ruleset of the hosts');
});

test('--fail-on warning counts warnings', async () => {
  const words = [...CHECK, 'host1.rules', '--invariant', 'spoof/source-owned'];
  const { code, stdout } = await run(words);
  expect(code).toBe(0);
  expect(stdout).toMatch(/\nwarn {6}spoof\/source-owned /);
  expect(stdout).toContain('the warnings are explained with -v\n');
  const failed = await run([...words, '--fail-on', 'warning', '-v']);
  expect(failed.code).toBe(1);
  expect(failed.stdout).toContain('it is not so that ');
});

test('no time is undecided, never 0', async () => {
  const { code, stdout } = await run([...CHECK, ...METADATA, '--time-limit', '0s']);
  expect(code).toBe(3);
  expect(stdout).toContain('undecided metadata/reaches-api                   the time limit came first\n');
});

test('progress goes to a terminal only, results to stdout only', async () => {
  const tty = await run([...CHECK, ...METADATA], {}, { stderrIsTTY: true });
  expect(tty.stderr).toBe('\r\u001b[K0/1 metadata/reaches-api\r\u001b[K');
  expect((await run([...CHECK, ...METADATA, '-q'], {}, { stderrIsTTY: true })).stderr).toBe('');
});

test.each([
  ['a terminal', [], { isTTY: true }, true],
  ['no terminal', [], {}, false],
  ['NO_COLOR', [], { isTTY: true, env: { NO_COLOR: '1' } }, false],
  ['an empty NO_COLOR', [], { isTTY: true, env: { NO_COLOR: '' } }, true],
  ['--color always', ['--color', 'always'], { env: { NO_COLOR: '1' } }, true],
  ['--color never', ['--color', 'never'], { isTTY: true }, false],
] as const)('colours: %s', async (_name, words, surroundings, coloured) => {
  const { stdout } = await run([...CHECK, ...METADATA, ...words], {}, surroundings);
  expect(stdout.includes('\u001b[')).toBe(coloured);
});

test('no line of the report is longer than a screen, but for commands and quoted rules', async () => {
  const { stdout } = await run(['check', '-d', 'd.yaml', '--runs', '1', 'lost.rules', '-v']);
  const long = stdout
    .split('\n')
    .filter((line) => line.length > 100 && !/^ *(?:again: | {7}-A |.*lost\.rules:\d+)/.test(line));
  expect(long).toEqual([]);
});

test('neither a ruleset nor a deployment can write to the terminal', async () => {
  const rules = RULES.replace(
    '-d 169.254.169.254/32',
    '-m comment --comment "\u202etxt" -m recent --name a --rcheck --rsource -d 169.254.169.254/32',
  );
  const named = ARTICLE.replace('name: myserver', 'name: "my\\eserver"');
  const files = { 'd.yaml': named, 'evil.rules': rules };
  const { stdout, stderr, code } = await run([...CHECK, ...METADATA, 'evil.rules'], files);
  expect([code, stderr]).toEqual([3, '']);
  expect(stdout).not.toContain('\u001b');
  expect(stdout).toContain('my\\x1bserver');
  expect(stdout).toContain('--comment "\\u202etxt"');
});

/** The words of a command as a POSIX shell would split them: blanks, and single quotes. */
const shellWords = (command: string): string[] =>
  [...command.matchAll(/(?:'[^']*'|\\'|[^\s'])+/g)].map(([word]) =>
    word.replaceAll("\\'", '\u0000').replaceAll("'", '').replaceAll('\u0000', "'"),
  );

async function expectShownAgain(words: readonly string[], files: Readonly<Record<string, string>>): Promise<void> {
  const { stdout } = await run([...words, '-v'], files);
  const json = documentOf((await run([...words, '--format', 'json'], files)).stdout);
  const witnesses = json.findings.flatMap(({ witness }) => (witness === undefined ? [] : [witness]));
  const commands = [...stdout.matchAll(/ again: nfverdict (.*)\n/g)].map(([, command = '']) => command);
  expect(commands.length).toBe(witnesses.length);
  expect(commands.length).toBeGreaterThan(0);
  // The first and the last stand for both postures.
  for (const at of new Set([0, 1, commands.length - 1])) {
    const command = commands[at] ?? '';
    const again = await run([...shellWords(command), '--format', 'json'], files);
    expect([again.code, again.stderr]).toEqual([expect.toSatisfy((code: number) => code === 0 || code === 3), '']);
    const [shown] = traceSchema.parse(JSON.parse(again.stdout)).packets;
    const steps = shown?.steps.map(({ host, ...step }) => step);
    expect(steps).toEqual(witnesses[at]?.trace.flatMap((hop) => hop.steps));
  }
}

test('the command that a failure prints shows the same way again: a given ruleset, both postures', async () => {
  await expectShownAgain([...CHECK, "it's lost.rules", '--invariant', 'metadata/*', '--invariant', 'spoof/*'], {
    "it's lost.rules": WITHOUT_METADATA,
  });
});

test('the command that a failure prints shows the same way again: the reference on several hosts', async () => {
  await expectShownAgain(
    ['check', '-d', 'deployment.yaml', '--runs', '5', '--invariant', 'host/ports-not-shadowed'],
    SECOND,
  );
});

test('the command that a failure prints shows the same way again: given rulesets of several hosts', async () => {
  const hosts = ['api1', 'net1', 'compute1', 'compute2'];
  const given = hosts.map((host) => `${host}=${host}.rules`);
  const broken = (SECOND['net1.rules'] ?? '').replaceAll(/.*-j [DS]NAT .*\n/g, '');
  await expectShownAgain(
    [
      'check',
      '-d',
      'deployment.yaml',
      '--runs',
      '5',
      '--invariant',
      'metadata/*',
      '--invariant',
      'floating-ip/r*',
      '--backend',
      'legacy',
      ...given,
    ],
    { ...SECOND, 'net1.rules': broken },
  );
});

test.each([
  [['hots1=host1.rules'], 'there is no host hots1 in the deployment: did you mean host1?\n'],
  [['host1.rules', 'host1=lost.rules'], 'host1 has two rulesets for IPv4; HOST/6=FILE is for ip6tables\n'],
  [['nowhere.rules'], 'cannot read nowhere.rules: there is no such file or directory\n'],
  [['--invariant', 'metadata/reach-api'], 'no law is called metadata/reach-api: did you mean metadata/reaches-api?\n'],
  [['--format', 'xml'], 'there is no format xml: expected text or json\n'],
  [
    ['--format', 'json', '--format', 'text'],
    'two formats cannot both go to stdout: give all but one an --output FILE\n',
  ],
  [['--runs', '0'], "error: option '--runs <n>' argument '0' is invalid. expected a number of at least 1.\n"],
  [
    ['--time-limit', 'soon'],
    "error: option '--time-limit <time>' argument 'soon' is invalid. expected a time such as 30s.\n",
  ],
])('%j could not be answered', async (words, message) => {
  const { code, stdout, stderr } = await run([...CHECK, ...METADATA, ...words]);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr.replace('(nfverdict help COMMAND explains a command)\n', '').trimStart()).toBe(message);
});

test('with several hosts a ruleset needs its host', async () => {
  const { code, stderr } = await run(['check', '-d', 'deployment.yaml', 'net1.rules'], SECOND);
  expect(code).toBe(2);
  expect(stderr).toBe(
    'which host is net1.rules of? write HOST=net1.rules, where HOST is one of api1, net1, compute1, compute2\n',
  );
});
