// One TCP connection between two network namespaces, by iperf3: what ptnet's interfaces make of it beside a veth pair, and
// beside TAP devices with nothing between them. The rows take turns, round after round.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { openTap } from 'ptnet';
import { watchLoad } from '../load.js';
import { addressOf, Spaces } from '../machine/spaces.js';
import { type Result, type Round, summarise } from '../results.js';
import { type Link, ptnetLink, relayLink, vethLink } from './links.js';

export interface Iperf3Options {
  readonly rounds: number;
  /** Seconds of a run: a whole number, as iperf3 wants it. */
  readonly seconds: number;
}

interface Row {
  readonly name: string;
  readonly link: Link;
  /** Of ours: the relay with the same offloads, its limit. */
  readonly relay?: string;
  readonly needs?: string;
}

const VETH = 'veth';
const RELAY = 'TAP relay, TSO';
const RELAY_MTU = 'TAP relay, no TSO';
const TSO = { header: true, tso: true };
const NO_TSO = { header: true, tso: false };
const NO_HEADER = { header: false, tso: false };

const ROWS: readonly Row[] = [
  { name: VETH, link: vethLink() },
  { name: 'veth, tso gso gro off', link: vethLink(['tso', 'gso', 'gro']), needs: 'ethtool' },
  { name: RELAY, link: relayLink(TSO) },
  { name: 'VALE, header, TSO', link: ptnetLink('VALE', TSO), relay: RELAY },
  { name: 'pipe, header, TSO', link: ptnetLink('pipe', TSO), relay: RELAY },
  { name: RELAY_MTU, link: relayLink(NO_TSO) },
  { name: 'VALE, header, no TSO', link: ptnetLink('VALE', NO_TSO), relay: RELAY_MTU },
  { name: 'VALE, no header', link: ptnetLink('VALE', NO_HEADER), relay: RELAY_MTU },
];

const has = (program: string): boolean => spawnSync(program, ['--version']).error === undefined;

/** Why this machine cannot run the table; undefined if it can. */
export async function whyNoIperf3(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'Linux only';
  if (process.getuid?.() !== 0) return 'it wants root, for namespaces and TAP devices';
  if (!existsSync('/dev/net/tun')) return 'no /dev/net/tun';
  const missing = ['ip', 'iperf3'].filter((program) => !has(program));
  if (missing.length > 0) return `no ${missing.join(', no ')} on the PATH`;
  try {
    new Spaces().close();
    await (await openTap({ name: `pt${process.pid}.t` })).close();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message.split('\n')[0] : String(error);
  }
}

/** What the receiver has got of one connection, in Gbit/s. */
async function run(spaces: Spaces, seconds: number): Promise<number> {
  let listening = (): void => {};
  const ready = new Promise<void>((resolve) => {
    listening = resolve;
  });
  const server = spaces.exec(1, seconds, 'iperf3', ['-s', '-1', '--forceflush'], (text) => {
    if (text.includes('listening')) listening();
  });
  await Promise.race([ready, server]);
  const client = spaces.exec(0, seconds, 'iperf3', ['-c', addressOf(1), '-t', `${seconds}`, '-J']);
  const [report] = await Promise.all([client, server]);
  const { end } = JSON.parse(report) as { end: { sum_received: { bits_per_second: number } } };
  return end.sum_received.bits_per_second / 1e9;
}

async function measure({ link }: Row, seconds: number): Promise<number> {
  const spaces = new Spaces();
  let close = async (): Promise<void> => {};
  try {
    close = await link(spaces);
    return await run(spaces, seconds);
  } finally {
    await close();
    spaces.close();
  }
}

/** The rows that this machine can have. Others are named on stderr. */
export async function iperf3Results({ rounds, seconds }: Iperf3Options): Promise<Result[]> {
  const rows = ROWS.filter(({ name, needs }) => {
    if (needs === undefined || has(needs)) return true;
    console.error(`'${name}' is left out: no ${needs} on the PATH`);
    return false;
  });
  const load = watchLoad();
  const all: Round[] = [];
  for (let i = 0; i < rounds; i++) {
    const round = new Map<string, { value: number }>();
    for (const row of rows) round.set(row.name, { value: await measure(row, seconds) });
    all.push(round);
  }
  const names = rows.map(({ name }) => name);
  const ours = rows.flatMap(({ name, relay }) => (relay === undefined ? [] : [name]));
  const work = { suite: 'iperf3', name: 'one TCP connection', unit: 'Gbit/s', ours, rates: true };
  return summarise(work, names, all, load());
}

/** Those of a row's ratios that the table shows: to veth, and to its relay. */
export function limitsOf({ contender, ratio = {} }: Result): Record<string, number> {
  const relay = ROWS.find(({ name }) => name === contender)?.relay;
  return relay === undefined ? {} : { [VETH]: ratio[VETH], 'its relay': ratio[relay] };
}
