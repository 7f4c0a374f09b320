/** Sets that rules ask for, and rules that ask for them: of each type that Debian's kernels have, aimed at the generated host's landmarks. */
import fc from 'fast-check';
import { printAddress, printShortPrefix, prefixOf, widthOf, type Family } from '../address/address.ts';
import type { Host } from '../host/host.ts';
import { parseIpsets } from '../ruleset/ipset.ts';
import { BUILT_IN_CHAINS, type Match } from '../ruleset/rule.ts';
import { hostWith, LANDMARKS, PLAIN_HOST } from './host.ts';
import type { GeneratedRule } from './ruleset.ts';

/** `ipset save`, as somebody would have made it for the landmarks. */
function setsText(family: Family): string {
  const { instances, metadata, outside } = LANDMARKS[family];
  const inet = `family inet${family === 4 ? '' : '6'}`;
  const [instance, other] = instances.map(printAddress);
  const service = printAddress(metadata);
  const length = family === 4 ? 24 : 64;
  const [here, there, away] = [instances[0], metadata, outside].map((address) =>
    printShortPrefix(prefixOf(address, length)),
  );
  const all = printShortPrefix(prefixOf(instances[0], widthOf(family) / 2));
  const echo = family === 4 ? 'icmp:8/0' : 'icmpv6:128/0';
  return `create addresses hash:ip ${inet}
add addresses ${instance}
add addresses ${service}
create networks hash:net ${inet}
add networks ${all}
add networks ${other} nomatch
add networks ${away}
create ports bitmap:port range 0-65535
add ports 22
add ports 1000-2000
create services hash:ip,port ${inet}
add services ${instance},tcp:22
add services ${service},udp:53
add services ${service},sctp:22
add services ${service},47:0
add services ${instance},${echo}
create offers hash:net,port ${inet}
add offers ${all},tcp:22
add offers ${instance},tcp:22 nomatch
add offers ${there},udp:0-80
create pairs hash:ip,port,ip ${inet}
add pairs ${instance},tcp:22,${service}
create reaches hash:ip,port,net ${inet}
add reaches ${instance},udp:22,${there}
create devices hash:net,iface ${inet}
add devices ${here},br100
add devices ${away},physdev:vnet0
add devices ${away},eth wildcard
create members list:set size 8
add members addresses
add members networks
`;
}

/** The plain host with those sets. */
export const hostWithSets = (family: Family): Host => ({
  ...hostWith(PLAIN_HOST),
  sets: parseIpsets(setsText(family), 'sets'),
});

/** Rules that ask for a set, by as many words as its type has fields, now and then by one too few. */
export function arbitrarySetRules(family: Family): fc.Arbitrary<readonly GeneratedRule[]> {
  const sets = [...hostWithSets(family).sets.values()];
  const places = (['mangle', 'filter'] as const).flatMap((table) =>
    BUILT_IN_CHAINS[table].map((chain) => ({ table, chain })),
  );
  const rule = fc
    .record({
      place: fc.constantFrom(...places),
      set: fc.constantFrom(...sets),
      directions: fc.array(fc.constantFrom('src' as const, 'dst' as const), { minLength: 3, maxLength: 3 }),
      short: fc.nat({ max: 9 }),
      not: fc.boolean(),
      marks: fc.boolean(),
    })
    .map(({ place, set, directions, short, not, marks }): GeneratedRule => {
      const fields = set.type === 'list:set' ? 2 : set.type.split(',').length;
      const words = directions.slice(0, Math.max(1, fields - (short === 9 ? 1 : 0)));
      const match: Match = { kind: 'set', not, name: set.name, directions: words, more: [] };
      const target = { kind: 'MARK' as const, value: { value: 1, mask: 1 } };
      return { ...place, matches: [match], ...(marks && place.table === 'mangle' ? { target } : {}) };
    });
  return fc.array(rule, { minLength: 4, maxLength: 14 });
}
