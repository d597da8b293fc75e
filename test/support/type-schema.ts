/**
 * JSON Schemas of types as they stand in source files: for plain data only (interfaces, unions, lists, records), which
 * is what the control calls carry. What it does not understand is an error, so no schema is ever a guess.
 *
 * Reference: JSON Schema 2020-12.
 */
import { readFileSync } from 'node:fs';

export type Schema = Readonly<Record<string, unknown>>;

interface Member {
  readonly name: string;
  readonly optional: boolean;
  readonly type: Type;
  readonly text?: string;
}

type Type =
  | { readonly kind: 'word'; readonly word: string }
  | { readonly kind: 'literal'; readonly value: string | number | boolean }
  | { readonly kind: 'name'; readonly name: string; readonly args: readonly Type[] }
  | { readonly kind: 'object'; readonly members: readonly Member[] }
  | { readonly kind: 'list'; readonly of: Type }
  | { readonly kind: 'union' | 'both'; readonly of: readonly Type[] }
  /** `T['key']`, or `(typeof LIST)[number]`. */
  | { readonly kind: 'at'; readonly of: Type; readonly key: Type }
  | { readonly kind: 'typeof'; readonly name: string };

interface Declaration {
  readonly type: Type;
  readonly extended: readonly Type[];
  readonly text?: string;
}

const TOKEN =
  /\s+|\/\/[^\n]*|(\/\*\*[\s\S]*?\*\/)|\/\*[\s\S]*?\*\/|('(?:[^'\\]|\\.)*')|([A-Za-z_$][\w$]*)|(\d[\d_]*)|([{}()[\]<>|&;:,?=.-])/y;

interface Token {
  readonly kind: 'doc' | 'string' | 'word' | 'number' | 'mark';
  readonly text: string;
}

function* tokensOf(source: string, start: number): Generator<Token> {
  TOKEN.lastIndex = start;
  for (;;) {
    const at = TOKEN.lastIndex;
    const match = TOKEN.exec(source);
    if (match === null) {
      // Behind the declaration there may be anything.
      if (at < source.length) yield { kind: 'mark', text: source.charAt(at) };
      return;
    }
    const end = TOKEN.lastIndex;
    const [, doc, string, word, number, mark] = match;
    if (doc !== undefined) yield { kind: 'doc', text: doc };
    else if (string !== undefined) yield { kind: 'string', text: string.slice(1, -1) };
    else if (word !== undefined) yield { kind: 'word', text: word };
    else if (number !== undefined) yield { kind: 'number', text: number };
    else if (mark !== undefined) yield { kind: 'mark', text: mark };
    // Another reader of the same expression may have moved it.
    TOKEN.lastIndex = end;
  }
}

const WORDS = new Set(['string', 'number', 'boolean', 'unknown', 'object', 'undefined', 'never', 'null']);

/** The sentences of a doc comment, without its tags. */
function sentences(doc: string): string {
  const lines = doc.slice(3, -2).split('\n');
  return lines
    .map((line) => line.replace(/^\s*\*? ?/, '').trimEnd())
    .join('\n')
    .split(/^@/m)[0]!
    .trim()
    .replaceAll(/\s+/g, ' ');
}

class Reader {
  readonly #tokens: Generator<Token>;
  #next: Token | undefined;
  #doc: string | undefined;

  constructor(source: string, start: number) {
    this.#tokens = tokensOf(source, start);
    this.#advance();
  }

  #advance(): void {
    for (;;) {
      const { value, done } = this.#tokens.next();
      this.#next = done === true ? undefined : value;
      if (this.#next?.kind !== 'doc') return;
      this.#doc = sentences(this.#next.text);
    }
  }

  get text(): string {
    return this.#next?.kind === 'string' ? '' : (this.#next?.text ?? '');
  }

  take(): Token {
    const token = this.#next;
    if (token === undefined) throw new Error('the end came too early');
    this.#advance();
    return token;
  }

  skip(text: string): boolean {
    if (this.text !== text) return false;
    this.#advance();
    return true;
  }

  expect(text: string): void {
    if (!this.skip(text)) throw new Error(`expected "${text}", not "${this.text}"`);
  }

  takeDoc(): string | undefined {
    const doc = this.#doc;
    this.#doc = undefined;
    return doc === '' ? undefined : doc;
  }

