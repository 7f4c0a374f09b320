import { expect, test } from 'vitest';
import { wrap } from './wrap.ts';

test('lines break at blanks and hang', () => {
  expect(wrap('one two three four', 'n/a  ', 5, 14)).toEqual(['n/a  one two', '     three', '     four']);
});

test('a word that is longer than a line stands alone', () => {
  expect(wrap('a /very/long/path b', '', 2, 8)).toEqual(['a', '  /very/long/path', '  b']);
});
