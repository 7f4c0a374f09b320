/**
 * One line inside of a table, read as iptables reads its command line: getopt_long over the options of the program and of every module that
 * the line has loaded so far (iptables/xshared.c, do_parse and command_default).
 */
import type { Family } from '../address/address.ts';
import { nearest } from '../diagnostic/nearest.ts';
import { quoteText } from '../diagnostic/quote.ts';
import { DCCP, ICMP, SCTP, TCP, UDP } from '../packet/packet.ts';
import type { Extension, OptionSpec } from './extensions.ts';
import {
  BASIC_OPTIONS,
  SHORT,
  familiesOf,
  findMatch,
  findTarget,
  matchNames,
  matchOfProtocol,
  matchesWithOption,
  targetNames,
  unknownMatch,
} from './extensions.ts';
import type { Given, GivenOption } from './matches.ts';
import { readMatch, valueOf } from './matches.ts';
import { protocolName } from './protocol.ts';
import type { Counters, HookName, MaskedAddress, Match, TableName, Target } from './rule.ts';
import { BUILT_IN_CHAINS } from './rule.ts';
import { readTarget } from './targets.ts';
import type { Token } from './tokens.ts';
import { fail } from './tokens.ts';
import { parseNumber, readInterface, readNetwork, readNumber, readProtocol, split } from './values.ts';

/** Where a line stands: what its words may refer to. */
export interface Surroundings {
  readonly family: Family;
  readonly table: TableName;
  readonly hasChain: (name: string) => boolean;
}

/** The hooks from which a rule's module or target may be reached, and the word that brought it in. */
export interface Demand {
  readonly token: Token;
  readonly hooks: readonly HookName[];
  /** The module itself says so when the rule is made (checkentry), not its record (xt_match.hooks). */
  readonly asksModule?: true;
}

/** What a rule line says. One line is several rules when `-s` or `-d` has several addresses. */
export interface ReadRule {
  readonly counters?: Counters;
  readonly bodies: readonly (readonly Match[])[];
  readonly target?: Target;
  readonly demands: readonly Demand[];
  /** The chain that it jumps or goes to, where it stands. */
  readonly jump?: Token;
}

export type Command =
  | { readonly kind: 'append' | 'delete' | 'check'; readonly chain: Token; readonly rule: ReadRule }
  | { readonly kind: 'insert' | 'replace'; readonly chain: Token; readonly position: Token; readonly rule: ReadRule }
  | { readonly kind: 'delete-numbered'; readonly chain: Token; readonly position: Token }
  | { readonly kind: 'flush' | 'delete-chain'; readonly chain: Token | undefined }
  | { readonly kind: 'zero'; readonly chain: Token | undefined; readonly position: Token | undefined }
  | { readonly kind: 'new-chain'; readonly chain: Token }
  | { readonly kind: 'rename-chain'; readonly chain: Token; readonly name: Token }
  | { readonly kind: 'policy'; readonly chain: Token; readonly policy: Token; readonly counters: Counters | undefined }
  /** A line for the other family, or one that only lists. */
  | { readonly kind: 'none' };

/** A module that the line has loaded, and what it has been given so far. */
interface Loaded {
  readonly extension: Extension;
  readonly token: Token;
  readonly options: GivenOption[];
}

/** An option that a line can have, and what loaded it; the program's own have no owner. */
interface Visible {
  readonly spec: OptionSpec;
  readonly owner: Loaded | undefined;
}

const BASIC_BY_NAME = new Map(BASIC_OPTIONS.map((spec) => [spec.name, spec]));

/** Commands by the option that gives them. */
const COMMANDS = new Set(
  'append delete check insert replace list list-rules flush zero new-chain delete-chain rename-chain policy'.split(' '),
);

/** Options that are a rule's own, as against those of every command. */
const RULE_OPTIONS = [
  'source',
  'destination',
  'protocol',
  'in-interface',
  'out-interface',
  'fragments',
  'jump',
  'goto',
];

/** The protocols with which NAT takes ports (extensions/libxt_NAT.c, parse_to: portok). */
const PORT_PROTOCOLS = [TCP, UDP, SCTP, DCCP, ICMP];

