/**
 * ip's JSON (pure): one array of flat objects, compact or in its own way of pretty-printing. It can be written in
 * pieces, object by object, because the monitor's array stays open as long as the program runs.
 */

export type JsonField = readonly [key: string, value: string | number | boolean];

/** Writes the array's text; every method returns what to append. */
export class JsonArrayText {
  readonly #pretty: boolean;
  #empty = true;

  constructor(pretty: boolean) {
    this.#pretty = pretty;
  }

  open(): string {
    this.#empty = true;
    return '[';
  }

  object(fields: readonly JsonField[]): string {
    const first = this.#empty;
    this.#empty = false;
    if (!this.#pretty) {
      const members = fields.map(([key, value]) => `"${key}":${JSON.stringify(value)}`);
      return `${first ? '' : ','}{${members.join(',')}}`;
    }
    const members = fields.map(([key, value]) => `\n        "${key}": ${JSON.stringify(value)}`);
    return `${first ? ' ' : ','}{${members.join(',')}\n    }`;
  }

  close(): string {
    return this.#pretty ? ' ]\n' : ']\n';
  }
}

export function jsonArray(objects: readonly (readonly JsonField[])[], pretty: boolean): string {
  const text = new JsonArrayText(pretty);
  let out = text.open();
  for (const object of objects) out += text.object(object);
  return out + text.close();
}
