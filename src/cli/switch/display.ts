// What a running switch shows: on a terminal a table that is drawn anew every second, elsewhere JSON, one object a line.

import type { Output } from '../report.js';
import { withUnit } from '../report.js';
import type { Drops, SwitchPortSnapshot, SwitchSnapshot } from './snapshot.js';
import type { SwitchEvent } from './switch.js';

/** How a switch is shown. */
export interface SwitchDisplay {
  event(event: SwitchEvent): void;
  /** At each interval. */
  stats(snapshot: SwitchSnapshot): void;
  /** The totals. */
  end(totals: SwitchSnapshot): void;
}

/** One object a line, with `event`: `port`, `removed`, `capture`, `stats`, `end`. */
export class JsonDisplay implements SwitchDisplay {
  readonly #out: Output;

  constructor(out: Output) {
    this.#out = out;
  }

  event(event: SwitchEvent): void {
    this.#write(event);
  }

  stats(snapshot: SwitchSnapshot): void {
    this.#write({ event: 'stats', ...snapshot });
  }

  end(totals: SwitchSnapshot): void {
    this.#write({ event: 'end', ...totals });
  }

  #write(value: object): void {
    this.#out.write(`${JSON.stringify(value)}\n`);
  }
}

const CLEAR = '\x1b[H\x1b[J';
/** Lines of the forwarding table and of the events that are shown. */
const FDB_LINES = 16;
const EVENT_LINES = 5;

/** The table. */
export class TableDisplay implements SwitchDisplay {
  readonly #out: Output;
  readonly #events: string[] = [];
  #before: SwitchSnapshot | undefined;

  constructor(out: Output) {
    this.#out = out;
  }

  event(event: SwitchEvent): void {
    this.#events.push(eventLine(event));
    if (this.#events.length > EVENT_LINES) this.#events.shift();
  }

  stats(snapshot: SwitchSnapshot): void {
    const before = this.#before;
    this.#before = snapshot;
    this.#out.write(`${CLEAR}${[...tableOf(snapshot, before), ...this.#events].join('\n')}\n`);
  }

  end(totals: SwitchSnapshot): void {
    this.#out.write(`${CLEAR}${tableOf(totals).join('\n')}\n`);
  }
}

/** `tap0 (tap:t0): retrying, ENODEV: …` */
export function eventLine({ name, spec, state, reason }: SwitchEvent): string {
  return `${name} (${spec}): ${state}${reason === '' ? '' : `, ${reason}`}`;
}

/** The lines of the table: rates since `before`, without it the totals. */
function tableOf(now: SwitchSnapshot, before?: SwitchSnapshot): string[] {
  const { bridge, seconds, fdb, fdbFull } = now;
  const head = ['port', 'state', 'received', 'pps', 'bps', 'sent', 'pps', 'bps', 'drops'];
  const rows = [...now.ports, ...now.removed].map((port) => {
    const then = before?.ports.find(({ name }) => name === port.name);
    const time = then ? seconds - (before as SwitchSnapshot).seconds : Math.max(seconds, 1e-3);
    const rates = (['received', 'sent'] as const).flatMap((way) => [
      withUnit((port[way].packets - (then?.[way].packets ?? 0)) / time, ''),
      withUnit((8 * (port[way].bytes - (then?.[way].bytes ?? 0))) / time, ''),
    ]);
    const { received, sent } = port;
    const state = port.restarts === 0 ? port.state : `${port.state} (${port.restarts} restarts)`;
    return [
      port.name,
      state,
      String(received.packets),
      rates[0],
      rates[1],
      String(sent.packets),
      rates[2],
      rates[3],
    ].concat(dropsOf(port));
  });
  const lines = [`${bridge}: ${rows.length} ports, ${seconds.toFixed(1)} s`, ...columns([head, ...rows])];
  for (const { name, reason } of [...now.ports, ...now.captures]) if (reason !== '') lines.push(`${name}: ${reason}`);
  for (const { name, state, packets, drops } of now.captures) {
    lines.push(`capture ${name}: ${state}, ${packets} packets; drops: ${told('', drops).join(', ') || 'none'}`);
  }
  lines.push(`addresses: ${fdb.length}${fdbFull === 0 ? '' : `, ${fdbFull} found no room`}`);
  for (const { mac, port } of fdb.slice(0, FDB_LINES)) lines.push(`  ${mac}  ${port.slice(bridge.length + 1)}`);
  if (fdb.length > FDB_LINES) lines.push(`  and ${fdb.length - FDB_LINES} more`);
  return lines;
}

function dropsOf({ received, sent }: SwitchPortSnapshot): string {
  return [...told('in ', received.drops), ...told('out ', sent.drops)].join(', ') || 'none';
}

function told(way: string, drops: Drops): string[] {
  return Object.entries(drops).map(([reason, n]) => `${way}${reason} ${n}`);
}

/** Columns as wide as their longest cell, the first two and the last one to the left. */
function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  const last = widths.length - 1;
  return rows.map((row) =>
    row.map((cell, i) => (i < 2 ? cell.padEnd(widths[i]) : i === last ? cell : cell.padStart(widths[i]))).join('  '),
  );
}
