// The table of docs/ports.md, "poll", as tests: what is done before a poll in the worker that makes it, what happens in
// the main thread while it waits, and what it answers.
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  abi,
  type Guest,
  type HostPort,
  type Netmap,
  type NetmapInterface,
  type NetmapPort,
  type Pollable,
  type PtnetDriver,
} from '../../src/index.js';
import { putFrame, takeFrames } from './ping-pong.js';
import { until } from './support.js';

const { NR_DO_RX_POLL, NR_NO_TX_POLL, POLLERR, POLLIN, POLLOUT, POLLRDNORM, POLLWRNORM } = abi;

export type Kind = 'host' | 'guest';
export type Form = 'await' | 'blocked';

/** The worker's side. */
export interface Bench {
  /** Ends of pipes, unless the row names others. */
  readonly ports: NetmapPort[];
  /** Of a guest. */
  readonly drivers: readonly PtnetDriver[];
  readonly abort: AbortController;
  /** Further things to poll, behind the ports. */
  readonly others: Pollable[];
}

/** The main thread's side. */
export interface Stage {
  readonly netmap: Netmap;
  /** The other ends. */
  readonly peers: readonly HostPort[];
  readonly guest: Guest | undefined;
  /** What the row's `make` has made. */
  readonly made: NetmapInterface | HostPort | undefined;
}

export interface Row {
  /** First column in docs/ports.md. */
  readonly situation: string;
  /** What this row is about, if the situation has several. */
  readonly what?: string;
  /** Default: all. */
  readonly kinds?: readonly Kind[];
  readonly forms?: readonly Form[];
  /** Names of the worker's ports. Default: one end of a pipe. */
  readonly specs?: readonly string[];
  /** Number of pipes, without `specs`. Default 1. */
  readonly pipes?: number;
  /** Flags of the opens (NR_*). */
  readonly flags?: number;
  /** Makes what `specs` name. */
  readonly make?: (netmap: Netmap) => Promise<NetmapInterface | HostPort>;
  /** In the main thread, before the worker does anything. */
  readonly prepare?: (stage: Stage) => unknown;
  /** In the worker, before the poll. */
  readonly before?: (bench: Bench) => unknown;
  /** Events of each port; the last are those of all further ones. Default POLLIN. */
  readonly events?: readonly number[];
  /** ms. Default 10 s: the answer must come without it. */
  readonly timeout?: number;
  /** In the worker, while it waits. Form await only. */
  readonly during?: (bench: Bench) => unknown;
  /** In the main thread, when the poll has certainly begun to sleep. */
  readonly meanwhile?: (stage: Stage) => unknown;
  /** The ready events of each port, or the code or the message of an error. */
  readonly answer: readonly number[] | string;
  /** In the worker, after the poll. */
  readonly after?: (bench: Bench) => unknown;
  /** In the main thread, after all. */
  readonly check?: (stage: Stage) => unknown;
}

/** Slots of every ring; one stays empty. */
export const SLOTS = 8;
const FULL = SLOTS - 1;
const BROADCAST = [255, 255, 255, 255, 255, 255];
const SENDER = [2, 0, 0, 0, 0, 1];
/** How long to look whether nothing happens, ms. */
const A_WHILE = 60;

function queue(port: NetmapPort, count = 1): void {
  for (let i = 0; i < count; i++) putFrame(port.txRings[0], BROADCAST, SENDER, i, 1);
}

function transmit(port: NetmapPort, count = 1): void {
  queue(port, count);
  assert.equal(port.txsync(), 0);
}

/** Takes what there is and releases it: how many slots. */
function drain(port: NetmapPort): number {
  assert.equal(port.rxsync(), 0);
  const taken = takeFrames(port);
  assert.equal(port.rxsync(), 0);
  return taken;
}

