// Which port's txsync and rxsync a kring has (netmap's kring->nm_sync), and one ring of NIOCTXSYNC and NIOCRXSYNC.
import {
  KRING_CONTENDED,
  KRING_DIR,
  KRING_KIND,
  KRING_RING,
  PORT_KIND_LINK,
  PORT_KIND_NIC,
  PORT_KIND_PIPE,
  PORT_KIND_VALE,
  STAT_SYNCS,
  THREAD_ID,
} from '../abi/arena';
import { EBUSY, EIO } from '../abi/errno';
import { NETMAP_RING_CUR, NETMAP_RING_HEAD, NR_TX } from '../abi/netmap';
import { forwardDown, forwards, forwardUp } from '../nic/forward';
import { linkRxsync, linkTxsync, nicTxsync } from '../nic/link';
import { pipeRxsync, pipeTxsync } from '../port/pipe';
import { kringAcquire, kringFinalize, kringReinit, kringRelease, rxPrologue, txPrologue } from '../ring/kring';
import { kringNotify } from '../ring/notify';
import { statAdd } from '../stats/counters';
import { valeRxsync, valeTxsync } from '../vale/switch';

/** The port's own sync, after a successful prologue; the ring is held. Null ports do nothing. */
export function kringSync(kr: usize, self: usize): void {
  const kind = load<u32>(kr, KRING_KIND);
  statAdd(kr, STAT_SYNCS, 1);
  if (load<u32>(kr, KRING_DIR) == NR_TX) {
    if (kind == PORT_KIND_PIPE) pipeTxsync(kr, self);
    else if (kind == PORT_KIND_VALE) valeTxsync(kr, self);
    else if (kind == PORT_KIND_NIC) nicTxsync(kr, self);
    else if (kind == PORT_KIND_LINK) linkTxsync(kr, self);
  } else {
    if (kind == PORT_KIND_PIPE) pipeRxsync(kr, self);
    else if (kind == PORT_KIND_VALE) valeRxsync(kr);
    else if (kind == PORT_KIND_NIC) nicRxsync(kr, self);
    else if (kind == PORT_KIND_LINK) linkRxsync(kr, self);
  }
}

function nicRxsync(kr: usize, self: usize): void {
  if (forwards(kr)) forwardUp(kr, self);
  valeRxsync(kr);
}

/**
 * Syncs one ring of an application on the host: 0, or -EBUSY (somebody else is at it), -EIO (stopped).
 * A failed prologue resets the ring and is counted; a tx ring then sends nothing, an rx ring still receives.
 */
export function ringSync(kr: usize, self: usize): i32 {
  return syncRing(kr, self, 0, 0);
}

/** The same for the first host rx ring of a port that has all NIC tx rings open, `ntx` of them at `tx`: forwards to them. */
export function ringSyncForward(kr: usize, tx: usize, ntx: u32, self: usize): i32 {
  return syncRing(kr, self, tx, ntx);
}

function syncRing(kr: usize, self: usize, tx: usize, ntx: u32): i32 {
  let error = kringAcquire(kr, load<u32>(self, THREAD_ID));
  if (error == -EBUSY) {
    // What the other thread's sync brings, this one would miss, and sleep: the other wakes it. Pairs with `release`.
    atomic.store<u32>(kr, 1, KRING_CONTENDED);
    error = kringAcquire(kr, load<u32>(self, THREAD_ID));
  }
  if (error != 0) return error;
  const ring: usize = load<u32>(kr, KRING_RING);
  if (ring == 0) {
    release(kr, self);
    return -EIO; // the port was closed under its user, by the end of the host
  }
  const head = load<u32>(ring, NETMAP_RING_HEAD); // read once
  const cur = load<u32>(ring, NETMAP_RING_CUR);
  const isTx = load<u32>(kr, KRING_DIR) == NR_TX;
  const valid = isTx ? txPrologue(kr, head, cur) : rxPrologue(kr, head, cur);
  if (!valid) kringReinit(kr);
  else if (ntx != 0 && forwards(kr)) forwardDown(kr, tx, ntx);
  if (valid || !isTx) {
    kringSync(kr, self);
    kringFinalize(kr);
  }
  release(kr, self);
  return 0;
}

/** Lets go of the ring, and then wakes whoever came in vain. */
function release(kr: usize, self: usize): void {
  kringRelease(kr);
  if (atomic.load<u32>(kr, KRING_CONTENDED) == 0) return;
  atomic.store<u32>(kr, 0, KRING_CONTENDED);
  kringNotify(kr, self);
}
