import * as names from './abi.js';

/**
 * Numbers, offsets and flags of both layouts, by their names in C: see docs/abi.md. An ordinary object: V8 takes its members for
 * constants in a loop, and looks each up, at some nanoseconds, in the one without a prototype that a bundler makes of a module.
 */
export const abi: typeof names = /*#__PURE__*/ Object.freeze({ ...names });
