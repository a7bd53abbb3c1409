// Capture files as the outside of an interface: what it transmits is written to one, what it receives is read from
// another.

import { closeSync, openSync, statSync } from 'node:fs';
import { POLLERR, POLLIN } from '../../abi.js';
import { NetmapError, netmapError } from '../../errors.js';
import { wireRoom } from '../../netmap/wire-room.js';
import { fileError, readCaptureFile } from '../capture-file.js';
import { CaptureTimes, type Waiter } from '../capture-times.js';
import { type CaptureFormat, LINKTYPE_ETHERNET } from '../pcap-frame.js';
import { SNAPLEN } from '../pcap-records.js';
import { CaptureSink } from './capture-sink.js';
import type { BackendContext, BackendKind, BackendPlan, WorkerPlan } from './kind.js';
import { Drainer, discard, Injector } from './packets.js';
import { type BackendSpec, bad, checkKeys, wholeNumber } from './spec.js';

interface WriteConfig {
  readonly type: 'write';
  readonly path: string;
  readonly format: CaptureFormat;
  readonly snapLength: number;
}

interface ReadConfig {
  readonly type: 'read';
  readonly path: string;
  /** Frames a second; 0 = the times of the capture, null = as fast as they are taken. */
  readonly rate: number | null;
}

/** How long (ms) is waited until the file is written to again, or the interface looked at. */
const LOOK_EVERY = 200;
const FULL_WAIT = 1;
/** Packets between two looks. */
const TURN = 1024;
/** Packets between two syncs, when they come at full rate. */
const BURST = 64;

/** What is said of a capture that is written, also where it is one of a whole switch. @throws NetmapError EINVAL */
export function captureTarget(spec: BackendSpec): { path: string; format: CaptureFormat; snapLength: number } {
  const snaplen = spec.options.get('snaplen');
  const snapLength = snaplen === undefined ? SNAPLEN : wholeNumber(spec.text, 'snaplen', snaplen, 1, SNAPLEN);
  return { path: spec.target, format: spec.kind as CaptureFormat, snapLength };
}

/**
 * The file can be made: found out before the workers run, and without touching what is in it. To read a pipe would block
 * until there is a writer, and nothing could end that; one that is written may get its reader later.
 */
function checkFile(path: string, flags: 'r' | 'a'): void {
  if (statSync(path, { throwIfNoEntry: false })?.isFIFO()) {
    if (flags === 'a') return;
    throw netmapError('EINVAL', `${path}: it is a pipe, and no file`, { op: 'backend' });
  }
  try {
    closeSync(openSync(path, flags));
  } catch (error) {
    throw fileError(error, path, 'backend');
  }
}

export const kind: BackendKind = {
  plan(spec: BackendSpec): BackendPlan {
    checkKeys(spec, ['read', 'realtime', 'rate', 'snaplen']);
    const { text, target, options } = spec;
    const read = options.get('read');
    const rate = options.get('rate');
    const realtime = options.get('realtime');
    if (target === '' && !read)
      throw bad(text, `${spec.kind}:FILE writes a capture, ${spec.kind}:,read=FILE reads one`);
    if (read === undefined && (rate ?? realtime) !== undefined) throw bad(text, 'rate and realtime go with read');
    if (rate !== undefined && realtime !== undefined) throw bad(text, 'either rate or realtime');
    const isRealtime = realtime !== undefined && wholeNumber(text, 'realtime', realtime, 0, 1) === 1;
    const write: WriteConfig | null = target === '' ? null : { type: 'write', ...captureTarget(spec) };
    const workers: WorkerPlan[] = [{ direction: 'transmit', config: write }];
    if (read !== undefined) {
      const perSecond = rate === undefined ? null : wholeNumber(text, 'rate', rate, 1, 1e9);
      const config: ReadConfig = { type: 'read', path: read, rate: isRealtime ? 0 : perSecond };
      workers.push({ direction: 'receive', config });
    }
    return { name: `${spec.kind}%d`, interface: {}, workers };
  },

  async open({ target, options }: BackendSpec) {
    const read = options.get('read');
    if (target !== '') checkFile(target, 'a');
    if (read !== undefined) checkFile(read, 'r');
    return { data: null, close: () => {} };
  },

  async run(context: BackendContext): Promise<void> {
    const config = context.config as WriteConfig | ReadConfig | null;
    if (config?.type === 'read') return receive(context, config);
    if (config?.type === 'write') return transmit(context, config);
    context.state('up');
    return discard(context.wire, context.signal, (n) => context.counters.txDrop('down', n));
  },
};

