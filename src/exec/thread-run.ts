// A thread of a program, in its worker: its module, its variables, its function.

import { type Ending, type Process, ThreadExit } from './process.js';
import { RECORD, type ThreadStart } from './thread-imports.js';
import { type ThreadTemplate, threadModule } from './thread-module.js';

/** Runs the function of a thread, and says in its record that it is done. Undefined unless all of the program has ended. */
export function runThread(
  process: Process,
  template: ThreadTemplate,
  { start, record, stackTop, tls }: ThreadStart,
  importsOf: (module: WebAssembly.Module) => WebAssembly.Imports,
): Ending | undefined {
  const { bytes } = process;
  const ending = process.run(() => {
    bytes.write(tls, template.localValues);
    process.errnoAddress = record + RECORD.ERRNO;
    const module = new WebAssembly.Module(threadModule(template, stackTop, tls));
    process.instantiate(module, importsOf(module));
    const body = process.function(start);
    if (!body) throw new ThreadExit();
    body(record);
  });
  if (ending) return ending;
  const { i32, index } = bytes.words(record + RECORD.DONE);
  Atomics.store(i32, index, 1);
  Atomics.notify(i32, index);
  return undefined;
}
