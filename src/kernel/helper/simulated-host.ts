/** One host: a namespace with its devices and their wires, configured by `ip`, watched, and with its rules. */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import {
  AF_BRIDGE,
  AF_INET,
  AF_INET6,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_SOCKET,
  SO_BROADCAST,
  SO_MARK,
  checked,
  errnoName,
  libc,
} from './libc.ts';
import { Namespace } from './namespace.ts';
import {
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_CREATE,
  NLM_F_REPLACE,
  NetlinkSocket,
  attribute,
  message,
  type Message,
} from './netlink.ts';
import { addressBytes, arpTarget, macBytes } from './octets.ts';
import { openPacketSocket, openTap, type Port } from './port.ts';
import { Restore } from './restore.ts';
import { Tracing } from './tracing.ts';
import type { Backend, HostSpec, NeighbourSpec, Refusal, RulesetTexts, Wire } from '../protocol.ts';

// A new namespace has the sysctls of the machine (ipv4.conf) or the kernel's defaults, whichever; these make every machine the same.
const SYSCTL: Readonly<Record<string, number>> = {
  'net.ipv4.ip_forward': 1,
  'net.ipv4.conf.all.rp_filter': 0,
  'net.ipv4.conf.default.rp_filter': 0,
  'net.ipv4.conf.all.send_redirects': 0,
  'net.ipv4.conf.default.send_redirects': 0,
  'net.ipv4.conf.all.accept_local': 0,
  'net.ipv4.conf.all.route_localnet': 0,
  'net.ipv4.conf.default.route_localnet': 0,
  'net.ipv4.icmp_ratelimit': 0,
  'net.ipv4.icmp_msgs_per_sec': 1_000_000,
  'net.ipv4.icmp_msgs_burst': 1_000_000,
};

// Where there is IPv6: no duplicate address detection, no link-local addresses, nothing learnt from routers, no unasked-for packets.
const SYSCTL_IPV6: Readonly<Record<string, number>> = {
  'net.ipv6.conf.default.accept_dad': 0,
  'net.ipv6.conf.all.accept_dad': 0,
  'net.ipv6.conf.default.autoconf': 0,
  'net.ipv6.conf.default.accept_ra': 0,
  'net.ipv6.conf.default.addr_gen_mode': 1,
  'net.ipv6.conf.default.router_solicitations': 0,
  'net.ipv6.conf.default.mldv2_unsolicited_report_interval': 1,
  'net.ipv6.conf.default.mldv1_unsolicited_report_interval': 1,
  'net.ipv6.conf.all.forwarding': 1,
  'net.ipv6.icmp.ratelimit': 0,
};

const NO_IPV6: Readonly<Record<string, number>> = {
  'net.ipv6.conf.all.disable_ipv6': 1,
  'net.ipv6.conf.default.disable_ipv6': 1,
};

/**
 * `net.ipv4.conf.eth0.100.rp_filter` is conf/eth0.100/rp_filter: only the name of a device may have dots. Throws for what is not below /proc/sys/net.
 */
function sysctlPath(name: string): string {
  const conf = /^(net\.ipv[46]\.(?:conf|neigh))\.(.+)\.([a-z0-9_]+)$/.exec(name);
  const parts =
    conf === null
      ? name.split('.')
      : [...(conf[1] ?? '').split('.'), (conf[2] ?? '').replaceAll('/', '.'), conf[3] ?? ''];
  // The rest of /proc/sys is the machine's, whatever the namespace.
  if (parts[0] !== 'net' || parts.some((part) => !/^[\w@:-][\w@:.-]*$/.test(part)))
    throw new Error(`${name} is no sysctl of a network namespace`);
  return ['/proc/sys', ...parts].join('/');
}

// include/uapi/linux/neighbour.h, rtnetlink.h
const RTM_NEWNEIGH = 28;
const NUD_NOARP = 0x40;
const NUD_PERMANENT = 0x80;
const NTF_MASTER = 4;

const neighbourMessage = (
  family: number,
  index: number,
  state: number,
  flags: number,
  ...attributes: readonly Buffer[]
): Message => {
  const head = Buffer.alloc(12);
  head.writeUInt8(family, 0);
  head.writeInt32LE(index, 4);
  head.writeUInt16LE(state, 8);
  head.writeUInt8(flags, 10);
  return message(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK, head, ...attributes);
};

const NDA_DST = 1;
const NDA_LLADDR = 2;

export class SimulatedHost {
  readonly name: string;
  readonly spec: HostSpec;
  readonly ports: readonly Port[];
  readonly tracing: Tracing;
  readonly warnings: string[] = [];
  readonly #backend: Backend;
  readonly #namespace: Namespace;
  readonly #restores: Readonly<Record<4 | 6, Restore>>;
  readonly #rtnetlink: NetlinkSocket;
  readonly #index: ReadonlyMap<string, number>;
  readonly #resolved = new Set<string>();
  readonly #rawSockets: Readonly<Record<4 | 6, number>>;

