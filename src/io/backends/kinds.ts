// The kinds of backend by name. Each is loaded when it is first used: in the control thread, and in its workers.

import type { BackendKind } from './kind.js';

export const KINDS: Readonly<Record<string, () => Promise<{ readonly kind: BackendKind }>>> = {
  macvtap: () => import('./macvtap.js'),
  packet: () => import('./packet.js'),
  passt: () => import('./passt.js'),
  pcap: () => import('./pcap.js'),
  pcapng: () => import('./pcap.js'),
  qemu: () => import('./qemu.js'),
  tap: () => import('./tap.js'),
  vxlan: () => import('./vxlan.js'),
  ws: () => import('./ws.js'),
  wss: () => import('./ws.js'),
};