class LineReader {
  private readonly tokens: readonly Token[];
  private readonly around: Surroundings;
  private readonly basics = new Map<string, GivenOption>();
  /** Matches, and the target, in the order in which they were loaded. */
  private readonly loaded: Loaded[] = [];
  private index = 0;
  private target: Loaded | undefined;
  private protocol: number | undefined;
  private protocolLoaded = false;
  private command: { name: string; token: Token; values: Token[] } | undefined;
  private otherFamily = false;

  constructor(tokens: readonly Token[], around: Surroundings) {
    this.tokens = tokens;
    this.around = around;
  }

  read(counters: Counters | undefined): Command {
    let not: Token | undefined;
    for (let token = this.tokens[this.index]; token !== undefined; token = this.tokens[this.index]) {
      this.index++;
      if (token.text === '!') {
        if (not !== undefined) fail(token, 'two ! in a row: expected one, before an option');
        not = token;
        continue;
      }
      this.readOption(token, not);
      if (this.otherFamily) return { kind: 'none' };
      not = undefined;
    }
    if (not !== undefined) fail(not, 'nothing follows this !: expected an option');
    return this.finish(counters);
  }

  /** The next word, if it is a value: xs_has_arg of iptables/xshared.c. */
  private optionalValue(): Token | undefined {
    const next = this.tokens[this.index];
    if (next === undefined || next.text.startsWith('-') || next.text.startsWith('!')) return undefined;
    this.index++;
    return next;
  }

  private readOption(token: Token, not: Token | undefined): void {
    if (!token.text.startsWith('-') || token.text === '-') {
      fail(token, `${quoteText(token.text)} stands where an option was expected`);
    }
    if (!token.text.startsWith('--')) {
      this.readShort(token, not);
      return;
    }
    const equals = token.text.indexOf('=');
    const name = token.text.slice(2, equals < 0 ? undefined : equals);
    const attached = equals < 0 ? undefined : { text: token.text.slice(equals + 1), column: token.column + equals + 1 };
    const found = this.find(name) ?? this.loadProtocol(name);
    if (found === undefined) {
      const open = this.loaded.findLast((one) => one.extension.open);
      if (open !== undefined) {
        this.takeOpen(open, token, name, not);
        return;
      }
      this.failUnknown(token, name);
    }
    this.take(token, found.spec, found.owner, not, attached);
  }

  /** `-s 10.0.0.1`, `-s10.0.0.1`, `-fi eth0`: letters without a value may stand together. */
  private readShort(token: Token, not: Token | undefined): void {
    for (let i = 1; i < token.text.length; i++) {
      const letter = { text: `-${token.text[i] ?? ''}`, column: token.column + (i === 1 ? 0 : i) };
      const spec = BASIC_BY_NAME.get(SHORT.get(token.text[i] ?? '') ?? '');
      if (spec === undefined) {
        fail(token, `unknown option ${quoteText(token.text)}`);
      }
      if (spec.values === 0) {
        this.take(letter, spec, undefined, not, undefined);
        continue;
      }
      const rest =
        i + 1 < token.text.length ? { text: token.text.slice(i + 1), column: token.column + i + 1 } : undefined;
      this.take(letter, spec, undefined, not, rest);
      return;
    }
  }

  /** Every option that the line can have by now, in getopt's order: the program's, then those of what was loaded last, and so on. */
  private *visible(): Generator<Visible> {
    for (const spec of BASIC_OPTIONS) yield { spec, owner: undefined };
    // A module that is loaded twice takes options for its last load only.
    const seen = new Set<Extension>();
    for (const owner of this.loaded.toReversed()) {
      if (seen.has(owner.extension)) continue;
      seen.add(owner.extension);
      for (const spec of owner.extension.options) yield { spec, owner };
    }
  }

  /** An option by its name, or by the beginning of its name when that fits only one. */
  private find(name: string): Visible | undefined {
    const begun: Visible[] = [];
    for (const one of this.visible()) {
      if (one.spec.names.includes(name)) return one;
      if (name !== '' && one.spec.names.some((candidate) => candidate.startsWith(name))) begun.push(one);
    }
    return begun.length === 1 ? begun[0] : undefined;
  }

