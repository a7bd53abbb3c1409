// Arguments: netmap's letters of pkt-gen and bridge, and the options of a run, as commander options.

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { LoopMode } from '../index.js';
import { usage } from './errors.js';
import type { AddressRange, BridgeOptions, PktGenOptions, ProgramOptions } from './programs/options.js';

/** Bytes of the smallest Ethernet frame without CRC, and the largest length that a slot can hold. */
const MIN_SIZE = 60;
const MAX_SIZE = 65535;
const MAX_BURST = 8192;
const DEFAULT_PORT = 1234;
/** Names the file with tunables if no option does. */
const LOADER_CONF = 'PTNET_LOADER_CONF';
const BROADCAST = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff];

/** Options of `ptnet run`, and of a program that runs alone. */
export interface RunOptions {
  readonly loop: LoopMode;
  readonly threads?: number;
  readonly slots?: number;
  readonly rings?: number;
  /** MiB. */
  readonly memory?: number;
  /** Seconds. */
  readonly duration?: number;
  /** File with tunables. */
  readonly loaderConf?: string;
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly debug?: boolean;
}

const bad = (what: string): Error => new InvalidArgumentError(what);

function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw bad(`It must be a whole number, ${min} to ${max}.`);
  };
}

function seconds(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+(\.\d+)?$/.test(text) && value >= min && value <= 1e6) return value;
    throw bad(`It must be a number of seconds, at least ${min}.`);
  };
}

function frameSize(text: string): number {
  const size = Number(text);
  if (/^\d+$/.test(text) && size >= MIN_SIZE && size <= MAX_SIZE) return size;
  throw bad(`A frame has ${MIN_SIZE} to ${MAX_SIZE} bytes, and must fit a buffer.`);
}

function parseFunction(text: string): string {
  if (text === 'tx' || text === 'rx') return text;
  if (text === 'ping' || text === 'pong')
    throw usage(`pkt-gen -f ${text} is not there yet: tx and rx are`, 'EOPNOTSUPP');
  throw bad('It must be tx or rx.');
}

function one(what: string): (text: string) => number {
  return (text) => {
    if (text === '1') return 1;
    throw bad(`A program has one ${what}.`);
  };
}

/** Six pairs of hexadecimal digits. */
export function parseMac(text: string): number[] {
  if (!/^[\da-f]{1,2}(:[\da-f]{1,2}){5}$/i.test(text))
    throw bad('It must be a MAC address, such as 02:00:00:00:00:01.');
  return text.split(':').map((byte) => Number.parseInt(byte, 16));
}

function parseIp(text: string): number {
  const bytes = text.split('.').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : 256));
  if (bytes.length !== 4 || bytes.some((byte) => byte > 255)) throw bad(`'${text}' is not an IPv4 address.`);
  return ((bytes[0] << 24) | (bytes[1] << 16) | (bytes[2] << 8) | bytes[3]) >>> 0;
}

function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 0xffff) return Number(text);
  throw bad(`'${text}' is not a UDP port.`);
}

/** netmap's form of a range: `ip[:port[-ip:port]]`; the port is 1234 by default, the second one the first. */
export function parseRange(text: string): AddressRange {
  const [first, last, ...more] = text.split('-').map((end) => end.split(':'));
  if (more.length > 0 || first.length > 2 || (last?.length ?? 0) > 2) throw bad('It must be ip[:port[-ip:port]].');
  const ip = parseIp(first[0]);
  const port = first.length === 2 ? parsePort(first[1]) : DEFAULT_PORT;
  const otherIp = last ? parseIp(last[0]) : ip;
  const otherPort = last?.length === 2 ? parsePort(last[1]) : port;
  return {
    firstIp: Math.min(ip, otherIp),
    lastIp: Math.max(ip, otherIp),
    firstPort: Math.min(port, otherPort),
    lastPort: Math.max(port, otherPort),
  };
}

const portOption = (description: string): Option =>
  new Option('-i <port>', description).argParser((port: string, previous: string[] | undefined) => [
    ...(previous ?? []),
    port,
  ]);

