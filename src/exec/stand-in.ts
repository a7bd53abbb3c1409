// What stands for a port in the memory of a program: rings as those of the real port, and the other side of them, which a
// cable joins with it. Where NIC rings only are bound it is a pipe, which copies nothing; where host rings are, it is a
// network interface, whose wire and host stack are the other side.

import {
  NR_REG_ALL_NIC,
  NR_REG_NIC_SW,
  NR_REG_ONE_NIC,
  NR_REG_ONE_SW,
  NR_REG_SW,
  NR_RX_RINGS_ONLY,
  NR_TX_RINGS_ONLY,
} from '../abi.js';
import type { Netmap } from '../control/netmap.js';
import { GLOBAL_MEM_ID } from '../memory/region.js';
import { HostPort } from '../netmap/host-port.js';
import type { NetmapInterface } from '../netmap/interface.js';
import { MONITOR_FLAGS } from '../netmap/monitor.js';
import type { OffsetOptions } from '../netmap/offsets.js';
import type { PortInfo, RingInfo } from '../netmap/register.js';
import type { UpstreamPort } from './upstream.js';

export interface StandIn {
  /** What the program's request is to name in place of the real port. */
  readonly name: string;
  /** nr_mode and nr_flags of that request. */
  readonly mode: number;
  readonly flags: number;
  /** The other side, ring by ring as the real port's rings are bound. */
  readonly end: HostPort;
  /** Whether its rings send by and by: the wire takes what it has room for. */
  readonly hasWire: boolean;
  close(): Promise<void>;
}

/** What of a REGISTER decides how a port stands in. */
export interface StandInRequest {
  readonly mode: number;
  readonly ringId: number;
  readonly flags: number;
  readonly offsets: OffsetOptions | undefined;
}

/** Modes that bind host rings. */
const HOST_MODES = [NR_REG_SW, NR_REG_NIC_SW, NR_REG_ONE_SW];
/** Slots of the rings of wire and host stack: a program's own rings hold the rest. */
const END_SLOTS = 256;

/** @param id a number that no other one has. @throws NetmapError as REGISTER */
export async function makeStandIn(
  host: Netmap,
  id: number,
  request: StandInRequest,
  upstream: UpstreamPort,
): Promise<StandIn> {
  const { txRings, rxRings } = upstream.counts;
  // A guest's interface may have no ring of a direction: here there is one, which is not bound.
  const missing = (txRings === 0 ? NR_RX_RINGS_ONLY : 0) | (rxRings === 0 ? NR_TX_RINGS_ONLY : 0);
  const flags = (request.flags & ~MONITOR_FLAGS) | missing;
  const make = HOST_MODES.includes(request.mode) ? makeInterface : makePipe;
  return make(host, id, { ...request, flags }, upstream);
}

async function makePipe(
  host: Netmap,
  id: number,
  { mode, ringId, flags, offsets }: StandInRequest,
  { counts }: UpstreamPort,
): Promise<StandIn> {
  const { txRings, rxRings, txSlots, rxSlots } = counts;
  const ring = mode === NR_REG_ONE_NIC ? `-${ringId}` : '';
  const end = await host.open(`netmap:cable${id}}1${ring}@${GLOBAL_MEM_ID}`, {
    ...{ txRings, rxRings, txSlots, rxSlots }, // of the program's end: a pipe's counts are its master's
    ...(offsets && { offsets }),
    flags: turned(flags),
  });
  // Where no ring is bound, any mode will do.
  const own = mode === NR_REG_ONE_NIC ? mode : NR_REG_ALL_NIC;
  return { name: `cable${id}{1`, mode: own, flags, end, hasWire: false, close: () => end.close() };
}

/** What the program sends by, the other side receives by. */
function turned(flags: number): number {
  return (flags & NR_RX_RINGS_ONLY ? NR_TX_RINGS_ONLY : 0) | (flags & NR_TX_RINGS_ONLY ? NR_RX_RINGS_ONLY : 0);
}

async function makeInterface(
  host: Netmap,
  id: number,
  { mode, ringId, flags }: StandInRequest,
  { counts }: UpstreamPort,
): Promise<StandIn> {
  const name = `nic${id}`;
  const slots = Math.min(END_SLOTS, Math.max(counts.txSlots, counts.rxSlots));
  const made = await host.addInterface(name, {
    ...counts,
    memId: GLOBAL_MEM_ID,
    ends: { slots, memId: GLOBAL_MEM_ID, waits: true },
  });
  const end = new HostPort(made.wire.waiting, boundEnds(made, mode, ringId), {
    close: async () => {},
    call: async () => {},
  });
  return { name, mode, flags, end, hasWire: true, close: () => made.close() };
}

/** The rings of wire and host stack whose other ends a mode binds, in its order. */
function boundEnds({ wire, stack }: NetmapInterface, mode: number, ringId: number): PortInfo {
  const pick = (nic: readonly RingInfo[], host: readonly RingInfo[]): readonly RingInfo[] => {
    if (mode === NR_REG_NIC_SW) return [...nic, ...host];
    return mode === NR_REG_SW ? host : [host[ringId] ?? host[0]];
  };
  const tx = pick(wire.info.tx, stack.info.tx);
  const rx = pick(wire.info.rx, stack.info.rx);
  return { ...wire.info, tx, rx, watched: [], forwardsDown: 0 };
}
