import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { readDeployment } from '../deployment/read.ts';
import { rulesetTextFor } from './ruleset.ts';

const cloud = new URL('../../scenarios/article/cloud/', import.meta.url);
const read = (name: string): string => readFileSync(new URL(name, cloud), 'utf8');

const rulesetOf = (text: string, name: string, family: 4 | 6 = 4, service?: string): string => {
  const { deployment } = readDeployment(text, 'd.yaml');
  const host = deployment.hosts.find((candidate) => candidate.name === name);
  if (host === undefined) throw new Error(`no host ${name}`);
  return rulesetTextFor(deployment, host, family, service === undefined ? {} : { service });
};

const lines = (text: string): string[] => text.split('\n').filter((line) => line !== '');
const rules = (text: string): string[] => lines(text).filter((line) => !line.startsWith(':'));
const chains = (text: string): string[] => lines(text).filter((line) => line.startsWith(':'));

test('the article’s cloud has the ruleset that nova’s own folsom-2 code made, line for line', () => {
  const expected = read('host1.rules');
  const made = rulesetOf(read('deployment.yaml'), 'host1');
  expect(rules(made)).toEqual(rules(expected));
  expect(chains(made).sort()).toEqual(chains(expected).sort());
});