async function transmit(context: BackendContext, config: WriteConfig): Promise<void> {
  const { wire, counters, signal, name } = context;
  const sink = new CaptureSink({
    ...config,
    onState: context.state,
    onPackets: (written, bytes, lost) => {
      counters.transmitted(written, bytes);
      counters.txDrop('error', lost);
    },
  });
  const id = sink.addInterface(name);
  const drainer = new Drainer(wire);
  const take = (packet: Uint8Array): boolean => {
    sink.packet(id, packet, 'out');
    return true;
  };
  try {
    while (!signal.aborted) {
      sink.tick();
      if (drainer.drain(take, TURN) === 0) sink.flush();
      const ready = await wire.poll(POLLIN, { signal, timeout: LOOK_EVERY }).catch(() => 0);
      if (ready & POLLERR) break;
    }
    wire.rxsync(); // what was transmitted before the end
    sink.tick();
    drainer.drain(take);
  } finally {
    sink.close();
  }
}

/**
 * Blocks: it has no other events than time and room. A file that is damaged will be so again: that is told, and the rest of
 * the backend, which may be writing another file, goes on.
 */
async function receive(context: BackendContext, config: ReadConfig): Promise<void> {
  const { wire } = context;
  const word = new Int32Array(new SharedArrayBuffer(4));
  const waiter = {
    get stopped() {
      return context.stopped;
    },
    sleep: (ms: number) => void Atomics.wait(word, 0, 0, ms),
  };
  context.state('up');
  try {
    play(context, config, waiter);
  } catch (error) {
    if (!(error instanceof NetmapError)) throw error;
    context.state('down', error.message);
  }
  while (!context.stopped && (wire.pollOnce(0) & POLLERR) === 0) waiter.sleep(LOOK_EVERY / 4);
}

/** Until the file has been read, or the interface is gone. @throws NetmapError EINVAL (no capture, damaged), EIO */
function play({ wire, counters }: BackendContext, { path, rate }: ReadConfig, waiter: Waiter): void {
  const injector = new Injector(wire);
  const times = rate === null ? undefined : new CaptureTimes(waiter, rate === 0 ? undefined : rate);
  const { bufSize } = wire.txRings[0];
  /** Packets since the last sync, and slots that the interface has room for beyond theirs. */
  let queued = 0;
  let room = 0;
  const flush = (): boolean => {
    queued = 0;
    return injector.flush();
  };
  for (const frame of readCaptureFile(path, 'backend')) {
    const { data, interface: from } = frame;
    if (from.linkType !== LINKTYPE_ETHERNET) throw bad(path, `frames of link type ${from.linkType} are no Ethernet`);
    const due = times?.due(frame) ?? 0;
    if (queued !== 0 && performance.now() < due && !flush()) return;
    times?.wait(due);
    const slots = data.length > injector.maxPacket ? 0 : Math.ceil(data.length / bufSize);
    while (room < slots && !waiter.stopped) {
      if (!flush()) return;
      room = wireRoom(wire);
      if (room < slots) waiter.sleep(FULL_WAIT);
    }
    if (waiter.stopped) break;
    const refused = injector.push(data);
    if (refused) counters.rxDrop(refused);
    else counters.received(1, data.length);
    room -= slots;
    if (++queued === BURST && !flush()) return;
  }
  injector.flush();
}
