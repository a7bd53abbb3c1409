// What the owner of a backend and its workers tell each other.

import type { NetmapHandle } from '../../control/backend.js';
import type { NetmapErrorJSON } from '../../errors.js';
import type { Direction } from './kind.js';

export interface BackendWorkerData {
  readonly netmap: NetmapHandle;
  readonly data: {
    readonly kind: string;
    /** Name of the interface. */
    readonly name: string;
    readonly direction: Direction;
    readonly ring: number | undefined;
    readonly config: unknown;
    /** Of the session. */
    readonly session: unknown;
    readonly counters: SharedArrayBuffer;
    /** One word: not 0 = the worker is to end. */
    readonly stop: SharedArrayBuffer;
  };
}

/** From a worker. The owner sends 'stop', and wakes its thread. */
export type BackendMessage =
  | { readonly type: 'joined'; readonly thread: number }
  | { readonly type: 'state'; readonly state: 'up' | 'down'; readonly reason: string }
  | { readonly type: 'failed'; readonly error: NetmapErrorJSON };
