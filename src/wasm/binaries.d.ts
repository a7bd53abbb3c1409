// The two builds of assembly/index.ts, base64. tools/embed-wasm.mjs writes the module itself after each build.

/** The module that imports a shared `env.memory`. */
export const shared: string;
/** The module that imports an ordinary `env.memory`. */
export const unshared: string;
