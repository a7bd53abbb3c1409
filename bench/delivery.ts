// Contenders that move packets from a sender to receivers: with the application that bench/program.ts is, or with one
// that only moves head and cur, so that the engine alone is timed.
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
  open(engine: Engine): Promise<World>;
}

function contender(name: Engine, world: World, { size, application, fragments }: DeliveryCase): Contender {
  const { tx, rx, sync } = world;
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
      fill(tx, BATCH, sent, size, 0);
      sent += BATCH;
      sync();
      for (const ring of rx) drain(ring, got);
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
    const ours = await spec.open('ptnet');
    const plain = await spec.open('js');
    const contenders = [contender('ptnet', ours, spec), contender('js', plain, spec)];
    const close = async (): Promise<void> => {
      await ours.close();
      await plain.close();
    };
    return { contenders, close };
  };
  const unit = spec.fragments === undefined ? 'ns/packet' : 'ns/slot';
  return { suite, name, task, size, unit, ...(netmapTable && { netmapTable }), open };
}
