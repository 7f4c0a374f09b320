/** The same rules and packets for a loop in C, compiled on the spot: rule after rule, and with a hash in front of the chain that dispatches on destinations. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tmpdir } from 'node:os';
import type { Skb } from '../src/netfilter/skb.ts';
import { CONNTRACK_STATES, isIcmp } from '../src/packet/packet.ts';
import type { Chain, Match, Ruleset } from '../src/ruleset/rule.ts';
import { runProgram, STRETCHES } from './measure.ts';

/** Words of a rule: source, its mask, destination, its mask, protocol, sport from and to, dport from and to, states, iif, oif, target. */
const WIDTH = 13;
const ANY = 0xffffffff;
const [ACCEPT, DROP] = [ANY, ANY - 1];
/** States as bits in the order of CONNTRACK_STATES. */
const stateBits = (states: readonly string[]): number =>
  states.reduce((bits, state) => bits | (1 << CONNTRACK_STATES.findIndex((one) => one === state)), 0);

class Devices {
  readonly #numbers = new Map<string, number>();
  numberOf(name: string | undefined): number {
    const number = this.#numbers.get(name ?? '') ?? this.#numbers.size;
    this.#numbers.set(name ?? '', number);
    return number;
  }
}

function wordsOf(matches: readonly Match[], devices: Devices): number[] {
  const words = [0, 0, 0, 0, ANY, 0, 65535, 0, 65535, 31, ANY, ANY];
  for (const match of matches) {
    if ('not' in match && match.not) throw new Error('negation is not spelt out for the loop in C');
    if (match.kind === 'source') words.splice(0, 2, Number(match.value.address), Number(match.value.mask));
    else if (match.kind === 'destination') words.splice(2, 2, Number(match.value.address), Number(match.value.mask));
    else if (match.kind === 'protocol') words[4] = match.protocol;
    else if (match.kind === 'tcp' || match.kind === 'udp') {
      if (match.sport !== undefined) words.splice(5, 2, match.sport.value.from, match.sport.value.to);
      if (match.dport !== undefined) words.splice(7, 2, match.dport.value.from, match.dport.value.to);
    } else if (match.kind === 'state') words[9] = stateBits(match.states);
    else if (match.kind === 'in') words[10] = devices.numberOf(match.name);
    else if (match.kind === 'out') words[11] = devices.numberOf(match.name);
    else throw new Error(`${match.kind} is not spelt out for the loop in C`);
  }
  return words;
}

const PROGRAM = `
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
typedef struct { uint32_t src, smask, dst, dmask, proto, slo, shi, dlo, dhi, states, iif, oif, target; } rule;
typedef struct { uint32_t first, count, dispatch, policy; } chain;
typedef struct { uint32_t src, dst, proto, sport, dport, state, iif, oif; } packet;
static rule *rules; static chain *chains; static packet *packets;
static uint32_t counts[3], *keys, *places, mask; static int hashed;
static inline int test(const rule *r, const packet *p) {
  return (p->dst & r->dmask) == r->dst && (p->src & r->smask) == r->src && (r->proto == ~0u || r->proto == p->proto) &&
         p->sport >= r->slo && p->sport <= r->shi && p->dport >= r->dlo && p->dport <= r->dhi &&
         (r->states >> p->state & 1) && (r->iif == ~0u || r->iif == p->iif) && (r->oif == ~0u || r->oif == p->oif);
}
static int walk(uint32_t c, const packet *p) {
  const chain *h = chains + c; uint32_t from = h->first, to = from + h->count;
  if (hashed && h->dispatch) {
    uint32_t s = p->dst * 2654435761u & mask;
    while (places[s] != ~0u && keys[s] != p->dst) s = (s + 1) & mask;
    if (places[s] == ~0u) return 0;
    from = places[s]; to = from + 1;
  }
  for (uint32_t i = from; i < to; i++) {
    const rule *r = rules + i;
    if (!test(r, p)) continue;
    if (r->target >= ~1u) return r->target == ~0u ? 1 : 2;
    int v = walk(r->target, p);
    if (v) return v;
  }
  return (int)h->policy;
}
static double now(void) { struct timespec t; clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t); return t.tv_sec + t.tv_nsec / 1e9; }
int main(int n, char **a) {
  FILE *f = fopen(a[1], "rb"); if (n < 4 || !f || fread(counts, 4, 3, f) != 3) return 1;
  chains = malloc(counts[0] * sizeof *chains); rules = malloc(counts[1] * sizeof *rules); packets = malloc(counts[2] * sizeof *packets);
  if (fread(chains, sizeof *chains, counts[0], f) != counts[0] || fread(rules, sizeof *rules, counts[1], f) != counts[1] ||
      fread(packets, sizeof *packets, counts[2], f) != counts[2]) return 1;
  hashed = atoi(a[2]); double limit = atof(a[3]);
  for (mask = 1; mask < 4 * counts[1]; mask *= 2); mask--;
  keys = calloc(mask + 1, 4); places = malloc(4 * (size_t)(mask + 1)); for (uint32_t i = 0; i <= mask; i++) places[i] = ~0u;
  for (uint32_t c = 0; c < counts[0]; c++) if (chains[c].dispatch)
    for (uint32_t i = chains[c].first; i < chains[c].first + chains[c].count; i++) {
      uint32_t s = rules[i].dst * 2654435761u & mask;
      while (places[s] != ~0u && keys[s] != rules[i].dst) s = (s + 1) & mask;
      if (places[s] == ~0u) { keys[s] = rules[i].dst; places[s] = i; }
    }
  uint64_t accepted, done = 0; double start = now(), last = start, best = 0, t;
  do {
    accepted = 0;
    for (uint32_t i = 0; i < counts[2]; i++) accepted += walk(0, packets + i) == 1;
    done += counts[2]; t = now();
    if (t - last >= limit / ${STRETCHES}) { if (done / (t - last) > best) best = done / (t - last); done = 0; last = t; }
  } while (t - start < limit || best == 0);
  printf("%llu %.1f\\n", (unsigned long long)accepted, best);
  return 0;
}
`;