/** A program's command; alone, its help names the program only. */
export function pktGenCommand(): Command {
  return new Command('pkt-gen')
    .description('Sends or receives UDP frames at full rate (the tx and rx functions of pkt-gen of netmap).')
    .addOption(portOption('port, such as vale0:a or netmap:p{1; in a guest netmap:ptnet0, which is the default'))
    .option('-f <function>', 'tx sends, rx receives', parseFunction, 'rx')
    .option('-n <count>', 'packets to send or receive; 0 = no limit', integer(0, Number.MAX_SAFE_INTEGER), 0)
    .option('-l <size>', 'bytes of a frame without CRC', frameSize, MIN_SIZE)
    .option('-b <burst>', 'slots handled between two syncs', integer(1, MAX_BURST), 512)
    .addOption(address('-d <dst>', 'destination ip[:port[-ip:port]]', '10.1.0.1'))
    .addOption(address('-s <src>', 'source ip[:port[-ip:port]]', '10.0.0.1'))
    .addOption(new Option('-D <mac>', 'destination MAC (default: broadcast)').argParser(parseMac))
    .addOption(new Option('-S <mac>', 'source MAC (default: one made of the name of the port)').argParser(parseMac))
    .option('-w <seconds>', 'wait before the first packet', seconds(0), 0)
    .option('-R <rate>', 'packets a second; 0 = as fast as possible', integer(0, 1e12), 0)
    .option('-T <ms>', 'time between live reports', integer(10, 1e9), 1000)
    .option('-c <cores>', '1: a program has one core', one('core'), 1)
    .option('-p <threads>', '1: a program has one thread', one('thread'), 1)
    .option('-a <cpu>', 'ignored: threads are not pinned');
}

function address(flags: string, description: string, fallback: string): Option {
  return new Option(flags, description).argParser(parseRange).default(parseRange(fallback), fallback);
}

export function bridgeCommand(): Command {
  return new Command('bridge')
    .description('Forwards frames between two ports, both ways; without a copy where they share a memory region.')
    .addOption(portOption('one of the two ports; in a guest netmap:ptnet0 and netmap:ptnet1 by default'))
    .option('-b <burst>', 'slots moved between two syncs', integer(1, MAX_BURST), 1024)
    .option('-w <seconds>', 'wait before the first packet', seconds(0), 0);
}

export function pktGenOptions(command: Command): PktGenOptions {
  const o = command.opts();
  return {
    program: 'pkt-gen',
    fn: o.f,
    ports: o.i ?? [],
    count: o.n === 0 ? Infinity : o.n,
    size: o.l,
    burst: o.b,
    src: o.s,
    dst: o.d,
    srcMac: o.S ?? null,
    dstMac: o.D ?? BROADCAST,
    wait: o.w,
    rate: o.R === 0 ? Infinity : o.R,
    report: o.T,
  };
}

export function bridgeOptions(command: Command): BridgeOptions {
  const { i, b, w } = command.opts();
  return { program: 'bridge', ports: i ?? [], burst: b, wait: w };
}

/** The option that names the file with tunables. */
export function loaderConfOption(): Option {
  return new Option('--loader-conf <file>', 'tunables, in the form of loader.conf(5)').env(LOADER_CONF);
}

export function addRunOptions(command: Command): Command {
  return command
    .optionsGroup('Options of the run:')
    .addOption(
      new Option(
        '--loop <mode>',
        'how the kernel loop of a guest runs: in the thread of the guest, or in a loop worker',
      )
        .choices(['direct', 'notify', 'busy'])
        .default('direct'),
    )
    .option('--threads <n>', 'loop workers (default: 0, or 1 if the loop mode needs it)', integer(0, 31))
    .option('--slots <n>', 'slots of each ring', integer(2, 16384))
    .option('--rings <n>', 'ring pairs of each port', integer(1, 64))
    .option('--memory <MiB>', 'memory of the host (default: 1024)', integer(96, 4095))
    .option('--duration <seconds>', 'end the run after this time', seconds(0.001))
    .addOption(loaderConfOption())
    .option('--json', 'one JSON object a line for each program at its end, instead of the summary')
    .option('--quiet', 'no live rates')
    .option('--debug', 'errors with their stacks');
}

/**
 * Arguments of a program in a string of `ptnet run`.
 * @throws UsageError; CommanderError when the help of the program was asked for and printed
 */
export function parseProgramArguments(name: string, args: readonly string[]): ProgramOptions {
  if (name === 'exec') {
    const [file, ...rest] = args;
    if (file === undefined) throw usage('exec needs a program: exec PROGRAM.wasm arguments…');
    return { program: 'exec', ports: [], file, args: rest };
  }
  if (name !== 'pkt-gen' && name !== 'bridge') {
    throw usage(`there is no program '${name}': pkt-gen, bridge and exec are`);
  }
  const command = name === 'pkt-gen' ? pktGenCommand() : bridgeCommand();
  command.exitOverride().configureOutput({ outputError: () => {} });
  try {
    command.parse(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode !== 0) throw usage(commanderText(error));
    throw error;
  }
  return name === 'pkt-gen' ? pktGenOptions(command) : bridgeOptions(command);
}

/** The message of a commander error on one line, without its prefix and its full stop. */
export function commanderText(error: Error): string {
  const line = error.message.replace(/\s+/g, ' ').trim();
  return line.replace(/^error: /, '').replace(/\.$/, '');
}
