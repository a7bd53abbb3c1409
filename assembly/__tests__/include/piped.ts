// A kernel loop over one end of a pipe, and an application of the host at the other: what the specs of the loop start from.
import { KLOOP_MODE_BUSY, KLOOP_MODE_DIRECT, KLOOP_MODE_NOTIFY } from '../../abi/arena';
import { guest, newLoop, serve } from './loop';
import { advance, avail, newPipe, peerOf, rxKring, sync, txKring, turnTo } from './world';

export const MODES: u32[] = [KLOOP_MODE_BUSY, KLOOP_MODE_NOTIFY, KLOOP_MODE_DIRECT];
export const N: u32 = 8;
export const TX: u32 = 0;
export const RX: u32 = 1;

export let loop: usize = 0;
export let host: usize = 0; // the far end of the guest's pipe

/** A loop over one end of a pipe that has already moved `at` slots each way. */
export function piped(mode: u32, at: u32 = 0, budget: u32 = 4096): void {
  const port = newPipe(N);
  host = peerOf(port);
  turnTo(txKring(port), at);
  turnTo(rxKring(port), at);
  turnTo(txKring(host), at);
  turnTo(rxKring(host), at);
  loop = newLoop(port, mode, budget);
  serve(loop);
}

export function hostSends(k: u32): void {
  advance(txKring(host), k);
  sync(txKring(host));
}

export function hostReleases(k: u32): void {
  const rx = rxKring(host);
  sync(rx);
  advance(rx, min(k, avail(rx)));
  sync(rx);
}
