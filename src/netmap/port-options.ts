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
/** Options that libnetmap has and that are options of `open` here: the keys, the first of which must be there, and why. */
const UNSUPPORTED: Readonly<Record<string, { readonly keys: readonly string[]; readonly why: string }>> = {
  offset: { keys: ['initial', 'bits'], why: "'@offset' is not supported: use the option offsets of open" },
  extmem: {
    keys: ['file', 'if_num', 'if_size', 'ring_num', 'ring_size', 'buf_num', 'buf_size'],
    why: "'@extmem' is not supported: no file is mapped here, use the option extmem of open with memory of your own",
  },
};

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
    const unsupported = Object.hasOwn(UNSUPPORTED, name) ? UNSUPPORTED[name] : undefined;
    if (name !== 'conf' && name !== 'share' && !unsupported) throw refuse('EINVAL', `there is no option '@${name}'`);
    if (body === '') throw refuse('EINVAL', `no ':' or '=' after '@${name}'`);
    if (unsupported) throw refuseOption(name, body, unsupported.keys, unsupported.why, refuse);
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

/** What is wrong with an option that is not supported: first how it is written, as the keys of `@conf`. */
function refuseOption(name: string, body: string, keys: readonly string[], why: string, refuse: Refuse): Error {
  const parts = body[0] === '=' ? [`${keys[0]}${body}`] : body === ':' ? [] : body.slice(1).split(',');
  const seen = new Map<string, string>();
  for (const part of parts) {
    const [word, ...rest] = part.split('=');
    const key = word.replaceAll('-', '_');
    if (!keys.includes(key)) return refuse('EINVAL', `'@${name}' has no key '${word}'`);
    if (rest.length === 0) return refuse('EINVAL', `no '=' after '${word}'`);
    if (seen.has(key)) return refuse('EINVAL', `'${word}' twice`);
    seen.set(key, rest.join('='));
  }
  if (!seen.get(keys[0])) return refuse('EINVAL', `'@${name}' wants '=' or ':${keys[0]}='`);
  return refuse('EOPNOTSUPP', why);
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