  /** `-p tcp --dport 22` loads `-m tcp` by itself, once. */
  private loadProtocol(name: string): Visible | undefined {
    const given = this.basics.get('protocol');
    if (this.protocol === undefined || given === undefined || this.protocolLoaded) return undefined;
    const extension = this.implicitMatch();
    if (extension === undefined) return undefined;
    const has = extension.options.some((spec) => spec.names.some((candidate) => candidate.startsWith(name)));
    if (!has) return undefined;
    this.protocolLoaded = true;
    this.loaded.push({ extension, token: valueOf(given), options: [] });
    return this.find(name);
  }

  private implicitMatch(): Extension | undefined {
    const given = this.basics.get('protocol');
    if (given === undefined || this.protocol === undefined) return undefined;
    const { text } = valueOf(given);
    const name = parseNumber(text) === undefined ? text.toLowerCase() : protocolName(this.protocol);
    return matchOfProtocol(this.around.family, name);
  }

  private failUnknown(token: Token, name: string): never {
    const begun = [...this.visible()].flatMap(({ spec }) =>
      spec.names.filter((one) => name !== '' && one.startsWith(name)),
    );
    if (begun.length > 1) {
      fail(token, `${quoteText(token.text)} is ambiguous: expected ${begun.map((one) => `--${one}`).join(' or ')}`);
    }
    const { family } = this.around;
    const modules = matchesWithOption(family, name);
    if (modules.length > 0) {
      const words = modules.map((module) => `-m ${module}`).join(' or ');
      fail(token, `unknown option ${quoteText(token.text)} here: expected ${words} before it`);
    }
    const implicit = this.implicitMatch();
    const known = [...this.visible()].flatMap(({ spec }) => spec.names);
    const near = nearest(name, [...known, ...(implicit?.options.flatMap((spec) => spec.names) ?? [])]);
    fail(token, `unknown option ${quoteText(token.text)}${near === undefined ? '' : `: did you mean --${near}?`}`);
  }

  /** An option of a module that no list knows: what follows up to the next option is its value. */
  private takeOpen(owner: Loaded, token: Token, name: string, not: Token | undefined): void {
    const values: Token[] = [];
    for (let value = this.optionalValue(); value !== undefined; value = this.optionalValue()) values.push(value);
    owner.options.push({
      spec: { name, names: [name], values: 'optional', quoting: 'word', negatable: true, repeatable: true },
      token,
      not: not !== undefined,
      values,
    });
  }

  private take(
    token: Token,
    spec: OptionSpec,
    owner: Loaded | undefined,
    before: Token | undefined,
    attached: Token | undefined,
  ): void {
    let not = before;
    // Old iptables and its users wrote `--dport ! 22`.
    const next = this.tokens[this.index];
    if (spec.negatable && spec.values !== 0 && attached === undefined && next?.text === '!') {
      if (not !== undefined) fail(next, `two ! for --${spec.name}: expected one`);
      not = next;
      this.index++;
    }
    if (not !== undefined && !spec.negatable) fail(not, `! cannot stand before --${spec.name}`);
    const values: Token[] = attached === undefined ? [] : [attached];
    if (attached !== undefined && spec.values === 0) fail(attached, `--${spec.name} takes no value`);
    while (typeof spec.values === 'number' && values.length < spec.values) {
      const value = this.tokens[this.index];
      // getopt gives the first value whatever it looks like; the second is the module's own to find.
      if (value === undefined || (values.length > 0 && /^[-!]/.test(value.text))) {
        const missing = spec.values === 1 ? 'a value' : `${spec.values} values`;
        fail(
          token,
          `${token.text} needs ${missing}, found ${value === undefined ? 'the end of the line' : quoteText(value.text)}`,
        );
      }
      values.push(value);
      this.index++;
    }
    if (spec.values === 'optional' && attached === undefined) {
      const value = this.optionalValue();
      if (value !== undefined) values.push(value);
    }
    const given = { spec, token, not: not !== undefined, values };
    if (owner === undefined) this.takeBasic(given);
    else {
      if (!spec.repeatable && owner.options.some((other) => other.spec === spec)) {
        fail(token, `--${spec.name} is given twice`);
      }
      owner.options.push(given);
    }
  }

