// What the tests of backends share.

import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { abi, Netmap, type NetmapPort } from '../../src/index.js';
import { type BackendPort, openBackend } from '../../src/io/backends/backend.js';

/** A frame for all, or for the station `to`, from the station `from`; both are last bytes of an address. */
export function frame(byte: number, length = 60, from?: number, to?: number): Uint8Array {
  const bytes = new Uint8Array(length).fill(byte);
  if (to === undefined) bytes.fill(0xff, 0, 6);
  else bytes.set([2, 0, 0, 0, 0, to]);
  if (from !== undefined) bytes.set([2, 0, 0, 0, 0, from], 6);
  return bytes;
}

export async function until(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!(await holds())) {
    assert.ok(Date.now() < deadline, what);
    await sleep(5);
  }
}

/** Takes frames from a port until there are so many. */
export async function receive(port: NetmapPort, count: number): Promise<Uint8Array[]> {
  const frames: Uint8Array[] = [];
  while (frames.length < count) {
    assert.equal(await port.poll(abi.POLLIN, { timeout: 5000 }), abi.POLLIN, `${frames.length} of ${count} frames`);
    frames.push(...port.recv());
  }
  return frames;
}

/** Backends of one host, each with its interface open. */
export async function inWorld(
  specs: readonly string[],
  work: (ends: readonly { backend: BackendPort; port: NetmapPort }[]) => Promise<void>,
): Promise<void> {
  const netmap = await Netmap.create();
  try {
    const ends: { backend: BackendPort; port: NetmapPort }[] = [];
    for (const spec of specs) {
      const backend = await openBackend(netmap, spec);
      ends.push({ backend, port: await netmap.open(`netmap:${backend.name}`) });
    }
    await work(ends);
    for (const { backend } of ends) await backend.close();
  } finally {
    await netmap.close();
  }
}
