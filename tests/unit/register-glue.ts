// What the register tests for hosts (examples/guest) are given: the types, a ptnet device whose platform is nothing but
// lists, and one in a v86 that is only pretended.
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Netmap } from '../../src/control/netmap.js';
import { configSpace, type PciConfig, protectConfig, resetConfig } from '../../src/hosts/pci-config.js';
import { PtnetFunction } from '../../src/hosts/ptnet-function.js';
import type { AccessSize } from '../../src/ptnet/device-registers.js';
import type { PciFunction } from '../../src/ptnet/driver-machine.js';

export interface Registers {
  read(offset: number, size: AccessSize): number;
  write(offset: number, size: AccessSize, value: number): void;
}

export interface Ram {
  readonly size: number;
  load(address: number): number;
  store(address: number, value: number): void;
}

export interface RegisterGlue extends Registers {
  readonly ram: Ram;
  reset?(): void;
}

export interface MemdevGlue extends Registers {
  load(offset: number, size: 1 | 4): number;
}

export interface MsixGlue {
  readonly registers: Registers;
  readonly config: Registers;
  bar(number: number): Registers & { readonly size: number };
  readonly ram: Ram;
  readonly address?: number;
  readonly above4g?: boolean;
  takeMessages(): [address: number, data: number][];
  takePulses(): number;
  receive?(): Promise<void>;
  reset?(): void;
}

/** All that a host has of a device under test. */
export interface HostGlue {
  readonly device: RegisterGlue;
  readonly memdev: MemdevGlue;
  readonly msix: MsixGlue;
}

interface Tests {
  testRegisters(glue: RegisterGlue): string[];
  testMemdev(memdev: MemdevGlue, device: Registers, pointer?: number): string[];
  testMsix(glue: MsixGlue): Promise<string[]>;
}

const examples = new URL('../../../../examples/guest/', import.meta.url);
const load = (name: string): Promise<Tests> => import(pathToFileURL(fileURLToPath(new URL(name, examples))).href);
export const { testRegisters, testMemdev } = await load('register-test.mjs');
export const { testMsix } = await load('msix-test.mjs');

const RAM_SIZE = 1 << 20;

/** A device for a port of a host, with two tx rings, in an emulator that is nothing but lists. */
export async function listGlue(netmap: Netmap, name: string): Promise<HostGlue> {
  const guest = await netmap.createGuest({ ramSize: 4096 });
  await guest.passthrough(name, { dataModel: 'i386', loop: 'direct', txRings: 2, rxRings: 2 });
  const machine = await guest.machine();
  const [memdev, device] = machine.functions as [PciFunction, PciFunction];
  const view = new DataView(new ArrayBuffer(RAM_SIZE));
  const ram: Ram = {
    size: RAM_SIZE,
    load: (address) => view.getInt32(address, true),
    store: (address, value) => view.setInt32(address, value, true),
  };
  const options: PciConfig = {
    vendorId: device.vendorId,
    deviceId: device.deviceId,
    classCode: 0x020000,
    bars: [{ kind: 'io', address: 0xd000, size: 256 }, null, { kind: 'memory', address: 0x80000000, size: 4096 }],
    msix: { vectors: device.vectors, bar: 2 },
  };
  const space = new Int32Array(configSpace(options).buffer as ArrayBuffer);
  const initial = Int32Array.from(space);
  const messages: [number, number][] = [];
  let pulses = 0;
  const config: Registers = ofBytes(
    (at) => new Uint8Array(space.buffer)[at],
    (at, byte) => {
      new Uint8Array(space.buffer)[at] = byte;
    },
    () => {
      protectConfig(space, initial, options);
      model.msixChanged();
    },
  );
  const model: PtnetFunction = new PtnetFunction(
    machine,
    device,
    {
      ram,
      msixControl: () => config.read(0x42, 2),
      sendMessage: (address, data) => messages.push([address, data]),
      pulseIntx: () => {
        if ((config.read(4, 2) & 0x400) === 0) pulses++;
      },
    },
    0,
    false,
  );
  const registers: Registers = {
    read: (offset, size) => model.ioRead(offset, size),
    write: (offset, size, value) => model.ioWrite(offset, size, value),
  };
  const reset = (): void => {
    resetConfig(space, initial, options);
    model.reset();
  };
  const { base = 0 } = memdev.memoryBar ?? {};
  const memory = new DataView(machine.views.u8.buffer, machine.views.u8.byteOffset + base);
  return {
    device: { ...registers, ram, reset },
    memdev: {
      read: (offset, size) => memdev.ioRead(offset, size),
      write: (offset, size, value) => memdev.ioWrite(offset, size, value),
      load: (offset, size) => (size === 1 ? memory.getUint8(offset) : memory.getUint32(offset, true)),
    },
    msix: {
      registers,
      config,
      bar: () => ({
        size: 4096,
        read: (offset, size) => model.msixRead(offset, size),
        write: (offset, size, value) => model.msixWrite(offset, size, value),
      }),
      ram,
      above4g: true,
      takeMessages: () => messages.splice(0),
      takePulses: () => {
        const taken = pulses;
        pulses = 0;
        return taken;
      },
      reset,
    },
  };
}

/** Registers of bytes; `written` after each write. */
export function ofBytes(
  read: (at: number) => number,
  write: (at: number, byte: number) => void,
  written = (): void => {},
): Registers {
  return {
    read: (offset, size) => {
      let value = 0;
      for (let i = 0; i < size; i++) value |= read(offset + i) << (8 * i);
      return value >>> 0;
    },
    write: (offset, size, value) => {
      for (let i = 0; i < size; i++) write(offset + i, (value >>> (8 * i)) & 0xff);
      written();
    },
  };
}
