// What threads may ask the control thread for. Arguments and results are plain data; each operation runs alone.

import { NR_ACCEPT_VNET_HDR, NR_EXCLUSIVE, NR_NO_TX_POLL } from '../abi.js';
import { netmapError } from '../errors.js';
import { handleRequest } from '../ioctl/handlers.js';
import type { DeviceAnswer, DeviceRequest } from '../ioctl/messages.js';
import type { LoopMode } from '../kloop/loop.js';
import type { PersistentOptions, WireOptions } from '../netmap/interfaces.js';
import type { InterfaceOptions } from '../netmap/nic.js';
import { headerLength, setHeaderLength } from '../netmap/port-header.js';
import { parsePortSpec } from '../netmap/port-name.js';
import type { OpenOptions, OpenPort, PortInfo } from '../netmap/register.js';
import type { PollingOptions } from '../netmap/vale-polling.js';
import type { Control } from './control.js';
import type { GuestInfo, GuestOptions } from './guest-record.js';
import { valeClear, valeInspect, valeLookup } from './vale-operations.js';

/** How a port is passed through to a guest. */
export interface PassthroughOptions extends OpenOptions {
  /** Default: `notify` if the host has loop workers, else `direct`. */
  readonly loop?: LoopMode;
  /** Address of the interface, 6 bytes. Default: a locally administered one. */
  readonly mac?: Uint8Array | readonly number[];
}

type Operation = (control: Control, args: never, tid: number) => unknown;

async function passthrough(
  control: Control,
  args: { id: number; spec: string; options: PassthroughOptions },
): Promise<GuestInfo> {
  const { id, spec, options } = args;
  const guest = control.guest(id);
  const mode = options.loop ?? (control.workers.count > 0 ? 'notify' : 'direct');
  if (!['direct', 'notify', 'busy'].includes(mode)) {
    throw netmapError('EINVAL', `loop mode '${mode}' is not direct, notify or busy`, {
      op: 'passthrough',
      port: spec,
    });
  }
  if (mode !== 'direct' && control.workers.count === 0) {
    throw netmapError('EINVAL', `loop mode '${mode}' needs loop workers (threads)`, {
      op: 'passthrough',
      port: spec,
    });
  }
  const mac = options.mac === undefined ? control.newMac() : Uint8Array.from(options.mac);
  if (mac.length !== 6) throw netmapError('EINVAL', 'a MAC address has 6 bytes', { op: 'passthrough', port: spec });
  const flags = (options.flags ?? 0) | NR_EXCLUSIVE | NR_NO_TX_POLL | NR_ACCEPT_VNET_HDR; // the guest negotiates
  const open = await control.ports.open(spec, { ...options, flags }, control.thread.id, id);
  try {
    let worker = 0;
    guest.addDevice(open, mode, mac, () => {
      if (!control.workers.has(worker)) worker = control.workers.next();
      return worker;
    });
  } catch (error) {
    await control.ports.close(open.fd);
    throw error;
  }
  return guest.info();
}

interface RangeRequest {
  readonly fd: number;
  readonly address: number;
  readonly length: number;
}

/** A port that the thread has opened for itself. @throws NetmapError ENXIO */
function ownPort(control: Control, fd: number, tid: number): OpenPort {
  const open = control.ports.opens.get(fd);
  if (open?.owner === tid && !control.isPassedThrough(fd)) return open;
  throw netmapError('ENXIO', `this thread has no open port ${fd}`, { op: 'port' });
}

