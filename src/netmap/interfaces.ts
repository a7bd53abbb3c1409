// The interfaces of the host: what is there before a port is opened. Network interfaces, persistent VALE ports
// (VALE_NEWIF, VALE_DELIF), and both on bridges (VALE_ATTACH, VALE_DETACH, VALE_LIST). Control thread only.

import {
  KRING_LOCKED,
  KRING_RUN,
  KRING_STOP,
  NETMAP_IFNAMSIZ,
  NR_ACCEPT_VNET_HDR,
  NR_REG_ALL_NIC,
  NR_REG_NIC_SW,
  NR_REG_ONE_NIC,
  PORT_BDG_INDEX,
} from '../abi.js';
import { netmapError } from '../errors.js';
import type { Bridge, BridgePort } from '../vale/bridge.js';
import { type ValeEntry, valeFind, valeList } from '../vale/list.js';
import type { Adapter } from './adapter.js';
import type { Kring } from './kring.js';
import { type InterfaceOptions, Nic } from './nic.js';
import { parseKernelName, parsePortSpec } from './port-name.js';
import { freeRings, type PortInfo, type PortTable } from './register.js';
import type { PortConfig } from './registry.js';
import { type PollingOptions, type RingPollers, ValePolling } from './vale-polling.js';

/** What the owner of a network interface gets; plain data. */
export interface InterfaceInfo {
  readonly name: string;
  readonly wire: PortInfo;
  readonly stack: PortInfo;
}

/** How a persistent port is made: counts as of any VALE port. */
export interface PersistentOptions extends PortConfig {
  /** Mem id of the region to use. Default: one of its own. */
  readonly memId?: number;
}

/** A persistent port, as it was made. */
export interface PersistentInfo {
  readonly name: string;
  readonly memId: number;
  readonly txRings: number;
  readonly rxRings: number;
  readonly txSlots: number;
  readonly rxSlots: number;
}

/** Which part of a wire is opened. */
export interface WireOptions {
  /** The ring pair. Default: all of them. */
  readonly ring?: number;
  /** NR_TX_RINGS_ONLY, NR_RX_RINGS_ONLY. */
  readonly flags?: number;
}

interface Attachment {
  readonly bridge: Bridge;
  readonly ports: readonly BridgePort[];
}

export class Interfaces {
  readonly #ports: PortTable;
  readonly #nics = new Map<string, { nic: Nic; fds: number[] }>();
  readonly #persistent = new Map<string, Adapter>();
  readonly #attachments = new Map<Adapter, Attachment>();
  readonly #polling: ValePolling;