  private takeBasic(given: GivenOption): void {
    const { name } = given.spec;
    const { token } = given;
    const value = valueOf(given);
    if (COMMANDS.has(name)) {
      this.takeCommand(given);
      return;
    }
    switch (name) {
      case 'match':
        this.loadMatch(value);
        return;
      case 'verbose':
        return;
      case 'ipv4':
      case 'ipv6':
        this.otherFamily ||= this.around.family !== (name === 'ipv4' ? 4 : 6);
        return;
      case 'table':
      case 'wait':
      case 'wait-interval':
      case 'version':
      case 'help':
      case 'modprobe':
      case 'numeric':
      case 'exact':
      case 'line-numbers':
        fail(token, `${token.text} has no place in a ruleset file`);
    }
    const other = this.basics.get(name) ?? (name === 'goto' ? this.basics.get('jump') : undefined);
    if (other !== undefined || (name === 'jump' && this.basics.has('goto'))) {
      fail(
        token,
        name === 'jump' || name === 'goto' ? 'a second target: a rule has one' : `${token.text} is given twice`,
      );
    }
    if (name === 'fragments' && this.around.family === 6) fail(token, '-f is for IPv4 only: expected -m frag');
    if (name === 'protocol') {
      this.protocol = readProtocol(value);
      if (this.protocol === 0 && given.not) fail(value, 'no packet is of another protocol than all');
    }
    if (name === 'set-counters') {
      const bytes = value.text.includes(',') ? undefined : this.optionalValue();
      if (bytes === undefined && !value.text.includes(',')) fail(token, `${token.text} needs packets and bytes`);
      this.basics.set(
        name,
        bytes === undefined ? { ...given, values: split(value, ',') } : { ...given, values: [value, bytes] },
      );
      return;
    }
    this.basics.set(name, given);
    if (name === 'jump') this.loadTarget(value);
  }

  private takeCommand(given: GivenOption): void {
    const { name } = given.spec;
    if (this.command !== undefined) {
      fail(given.token, `a second command: the line already has ${this.command.token.text}`);
    }
    const values = [...given.values];
    // A rule number, a new name or a policy.
    if (['delete', 'insert', 'replace', 'rename-chain', 'policy', 'list', 'list-rules', 'zero'].includes(name)) {
      const value = this.optionalValue();
      if (value !== undefined) values.push(value);
    }
    this.command = { name, token: given.token, values };
  }

  private loadMatch(token: Token): void {
    const { family } = this.around;
    const extension = findMatch(family, token.text);
    if (extension === undefined) {
      const families = familiesOf('match', token.text);
      if (families.length > 0) fail(token, `-m ${token.text} is for IPv${families[0] ?? 4} only`);
      // A misspelt module would otherwise pass for one that is installed elsewhere.
      const near = nearest(token.text, matchNames(family));
      if (near !== undefined) fail(token, `unknown match ${quoteText(token.text)}: did you mean ${near}?`);
      if (!/^[A-Za-z][-\w]{0,28}$/.test(token.text)) fail(token, `${quoteText(token.text)} is no name of a match`);
    }
    this.loaded.push({ extension: extension ?? unknownMatch(token.text), token, options: [] });
  }

  private loadTarget(token: Token): void {
    // A chain hides a target of the same name (iptables/iptables.c, do_command4).
    if (this.around.hasChain(token.text)) return;
    const extension = findTarget(this.around.family, token.text);
    if (extension === undefined) return;
    this.target = { extension, token, options: [] };
    this.loaded.push(this.target);
  }

