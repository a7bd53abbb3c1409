// The table that the main job prints.

/** Host counters of the named ports, summed: they are read before the ports close. */
export async function portCounters(netmap, ...names) {
  const { ports } = await netmap.inspect();
  const sum = { drops: {}, kicks: 0, interrupts: 0 };
  for (const { counters } of ports.filter(({ name }) => names.includes(name))) {
    sum.kicks += counters.kicks;
    sum.interrupts += counters.interrupts;
    for (const [reason, n] of Object.entries(counters.drops)) {
      if (n > 0) sum.drops[reason] = (sum.drops[reason] ?? 0) + n;
    }
  }
  return sum;
}

/** `size`: bytes of each frame, or the frames themselves. */
export function row(label, packets, size, seconds, { drops, kicks, interrupts }) {
  const bytes = typeof size === 'number' ? packets * size : size.reduce((n, frame) => n + frame.length, 0);
  const perMillion = (n) => (packets === 0 ? '-' : ((n * 1e6) / packets).toFixed(0));
  return {
    run: label,
    packets: String(packets),
    Mpps: (packets / seconds / 1e6).toFixed(2),
    'Gbit/s': ((bytes * 8) / seconds / 1e9).toFixed(2),
    'kicks/M': perMillion(kicks),
    'irqs/M': perMillion(interrupts),
    drops:
      Object.entries(drops)
        .map(([reason, n]) => `${reason} ${n}`)
        .join(', ') || 'none',
  };
}

export function table(rows) {
  const columns = Object.keys(rows[0]);
  const width = (c) => Math.max(c.length, ...rows.map((r) => r[c].length));
  const line = (cells) =>
    columns
      .map((c) => (c === 'run' || c === 'drops' ? cells[c].padEnd(width(c)) : cells[c].padStart(width(c))))
      .join('  ');
  const head = Object.fromEntries(columns.map((c) => [c, c]));
  const rule = Object.fromEntries(columns.map((c) => [c, '-'.repeat(width(c))]));
  return [head, rule, ...rows].map((r) => line(r).trimEnd()).join('\n');
}
