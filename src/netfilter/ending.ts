/** How a journey ended, as text: not the rules' numbers and lines, but all that anybody outside would see. */
import { printPacket } from '../packet/notation.ts';
import type { Exit, Journey } from './journey.ts';

/** `br100/eth0`: the interface that it left by, and the bridge's port. */
export const exitName = ({ oif, port }: Pick<Exit, 'oif' | 'port'>): string =>
  port === undefined ? oif : `${oif}/${port}`;

/** Where the packet ended, and as what; then the same of each packet that the host made because of it. */
export const endingOf = (journey: Journey): string =>
  [
    journey.fate.kind,
    ...journey.deliveries.map((packet) => `to a process: ${printPacket(packet)}`),
    ...journey.exits.map((exit) => `by ${exitName(exit)}: ${printPacket(exit.packet)}`),
    ...journey.consequences.map((consequence) => `(${endingOf(consequence)})`),
  ].join('; ');
