// capture: writes what a port receives to a file, in batches as it comes. A file that cannot be written any more does not
// hold up the port: from then on packets are taken, counted, and dropped.

import { abi, type NetmapPort } from '../../index.js';
import { Drainer } from '../../io/backends/packets.js';
import { CaptureClock, type CaptureFile } from '../../io/capture-file.js';
import type { ProgramControl } from '../control.js';
import { failure, toPlain } from '../errors.js';
import type { CaptureOptions, ProgramResult } from './options.js';
import { check, wait } from './pace.js';
import { Traffic } from './traffic.js';

const { NS_TXMON, POLLIN } = abi;
/** Bytes that are written at once, at the least, while packets come. */
const BATCH = 1 << 18;
/** Packets between two looks at the commands. */
const TURN = 1024;

/** @param file of its own, made before; closed at the end @throws NetmapError when a sync failed */
export function capture(
  { count, snapLength }: CaptureOptions,
  file: CaptureFile,
  port: NetmapPort,
  control: ProgramControl,
): ProgramResult {
  if (port.rxRings.length === 0) throw failure('EINVAL', `port '${port.name}' was opened without rx rings`);
  const { writer } = file;
  const id = writer.addInterface(port.name);
  const clock = new CaptureClock();
  const traffic = new Traffic(control, true);
  const drainer = new Drainer(port);
  const totals = { packets: 0, bytes: 0 };
  const waiting = { packets: 0, bytes: 0 };
  let lost = 0;
  let problem: unknown;

  const take = (packet: Uint8Array, flags: number): boolean => {
    if (packet.length === 0) return true; // ends an interrupted delivery
    if (problem !== undefined) {
      lost++;
      return true;
    }
    const kept = packet.length > snapLength ? packet.subarray(0, snapLength) : packet;
    const direction = flags & NS_TXMON ? 'out' : 'in';
    writer.packet(id, clock.seconds, clock.nanoseconds, kept, packet.length, direction);
    waiting.packets++;
    waiting.bytes += packet.length;
    return true;
  };
  const flush = (): void => {
    if (problem !== undefined) return;
    try {
      file.flush();
      totals.packets += waiting.packets;
      totals.bytes += waiting.bytes;
    } catch (error) {
      problem = error;
      lost += waiting.packets;
    }
    waiting.packets = 0;
    waiting.bytes = 0;
    control.publish(totals.packets, totals.bytes);
  };

  try {
    flush(); // the headers: who watches the file sees a capture from the start on
    let seen = 0;
    while (seen < count) {
      clock.tick();
      const taken = drainer.drain(take, Math.min(TURN, count - seen));
      seen += taken;
      if (taken !== 0) {
        traffic.arrived();
        traffic.seen();
        if (writer.size >= BATCH) flush();
        if (port.rxsync() < 0) throw failure('EIO', `rxsync of '${port.name}' failed`);
        continue;
      }
      if (check(port, port.pollOnce(POLLIN)) !== 0) continue;
      if (writer.size !== 0) flush();
      if (wait(port, POLLIN) === 0 && traffic.isOver()) break;
    }
    if (problem === undefined && writer.format === 'pcapng') {
      clock.tick();
      writer.statistics(id, clock.seconds, clock.nanoseconds, totals.packets + waiting.packets, 0);
    }
    flush();
    port.rxsync();
  } finally {
    file.close();
  }
  return {
    ...totals,
    seconds: traffic.seconds,
    ...(lost !== 0 && { drops: { error: lost } }),
    ...(problem !== undefined && { failure: toPlain(problem) }),
  };
}
