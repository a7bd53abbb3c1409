// Switches of the machine beside VALE, frames of 60 bytes (64 where there is no smaller one). `one core`: ptnet moves the
// frames from one host port to another, from a program to a program that only move head and cur; the ports of the others
// make and swallow frames without touching them. `two programs`: each has a thread and writes or reads length and number of
// every frame, by the ports of guests in ptnet, by sockets at the others.
import { openVSwitch } from '../machine/openvswitch-dpdk.js';
import { kernelBridge, openVSwitchVeth, vdeSwitch } from '../machine/switched.js';
import { nullContender, ringContender } from '../machine/testpmd.js';
import { ptnetPair } from '../pairs.js';
import { makeFrames, proveDelivery } from '../program.js';
import { OURS } from '../results.js';
import { nowNs } from '../threads/control.js';
import { BATCH, type Run, SMALL_BATCHES, type SuiteOptions, type TimedCase, type TimedContender } from '../types.js';
import { openHost, VALE } from '../world.js';

/** Batch of testpmd and Open vSwitch. */
const SMALL_BATCH = 32;

async function vale(name: string, size: number, batch: number): Promise<TimedContender> {
  const { tx, rx, sync, close } = await openHost(VALE, 'ptnet');
  const [ring] = rx;
  makeFrames(tx, size, 1);
  const digest = proveDelivery({ tx, rx, sync, batch, size });
  const run = async (seconds: number): Promise<Run> => {
    let packets = 0;
    let sent = 0;
    const started = nowNs();
    while (nowNs() - started < 1e9 * seconds) {
      for (let i = 0; i < 256; i++) {
        tx.advance(batch);
        sync();
        sent += batch;
        packets += ring.space;
        ring.advance(ring.space);
      }
    }
    const time = nowNs() - started;
    if (packets !== sent) throw new Error(`${name}: ${sent} packets sent, ${packets} received`);
    return { value: time / packets };
  };
  return { name, digest, run, close };
}

export function switchesSuite({ sizes: [size], native, quick }: SuiteOptions): TimedCase[] {
  const common = { suite: 'switches', unit: 'ns/packet' };
  // Those take seconds to start.
  const others = quick ? [] : [openVSwitch, nullContender, ringContender].map((open) => () => open(size));
  const sockets = [vdeSwitch, kernelBridge, openVSwitchVeth].map((open) => () => open(native, size));
  const pair = { names: VALE, size, frames: true, loop: 'direct' as const };
  return [
    {
      ...common,
      name: `one core, ${size}`,
      entrants: [() => vale(OURS, size, BATCH), () => vale(SMALL_BATCHES, size, SMALL_BATCH), ...others],
    },
    { ...common, name: `two programs, ${size}`, entrants: [() => ptnetPair(pair), ...sockets] },
  ];
}
