// The host under test beside the oracle: gives every command to both.

import assert from 'node:assert/strict';
import { NetmapError } from '../../src/errors.js';
import { type Guest, Netmap, type NetmapPort, PtnetDriver } from '../../src/index.js';
import { HostPort } from '../../src/netmap/host-port.js';
import { NetmapInterface } from '../../src/netmap/interface.js';
import type { Command, Place, Sending } from './commands.js';
import { compareWorlds, type Memory } from './compare.js';
import { NS_BUF_CHANGED, NS_MOREFRAG, type Region } from './oracle.js';
import { GuestPort, serviceAll } from './oracle-guest.js';
import {
  type Geometry,
  GLOBAL,
  GLOBAL_POOLS,
  Host,
  type OpenPort,
  type OpenRequest,
  OracleError,
  POOLS,
  rxsync,
  txsync,
} from './oracle-host.js';
import { NR_FORWARD } from './oracle-nic.js';
import { PRIVATE_RANGE, PROGRAM_BASE, PROGRAM_BYTES, RANGES, REGION_RANGE } from './program-memory.js';
import { frameBytes, inRing, moveTo, type RingPair, setPayload, setSlot, slotAt } from './ring-pair.js';

/** An open port, as an application has it, and its twin. */
export interface Endpoint {
  readonly name: string;
  real: NetmapPort;
  readonly model: OpenPort;
  /** Ports that a guest has. */
  readonly guest?: { readonly model: GuestPort; readonly driver: PtnetDriver };
}

type EndpointRing = RingPair & { readonly endpoint: Endpoint };

/** Whose memory a host is in: of several threads, of one, or of one whose owner grows it all the time. */
export type MemoryKind = 'shared' | 'unshared' | 'growing';

/** A host with small buffers, so that all of them can be compared. */
export async function makeHost(kind: MemoryKind): Promise<Netmap> {
  const pages = (1 << 26) / 65536;
  const memory =
    kind === 'growing'
      ? new WebAssembly.Memory({ initial: pages })
      : new WebAssembly.Memory({ initial: pages, maximum: pages, shared: kind === 'shared' });
  new Uint8Array(memory.buffer).set(PROGRAM_BYTES, PROGRAM_BASE);
  const ranges = { memory, privateRange: PRIVATE_RANGE, regionRange: REGION_RANGE };
  return Netmap.create({ ...ranges, privatePools: POOLS, pools: GLOBAL_POOLS });
}

export class World {
  readonly netmap: Netmap;
  readonly host = new Host();
  readonly endpoints: Endpoint[] = [];
  /** Where regions lie, and their mem ids, as the first open of a port told. */
  readonly memory = new Map<Region, Memory>();
  readonly #grows: boolean;
  readonly #interfaces = new Map<string, { real: NetmapInterface; ends: Endpoint[] }>();
  #guest: Guest | undefined;
  #drivers: PtnetDriver[] = [];
  #service = (): void => {};

  constructor(netmap: Netmap, kind: MemoryKind) {
    this.netmap = netmap;
    this.#grows = kind === 'growing';
  }

  /** The memory's owner grows it, if that is so. No pages are needed for all views of it to be gone. */
  #grow(): void {
    if (this.#grows) this.netmap.memory.grow(0);
  }

