/**
 * Reassembly: with conntrack on, nf_defrag collects a datagram's fragments in front of everything else (S24).
 *
 * Fragments with the same addresses and protocol are taken for one datagram's: the notation has no IP identification. A fragment that overlaps what is
 * there empties the queue, as the kernel does.
 */
import { transportHeaderLength } from '../packet/length.ts';
import type { Packet } from '../packet/packet.ts';

export class Fragments {
  readonly #queues = new Map<string, readonly Packet[]>();

  copy(): Fragments {
    const twin = new Fragments();
    for (const [key, queue] of this.#queues) twin.#queues.set(key, queue);
    return twin;
  }

  flush(): void {
    this.#queues.clear();
  }

  get isEmpty(): boolean {
    return this.#queues.size === 0;
  }

  /** What waits, as text: two queues that hold the same fragments have the same fingerprint. */
  fingerprint(): string {
    return [...this.#queues.values()]
      .map((queue) => JSON.stringify(queue, (_, value: unknown) => (typeof value === 'bigint' ? `${value}n` : value)))
      .sort()
      .join('\n');
  }

  /** Adds a fragment; the whole packet when it completes one, else undefined: it waits. */
  add(packet: Packet): Packet | undefined {
    const key = `${packet.protocol} ${packet.saddr} ${packet.daddr}`;
    const queue = [...(this.#queues.get(key) ?? []), packet].sort((a, b) => offsetOf(a) - offsetOf(b));
    let end = 0;
    for (const fragment of queue) {
      if (offsetOf(fragment) < end) {
        this.#queues.delete(key);
        return undefined;
      }
      if (offsetOf(fragment) > end) {
        this.#queues.set(key, queue);
        return undefined;
      }
      end += lengthOf(fragment);
    }
    const [first] = queue;
    if (first === undefined || queue.at(-1)?.fragment?.more !== false) {
      this.#queues.set(key, queue);
      return undefined;
    }
    this.#queues.delete(key);
    const { fragment, ...whole } = first;
    return { ...whole, payload: end - transportHeaderLength({ protocol: first.protocol }) };
  }
}

const offsetOf = (packet: Packet): number => (packet.fragment?.offset ?? 0) * 8;

/** Octets of the IP payload. */
const lengthOf = (packet: Packet): number => transportHeaderLength(packet) + packet.payload;
