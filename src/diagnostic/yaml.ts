/**
 * Reading the project's YAML and JSON files: text to values, values through a zod schema, and every complaint with the
 * line and column of what it is about.
 *
 * JSON is read as the YAML that it is. Of YAML only what such files need is taken: one document, no tags, anchors and
 * aliases within a budget. Scalars are resolved here and not by a YAML schema, so that no version of YAML turns `010`, `1e3`,
 * `12:30` or `no` into something that nobody wrote: a plain scalar is a number only when it is written as a decimal number,
 * a boolean only as `true` or `false`, nothing only as an empty value, `~` or `null`, and otherwise text.
 */
import {
  Composer,
  LineCounter,
  Parser,
  isAlias,
  isScalar,
  isSeq,
  type CST,
  type Document,
  type ParsedNode,
} from 'yaml';
import { z } from 'zod';
import { InputError, type Diagnostic } from './diagnostic.ts';
import { nearest } from './nearest.ts';
import { quoteText } from './quote.ts';

/** Far above any cloud that one file describes, far below what takes seconds to read. */
const MOST_CHARACTERS = 4 * 1024 * 1024;
const MOST_VALUES = 400_000;
const DEEPEST = 32;
const MOST_NODES_BY_ALIAS = 100_000;
/** One mistake repeated a thousand times is told twenty times. */
const MOST_DIAGNOSTICS = 20;

/** The way to a field: `['floating_ips', 0, 'fixed_ip']`. */
export type FieldPath = readonly PropertyKey[];

/** A file that its schema has accepted. */
export interface Source<T> {
  readonly value: T;
  /** A complaint about the field at `field` (or, where it is absent, about the nearest one around it), named in the message. */
  readonly diagnose: (field: FieldPath, message: string) => Diagnostic;
}

/** `floating_ips[0].fixed_ip`; a key that is no word is quoted. */
export function printFieldPath(field: FieldPath): string {
  let text = '';
  for (const key of field) {
    if (typeof key === 'number') text += `[${key}]`;
    else if (/^[\w-]{1,40}$/.test(String(key))) text += text === '' ? String(key) : `.${String(key)}`;
    else text += `[${quoteText(String(key))}]`;
  }
  return text;
}

/** Offsets of a node: of its key where it has one, of its value, and of what is in it. */
interface Place {
  readonly key: number;
  readonly value: number;
  readonly children: Map<PropertyKey, Place>;
}

/**
 * Reads `text` as `schema` says. Throws InputError with everything that is wrong: the syntax's errors, or else all of the
 * schema's. Octets are taken as UTF-8 and must be it.
 */
export function readSource<S extends z.ZodType>(
  text: string | Uint8Array,
  path: string,
  schema: S,
): Source<z.output<S>> {
  const source = typeof text === 'string' ? text : decode(text, path);
  const counter = new LineCounter();
  const at = (offset: number, message: string): Diagnostic => {
    const { line, col } = counter.linePos(Math.max(0, Math.min(offset, source.length)));
    return { path, line: Math.max(1, line), column: Math.max(1, col), message };
  };
  const document = compose(source, path, counter, at);
  const { value, place } = valueOf(document, at);
  const diagnose = (field: FieldPath, message: string): Diagnostic =>
    at(find(place, field).value, field.length === 0 ? message : `${printFieldPath(field)}: ${message}`);
  const diagnoseKey = (field: FieldPath, message: string): Diagnostic =>
    at(find(place, field).key, `${printFieldPath(field)}: ${message}`);

  const parsed = parseWith(schema, value);
  if (parsed.success) return { value: parsed.data, diagnose };
  const diagnostics = parsed.error.issues.flatMap((issue) => diagnosticsOf(issue, [], { diagnose, diagnoseKey }));
  throw new InputError(sortDiagnostics(diagnostics));
}

