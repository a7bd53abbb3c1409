// Sends and receives the frames of a capture, by the convenient calls.

/** Sends all frames; with `pace`, waits a moment after each `pace` of them. */
export async function sendCapture(port, frames, pace = Infinity) {
  for (const [i, frame] of frames.entries()) {
    await port.send(frame);
    if ((i + 1) % pace === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

/** Receives as many frames and compares each with what was sent. */
export async function receiveCapture(port, expected) {
  let i = 0;
  for await (const frames of port) {
    for (const frame of frames) {
      if (Buffer.compare(frame, expected[i]) !== 0) throw new Error(`frame ${i} differs from what was sent`);
      i++;
    }
    if (i === expected.length) return;
  }
  throw new Error(`only ${i} of ${expected.length} frames arrived`);
}
