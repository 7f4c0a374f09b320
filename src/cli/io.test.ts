import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FileError, nodeIo } from './io.ts';

test('a file is written with the folders on the way to it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'nfverdict-'));
  try {
    nodeIo.writeFile(join(folder, 'a', 'b', 'c.txt'), 'text\n');
    expect(readFileSync(join(folder, 'a', 'b', 'c.txt'), 'utf8')).toBe('text\n');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('a folder that cannot be made is an error, and soon', () => {
  expect(() => {
    nodeIo.writeFile('/proc/nfverdict/x', 'text');
  }).toThrow(FileError);
});
