// The captures of a switch: each has the traffic of all ports, and may be started and ended at any time.

import type { Netmap } from '../../index.js';
import { captureTarget } from '../../io/backends/pcap.js';
import { PortCapture, type PortDirection } from '../../io/backends/port-capture.js';
import { bad, checkKeys, parseBackendSpec } from '../../io/backends/spec.js';
import { failure } from '../errors.js';
import { addEnded, nonZero, type SwitchCaptureSnapshot } from './snapshot.js';

/** Told when a capture is written, and why not. */
export type CaptureListener = (name: string, spec: string, state: 'up' | 'down' | 'closed', reason: string) => void;

interface Running {
  readonly name: string;
  readonly spec: string;
  readonly capture: PortCapture;
  state: SwitchCaptureSnapshot['state'];
  reason: string;
}

const DIRECTIONS: readonly string[] = ['in', 'out', 'both'] satisfies PortDirection[];

/**
 * Whether a port of a switch is a capture of all others: a file that is written, and nothing is read from. As a port it
 * would get no more than the switch floods.
 */
export function isCapture(spec: string): boolean {
  return /^pcap(ng)?:/.test(spec) && !/,read=/.test(spec);
}

export class Captures {
  readonly #netmap: Netmap;
  readonly #bridge: string;
  readonly #listener: CaptureListener;
  readonly #running = new Map<string, Running>();
  readonly #ended = new Map<string, SwitchCaptureSnapshot>();

  constructor(netmap: Netmap, bridge: string, listener: CaptureListener) {
    this.#netmap = netmap;
    this.#bridge = bridge;
    this.#listener = listener;
  }

  /** Starts one of these ports. @returns its name @throws NetmapError EINVAL, EEXIST, EAGAIN, ENOMEM */
  async start(spec: string, ports: readonly string[]): Promise<string> {
    const parsed = parseBackendSpec(spec);
    checkKeys(parsed, ['direction', 'snaplen']);
    if (parsed.target === '') throw bad(spec, `${parsed.kind}:FILE`);
    const direction = parsed.options.get('direction') ?? 'in';
    if (!DIRECTIONS.includes(direction)) throw bad(spec, `direction=${direction} is none of ${DIRECTIONS.join(', ')}`);
    const name = parsed.name ?? parsed.target;
    if (this.#running.has(name)) throw failure('EEXIST', `there is a capture '${name}'`);
    let running: Running | undefined;
    let early: ['up' | 'down', string] | undefined;
    const onState = (state: 'up' | 'down', reason: string): void => {
      if (!running) {
        early = [state, reason]; // it is up once it has the ports
        return;
      }
      Object.assign(running, { state, reason });
      this.#listener(name, spec, state, reason);
    };
    const options = { ...captureTarget(parsed), direction: direction as PortDirection, onState };
    const capture = await PortCapture.open(this.#netmap, options);
    const made: Running = { name, spec, capture, state: 'starting', reason: '' };
    this.#running.set(name, made);
    for (const port of ports) await this.#watch(made, port);
    running = made;
    if (early) onState(...early);
    return name;
  }

  /** @throws NetmapError ENOENT */
  async stop(name: string): Promise<void> {
    const running = this.#running.get(name);
    if (!running) throw failure('ENOENT', `there is no capture '${name}'`);
    this.#running.delete(name);
    await running.capture.close();
    addEnded(this.#ended, { ...snapshotOf(running), state: 'closed' });
    this.#listener(name, running.spec, 'closed', '');
  }

  /** A port has come. */
  async add(port: string): Promise<void> {
    for (const running of this.#running.values()) await this.#watch(running, port);
  }

  /** A port goes. */
  async remove(port: string): Promise<void> {
    for (const { capture } of this.#running.values()) await capture.unwatch(port).catch(() => {}); // it may have ended
  }

  async close(): Promise<void> {
    for (const name of [...this.#running.keys()]) await this.stop(name);
  }

  get snapshot(): SwitchCaptureSnapshot[] {
    return [...[...this.#running.values()].map(snapshotOf), ...this.#ended.values()];
  }

  /** A capture that cannot have a port is told, and the port is there without it. */
  async #watch(running: Running, port: string): Promise<void> {
    try {
      await running.capture.watch(port, `${this.#bridge}:${port}`);
    } catch (error) {
      running.reason = `${port} is not captured: ${(error as Error).message}`;
      this.#listener(running.name, running.spec, 'down', running.reason);
    }
  }
}

function snapshotOf({ name, spec, state, reason, capture }: Running): SwitchCaptureSnapshot {
  const { packets, bytes, drops } = capture.counters;
  return { name, spec, state, reason, packets, bytes, drops: nonZero(drops) };
}
