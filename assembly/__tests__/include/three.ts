// Three ports of one ring on a bridge, at indices 0, 1 and 2: what most specs of the switch start from.
import { ALL, drain, mac, newBridge, send, valePort } from './vale';
import { sync, txKring } from './world';

export let bridge: usize = 0;
export let a: usize = 0;
export let b: usize = 0;
export let c: usize = 0;
export let tx: usize = 0;

/** On a fresh bridge, which has learned nothing. */
export function three(): void {
  bridge = newBridge();
  a = valePort(bridge, 0);
  b = valePort(bridge, 1);
  c = valePort(bridge, 2);
  tx = txKring(a);
}

/** The switch has learned mac(p) for each port p. */
function introduce(): void {
  send(txKring(a), ALL, mac(0), 60, 0);
  sync(txKring(a));
  send(txKring(b), ALL, mac(1), 60, 0);
  sync(txKring(b));
  send(txKring(c), ALL, mac(2), 60, 0);
  sync(txKring(c));
  drain(a);
  drain(b);
  drain(c);
}

export function threeKnown(): void {
  three();
  introduce();
}
