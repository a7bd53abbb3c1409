// The oracle's VALE switch: a learning bridge whose table has buckets of eight addresses. See oracle.ts.

import { type Drop, type Kring, NS_BUF_CHANGED, NS_INDIRECT, NS_MOREFRAG, type PortSync, type Slot } from './oracle.js';

/** A port of the bridge, as the bridge knows it. */
export interface BridgePort {
  readonly name: string;
  readonly rx: readonly Kring[];
  bridgeIndex: number;
}

interface Entry {
  readonly mac: string;
  readonly index: number;
}

interface Fragment {
  readonly sound: boolean;
  readonly bytes: Uint8Array;
  readonly len: number;
}

/** A packet in the order in which it was sent, and where it goes. */
export interface Packet {
  readonly at: number;
  readonly fragments: readonly Fragment[];
  dest: 'broadcast' | 'nobody' | number;
}

const BATCH = 1024;
const MAX_FRAGS = 64;
const WAYS = 8;
const BROADCAST = 'ff:ff:ff:ff:ff:ff';

const hex = (bytes: Uint8Array): string => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(':');
const isGroup = (mac: string): boolean => (Number.parseInt(mac.slice(0, 2), 16) & 1) === 1;

/** Bucket of an address: the upper ten bits of its product with 2^64 / golden ratio. First byte lowest. */
export function bucketOf(mac: string): number {
  const value = mac
    .split(':')
    .reverse()
    .reduce((sum, byte) => sum * 256n + BigInt(`0x${byte}`), 0n);
  return Number(BigInt.asUintN(64, value * 0x9e3779b97f4a7c15n) >> 54n);
}

export class Bridge {
  readonly name: string;
  /** Ports by their index. */
  readonly ports = new Map<number, BridgePort>();
  /** Permutation of the indices: those in use first, in the order in which broadcasts go out. */
  readonly #indices = Array.from({ length: 254 }, (_, i) => i);
  readonly #table = new Map<number, (Entry | undefined)[]>();
  /** Addresses that found no room. */
  full = 0;

  constructor(name: string) {
    this.name = name;
  }

  attach(port: BridgePort): void {
    port.bridgeIndex = this.#indices[this.ports.size];
    this.ports.set(port.bridgeIndex, port);
  }

  detach(port: BridgePort): void {
    this.ports.delete(port.bridgeIndex);
    const at = this.#indices.indexOf(port.bridgeIndex);
    const last = this.ports.size;
    [this.#indices[at], this.#indices[last]] = [this.#indices[last], this.#indices[at]];
    // DIFF: the addresses go with the port
    for (const bucket of this.#table.values()) {
      for (const [i, entry] of bucket.entries()) if (entry?.index === port.bridgeIndex) bucket[i] = undefined;
    }
  }

  /** The table as `mac port`, sorted. */
  fdb(): string[] {
    const entries = [...this.#table.values()].flat().filter((entry) => entry !== undefined);
    return entries.map(({ mac, index }) => `${mac} ${this.ports.get(index)?.name}`).sort();
  }

  #bucket(mac: string): (Entry | undefined)[] {
    const b = bucketOf(mac);
    let bucket = this.#table.get(b);
    if (!bucket) this.#table.set(b, (bucket = Array.from({ length: WAYS })));
    return bucket;
  }

  #lookup(mac: string): number | 'broadcast' {
    if (isGroup(mac)) return 'broadcast';
    return this.#bucket(mac).find((entry) => entry?.mac === mac)?.index ?? 'broadcast';
  }

