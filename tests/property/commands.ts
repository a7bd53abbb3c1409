// What may happen to a host, as plain data, and how often: the commands that oracle.test.ts gives to the host and to the
// oracle. Numbers are taken modulo what there is, so that every command means something.

import fc from 'fast-check';
import { BROADCAST, MACS } from './addresses.js';
import { NS_BUF_CHANGED, NS_INDIRECT, NS_MOREFRAG } from './oracle.js';
import { type Geometry, GLOBAL, type OpenRequest } from './oracle-host.js';
import { NS_FORWARD } from './oracle-nic.js';
import { ODD_ADDRESSES, PROGRAM_BASE, PROGRAM_BYTES, PROGRAM_FRAMES, RANGES } from './program-memory.js';

/** Which slot: a ring of an endpoint, and a distance from the ring's head. */
export interface Place {
  readonly endpoint: number;
  readonly dir: 'tx' | 'rx';
  readonly ring: number;
  readonly slot: number;
}

export interface Frame {
  readonly dst: string;
  readonly src: string;
  readonly body: number;
}

/** What a slot is overwritten with. */
export interface Spoiled {
  readonly bufIdx?: number;
  readonly len: number;
  readonly flags: number;
  readonly ptr?: number;
}

export interface Sending {
  readonly frames: readonly Frame[];
  readonly sizes: readonly number[];
  /** Slots that are spoiled before the sync. */
  readonly spoiled: readonly (Spoiled & { readonly slot: number })[];
}

export type Command =
  | ({ readonly op: 'open' } & OpenRequest)
  | { readonly op: 'close'; readonly endpoint: number }
  | ({ readonly op: 'slot'; readonly at: Place } & Spoiled)
  | { readonly op: 'payload'; readonly at: Place; readonly frame: Frame }
  | { readonly op: 'swap'; readonly at: Place; readonly with: Place }
  | { readonly op: 'extra'; readonly at: Place }
  | { readonly op: 'advance'; readonly at: Place; readonly ahead: number }
  | { readonly op: 'poke'; readonly at: Place; readonly head?: number; readonly cur?: number }
  | { readonly op: 'range'; readonly endpoint: number; readonly which: number; readonly on: boolean }
  | ({ readonly op: 'send'; readonly at: Place } & Sending)
  | { readonly op: 'receive'; readonly endpoint: number; readonly most: number }
  | { readonly op: 'drain' }
  | { readonly op: 'txsync' | 'rxsync'; readonly endpoint: number }
  | { readonly op: 'restart'; readonly endpoint: number }
  | { readonly op: 'plug'; readonly name: string; readonly geometry: Geometry }
  | { readonly op: 'unplug' | 'detach'; readonly name: string }
  | { readonly op: 'attach'; readonly bridge: string; readonly name: string; readonly withHost: boolean }
  | { readonly op: 'forward'; readonly at: Place; readonly on: boolean };

const OFTEN = ['vale0:a', 'vale0:b', 'vale0:c', 'p{1', 'p}1'];
const NAMES = [...OFTEN, ...OFTEN, 'vale1:a', 'p{2', 'p}2', 'p', 'vale0:a{1', 'vale0:a}1'];

const mac = fc.constantFrom(...MACS);
const endpoint = fc.nat(12);
const frame: fc.Arbitrary<Frame> = fc.record({
  dst: fc.oneof({ weight: 6, arbitrary: mac }, { weight: 1, arbitrary: fc.constant(BROADCAST) }),
  src: fc.oneof({ weight: 9, arbitrary: mac }, { weight: 1, arbitrary: fc.constant('01:00:5e:00:00:01') }),
  body: fc.nat(255),
});
const place = (dir: fc.Arbitrary<'tx' | 'rx'>): fc.Arbitrary<Place> =>
  fc.record({ endpoint, dir, ring: fc.nat(1), slot: fc.nat(8) });
const anyDir = fc.constantFrom<'tx' | 'rx'>('tx', 'rx');