export interface Looped {
  readonly accepted: number;
  /** Packets a second of the processor's time. */
  readonly linear: number;
  readonly hashed: number;
}

/** What the loops make of the packets at FORWARD, and how fast; undefined where there is no compiler. */
export function loopInC({ tables }: Ruleset, skbs: readonly Skb[], seconds: number): Looped | undefined {
  const folder = mkdtempSync(join(tmpdir(), 'nfverdict-bench-'));
  try {
    const [source, program, data] = [join(folder, 'loop.c'), join(folder, 'loop'), join(folder, 'data')];
    writeFileSync(source, PROGRAM);
    const compiled = runProgram(['cc', '-O2', '-o', program, source], 60);
    if (compiled?.code !== 0) return undefined;
    const chains = tables.get('filter')?.chains ?? new Map<string, Chain>();
    const order = [...chains.values()].sort((a, b) => Number(b.name === 'FORWARD') - Number(a.name === 'FORWARD'));
    const numbers = new Map(order.map(({ name }, index) => [name, index]));
    const devices = new Devices();
    const heads: number[] = [];
    const rules: number[] = [];
    for (const { rules: own, policy } of order) {
      const dispatches =
        own.length > 1 &&
        own.every(({ matches: [only, second] }) => only?.kind === 'destination' && second === undefined);
      heads.push(
        rules.length / WIDTH,
        own.length,
        Number(dispatches),
        policy === undefined ? 0 : policy === 'ACCEPT' ? 1 : 2,
      );
      for (const { matches, target } of own) {
        const to = target?.kind === 'jump' ? numbers.get(target.chain) : target?.kind === 'ACCEPT' ? ACCEPT : DROP;
        rules.push(...wordsOf(matches, devices), to ?? DROP);
      }
    }
    const packets = skbs.flatMap(({ packet, tracked, iif, oif }) => [
      Number(packet.saddr),
      Number(packet.daddr),
      packet.protocol,
      isIcmp(packet) ? packet.id : packet.sport,
      isIcmp(packet) ? packet.type * 256 + packet.code : packet.dport,
      CONNTRACK_STATES.indexOf(tracked?.state ?? 'INVALID'),
      devices.numberOf(iif),
      devices.numberOf(oif),
    ]);
    const counts = [order.length, rules.length / WIDTH, skbs.length];
    const words = new Uint32Array(counts.length + heads.length + rules.length + packets.length);
    words.set(counts);
    words.set(heads, counts.length);
    words.set(rules, counts.length + heads.length);
    words.set(packets, counts.length + heads.length + rules.length);
    writeFileSync(data, words);
    const run = (hashed: string): readonly [number, number] => {
      const said = runProgram([program, data, hashed, `${seconds}`], 600)?.stdout ?? '';
      const [accepted = -1, rate = 0] = said.trim().split(' ').map(Number);
      return [accepted, rate];
    };
    const [[accepted, linear], [same, hashed]] = [run('0'), run('1')];
    if (accepted !== same) throw new Error(`the two loops in C disagree: ${accepted} and ${same} packets accepted`);
    return { accepted, linear, hashed };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
