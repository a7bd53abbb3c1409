// The worker that a program runs in: opens its ports, on the host or in a guest, runs it, and closes them when the main
// thread has read their counters.

import { once } from 'node:events';
import { parentPort } from 'node:worker_threads';
import { abi, Netmap, type NetmapHandle, type NetmapPort, PtnetDriver, receiveWorkerData } from '../index.js';
import { CaptureFile } from '../io/capture-file.js';
import { ProgramControl } from './control.js';
import { type ErrorJSON, failure, toPlain } from './errors.js';
import { bridge } from './programs/bridge.js';
import { capture } from './programs/capture.js';
import { macOfName } from './programs/frame.js';
import { type PortConfig, type ProgramResult, type ProgramSpec, ptnetUnit } from './programs/options.js';
import { pktGen } from './programs/pkt-gen.js';
import { replay } from './programs/replay.js';

/** What the main thread gives to the worker. */
export interface ProgramData {
  readonly spec: ProgramSpec;
  /** Id of the guest that the program runs in, 0 = on the host. */
  readonly guest: number;
  readonly control: SharedArrayBuffer;
  readonly rings: PortConfig;
}

/** What the worker tells the main thread; it is answered with one message, after which the ports are closed. */
export type ProgramMessage =
  | { readonly type: 'ready'; readonly ports: readonly string[] }
  | { readonly type: 'done'; readonly result: ProgramResult }
  | { readonly type: 'failed'; readonly error: ErrorJSON };

interface Opened {
  readonly netmap: Netmap;
  readonly ports: readonly NetmapPort[];
  /** Address of the first port. */
  readonly mac: readonly number[];
}

async function openOnHost(handle: NetmapHandle, { spec, rings }: ProgramData): Promise<Opened> {
  const netmap = await Netmap.attach(handle);
  const ports: NetmapPort[] = [];
  // These take packets as they are, and look at no byte of them.
  const { options } = spec;
  const accepts = options.program === 'bridge' || (options.program === 'pkt-gen' && options.fn === 'rx');
  const flags = accepts ? abi.NR_ACCEPT_VNET_HDR : 0;
  for (const name of spec.ports) ports.push(await netmap.open(name, { ...rings, flags }));
  return { netmap, ports, mac: macOfName(ports[0].name) };
}

async function openInGuest(handle: NetmapHandle, { spec, guest }: ProgramData): Promise<Opened> {
  const { netmap, machine } = await Netmap.attachGuest({ netmap: handle, guest });
  const drivers = PtnetDriver.probe(machine);
  const used = spec.ports.map((name) => drivers[ptnetUnit(name)]);
  if (used.includes(undefined as never)) throw failure('ENXIO', `the guest has ${drivers.length} ptnet interfaces`);
  return { netmap, ports: used.map((driver) => driver.open()), mac: [...used[0].mac] };
}

function run(
  { options, ports: names }: ProgramSpec,
  { ports, mac }: Opened,
  file: CaptureFile | undefined,
  control: ProgramControl,
): ProgramResult {
  if (options.program === 'bridge') return bridge(options, ports, names, control);
  if (options.program === 'replay') return replay(options, ports[0], control);
  if (options.program === 'capture' && file) return capture(options, file, ports[0], control);
  if (options.program !== 'pkt-gen') throw failure('EINVAL', `${options.program} needs no worker`);
  return pktGen(options, ports[0], mac, control);
}

function tell(message: ProgramMessage): void {
  parentPort?.postMessage(message);
}

const { netmap: handle, data } = await receiveWorkerData<{ netmap: NetmapHandle; data: ProgramData }>();
let opened: Opened | undefined;
try {
  opened = await (data.guest === 0 ? openOnHost(handle, data) : openInGuest(handle, data));
  const { options } = data.spec;
  // Before the next program starts: it does not when this one has failed.
  const file = options.program === 'capture' ? new CaptureFile(options.file) : undefined;
  tell({ type: 'ready', ports: opened.ports.map(({ name }) => name) });
  tell({ type: 'done', result: run(data.spec, opened, file, new ProgramControl(data.control)) });
} catch (error) {
  tell({ type: 'failed', error: toPlain(error) });
}
if (parentPort) await once(parentPort, 'message');
for (const port of opened?.ports ?? []) await port.close();
await opened?.netmap.close();
