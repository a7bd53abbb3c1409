// Which port's txsync and rxsync a kring has (netmap's kring->nm_sync), and one ring of NIOCTXSYNC and NIOCRXSYNC.
import {
  KRING_CONTENDED,
  KRING_DIR,
  KRING_HWCUR,
  KRING_HWTAIL,
  KRING_KIND,
  KRING_MONITORED,
  KRING_NSLOTS,
  KRING_PEER,
  KRING_RHEAD,
  KRING_RING,
  KRING_ZMON,
  PORT_KIND_LINK,
  PORT_KIND_MASK,
  PORT_KIND_MONITOR,
  PORT_KIND_NIC,
  PORT_KIND_PIPE,
  PORT_KIND_POLLED,
  PORT_KIND_VALE,
  STAT_SYNCS,
  THREAD_ID,
  THREAD_LOOKING,
} from '../abi/arena';
import { EBUSY, EIO } from '../abi/errno';
import { NETMAP_RING_CUR, NETMAP_RING_HEAD, NR_TX, NS_TXMON } from '../abi/netmap';
import { monitorRx, monitorTx } from '../monitor/copy';
import { monitorSwap } from '../monitor/zcopy';
import { forwardDown, forwards, forwardUp } from '../nic/forward';
import { linkRxsync, linkTxsync, nicTxsync } from '../nic/link';
import { pipeRxsync, pipeTxsync } from '../port/pipe';
import {
  indicesValid,
  kringAcquire,
  kringContend,
  kringFinalize,
  kringReinit,
  kringRelease,
  rxPrologue,
  txPrologue,
} from '../ring/kring';
import { kringNotify } from '../ring/notify';
import { ringNext } from '../ring/wrap';
import { statAdd } from '../stats/counters';
import { valeRxsync, valeTxsync } from '../vale/switch';
import { pollAsk, polledTxsync } from './poll';

/** The port's own sync, after a successful prologue; the ring is held. Null ports do nothing. */
export function kringSync(kr: usize, self: usize): void {
  statAdd(kr, STAT_SYNCS, 1);
  portSync(kr, load<u32>(kr, KRING_KIND), self);
}

function portSync(kr: usize, kind: u32, self: usize): void {
  if (load<u32>(kr, KRING_DIR) == NR_TX) {
    if (kind == PORT_KIND_PIPE) pipeTxsync(kr, self);
    else if (kind == PORT_KIND_VALE) valeTxsync(kr, self);
    else if (kind == PORT_KIND_NIC) nicTxsync(kr, self);
    else if (kind == PORT_KIND_LINK) linkTxsync(kr, self);
    else if ((kind & PORT_KIND_MASK) == PORT_KIND_POLLED) polledTxsync(kr, self);
    else if (kind & KRING_MONITORED) watchedTxsync(kr, kind, self);
  } else {
    if (kind == PORT_KIND_PIPE) pipeRxsync(kr, self);
    else if (kind == PORT_KIND_VALE) valeRxsync(kr);
    else if (kind == PORT_KIND_NIC) nicRxsync(kr, self);
    else if (kind == PORT_KIND_LINK) linkRxsync(kr, self);
    else if (kind == PORT_KIND_MONITOR) monitorRxsync(kr, self);
    else if (kind & KRING_MONITORED) watchedRxsync(kr, kind, self);
  }
}

function nicRxsync(kr: usize, self: usize): void {
  if (forwards(kr)) forwardUp(kr, self);
  linkRxsync(kr, self);
}

/** A monitor also looks for what its ring's owner has not looked for (netmap intercepts the notifications instead). */
function monitorRxsync(kr: usize, self: usize): void {
  const watched: usize = load<u32>(kr, KRING_PEER);
  if (watched != 0 && kringAcquire(watched, load<u32>(self, THREAD_ID)) == 0) {
    kringSync(watched, self);
    release(watched, self);
  }
  valeRxsync(kr);
}