/** The same for a value that no text was read for: every complaint stands at the file's beginning. */
export function sourceOf<S extends z.ZodType>(value: z.input<S>, path: string, schema: S): Source<z.output<S>> {
  const diagnose = (field: FieldPath, message: string): Diagnostic => ({
    path,
    line: 1,
    column: 1,
    message: field.length === 0 ? message : `${printFieldPath(field)}: ${message}`,
  });
  const parsed = schema.safeParse(value, { error: messageOf, reportInput: true });
  if (parsed.success) return { value: parsed.data, diagnose };
  const voices = { diagnose, diagnoseKey: diagnose };
  throw new InputError(sortDiagnostics(parsed.error.issues.flatMap((issue) => diagnosticsOf(issue, [], voices))));
}

/** In the order of the file, each once, and not more than a person reads. */
export function sortDiagnostics(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const sorted = [...diagnostics].sort((a, b) => a.line - b.line || a.column - b.column);
  const seen = new Set<string>();
  const unique = sorted.filter((diagnostic) => {
    const key = `${diagnostic.line}:${diagnostic.column}:${diagnostic.message}`;
    return !seen.has(key) && seen.add(key);
  });
  const last = unique[MOST_DIAGNOSTICS];
  if (last === undefined) return unique;
  const more = unique.length - MOST_DIAGNOSTICS;
  return [...unique.slice(0, MOST_DIAGNOSTICS), { ...last, message: `and ${more} more errors from here on` }];
}

function decode(octets: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(octets);
  } catch {
    throw new InputError([{ path, line: 1, column: 1, message: 'this is no text: expected YAML or JSON in UTF-8' }]);
  }
}

function compose(
  source: string,
  path: string,
  counter: LineCounter,
  at: (offset: number, message: string) => Diagnostic,
): Document.Parsed {
  if (source.length > MOST_CHARACTERS) {
    const message = `the file has ${source.length} characters: expected at most ${MOST_CHARACTERS}`;
    throw new InputError([{ path, line: 1, column: 1, message }]);
  }
  const tokens = [...new Parser(counter.addNewLine).parse(source)];
  for (let offset = 0; offset < source.length; offset++) {
    const code = source.charCodeAt(offset);
    if ((code < 32 && code !== 9 && code !== 10 && code !== 13) || code === 127 || code === 0xfffd)
      throw new InputError([at(offset, 'this is no text: expected YAML or JSON, read a control character')]);
  }
  // The parser is a loop, but what follows it recurses, and makes an error of each item that is wrong: both are measured first.
  const excess = excessOf(tokens);
  if (excess !== undefined) throw new InputError([at(excess.offset, excess.message)]);
  const composer = new Composer({
    schema: 'failsafe',
    lineCounter: counter,
    prettyErrors: false,
    merge: false,
    // Its own check compares every key with every other; `valueOf` has a table.
    uniqueKeys: false,
    logLevel: 'silent',
  });
  const documents = [...composer.compose(tokens, true, source.length)];
  const [document, second] = documents;
  // Warnings are about tags, which `valueOf` refuses.
  const problems = (document?.errors ?? []).map((error) => at(error.pos[0], syntaxMessage(error.code, error.message)));
  if (second !== undefined) problems.push(at(second.range[0], 'a second document begins here: expected one'));
  if (problems.length > 0) throw new InputError(sortDiagnostics(problems));
  if (document?.contents === undefined || document.contents === null || isEmpty(document.contents))
    throw new InputError([at(0, 'the file is empty')]);
  return document;
}

const isEmpty = (node: unknown): boolean => isScalar(node) && node.type === 'PLAIN' && node.value === '';

/** The yaml package's messages, where a plainer sentence helps more. */
function syntaxMessage(code: string, message: string): string {
  switch (code) {
    case 'TAB_AS_INDENT':
      return 'a tab cannot indent YAML: use spaces';
    default:
      return message.split('\n', 1)[0] ?? message;
  }
}

