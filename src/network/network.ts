/** Several hosts and the links between them, with the machines at their ends. */
import type { Address } from '../address/address.ts';
import type { Mac } from '../address/mac.ts';
import type { Host } from '../host/host.ts';

export interface Network {
  readonly hosts: readonly Host[];
  readonly links: readonly Link[];
  readonly stations: readonly Station[];
}

/** An interface of a host, or a port of one of its bridges. */
export interface Attachment {
  readonly host: string;
  readonly interface: string;
}

/** A wire or a switch: whatever leaves by one attachment can arrive at the others. */
export interface Link {
  readonly name: string;
  readonly attachments: readonly Attachment[];
  /** The world is behind it: any address that is nobody's here can send and receive there. */
  readonly outside: boolean;
}

/** A machine that is no nova host: an instance on a bridge port, or a named machine outside. */
export interface Station {
  readonly name: string;
  readonly kind: 'instance' | 'outside';
  readonly addresses: readonly Address[];
  readonly mac: Mac;
  /** The bridge port of an instance; the link of an outside machine. */
  readonly at: Attachment | { readonly link: string };
}
