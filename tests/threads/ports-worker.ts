// A worker that serves a network interface, uses one, or monitors one.
import { abi, loopback, Netmap, type NetmapHandle, type NetmapRing } from '../../src/index.js';
import { serve } from './support.js';

const LEN = 60;
/** Half of a ring: the other half may hold frames that have been taken, and not been released yet. */
const WINDOW = 31;

function put(ring: NetmapRing, seq: number): void {
  const i = ring.head;
  const at = ring.bufAddress(i);
  ring.u8.fill(0xff, at, at + 6);
  ring.i32[(at >>> 2) + 4] = seq;
  ring.setSlot(i, LEN);
  ring.advance(1);
}

/** Hands each received frame's number, and whether it was sent, to `use`. */
function take(ring: NetmapRing, use: (seq: number, sent: boolean) => void): void {
  for (; ring.head !== ring.tail; ring.advance(1)) {
    const { flags } = ring.slot(ring.head);
    use(ring.i32[(ring.bufAddress(ring.head) >>> 2) + 4], (flags & abi.NS_TXMON) !== 0);
  }
}

serve({
  /** Makes an interface whose frames come back. */
  plug: async ({ handle, name }: { handle: NetmapHandle; name: string }) => {
    const netmap = await Netmap.attach(handle);
    const { wire } = await netmap.addInterface(name, { txSlots: 64, rxSlots: 64 });
    setTimeout(() => void loopback(wire, { blocking: true }), 0); // blocks this thread
  },

  /** Sends frames, never more at a time than come back without loss, and checks what comes back. */
  echo: async ({ handle, spec, frames }: { handle: NetmapHandle; spec: string; frames: number }) => {
    const netmap = await Netmap.attach(handle);
    const port = await netmap.open(spec);
    const [tx] = port.txRings;
    const [rx] = port.rxRings;
    let sent = 0;
    let received = 0;
    while (received < frames) {
      while (sent < frames && sent - received < WINDOW && tx.space !== 0) put(tx, sent++);
      const ready = port.pollSync(abi.POLLIN, 10_000);
      if (ready !== abi.POLLIN) throw new Error(`poll: ${ready} after ${received} of ${sent}`);
      take(rx, (seq) => {
        if (seq !== received) throw new Error(`frame ${seq} instead of ${received}`);
        received++;
      });
    }
    await port.close();
    await netmap.close();
    return received;
  },

  /** Keeps a port open until it is in error, and tells what poll said. */
  hold: async ({ handle, spec }: { handle: NetmapHandle; spec: string }) => {
    const netmap = await Netmap.attach(handle);
    const port = await netmap.open(spec);
    const ready = port.pollSync(abi.POLLIN, 10_000);
    await port.close();
    await netmap.close();
    return ready;
  },

  /**
   * Monitors a port until it is closed: how many frames of either direction were seen, always in order. `count`: how many
   * in all, and how many were lost.
   */
  watch: async ({ handle, spec, count }: { handle: NetmapHandle; spec: string; count: SharedArrayBuffer }) => {
    const all = new Int32Array(count);
    const netmap = await Netmap.attach(handle);
    const port = await netmap.open(spec);
    const last = { tx: -1, rx: -1 };
    const seen = { tx: 0, rx: 0 };
    for (;;) {
      const ready = port.pollSync(abi.POLLIN, 50);
      if (ready === 0) Atomics.store(all, 1, (await port.counters()).drops['noSpace']);
      else if (ready !== abi.POLLIN) break;
      for (const ring of port.rxRings) {
        take(ring, (seq, sent) => {
          const dir = sent ? 'tx' : 'rx';
          if (seq <= last[dir]) throw new Error(`${dir} frame ${seq} after ${last[dir]}`);
          last[dir] = seq;
          seen[dir]++;
          Atomics.add(all, 0, 1);
        });
      }
    }
    await port.close();
    await netmap.close();
    return seen;
  },
});