  readType(): Type {
    this.skip('|');
    const of = [this.#readBoth()];
    while (this.skip('|')) of.push(this.#readBoth());
    return of.length === 1 ? of[0]! : { kind: 'union', of };
  }

  #readBoth(): Type {
    const of = [this.#readPostfix()];
    while (this.skip('&')) of.push(this.#readPostfix());
    return of.length === 1 ? of[0]! : { kind: 'both', of };
  }

  #readPostfix(): Type {
    const isReadonly = this.skip('readonly');
    let type = this.#readPrimary();
    while (this.skip('[')) {
      if (this.skip(']')) type = { kind: 'list', of: type };
      else {
        const key = this.readType();
        this.expect(']');
        type = { kind: 'at', of: type, key };
      }
    }
    if (isReadonly && type.kind !== 'list') throw new Error('readonly of something else than a list');
    return type;
  }

  #readPrimary(): Type {
    if (this.skip('(')) {
      const type = this.readType();
      this.expect(')');
      return type;
    }
    if (this.text === '{') return { kind: 'object', members: this.readMembers() };
    if (this.skip('typeof')) return { kind: 'typeof', name: this.take().text };
    const token = this.take();
    if (token.kind === 'string') return { kind: 'literal', value: token.text };
    if (token.kind === 'number') return { kind: 'literal', value: Number(token.text.replaceAll('_', '')) };
    if (token.text === 'true' || token.text === 'false') {
      return { kind: 'literal', value: token.text === 'true' };
    }
    if (token.kind !== 'word') throw new Error(`not understood: "${token.text}"`);
    if (WORDS.has(token.text)) return { kind: 'word', word: token.text };
    const args: Type[] = [];
    if (this.skip('<')) {
      do args.push(this.readType());
      while (this.skip(','));
      this.expect('>');
    }
    return { kind: 'name', name: token.text, args };
  }

  readMembers(): Member[] {
    this.expect('{');
    const members: Member[] = [];
    while (!this.skip('}')) {
      this.skip('readonly');
      const text = this.takeDoc();
      const name = this.take().text;
      const optional = this.skip('?');
      this.expect(':');
      const type = this.readType();
      this.skip(';');
      members.push({ name, optional, type, ...(text === undefined ? {} : { text }) });
      // What stands behind it on its line is not the next one's.
    }
    return members;
  }
}

export class TypeSchemas {
  readonly #declarations = new Map<string, () => Declaration>();
  readonly #constants = new Map<string, unknown>();
  readonly #used = new Map<string, Schema | undefined>();
  readonly #prefix: string;

  /** @param prefix of references: `#/components/schemas/` */
  constructor(files: readonly string[], prefix: string) {
    this.#prefix = prefix;
    for (const file of files) this.#readFile(readFileSync(file, 'utf8'));
  }