/** Waits until frames have come that were sent by a sync that ends before the host has seen them. */
async function arrive(port: NetmapPort, count: number): Promise<void> {
  let got = 0;
  await until(5000, `${count} frames`, () => {
    got += drain(port);
    return got >= count || undefined;
  });
  assert.equal(got, count);
}

/** Fills a tx ring, until the other end's ring is full too. */
async function fill(port: NetmapPort): Promise<void> {
  queue(port, FULL);
  await until(5000, 'a full ring', () => {
    port.txsync();
    return port.txRings[0].space === 0 || undefined;
  });
  await sleep(A_WHILE); // a kernel loop takes what was sent
  port.txsync();
  assert.equal(port.txRings[0].space, 0);
}

/** Until `count` slots have been received. */
async function receive(port: NetmapPort, count: number): Promise<void> {
  await until(5000, `${count} slots`, () => {
    assert.equal(port.rxsync(), 0);
    return port.rxRings[0].space >= count || undefined;
  });
}

const ADDED = async (netmap: Netmap): Promise<NetmapInterface> =>
  netmap.addInterface('eth0', { txSlots: SLOTS, rxSlots: SLOTS });
const closeMade = ({ made }: Stage): Promise<void> | undefined => made?.close();

/** As NETMAP_REQ_OPT_CSB does, which no caller can ask for on a port that others have open (tests/unit/kloop.test.ts). */
function enterCsbMode({ ports }: Bench): void {
  const { info, waiting } = ports[0] as HostPort;
  for (const { kring } of [...info.tx, ...info.rx]) waiting.arena.store(kring + abi.KRING_LOOP, 64);
}

function leaveCsbMode({ ports }: Bench): void {
  const { info, waiting } = ports[0] as HostPort;
  for (const { kring } of [...info.tx, ...info.rx]) waiting.arena.store(kring + abi.KRING_LOOP, 0);
}

const TX = 'POLLOUT, POLLWRNORM';
const RX = 'POLLIN, POLLRDNORM';
const ANY = 'any events, even 0';
const NO_TX_POLL = '`NR_NO_TX_POLL`';
const CSB = 'a port in CSB mode';
const GONE = 'an interface that is gone, or goes';
const CLOSED = 'a closed port, or one that closes during the wait';
const HOST_GONE = 'the host closes';
const GUEST_CLOSED = 'a guest that another thread closes';
const DETACHED = 'the driver of a guest detaches';
const SEVERAL = 'several ports';
const ABORT = '`signal` aborts';
const TIMEOUT = '`timeout` (ms)';
const BAD_TIMEOUT = 'a timeout below 0, or NaN';
const ILLEGAL = 'illegal `head` or `cur`';
const MONITOR = 'a monitor';
const AHEAD = '`cur` ahead of `head`';
const NOTHING = 'nothing ready';

