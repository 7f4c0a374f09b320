/** What became of a packet, as text that two rulesets can be compared by: all that anybody could see, at every host and at the end. */
import { endingOf } from '../netfilter/ending.ts';
import { answer, freshWorld, isReached, send, type End, type Way, type World } from '../network/walk.ts';
import type { Arrival } from '../packet/packet.ts';

/** The ways of a packet and of the answer to it, through a world that has seen nothing yet. */
export interface Exchange {
  readonly way: Way;
  /** Absent where nobody answers. */
  readonly reply?: Way;
}

export function exchange(world: World, host: string, arrival: Arrival): Exchange {
  const fresh = freshWorld(world);
  const way = send(fresh, host, arrival);
  const reached = way.ends.find(isReached);
  const reply = reached === undefined ? undefined : answer(fresh, reached);
  return { way, ...(reply === undefined ? {} : { reply }) };
}

/**
 * How each host saw it end, which interface and port it left by and as what, and to whom it came. What one host makes of a packet is compared for its own sake: a frame that leaves for an
 * address that is nobody's here may find somebody in reality.
 */
export const fateText = ({ way, reply }: Exchange): string =>
  `${wayText(way)} <- ${reply === undefined ? 'nobody answers' : wayText(reply)}`;

const wayText = ({ hops, ends }: Way): string =>
  [...hops.map(({ host, journey }) => `${host} ${endingOf(journey)}`), ...ends.map(endText)].join('; ');

const endText = (end: End): string =>
  isReached(end) ? `to ${end.kind} ${'name' in end ? (end.name ?? '') : ''}` : end.kind;

export const fateOf = (world: World, host: string, arrival: Arrival): string =>
  fateText(exchange(world, host, arrival));