  private finish(counters: Counters | undefined): Command {
    if (this.command === undefined) {
      const first = this.tokens[0];
      const near = first === undefined ? '' : `, found ${quoteText(first.text)}`;
      fail(first ?? { text: '', column: 1 }, `no command in this line: expected -A CHAIN or another one${near}`);
    }
    const { name, token, values } = this.command;
    const [chain, second] = values;
    const explicit = this.explicitCounters() ?? counters;
    const rule = (): ReadRule => this.finishRule(chain, explicit);
    if (chain !== undefined && chain.text.length > 28) {
      fail(chain, `the chain name ${quoteText(chain.text)} is too long: expected at most 28 characters`);
    }
    if (chain !== undefined) {
      switch (name) {
        case 'append':
        case 'check':
          return { kind: name, chain, rule: rule() };
        case 'delete':
          if (second !== undefined) break;
          return { kind: name, chain, rule: rule() };
        case 'insert':
          return { kind: name, chain, position: second ?? { text: '1', column: chain.column }, rule: rule() };
        case 'replace':
          if (second === undefined) fail(token, `${token.text} needs a chain and a rule number`);
          return { kind: name, chain, position: second, rule: rule() };
      }
    }
    const stray = [...this.basics.values()].find((one) => RULE_OPTIONS.includes(one.spec.name)) ?? this.loaded[0];
    if (stray !== undefined) fail(stray.token, `${quoteText(stray.token.text)} has no place beside ${token.text}`);
    if (name === 'flush' || name === 'delete-chain') return { kind: name, chain };
    if (name === 'zero') return { kind: 'zero', chain, position: second };
    if (name === 'list' || name === 'list-rules') return { kind: 'none' };
    if (chain === undefined) fail(token, `${token.text} needs a chain`);
    if (name === 'new-chain') return { kind: 'new-chain', chain };
    if (second === undefined) {
      fail(token, name === 'policy' ? `${token.text} needs a chain and a policy` : `${token.text} needs two chains`);
    }
    if (name === 'delete') return { kind: 'delete-numbered', chain, position: second };
    if (name === 'policy') return { kind: 'policy', chain, policy: second, counters: explicit };
    return { kind: 'rename-chain', chain, name: second };
  }

  private explicitCounters(): Counters | undefined {
    const given = this.basics.get('set-counters');
    if (given === undefined) return undefined;
    const [packets, bytes] = given.values.map((token) => {
      if (!/^\d{1,20}$/.test(token.text)) fail(token, `${quoteText(token.text)} is no counter: expected a number`);
      return BigInt(token.text);
    });
    return { packets: packets ?? 0n, bytes: bytes ?? 0n };
  }

  private finishRule(chain: Token | undefined, counters: Counters | undefined): ReadRule {
    this.checkDevices(chain);
    const demands: Demand[] = [];
    const modules = this.loaded
      .filter((one) => one !== this.target)
      .map((one) => {
        this.checkLimits(one, demands);
        const match = readMatch(one.extension.name, this.given(one));
        checkPhysdev(one.token, match, demands);
        return match;
      });
    const target = this.finishTarget(demands);
    this.checkTarget(target, modules);
    const jump = target?.kind === 'jump' || target?.kind === 'goto' ? this.jumpToken() : undefined;
    return {
      ...(counters && { counters }),
      bodies: this.bodies(modules),
      ...(target && { target }),
      demands,
      ...(jump && { jump }),
    };
  }

  private given(one: Loaded): Given {
    return { token: one.token, family: this.around.family, options: one.options };
  }

  /** What `-s`, `-d`, `-i`, `-o`, `-p` and `-f` test, in the kernel's order (net/ipv4/netfilter/ip_tables.c, ip_packet_match). */
  private bodies(modules: readonly Match[]): (readonly Match[])[] {
    const rest: Match[] = [];
    for (const [name, kind] of [
      ['in-interface', 'in'],
      ['out-interface', 'out'],
    ] as const) {
      const one = this.basics.get(name);
      if (one === undefined) continue;
      const device = readInterface(valueOf(one));
      // `-i +` is every device and none, and iptables-save prints nothing for it.
      if (device !== '+' || one.not) rest.push({ kind, not: one.not, name: device });
    }
    const protocol = this.basics.get('protocol');
    if (protocol !== undefined && this.protocol !== undefined && this.protocol !== 0) {
      rest.push({ kind: 'protocol', not: protocol.not, protocol: this.protocol });
    }
    const fragments = this.basics.get('fragments');
    if (fragments !== undefined) rest.push({ kind: 'fragment', not: fragments.not });
    return this.addresses('source').flatMap((source) =>
      this.addresses('destination').map((destination) => [...source, ...destination, ...rest, ...modules]),
    );
  }

