/**
 * The part of the JavaScript API of WebAssembly that Weft uses, with types: TypeScript's own belong to browsers' "dom"
 * library. Absent in an engine that was started without compilers (`node --jitless`).
 */
export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

interface WebAssemblyApi {
  readonly Memory: new (size: { readonly initial: number; readonly maximum: number }) => WasmMemory;
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => { readonly exports: unknown };
  validate(bytes: Uint8Array): boolean;
}

export const webAssembly = (globalThis as unknown as { readonly WebAssembly?: WebAssemblyApi }).WebAssembly;
