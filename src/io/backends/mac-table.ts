// Which of several peers behind one interface a station is at: learned from source addresses, as a switch does.

/** Bytes of the addresses at the start of a frame. */
const SOURCE = 6;
/** How long (ms) a station that sends nothing stays known: what bridges have by default (IEEE 802.1D, 300 s). */
const AGEING_MS = 300_000;

interface Entry<Peer> {
  peer: Peer;
  seen: number;
}

/** A bounded table of stations. When it is full, the one that was learned first makes room. */
export class MacTable<Peer> {
  readonly #entries = new Map<number, Entry<Peer>>();
  readonly #limit: number;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Notes that the sender of a frame is at a peer. Group addresses are nobody's. @param now milliseconds */
  learn(frame: Uint8Array, at: number, peer: Peer, now: number): void {
    if (frame[at + SOURCE] & 1) return;
    const key = address(frame, at + SOURCE);
    const entry = this.#entries.get(key);
    if (entry) {
      entry.peer = peer;
      entry.seen = now;
      return;
    }
    if (this.#entries.size >= this.#limit) {
      for (const oldest of this.#entries.keys()) {
        this.#entries.delete(oldest);
        break;
      }
    }
    this.#entries.set(key, { peer, seen: now });
  }

  /** The peer that a frame is for; undefined: all of them. */
  lookup(frame: Uint8Array, at: number, now: number): Peer | undefined {
    if (frame[at] & 1) return undefined;
    const key = address(frame, at);
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    if (now - entry.seen <= AGEING_MS) return entry.peer;
    this.#entries.delete(key);
    return undefined;
  }

  /** Forgets a peer's stations. */
  forget(peer: Peer): void {
    for (const [key, entry] of this.#entries) if (entry.peer === peer) this.#entries.delete(key);
  }
}

/** An Ethernet address as a number. */
function address(bytes: Uint8Array, at: number): number {
  const high = (bytes[at] << 16) | (bytes[at + 1] << 8) | bytes[at + 2];
  const low = (bytes[at + 3] << 16) | (bytes[at + 4] << 8) | bytes[at + 5];
  return high * 0x1000000 + low;
}
