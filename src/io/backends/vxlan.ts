// VXLAN (RFC 7348): frames of one virtual network in UDP datagrams between machines. Who a frame is for is learned from
// source addresses; what is for all, or for somebody unknown, goes to each remote (head-end replication).

import { createSocket } from 'node:dgram';
import { isIP } from 'node:net';
import { bindTo, DatagramSender } from './datagrams.js';
import type { BackendContext, BackendKind, BackendPlan } from './kind.js';
import { MacTable } from './mac-table.js';
import { Drainer, Injector, MIN_PACKET, oversizedOrRunt, transmitUntil } from './packets.js';
import { canonicalAddress, isLoopback, portNumber, socketError } from './sockets.js';
import { type BackendSpec, bad, checkKeys, wholeNumber } from './spec.js';

/** The port that IANA has assigned, RFC 7348 section 8. */
const VXLAN_PORT = '4789';
const HEADER_SIZE = 8;
/** The I flag: the VNI is valid. The other bits are reserved, and ignored on receipt (RFC 7348 section 5). */
const FLAG_I = 0x08;
const MAX_VNI = 0xffffff;
const MAX_REMOTES = 64;
const MAX_STATIONS = 4096;
/** Of the inner network: 1500 of the outer one without the outer headers and the inner Ethernet header. */
const DEFAULT_MTU = '1450';
/** An Ethernet header with a VLAN tag. */
const LINK_HEADER = 18;

interface VxlanConfig {
  readonly vni: number;
  readonly local: string;
  readonly port: number;
  readonly remotes: readonly string[];
  readonly anyPeer: boolean;
  readonly mtu: number;
}

/** @throws NetmapError EINVAL */
function planVxlan(spec: BackendSpec): VxlanConfig {
  const { text, target, options } = spec;
  checkKeys(spec, ['local', 'remote', 'port', 'mtu', 'peers']);
  const remotes = (options.get('remote')?.split('+') ?? []).map(canonicalAddress);
  const local = canonicalAddress(options.get('local') ?? '');
  const peers = options.get('peers') ?? 'remote';
  if (isIP(local) === 0) throw bad(text, 'local=ADDRESS, the IP address of this machine, is missing');
  for (const remote of remotes) {
    if (isIP(remote) !== isIP(local)) throw bad(text, `remote ${remote} is no IP address of local's family`);
  }
  if (remotes.length > MAX_REMOTES) throw bad(text, `more than ${MAX_REMOTES} remotes`);
  if (peers !== 'remote' && peers !== 'any') throw bad(text, `peers=${peers} is neither remote nor any`);
  if (remotes.length === 0 && peers === 'remote') throw bad(text, 'remote=ADDRESS[+ADDRESS...], or peers=any');
  if (new Set(remotes).size !== remotes.length) throw bad(text, 'a remote is there twice');
  if (isLoopback(local) !== remotes.every(isLoopback) && remotes.length !== 0) {
    throw bad(text, 'local and remote do not reach each other: one of them is loopback');
  }
  return {
    vni: wholeNumber(text, 'VNI', target, 0, MAX_VNI),
    local,
    port: portNumber(text, options.get('port') ?? VXLAN_PORT),
    remotes,
    anyPeer: peers === 'any',
    mtu: wholeNumber(text, 'mtu', options.get('mtu') ?? DEFAULT_MTU, 68, 65435),
  };
}

export const kind: BackendKind = {
  plan(spec: BackendSpec): BackendPlan {
    const config = planVxlan(spec);
    return { name: `vxlan${config.vni}`, interface: {}, workers: [{ direction: 'both', config }] };
  },

  async run(context: BackendContext): Promise<void> {
    const config = context.config as VxlanConfig;
    const { signal } = context;
    const socket = createSocket(isIP(config.local) === 6 ? 'udp6' : 'udp4');
    const over = new AbortController();
    let failure: Error | undefined;
    try {
      await bindTo(socket, config.local, config.port);
      socket.on('error', (error) => {
        failure = error;
        over.abort();
      });
      const sender = new DatagramSender(socket, context.counters, header(config.vni));
      const tunnel = new Tunnel(context, config, sender);
      socket.on('message', (datagram, from) => tunnel.receive(datagram, from.address));
      context.state('up');
      await transmitUntil(context.wire, AbortSignal.any([signal, over.signal]), () => tunnel.transmit());
      await sender.settle();
      if (failure) throw failure;
    } catch (error) {
      throw socketError(error, 'vxlan', context.name);
    } finally {
      socket.close();
    }
  },
};

function header(vni: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(FLAG_I, 0, 0, 0, vni >>> 16, vni >>> 8, vni, 0);
}

class Tunnel {
  readonly #config: VxlanConfig;
  readonly #context: BackendContext;
  readonly #sender: DatagramSender;
  readonly #injector: Injector;
  readonly #drainer: Drainer;
  readonly #stations = new MacTable<string>(MAX_STATIONS);
  readonly #remotes: ReadonlySet<string>;
  readonly #maxFrame: number;
  #now = performance.now();

  constructor(context: BackendContext, config: VxlanConfig, sender: DatagramSender) {
    this.#context = context;
    this.#config = config;
    this.#sender = sender;
    this.#injector = new Injector(context.wire);
    this.#drainer = new Drainer(context.wire);
    this.#remotes = new Set(config.remotes);
    this.#maxFrame = config.mtu + LINK_HEADER;
  }

  receive(datagram: Uint8Array, from: string): void {
    const { counters } = this.#context;
    const { vni, anyPeer } = this.#config;
    const length = datagram.length - HEADER_SIZE;
    if (!anyPeer && !this.#remotes.has(from)) counters.rxDrop('source');
    else if (length < 0 || (datagram[0] & FLAG_I) === 0) counters.rxDrop('framing');
    else if (((datagram[4] << 16) | (datagram[5] << 8) | datagram[6]) !== vni) counters.rxDrop('vni');
    else if (length > this.#maxFrame) counters.rxDrop('oversized');
    else this.#take(datagram, length, from);
  }

  #take(datagram: Uint8Array, length: number, from: string): void {
    const { counters } = this.#context;
    const refused = this.#injector.pushFrom(datagram, HEADER_SIZE, length);
    if (refused) {
      counters.rxDrop(refused);
      return;
    }
    counters.received(1, length);
    this.#injector.flushSoon();
    this.#now = performance.now();
    this.#stations.learn(datagram, HEADER_SIZE, from, this.#now);
  }

  transmit(): void {
    this.#now = performance.now();
    this.#sender.sendAll(this.#drainer, (frame) => this.#send(frame));
  }

  /** @returns false when there is no room for it now */
  #send(frame: Uint8Array): boolean {
    const { counters } = this.#context;
    const { port, remotes } = this.#config;
    if (frame.length > this.#maxFrame || frame.length < MIN_PACKET) {
      counters.txDrop(oversizedOrRunt(frame.length));
      return true;
    }
    const station = this.#stations.lookup(frame, 0, this.#now);
    if (station !== undefined) return this.#sender.send(frame, port, station);
    if (remotes.length === 0) counters.txDrop('down');
    if (this.#sender.room < remotes.length) return false;
    counters.flooded(remotes.length);
    for (const remote of remotes) this.#sender.send(frame, port, remote);
    return true;
  }
}
