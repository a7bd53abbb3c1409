// A program as a string of `ptnet run`: words as a shell splits them, `[guest PORT[,PORT…]] program arguments…`.

import { isBackendSpec } from '../io/backends/spec.js';
import { parseProgramArguments } from './arguments.js';
import { usage } from './errors.js';
import { type ProgramOptions, type ProgramSpec, ptnetUnit } from './programs/options.js';

/** A network interface with all of its rings. */
const NIC = /^netmap:[^-*^@{}/]+$/;

/**
 * Splits a text into words as a POSIX shell does, without expansions: blanks separate; '…' is literal; a backslash in
 * "…" quotes `"`, `\`, `$` and a back quote; elsewhere it quotes any character.
 * @throws UsageError for a quote that is not closed or a backslash at the end
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote = '';
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    const next = text[i + 1];
    if (quote === "'" && char !== "'") {
      word += char;
    } else if (char === quote) {
      quote = '';
    } else if (char === '\\' && (quote === '' || '"\\$`'.includes(next ?? ''))) {
      if (next === undefined) throw usage('a backslash at the end of the program');
      word = (word ?? '') + next;
      i++;
    } else if (quote !== '') {
      word += char;
    } else if (char === "'" || char === '"') {
      quote = char;
      word ??= '';
    } else if (/\s/.test(char)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else {
      word = (word ?? '') + char;
    }
  }
  if (quote !== '') throw usage(`a quote ${quote} that is not closed`);
  if (word !== undefined) words.push(word);
  return words;
}

/**
 * A program as it is written; several, if it is to have several threads.
 * @throws UsageError; the message says what is wrong
 */
export function parsePrograms(text: string): ProgramSpec[] {
  const words = splitWords(text);
  const guest = words[0] === 'guest' ? parseGuestPorts(words[1]) : null;
  const [name, ...args] = guest ? words.slice(2) : words;
  if (name === undefined) throw usage(`no program${guest ? ' after the ports of the guest' : ''}`);
  return makePrograms(text, guest, parseProgramArguments(name, args));
}

/** @throws UsageError when ports are missing or named twice */
export function makePrograms(text: string, guest: readonly string[] | null, options: ProgramOptions): ProgramSpec[] {
  const spec = { text, guest, options, ports: portsOf(guest, options), config: {} };
  if (options.program !== 'pkt-gen') return [spec];
  const { threads, config } = options;
  if (threads === 1) return [{ ...spec, config }];
  if (guest !== null) throw usage('pkt-gen -p: the rings of a guest belong to one driver, and so to one thread');
  const [port] = spec.ports;
  if (isBackendSpec(port)) throw usage(`pkt-gen -p: name '${port}' with --interface, and open its interface`);
  if (/[-*^@]|\/./.test(port)) throw usage(`pkt-gen -p needs all rings of its port, not '${port}'`);
  // Each thread has a ring pair, as netmap's.
  const rings = { txRings: Math.max(threads, config.txRings ?? 0), rxRings: Math.max(threads, config.rxRings ?? 0) };
  return Array.from({ length: threads }, (_, i) => {
    const share = Math.floor((options.count + i) / threads);
    const own = { ...options, count: options.count === Infinity ? Infinity : share, rate: options.rate / threads };
    return {
      ...spec,
      text: `${text} (thread ${i})`,
      options: own,
      ports: [`${port}-${i}`],
      config: { ...config, ...rings },
    };
  });
}

function portsOf(guest: readonly string[] | null, options: ProgramOptions): readonly string[] {
  const { program, ports: given } = options;
  if (program === 'vale-ctl') {
    if (guest !== null) throw usage('vale-ctl acts on the host: it does not run in a guest');
    return [];
  }
  if (program === 'exec') return [];
  const wanted = program === 'bridge' && !options.loopback ? 2 : 1;
  if (given.length === 0 && guest === null) {
    throw usage(`${program} needs ${wanted === 1 ? 'a port: -i PORT' : 'two ports: -i A -i B'}`);
  }
  let ports = given.length > 0 ? given : Array.from({ length: wanted }, (_, i) => `netmap:ptnet${i}`);
  // netmap's bridge of one NIC is between the NIC and its host stack.
  if (ports.length === 1 && wanted === 2 && guest === null && NIC.test(ports[0])) ports = [ports[0], `${ports[0]}^`];
  if (ports.length !== wanted) throw usage(`${program} takes ${wanted} ports (-i), not ${ports.length}`);
  if (guest !== null) for (const port of ports) checkGuestPort(port, guest);
  const distinct = new Set<string | number>(guest ? ports.map(ptnetUnit) : ports);
  if (distinct.size !== ports.length) throw usage(`port '${ports[0]}' is named twice`);
  return ports;
}

function parseGuestPorts(word: string | undefined): string[] {
  const ports: string[] = [];
  for (const part of word?.split(',') ?? []) {
    // Options of a backend are behind commas, too.
    if (/^[a-z][\w-]*=/.test(part) && isBackendSpec(ports.at(-1) ?? '')) ports[ports.length - 1] += `,${part}`;
    else ports.push(part);
  }
  if (ports.length === 0 || ports.includes('')) throw usage('guest needs its ports: guest PORT[,PORT…] program …');
  return ports;
}

function checkGuestPort(port: string, guest: readonly string[]): void {
  const unit = ptnetUnit(port);
  if (unit < 0) throw usage(`'${port}' is not a port of a guest: those are netmap:ptnet0, netmap:ptnet1, …`);
  if (unit >= guest.length) throw usage(`there is no '${port}': the guest has ${guest.length} port(s)`);
}
