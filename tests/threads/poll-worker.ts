// Makes the polls of poll-table.ts, in either form.
import {
  type GuestHandle,
  Netmap,
  NetmapError,
  type NetmapHandle,
  PtnetDriver,
  pollMany,
  pollManySync,
} from '../../src/index.js';
import { type Bench, type Form, rows, SLOTS } from './poll-table.js';
import { serve, sleep } from './support.js';

/** How a poll ended. */
export interface Ended {
  readonly answer: readonly number[] | string;
  /** How long it took, ms. */
  readonly ms: number;
}

const drivers: PtnetDriver[] = [];
const bench: Bench = { ports: [], drivers, abort: new AbortController(), others: [] };

serve({
  openHost: async ({ handle, specs, row }: { handle: NetmapHandle; specs: string[]; row: number }) => {
    const netmap = await Netmap.attach(handle);
    const options = { txSlots: SLOTS, rxSlots: SLOTS, flags: rows[row].flags ?? 0 };
    for (const spec of specs) bench.ports.push(await netmap.open(spec, options));
  },
  openGuest: async ({ handle, row }: { handle: GuestHandle; row: number }) => {
    const { machine } = await Netmap.attachGuest(handle);
    drivers.push(...PtnetDriver.probe(machine));
    for (const driver of drivers) bench.ports.push(driver.open({ flags: rows[row].flags ?? 0 }));
  },
  before: ({ row }: { row: number }) => rows[row].before?.(bench),
  poll: async ({ row, form }: { row: number; form: Form }): Promise<Ended> => {
    const { events = [1], timeout = 10_000, during } = rows[row];
    const requests = [...bench.ports, ...bench.others].map((port, i) => ({
      port,
      events: events[Math.min(i, events.length - 1)],
    }));
    const start = performance.now();
    let answer: readonly number[] | string;
    try {
      if (form === 'blocked') {
        answer = pollManySync(requests, timeout);
      } else {
        const wait = pollMany(requests, { timeout, signal: bench.abort.signal });
        wait.catch(() => {}); // awaited below
        if (during) {
          await sleep(50);
          await during(bench);
        }
        answer = await wait;
      }
    } catch (error) {
      answer = error instanceof NetmapError ? error.code : (error as Error).message;
    }
    return { answer, ms: performance.now() - start };
  },
  after: ({ row }: { row: number }) => rows[row].after?.(bench),
});
