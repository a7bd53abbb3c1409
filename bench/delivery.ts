// Contenders that move packets from a sender to receivers: with the application that bench/program.ts is, or with one
// that only moves head and cur, so that the engine alone is timed.
import { guestProgram } from './guest-program.js';
import { drain, fill, makeFrames, proveDelivery } from './program.js';
import { BATCH, type Case, type Contender, type OpenCase } from './types.js';
import type { Engine, World } from './world.js';

/** What the application does with slots and frames. */
export type Application = 'moves' | 'reads and writes';

export interface DeliveryCase {
  readonly suite: string;
  readonly name: string;
  readonly task: string;
  readonly size: number;
  readonly application: Application;
  readonly netmapTable?: boolean;
  /** Slots of a packet; default 1. */
  readonly fragments?: number;
  /** Whether ours also runs with an application in Wasm. */
  readonly wasmProgram?: boolean;
  open(engine: Engine): Promise<World>;
}

/** Who does the data path, and the application in which language. */
const WASM_PROGRAM = 'ptnet, Wasm program';

function contender(name: string, world: World, { size, application, fragments }: DeliveryCase): Contender {
  const { netmap, tx, rx, sync } = world;
  const program = name === WASM_PROGRAM ? guestProgram(netmap.memory) : { fill, drain };
  makeFrames(tx, size, rx.length);
  const digest = proveDelivery(tx, rx, sync, BATCH, size, fragments);
  const got = { packets: 0, sum: 0 };
  let sent = 0;
  const runs: Record<Application, () => void> = {
    moves: () => {
      tx.advance(BATCH);
      sent += BATCH;
      sync();
      for (const ring of rx) {
        const { space } = ring;
        got.packets += space;
        ring.advance(space);
      }
    },
    'reads and writes': () => {
      program.fill(tx, BATCH, sent, size, 0);
      sent += BATCH;
      sync();
      for (const ring of rx) program.drain(ring, got);
    },
  };
  const check = (): void => {
    if (got.packets !== sent) throw new Error(`${name}: ${sent} packets sent, ${got.packets} received`);
    if (application === 'moves') return;
    // Sequence numbers and lengths of all that were sent, modulo 2^32.
    const n = BigInt(sent);
    if (got.sum !== Number(BigInt.asIntN(32, (n * (n - 1n)) / 2n + n * BigInt(size)))) {
      throw new Error(`${name}: what was received is not what was sent`);
    }
  };
  return { name, run: runs[application], digest, check };
}

export function deliveryCase(spec: DeliveryCase): Case {
  const { suite, name, task, size, netmapTable } = spec;
  const open = async (): Promise<OpenCase> => {
    const worlds: World[] = [];
    const start = async (name: string, engine: Engine): Promise<Contender> => {
      const world = await spec.open(engine);
      worlds.push(world);
      return contender(name, world, spec);
    };
    const contenders = [await start('ptnet', 'ptnet'), await start('js', 'js')];
    if (spec.wasmProgram) contenders.push(await start(WASM_PROGRAM, 'ptnet'));
    const close = async (): Promise<void> => {
      for (const world of worlds) await world.close();
    };
    return { contenders, close };
  };
  const unit = spec.fragments === undefined ? 'ns/packet' : 'ns/slot';
  return { suite, name, task, size, unit, ...(netmapTable && { netmapTable }), open };
}