  /** One entry for each address of `-s A,B`; an empty one where any address will do. */
  private addresses(kind: 'source' | 'destination'): (readonly Match[])[] {
    const one = this.basics.get(kind);
    if (one === undefined) return [[]];
    const pieces = split(valueOf(one), ',');
    if (one.not && pieces.length > 1) fail(one.token, `! cannot stand before ${one.token.text} with several addresses`);
    return pieces.map((piece) => {
      const value: MaskedAddress = readNetwork(piece, this.around.family);
      const any = value.mask === 0 || value.mask === 0n;
      return any && !one.not ? [] : [{ kind, not: one.not, value }];
    });
  }

  /** iptables/xshared.c, do_parse: which devices a packet of a built-in chain cannot have. The chain's name decides, whatever its table. */
  private checkDevices(chain: Token | undefined): void {
    const out = this.basics.get('out-interface');
    if (out !== undefined && (chain?.text === 'PREROUTING' || chain?.text === 'INPUT')) {
      fail(out.token, `${out.token.text} cannot be used in ${chain.text}: the packet has no outgoing interface there`);
    }
    const in_ = this.basics.get('in-interface');
    if (in_ !== undefined && (chain?.text === 'POSTROUTING' || chain?.text === 'OUTPUT')) {
      fail(in_.token, `${in_.token.text} cannot be used in ${chain.text}: the packet has no incoming interface there`);
    }
  }

  /** What the kernel refuses wherever the rule's chain is called from, and what it refuses in some hooks. */
  private checkLimits(one: Loaded, demands: Demand[]): void {
    const { extension, token } = one;
    const { protocols, tables, hooks } = extension;
    if (protocols !== undefined) this.checkProtocol(token, extension.name, protocols);
    if (tables?.includes(this.around.table) === false) {
      fail(token, `${extension.name} cannot be used in table ${this.around.table}: expected ${tables.join(' or ')}`);
    }
    if (hooks !== undefined) demands.push({ token, hooks });
    for (const group of extension.requires ?? []) {
      const names = group.split('|');
      if (one.options.some(({ spec }) => names.includes(spec.name))) continue;
      fail(token, `${quoteText(extension.name)} needs ${names.map((name) => `--${name}`).join(' or ')}`);
    }
    for (const given of one.options) this.checkWithin(extension, given, demands);
  }

  private checkWithin({ within }: Extension, given: GivenOption, demands: Demand[]): void {
    const { name } = given.spec;
    const limits = within?.[name] ?? within?.[`${name} ${valueOf(given).text.toLowerCase()}`];
    if (limits?.protocols !== undefined) this.checkProtocol(given.token, `--${name}`, limits.protocols);
    if (limits?.hooks !== undefined) demands.push({ token: given.token, hooks: limits.hooks, asksModule: true });
  }

  private checkProtocol(token: Token, what: string, protocols: readonly number[]): void {
    const given = this.basics.get('protocol');
    const names = protocols.map((number) => `-p ${protocolName(number)}`);
    const last = names.pop() ?? '';
    const expected = names.length === 0 ? last : `${names.join(', ')} or ${last}`;
    if (given === undefined || this.protocol === undefined || this.protocol === 0) {
      fail(token, `${what} is only for packets of its own protocol: expected ${expected} in the rule`);
    }
    if (given.not || !protocols.includes(this.protocol)) {
      const found = `${given.not ? '! ' : ''}-p ${valueOf(given).text}`;
      fail(token, `${what} cannot stand beside ${quoteText(found)}: expected ${expected}`);
    }
  }

  private jumpToken(): Token | undefined {
    const given = this.basics.get('jump') ?? this.basics.get('goto');
    return given && valueOf(given);
  }