/** Lengths around what matters: empty, an Ethernet header, the size of a buffer (128), 16 bits. */
const len = fc.oneof(
  { weight: 6, arbitrary: fc.integer({ min: 14, max: 128 }) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 13, 14, 127, 128, 129, 0xffff) },
);
const flag = (value: number, weight: number): fc.Arbitrary<number> =>
  fc.oneof({ weight: 10, arbitrary: fc.constant(0) }, { weight, arbitrary: fc.constant(value) });
const flags = fc
  .tuple(flag(NS_MOREFRAG, 6), flag(NS_BUF_CHANGED, 3), flag(NS_INDIRECT, 1), flag(NS_FORWARD, 2), flag(0x8000, 1))
  .map((bits) => bits.reduce((a, b) => a | b, 0));
/** Buffer indices that no slot may have, the last good one, and some that are somebody's. */
const bufIdx = fc.oneof(fc.constantFrom(0, 1, -1, -2, 0x7fffffff, 0xffffffff), fc.integer({ min: 2, max: 40 }));
const index = fc.oneof(fc.nat(9), fc.constantFrom(0x7fffffff, 0x80000000, 0xffffffff));

const slots = fc.constantFrom(1, 2, 3, 5, 8, 8, 16, 16);
const ringCount = fc.constantFrom(1, 1, 1, 2);
const config: fc.Arbitrary<Partial<Geometry>> = fc.record({
  txRings: ringCount,
  rxRings: ringCount,
  txSlots: slots,
  rxSlots: slots,
});
const rarely = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

const optional = <T>(key: string, value: T | undefined): Record<string, T> =>
  value === undefined ? {} : { [key]: value };
/** Addresses in the program's memory, most of them of a frame. */
const address = fc.oneof(
  { weight: 6, arbitrary: fc.nat(PROGRAM_FRAMES - 1).map((f) => PROGRAM_BASE + 100 * f) },
  { weight: 3, arbitrary: fc.nat(PROGRAM_BYTES.length).map((at) => PROGRAM_BASE + at) },
  { weight: 1, arbitrary: fc.constantFrom(...ODD_ADDRESSES) },
);
const direct = fc
  .tuple(fc.option(bufIdx, { freq: 2 }), len, flags)
  .map(([idx, l, f]) => ({ ...optional('bufIdx', idx ?? undefined), len: l, flags: f }));
const indirect = fc.tuple(direct, address).map(([slot, ptr]) => ({ ...slot, flags: slot.flags | NS_INDIRECT, ptr }));
const spoiled: fc.Arbitrary<Spoiled> = fc.oneof(direct, indirect);

const offsets = fc.record({
  max: fc.constantFrom(0, 16, 40, 64, 128, 129),
  initial: fc.constantFrom(0, 0, 0, 16, 41),
  bits: fc.constantFrom(0, 0, 8, 8, 8, 6, 64, 65),
});

export const openCommand: fc.Arbitrary<Command> = fc.record({
  op: fc.constant('open' as const),
  name: fc.constantFrom(...NAMES),
  config,
  dirs: fc.constantFrom('both', 'both', 'both', 'both', 'tx', 'rx'),
  exclusive: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  ring: rarely(fc.nat(2)),
  extraBufs: fc.constantFrom(0, 0, 0, 1, 3, 40),
  offsets: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: offsets }),
  sameRegionAs: rarely(fc.constantFrom(GLOBAL, GLOBAL, GLOBAL, ...NAMES)),
});

