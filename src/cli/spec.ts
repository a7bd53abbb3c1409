// A program as a string of `ptnet run`: words as a shell splits them, `[guest PORT[,PORT…]] program arguments…`.

import { parseProgramArguments } from './arguments.js';
import { usage } from './errors.js';
import { type ProgramOptions, type ProgramSpec, ptnetUnit } from './programs/options.js';

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

/** @throws UsageError; the message says what is wrong */
export function parseProgram(text: string): ProgramSpec {
  const words = splitWords(text);
  const guest = words[0] === 'guest' ? parseGuestPorts(words[1]) : null;
  const [name, ...args] = guest ? words.slice(2) : words;
  if (name === undefined) throw usage(`no program${guest ? ' after the ports of the guest' : ''}`);
  return makeProgram(text, guest, parseProgramArguments(name, args));
}

/** @throws UsageError when ports are missing or named twice */
export function makeProgram(text: string, guest: readonly string[] | null, options: ProgramOptions): ProgramSpec {
  const { program } = options;
  if (program === 'exec') return { text, guest, options, ports: [] };
  const wanted = program === 'bridge' ? 2 : 1;
  const given = options.ports;
  if (given.length === 0 && guest === null) {
    throw usage(`${program} needs ${wanted === 1 ? 'a port: -i PORT' : 'two ports: -i A -i B'}`);
  }
  const ports = given.length > 0 ? given : Array.from({ length: wanted }, (_, i) => `netmap:ptnet${i}`);
  if (ports.length !== wanted) throw usage(`${program} takes ${wanted} ports (-i), not ${ports.length}`);
  if (guest !== null) for (const port of ports) checkGuestPort(port, guest);
  const distinct = new Set<string | number>(guest ? ports.map(ptnetUnit) : ports);
  if (distinct.size !== ports.length) throw usage(`port '${ports[0]}' is named twice`);
  return { text, guest, options, ports };
}

function parseGuestPorts(word: string | undefined): string[] {
  const ports = word?.split(',') ?? [];
  if (ports.length === 0 || ports.includes('')) throw usage('guest needs its ports: guest PORT[,PORT…] program …');
  return ports;
}

function checkGuestPort(port: string, guest: readonly string[]): void {
  const unit = ptnetUnit(port);
  if (unit < 0) throw usage(`'${port}' is not a port of a guest: those are netmap:ptnet0, netmap:ptnet1, …`);
  if (unit >= guest.length) throw usage(`there is no '${port}': the guest has ${guest.length} port(s)`);
}
