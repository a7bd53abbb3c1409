// The letters of pkt-gen (pkt-gen(8) of netmap).

import { readFileSync } from 'node:fs';
import { Command, Option } from 'commander';
import { readPcap } from '../index.js';
import { usage } from './errors.js';
import type { PktGenOptions } from './programs/options.js';
import {
  bad,
  frameSize,
  integer,
  MAX_BURST,
  MIN_SIZE,
  parseMacRange,
  parsePortConfig,
  parseRange,
  portOption,
  seconds,
} from './values.js';

const FUNCTIONS = ['tx', 'rx', 'ping', 'pong'] as const;
const BROADCAST = { first: 0xffffffffffff, last: 0xffffffffffff };

function parseFunction(text: string): string {
  if ((FUNCTIONS as readonly string[]).includes(text)) return text;
  throw bad(`It must be ${FUNCTIONS.join(', ')}.`);
}

function refused(letter: string, why: string): Option {
  return new Option(letter, `refused: ${why}`).hideHelp().argParser(() => {
    throw usage(`pkt-gen ${letter.slice(0, 2)}: ${why}`, 'EOPNOTSUPP');
  });
}

function address(flags: string, description: string, fallback: string): Option {
  return new Option(flags, description).argParser(parseRange).default(parseRange(fallback), fallback);
}

/** The first frame of a capture, as netmap's pkt-gen takes it. */
function firstFrame(file: string): number[] {
  let frames: readonly { readonly data: Uint8Array }[];
  try {
    ({ frames } = readPcap(readFileSync(file)));
  } catch (error) {
    throw usage(`pkt-gen -P: ${(error as Error).message}`);
  }
  if (frames.length === 0 || frames[0].data.length === 0) throw usage(`pkt-gen -P: there is no frame in ${file}`);
  return [...frames[0].data];
}

/** A program's command; alone, its help names the program only. */
export function pktGenCommand(): Command {
  return new Command('pkt-gen')
    .description('Sends, receives and answers UDP frames (pkt-gen of netmap): full rate, or round-trip times.')
    .addOption(portOption('port, such as vale0:a or netmap:p{1; in a guest netmap:ptnet0, which is the default'))
    .option('-f <function>', 'tx sends, rx receives, ping measures round trips to a pong', parseFunction, 'rx')
    .option('-n <count>', 'packets to send or receive, or round trips; 0 = no limit', integer(0, 2 ** 53 - 1), 0)
    .addOption(
      new Option('-l <size>', 'bytes of a frame without CRC; a second one: random sizes from that to below the first')
        .argParser((text: string, before: number[] | undefined) => [...(before ?? []), frameSize(text)])
        .default(undefined, `${MIN_SIZE}`),
    )
    .option('-b <burst>', 'slots handled between two syncs', integer(1, MAX_BURST), 512)
    .addOption(address('-d <dst>', 'destination ip[:port[-ip:port]]', '10.1.0.1'))
    .addOption(address('-s <src>', 'source ip[:port[-ip:port]]', '10.0.0.1'))
    .addOption(new Option('-D <mac[-mac]>', 'destination MAC (default: broadcast)').argParser(parseMacRange))
    .addOption(
      new Option('-S <mac[-mac]>', 'source MAC (default: made of the name of the port)').argParser(parseMacRange),
    )
    .option('-z', 'random source addresses and ports, within -s')
    .option('-Z', 'random destination addresses and ports, within -d')
    .option('-P <file>', 'send the first frame of a capture (pcap) instead of a made one')
    .option('-r', 'leave the buffers as they are: send what lies in them')
    .option('-X', 'dump each packet to standard error')
    .option('-w <seconds>', 'wait before the first packet', seconds(0), 0)
    .option('-W', 'rx: end at once if there is nothing at the first look')
    .option('-R <rate>', 'packets a second; 0 = as fast as possible', integer(0, 1e12), 0)
    .option('-T <ms>', 'time between live reports', integer(10, 1e9), 1000)
    .option('-p <threads>', 'threads, each with a ring pair of its own and its share of -n and -R', integer(1, 16), 1)
    .addOption(new Option('-C <config>', 'slots and rings of a port that this makes').argParser(parsePortConfig))
    .option('-e <count>', 'extra buffers to ask for', integer(0, 1e6), 0)
    .option('-c <cores>', 'ignored, with a note: the system schedules threads', integer(0, 1024))
    .addOption(refused('-a <cpu>', 'threads cannot be pinned to processors'))
    .addOption(refused('-H <len>', 'the frames have no virtio-net headers'))
    .addOption(refused('-F <frags>', 'packets of several fragments are not made'))
    .addOption(refused('-I', 'frames lie in the buffers of the rings'))
    .addOption(refused('-6', 'frames are IPv4'));
}

export function pktGenOptions(command: Command): PktGenOptions {
  const o = command.opts();
  const [size, minSize = size]: number[] = o.l ?? [MIN_SIZE];
  if (o.l?.length > 2) throw usage('pkt-gen takes -l once or twice');
  if (minSize > size) throw usage('pkt-gen -l: the second size is not above the first one');
  if (o.P !== undefined && (o.f !== 'tx' || o.l !== undefined))
    throw usage('pkt-gen -P goes with -f tx, and without -l');
  if (o.p > 1 && (o.f === 'ping' || o.f === 'pong')) throw usage('pkt-gen -p goes with tx and rx');
  if (o.W && o.f !== 'rx') throw usage('pkt-gen -W goes with rx');
  if (o.c !== undefined) process.stderr.write(`ptnet: pkt-gen -c ${o.c} is ignored: the system schedules threads\n`);
  return {
    program: 'pkt-gen',
    fn: o.f,
    ports: o.i ?? [],
    count: o.n === 0 ? Infinity : o.n,
    size,
    minSize,
    burst: o.b,
    src: o.s,
    dst: o.d,
    srcMac: o.S ?? null,
    dstMac: o.D ?? BROADCAST,
    randomSrc: o.z ?? false,
    randomDst: o.Z ?? false,
    frame: o.P === undefined ? null : firstFrame(o.P),
    rubbish: o.r ?? false,
    dump: o.X ?? false,
    wait: o.w,
    endIfEmpty: o.W ?? false,
    rate: o.R === 0 ? Infinity : o.R,
    report: o.T,
    threads: o.p,
    config: { ...o.C, ...(o.e === 0 ? {} : { extraBufs: o.e }) },
  };
}
