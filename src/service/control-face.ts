/**
 * What a kind of process answers on its control socket, as types: a name, the file of the socket, and a table that
 * maps each typed call to HTTP. The server and the client follow the same table, so a call exists on both sides or on
 * none. `weft up` (control-api.ts) and the daemon (daemon/control-api.ts) each have one.
 *
 * Everything that travels is plain JSON. Fields are only ever added within one `apiVersion`.
 */

/** A question whose argument is the query, each field by its name. */
export interface QueryCall<Argument> {
  readonly method: 'GET';
  readonly path: string;
  /** Pure. @throws WeftError that says what is wrong with what somebody sent */
  readonly readQuery: (query: URLSearchParams) => Argument;
}

/** A call that changes something; its argument is the body. */
export interface BodyCall<Argument> {
  readonly method: 'POST';
  readonly path: string;
  /** Pure. @throws WeftError that says what is wrong with what somebody sent */
  readonly readArgument: (value: unknown) => Argument;
}

/** How a call travels: without an argument as a GET, with one as a GET with a query or as a POST of JSON. */
export type ControlCall<Call> = Call extends () => Promise<unknown>
  ? { readonly method: 'GET'; readonly path: string }
  : Call extends (argument: infer Argument) => Promise<unknown>
    ? QueryCall<Argument> | BodyCall<Argument>
    : never;

/** What a call in a table comes to, whatever its types are. */
export interface AnyCall {
  readonly path: string;
  readonly method: 'GET' | 'POST';
  readonly readQuery?: (query: URLSearchParams) => unknown;
  readonly readArgument?: (value: unknown) => unknown;
}

export type ControlCalls<Api> = { readonly [Name in keyof Api]: ControlCall<Api[Name]> };

/** A stream of JSON lines that has no end of its own. */
export interface ControlStream {
  readonly path: string;
  /** What `kind` of its lines may be, for those who want only some. */
  readonly kinds: readonly string[];
}

export interface ControlFace<Api> {
  /** The socket is FILE-NETNS.sock. */
  readonly file: string;
  /** As sentences name the process: `the running Weft`. */
  readonly name: string;
  /** The sentence when there is none, and how to start it. */
  readonly absent: string;
  readonly startHint: string;
  /** A command that asks it, for "ask as that user". */
  readonly askCommand: string;
  /**
   * A folder below /run that a service manager makes for a user of its own. Only root can have made it, so what is in
   * it is believed whoever owns it.
   */
  readonly serviceFolder?: string;
  readonly calls: ControlCalls<Api>;
  readonly stream?: ControlStream;
}

/** What the server answers when a call fails. */
export interface ControlFailure {
  readonly error: string;
  readonly code: string;
}
