/**
 * What one process measures, which begins with an empty heap: the larger a size, the more it would pay for what others have left lying about. `node subject.js '{"shape":"nova",
 * "sizes":[100]}'` tells each figure on stderr, and all of them as JSON on stdout.
 */
import { tableOf } from './document.ts';
import { floatFigures } from './floats.ts';
import { flatFigures, novaFigures, type Figure, type Limits, type Part, type Shape } from './subjects.ts';

export interface Subject {
  readonly shape: Shape;
  /** Instances, rules, or floating IPs. */
  readonly sizes: readonly number[];
  readonly part?: Part;
  readonly limits: Limits;
}

function figuresOf({ shape, part, limits }: Subject, size: number): Iterable<Figure> {
  switch (shape) {
    case 'nova':
      return novaFigures(size, limits, part);
    case 'flat':
      return flatFigures(size);
    case 'floats':
      return floatFigures(size);
  }
}

const subject = JSON.parse(process.argv[2] ?? '') as Subject;
const figures: Figure[] = [];
for (const size of subject.sizes)
  for (const figure of figuresOf(subject, size)) {
    figures.push(figure);
    process.stderr.write(tableOf([figure], false));
  }
process.stdout.write(JSON.stringify(figures));
