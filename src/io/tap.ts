// A Linux TAP device as the stack behind an interface: the kernel's own. Opened with the virtio-net header and offloads
// on, its 12 header bytes are those of ptnet, and packets of up to 64 KiB pass in both directions as they are.
//
// Two ways through the device: a worker reads (a thread must block to do that), the interface's thread writes.

import { ENOBUFS, VIRTIO_NET_HDR_MRG_LEN } from '../abi.js';
import { netmapError } from '../errors.js';
import type { Capability } from '../ptnet/interface-capabilities.js';
import { spawnWorker, type WorkerHandle } from '../threads/platform.js';
import { type Libc, loadLibc } from './ffi.js';
import { FrameRing } from './frame-ring.js';
import type { StackAdapter } from './join.js';
import type { TapWorkerData, TapWorkerMessage } from './tap-worker.js';
import { MAX_PACKET, openTun, setOffload } from './tun.js';

/** How a TAP device is opened. */
export interface TapOptions {
  /** Name of the device, up to 15 bytes; a `%d` in it is numbered by the kernel. Default `ptnet%d`. */
  readonly name?: string;
  /** The 12-byte virtio-net header in front of every packet; the interface must have it, too. Default true. */
  readonly vnetHdr?: boolean;
  /** Bytes of packets that wait for the interface, at least 256 KiB. Default 4 MiB. */
  readonly ringSize?: number;
}

/** Packets and bytes (headers included) of a TAP device; `drops` were not taken by the kernel, by errno. */
export interface TapCounters {
  readonly readPackets: number;
  readonly readBytes: number;
  readonly writtenPackets: number;
  readonly writtenBytes: number;
  readonly drops: Readonly<Record<number, number>>;
}

/** Bytes from which on a memory stays where it is. */
const FIXED_MEMORY = 65536;
/** How long (ms) the reader may take to start. */
const START_LIMIT = 20_000;
/** Period (ms) of a timer that does nothing but keep the process alive. */
const KEEP_ALIVE = 5000;
const DEFAULT_RING = 4 << 20;
const MIN_RING = 256 << 10;

/** An open TAP device: the kernel as the stack behind an interface. */
export class Tap implements StackAdapter {
  /** As the kernel has named the device. */
  readonly name: string;
  readonly headerLength: number;
  readonly #libc: Libc;
  readonly #fd: number;
  readonly #ring: FrameRing;
  readonly #staging: Uint8Array;
  readonly #stagingAddress: number;
  readonly #counters = { readPackets: 0, readBytes: 0, writtenPackets: 0, writtenBytes: 0 };
  readonly #drops = new Map<number, number>();
  #worker: WorkerHandle | undefined;
  #closed = false;
  /** Bytes taken from the ring, and not given back to the reader yet. */
  #taken = 0;
  /** Memories that packets were written from, with their addresses. */
  readonly #bases = new WeakMap<ArrayBufferLike, number>();

  /** @internal use {@link openTap} */
  constructor(libc: Libc, fd: number, name: string, headerLength: number, ringSize: number) {
    this.#libc = libc;
    this.#fd = fd;
    this.name = name;
    this.headerLength = headerLength;
    this.#ring = FrameRing.create(ringSize, headerLength + MAX_PACKET);
    this.#staging = new Uint8Array(new SharedArrayBuffer(headerLength + MAX_PACKET));
    this.#stagingAddress = libc.address(this.#staging);
  }

