/** `check --kernel`: the claims of laws on Linux itself. Skipped where there is none. */
import { readFileSync } from 'node:fs';
import { afterEach, expect, test, vi } from 'vitest';
import { Kernel } from '../kernel/client.ts';
import { availableKernel } from '../kernel/probe.ts';
import type { RulesetTexts } from '../kernel/protocol.ts';
import { checkSchema } from '../report/check-schema.ts';
import { nfverdict } from './main.ts';
import { memoryIo } from './memory-io.ts';

const scenario = (file: string): string => readFileSync(new URL(`../../scenarios/${file}`, import.meta.url), 'utf8');

const RULES = scenario('article/cloud/host1.rules');
const FILES = {
  'd.yaml': scenario('article/cloud/deployment.yaml'),
  'host1.rules': RULES,
  'lost.rules': RULES.replace(/.*--to-destination 192\.168\.1\.90:8775\n/, ''),
};
const SECOND = { 'd.yaml': scenario('second-cloud/deployment.yaml') };

const { backends } = availableKernel();
const [backend = 'nft'] = backends;
const onLinux = test.skipIf(backends.length === 0);

async function run(words: readonly string[], files: Readonly<Record<string, string>> = FILES) {
  const io = memoryIo(files);
  const code = await nfverdict(['check', '-d', 'd.yaml', '--kernel', '--backend', backend, ...words], io);
  return { code, ...io.written };
}

const METADATA = ['--invariant', 'metadata/reaches-api'];
const JSON_FORMAT = ['--format', 'json'];
const documentOf = (stdout: string) => checkSchema.parse(JSON.parse(stdout));

/** A Linux with other rules than the model stands in for a model that is wrong. */
function withOtherRules(change: (text4: string) => string): void {
  const runCase = Object.getOwnPropertyDescriptor(Kernel.prototype, 'runCase')?.value as Kernel['runCase'];
  vi.spyOn(Kernel.prototype, 'runCase').mockImplementation(function (this: Kernel, world, hosts, steps, keep) {
    const others = Object.entries(hosts).map(([name, { text4 = '' }]): [string, RulesetTexts] => [
      name,
      { text4: change(text4) },
    ]);
    return runCase.call(this, world, Object.fromEntries(others), steps, keep);
  });
}

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

onLinux('a law that holds says on how many packets Linux was asked, in both postures', async () => {
  const { code, stdout, stderr } = await run(['host1.rules', ...METADATA, '--runs', '4']);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^assumed: Linux \S+ with iptables .* was asked as well$/m);
  expect(stdout).toMatch(/^ok {8}metadata\/reaches-api {19}\w.*, kernel \d+$/m);
  expect(stdout.trimEnd()).toMatch(/1 law, 1 holds.*, 1 on Linux too$/);
  const document = documentOf((await run(['host1.rules', ...METADATA, ...JSON_FORMAT])).stdout);
  expect(document.summary.kernel).toBe(1);
  expect(document.findings.filter(({ strength }) => strength === 'kernel')).toMatchObject([
    { result: 'holds', posture: 'as-given' },
    { result: 'holds', posture: 'hardened' },
  ]);
  expect(document.findings.every(({ strength, count }) => strength !== 'kernel' || count >= 10)).toBe(true);
});

onLinux('packets that Linux could not be asked about are counted', async () => {
  const { stdout } = await run(['host1.rules', '--invariant', 'instance-chain/drops-invalid', ...JSON_FORMAT]);
  const own = documentOf(stdout).findings.filter(({ strength }) => strength === 'kernel');
  expect(own.map(({ notAsked = 0 }) => notAsked > 0)).toEqual([true, true]);
  expect(own[0]?.message).toContain('not asked: nothing makes Linux see this packet in state INVALID');
});

onLinux('the witness of a broken law is replayed, and Linux confirms it', async () => {
  const { code, stdout } = await run(['lost.rules', ...METADATA]);
  expect(code).toBe(1);
  expect(stdout).toContain('\n      confirmed by Linux: it should reach a process of host1');
  const { findings } = documentOf((await run(['lost.rules', ...METADATA, ...JSON_FORMAT])).stdout);
  expect(findings.map(({ kernel }) => kernel?.word)).toEqual(['confirmed', 'confirmed']);
});