export const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 3, arbitrary: openCommand },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('close' as const), endpoint }) },
  {
    weight: 3,
    arbitrary: fc.tuple(place(anyDir), spoiled).map(([at, slot]) => ({ op: 'slot' as const, at, ...slot })),
  },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('payload' as const), at: place(anyDir), frame }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('swap' as const), at: place(anyDir), with: place(anyDir) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('extra' as const), at: place(anyDir) }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('advance' as const), at: place(anyDir), ahead: fc.nat(4) }) },
  {
    weight: 1,
    arbitrary: fc
      .record({ op: fc.constant('poke' as const), at: place(anyDir), h: fc.option(index), c: fc.option(index) })
      .map(({ op, at, h, c }) => ({ op, at, ...optional('head', h ?? undefined), ...optional('cur', c ?? undefined) })),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      op: fc.constant('send' as const),
      at: place(fc.constant('tx')),
      frames: fc.array(frame, { minLength: 1, maxLength: 8 }),
      sizes: fc.array(fc.integer({ min: 14, max: 300 }), { minLength: 1, maxLength: 4 }),
      spoiled: fc
        .array(fc.tuple(fc.nat(8), spoiled), { maxLength: 2 })
        .map((slots) => slots.map(([slot, how]) => ({ slot, ...how }))),
    }),
  },
  { weight: 5, arbitrary: fc.record({ op: fc.constant('receive' as const), endpoint, most: fc.nat(10) }) },
  { weight: 4, arbitrary: fc.constant({ op: 'drain' as const }) },
  {
    weight: 4,
    arbitrary: fc.record({
      op: fc.constant('range' as const),
      endpoint,
      which: fc.constantFrom(...RANGES.keys(), RANGES.length - 1),
      on: fc.constantFrom(true, true, true, false),
    }),
  },
  { weight: 4, arbitrary: fc.record({ op: fc.constantFrom('txsync' as const, 'rxsync' as const), endpoint }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('restart' as const), endpoint }) },
);

const INTERFACES = ['eth0', 'eth1'];
const interfaceName = fc.constantFrom(...INTERFACES);

/** Opens of interfaces and of what hangs on them, and monitors of all kinds of ports. */
const openOfInterface: fc.Arbitrary<Command> = fc
  .tuple(
    openCommand,
    fc.constantFrom('eth0', 'eth0', 'eth1', 'eth0{1', 'eth0}1', 'vale0:eth0'),
    rarely(fc.constantFrom('^', '*')),
  )
  .map(([open, name, host]) => ({ ...open, name, ...optional('host', host) }) as Command);
const openOfMonitor: fc.Arbitrary<Command> = fc
  .tuple(
    openCommand,
    fc.constantFrom('eth0', 'eth0', 'eth1', 'vale0:a', 'vale0:a', 'vale0:b', 'p{1', 'p}1'),
    fc.constantFrom('t', 'r', 'rt', 'z', 'z'),
    rarely(fc.constantFrom('^', '*')),
  )
  .map(([open, name, monitor, host]) => ({ ...open, name, monitor, ...optional('host', host) }) as Command);

const plug = fc.record({
  op: fc.constant('plug' as const),
  name: interfaceName,
  geometry: fc.record({
    txRings: fc.constantFrom(1, 2),
    rxRings: fc.constantFrom(1, 2),
    txSlots: fc.constantFrom(2, 5, 8),
    rxSlots: fc.constantFrom(2, 5, 8),
  }),
});

/** A world with interfaces from the start. */
export const portsStart: fc.Arbitrary<Command[]> = fc
  .tuple(plug, plug, fc.array(fc.oneof(openCommand, openOfInterface), { minLength: 3, maxLength: 6 }))
  .map(([a, b, opens]) => [{ ...a, name: 'eth0' }, { ...b, name: 'eth1' }, ...opens]);

export const portsCommand: fc.Arbitrary<Command> = fc.oneof(
  { weight: 24, arbitrary: command },
  { weight: 3, arbitrary: openOfInterface },
  { weight: 4, arbitrary: openOfMonitor },
  { weight: 1, arbitrary: plug },
  {
    weight: 1,
    arbitrary: fc.record({ op: fc.constantFrom('unplug' as const, 'detach' as const), name: interfaceName }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('attach' as const),
      bridge: fc.constantFrom('vale0', 'vale0', 'vale1'),
      name: fc.constantFrom('eth0', 'eth1', 'none'),
      withHost: fc.boolean(),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ op: fc.constant('forward' as const), at: place(fc.constant('rx')), on: fc.boolean() }),
  },
);
