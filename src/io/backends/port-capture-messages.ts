// What the owner of a capture and its worker tell each other.

import type { NetmapHandle } from '../../control/backend.js';
import type { NetmapErrorJSON } from '../../errors.js';
import type { CaptureFormat } from '../pcap-frame.js';

/** Which packets of a port a capture has: those that it received from outside, those that it got from the switch, or both. */
export type PortDirection = 'in' | 'out' | 'both';

export interface PortCaptureData {
  readonly netmap: NetmapHandle;
  readonly data: {
    readonly path: string;
    readonly format: CaptureFormat;
    readonly snapLength: number;
    readonly direction: PortDirection;
    /** Four numbers: packets written, their bytes, packets lost at the file, packets missed. */
    readonly counters: SharedArrayBuffer;
  };
}

/** To the worker. Each is answered by `done` with its number. */
export type PortCaptureRequest =
  | { readonly type: 'watch'; readonly id: number; readonly name: string; readonly port: string }
  | { readonly type: 'unwatch'; readonly id: number; readonly name: string }
  | { readonly type: 'stop'; readonly id: number };

export type PortCaptureMessage =
  | { readonly type: 'state'; readonly state: 'up' | 'down'; readonly reason: string }
  | { readonly type: 'done'; readonly id: number; readonly error?: NetmapErrorJSON };

export const PACKETS = 0;
export const BYTES = 1;
export const LOST = 2;
export const MISSED = 3;
export const COUNTERS = 4;
