/** Sets said shortly, among packets of which something goes without saying. */
import { NO, YES, type Edge, type Node } from './diagram.ts';
import type { Layout } from './layout.ts';

/**
 * A set that has the same packets of `among`, and of others as it comes: a branch where none of `among` is may be as its neighbours (Coudert and Madre's restriction).
 * So what is so of all of `among` is not said of the set. Recursion is as deep as there are levels.
 */
export function saidAmong(layout: Layout, set: Node, among: Node): Node {
  const { diagrams } = layout;
  const within = new Map<number, number>();
  for (const field of ['daddr', 'saddr'] as const) {
    const words = layout.wordLevels(field);
    for (const level of words) within.set(level, words.at(-1) ?? level);
  }
  /** Addresses are told from each other by their first words: such a branch is not as another whose later words matter. */
  const mayBeAs = (level: number, to: Node): boolean => to < 0 || diagrams.levelOf(to) > (within.get(level) ?? level);
  const known = new Map<string, Node>();
  /** Undefined: none of `among` is there. */
  const said = (f: Node, care: Node): Node | undefined => {
    if (care === NO) return undefined;
    if (care === YES || f < 0) return f;
    const key = `${f} ${care}`;
    const seen = known.get(key);
    if (seen !== undefined) return seen;
    const [level, other] = [diagrams.levelOf(f), diagrams.levelOf(care)];
    const made =
      other < level
        ? said(f, diagrams.orAll(diagrams.edgesOf(care).map(({ to }) => to)))
        : diagrams.node(
            level,
            filled(together(diagrams.edgesOf(f), other === level ? diagrams.edgesOf(care) : undefined, care), (to) =>
              mayBeAs(level, to),
            ),
          );
    if (made === undefined) return undefined;
    known.set(key, made);
    return made;
  };
  const together = (
    own: readonly Edge[],
    others: readonly Edge[] | undefined,
    care: Node,
  ): readonly { readonly hi: number; readonly to: Node | undefined }[] => {
    if (others === undefined) return own.map(({ hi, to }) => ({ hi, to: said(to, care) }));
    const edges: { readonly hi: number; readonly to: Node | undefined }[] = [];
    for (let [i, j] = [0, 0]; ;) {
      const [one, other] = [own[i], others[j]];
      if (one === undefined || other === undefined) return edges;
      const hi = Math.min(one.hi, other.hi);
      edges.push({ hi, to: said(one.to, other.to) });
      if (one.hi === hi) i++;
      if (other.hi === hi) j++;
    }
  };
  return said(set, among) ?? NO;
}

/**
 * A branch that does not matter is as both its neighbours are where these are alike, or as the one that it has where that is wider; else nothing is there. Where only
 * one kind matters, all are of it.
 */
function filled(
  edges: readonly { readonly hi: number; readonly to: Node | undefined }[],
  mayBeAs: (to: Node) => boolean,
): readonly Edge[] {
  const known = new Set(edges.flatMap(({ to }) => (to === undefined ? [] : [to])));
  const [only] = known;
  if (only !== undefined && known.size === 1 && mayBeAs(only))
    return edges.slice(-1).map(({ hi }) => ({ hi, to: only }));
  const width = (index: number): number => (edges[index]?.hi ?? -1) - (edges[index - 1]?.hi ?? -1);
  return edges.map(({ hi, to }, index) => {
    if (to !== undefined) return { hi, to };
    const [before, after] = [edges[index - 1]?.to, edges[index + 1]?.to];
    const wider = (neighbour: number): boolean => width(neighbour) > width(index);
    if (
      before !== undefined &&
      mayBeAs(before) &&
      (before === after || (index === edges.length - 1 && wider(index - 1)))
    )
      return { hi, to: before };
    return { hi, to: index === 0 && after !== undefined && mayBeAs(after) && wider(1) ? after : NO };
  });
}