  private finishTarget(demands: Demand[]): Target | undefined {
    const goto = this.basics.get('goto');
    const token = this.jumpToken();
    if (token === undefined) return undefined;
    if (this.target !== undefined) {
      this.checkLimits(this.target, demands);
      return readTarget(this.target.extension.name, this.given(this.target));
    }
    if ((BUILT_IN_CHAINS[this.around.table] as readonly string[]).includes(token.text))
      fail(token, `${token.text} is a built-in chain: no rule can jump to it`);
    if (this.around.hasChain(token.text)) return { kind: goto === undefined ? 'jump' : 'goto', chain: token.text };
    const { family, table } = this.around;
    if (goto !== undefined) {
      fail(token, `-g needs a chain, and table ${table} has no chain ${quoteText(token.text)} by now`);
    }
    const families = familiesOf('target', token.text);
    if (families.length > 0) fail(token, `${token.text} is for IPv${families[0] ?? 4} only`);
    const near = nearest(token.text, targetNames(family));
    fail(
      token,
      `${quoteText(token.text)} is neither a target nor a chain that table ${table} has by now` +
        (near === undefined ? '' : `: did you mean ${near}?`),
    );
  }

  /** What a target demands of the rest of its rule. */
  private checkTarget(target: Target | undefined, matches: readonly Match[]): void {
    const token = this.target?.token;
    if (target === undefined || token === undefined) return;
    switch (target.kind) {
      case 'DROP':
        // iptables/xshared.c, do_parse: "the nat table is not intended for filtering".
        if (this.around.table === 'nat') fail(token, 'DROP cannot be used in table nat: filter in table filter');
        return;
      case 'REJECT':
        if (target.with === 'tcp-reset') this.checkProtocol(token, 'REJECT --reject-with tcp-reset', [TCP]);
        return;
      case 'DNAT':
      case 'SNAT':
      case 'MASQUERADE':
      case 'REDIRECT':
        if (target.to.ports !== undefined && !PORT_PROTOCOLS.includes(this.protocol ?? 0)) {
          fail(token, `${target.kind} with ports: expected -p tcp, -p udp, -p sctp or -p dccp in the rule`);
        }
        return;
      case 'TCPMSS': {
        // net/netfilter/xt_TCPMSS.c: tcpmss_tg4_check wants a rule for SYN packets only, and clamping an outgoing route.
        const syn = matches.some(
          (one) =>
            one.kind === 'tcp' && one.flags !== undefined && !one.flags.not && (one.flags.value.compare & 2) !== 0,
        );
        if (!syn)
          fail(token, 'TCPMSS works on SYN packets only: expected --syn or --tcp-flags SYN,RST SYN in the rule');
        return;
      }
      default:
        return;
    }
  }
}

/**
 * net/netfilter/xt_physdev.c, physdev_mt_check: only a bridged packet has an outgoing port, and what the host itself sends is never
 * bridged as such.
 */
function checkPhysdev(token: Token, match: Match, demands: Demand[]): void {
  if (match.kind !== 'physdev' || (match.out === undefined && match.isOut === undefined)) return;
  if (match.isBridged !== undefined && !match.isBridged.not) return;
  demands.push({ token, hooks: ['PREROUTING', 'INPUT', 'FORWARD', 'POSTROUTING'], asksModule: true });
}

/** Reads one rule line, already cut into words. Throws a Fault. */
export const readCommand = (tokens: readonly Token[], around: Surroundings, counters: Counters | undefined): Command =>
  new LineReader(tokens, around).read(counters);

/** A rule's number as a command gives it, from 1. */
export const readPosition = (token: Token, max: number): number => {
  const value = parseNumber(token.text);
  if (value === undefined || value < 1n) fail(token, `${quoteText(token.text)} is no rule number: expected 1 or more`);
  if (value > BigInt(max)) {
    fail(
      token,
      `there is no rule ${quoteText(token.text)}: expected ${max === 0 ? 'no number, the chain is empty' : `1 to ${max}`}`,
    );
  }
  return readNumber(token, 'rule number', max, 1);
};
