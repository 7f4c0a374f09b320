/** The tree is the pipeline: a folder imports only from folders above it in this list. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative, resolve, dirname } from 'node:path';
import { expect, test } from 'vitest';

const ORDER = [
  'address',
  'diagnostic',
  'packet',
  'ruleset',
  'host',
  'netfilter',
  'network',
  'claim',
  'space',
  'kernel',
  'deployment',
  'nova',
  'invariant',
  'arbitrary',
  'judge',
  'vectors',
  'report',
  'cli',
];

const src = import.meta.dirname;

interface Import {
  readonly file: string;
  readonly from: string;
  readonly to: string;
  readonly module: string;
  /** Loaded when it is needed: `await import(...)`. */
  readonly lazy: boolean;
}

const imports: readonly Import[] = readdirSync(src, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts') && file.includes('/') && !file.endsWith('.test.ts'))
  .flatMap((file) => {
    const text = readFileSync(join(src, file), 'utf8');
    const modules = [...text.matchAll(/(?:from|import)\s*(\(?)\s*'([^']+)'/g)].map(([, paren, module = '']) => ({
      module,
      lazy: paren === '(',
    }));
    return modules.map(({ module, lazy }) => ({
      file,
      from: file.split('/')[0] ?? '',
      to: module.startsWith('.')
        ? (relative(src, resolve(dirname(join(src, file)), module)).split('/')[0] ?? '')
        : module,
      module,
      lazy,
    }));
  });

test('every folder has its place in the order', () => {
  const folders = new Set(imports.map(({ from }) => from));
  expect([...folders].filter((folder) => !ORDER.includes(folder))).toEqual([]);
  expect(imports.length).toBeGreaterThan(100);
});

test('no folder imports from one below it', () => {
  const upward = imports.filter(({ from, to }) => ORDER.includes(to) && ORDER.indexOf(to) > ORDER.indexOf(from));
  expect(upward.map(({ file, module }) => `${file} imports ${module}`)).toEqual([]);
});

test('laws, claims and judges know nothing of nova: a law must not share the generator’s mistakes', () => {
  const knowing = imports.filter(({ from, to }) => to === 'nova' && ['invariant', 'claim', 'judge'].includes(from));
  expect(knowing.map(({ file }) => file)).toEqual([]);
});

test('only cli/ and kernel/ touch files, processes and the environment', () => {
  // node:util compares and prints values, and touches nothing.
  const impure = imports.filter(
    ({ from, to }) => to.startsWith('node:') && to !== 'node:util' && !['cli', 'kernel'].includes(from),
  );
  expect(impure.map(({ file, module }) => `${file} imports ${module}`)).toEqual([]);
});

test('fast-check is imported by arbitrary/ only, and lazily by a command that draws cases', () => {
  const users = imports.filter(
    ({ from, to, lazy }) => to === 'fast-check' && from !== 'arbitrary' && !(from === 'cli' && lazy),
  );
  expect(users.map(({ file }) => file)).toEqual([]);
});
