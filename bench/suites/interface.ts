// From interface to interface over a switch, virtio-net headers on both sides, in one thread: `transmit` sends frames and
// their metadata (transmitBatch) to a receive handler (onReceive), `offer` whole packets (offer, push) to a packet handler
// (onPackets). Every byte is copied three times: into slots, by the switch, and out of slots. The application writes the
// last byte of each frame and reads it again. Frames of 64 KiB are TCP packets with a header that says how to cut them, in
// 31 slots; the others are no IP, so that there is nothing to validate and to merge (that is the suite `coalesce`).
import { abi, type PacketMetadata, PtnetInterface, type RxFrame, type TxFrame } from 'ptnet';
import { FULL_FRAME, headersOf, tcpPacket } from '../packets.js';
import { digestFrames, digestWords, makeFrame } from '../program.js';
import { TwinRx, TwinTx, toFrame, toPacket } from '../twins/interface.js';
import { BATCH, type Case, type Contender, type OpenCase, type SuiteOptions } from '../types.js';
import { introduce, introduction, openDrivers, twinDrivers, VALE } from '../world.js';

type Way = 'transmit' | 'offer';

const HEADER = abi.VIRTIO_NET_HDR_MRG_LEN;
/** What Linux sends at the most: 45 segments that fill an MTU of 1500. */
const TSO_FRAME = headersOf(4) + 45 * (FULL_FRAME - headersOf(4));
/** Of these fewer: half of a ring. */
const TSO_BATCH = 16;
const PROOF_ROUNDS = 4;
const VNET_HDR = { vnetHdr: true };

/** What a kernel says of TCP over IPv4; nothing of a frame that is too short for that. */
function metadataOf(size: number): PacketMetadata {
  if (size < abi.ETHER_HDR_LEN + abi.IPV4_HDR_LEN + abi.TCP_HDR_LEN) return {};
  const checksum = { flags: abi.VIRTIO_NET_HDR_F_NEEDS_CSUM, csumStart: 34, csumOffset: abi.TCP_CSUM };
  if (size <= FULL_FRAME) return checksum;
  const gsoSize = FULL_FRAME - headersOf(4);
  return { ...checksum, gsoType: abi.VIRTIO_NET_HDR_GSO_TCPV4, hdrLen: headersOf(4), gsoSize };
}

/** The stack that sends: its packets, header first, and the frames in them. */
class Sender {
  readonly packets: Uint8Array[];
  readonly frames: TxFrame[];
  sent = 0;
  sum = 0;

  constructor(size: number, count: number) {
    const metadata = metadataOf(size);
    // As a stack has them: frames of transmit() and packets of offer() both begin at a multiple of 8.
    const place = (k: number): number => k * ((HEADER + size + 63) & ~63);
    const memory = new Uint8Array(place(2 * count));
    this.frames = Array.from({ length: count }, (_, i) => {
      const at = place(i);
      if (size > FULL_FRAME) memory.set(tcpPacket({ version: 4, flow: 0, index: i, size, flags: abi.TH_ACK }), at);
      else makeFrame(memory, at, size, 2, 1, i);
      return { data: memory.subarray(at, at + size), metadata };
    });
    const view = new DataView(memory.buffer);
    this.packets = this.frames.map(({ data }, i) => {
      const at = place(count + i);
      const fields = [metadata.hdrLen, metadata.gsoSize, metadata.csumStart, metadata.csumOffset];
      memory.set([metadata.flags ?? 0, metadata.gsoType ?? 0], at);
      for (const [k, field = 0] of fields.entries()) view.setUint16(at + 2 + 2 * k, field, true);
      memory.set(data, at + HEADER);
      return memory.subarray(at, at + HEADER + size);
    });
  }

  /** Writes into each frame of the next batch. */
  stampFrames(): void {
    for (const { data } of this.frames) this.#note(data.length, (data[data.length - 1] = this.sent & 0xff));
  }

  stampPackets(): void {
    for (const data of this.packets) this.#note(data.length, (data[data.length - 1] = this.sent & 0xff));
  }

  #note(length: number, stamp: number): void {
    this.sum = (this.sum + length + stamp) | 0;
    this.sent++;
  }
}

/** The stack that receives. While it proves, it keeps a digest of everything. */
class Receiver {
  received = 0;
  sum = 0;
  digest = 0;
  proving = true;