export const rows: readonly Row[] = [
  ...[0, POLLIN, POLLRDNORM].map((event) => ({
    situation: ANY,
    what: `${event} sends what is pending`,
    before: ({ ports }: Bench) => queue(ports[0], 3),
    events: [event],
    timeout: 0,
    answer: [0],
    check: ({ peers }: Stage) => arrive(peers[0], 3),
  })),
  {
    situation: NO_TX_POLL,
    what: 'POLLIN sends nothing',
    flags: NR_NO_TX_POLL,
    before: ({ ports }) => queue(ports[0], 3),
    timeout: A_WHILE,
    answer: [0],
    check: ({ peers }) => assert.equal(drain(peers[0]), 0),
  },
  {
    situation: NO_TX_POLL,
    what: 'POLLOUT does',
    flags: NR_NO_TX_POLL,
    before: ({ ports }) => queue(ports[0], 3),
    events: [POLLOUT],
    answer: [POLLOUT],
    check: ({ peers }) => arrive(peers[0], 3),
  },
  {
    situation: '`NR_DO_RX_POLL`',
    flags: NR_DO_RX_POLL,
    before: ({ ports }) => queue(ports[0], 3),
    timeout: 0,
    answer: [0],
    check: ({ peers }) => arrive(peers[0], 3),
  },
  ...[POLLOUT, POLLWRNORM, POLLOUT | POLLWRNORM, POLLOUT | POLLIN].map((events) => ({
    situation: TX,
    what: `room, bits ${events}`,
    events: [events],
    answer: [events & ~POLLIN],
  })),
  {
    situation: TX,
    what: 'a full ring',
    before: ({ ports }) => fill(ports[0]),
    events: [POLLOUT],
    timeout: A_WHILE,
    answer: [0],
  },
  {
    situation: TX,
    what: 'the receiver of a pipe releases slots',
    before: ({ ports }) => fill(ports[0]),
    events: [POLLOUT],
    meanwhile: ({ peers }) => arrive(peers[0], FULL),
    answer: [POLLOUT],
    after: ({ ports }) => assert.ok(ports[0].txRings[0].space > 0),
  },
  ...[POLLIN, POLLRDNORM, POLLIN | POLLRDNORM].map((events) => ({
    situation: RX,
    what: `a frame is there, bits ${events}`,
    prepare: ({ peers }: Stage) => transmit(peers[0]),
    events: [events],
    answer: [events],
  })),
  {
    situation: RX,
    what: 'a frame comes',
    meanwhile: ({ peers }) => transmit(peers[0]),
    answer: [POLLIN],
    after: ({ ports }) => assert.equal(ports[0].rxRings[0].space, 1),
  },
  {
    situation: RX,
    what: 'slots are released',
    prepare: ({ peers }) => transmit(peers[0], FULL),
    before: async ({ ports }) => {
      await receive(ports[0], FULL);
      takeFrames(ports[0]);
    },
    timeout: 0,
    answer: [0],
    check: ({ peers }) =>
      until(5000, 'room', () => {
        peers[0].txsync();
        return peers[0].txRings[0].space === FULL || undefined;
      }),
  },
  {
    situation: 'no POLLIN',
    prepare: ({ peers }) => transmit(peers[0], FULL),
    before: async ({ ports }) => {
      await receive(ports[0], FULL);
      takeFrames(ports[0]);
    },
    events: [POLLOUT],
    answer: [POLLOUT],
    check: async ({ peers }) => {
      await sleep(A_WHILE);
      peers[0].txsync();
      assert.equal(peers[0].txRings[0].space, 0);
    },
  },
  {
    situation: AHEAD,
    what: 'rx',
    prepare: ({ peers }) => transmit(peers[0], 2),
    before: async ({ ports }) => {
      await receive(ports[0], 2);
      const [ring] = ports[0].rxRings;
      ring.cur = ring.tail;
    },
    meanwhile: ({ peers }) => transmit(peers[0]),
    answer: [POLLIN],
    after: ({ ports }) => assert.equal(ports[0].rxRings[0].space, 3),
  },
  {
    situation: AHEAD,
    what: 'tx',
    before: async ({ ports }) => {
      queue(ports[0], 3);
      const [ring] = ports[0].txRings;
      ring.cur = ring.tail;
    },
    events: [POLLOUT],
    meanwhile: ({ peers }) => arrive(peers[0], 3),
    answer: [POLLOUT],
    after: ({ ports }) => assert.ok(ports[0].txRings[0].space > FULL - 3),
  },
  ...(['head', 'cur'] as const).map((index) => ({
    situation: ILLEGAL,
    what: `${index} of both rings`,
    before: ({ ports }: Bench) => {
      for (const ring of [ports[0].txRings[0], ports[0].rxRings[0]]) ring[index] = 5000;
    },
    events: [POLLIN | POLLOUT],
    answer: [POLLOUT],
    after: async ({ ports }: Bench) => {
      assert.equal((await ports[0].counters()).reinits, 2);
      for (const ring of [ports[0].txRings[0], ports[0].rxRings[0]]) assert.deepEqual([ring.head, ring.cur], [0, 0]);
    },
  })),
  {
    situation: ILLEGAL,
    what: 'a frame that comes later ends the wait',
    before: ({ ports }) => {
      ports[0].rxRings[0].head = 5000;
    },
    meanwhile: ({ peers }) => transmit(peers[0]),
    answer: [POLLIN],
  },
  ...[0, POLLIN, POLLOUT].flatMap((event) =>
    [0, NR_NO_TX_POLL].map((flags) => ({
      situation: CSB,
      what: `events ${event}, flags ${flags}`,
      kinds: ['host'] as const,
      flags,
      before: enterCsbMode,
      events: [event],
      answer: [POLLERR],
      after: leaveCsbMode,
    })),
  ),
  {
    situation: GONE,
    what: 'goes',
    kinds: ['host'],
    make: ADDED,
    specs: ['netmap:eth0'],
    meanwhile: closeMade,
    answer: [POLLERR],
    after: ({ ports }) => assert.deepEqual([ports[0].txsync(), ports[0].rxsync()], [-abi.EIO, -abi.EIO]),
  },
  ...[0, POLLIN, POLLOUT].flatMap((event) =>
    [0, NR_NO_TX_POLL].map((flags) => ({
      situation: GONE,
      what: `is gone, events ${event}, flags ${flags}`,
      kinds: ['host'] as const,
      make: ADDED,
      specs: ['netmap:eth0'],
      flags,
      prepare: closeMade,
      events: [event],
      answer: [POLLERR],
    })),
  ),
  {
    situation: GONE,
    what: 'of rings that are not synced',
    kinds: ['host'],
    make: ADDED,
    specs: ['netmap:eth0/T'],
    flags: NR_NO_TX_POLL,
    meanwhile: closeMade,
    answer: [POLLERR],
  },
  {
    situation: GONE,
    what: 'during the wait of a guest',
    kinds: ['guest'],
    make: ADDED,
    specs: ['netmap:eth0'],
    meanwhile: closeMade,
    answer: [POLLERR],
  },
  {
    situation: MONITOR,
    what: 'sends nothing',
    kinds: ['host'],
    make: (netmap) => netmap.open('vale0:a'),
    specs: ['vale0:a/rt'],
    events: [POLLOUT],
    answer: [POLLERR | POLLOUT],
  },
  {
    situation: MONITOR,
    what: 'its port closes',
    kinds: ['host'],
    make: (netmap) => netmap.open('vale0:a'),
    specs: ['vale0:a/rt'],
    meanwhile: closeMade,
    answer: [POLLERR],
  },
  { situation: CLOSED, what: 'closed', before: ({ ports }) => ports[0].close(), answer: [POLLERR] },
  {
    situation: CLOSED,
    what: 'closes',
    forms: ['await'],
    during: ({ ports }) => ports[0].close(),
    answer: [POLLERR],
  },
  {
    situation: CLOSED,
    what: 'closes, one of two of one interface',
    kinds: ['guest'],
    forms: ['await'],
    before: ({ drivers }) => void drivers[0].open(),
    during: ({ ports }) => ports[0].close(),
    answer: [POLLERR],
  },
  {
    situation: CLOSED,
    what: 'closes, one of three',
    forms: ['await'],
    pipes: 3,
    during: ({ ports }) => ports[1].close(),
    answer: [0, POLLERR, 0],
  },
  {
    situation: GUEST_CLOSED,
    kinds: ['guest'],
    timeout: 500,
    meanwhile: ({ guest }) => guest?.close(),
    answer: [0],
  },
  { situation: HOST_GONE, meanwhile: ({ netmap }) => netmap.close(), answer: [POLLERR] },
  {
    situation: DETACHED,
    what: 'before',
    kinds: ['guest'],
    before: ({ drivers }) => drivers[0].detach(),
    answer: [POLLERR],
  },
  {
    situation: DETACHED,
    what: 'during the wait',
    kinds: ['guest'],
    forms: ['await'],
    during: ({ drivers }) => drivers[0].detach(),
    answer: [POLLERR],
    after: ({ ports }) => assert.deepEqual([ports[0].txsync(), ports[0].rxsync()], [-abi.EIO, -abi.EIO]),
  },
  {
    situation: SEVERAL,
    what: 'one gets a frame',
    pipes: 4,
    meanwhile: ({ peers }) => transmit(peers[2]),
    answer: [0, 0, POLLIN, 0],
  },
  {
    situation: SEVERAL,
    what: 'with events of their own',
    pipes: 3,
    prepare: ({ peers }) => transmit(peers[1]),
    before: ({ ports }) => receive(ports[1], 1),
    events: [POLLOUT, POLLIN | POLLOUT, POLLIN],
    answer: [POLLOUT, POLLIN | POLLOUT, 0],
  },
  {
    situation: SEVERAL,
    what: 'all are synced, although the first is ready',
    pipes: 3,
    before: ({ ports }) => queue(ports[2], 2),
    events: [POLLOUT, POLLIN],
    answer: [POLLOUT, 0, 0],
    check: ({ peers }) => arrive(peers[2], 2),
  },
  {
    situation: SEVERAL,
    what: 'one is closed',
    pipes: 3,
    before: ({ ports }) => ports[1].close(),
    answer: [0, POLLERR, 0],
  },
  {
    situation: SEVERAL,
    what: 'two opens of one port',
    kinds: ['host'],
    specs: ['netmap:p{1', 'netmap:p{1'],
    make: (netmap) => netmap.open('netmap:p}1', { txSlots: SLOTS, rxSlots: SLOTS }),
    meanwhile: ({ made }) => transmit(made as HostPort),
    answer: [POLLIN, POLLIN],
  },
  {
    situation: NOTHING,
    what: 'a frame that came before is not lost',
    prepare: ({ peers }) => transmit(peers[0]),
    before: () => sleep(A_WHILE),
    answer: [POLLIN],
  },
  {
    situation: NOTHING,
    what: 'waits',
    timeout: Infinity,
    meanwhile: ({ peers }) => transmit(peers[0]),
    answer: [POLLIN],
  },
  { situation: TIMEOUT, what: '0 looks once', timeout: 0, answer: [0] },
  {
    situation: TIMEOUT,
    what: '0 finds what is there',
    prepare: ({ peers }) => transmit(peers[0]),
    before: ({ ports }) => receive(ports[0], 1),
    timeout: 0,
    answer: [POLLIN],
  },
  { situation: TIMEOUT, what: '100', timeout: 100, answer: [0] },
  { situation: TIMEOUT, what: '100, of several ports', pipes: 3, timeout: 100, answer: [0, 0, 0] },
  ...[-1, Number.NaN, -Infinity].map((timeout) => ({
    situation: BAD_TIMEOUT,
    what: `${timeout}`,
    timeout,
    answer: 'EINVAL',
  })),
  {
    situation: ABORT,
    what: 'before',
    forms: ['await'],
    before: ({ abort, ports }) => {
      abort.abort(new Error('enough'));
      queue(ports[0]);
    },
    answer: 'enough',
    check: ({ peers }) => assert.equal(drain(peers[0]), 0),
  },
  {
    situation: ABORT,
    what: 'during the wait',
    forms: ['await'],
    during: ({ abort }) => abort.abort(new Error('enough')),
    answer: 'enough',
  },
  { situation: 'ports of several threads, or no port', what: 'none', pipes: 0, answer: 'EINVAL' },
  {
    situation: 'ports of several threads, or no port',
    what: 'of another',
    before: ({ ports, others }) => {
      const waiting = Object.create(ports[0].waiting) as Pollable['waiting'];
      others.push({ name: 'other', waiting, pollOnce: () => POLLIN, subscribe: () => false });
    },
    answer: 'EINVAL',
  },
];
