// What the main thread and a program share beside messages: a line of memory, in which the main thread asks the program
// to end, and the program shows how far it is.

/** Bits of the command word. */
const STOP = 1;
const PEERS_GONE = 2;

const COMMAND = 0; // Int32
const PACKETS = 1; // Float64
const BYTES = 2;
const SIZE = 64;

export class ProgramControl {
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #counters: Float64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(SIZE)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#counters = new Float64Array(buffer);
  }

  /** The program shall end soon: a sender at once, others when nothing more is under way to them. */
  stop(): void {
    this.#command(STOP);
  }

  get stopped(): boolean {
    return (Atomics.load(this.#words, COMMAND) & STOP) !== 0;
  }

  /** The other side of the run has ended: all receivers, for a sender; all senders, for the others. */
  peersGone(): void {
    this.#command(PEERS_GONE);
  }

  /** Whether either was said. */
  get commanded(): boolean {
    return Atomics.load(this.#words, COMMAND) !== 0;
  }

  /** Sleeps for `ms` milliseconds, in the program's thread; ends early when something new is said. */
  sleep(ms: number): void {
    Atomics.wait(this.#words, COMMAND, Atomics.load(this.#words, COMMAND), ms);
  }

  get packets(): number {
    return this.#counters[PACKETS];
  }

  get bytes(): number {
    return this.#counters[BYTES];
  }

  /** Shows packets and bytes so far. */
  publish(packets: number, bytes: number): void {
    this.#counters[PACKETS] = packets;
    this.#counters[BYTES] = bytes;
  }

  #command(bit: number): void {
    Atomics.or(this.#words, COMMAND, bit);
    Atomics.notify(this.#words, COMMAND);
  }
}