  /** Own entry, else a free one, else one of the port that would have most of them, if that is more than one. */
  #learn(mac: string, index: number): void {
    const bucket = this.#bucket(mac);
    let place = bucket.findIndex((entry) => entry?.mac === mac);
    if (place < 0) place = bucket.indexOf(undefined);
    if (place < 0) {
      const owners = [...bucket.map((entry) => entry?.index), index];
      const share = bucket.map((entry) => owners.filter((owner) => owner === entry?.index).length);
      const most = Math.max(...share);
      if (most > 1) place = share.indexOf(most);
    }
    if (place < 0) this.full++;
    else bucket[place] = { mac, index };
  }

  /** Learns the sender and finds the destination of each packet. */
  #classify(packets: readonly Packet[], index: number, drop: (reason: Drop) => void): void {
    let last = ''; // both addresses of the frame before: the same again are not looked at twice
    for (const packet of packets) {
      // An empty first slot may stand for the port's header: then the frame starts in the second one.
      const { fragments } = packet;
      const start = fragments[0].len === 0 && fragments.length > 1 ? fragments[1] : fragments[0];
      if (start.len < 14) {
        drop('short');
        continue;
      }
      const source = hex(start.bytes.subarray(6, 12));
      const both = hex(start.bytes.subarray(0, 12));
      if (!isGroup(source) && both !== last) this.#learn(source, index);
      last = both;
      packet.dest = this.#lookup(hex(start.bytes.subarray(0, 6)));
      if (packet.dest !== index) continue;
      packet.dest = 'nobody';
      drop('self');
    }
  }

  /** One batch: all packets are classified, then each destination gets its own, in the order in which they were sent. */
  #forward(packets: readonly Packet[], kr: Kring, index: number): void {
    const drop = (reason: Drop): void => {
      kr.drops[reason]++;
    };
    this.#classify(packets, index, drop);
    const broadcasts = packets.filter(({ dest }) => dest === 'broadcast');
    const queues = new Map<string, { port: number; ring: number; packets: Packet[] }>();
    const queue = (port: number, ring: number): Packet[] => {
      const key = `${port} ${ring}`;
      const found = queues.get(key) ?? { port, ring, packets: [] };
      queues.set(key, found);
      return found.packets;
    };
    for (const packet of packets) {
      if (typeof packet.dest === 'number') queue(packet.dest, kr.index).push(packet);
    }
    if (broadcasts.length > 0) {
      // ring 0 of every port but the source
      for (const port of this.#indices.slice(0, this.ports.size)) {
        if (port !== index) queue(port, 0).push(...broadcasts);
      }
    }
    for (const { port, ring, packets: queued } of queues.values()) {
      const rings = this.ports.get(port)?.rx ?? [];
      queued.sort((a, b) => a.at - b.at);
      deliver(kr, rings[ring % rings.length], queued);
    }
  }

  /** Everything up to rhead goes through the switch, and the whole ring is free again. */
  txsync(kr: Kring, index: number): void {
    for (const batch of gather(kr)) this.#forward(batch, kr, index);
    kr.hwtail = kr.prev(kr.rhead);
  }
}

/**
 * A slot's bytes, or undefined if it has none: in its buffer, or, on a VALE port, where its address says. DIFF: that is in
 * a range that the port has registered, and the slot then has no packet offset.
 */
function dataOf(kr: Kring, slot: Slot): Uint8Array | undefined {
  if (!kr.ranges || !(slot.flags & NS_INDIRECT)) return kr.sound(slot) ? kr.data(slot) : undefined;
  if (kr.loop || slot.len > kr.region.bufSize) return undefined;
  const end = slot.ptr + slot.len;
  const range = kr.ranges.find(
    (r) => slot.ptr >= r.address && slot.ptr < r.address + r.length && end <= r.address + r.length,
  );
  if (!range) return undefined;
  return range.bytes.subarray(slot.ptr - range.address);
}

