// The public surface of ptnet: re-exports only.
export { abi } from './abi-object.js';
export { type Cable, type CableCounters, type CableOptions, joinPorts } from './cable/cable.js';
export type { CableDrops, DirectionCounters } from './cable/counters.js';
export { type CableHalf, joinPortsSync } from './cable/half.js';
export type { NetmapHandle } from './control/backend.js';
export type { Inspection, Intercept, NetmapOptions } from './control/control.js';
export type { GuestOptions } from './control/guest-record.js';
export type { Guest, GuestHandle } from './control/guests.js';
export { Netmap } from './control/netmap.js';
export type { PassthroughOptions } from './control/operations.js';
export type { MemoryReservation } from './control/reservation.js';
export type { BridgeInspection, BridgePortInspection } from './control/vale-operations.js';
export { errnoName, NetmapError } from './errors.js';
export type { GuestRam } from './hosts/csb-mirror.js';
export { deliverMsi } from './hosts/msi.js';
export { type Bar, configSpace, type PciConfig } from './hosts/pci-config.js';
export { PtnetFunction, type PtnetPlatform } from './hosts/ptnet-function.js';
export { attachPtnet, type V86Options, type V86Port, type V86Ptnet } from './hosts/v86.js';
export { attachNic, type V86Nic, type V86NicOptions } from './hosts/v86-nic.js';
export { type Joint, type JointCounters, joinInterface, type StackAdapter } from './io/join.js';
export { type PcapCapture, type PcapFrame, type PcapWriteOptions, readPcap, writePcap } from './io/pcap.js';
export type {
  CaptureDirection,
  CapturedFrame,
  CaptureFormat,
  CaptureInterface,
  CaptureStatistics,
} from './io/pcap-frame.js';
export { CaptureReader, readCapture } from './io/pcap-reader.js';
export { CaptureWriter, type CaptureWriterOptions } from './io/pcap-writer.js';
export { type StreamStack, streamAdapter } from './io/stream-adapter.js';
export { openStream, type StreamCounters, type StreamPort } from './io/stream-port.js';
export { openTap, type Tap, type TapCounters, type TapOptions } from './io/tap.js';
export type { EventDescriptor, EventDescriptors, EventFd } from './ioctl/eventfd.js';
export type { DeviceAnswer, ProgramRequest } from './ioctl/messages.js';
export type { DeviceOptions, NetmapFile } from './ioctl/netmap-file.js';
export type { ProgramMemory } from './ioctl/user-memory.js';
export type { LoopMode } from './kloop/loop.js';
export type { ArenaOptions, MemoryRange } from './memory/arena.js';
export type { DataModel } from './memory/data-model.js';
export type { ExtmemOptions } from './memory/extmem.js';
export { type BackendOptions, crossWire, loopback } from './netmap/backends.js';
export type { HostPort } from './netmap/host-port.js';
export type { NetmapInterface } from './netmap/interface.js';
export type { PersistentInfo, PersistentOptions, WireOptions } from './netmap/interfaces.js';
export type { InterfaceOptions } from './netmap/nic.js';
export type { OffsetOptions } from './netmap/offsets.js';
export type { OpenOptions, PortInfo } from './netmap/register.js';
export type { PortConfig, RegistryOptions } from './netmap/registry.js';
export type { PollingOptions } from './netmap/vale-polling.js';
export type { Translate } from './ptnet/device.js';
export type { DriverOptions } from './ptnet/driver.js';
export { PtnetDriver } from './ptnet/driver.js';
export type { GuestWasm, HostedMachine, PciFunction, PtnetMachine } from './ptnet/driver-machine.js';
export { PtnetInterface, type PtnetInterfaceOptions } from './ptnet/interface.js';
export type { Capability } from './ptnet/interface-capabilities.js';
export type { InterfaceCounters } from './ptnet/interface-counters.js';
export type { PacketMetadata, RxFrame, TxFrame } from './ptnet/interface-header.js';
export { moveSlots } from './ring/move.js';
export {
  type Pollable,
  type PollOptions,
  type PollRequest,
  pollMany,
  pollManySync,
  type Waiting,
} from './ring/poll.js';
export { NetmapPort, type PortCounters } from './ring/port.js';
export { type MemoryViews, NetmapIf, NetmapRing, type NetmapSlot } from './ring/ring.js';
export { postToParent, receiveWorkerData, type SpawnOptions, type WorkerHandle } from './threads/platform.js';
export { findTunable, type GivenTunables, nearestTunable } from './tunables/check.js';
export { parseLoaderConf } from './tunables/loader-conf.js';
export { resolveTunables, type TunableSources } from './tunables/resolve.js';
export { DEFAULT_TUNABLES, TUNABLES, type TunableInfo, type TunableName, type Tunables } from './tunables/table.js';
export type { FdbEntry } from './vale/bridge.js';
export type { ValeEntry } from './vale/list.js';
export type { Lookup, LookupEnvironment, LookupOptions, ModuleLookup, WasmLookup } from './vale/lookups.js';
