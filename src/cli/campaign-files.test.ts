import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { readRecording, readReport } from './campaign-files.ts';
import { FileError } from './io.ts';

const KEPT = new URL('../../scenarios/kernel/found-nft.json', import.meta.url);
const folder = mkdtempSync(join(tmpdir(), 'nfverdict-test-'));
afterAll(() => {
  rmSync(folder, { recursive: true });
});

function fileOf(text: string): string {
  const file = join(folder, 'file.json');
  writeFileSync(file, text);
  return file;
}

test('a recording of cases is read, and each case can be played', () => {
  const cases = readRecording(fileOf(readFileSync(KEPT, 'utf8')));
  expect(cases.length).toBeGreaterThan(5);
  for (const { one, given } of cases) expect(given.moves).toHaveLength(one.moves.length);
});

test.each([
  ['nope', /file\.json: .*JSON/],
  ['3', /is no recording of cases: it has no list of them/],
  ['{"cases": {}}', /is no recording of cases: it has no list of them/],
  ['{"cases": [null]}', /file\.json: case 1 of 1: it has no host, backend, texts, moves, runs/],
  ['{"cases": [{"host": {"file": "x"}}]}', /case 1 of 1: it has no backend, texts, moves, runs/],
])('what is no recording is refused with a sentence that names the file: %s', (text, message) => {
  const read = (): unknown => readRecording(fileOf(text));
  expect(read).toThrow(FileError);
  expect(read).toThrow(message);
});

test('a packet that cannot be read is told with its case', () => {
  const recording = JSON.parse(readFileSync(KEPT, 'utf8')) as { cases: { moves: unknown[] }[] };
  const [first, second] = recording.cases;
  if (first === undefined || second === undefined) throw new Error('there are cases');
  second.moves[0] = { packet: 'tcp 1.2.3.4:x > nowhere' };
  const read = (): unknown => readRecording(fileOf(JSON.stringify({ cases: [first, second] })));
  expect(read).toThrow(FileError);
  expect(read).toThrow(/case 2 of 2: .*expected a port/);
});

test('a report of another kind is refused', () => {
  expect(() => readReport(fileOf('{"schema": "nfverdict/check-v1"}'))).toThrow(
    /is no report of a campaign: its schema is not nfverdict\/kernel-campaign-v\d/,
  );
  expect(() => readReport(join(folder, 'missing.json'))).toThrow(FileError);
});
