// NS_INDIRECT: the packet, or a fragment of it, is not in the slot's buffer but at the address in its `ptr`. VALE follows
// it, where netmap copies from the program's address space; NICs and host rings ignore the flag, pipes copy the slot.
//
// DIFF: the address is one of the arena's memory, in a range that a program has registered for the port. Ranges are
// unregistered before their memory is used for anything else: that waits for the syncs that may still see them.
import {
  KRING_BUFSIZE,
  KRING_LOOP,
  KRING_PORT,
  PORT_KIND,
  PORT_KIND_VALE,
  PORT_RANGES,
  PORT_RANGES_MAX,
} from '../abi/arena';
import { NETMAP_SLOT_PTR, NS_INDIRECT } from '../abi/netmap';

/** Whether the flags of a slot of this ring say that its bytes are elsewhere. Not on interfaces, be they on a bridge. */
export function isIndirect(kr: usize, flags: u32): bool {
  return (flags & NS_INDIRECT) != 0 && load<u32>(load<u32>(kr, KRING_PORT), PORT_KIND) == PORT_KIND_VALE;
}

/**
 * Address of the `len` bytes of an indirect slot, which has no offset and needs no buffer. 0 if they are not in a
 * registered range, or longer than a buffer, or if a kernel loop runs the ring: a guest has no addresses here (DIFF).
 */
export function indirectAddress(kr: usize, slot: usize, len: u32): usize {
  if (len > load<u32>(kr, KRING_BUFSIZE)) return 0;
  if (atomic.load<u32>(kr, KRING_LOOP) != 0) return 0;
  const ptr = load<u64>(slot, NETMAP_SLOT_PTR); // the application's: read once
  let range: usize = <usize>load<u32>(kr, KRING_PORT) + PORT_RANGES;
  const end = range + PORT_RANGES_MAX * 8;
  for (; range != end; range += 8) {
    const r = atomic.load<u64>(range);
    const length = r >> 32;
    const at = ptr - (r & 0xffffffff); // of an address before the range: larger than any length
    if (at < length && <u64>len <= length - at) return <usize>ptr;
  }
  return 0;
}
