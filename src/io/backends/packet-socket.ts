// Packet sockets of Linux (packet(7)): sees what an interface receives, and sends on it. Every packet has the 10-byte
// virtio-net header in front, because the kernel gives and takes packets whose checksums and segments are still to be made.

import { check } from '../../errors.js';
import type { Libc } from '../ffi.js';

const AF_PACKET = 17;
const SOCK_RAW = 3;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const ETH_P_ALL = 0x0003;
const SOL_SOCKET = 1;
const SO_RCVBUFFORCE = 33;
const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_STATISTICS = 6;
const PACKET_RX_RING = 5;
const PACKET_COPY_THRESH = 7;
const PACKET_AUXDATA = 8;
const PACKET_VERSION = 10;
const PACKET_VNET_HDR = 15;
const PACKET_IGNORE_OUTGOING = 23;
const PACKET_MR_PROMISC = 1;
const TPACKET_V2 = 1;
const SOCKADDR_LL_SIZE = 20;
const PACKET_MREQ_SIZE = 16;
/** Bytes of packets that wait in the kernel. */
const RECEIVE_BUFFER = 16 << 20;

/** Bytes of header in front of each packet of a packet socket. */
export const PACKET_HEADER = 10;

/** Bytes of a receive ring, of a block, and of the frame that a packet takes. */
export const RING_SIZE = 8 << 20;
const BLOCK_SIZE = 64 << 10;
export const FRAME_SIZE = 2048;
const RING_REQUEST = Uint32Array.of(BLOCK_SIZE, RING_SIZE / BLOCK_SIZE, FRAME_SIZE, RING_SIZE / FRAME_SIZE);

function int(value: number): Uint8Array {
  return new Uint8Array(Int32Array.of(value).buffer);
}

/**
 * Opens a packet socket on an interface: promiscuous, and deaf for what is sent there.
 * @param ring whether it has a receive ring of {@link RING_SIZE} bytes (PACKET_MMAP); packets that are longer than a frame of it
 *   are received by calls, too
 * @returns its descriptor
 * @throws NetmapError ENODEV, EPERM (no CAP_NET_RAW), EOPNOTSUPP (a kernel before 4.20)
 */
export function openPacketSocket(libc: Libc, name: string, ring: boolean): number {
  const index = check(libc.interfaceIndex(name), 'if_nametoindex', name);
  const fd = check(libc.socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), 'socket', name);
  try {
    const set = (option: number, value: Uint8Array): void => {
      check(libc.setsockopt(fd, SOL_PACKET, option, value), 'setsockopt', name);
    };
    set(PACKET_VNET_HDR, int(1));
    set(PACKET_AUXDATA, int(1));
    set(PACKET_IGNORE_OUTGOING, int(1));
    if (ring) {
      set(PACKET_VERSION, int(TPACKET_V2));
      set(PACKET_COPY_THRESH, int(1));
      set(PACKET_RX_RING, new Uint8Array(RING_REQUEST.buffer));
    }
    const membership = new Uint8Array(PACKET_MREQ_SIZE);
    new DataView(membership.buffer).setInt32(0, index, true);
    new DataView(membership.buffer).setUint16(4, PACKET_MR_PROMISC, true);
    set(PACKET_ADD_MEMBERSHIP, membership);
    // Without the right to it, the buffer stays as small as the system's default.
    libc.setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, int(RECEIVE_BUFFER));
    const address = new Uint8Array(SOCKADDR_LL_SIZE);
    const view = new DataView(address.buffer);
    view.setUint16(0, AF_PACKET, true);
    view.setUint16(2, ETH_P_ALL, false);
    view.setInt32(4, index, true);
    check(libc.bind(fd, address), 'bind', name);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

/** Packets that the kernel has dropped because the socket's buffer was full, since the last call. */
export function packetDrops(libc: Libc, fd: number): number {
  const statistics = new Uint32Array(2);
  return libc.getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, new Uint8Array(statistics.buffer)) < 0 ? 0 : statistics[1];
}
