// The options at the end of a port specification (libnetmap's nmport_parse): `@conf:rings=4,rx-slots=128`,
// `@share=vale0:a`. The fields that they set are those of the request.

/** Counts that `@conf` sets; absent ones are not set. */
export interface ConfCounts {
  txRings?: number;
  rxRings?: number;
  txSlots?: number;
  rxSlots?: number;
  hostTxRings?: number;
  hostRxRings?: number;
}

/** What the options of a specification say. */
export interface PortOptions {
  readonly conf?: ConfCounts;
  /** `@share`: the port whose region is to be used, a specification of its own. */
  readonly share?: string;
}

type Field = keyof ConfCounts;
/** Keys of `@conf`, those that set both directions first: the others win, wherever they stand. */
const CONF_KEYS: Readonly<Record<string, readonly Field[]>> = {
  rings: ['txRings', 'rxRings'],
  host_rings: ['hostTxRings', 'hostRxRings'],
  slots: ['txSlots', 'rxSlots'],
  tx_rings: ['txRings'],
  rx_rings: ['rxRings'],
  host_tx_rings: ['hostTxRings'],
  host_rx_rings: ['hostRxRings'],
  tx_slots: ['txSlots'],
  rx_slots: ['rxSlots'],
};
const UNSUPPORTED: ReadonlyMap<string, string> = new Map([
  ['offset', "'@offset' (use the option offsets of open)"],
  ['extmem', "'@extmem'"],
]);

type Refuse = (code: 'EINVAL' | 'EOPNOTSUPP', what: string) => Error;

/**
 * Parses what follows the register part: `text` starts with the `@` of the first option.
 * @param refuse makes the error that is thrown
 */
export function parsePortOptions(text: string, refuse: Refuse): PortOptions {
  const conf: ConfCounts = {};
  let share: string | undefined;
  for (const option of text.slice(1).split('@')) {
    const name = /^\w*/.exec(option)?.[0] ?? '';
    const body = option.slice(name.length);
    const unsupported = UNSUPPORTED.get(name);
    if (name !== 'conf' && name !== 'share' && !unsupported) throw refuse('EINVAL', `there is no option '@${name}'`);
    if (body === '') throw refuse('EINVAL', `no ':' or '=' after '@${name}'`);
    if (unsupported) throw refuse('EOPNOTSUPP', `${unsupported} is not supported`);
    if (name === 'conf') {
      if (body[0] !== ':') throw refuse('EINVAL', "'@conf' wants keys: '@conf:rings=2'");
      readConf(body.slice(1), conf, refuse);
      continue;
    }
    const value = /^(?:=|:port=)(.*)$/.exec(body)?.[1];
    if (value === undefined) throw refuse('EINVAL', "'@share' wants '=' or ':port='");
    if (value === '') throw refuse('EINVAL', "no value after '@share'");
    if (share !== undefined && share !== value) throw refuse('EINVAL', `'@share' of '${share}' and of '${value}'`);
    share = value;
  }
  return { ...(Object.keys(conf).length > 0 ? { conf } : {}), ...(share === undefined ? {} : { share }) };
}

function readConf(body: string, conf: ConfCounts, refuse: Refuse): void {
  const values = new Map<string, number | undefined>();
  for (const part of body === '' ? [] : body.split(',')) {
    const [word, value] = part.split('=', 2);
    const key = word.replaceAll('-', '_');
    if (!Object.hasOwn(CONF_KEYS, key)) throw refuse('EINVAL', `'@conf' has no key '${word}'`);
    if (value === undefined) throw refuse('EINVAL', `no '=' after '${word}'`);
    if (values.has(key)) throw refuse('EINVAL', `'${word}' twice`);
    // DIFF: libnetmap takes the digits at the start of anything, and 0 where there are none.
    if (!/^\d*$/.test(value)) throw refuse('EINVAL', `'${value}' of '${word}' is not a number`);
    values.set(key, value === '' ? undefined : Number(value));
  }
  for (const [key, fields] of Object.entries(CONF_KEYS)) {
    const value = values.get(key);
    if (value !== undefined) for (const field of fields) conf[field] = value;
  }
}
