// A thread of a program, in its worker: its module, its variables, its function.

import { type Ending, type Process, ThreadExit } from './process.js';
import { RECORD, type ThreadStart } from './thread-imports.js';
import { type ThreadTemplate, threadTemplate } from './thread-module.js';

export class ThreadRun {
  readonly #template: ThreadTemplate;
  readonly #start: ThreadStart | undefined;

  /** @param start undefined in the first thread, which only needs to know of the others' variables */
  constructor(binary: Uint8Array, start?: ThreadStart) {
    this.#template = threadTemplate(binary);
    this.#start = start;
  }

  get tlsSize(): number {
    return this.#template.tlsSize;
  }

  /** Runs the function of the thread, and says in its record that it is done. */
  run(process: Process, importsOf: (module: WebAssembly.Module) => WebAssembly.Imports): Ending | undefined {
    if (!this.#start) return undefined;
    const { start, record, stackTop, tls } = this.#start;
    const { bytes } = process;
    const ending = process.run(() => {
      bytes.write(tls, this.#template.tlsImage);
      process.errnoAddress = record + RECORD.ERRNO;
      const module = new WebAssembly.Module(this.#template.module(stackTop, tls));
      process.instantiate(module, importsOf(module));
      const body = process.function(start);
      if (!body) throw new ThreadExit();
      body(record);
    });
    if (ending) return ending; // of the whole program
    const { i32, index } = bytes.words(record + RECORD.DONE);
    Atomics.store(i32, index, 1);
    Atomics.notify(i32, index);
    return undefined;
  }
}
