/**
 * The hooks of the packet path and what stands at each, in the kernel's order of priorities
 * (include/uapi/linux/netfilter_ipv4.h: defrag -400, raw -300, conntrack -200, mangle -150, nat -100 | 100, filter 0, security 50, confirm last).
 *
 *                      +--> FORWARD ---+
 *                      |               v
 *   in --> PREROUTING -+          POSTROUTING --> out
 *                      |               ^
 *                      +--> INPUT   OUTPUT
 *                             |       ^
 *                             v       |
 *                           processes of the host
 */
import type { HookName, TableName } from '../ruleset/rule.ts';

export type Stage = TableName | 'defragment' | 'conntrack' | 'confirm';

export const STAGES: Readonly<Record<HookName, readonly Stage[]>> = {
  PREROUTING: ['defragment', 'raw', 'conntrack', 'mangle', 'nat'],
  INPUT: ['mangle', 'filter', 'security', 'nat', 'confirm'],
  FORWARD: ['mangle', 'filter', 'security'],
  OUTPUT: ['defragment', 'raw', 'conntrack', 'mangle', 'nat', 'filter', 'security'],
  POSTROUTING: ['mangle', 'nat', 'confirm'],
};

/** The tables that a packet visits at a hook, in order. */
export const tablesAt = (hook: HookName): readonly TableName[] =>
  STAGES[hook].filter((stage): stage is TableName => !['defragment', 'conntrack', 'confirm'].includes(stage));
