// The hot path of an application: slots are filled and read through the ring's typed array, without allocation.

/** Puts a frame header into every buffer of a tx ring; the buffers stay in the ring of a VALE port or come back to a pipe's. */
export function writeFrames(ring, to, from) {
  for (let i = 0; i < ring.numSlots; i++) {
    const buf = ring.buf(i, 60);
    buf.set(to, 0);
    buf.set(from, 6);
    buf.set([0x88, 0xb5], 12); // local experimental ethertype
  }
}

/** Queues n frames of `len` bytes. */
export function fill(ring, n, len) {
  const { i32, slotBase, numSlots } = ring;
  let i = ring.head;
  for (let k = 0; k < n; k++) {
    i32[slotBase + (i << 2) + 1] = len;
    i = i + 1 === numSlots ? 0 : i + 1;
  }
  ring.head = i;
  ring.cur = i;
}

/** Releases everything that was received; returns how many frames that were. */
export function drain(ring) {
  const { numSlots } = ring;
  const { head, tail } = ring;
  ring.head = tail;
  ring.cur = tail;
  return tail >= head ? tail - head : tail - head + numSlots;
}