  get #guests(): GuestPort[] {
    return this.endpoints.flatMap(({ guest }) => guest?.model ?? []);
  }

  /** Gives a guest a device for each of these ports, and opens them. */
  async addGuest(requests: readonly OpenRequest[]): Promise<void> {
    this.#guest = await this.netmap.createGuest();
    const models: OpenPort[] = [];
    for (const { name, config } of requests) {
      await this.#guest.passthrough(specOf(name), { ...config, shareRegion: true });
      models.push(
        this.host.open({ name, config, dirs: 'both', exclusive: true, ring: undefined, sameRegionAs: undefined }),
      );
    }
    const machine = await this.#guest.machine();
    this.#service = () => machine.waiting.service();
    this.#drivers = PtnetDriver.probe(machine);
    const { ports } = await this.netmap.inspect();
    for (const [i, driver] of this.#drivers.entries()) {
      const model = new GuestPort(models[i]);
      const { name } = requests[i];
      this.endpoints.push({ name, real: driver.open(), model: models[i], guest: { model, driver } });
      model.open();
      const ring = driver.nifp.txRings > 0 ? this.endpoints[i].real.txRings[0] : undefined;
      const memId = ports.find((port) => port.name === name)?.memId ?? 0;
      if (ring) this.memory.set(models[i].adapter.region, { memId, ring, bufBase: ring.bufBase });
    }
    this.#settle();
    await compareWorlds(this);
  }

  async run(commands: readonly Command[]): Promise<void> {
    for (const command of commands) {
      this.#grow();
      await this.#apply(command);
      this.#grow();
      this.#settle();
      this.#grow();
      await compareWorlds(this);
    }
  }

  /** Closes everything, in the host at least; afterwards nothing may be left. */
  async close(): Promise<void> {
    for (const { guest, real } of this.endpoints) if (guest?.model.isOpen) await real.close();
    for (const driver of this.#drivers) driver.detach();
    await this.#guest?.close();
    for (const { guest, model } of this.endpoints) if (guest) this.host.close(model);
    for (const name of [...this.#interfaces.keys()].reverse()) await this.#unplug(name);
    for (const { guest, real, model } of this.endpoints.splice(0)) {
      if (guest) continue;
      await real.close();
      this.host.close(model);
    }
    await compareWorlds(this);
  }

  /** Lets everybody do what events have left to them. */
  #settle(): void {
    this.#service();
    serviceAll(this.#guests);
  }

  async #apply(command: Command): Promise<void> {
    switch (command.op) {
      case 'open':
        return this.#open(command);
      case 'close':
        return this.#close(command.endpoint);
      case 'restart':
        return this.#restart(command.endpoint);
      case 'txsync':
      case 'rxsync':
        return this.#sync(this.#endpoint(command.endpoint), command.op);
      case 'receive':
        return this.#receive(this.#endpoint(command.endpoint), command.most);
      case 'range':
        return this.#range(this.#endpoint(command.endpoint), command.which, command.on);
      case 'drain':
        return this.#drain();
      case 'plug':
        return this.#plug(command.name, command.geometry);
      case 'unplug':
        return this.#unplug(command.name);
      case 'attach':
        return this.#attach(command.bridge, command.name, command.withHost);
      case 'detach':
        return this.#detach(command.name);
      default:
        return this.#scribble(command);
    }
  }

  #scribble(command: Extract<Command, { at: Place }>): void {
    const at = this.#ring(command.at);
    if (!at) return;
    const i = slotAt(at, command.at.slot);
    switch (command.op) {
      case 'slot':
        setSlot(at, i, command.bufIdx, command.len, command.flags, command.ptr);
        break;
      case 'payload':
        setPayload(at, i, frameBytes(command.frame, at.model.region.bufSize));
        break;
      case 'swap':
        this.#swap(at, i, command.with);
        break;
      case 'extra':
        exchangeExtra(at, i);
        break;
      case 'advance':
        moveTo(at, inRing(at, command.ahead), inRing(at, command.ahead + (command.at.slot % 3)));
        break;
      case 'forward':
        at.real.flags = at.model.flags = command.on ? NR_FORWARD : 0;
        break;
      case 'poke':
        moveTo(at, command.head, command.cur);
        break;
      default:
        this.#send(at, command);
    }
  }

  async #open(request: OpenRequest): Promise<void> {
    const { dirs, exclusive, ring, sameRegionAs, config } = request;
    const region = this.host.regionOf(sameRegionAs);
    const memId = sameRegionAs === GLOBAL ? 1 : region && this.memory.get(region)?.memId;
    const { host = '', monitor = '' } = request;
    const flags = `${monitor}${exclusive ? 'x' : ''}${dirs === 'tx' ? 'T' : dirs === 'rx' ? 'R' : ''}`;
    const spec = [
      specOf(request.name),
      host || ring === undefined ? host : `-${ring}`,
      flags && `/${flags}`,
      memId === undefined ? '' : `@${memId}`,
    ].join('');
    const { extraBufs = 0, offsets } = request;
    const real = await this.netmap
      .open(spec, { ...config, extraBufs, shareRegion: true, ...(offsets ? { offsets } : {}) })
      .catch((error: unknown) => error);
    let model: OpenPort | OracleError;
    try {
      model = this.host.open({ ...request, sameRegionAs: memId === undefined ? undefined : sameRegionAs });
    } catch (error) {
      if (!(error instanceof OracleError)) throw error;
      model = error;
    }
    if (real instanceof HostPort && !(model instanceof OracleError)) {
      const { adapter } = model;
      this.endpoints.push({ name: real.name, real, model });
      const rings = [...real.txRings, ...real.rxRings];
      this.memory.set(adapter.region, { memId: real.memId, ring: rings[0], bufBase: rings[0].bufBase });
    } else {
      const expected = model instanceof OracleError ? model.code : 'success';
      assert.equal(
        real instanceof NetmapError ? real.code : real instanceof HostPort ? 'success' : real,
        expected,
        spec,
      );
    }
  }

  /** A network interface; its owner's ends are endpoints like others. */
  async #plug(name: string, geometry: Geometry): Promise<void> {
    const real = await this.netmap.addInterface(name, geometry).catch((error: unknown) => error);
    if (this.host.adapters.has(name)) {
      assert.equal(real instanceof NetmapError ? real.code : real, 'EEXIST');
      return;
    }
    assert.ok(real instanceof NetmapInterface, String(real));
    const { ends } = this.host.plug(name, geometry);
    const made = [real.wire, real.stack].map((port, i) => ({ name: port.name, real: port, model: ends[i] }));
    this.#interfaces.set(name, { real, ends: made });
    this.endpoints.push(...made);
    const [ring] = real.wire.txRings;
    this.memory.set(ends[0].adapter.region, { memId: real.wire.memId, ring, bufBase: ring.bufBase });
    const { regions } = await this.netmap.inspect();
    const known = [...this.memory.values()].map(({ memId }) => memId);
    const fresh = regions.find(({ memId }) => !known.includes(memId) || this.#isGone(memId));
    assert.ok(fresh, 'the region that applications will share');
    const { region } = this.host.adapters.get(name) as { region: Region };
    this.memory.set(region, { memId: fresh.memId, ring, bufBase: 0 });
  }

  /** Whether the region with this mem id is one of the past. */
  #isGone(memId: number): boolean {
    const live = this.host.regions.map((region) => this.memory.get(region)?.memId);
    return !live.includes(memId);
  }

  async #unplug(name: string): Promise<void> {
    const found = this.#interfaces.get(name);
    if (!found) return;
    this.#interfaces.delete(name);
    for (const end of found.ends) this.endpoints.splice(this.endpoints.indexOf(end), 1);
    await found.real.close();
    this.host.unplug(
      name,
      found.ends.map(({ model }) => model),
    );
  }

  async #attach(bridge: string, name: string, withHost: boolean): Promise<void> {
    const spec = `${bridge}:${name}${withHost ? '*' : ''}`;
    const real = await this.netmap.valeAttach(spec).catch((error: unknown) => error);
    const expected = this.host.attach(bridge, name, withHost);
    assert.equal(real instanceof NetmapError ? real.code : undefined, expected, spec);
  }

  async #detach(name: string): Promise<void> {
    const nic = this.host.adapters.get(name);
    const port = nic?.nic?.ports[0];
    const real = await this.netmap.valeDetach(port?.name ?? `vale0:${name}`).catch((error: unknown) => error);
    const done = nic !== undefined && this.host.detach(nic);
    assert.equal(real instanceof NetmapError ? real.code : undefined, done ? undefined : 'ENXIO', name);
  }

  /** A program registers memory of its own, or takes that back. */
  async #range(endpoint: Endpoint | undefined, which: number, on: boolean): Promise<void> {
    if (!endpoint || !(endpoint.real instanceof HostPort)) return;
    const { real, model } = endpoint;
    const { from, to } = RANGES[which];
    const [address, bytes] = [PROGRAM_BASE + from, PROGRAM_BYTES.subarray(from, to)];
    const call = on ? real.registerRange(address, to - from) : real.unregisterRange(address, to - from);
    const error = await call.catch((reason: unknown) => reason);
    const expected = on
      ? this.host.registerRange(model, address, bytes)
      : this.host.unregisterRange(model, address, to - from);
    assert.equal(error instanceof NetmapError ? error.code : error, expected, real.name);
  }

  async #close(n: number): Promise<void> {
    const host = this.endpoints.filter(({ guest, name }) => !guest && !/\(/.test(name));
    const endpoint = host[n % host.length];
    if (!endpoint) return;
    this.endpoints.splice(this.endpoints.indexOf(endpoint), 1);
    await endpoint.real.close();
    this.host.close(endpoint.model);
  }

  /** A guest closes its port and opens it again. */
  async #restart(n: number): Promise<void> {
    const endpoint = this.#endpoint(n);
    if (!endpoint?.guest) return;
    await endpoint.real.close();
    endpoint.guest.model.close();
    this.#settle();
    endpoint.real = endpoint.guest.driver.open();
    endpoint.guest.model.open();
  }

  #sync(endpoint: Endpoint | undefined, op: 'txsync' | 'rxsync'): void {
    if (!endpoint) return;
    const result = endpoint.real[op]();
    let expected = 0;
    if (endpoint.guest) endpoint.guest.model[op](() => serviceAll(this.#guests));
    else expected = (op === 'txsync' ? txsync : rxsync)(endpoint.model);
    assert.equal(result, expected, `${op} of ${endpoint.name}`);
  }

  #receive(endpoint: Endpoint | undefined, most: number): void {
    if (!endpoint) return;
    this.#sync(endpoint, 'rxsync');
    for (const [k, model] of endpoint.model.rx.entries()) {
      const { head, tail } = model.shown;
      if (head >= model.n) continue;
      const count = Math.min(most, (tail - head + model.n) % model.n);
      const pair = { real: endpoint.real.rxRings[k], model };
      moveTo(pair, inRing(pair, count), inRing(pair, count));
    }
  }

  /** Everybody takes everything and gives it back: rings go on from where they are, and wrap. */
  #drain(): void {
    for (const endpoint of this.endpoints) {
      this.#receive(endpoint, Number.POSITIVE_INFINITY);
      this.#sync(endpoint, 'rxsync');
    }
    for (const endpoint of this.endpoints) this.#sync(endpoint, 'txsync');
  }

  /** Frames in slots of one buffer, as many as there is room for; then a txsync. */
  #send(at: EndpointRing, { frames, sizes, spoiled }: Sending): void {
    const { region, n, shown } = at.model;
    const start = shown.head;
    for (const [f, frame] of frames.entries()) {
      const bytes = frameBytes(frame, sizes[f % sizes.length]);
      const offset = at.model.mask === 0n ? undefined : Math.min(frame.body % (at.model.maxOffset + 1), 100);
      const room = region.bufSize - (offset ?? 0);
      const slots = Math.ceil(bytes.length / room);
      if (shown.head >= n || (shown.tail - shown.head + n) % n < slots) break;
      for (let s = 0; s < slots; s++) {
        const part = bytes.subarray(s * room, (s + 1) * room);
        const i = (shown.head + s) % n;
        setSlot(at, i, undefined, part.length, s + 1 < slots ? NS_MOREFRAG : 0, offset);
        setPayload(at, i, part, offset);
      }
      moveTo(at, inRing(at, slots), inRing(at, slots));
    }
    for (const { slot, bufIdx, len, flags, ptr } of start < n ? spoiled : []) {
      setSlot(at, (start + slot) % n, bufIdx, len, flags, ptr);
    }
    this.#sync(at.endpoint, 'txsync');
  }

  /** Two slots exchange their buffers, as zero-copy forwarders do. */
  #swap(at: RingPair, i: number, place: Place): void {
    const other = this.#ring(place);
    if (!other || other.model.region !== at.model.region) return;
    const j = slotAt(other, place.slot);
    const a = at.model.shown.slots[i];
    const b = other.model.shown.slots[j];
    const [mine, theirs] = [a.bufIdx, b.bufIdx];
    setSlot(at, i, theirs, a.len, a.flags | 1);
    setSlot(other, j, mine, b.len, b.flags | 1);
  }

  #endpoint(n: number): Endpoint | undefined {
    return this.endpoints[n % this.endpoints.length];
  }

  #ring({ endpoint: n, dir, ring }: Place): EndpointRing | undefined {
    const endpoint = this.#endpoint(n);
    const krings = endpoint?.model[dir] ?? [];
    const k = ring % krings.length;
    if (!endpoint || krings.length === 0) return undefined;
    return { endpoint, real: endpoint.real[`${dir}Rings`][k], model: krings[k] };
  }
}

/** A slot gets the first extra buffer; what it had becomes the first of the list in its place. */
function exchangeExtra(at: EndpointRing, i: number): void {
  const { real, model } = at.endpoint;
  const { region } = at.model;
  const { bufIdx: given, len, flags } = at.model.shown.slots[i];
  const first = model.extra.head;
  if (!(real instanceof HostPort) || !region.isBuffer(first) || !region.isBuffer(given)) return;
  const link = region.bytes(first).slice(0, 4);
  setSlot(at, i, given, len, flags);
  setPayload(at, i, link);
  setSlot(at, i, first, len, flags | NS_BUF_CHANGED);
  real.nifp.bufsHead = model.extra.head = given;
}

const specOf = (name: string): string => (name.startsWith('vale') ? name : `netmap:${name}`);