/** Reads the slots, and makes batches of sound packets: a batch ends with the packet that fills it. */
export function gather(kr: Kring, stop = kr.rhead): Packet[][] {
  const batches: Packet[][] = [];
  let batch: Packet[] = [];
  let slotsInBatch = 0;
  let fragments: Fragment[] = [];
  for (const k of kr.range(kr.hwcur, stop)) {
    const slot = kr.shown.slots[k];
    slot.flags &= ~NS_BUF_CHANGED;
    const data = dataOf(kr, slot);
    const sound = data !== undefined;
    fragments.push({ sound, bytes: data ?? new Uint8Array(0), len: slot.len });
    if (sound && fragments.length <= MAX_FRAGS) kr.bytes += slot.len;
    if (slot.flags & NS_MOREFRAG && kr.next(k) !== stop) continue;
    kr.packets++;
    const bad = fragments.filter((fragment) => !fragment.sound).length;
    kr.badSlots += bad;
    if (bad > 0) kr.drops.badSlot++;
    else if (fragments.length > MAX_FRAGS) kr.drops.fragments++;
    else {
      batch.push({ at: batch.length, fragments, dest: 'nobody' });
      slotsInBatch += fragments.length;
    }
    fragments = [];
    if (slotsInBatch < BATCH) continue;
    batches.push(batch);
    batch = [];
    slotsInBatch = 0;
  }
  kr.hwcur = stop;
  return [...batches, batch];
}

/** Copies packets into an rx ring: exactly their bytes. The first that finds no room is lost with all after it. */
export function deliver(kr: Kring, rx: Kring | undefined, packets: readonly Packet[]): void {
  if (!rx || rx.users === 0 || !rx.ring) {
    kr.drops.noPort += packets.length;
    return;
  }
  const start = rx.mailTail;
  let free = rx.n - 1 - rx.range(rx.hwcur, rx.mailTail).length;
  for (const [i, { fragments }] of packets.entries()) {
    if (fragments.length > free) {
      kr.drops.noSpace += packets.length - i;
      break;
    }
    const slots = fragments.map((_, f) => rx.shown.slots[(rx.mailTail + f) % rx.n]);
    if (fragments.some(({ len }, f) => len > rx.room(slots[f]))) {
      kr.drops.tooLong++;
      continue;
    }
    free -= fragments.length;
    copy(kr, rx, fragments);
  }
  if (rx.mailTail !== start) rx.notify();
}

function copy(kr: Kring, rx: Kring, fragments: readonly Fragment[]): void {
  const slots = fragments.map(() => {
    const slot = rx.shown.slots[rx.mailTail];
    rx.mailTail = rx.next(rx.mailTail);
    return slot;
  });
  const bad = slots.filter(({ bufIdx }) => !rx.region.isBuffer(bufIdx)).length;
  for (const [f, slot] of slots.entries()) {
    const { bytes, len } = fragments[f];
    if (rx.region.isBuffer(slot.bufIdx)) rx.data(slot).set(bytes.slice(0, len));
    slot.len = bad > 0 ? 0 : len;
    slot.flags = bad > 0 ? 0 : (fragments.length << 8) | (f + 1 < fragments.length ? NS_MOREFRAG : 0);
  }
  if (bad > 0) {
    // The receiver's own fault: it finds empty slots.
    rx.badSlots += bad;
    kr.drops.badSlot++;
    return;
  }
  rx.delivered++;
  rx.deliveredBytes += fragments.reduce((sum, { len }) => sum + len, 0);
}

export function valeRxsync(kr: Kring): void {
  kr.hwtail = kr.mailTail;
  for (const k of kr.range(kr.hwcur, kr.rhead)) {
    const slot = kr.shown.slots[k];
    slot.flags &= ~NS_BUF_CHANGED;
    if (!kr.region.isBuffer(slot.bufIdx)) kr.badSlots++;
  }
  kr.hwcur = kr.rhead;
}

/** A port that is on no bridge sends to nobody. */
function sendToNobody(kr: Kring): void {
  kr.drops.noPort += gather(kr).flat().length;
  kr.hwtail = kr.prev(kr.rhead);
}

export function valeSync(bridge: Bridge | undefined, index: number): PortSync {
  return (kr) => {
    if (kr.dir === 'rx') valeRxsync(kr);
    else if (bridge) bridge.txsync(kr, index);
    else sendToNobody(kr);
  };
}

export { BROADCAST };