/** The place that is nested too deeply, or after which there is too much. */
function excessOf(tokens: readonly CST.Token[]): { readonly offset: number; readonly message: string } | undefined {
  const open: { readonly token: CST.Token; readonly depth: number }[] = [];
  let values = 0;
  for (const top of tokens) {
    open.push({ token: top, depth: 0 });
    if (++values > MOST_VALUES) return { offset: top.offset, message: `more than ${MOST_VALUES} values` };
    for (let next = open.pop(); next !== undefined; next = open.pop()) {
      const { token, depth } = next;
      if (token.type === 'document' && token.value !== undefined) open.push({ token: token.value, depth });
      if (!('items' in token)) continue;
      if (depth >= DEEPEST) return { offset: token.offset, message: `nested more than ${DEEPEST} levels deep` };
      for (const item of token.items) {
        // What stands before a value counts as well: a thousand commas without one are a thousand errors.
        values += 1 + item.start.length;
        if (item.key !== undefined && item.key !== null) open.push({ token: item.key, depth: depth + 1 });
        if (item.value !== undefined) open.push({ token: item.value, depth: depth + 1 });
        if (values > MOST_VALUES) return { offset: token.offset, message: `more than ${MOST_VALUES} values` };
      }
    }
  }
  return undefined;
}

/** A document as plain values, with the place of each. Recursion is bounded by DEEPEST, aliases by their budget. */
function valueOf(
  document: Document.Parsed,
  at: (offset: number, message: string) => Diagnostic,
): { readonly value: unknown; readonly place: Place } {
  const anchors = new Map<string, ParsedNode>();
  const unfinished = new Set<ParsedNode>();
  const twice: Diagnostic[] = [];
  let budget = MOST_NODES_BY_ALIAS;
  const fail = (offset: number, message: string): never => {
    throw new InputError([at(offset, message)]);
  };

  function convert(node: ParsedNode | null, offset: number, key: number, aliased: number): [unknown, Place] {
    if (node === null) return [null, { key, value: offset, children: new Map() }];
    const start = node.range[0];
    if (isAlias(node)) {
      const target = anchors.get(node.source);
      if (target === undefined) return fail(start, `no anchor &${node.source} stands before this alias`);
      if (unfinished.has(target)) return fail(start, `the alias *${node.source} contains itself`);
      return convert(target, start, key, aliased + 1);
    }
    if (aliased > 0 && (aliased > DEEPEST || --budget < 0))
      fail(start, `aliases multiply this file to more than ${MOST_NODES_BY_ALIAS} values`);
    if (node.tag !== undefined) fail(start, 'tags are not understood here: write the value without one');
    if (node.anchor !== undefined) anchors.set(node.anchor, node);
    const place: Place = { key, value: start, children: new Map() };
    if (isScalar(node)) return [scalarOf(node.type, String(node.value)), place];
    unfinished.add(node);
    let value: unknown;
    if (isSeq(node)) {
      value = node.items.map((item, index) => {
        const [child, childPlace] = convert(item, start, start, aliased);
        place.children.set(index, { ...childPlace, key: childPlace.value });
        return child;
      });
    } else {
      const record: Record<string, unknown> = {};
      for (const pair of node.items) {
        const keyNode = pair.key;
        const keyStart = keyNode.range[0];
        if (!isScalar(keyNode)) return fail(keyStart, 'a key must be a word');
        const name = String(keyNode.value);
        if (name === '__proto__') return fail(keyStart, 'a key cannot be called __proto__');
        if (Object.hasOwn(record, name)) twice.push(at(keyStart, 'the key stands twice in one mapping'));
        const [child, childPlace] = convert(pair.value, keyStart, keyStart, aliased);
        record[name] = child;
        place.children.set(name, childPlace);
      }
      value = record;
    }
    unfinished.delete(node);
    return [value, place];
  }

  const [value, place] = convert(document.contents, 0, 0, 0);
  if (twice.length > 0) throw new InputError(sortDiagnostics(twice));
  return { value, place };
}

/** Only plain scalars can be anything but text. */
function scalarOf(type: string | undefined, text: string): string | number | boolean | null {
  if (type !== 'PLAIN') return text;
  if (text === '' || text === '~' || text === 'null') return null;
  if (text === 'true') return true;
  if (text === 'false') return false;
  return /^-?(0|[1-9]\d{0,14})(\.\d{1,15})?$/.test(text) && String(Number(text)) === text ? Number(text) : text;
}

