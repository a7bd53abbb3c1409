// How a thread reaches the control thread: as that thread itself, or with requests from a thread that has joined.

import { netmapError } from '../errors.js';
import { Arena } from '../memory/arena.js';
import { onThreadExit } from '../threads/platform.js';
import { Requester } from '../threads/requests.js';
import { Thread } from '../threads/thread.js';
import type { LookupSpec } from '../vale/lookups.js';
import type { Control } from './control.js';
import type { IoPath } from './window.js';

/** Can be posted to a worker, where `Netmap.attach` gives the same host. */
export interface NetmapHandle {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
  readonly arena: number;
  readonly token: number;
  readonly lookups: readonly LookupSpec[];
}

/** What differs between the control thread and the others. */
export interface Backend {
  readonly thread: Thread;
  readonly path: IoPath;
  call(op: string, args: unknown): Promise<unknown>;
  /** The same, blocking. @throws NetmapError EOPNOTSUPP where the thread may not block */
  callSync(op: string, args: unknown): unknown;
  close(): Promise<void>;
}

/** In the control thread. */
export function controlBackend(control: Control): Backend {
  const path: IoPath = {
    ioRead: ({ id, index, offset, size }) => control.guest(id).functionAt(index).ioRead(offset, size),
    ioWrite: ({ id, index, offset, size, value = 0 }) =>
      control.guest(id).functionAt(index).ioWrite(offset, size, value),
  };
  return {
    thread: control.thread,
    path,
    call: (op, args) => control.call(control.thread.id, op, args),
    callSync: (op) => {
      throw netmapError('EOPNOTSUPP', 'the control thread may not block', { op });
    },
    close: () => control.close(),
  };
}

/** Takes a thread record of a host that another thread has made. */
export function join(handle: NetmapHandle, canBlock: boolean): { backend: Backend; requests: Requester } {
  const arena = Arena.attach(handle.memory, handle.arena, handle.module);
  const thread = Thread.claim(arena, handle.token, canBlock);
  const requests = new Requester(thread);
  const stopWatching = onThreadExit(() => thread.leave());
  const path: IoPath = {
    ioRead: (access) => requests.requestSync('ioRead', access) as number,
    ioWrite: (access) => void requests.requestSync('ioWrite', access),
  };
  const backend: Backend = {
    thread,
    path,
    call: (op, args) => requests.request(op, args),
    callSync: (op, args) => requests.requestSync(op, args),
    close: async () => {
      stopWatching();
      thread.leave();
    },
  };
  return { backend, requests };
}
