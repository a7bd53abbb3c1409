// What a guest sends arrives byte for byte, and what is sent to it, too: before anything is timed. The frames are those of
// examples/guest/ptnet-guest.c.
import type { Netmap } from 'ptnet';
import { type Devices, LIMIT, type Linux } from './guests.js';

/** Fewer than a ring has slots. */
const FRAMES = 256;
const ID = 1;
const SEQ = 14;
const FILL = 18;

/** Frame number `seq`, without the bytes at its end that are no whole word. */
function frameOf(size: number, seq: number): Uint8Array {
  const frame = new Uint8Array(size);
  frame.set([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, ID, 0, 0, 0, 0x88, 0xb5]);
  const view = new DataView(frame.buffer);
  view.setUint32(SEQ, seq, true);
  for (let i = FILL; i + 4 <= size; i += 4) view.setUint32(i, seq ^ i, true);
  return frame;
}

/** Whether `frame` is the one with this number. */
function isFrame(frame: Uint8Array, size: number, seq: number): boolean {
  const wanted = frameOf(size, seq);
  const whole = size - ((size - FILL) % 4);
  return frame.length === size && wanted.every((byte, i) => i >= whole || frame[i] === byte);
}

/** The numbers of a line `RESULT …`. @throws Error when the program tells of lost or bad frames, or of none */
export function resultOf(text: string): { readonly packets: number; readonly ms: number } {
  const [, packets, lost, bad, ms] = (/ packets=(\d+) lost=(\d+) bad=(\d+) ms=(\d+)/.exec(text) ?? []).map(Number);
  if (ms === undefined || lost > 0 || bad > 0) throw new Error(`the guest's program says: ${text.trim()}`);
  return { packets, ms };
}

async function proveTransmit(netmap: Netmap, linux: Linux, { onSwitch, bridge }: Devices, size: number): Promise<void> {
  const port = await netmap.open(`${bridge}:proof`);
  try {
    resultOf(await linux.run(`ptnet-guest tx ${onSwitch} ${FRAMES} ${size} ${ID}`, LIMIT));
    port.rxsync();
    const frames = port.recv();
    if (frames.length !== FRAMES || !frames.every((frame, seq) => isFrame(frame, size, seq))) {
      throw new Error(`${bridge}: what has come from the guest is not what it sent`);
    }
  } finally {
    await port.close();
  }
}

async function proveReceive(netmap: Netmap, linux: Linux, { onPipe, pipe }: Devices, size: number): Promise<void> {
  const port = await netmap.open(pipe);
  try {
    const received = linux.run(`ptnet-guest rx ${onPipe} ${FRAMES} ${size}`, LIMIT);
    for (let seq = 0; seq < FRAMES; seq++) await port.send(frameOf(size, seq));
    const { packets } = resultOf(await received);
    if (packets !== FRAMES) throw new Error(`${pipe}: the guest has received ${packets} of ${FRAMES} frames`);
  } finally {
    await port.close();
  }
}

/** @throws Error unless frames of this size go both ways */
export async function proveDevices(netmap: Netmap, linux: Linux, devices: Devices, size: number): Promise<void> {
  await linux.emulator.run();
  await proveTransmit(netmap, linux, devices, size);
  await proveReceive(netmap, linux, devices, size);
  await linux.emulator.stop();
}

/** @throws Error unless frames of this size come from the guest's own card. It may lose some: what is timed is what comes. */
export async function proveCard(linux: Linux, size: number): Promise<void> {
  let right = 0;
  let wrong = 0;
  const look = (frame: Uint8Array): void => {
    if (frame[12] !== 0x88 || frame[13] !== 0xb5) return; // the kernel's own
    if (isFrame(frame, size, 0)) right++;
    else wrong++;
  };
  await linux.emulator.run();
  linux.emulator.add_listener('net0-send', look);
  resultOf(await linux.run(`ptnet-guest raw eth0 ${FRAMES} ${size}`, LIMIT));
  linux.emulator.remove_listener('net0-send', look);
  await linux.emulator.stop();
  if (right === 0 || wrong > 0)
    throw new Error(`${right} frames of the guest's card are as it sent them, ${wrong} are not`);
}
