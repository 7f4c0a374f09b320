/**
 * The helper process: it owns the namespaces, and answers requests that come on its standard input, a JSON document a line.
 * Started as `unshare -Urn --kill-child node main.js`, or without `-U` as root. When its input ends it ends, and with it every
 * namespace: they are held by nothing but its descriptors.
 */
import { accessSync, constants, writeSync } from 'node:fs';
import { release } from 'node:os';
import { Namespace } from './namespace.ts';
import { World } from './world.ts';
import type { Answer, Request, Wire } from '../protocol.ts';

const base = new Namespace();
const worlds = new Map<number, World>();
let made = 0;

function defaultWire(): Wire {
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
    return 'tap';
  } catch {
    return 'packet';
  }
}

/** NFTA_TRACE_CT_STATE came with 6.16. */
function tellsStates(): boolean {
  const [major = 0, minor = 0] = release().split('.').map(Number);
  return major > 6 || (major === 6 && minor >= 16);
}

function answer(request: Request): Answer {
  switch (request.op) {
    case 'world': {
      const wire = request.wire ?? defaultWire();
      const world = new World(request, wire, base);
      worlds.set(++made, world);
      return { world: made, wire, states: tellsStates(), warnings: world.warnings };
    }
    case 'case': {
      const world = worlds.get(request.world);
      if (world === undefined) throw new Error(`there is no world ${request.world}`);
      return world.runCase(request);
    }
    case 'close':
      worlds.get(request.world)?.close();
      worlds.delete(request.world);
      return { closed: request.world };
  }
}

function respond(line: string): void {
  let reply: Answer;
  try {
    reply = answer(JSON.parse(line) as Request);
  } catch (error) {
    reply = { failure: error instanceof Error ? error.message : String(error) };
  }
  const bytes = Buffer.from(`${JSON.stringify(reply)}\n`);
  for (let at = 0; at < bytes.length;) at += writeSync(1, bytes, at);
}

let pending = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (text: string) => {
  const lines = (pending + text).split('\n');
  pending = lines.pop() ?? '';
  for (const line of lines) respond(line);
});
process.stdin.on('end', () => {
  process.exit(0);
});
