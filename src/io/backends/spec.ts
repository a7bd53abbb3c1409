// What a backend is asked for by name: `KIND:TARGET[,key=value]...`, such as `tap:t0,vnet=12,queues=2` or
// `qemu:unix:a.sock`. A target may have colons and no comma.

import { netmapError } from '../../errors.js';

/** A specification in its parts. Common keys are read here; the others are the kind's own. */
export interface BackendSpec {
  /** As it was written. */
  readonly text: string;
  readonly kind: string;
  readonly target: string;
  /** Name of the interface (`name=`), if one is asked for. */
  readonly name: string | undefined;
  /** Slots of each ring (`slots=`), if they are asked for. */
  readonly slots: number | undefined;
  /** The other options, by key. */
  readonly options: ReadonlyMap<string, string>;
}

/** Whether a text starts as a specification of a backend does: with a kind that is no prefix of netmap's. */
export function isBackendSpec(text: string): boolean {
  const kind = /^([a-z]\w*):/.exec(text)?.[1];
  return kind !== undefined && kind !== 'netmap' && !kind.startsWith('vale');
}

/** @throws NetmapError EINVAL; the message says which part is wrong */
export function parseBackendSpec(text: string): BackendSpec {
  const [head, ...rest] = text.split(',');
  const colon = head.indexOf(':');
  if (!isBackendSpec(text)) throw bad(text, "no kind of backend before the first ':'");
  const options = new Map<string, string>();
  for (const part of rest) {
    const [, key, value] = /^([a-z][\w-]*)=(.*)$/.exec(part) ?? [];
    if (key === undefined) throw bad(text, `'${part}' is no option, which is written key=value`);
    if (options.has(key)) throw bad(text, `option '${key}' is there twice`);
    options.set(key, value);
  }
  const take = (key: string): string | undefined => {
    const value = options.get(key);
    options.delete(key);
    return value;
  };
  const name = take('name');
  const slots = take('slots');
  return {
    text,
    kind: head.slice(0, colon),
    target: head.slice(colon + 1),
    name,
    slots: slots === undefined ? undefined : wholeNumber(text, 'slots', slots, 2, 4096),
    options,
  };
}

/**
 * Reads an option that is a whole number.
 * @throws NetmapError EINVAL when it is none, or out of range
 */
export function wholeNumber(text: string, key: string, value: string, min: number, max: number): number {
  const n = Number(value);
  if (/^\d+$/.test(value) && n >= min && n <= max) return n;
  throw bad(text, `${key}=${value} is no whole number of ${min}..${max}`);
}

/** @throws NetmapError EINVAL when the options have a key that the kind does not know */
export function checkKeys(spec: BackendSpec, known: readonly string[]): void {
  for (const key of spec.options.keys()) {
    if (known.includes(key)) continue;
    throw bad(spec.text, `no option '${key}' of ${spec.kind}: (${['name', 'slots', ...known].join(', ')})`);
  }
}

/** The error of a specification that cannot be used. */
export function bad(text: string, what: string): Error {
  return netmapError('EINVAL', what, { op: 'backend', port: text });
}
