// as-pect makes a memory that is not shared; a module built with --sharedMemory needs a shared one whose maximum
// is at most the module's, so its memory is ignored and ours is given. The sizes are those of as-pect.asconfig.json.
export default {
  entries: ['assembly/__tests__/**/*.spec.ts'],
  include: ['assembly/__tests__/**/*.include.ts'],
  disclude: [/node_modules/],
  async instantiate(_memory, createImports, instantiate, binary) {
    const memory = new WebAssembly.Memory({ initial: 256, maximum: 4096, shared: true });
    return instantiate(binary, createImports({ env: { memory } }));
  },
  outputBinary: false,
};