  /** @param pollers the threads of VALE polling */
  constructor(ports: PortTable, pollers: RingPollers) {
    this.#ports = ports;
    const { arena } = ports.registry;
    this.#polling = new ValePolling(pollers, {
      whileLocked: (krings, change) => this.#whileLocked(krings, change),
      flush: ({ ptr }) => void arena.wasm.pollRing(ptr, arena.threadPtr(1)),
    });
  }

  /** Makes a network interface and opens both of its ends for `owner`. @throws NetmapError EINVAL, EEXIST, ENOMEM */
  async add(name: string, options: InterfaceOptions, owner: number): Promise<InterfaceInfo> {
    this.#checkName(name, 'addInterface');
    const { registry } = this.#ports;
    const nic = new Nic(registry, name, options);
    const fds: number[] = [];
    this.#nics.set(name, { nic, fds });
    try {
      const infos: PortInfo[] = [];
      for (const end of [nic.wire, nic.stack]) {
        const flags = NR_ACCEPT_VNET_HDR;
        const request = { name: end.name, mode: NR_REG_ALL_NIC, ringId: 0, flags, memId: 0 };
        const { fd, info } = await this.#ports.openAdapter(end, request, { shareRegion: true }, owner);
        fds.push(fd);
        infos.push(info);
      }
      return { name, wire: infos[0], stack: infos[1] };
    } catch (error) {
      await this.remove(name);
      for (const fd of fds) await this.#ports.close(fd);
      // An end whose opening has failed is gone already.
      for (const end of [nic.wire, nic.stack]) if (registry.all.has(end)) await registry.release(end, freeRings);
      throw error;
    }
  }

  /** Opens the wire of a network interface once more, for `owner`: all its rings, or one pair. @throws NetmapError ENXIO, EINVAL */
  async openWire(name: string, { ring, flags = 0 }: WireOptions, owner: number): Promise<PortInfo> {
    const nic = this.#nics.get(name)?.nic;
    if (!nic) throw netmapError('ENXIO', `there is no network interface '${name}'`, { op: 'openWire', port: name });
    const mode = ring === undefined ? NR_REG_ALL_NIC : NR_REG_ONE_NIC;
    const request = {
      name: nic.wire.name,
      mode,
      ringId: ring === undefined ? 0 : ring,
      flags: flags | NR_ACCEPT_VNET_HDR,
      memId: 0,
    };
    return (await this.#ports.openAdapter(nic.wire, request, { shareRegion: true }, owner)).info;
  }

  /**
   * Takes a network interface away, from its bridge too. Whoever has it open, and its owner, find their rings stopped
   * (EIO, POLLERR), and close them in their own time.
   */
  async remove(name: string): Promise<void> {
    const found = this.#nics.get(name);
    if (!found) {
      const where = { op: 'removeInterface', port: name };
      if (!this.#persistent.has(name)) throw netmapError('ENXIO', `there is no interface '${name}'`, where);
      throw netmapError('EINVAL', 'it is a persistent port (deleteInterface)', where);
    }
    const { registry } = this.#ports;
    const { adapter, wire, stack } = found.nic;
    if (this.#attachments.has(adapter)) await this.#detach(adapter);
    this.#nics.delete(name);
    registry.adapters.delete(name);
    for (const one of [adapter, wire, stack]) one.stop();
    for (const one of [adapter, wire, stack]) this.#ports.monitors.stop(one);
    await registry.quiesce();
    adapter.users--;
    await registry.release(adapter, freeRings);
  }

  /** Closes a port; one of the ends of a network interface takes the interface with it. */
  async close(fd: number): Promise<void> {
    const owned = [...this.#nics].find(([, { fds }]) => fds.includes(fd));
    if (owned) await this.remove(owned[0]);
    await this.#ports.close(fd);
  }

  /** VALE_NEWIF. @throws NetmapError EINVAL (name, counts, mem id), EEXIST, ENOMEM */
  newif(name: string, config: PersistentOptions): PersistentInfo {
    this.#checkName(name, 'newInterface');
    const adapter = this.#ports.registry.makePersistent(name, config.memId ?? 0, config);
    adapter.users++;
    this.#persistent.set(name, adapter);
    const { txRings, rxRings, txSlots, rxSlots } = adapter.geometry;
    return { name, memId: adapter.region.memId, txRings, rxRings, txSlots, rxSlots };
  }

  /** VALE_DELIF. @throws NetmapError ENXIO, EINVAL (no persistent port), EBUSY (open, on a bridge, or with pipes) */
  async delif(name: string): Promise<void> {
    const where = { op: 'deleteInterface', port: name };
    const adapter = this.#persistent.get(name);
    if (!adapter) {
      const isInterface = this.#ports.registry.adapters.has(name) && parseKernelName(name).kind === 'interface';
      if (!isInterface) throw netmapError('ENXIO', `there is no interface '${name}'`, where);
      throw netmapError('EINVAL', 'it is not a persistent port', where);
    }
    if (this.#attachments.has(adapter)) throw netmapError('EBUSY', 'it is on a bridge', where);
    if (adapter.users > 1) throw netmapError('EBUSY', 'it is in use', where);
    this.#persistent.delete(name);
    adapter.users--;
    await this.#ports.registry.release(adapter, freeRings);
  }

  /**
   * VALE_ATTACH: puts an interface on a bridge, `vale0:eth0`; with the suffix `*`, its host stack too, as `vale0:eth0^`.
   * @returns its port index
   * @throws NetmapError EINVAL (name, no such interface, mode), EBUSY (on a bridge already, or open), ENOMEM
   */
  attach(spec: string): Promise<number> {
    const { name, mode } = parsePortSpec(spec);
    return this.attachAs(name, mode);
  }

  /** The same with the fields of a request: `vale0:eth0`, nr_mode and nr_ringid. */
  async attachAs(name: string, mode: number, ringId = 0): Promise<number> {
    const where = { op: 'valeAttach', port: name };
    const { bridge: bridgeName, port } = valeName(name, 'valeAttach');
    const { registry } = this.#ports;
    if (registry.bridges.get(bridgeName)?.ports.some(({ adapter }) => adapter.name === name)) {
      throw netmapError('EBUSY', 'it is on this bridge already', where);
    }
    const nic = this.#nics.get(port)?.nic;
    const adapter = nic?.adapter ?? this.#persistent.get(port);
    if (!adapter) throw netmapError('EINVAL', `there is no interface '${port}'`, where);
    if (this.#ports.isOpen(adapter)) throw netmapError('EBUSY', `'${port}' is open`, where);
    // DIFF: netmap puts a persistent port that is on one bridge on a second one, through a wrapper.
    if (this.#attachments.has(adapter)) throw netmapError('EBUSY', `'${port}' is on another bridge`, where);
    if (nic && (ringId !== 0 || (mode !== NR_REG_ALL_NIC && mode !== NR_REG_NIC_SW))) {
      throw netmapError('EINVAL', 'a NIC is attached with all its rings, or with all and the host rings (*)', where);
    }
    const ports: BridgePort[] = [{ name, ptr: nic ? nic.wire.ptr : adapter.ptr }];
    if (nic && mode === NR_REG_NIC_SW) ports.push({ name: `${name}^`, ptr: nic.stack.ptr });
    const bridge = registry.bridge(bridgeName);
    const done: BridgePort[] = [];
    try {
      for (const one of ports) {
        bridge.attach(one);
        done.push(one);
      }
      await this.#whileLocked(this.#senders(adapter), () => {
        nic?.attach(true, ports.length > 1);
        bridge.publishActive();
      });
    } catch (error) {
      for (const one of done) {
        bridge.detach(one);
        bridge.forget(one);
      }
      registry.dropIfEmpty(bridge);
      throw error;
    }
    this.#attachments.set(adapter, { bridge, ports });
    registry.attached.set(adapter, bridge);
    return registry.arena.load(ports[0].ptr + PORT_BDG_INDEX);
  }

  /**
   * VALE_DETACH.
   * @returns the port index that it had
   * @throws NetmapError EINVAL (name), ENXIO (not on that bridge), EBUSY (polled)
   */
  detach(spec: string): Promise<number> {
    return this.detachAs(parsePortSpec(spec).name);
  }

  /** The same with the name of a request. */
  async detachAs(name: string): Promise<number> {
    const { bridge, port } = valeName(name, 'valeDetach');
    const adapter = this.#nics.get(port)?.nic.adapter ?? this.#persistent.get(port);
    const attachment = adapter && this.#attachments.get(adapter);
    if (!adapter || attachment?.bridge.name !== bridge) {
      throw netmapError('ENXIO', `'${name}' is no attached interface`, { op: 'valeDetach', port: name });
    }
    if (this.#polling.isOn(this.#nicOf(adapter))) {
      throw netmapError('EBUSY', 'it is polled', { op: 'valeDetach', port: name });
    }
    return this.#detach(adapter);
  }

  /**
   * VALE_POLLING_ENABLE of an attached NIC.
   * @throws NetmapError EINVAL (name, mode, counts), EOPNOTSUPP (no NIC, no loop workers), ENXIO (not attached), EFAULT
   */
  async pollingEnable(name: string, options: PollingOptions): Promise<void> {
    await this.#polling.enable(this.#attachedNic(name), options, name);
  }

  /** VALE_POLLING_DISABLE. @throws NetmapError EINVAL (name), EOPNOTSUPP (no NIC), ENXIO (not attached), EFAULT */
  async pollingDisable(name: string): Promise<void> {
    await this.#polling.disable(this.#attachedNic(name), name);
  }

  #attachedNic(name: string): Nic {
    const where = { op: 'valePolling', port: name };
    const { bridge, port } = valeName(name, 'valePolling');
    const ports = this.#ports.registry.bridges.get(bridge)?.ports ?? [];
    if (!ports.some(({ adapter }) => adapter.name === name)) throw netmapError('ENXIO', 'it is not attached', where);
    const nic = this.#nics.get(port)?.nic;
    if (nic) return nic;
    throw netmapError('EOPNOTSUPP', 'it is no NIC: what it sends is sent by who has it open', where);
  }

  async #detach(adapter: Adapter): Promise<number> {
    const { registry } = this.#ports;
    const { bridge, ports } = this.#attachments.get(adapter) as Attachment;
    const nic = this.#nicOf(adapter);
    if (nic) await this.#polling.end(nic);
    const index = registry.arena.load(ports[0].ptr + PORT_BDG_INDEX);
    await this.#whileLocked(this.#senders(adapter), () => {
      for (const one of ports) bridge.detach(one);
      nic?.attach(false, false);
      bridge.publishActive();
    });
    await registry.quiesce(); // others may be delivering to it
    for (const one of ports) bridge.forget(one);
    this.#attachments.delete(adapter);
    registry.attached.delete(adapter);
    registry.dropIfEmpty(bridge);
    return index;
  }

  /** VALE_LIST: all ports of all bridges, or one. @throws NetmapError EINVAL (name), ENOENT (no such bridge) */
  list(spec?: string): ValeEntry[] {
    const { bridges } = this.#ports.registry;
    return spec === undefined ? valeList(bridges.values()) : [valeFind(bridges, parsePortSpec(spec).name)];
  }

  /** Takes the persistent ports away, at the end of the host. */
  async closeAll(): Promise<void> {
    for (const [name, adapter] of [...this.#persistent]) {
      if (this.#attachments.has(adapter)) await this.#detach(adapter);
      await this.delif(name);
    }
  }

  #nicOf(adapter: Adapter): Nic | undefined {
    return [...this.#nics.values()].find(({ nic }) => nic.adapter === adapter)?.nic;
  }

  /** The tx rings that change their way when the adapter is attached. */
  #senders(adapter: Adapter): Kring[] {
    const nic = this.#nicOf(adapter);
    return nic ? [...nic.wire.tx, ...nic.stack.tx] : adapter.tx;
  }

  /**
   * Changes what syncs of these rings look at, while there are none: they find the ring busy, and are woken later.
   * @throws NetmapError EIO when a thread holds one of them for long; then nothing has changed
   */
  async #whileLocked(krings: readonly Kring[], change: () => void): Promise<void> {
    const { arena } = this.#ports.registry;
    const running = krings.filter(({ ptr }) => arena.load(ptr + KRING_STOP) === KRING_RUN);
    for (const { ptr } of running) arena.store(ptr + KRING_STOP, KRING_LOCKED);
    try {
      await this.#ports.registry.quiesce();
      change();
    } finally {
      for (const { ptr } of running) {
        arena.store(ptr + KRING_STOP, KRING_RUN);
        arena.wasm.kringNotify(ptr, arena.threadPtr(1));
      }
    }
  }

  #checkName(name: string, op: string): void {
    const where = { op, port: String(name) };
    const bytes = typeof name === 'string' ? new TextEncoder().encode(name).length : 0;
    if (bytes < 1 || bytes >= NETMAP_IFNAMSIZ) {
      throw netmapError('EINVAL', `an interface's name has 1..${NETMAP_IFNAMSIZ - 1} bytes`, where);
    }
    const bad = /[-*^/@{}\0]/.exec(name);
    if (bad) throw netmapError('EINVAL', `'${bad[0]}' in the name of an interface`, where);
    if (name.startsWith('vale')) throw netmapError('EINVAL', "names of interfaces do not start with 'vale'", where);
    if (this.#ports.registry.adapters.has(name)) throw netmapError('EEXIST', 'there is such an interface', where);
  }
}

/** The parts of a VALE name, such as `vale0:eth0`. @throws NetmapError EINVAL */
function valeName(name: string, op: string): { bridge: string; port: string } {
  const parsed = parseKernelName(name);
  if (parsed.kind === 'vale') return parsed;
  throw netmapError('EINVAL', "the name does not start with 'vale'", { op, port: name });
}
