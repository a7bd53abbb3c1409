// Packet offsets (NETMAP_REQ_OPT_OFFSETS): where in its buffer a slot's packet starts.
import { KRING_OFS_MASK, KRING_OFS_MAX } from '../abi/arena';
import { NETMAP_SLOT_PTR } from '../abi/netmap';

/** Whether slots of the ring have offsets: the fast loops do not know them. */
export function hasOffsets(kr: usize): bool {
  return load<u64>(kr, KRING_OFS_MASK) != 0;
}

/** Offset of the packet in the slot's buffer, at most the ring's maximum. The slot's owner may change it at any time. */
export function slotOffset(kr: usize, slot: usize): u32 {
  return hasOffsets(kr) ? offsetIn(kr, load<u64>(slot, NETMAP_SLOT_PTR)) : 0;
}

/** The same of a slot whose `ptr` has been read; 0 where slots have none. */
export function offsetIn(kr: usize, ptr: u64): u32 {
  return <u32>min<u64>(ptr & load<u64>(kr, KRING_OFS_MASK), load<u32>(kr, KRING_OFS_MAX));
}
