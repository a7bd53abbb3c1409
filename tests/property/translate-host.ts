// Hosts with ports that have virtio-net headers, and packets of any slots into and out of them.

import assert from 'node:assert/strict';
import * as abi from '../../src/abi.js';
import { Control } from '../../src/control/control.js';
import { HostPort } from '../../src/netmap/host-port.js';
import type { OpenOptions, PortInfo } from '../../src/netmap/register.js';
import type { Slot } from './translate-oracle.js';

/** A host whose ports have buffers of one size. */
export class Host {
  readonly bufSize: number;
  readonly control: Control;

  private constructor(control: Control, bufSize: number) {
    this.control = control;
    this.bufSize = bufSize;
  }

  static async create(bufSize: number): Promise<Host> {
    const privatePools = { priv_buf_size: bufSize };
    return new Host(await Control.create({ memorySize: 1 << 27, shared: false, privatePools }), bufSize);
  }

  async open(name: string, hdrLen: number, options: OpenOptions): Promise<HostPort> {
    const { control } = this;
    const { id } = control.thread;
    const info = (await control.call(id, 'open', { spec: name, options })) as PortInfo;
    const adapter = control.registry.adapters.get(name);
    assert.ok(adapter);
    adapter.hdrLen = hdrLen;
    return new HostPort(control.thread, info, {
      close: async () => void (await control.call(id, 'close', { fd: info.fd })),
      call: (op, args) => control.call(id, op, args),
    });
  }
}

/** Puts the packets into the ring and syncs once. */
export function transmit(port: HostPort, packets: readonly (readonly Uint8Array[])[]): void {
  const [ring] = port.txRings;
  for (const slots of packets) {
    for (const [k, bytes] of slots.entries()) {
      ring.u8.set(bytes, ring.bufAddress(ring.head));
      ring.setSlot(ring.head, bytes.length, k + 1 < slots.length ? abi.NS_MOREFRAG : 0);
      ring.advance(1);
    }
  }
  assert.equal(port.txsync(), 0);
}

/** The slots that have arrived; they are released. */
export function receive(port: HostPort): Slot[] {
  port.rxsync();
  const [ring] = port.rxRings;
  const slots: Slot[] = [];
  for (; ring.head !== ring.tail; ring.advance(1)) {
    const { len, flags } = ring.slot(ring.head);
    slots.push({ bytes: ring.buf(ring.head, len).slice(), flags });
  }
  port.rxsync();
  return slots;
}

/** Cuts header and frame at fractions of their length, and wherever a buffer is full. */
export function fragmentsOf(
  bytes: Uint8Array,
  hdrLen: number,
  fractions: readonly number[],
  size: number,
): Uint8Array[] {
  const places = fractions.map((f) => Math.floor(f * (bytes.length - hdrLen)) + hdrLen).sort((x, y) => x - y);
  const out: Uint8Array[] = [];
  let from = 0;
  for (const to of [...places, bytes.length]) {
    for (; to - from > size; from += size) out.push(bytes.slice(from, from + size));
    out.push(bytes.slice(from, to));
    from = to;
  }
  return out;
}
