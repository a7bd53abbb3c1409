// The letters of replay and capture: those of tcpreplay(1) and tcpdump(1), as far as they have them.

import { Command, Option } from 'commander';
import { SNAPLEN } from '../io/pcap-records.js';
import { usage } from './errors.js';
import type { CaptureOptions, ReplayOptions } from './programs/options.js';
import { integer, parseMac, portOption } from './values.js';

export function replayCommand(): Command {
  return new Command('replay')
    .description('Sends the frames of a capture, pcap or pcapng.')
    .addOption(portOption('port, such as vale0:a or netmap:p{1; in a guest netmap:ptnet0, which is the default'))
    .option('-r <file>', 'the capture')
    .addOption(
      new Option('--pps <rate>', 'frames a second; 0 = as fast as possible').argParser(integer(0, 1e9)).default(0),
    )
    .option('--realtime', 'keep the distances in time that the frames were captured with')
    .addOption(new Option('--src <mac>', 'source address of all frames').argParser(parseMac));
}

export function replayOptions(command: Command): ReplayOptions {
  const { i = [], r, pps, realtime = false, src = null } = command.opts();
  if (r === undefined) throw usage('replay needs a capture: -r FILE');
  if (realtime && pps !== 0) throw usage('replay keeps the times of the capture (--realtime) or a rate (--pps)');
  return { program: 'replay', ports: i, file: r, rate: pps || Infinity, realtime, src };
}

export function captureCommand(): Command {
  return new Command('capture')
    .description('Writes what a port receives to a capture.')
    .addOption(
      portOption('port, such as netmap:p}1, or the monitor of one, vale0:a/rt; in a guest netmap:ptnet0 by default'),
    )
    .option('-w <file>', 'the capture; pcapng if its name ends so, otherwise pcap')
    .option('-n <count>', 'packets to capture; 0 = no limit', integer(0, 2 ** 53 - 1), 0)
    .option('-s <bytes>', 'bytes that are kept of a packet', integer(1, SNAPLEN), SNAPLEN);
}

export function captureOptions(command: Command): CaptureOptions {
  const { i = [], w, n, s } = command.opts();
  if (w === undefined) throw usage('capture needs a file: -w FILE');
  return { program: 'capture', ports: i, file: w, count: n || Infinity, snapLength: s };
}