/** Copy monitors see what is sent; zero-copy monitors what the port has released. */
export function watchedTxsync(kr: usize, kind: u32, self: usize): void {
  const n = load<u32>(kr, KRING_NSLOTS);
  const before = load<u32>(kr, KRING_HWTAIL);
  monitorTx(kr, load<u32>(kr, KRING_HWCUR), load<u32>(kr, KRING_RHEAD), self);
  portSync(kr, kind & PORT_KIND_MASK, self);
  const zmon: usize = atomic.load<u32>(kr, KRING_ZMON);
  if (zmon == 0) return;
  monitorSwap(kr, zmon, ringNext(before, n), ringNext(load<u32>(kr, KRING_HWTAIL), n), 0, NS_TXMON, self);
}

/** Zero-copy monitors see what the application has released; copy monitors what is received. */
function watchedRxsync(kr: usize, kind: u32, self: usize): void {
  kind &= PORT_KIND_MASK;
  if (kind == PORT_KIND_NIC && forwards(kr)) forwardUp(kr, self); // before the buffers are others
  const zmon: usize = atomic.load<u32>(kr, KRING_ZMON);
  if (zmon != 0) {
    // A frame that goes on from one monitor to the next keeps its mark.
    const clear: u32 = kind == PORT_KIND_MONITOR ? 0 : NS_TXMON;
    monitorSwap(kr, zmon, load<u32>(kr, KRING_HWCUR), load<u32>(kr, KRING_RHEAD), clear, 0, self);
  }
  if (kind == PORT_KIND_NIC) linkRxsync(kr, self);
  else portSync(kr, kind, self);
  monitorRx(kr, load<u32>(kr, KRING_HWTAIL), self);
}

/**
 * Syncs one ring of an application on the host: 0, or -EBUSY (somebody else is at it), -EIO (stopped).
 * A failed prologue resets the ring and is counted; a tx ring then sends nothing, an rx ring still receives.
 */
export function ringSync(kr: usize, self: usize): i32 {
  if (load<u32>(self, THREAD_LOOKING) != 0) return -EBUSY; // a lookup of the user's syncs: the scratch is in use
  const error = kringContend(kr, load<u32>(self, THREAD_ID));
  if (error == -EBUSY && (load<u32>(kr, KRING_KIND) & PORT_KIND_MASK) == PORT_KIND_POLLED) pollAsk(kr);
  if (error != 0) return error;
  const ring: usize = load<u32>(kr, KRING_RING);
  if (ring == 0) {
    release(kr, self);
    return -EIO; // the port was closed under its user, by the end of the host
  }
  const head = load<u32>(ring, NETMAP_RING_HEAD); // read once
  const cur = load<u32>(ring, NETMAP_RING_CUR);
  const tx = load<u32>(kr, KRING_DIR) == NR_TX;
  const valid = tx ? txPrologue(kr, head, cur) : rxPrologue(kr, head, cur);
  if (!valid) kringReinit(kr);
  if (valid || !tx) {
    kringSync(kr, self);
    kringFinalize(kr);
  }
  release(kr, self);
  return 0;
}

/**
 * Before the sync of the first host rx ring of a port that has all NIC tx rings open, `ntx` of them at `tx`: forwards to
 * them what the application releases. If somebody else is at the ring, that one's sync releases it.
 */
export function ringForward(kr: usize, tx: usize, ntx: u32, self: usize): void {
  if (kringAcquire(kr, load<u32>(self, THREAD_ID)) != 0) return;
  const ring: usize = load<u32>(kr, KRING_RING);
  if (ring != 0 && forwards(kr)) {
    const head = load<u32>(ring, NETMAP_RING_HEAD); // read once
    const n = load<u32>(kr, KRING_NSLOTS);
    if (indicesValid(head, head, load<u32>(kr, KRING_HWCUR), load<u32>(kr, KRING_HWTAIL), n)) {
      forwardDown(kr, tx, ntx, head);
    }
  }
  release(kr, self);
}

/** Lets go of the ring, and then wakes whoever came in vain. */
function release(kr: usize, self: usize): void {
  kringRelease(kr);
  if (atomic.load<u32>(kr, KRING_CONTENDED) == 0) return;
  atomic.store<u32>(kr, 0, KRING_CONTENDED);
  kringNotify(kr, self);
}