  /** `base` is where the far ends of veth pairs live. */
  constructor(spec: HostSpec, backend: Backend, wire: Wire, base: Namespace) {
    this.name = spec.name;
    this.spec = spec;
    this.#backend = backend;
    this.#namespace = new Namespace();
    const devices = [...spec.devices, ...spec.bridges.flatMap((bridge) => bridge.ports)];
    this.ports = this.#namespace.run(() => {
      this.#setSysctls(spec.ipv6 ? { ...SYSCTL, ...SYSCTL_IPV6 } : { ...SYSCTL, ...NO_IPV6 });
      return wire === 'tap' ? devices.map(({ name }) => openTap(name)) : this.#makeVeths(devices, base);
    });
    const opened = this.#namespace.run(() => {
      ip(configuration(spec));
      this.#setSysctls(spec.sysctl);
      if (spec.sets.length > 0) run('ipset', ['restore'], spec.sets);
      const names = ['lo', ...devices.map(({ name }) => name), ...spec.bridges.map(({ name }) => name)];
      const index = new Map(names.map((name) => [name, libc().if_nametoindex(name)]));
      return {
        index,
        tracing: new Tracing(spec.name, backend, new Map(Array.from(index, ([name, number]) => [number, name]))),
        rtnetlink: new NetlinkSocket(NETLINK_ROUTE),
        rawSockets: {
          4: openRawSocket(AF_INET),
          6: spec.ipv6 ? openRawSocket(AF_INET6) : -1,
        },
      };
    });
    this.#index = opened.index;
    this.tracing = opened.tracing;
    this.#rtnetlink = opened.rtnetlink;
    this.#rawSockets = opened.rawSockets;
    for (const neighbour of spec.neighbours) this.addNeighbour(neighbour);
    this.#restores = {
      4: new Restore(spec.name, this.#namespace, backend, 4),
      6: new Restore(spec.name, this.#namespace, backend, 6),
    };
  }

  get descriptors(): readonly number[] {
    return [...this.ports.map((port) => port.fd), ...this.tracing.descriptors];
  }

  port(name: string): Port {
    const port = this.ports.find((candidate) => candidate.name === name);
    if (port === undefined) throw new Error(`host ${this.name} has no device ${name} with a wire`);
    return port;
  }

  /** Loads the rules of both families; a family that is not named is emptied. */
  load(texts: RulesetTexts): Refusal | undefined {
    const families: readonly (4 | 6)[] = this.spec.ipv6 || texts.text6 !== undefined ? [4, 6] : [4];
    for (const family of families) {
      const refusal = this.#restores[family].load((family === 4 ? texts.text4 : texts.text6) ?? '');
      if (refusal !== undefined) return refusal;
    }
    if (this.#backend === 'nft') this.tracing.readRules();
    return undefined;
  }

  /** A process sends `packet`. Answers the errno of the send, by name: a packet that OUTPUT drops is EPERM. */
  sendLocal(packet: Buffer, mark: number): string | undefined {
    const family = (packet[0] ?? 0) >> 4 === 6 ? 6 : 4;
    const socket = this.#rawSockets[family];
    if (socket < 0) throw new Error(`host ${this.name} has no IPv6`);
    const value = Buffer.alloc(4);
    value.writeUInt32LE(mark >>> 0);
    checked(libc().setsockopt(socket, SOL_SOCKET, SO_MARK, value, 4), 'SO_MARK');
    const address = family === 4 ? Buffer.alloc(16) : Buffer.alloc(28);
    address.writeUInt16LE(family === 4 ? AF_INET : AF_INET6, 0);
    if (family === 4) packet.copy(address, 4, 16, 20);
    else packet.copy(address, 8, 24, 40);
    // The source in the header is the one that the socket is bound to, as any process's is; where the host does not have it, none is.
    const own = Buffer.from(address);
    if (family === 4) packet.copy(own, 4, 12, 16);
    else packet.copy(own, 8, 8, 24);
    if (libc().bind(socket, own, own.length) < 0) {
      own.fill(0, 2);
      checked(libc().bind(socket, own, own.length), 'bind to no address');
    }
    const sent = libc().sendto(socket, packet, packet.length, 0, address, address.length);
    return sent < 0 ? errnoName(libc().errno()) : undefined;
  }

  addNeighbour(neighbour: NeighbourSpec): void {
    const mac = attribute(NDA_LLADDR, macBytes(neighbour.mac));
    const index = this.#indexOf(neighbour.dev);
    const family = neighbour.address.includes(':') ? AF_INET6 : AF_INET;
    const messages = [
      neighbourMessage(family, index, NUD_PERMANENT, 0, attribute(NDA_DST, addressBytes(neighbour.address)), mac),
    ];
    if (neighbour.port !== undefined) {
      messages.push(neighbourMessage(AF_BRIDGE, this.#indexOf(neighbour.port), NUD_NOARP, NTF_MASTER, mac));
    }
    for (const one of messages) this.#rtnetlink.request(`neighbour ${neighbour.address} on ${neighbour.dev}`, one);
  }

  /** Takes an ARP request for a machine that nobody described as the wish that it existed. False for any other frame. */
  answerArp(port: string, frame: string): boolean {
    const { assumedMacPrefix } = this.spec;
    const target = assumedMacPrefix === undefined ? undefined : arpTarget(frame);
    if (assumedMacPrefix === undefined || target === undefined) return false;
    const dev = this.spec.bridges.find(({ ports }) => ports.some(({ name }) => name === port))?.name ?? port;
    // A bridge floods the request, and one answer is enough.
    if (!this.#resolved.has(`${dev} ${target.address}`)) {
      this.#resolved.add(`${dev} ${target.address}`);
      const mac = (assumedMacPrefix + target.hex).replace(/..(?!$)/g, '$&:');
      this.addNeighbour({ address: target.address, mac, dev });
    }
    return true;
  }

  /** A raw socket on one of the host's own devices: what is written to it leaves by the device. */
  openOutlet(device: string): Port {
    return this.#namespace.run(() => openPacketSocket(device, device));
  }

  close(): void {
    for (const restore of Object.values(this.#restores)) restore.close();
    this.tracing.close();
    this.#rtnetlink.close();
    for (const socket of Object.values(this.#rawSockets)) if (socket >= 0) libc().close(socket);
    for (const port of this.ports) port.close();
    this.#namespace.close();
  }

  #indexOf(device: string): number {
    const index = this.#index.get(device);
    if (index === undefined || index === 0) throw new Error(`host ${this.name} has no device ${device}`);
    return index;
  }

  #setSysctls(values: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(values)) {
      try {
        writeFileSync(sysctlPath(name), `${value}`);
      } catch (error) {
        this.warnings.push(`${this.name}: sysctl ${name}=${value}: ${error instanceof Error ? error.message : ''}`);
      }
    }
  }

  #makeVeths(devices: readonly { readonly name: string }[], base: Namespace): Port[] {
    // The far end's name is told apart by a number: hosts may have devices of the same name.
    const far = devices.map(() => `w${farEnds++}`);
    ip(
      devices.flatMap(({ name }, i) => [
        `link add ${name} type veth peer name ${far[i] ?? ''}`,
        `link set ${far[i] ?? ''} netns ${base.path}`,
      ]),
    );
    return base.run(() => {
      for (const name of far) writeFileSync(sysctlPath(`net.ipv6.conf.${name}.disable_ipv6`), '1');
      ip(far.map((name) => `link set ${name} arp off up`));
      return devices.map(({ name }, i) => openPacketSocket(name, far[i] ?? ''));
    });
  }
}

/** IPPROTO_RAW: the socket sends whole packets, header included, to anybody, and receives nothing. */
function openRawSocket(domain: number): number {
  const fd = checked(libc().socket(domain, SOCK_RAW | SOCK_CLOEXEC, 255), 'socket(SOCK_RAW)');
  const one = Buffer.from([1, 0, 0, 0]);
  checked(libc().setsockopt(fd, SOL_SOCKET, SO_BROADCAST, one, 4), 'SO_BROADCAST');
  return fd;
}

let farEnds = 0;

/** What `ip -batch` reads: devices, bridges, addresses, routes, in the order in which each needs the other. */
function configuration(spec: HostSpec): string[] {
  const lines = ['link set lo up'];
  for (const device of spec.devices) lines.push(`link set ${device.name} address ${device.mac} up`);
  for (const bridge of spec.bridges) {
    lines.push(
      `link add ${bridge.name} address ${bridge.mac} type bridge stp_state 0 forward_delay 0 mcast_snooping 0`,
      `link set ${bridge.name} up`,
    );
    for (const port of bridge.ports) {
      const { name, mac, hairpin, flood } = port;
      // Nothing is learnt: what one case sends must not decide where the next one's frames go.
      const options = `hairpin ${hairpin ? 'on' : 'off'} learning off flood ${flood ? 'on' : 'off'}`;
      lines.push(
        `link set ${name} address ${mac} up`,
        `link set ${name} master ${bridge.name}`,
        `link set ${name} type bridge_slave ${options}`,
      );
    }
  }
  for (const { dev, address, scope } of spec.addresses) {
    lines.push(
      address.includes(':')
        ? `addr replace ${address} dev ${dev} nodad`
        : `addr replace ${address} dev ${dev} scope ${scope}`,
    );
  }
  // The order given decides between routes to one prefix; connected routes (metric 0) come before them all.
  spec.routes.forEach((route, i) => lines.push(`route add ${route} metric ${100 + i}`));
  return lines;
}

const ip = (lines: readonly string[]): void => {
  run('ip', ['-batch', '-'], lines);
};

function run(program: string, args: readonly string[], lines: readonly string[]): void {
  const result = spawnSync(program, args, { input: `${lines.join('\n')}\n`, encoding: 'latin1' });
  if (result.error !== undefined) throw result.error;
  if (result.status === 0) return;
  const failed = /failed -:(\d+)/.exec(result.stderr)?.[1];
  const line = failed === undefined ? '' : ` at '${lines[Number(failed) - 1] ?? ''}'`;
  throw new Error(`${program}${line}: ${result.stderr.trim()}`);
}
