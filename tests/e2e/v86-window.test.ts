// Two Debian guests in v86 whose rings and buffers are their own RAM: each v86 has a memory of its own, cables join them to
// one switch and one pipe. The program in the guests is examples/guest/ptnet-guest.c.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { attachPtnet, Netmap, type V86Ptnet } from 'ptnet';
import { type Linux, prepare, skip, values } from './v86-support.js';

/** The ptnet devices of each guest, by number. */
const SWITCH = 0;
const PIPE = 1;
/** How long (ms) a run of packets may take on a busy machine. */
const LONG = 240_000;
const MIB = 1 << 20;

interface Guest {
  readonly linux: Linux;
  readonly ptnet: V86Ptnet;
  readonly memory: WebAssembly.Memory;
  /** Bytes of the memory before the guest ran. */
  readonly size: number;
}

let netmap: Netmap;
let a: Guest;
let b: Guest;

async function makeGuest(name: string, pipe: string): Promise<Guest> {
  const linux = await prepare({
    cmdline: 'console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off pci=nocrs',
    memory_size: 128 * MIB,
  });
  const ports = [
    { netmap, name: `vale0:${name}` },
    { netmap, name: pipe, txSlots: 512, rxSlots: 512 },
  ];
  const ptnet = await attachPtnet(linux.emulator, ports, { window: 'ram' });
  const { v86 } = linux.emulator as unknown as { v86: { cpu: { wasm_memory: WebAssembly.Memory } } };
  const memory = v86.cpu.wasm_memory;
  return { linux, ptnet, memory, size: memory.buffer.byteLength };
}

/** Runs the program in b and, when it is up, in a: what both have counted. */
async function both(first: string, second: string): Promise<[Record<string, number>, Record<string, number>]> {
  const receiver = b.linux.run(`ptnet-guest ${first}`, LONG);
  await new Promise((resolve) => setTimeout(resolve, 500));
  const sender = a.linux.run(`ptnet-guest ${second}`, LONG);
  return [values(await receiver, 'RESULT'), values(await sender, 'RESULT')];
}

async function pingPong(device: number, packets: number): Promise<void> {
  const [pong, ping] = await both(`pong ${device} ${packets}`, `ping ${device} ${packets}`);
  assert.deepEqual([pong['packets'], pong['bad'], ping['packets'], ping['bad']], [packets, 0, packets, 0]);
}

describe('two Linux guests in v86 with RAM windows', { skip }, () => {
  before(
    async () => {
      netmap = await Netmap.create({ memorySize: 512 * MIB });
      a = await makeGuest('a', 'netmap:p{1');
      b = await makeGuest('b', 'netmap:p}1');
      await Promise.all([a.linux.boot(300_000), b.linux.boot(300_000)]);
    },
    { timeout: 400_000 },
  );
  after(async () => {
    for (const guest of [a, b]) {
      await guest?.ptnet.close();
      await guest?.linux.close();
    }
    await netmap?.close();
  });

  test('the kernel has the window in its memory map, and not as RAM', async () => {
    const map = await a.linux.run('cat /proc/iomem');
    assert.match(map, /^ *07800000-07ffffff : 0000:00:13\.0$/m);
    assert.match(map, /-077fffff : Reserved$/m); // the firmware's tables end where the window begins
    const [, kilobytes] = /MemTotal: +(\d+) kB/.exec(await a.linux.run('cat /proc/meminfo')) ?? [];
    assert.ok(Number(kilobytes) < 120 * 1024);
    for (const { memory, size } of [a, b]) assert.ok(memory.buffer.byteLength > size, 'v86 has grown its memory');
  });

  test('ping-pong over the switch, and over the pipe', async () => {
    await pingPong(SWITCH, 1000);
    await pingPong(PIPE, 1000);
  });

  test('a pipe loses nothing: millions of packets, in order, with their bytes', async () => {
    const before = b.ptnet.cables[PIPE].counters().bToA.frames;
    const runs = [
      [5_000_000, 60],
      [200_000, 1500],
    ];
    for (const [packets, length] of runs) {
      const [rx, tx] = await both(`rx ${PIPE} ${packets} ${length}`, `tx ${PIPE} ${packets} ${length}`);
      assert.deepEqual([rx['packets'], rx['lost'], rx['bad'], tx['packets']], [packets, 0, 0, packets]);
    }
    assert.equal(b.ptnet.cables[PIPE].counters().bToA.frames - before, 5_200_000);
    const { frames, wakeUps } = a.ptnet.cables[PIPE].counters().aToB;
    assert.ok(wakeUps < frames / 50, `${wakeUps} wake-ups for ${frames} frames: bursts are not one`);
    for (const { ptnet } of [a, b]) {
      for (const { aToB, bToA } of ptnet.cables.map((cable) => cable.counters())) {
        for (const { drops, badRings } of [aToB, bToA]) {
          assert.deepEqual([...Object.values(drops), badRings], [0, 0, 0, 0, 0, 0]);
        }
      }
    }
  });

  test('a hostile guest stops neither the host nor the other guest', async () => {
    const attack = a.linux.run(`ptnet-guest hostile ${SWITCH} 200000 77`, LONG);
    const more = attack.then(() => a.linux.run(`ptnet-guest hostile ${PIPE} 200000 78`, LONG));
    const [first, second] = await Promise.allSettled([attack, more]);
    assert.deepEqual([first.status, second.status], ['fulfilled', 'fulfilled']);
    assert.deepEqual([a.ptnet.faults, b.ptnet.faults], [0, 0]);
    // What it has sent may still be in the rings: both take all that there is, up to a frame that comes alone.
    const last = 999_999;
    const rest = [a, b].map(({ linux }) => linux.run(`ptnet-guest rx ${SWITCH} ${last + 1}`, LONG));
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const host = await netmap.open('vale0:host');
    await host.send(frame(last));
    await Promise.all(rest);
    await host.close();
    await pingPong(SWITCH, 100);
  });
});

/** A frame of 60 bytes as the guest's program writes it. */
function frame(seq: number): Uint8Array {
  const bytes = new Uint8Array(60);
  const view = new DataView(bytes.buffer);
  bytes.fill(0xff, 0, 6).set([2, 0, 9, 0, 0, 0, 0x88, 0xb5], 6);
  view.setUint32(14, seq, true);
  for (let i = 18; i + 4 <= 60; i += 4) view.setUint32(i, (seq ^ i) >>> 0, true);
  return bytes;
}
