// What stands for a port in the memory of a program: rings as those of the real port, and the other side of them, which
// cables join with it. Where NIC rings only are bound it is a pipe, which copies nothing; where host rings are, it is a
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
import type { PortCounts } from '../netmap/port-requests.js';
import type { PortInfo, RingInfo } from '../netmap/register.js';
import { crossed, hostView, type Places } from './upstream.js';

/** What of a REGISTER decides which rings of a stand-in it binds. */
export interface StandInRequest {
  readonly mode: number;
  readonly ringId: number;
  readonly flags: number;
  readonly offsets: OffsetOptions | undefined;
}

export interface StandIn {
  /** What the program's request is to name in place of the real port. */
  readonly name: string;
  /** Whether its rings send by and by: the wire takes what it has room for. */
  readonly hasWire: boolean;
  /** nr_mode and nr_flags of the program's request. */
  own(request: StandInRequest): { readonly mode: number; readonly flags: number };
  /** The other side of the rings that a request binds, ring by ring. @throws NetmapError as REGISTER */
  openEnd(request: StandInRequest): Promise<HostPort>;
  /**
   * Empties rings that nobody has bound, and somebody may have had: what is in them was for, or from, another opening.
   * @param end of `openEnd` with the same request
   * @param places of its own tx and rx rings among those that the request binds
   */
  clear(request: StandInRequest, end: HostPort, places: Places): Promise<void>;
  /** Once all openings are closed. */
  close(): Promise<void>;
}

/** Modes that bind host rings. */
const HOST_MODES = [NR_REG_SW, NR_REG_NIC_SW, NR_REG_ONE_SW];
/** Slots of the rings of wire and host stack: a program's own rings hold the rest. */
const END_SLOTS = 256;

export function bindsHostRings({ mode }: Pick<StandInRequest, 'mode'>): boolean {
  return HOST_MODES.includes(mode);
}

export function bindsNicRings({ mode }: Pick<StandInRequest, 'mode'>): boolean {
  return mode !== NR_REG_SW && mode !== NR_REG_ONE_SW;
}

/** @param id a number that no other one has. @param hostRings whether it has those, too. @throws NetmapError as REGISTER */
export async function makeStandIn(host: Netmap, id: number, counts: PortCounts, hostRings: boolean): Promise<StandIn> {
  return hostRings ? makeInterface(host, id, counts) : makePipe(host, id, counts);
}

/** A guest's interface may have no ring of a direction: here there is one, which is not bound. */
function flagsOf({ flags }: StandInRequest, { txRings, rxRings }: PortCounts): number {
  const missing = (txRings === 0 ? NR_RX_RINGS_ONLY : 0) | (rxRings === 0 ? NR_TX_RINGS_ONLY : 0);
  return (flags & ~MONITOR_FLAGS) | missing;
}

function makePipe(host: Netmap, id: number, counts: PortCounts): StandIn {
  const { txRings, rxRings, txSlots, rxSlots } = counts;
  const ringOf = ({ mode, ringId }: StandInRequest): string => (mode === NR_REG_ONE_NIC ? `-${ringId}` : '');
  const openEnd = (request: StandInRequest): Promise<HostPort> =>
    host.open(`netmap:cable${id}}1${ringOf(request)}@${GLOBAL_MEM_ID}`, {
      ...{ txRings, rxRings, txSlots, rxSlots }, // of the program's end: a pipe's counts are its master's
      ...(request.offsets && { offsets: request.offsets }),
      flags: turned(flagsOf(request, counts)),
    });
  return {
    name: `cable${id}{1`,
    hasWire: false,
    own: (request) => ({
      mode: request.mode === NR_REG_ONE_NIC ? NR_REG_ONE_NIC : NR_REG_ALL_NIC, // where none is bound, any will do
      flags: flagsOf(request, counts),
    }),
    openEnd,
    clear: async (request, end, places) => {
      const flags = flagsOf(request, counts) & (NR_RX_RINGS_ONLY | NR_TX_RINGS_ONLY);
      const opening = await host.open(`netmap:cable${id}{1${ringOf(request)}@${GLOBAL_MEM_ID}`, { flags });
      const [own, other] = [hostView(opening, places), hostView(end, crossed(places))];
      own.txsync();
      skip(other);
      skip(own);
      await opening.close();
    },
    close: async () => {},
  };
}

/** Takes out of rx rings what is in them. */
function skip(port: HostPort): void {
  port.rxsync();
  for (const ring of port.rxRings) {
    const { tail } = ring;
    ring.cur = tail;
    ring.head = tail;
  }
  port.rxsync();
}

/** What the program sends by, the other side receives by. */
function turned(flags: number): number {
  return (flags & NR_RX_RINGS_ONLY ? NR_TX_RINGS_ONLY : 0) | (flags & NR_TX_RINGS_ONLY ? NR_RX_RINGS_ONLY : 0);
}

async function makeInterface(host: Netmap, id: number, counts: PortCounts): Promise<StandIn> {
  const name = `nic${id}`;
  const slots = Math.min(END_SLOTS, Math.max(counts.txSlots, counts.rxSlots));
  const made = await host.addInterface(name, {
    ...counts,
    memId: GLOBAL_MEM_ID,
    ends: { slots, memId: GLOBAL_MEM_ID, waits: true },
  });
  return {
    name,
    hasWire: true,
    own: (request) => ({ mode: request.mode, flags: flagsOf(request, counts) }),
    openEnd: async (request) => {
      const info = boundEnds(made, { ...request, flags: turned(flagsOf(request, counts)) });
      return new HostPort(made.wire.waiting, info, { close: async () => {}, call: async () => {} });
    },
    clear: async (_, end, places) => skip(hostView(end, crossed(places))), // the program's rings are new
    close: () => made.close(),
  };
}

/** The rings of wire and host stack whose other ends a request binds, in its order. */
function boundEnds({ wire, stack }: NetmapInterface, { mode, ringId, flags }: StandInRequest): PortInfo {
  const pick = (nic: readonly RingInfo[], host: readonly RingInfo[]): readonly RingInfo[] => {
    if (mode === NR_REG_NIC_SW) return [...nic, ...host];
    if (mode === NR_REG_SW) return host;
    if (mode === NR_REG_ONE_SW) return [host[ringId] ?? host[0]];
    return mode === NR_REG_ONE_NIC ? [nic[ringId] ?? nic[0]] : nic;
  };
  const tx = flags & NR_RX_RINGS_ONLY ? [] : pick(wire.info.tx, stack.info.tx);
  const rx = flags & NR_TX_RINGS_ONLY ? [] : pick(wire.info.rx, stack.info.rx);
  return { ...wire.info, tx, rx, watched: [], forwardsDown: 0 };
}