export const OPERATIONS: Readonly<Record<string, Operation>> = {
  hello: (control, _args: unknown, tid) => control.giveScratch(tid),
  exit: (control, _args: unknown, tid) => control.endThread(tid),
  inspect: (control) => control.inspect(),
  open: async (control, { spec, options }: { spec: string; options: OpenOptions }, tid): Promise<PortInfo> =>
    (await control.ports.open(spec, options, tid)).info,
  close: (control, { fd }: { fd: number }, tid) => {
    if (control.ports.opens.get(fd)?.owner === tid && !control.isPassedThrough(fd)) return control.interfaces.close(fd);
  },
  registerRange: (control, { fd, address, length }: RangeRequest, tid) =>
    control.ports.ranges.register(ownPort(control, fd, tid), address, length),
  unregisterRange: async (control, { fd, address, length }: RangeRequest, tid) => {
    control.ports.ranges.unregister(ownPort(control, fd, tid), address, length);
    await control.registry.quiesce();
  },
  addInterface: (control, { name, options }: { name: string; options: InterfaceOptions }, tid) =>
    control.interfaces.add(name, options, tid),
  openWire: (control, { name, options }: { name: string; options: WireOptions }, tid) =>
    control.interfaces.openWire(name, options, tid),
  removeInterface: (control, { name }: { name: string }) => control.interfaces.remove(name),
  newInterface: (control, { name, config }: { name: string; config: PersistentOptions }) =>
    control.interfaces.newif(name, config),
  deleteInterface: (control, { name }: { name: string }) => control.interfaces.delif(name),
  valeAttach: (control, { spec }: { spec: string }) => control.interfaces.attach(spec),
  valeDetach: (control, { spec }: { spec: string }) => control.interfaces.detach(spec),
  valePollingEnable: (control, { spec, options }: { spec: string; options: PollingOptions }) =>
    control.interfaces.pollingEnable(parsePortSpec(spec).name, options),
  valePollingDisable: (control, { spec }: { spec: string }) =>
    control.interfaces.pollingDisable(parsePortSpec(spec).name),
  valeList: (control, { spec }: { spec?: string }) => control.interfaces.list(spec ?? undefined),
  device: (control, request: DeviceRequest, tid): Promise<DeviceAnswer> => handleRequest(control.files, tid, request),
  deviceSync: (control, { fd, tx }: { fd: number; tx: boolean }) => control.files.sync(fd, tx),
  devicePort: (control, { fd }: { fd: number }) => control.files.portInfo(fd),
  deviceClose: (control, { fd }: { fd: number }) => control.files.close(fd),
  leaveLoop: (control, { loop }: { loop: number }, tid) => control.files.leaveLoop(loop, tid),
  valeLookup: (control, { bridge, lookup }: { bridge: string; lookup?: string }, tid) =>
    valeLookup(control, bridge, lookup, tid),
  valeInspect: (control, { bridge }: { bridge: string }) => valeInspect(control, bridge),
  valeClear: (control, { bridge, port }: { bridge: string; port?: string }) => valeClear(control, bridge, port),
  portHeader: ({ registry }, { spec }: { spec: string }) => headerLength(registry, parsePortSpec(spec).name),
  setPortHeader: ({ registry }, { spec, length }: { spec: string; length: number }) =>
    setHeaderLength(registry, parsePortSpec(spec).name, length),
  createGuest: (control, { options }: { options: GuestOptions }): GuestInfo => control.addGuest(options).info(),
  closeGuest: (control, { id }: { id: number }) => control.removeGuest(id),
  passthrough,
  bindGuest: (control, { id }: { id: number }, tid): GuestInfo => {
    const guest = control.guest(id);
    const record = control.arena.threadPtr(tid);
    if (guest.thread !== record) guest.reset();
    guest.thread = record;
    return guest.info();
  },
  ioRead: (control, a: { id: number; index: number; offset: number; size: 1 | 2 | 4 }) =>
    control.guest(a.id).functionAt(a.index).ioRead(a.offset, a.size),
  ioWrite: (control, a: { id: number; index: number; offset: number; size: 1 | 2 | 4; value: number }) =>
    control.guest(a.id).functionAt(a.index).ioWrite(a.offset, a.size, a.value),
  closeAll: async (control) => {
    for (const id of [...control.guests.keys()]) await control.removeGuest(id);
    await control.files.closeAll();
    for (const fd of [...control.ports.opens.keys()]) await control.interfaces.close(fd);
    await control.interfaces.closeAll();
  },
};
