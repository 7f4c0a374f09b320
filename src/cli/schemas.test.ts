import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { publishedSchemas } from './schemas.ts';

test.each([...publishedSchemas()])('schemas/%s is what the code says (npm run schemas writes it)', (file, text) => {
  expect(readFileSync(new URL(`../../schemas/${file}`, import.meta.url), 'utf8')).toBe(text);
});
