// The applications in Wasm, as a guest's program may be: bench/assembly/program.ts and slots.ts.
import { abi, type NetmapRing } from 'ptnet';
import { wasmProgram } from './compile.js';
import type { Drained } from './program.js';

interface Exports {
  fill(ring: number, count: number, seq: number, len: number, vary: number): void;
  drain(ring: number): number;
}

/** `fill` and `drain` of bench/program.ts, where lengths do not vary, or `fillSlots` and `drainSlots` of bench/threads/slots.ts. */
export interface GuestProgram {
  readonly fill: (ring: NetmapRing, count: number, seq: number, len: number, vary: number) => void;
  readonly drain: (ring: NetmapRing, into: Drained) => void;
}

/** Address of a ring in the memory that the program shares with it. */
const addressOf = ({ slotBase }: NetmapRing): number => 4 * slotBase - abi.NETMAP_RING_SLOT;

export function guestProgram(memory: WebAssembly.Memory, name: 'program' | 'slots' = 'program'): GuestProgram {
  const { fill, drain } = wasmProgram(name, ['abi/netmap.ts'], memory) as unknown as Exports;
  return {
    fill: (ring, count, seq, len, vary) => fill(addressOf(ring), count, seq, len, vary),
    drain: (ring, into) => {
      into.packets += ring.space;
      into.sum = (into.sum + drain(addressOf(ring))) | 0;
    },
  };
}
