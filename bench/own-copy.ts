// Copies of modules. A program that runs by itself has its rings and the functions of the Wasm in constants, which V8 then
// compiles into its loops: no checks of what they are, no loads of where they lie, and Wasm is called directly. Of two
// contenders that share their functions, neither would be that fast; so each gets a copy of the module that it lives in,
// and keeps there what its loops need in a `const`: V8 takes neither variables nor parameters for constants.

let copies = 0;

/** A copy that nobody else has of the module at `url`. */
export async function ownCopy<Module>(url: URL): Promise<Module> {
  return import(`${url.href}?copy=${copies++}`) as Promise<Module>;
}
