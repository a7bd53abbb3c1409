// Reads a TAP device: frames go from the kernel straight into the ring that the interface's thread takes them from.
// Started by tap.ts, which shares the descriptor and the ring.

import { EAGAIN, EINTR } from '../abi.js';
import { endWorker, postToParent, receiveWorkerData } from '../threads/platform.js';
import { type Libc, loadLibc } from './ffi.js';
import { FrameRing } from './frame-ring.js';

/** What tap.ts sends. */
export interface TapWorkerData {
  readonly fd: number;
  readonly ring: SharedArrayBuffer;
  /** Bytes of the longest frame, its header included. */
  readonly maxFrame: number;
}

/** What the worker tells: that it reads, or the errno that has ended it. */
export type TapWorkerMessage = { readonly type: 'ready' } | { readonly type: 'failed'; readonly errno: number };

/** How long (ms) a worker sleeps that nobody wakes: how late it notices that it shall end. */
const SLEEP = 100;

/** Reads until the ring is stopped. @returns 0, or the errno of a failed call */
function readFrames(libc: Libc, { fd, ring: buffer, maxFrame }: TapWorkerData): number {
  const ring = new FrameRing(buffer, maxFrame);
  const base = libc.address(ring.u8);
  while (!ring.stopped) {
    const at = ring.reserve();
    if (at < 0) {
      ring.waitForRoom(SLEEP);
      continue;
    }
    const n = libc.read(fd, base + at, maxFrame);
    if (n > 0) {
      ring.commit(n);
      continue;
    }
    const ready = n === -EAGAIN ? libc.waitReadable(fd, SLEEP) : n;
    if (ready < 0 && ready !== -EINTR) return -ready;
  }
  return 0;
}

const data = await receiveWorkerData<TapWorkerData>();
const libc = await loadLibc();
await postToParent({ type: 'ready' } satisfies TapWorkerMessage);
const errno = readFrames(libc, data);
if (errno !== 0) {
  new FrameRing(data.ring, data.maxFrame).stop();
  await postToParent({ type: 'failed', errno } satisfies TapWorkerMessage);
}
endWorker();