  #readFile(source: string): void {
    const heads = /(\/\*\*(?:[^*]|\*(?!\/))*\*\/\s*)?^(?:export )?(interface|type) (\w+)\s*(=|extends|\{)/gm;
    for (const match of source.matchAll(heads)) {
      const [all, doc, what, name = '', mark] = match;
      const at = match.index + all.length - (mark === '{' ? 1 : 0);
      const text = doc === undefined ? undefined : sentences(doc.trim());
      this.#declarations.set(name, () => {
        const reader = new Reader(source, at);
        const extended: Type[] = [];
        if (mark === 'extends') {
          do extended.push(reader.readType());
          while (reader.skip(','));
        }
        const type: Type =
          what === 'type' ? reader.readType() : { kind: 'object', members: reader.readMembers() };
        return { type, extended, ...(text === undefined ? {} : { text }) };
      });
    }
    for (const [, name = '', list = ''] of source.matchAll(/const (\w+) = \[([^\]]*)\] as const/g)) {
      const values = [...list.matchAll(/'([^']*)'/g)].map((match) => match[1]);
      this.#constants.set(name, values);
    }
    for (const [, name = '', value] of source.matchAll(/const (\w+) = (\d+);/g)) {
      this.#constants.set(name, Number(value));
    }
    for (const [, name = '', list = ''] of source.matchAll(/const (\w+) = \{([^}]*)\} as const/g)) {
      this.#constants.set(
        name,
        [...list.matchAll(/^\s*(\w+):/gm)].map((match) => match[1]),
      );
    }
  }

  #declaration(name: string): Declaration {
    const read = this.#declarations.get(name);
    if (read === undefined) throw new Error(`no type "${name}" in the files`);
    try {
      return read();
    } catch (error) {
      throw new Error(`type ${name}: ${(error as Error).message}`, { cause: error });
    }
  }

  /** A reference to a named type, whose schema is in `all` from then on. */
  reference(name: string): Schema {
    if (!this.#used.has(name)) {
      this.#used.set(name, undefined);
      const { text } = this.#declaration(name);
      const schema = this.#inline(name);
      this.#used.set(name, text === undefined ? schema : { description: text, ...schema });
    }
    return { $ref: this.#prefix + name };
  }

  /** Of all types that were referred to, by name. */
  get all(): Readonly<Record<string, Schema>> {
    const entries = [...this.#used].map(([name, schema]) => [name, schema!] as const);
    return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** The members of an interface, those of what it extends first. */
  members(type: Type): readonly Member[] {
    if (type.kind === 'object') return type.members;
    if (type.kind === 'both') return type.of.flatMap((part) => this.members(part));
    if (type.kind !== 'name') throw new Error(`no members in ${JSON.stringify(type)}`);
    const [of, keys] = type.args;
    if (type.name === 'Omit' || type.name === 'Pick') {
      const names = new Set(this.#words(keys!));
      return this.members(of!).filter(({ name }) => names.has(name) === (type.name === 'Pick'));
    }
    if (type.name === 'Readonly') return this.members(of!);
    if (type.name === 'Partial')
      return this.members(of!).map((member) => Object.assign({}, member, { optional: true }));
    const { extended, type: own } = this.#declaration(type.name);
    const inherited = extended.flatMap((part) => this.members(part));
    const members = this.members(own);
    const names = new Set(members.map(({ name }) => name));
    return [...inherited.filter(({ name }) => !names.has(name)), ...members];
  }

  membersOf(name: string): readonly Member[] {
    return this.members({ kind: 'name', name, args: [] });
  }

  /** Whether a member's type is such, for queries. */
  schemaOf(type: Type): Schema {
    return this.#schema(type);
  }

  #inline(name: string): Schema {
    const { extended, type } = this.#declaration(name);
    return extended.length === 0 ? this.#schema(type) : this.#object(this.membersOf(name));
  }

  #words(type: Type): string[] {
    const schema = this.#schema(type);
    const values = (schema['enum'] ?? [schema['const']]) as unknown[];
    return values.map(String);
  }

  #object(members: readonly Member[]): Schema {
    const required = members.filter(({ optional }) => !optional).map(({ name }) => name);
    return {
      type: 'object',
      ...(required.length === 0 ? {} : { required }),
      properties: Object.fromEntries(
        members.map(({ name, text, type }) => {
          const schema = this.#schema(type);
          return [name, text === undefined ? schema : { description: text, ...schema }];
        }),
      ),
    };
  }

  // oxlint-disable-next-line typescript/consistent-return -- every kind of type returns
  #schema(type: Type): Schema {
    switch (type.kind) {
      case 'word':
        return type.word === 'unknown' ? {} : { type: type.word };
      case 'literal':
        return { const: type.value };
      case 'list':
        return { type: 'array', items: this.#schema(type.of) };
      case 'object':
        return this.#object(type.members);
      case 'both':
        return this.#object(this.members(type));
      case 'union':
        return this.#union(type.of);
      case 'typeof':
        return { const: this.#constants.get(type.name) };
      case 'at':
        return this.#at(type.of, type.key);
      case 'name':
        return this.#named(type.name, type.args);
    }
  }

  #union(of: readonly Type[]): Schema {
    const parts = of.map((part) => this.#schema(part));
    if (parts.every((part) => 'const' in part)) return { enum: parts.map((part) => part['const']) };
    const types = parts.map((part) => (Object.keys(part).join() === 'type' ? part['type'] : undefined));
    return types.includes(undefined) ? { anyOf: parts } : { type: types };
  }

  #at(of: Type, key: Type): Schema {
    if (of.kind === 'typeof') return { enum: this.#constants.get(of.name) };
    if (key.kind !== 'literal') throw new Error('only a member by its name');
    const member = this.members(of).find(({ name }) => name === key.value);
    if (member === undefined) throw new Error(`no member "${key.value}"`);
    return this.#schema(member.type);
  }

  #named(name: string, args: readonly Type[]): Schema {
    const [first, second] = args;
    switch (name) {
      case 'Readonly':
      case 'Partial':
        if (first?.kind === 'name' && first.name === 'Record') return this.#schema(first);
        if (first?.kind === 'name' && first.name === 'Partial') return this.#schema(first);
        return this.#object(this.members({ kind: 'name', name, args }));
      case 'Record':
        return { type: 'object', additionalProperties: this.#schema(second!) };
      case 'Omit':
      case 'Pick':
        return this.#object(this.members({ kind: 'name', name, args }));
      default:
        return this.reference(name);
    }
  }
}
