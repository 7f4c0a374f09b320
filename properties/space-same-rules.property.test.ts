/** Rules that are the same to every packet, as sets have it, are the same to each. */
import { expect } from 'vitest';
import { at, INDEX } from '../src/arbitrary/choice.ts';
import { worldCase, type WorldCase } from '../src/arbitrary/world.ts';
import { mutantsOf } from '../src/judge/mutation.ts';
import { endingOf } from '../src/netfilter/ending.ts';
import { arrive, machineOf } from '../src/netfilter/traverse.ts';
import { printArrival } from '../src/packet/notation.ts';
import { HostWays } from '../src/space/host-ways.ts';
import { isSomeChange, rulesChange } from '../src/space/rules-change.ts';
import { law } from './support/law.ts';
import { storedCase } from './support/case.ts';

law<[WorldCase, number]>(
  'space/rules-that-are-the-same-to-all-packets-are-the-same-to-each',
  [worldCase({ rules: 16, moves: 8, loose: true }), INDEX],
  (drawn, which, seen) => {
    const { host, backend, rulesets, moves } = drawn;
    const [ruleset] = rulesets;
    const mutants = ruleset === undefined ? [] : [...mutantsOf(ruleset)];
    if (ruleset === undefined || mutants.length === 0) return true;
    for (let count = 0; count < 4; count++) {
      const { ruleset: changed, change, text } = at(mutants, which + count * 7);
      const { ground } = new HostWays(host, { family: ruleset.family, backend, rulesets: [ruleset, changed] });
      const isSame = !isSomeChange(rulesChange(ground, host, ruleset, changed));
      seen(isSame ? 'same' : 'not the same');
      if (!isSame) continue;
      const [before, after] = [ruleset, changed].map((own) => machineOf(host, [own], backend));
      if (before === undefined || after === undefined) continue;
      for (const move of moves) {
        // Parts of packets are no packets of sets.
        if (!('arrival' in move) || move.arrival.packet.fragment !== undefined) continue;
        const told = `${change}: ${text}: ${printArrival(move.arrival)}`;
        expect(endingOf(arrive(after, move.arrival)), told).toBe(endingOf(arrive(before, move.arrival)));
      }
    }
    return true;
  },
  { runs: 60, stored: storedCase<[number]>(), cover: { same: { atLeast: 10 }, 'not the same': { atLeast: 20 } } },
);