onLinux('a witness that Linux does not confirm is said to be none', async () => {
  withOtherRules((text4) => (text4 === '' ? text4 : RULES));
  const { stdout } = await run(['lost.rules', ...METADATA]);
  expect(stdout).toContain('\n      not confirmed by Linux: the model differs: in ');
});

onLinux('what Linux breaks is violated, with Linux’s own trace, whatever the model says', async () => {
  withOtherRules((text4) =>
    text4.replace(/^\*filter$.*?^COMMIT$/ms, (filter) => filter.replaceAll('-j ACCEPT', '-j DROP')),
  );
  const { code, stdout } = await run(['host1.rules', ...METADATA, ...JSON_FORMAT]);
  expect(code).toBe(1);
  const broken = documentOf(stdout).findings.filter(({ result }) => result === 'violated');
  expect(broken.map(({ strength, posture }) => [strength, posture])).toEqual([
    ['kernel', 'as-given'],
    ['kernel', 'hardened'],
  ]);
  expect(broken[0]?.message).toMatch(
    /^on Linux it should reach .*; the model does not find that: model and Linux differ$/,
  );
  expect(broken[0]?.witness?.trace.at(-1)?.fate.kind).toBe('dropped');
});

onLinux('a proof that Linux refutes is shown with the traces of both', async () => {
  withOtherRules((text4) =>
    text4.replace(/^\*filter$.*?^COMMIT$/ms, (filter) => filter.replaceAll('-j ACCEPT', '-j DROP')),
  );
  const { stdout } = await run(['host1.rules', ...METADATA]);
  expect(stdout).toMatch(/^FAIL +metadata\/reaches-api/m);
  expect(stdout).toContain('= both, - the model alone, + Linux alone');
  expect(stdout).toMatch(/^ +- delivered tcp 10\.10\.10\.2:\d+ > 192\.168\.1\.90:8775/m);
  expect(stdout).toMatch(/^ +\+ dropped /m);
  const { findings } = documentOf((await run(['host1.rules', ...METADATA, ...JSON_FORMAT])).stdout);
  const [refuted] = findings.filter(({ result }) => result === 'violated');
  const endOf = (trace: readonly { readonly fate: { readonly kind: string } }[] = []) => trace.at(-1)?.fate.kind;
  expect([endOf(refuted?.witness?.trace), endOf(refuted?.witness?.model?.trace)]).toEqual(['dropped', 'delivered']);
});

onLinux('Linux is asked about the corners of what is proved, which no sample need hit', async () => {
  // The first address behind the instances' network: this Linux hears nothing from it.
  withOtherRules((text4) => text4.replace(/^-A INPUT /m, '-A INPUT -s 10.10.11.0/32 -j DROP\n$&'));
  const { stdout } = await run(['host1.rules', '--invariant', 'api/reachable', '--runs', '1', ...JSON_FORMAT]);
  const refuted = documentOf(stdout).findings.filter(({ result }) => result === 'violated');
  expect(refuted.map(({ strength, posture }) => [strength, posture])).toContainEqual(['kernel', 'hardened']);
  expect(refuted[0]?.witness?.packet).toBe('tcp 10.10.11.0:1024 > 192.168.1.90:8775 in wlan0');
});

onLinux('claims go over all hosts of a cloud', async () => {
  const { code, stdout } = await run([...METADATA, '--runs', '2'], SECOND);
  expect(code).toBe(0);
  expect(stdout).toMatch(/metadata\/reaches-api .*, kernel \d+$/m);
});

test('where there is no kernel to ask one line says why, and the exit code is 2', async () => {
  vi.stubEnv('PATH', '/nowhere');
  const { code, stdout, stderr } = await run(['host1.rules', ...METADATA, '--runs', '1']);
  expect([code, stdout]).toEqual([2, '']);
  expect(stderr).toMatch(/^kernel judge: none \(.*\n$/);
});