  readonly takeFrames = (frames: RxFrame[]): void => {
    for (const { data } of frames) this.sum = (this.sum + data.length + data[data.length - 1]) | 0;
    this.received += frames.length;
    if (!this.proving) return;
    for (const { data, metadata } of frames) {
      const { flags = 0, gsoType = 0, hdrLen = 0, gsoSize = 0, csumStart = 0, csumOffset = 0 } = metadata;
      this.digest = digestWords([this.digest, flags, gsoType, hdrLen, gsoSize, csumStart, csumOffset]);
      this.digest = digestFrames([data], this.digest);
    }
  };

  readonly takePackets = (packets: Uint8Array[]): void => {
    for (const packet of packets) this.sum = (this.sum + packet.length + packet[packet.length - 1]) | 0;
    this.received += packets.length;
    if (this.proving) this.digest = digestFrames(packets, this.digest);
  };
}

function contender(name: string, sender: Sender, receiver: Receiver, run: () => void): Contender {
  for (let k = 0; k < PROOF_ROUNDS; k++) run();
  receiver.proving = false;
  const check = (): void => {
    if (receiver.received !== sender.sent || receiver.sum !== sender.sum) {
      throw new Error(`${name}: ${sender.sent} packets sent, ${receiver.received} received`);
    }
  };
  check();
  return { name, run, digest: receiver.digest, check };
}

type Opened = readonly [Contender, () => Promise<void>];

async function ours(way: Way, size: number, count: number): Promise<Opened> {
  const [netmap, drivers] = await openDrivers(VALE, VNET_HDR);
  const [a, b] = drivers.map((driver) => new PtnetInterface(driver));
  a.up();
  b.up();
  b.transmit(introduction(2));
  a.holdReceive(false);
  const sender = new Sender(size, count);
  const receiver = new Receiver();
  b.onReceive(receiver.takeFrames);
  if (way === 'offer') b.onPackets(receiver.takePackets);
  const runs: Record<Way, () => void> = {
    transmit: () => {
      sender.stampFrames();
      a.transmitBatch(sender.frames);
      b.holdReceive(false); // takes what is there, now
    },
    offer: () => {
      sender.stampPackets();
      for (const packet of sender.packets) a.offer(packet);
      a.push();
      b.holdReceive(false);
    },
  };
  const close = async (): Promise<void> => {
    a.down();
    b.down();
    await netmap.close();
  };
  return [contender('ptnet', sender, receiver, runs[way]), close];
}

async function plain(way: Way, size: number, count: number): Promise<Opened> {
  const [netmap, drivers] = await openDrivers(VALE, VNET_HDR);
  const ports = drivers.map((driver) => driver.open({ flags: abi.NR_ACCEPT_VNET_HDR }));
  await introduce(ports, HEADER);
  const [a, b] = twinDrivers(netmap, drivers);
  const tx = new TwinTx({ mem: a.mem, gk: a.tx, ring: ports[0].txRings[0], kick: a.kickTx });
  const rx = new TwinRx({ mem: b.mem, gk: b.rx, ring: ports[1].rxRings[0], kick: b.kickRx });
  const sender = new Sender(size, count);
  const receiver = new Receiver();
  const runs: Record<Way, () => void> = {
    transmit: () => {
      sender.stampFrames();
      tx.transmitBatch(sender.frames);
      rx.receive(toFrame, receiver.takeFrames);
    },
    offer: () => {
      sender.stampPackets();
      for (const packet of sender.packets) tx.offer(packet);
      tx.push();
      rx.receive(toPacket, receiver.takePackets);
    },
  };
  return [contender('js', sender, receiver, runs[way]), () => netmap.close()];
}

function interfaceCase(way: Way, size: number): Case {
  const batch = size > FULL_FRAME ? TSO_BATCH : BATCH;
  const open = async (): Promise<OpenCase> => {
    const opened = [await ours(way, size, batch), await plain(way, size, batch)];
    const close = async (): Promise<void> => {
      for (const [, closeOne] of opened) await closeOne();
    };
    return { contenders: opened.map(([one]) => one), close };
  };
  return {
    suite: 'interface',
    name: `${way} ${size}`,
    task: `interface-${way}`,
    size,
    unit: 'ns/packet',
    batch,
    bytes: size,
    open,
  };
}

export function interfaceSuite({ sizes }: SuiteOptions): Case[] {
  const all = [...sizes, TSO_FRAME];
  return [...all.map((size) => interfaceCase('transmit', size)), ...all.map((size) => interfaceCase('offer', size))];
}
