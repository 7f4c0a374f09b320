/** What a campaign of lives keeps of a breach that nobody knows: once for each kind, with the shortest life that leads to it. */
import fc from 'fast-check';
import type { Release } from '../deployment/deployment.ts';
import type { DeploymentText } from '../deployment/schema.ts';
import type { TimeBreach, TimeLaw } from '../invariant/over-time.ts';
import { beginningArb, beginningOf, drawnArb, type Beginning, type Drawn } from './lifecycle.ts';
import { live } from './life.ts';

/** A beginning and up to 40 commands. */
export const lifeArb = (): fc.Arbitrary<[Beginning, Drawn[]]> =>
  fc.tuple(beginningArb(), fc.array(drawnArb(), { maxLength: 40, size: 'max' }));

/** Breaches that differ in names, addresses and ids only are of one kind. */
export const kindOfBreach = ({ id }: TimeLaw, { kind, line }: TimeBreach): string =>
  `${id}: ${kind} ${line.replace(/[\w.:]*\d[\w.:/]*/g, '#')}`;

/** A life to tell: how the cloud began, what was asked of it, and what broke which law. */
export interface LifeStory {
  readonly message: string;
  readonly beginning: DeploymentText;
  readonly operations: readonly string[];
}

/** The shortest life, of a seed's, that has a breach of a kind. Undefined where none has. */
export function shortestStory(release: Release, kind: string, seed: number, lives: number): LifeStory | undefined {
  let shortest: LifeStory | undefined;
  fc.check(
    fc.property(lifeArb(), ([beginning, drawn]) => {
      let found: LifeStory | undefined;
      live(beginning, drawn, release, {
        unmarked: (law, breach, operations) => {
          if (kindOfBreach(law, breach) === kind)
            found ??= { message: breach.message, beginning: beginningOf(beginning, release), operations: operations() };
        },
      });
      if (found === undefined) return true;
      shortest = found;
      return false;
    }),
    { seed, numRuns: lives },
  );
  return shortest;
}