  /** @internal starts the reader. @throws NetmapError EIO */
  async startReader(): Promise<void> {
    const data: TapWorkerData = { fd: this.#fd, ring: this.#ring.buffer, maxFrame: this.#ring.maxFrame };
    let timer: ReturnType<typeof setTimeout> | undefined;
    await new Promise<void>((resolve, reject) => {
      // The worker does not keep the process alive; this timer does until it answers.
      timer = setTimeout(() => fail('it does not answer'), START_LIMIT);
      const fail = (why: unknown): void =>
        reject(netmapError('EIO', `the reader ended: ${String(why)}`, { op: 'tap', port: this.name }));
      // The literal form is what bundlers recognise.
      spawnWorker(new URL('./tap-worker.js', import.meta.url), {
        data,
        name: `ptnet-tap ${this.name}`,
        onMessage: (message) => {
          const told = message as TapWorkerMessage;
          if (told.type === 'ready') resolve();
          else fail(`errno ${told.errno}`); // later it only ends: somebody has deleted the device
        },
        onError: fail,
      }).then((worker) => {
        this.#worker = worker;
        void worker.ended.then(() => fail('the worker has ended'));
      }, fail);
    }).finally(() => clearTimeout(timer));
  }

  counters(): TapCounters {
    return { ...this.#counters, drops: Object.fromEntries(this.#drops) };
  }

  /**
   * Lets the kernel leave checksums (`txcsum` and `txcsum6`, together) and segmentation of TCP (`tso4`, `tso6`) undone in
   * what it sends from now on. At first it does all itself. Without the virtio-net header this does nothing.
   * @throws NetmapError with the errno of TUNSETOFFLOAD
   */
  setCapabilities(enabled: ReadonlySet<Capability>): void {
    if (this.headerLength === 0 || this.#closed) return;
    setOffload(this.#libc, this.#fd, this.name, {
      checksums: enabled.has('txcsum') && enabled.has('txcsum6'), // the kernel has one switch for both
      tso4: enabled.has('tso4'),
      tso6: enabled.has('tso6'),
    });
  }

  peek(): Uint8Array | undefined {
    return this.#ring.peek();
  }

  shift(): void {
    const length = this.#ring.shift();
    this.#counters.readPackets++;
    this.#counters.readBytes += length;
    this.#taken += length;
    if (this.#taken >= this.#ring.capacity >>> 3) this.#release(); // the reader waits while the ring is full
  }

  idle(): Promise<unknown> | undefined {
    this.#release();
    return this.#ring.whenFilled();
  }

  #release(): void {
    this.#taken = 0;
    this.#ring.release();
  }

  /** Writes a packet at once. A TAP device never fills up: what it does not take (it is down, say) is counted. */
  write(packet: Uint8Array): boolean {
    if (this.#closed) return true;
    const n = this.#libc.write(this.#fd, this.#addressOf(packet), packet.length);
    if (n > 0) {
      this.#counters.writtenPackets++;
      this.#counters.writtenBytes += packet.length;
    } else {
      const errno = n === 0 ? ENOBUFS : -n;
      this.#drops.set(errno, (this.#drops.get(errno) ?? 0) + 1);
    }
    return true;
  }

  /** Whether the device gives no more packets: it was closed here, or deleted by somebody. */
  get ended(): boolean {
    return this.#closed || this.#ring.stopped;
  }

  /** Ends the reader, and removes the device. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#ring.stop();
    const alive = setInterval(() => {}, KEEP_ALIVE); // the worker does not keep the process alive
    await this.#worker?.ended; // it uses the descriptor
    clearInterval(alive);
    this.#libc.close(this.#fd);
  }

  /** Address of a packet. Engines move small memories, never large ones: a packet in a small one is copied. */
  #addressOf(packet: Uint8Array): number {
    const { buffer, byteOffset } = packet;
    if (buffer.byteLength < FIXED_MEMORY) {
      this.#staging.set(packet);
      return this.#stagingAddress;
    }
    let base = this.#bases.get(buffer);
    if (base === undefined) {
      base = this.#libc.address(new Uint8Array(buffer));
      this.#bases.set(buffer, base);
    }
    return base + byteOffset;
  }
}

/**
 * Opens a TAP device: makes it, unless a persistent one of that name is there. It is down; bring it up with `ip link`.
 * The device may be moved to another network namespace and still belongs to this process.
 * @throws NetmapError EOPNOTSUPP (not Linux; no koffi), EPERM (no CAP_NET_ADMIN), EBUSY (in use), ENOENT
 * (no /dev/net/tun), EINVAL (options)
 */
export async function openTap(options: TapOptions = {}): Promise<Tap> {
  const { name = 'ptnet%d', vnetHdr = true, ringSize = DEFAULT_RING } = options;
  if (!Number.isSafeInteger(ringSize) || ringSize < MIN_RING) {
    throw netmapError('EINVAL', `ringSize ${ringSize} is below ${MIN_RING}`, { op: 'tap', port: name });
  }
  const libc = await loadLibc();
  const { fd, name: given } = openTun(libc, name, { headerLength: vnetHdr ? VIRTIO_NET_HDR_MRG_LEN : 0 });
  try {
    const tap = new Tap(libc, fd, given, vnetHdr ? VIRTIO_NET_HDR_MRG_LEN : 0, ringSize);
    await tap.startReader();
    return tap;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}