function find(place: Place, field: FieldPath): Place {
  let here = place;
  for (const key of field) {
    const next = here.children.get(key);
    if (next === undefined) return here;
    here = next;
  }
  return here;
}

/**
 * Parses, and where the schema wants text but the file has a number or a boolean takes what is written: a project that is
 * called 1234 needs no quotation marks. `scalarOf` made only those numbers whose text is their own.
 */
function parseWith<S extends z.ZodType>(schema: S, value: unknown): z.ZodSafeParseResult<z.output<S>> {
  const options = { error: messageOf, reportInput: true };
  const first = schema.safeParse(value, options);
  if (first.success) return first;
  let changed = false;
  for (const issue of first.error.issues)
    if (issue.code === 'invalid_type' && issue.expected === 'string' && writeAsText(value, issue.path)) changed = true;
  return changed ? schema.safeParse(value, options) : first;
}

function writeAsText(value: unknown, field: FieldPath): boolean {
  let here = value as Record<PropertyKey, unknown> | undefined;
  for (const key of field.slice(0, -1)) here = here?.[key] as Record<PropertyKey, unknown> | undefined;
  const last = field.at(-1);
  if (here === undefined || last === undefined) return false;
  const scalar = here[last];
  if (typeof scalar !== 'number' && typeof scalar !== 'boolean') return false;
  here[last] = String(scalar);
  return true;
}

const WORDS: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a mapping',
  record: 'a mapping',
};

/** What was read, as a message shows it. */
function describeValue(value: unknown): string {
  if (value === null) return 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'a mapping';
  return quoteText(typeof value === 'string' ? value : JSON.stringify(value));
}

const orNearest = (word: string, candidates: readonly string[]): string => {
  const found = nearest(word, candidates);
  return found === undefined ? `known are ${candidates.join(', ')}` : `did you mean ${found}?`;
};

/** zod's error map: one plain sentence an issue. Of several unknown keys, a line each. */
function messageOf(issue: z.core.$ZodRawIssue): string | undefined {
  switch (issue.code) {
    case 'invalid_type':
      if (issue.input === undefined) return 'is missing';
      return `expected ${WORDS[issue.expected] ?? issue.expected}, read ${describeValue(issue.input)}`;
    case 'unrecognized_keys': {
      const known = issue.inst instanceof z.ZodObject ? Object.keys(issue.inst.shape) : [];
      return issue.keys.map((key) => `unknown key ${quoteText(key)}: ${orNearest(key, known)}`).join('\n');
    }
    case 'invalid_value': {
      const values = issue.values.map(String);
      const read = issue.input;
      if (typeof read !== 'string') return `expected one of ${values.join(', ')}, read ${describeValue(read)}`;
      return `unknown ${quoteText(read)}: ${orNearest(read, values)}`;
    }
    case 'too_small':
      if (issue.origin === 'string') return 'must not be empty';
      if (issue.origin === 'array') return `must have at least ${issue.minimum}`;
      return `must be at least ${issue.minimum}, read ${describeValue(issue.input)}`;
    case 'too_big':
      if (issue.origin === 'string') return `has more than ${issue.maximum} characters`;
      return `must be at most ${issue.maximum}, read ${describeValue(issue.input)}`;
    default:
      return undefined;
  }
}

interface Voices {
  readonly diagnose: (field: FieldPath, message: string) => Diagnostic;
  readonly diagnoseKey: (field: FieldPath, message: string) => Diagnostic;
}

function diagnosticsOf(issue: z.core.$ZodIssue, above: FieldPath, voices: Voices): Diagnostic[] {
  const field = [...above, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    const messages = issue.message.split('\n');
    return issue.keys.map((key, index) => voices.diagnoseKey([...field, key], messages[index] ?? issue.message));
  }
  if (issue.code === 'invalid_union') {
    // The branch that the value was meant for is the one that accepts its kind.
    const meant = issue.errors.find(
      (branch) => !branch.some((problem) => problem.path.length === 0 && problem.code === 'invalid_type'),
    );
    if (meant !== undefined) return meant.flatMap((problem) => diagnosticsOf(problem, field, voices));
  }
  return [voices.diagnose(field, issue.message)];
}
