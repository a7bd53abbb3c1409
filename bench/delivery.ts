// Contenders that move packets from a sender to receivers: with the application that bench/program.ts is, or with one
// that only moves head and cur, so that the engine alone is timed.
import { ownCopy } from './own-copy.js';
import { type Case, type Contender, type OpenCase, WASM_PROGRAM } from './types.js';
import type { Engine, World } from './world.js';

/** What the application does with slots and frames. */
export type Application = 'moves' | 'reads and writes';

export interface Delivery {
  readonly size: number;
  readonly application: Application;
  /** Slots of a packet; default 1. */
  readonly fragments?: number;
}

export interface DeliveryCase extends Delivery {
  readonly suite: string;
  readonly name: string;
  readonly task: string;
  readonly netmapTable?: boolean;
  readonly slotVectors?: boolean;
  /** Whether ours also runs with an application in Wasm. */
  readonly wasmProgram?: boolean;
  open(engine: Engine): Promise<World>;
}

async function ownProgram(): Promise<typeof import('./contender.js')> {
  return ownCopy(new URL('./contender.js', import.meta.url));
}

export function deliveryCase(spec: DeliveryCase): Case {
  const { suite, name, task, size, netmapTable, slotVectors } = spec;
  const open = async (): Promise<OpenCase> => {
    const worlds: World[] = [];
    const start = async (name: string, engine: Engine): Promise<Contender> => {
      const world = await spec.open(engine);
      worlds.push(world);
      return (await ownProgram()).contender(name, world, spec, name === WASM_PROGRAM);
    };
    const contenders = [await start('ptnet', 'ptnet'), await start('js', 'js')];
    if (spec.wasmProgram) contenders.push(await start(WASM_PROGRAM, 'ptnet'));
    const close = async (): Promise<void> => {
      for (const world of worlds) await world.close();
    };
    return { contenders, close };
  };
  const unit = spec.fragments === undefined ? 'ns/packet' : 'ns/slot';
  return {
    suite,
    name,
    task,
    size,
    unit,
    ...(netmapTable && { netmapTable }),
    ...(slotVectors && { slotVectors }),
    open,
  };
}
