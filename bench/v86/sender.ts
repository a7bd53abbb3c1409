// The thread that sends to a guest in the bench of v86: as many frames as its end of the pipe takes.
import { abi, Netmap, type NetmapHandle, receiveWorkerData } from 'ptnet';

const { netmap: handle, data } = await receiveWorkerData<{
  netmap: NetmapHandle;
  data: { name: string; size: number };
}>();
const netmap = await Netmap.attach(handle);
const port = await netmap.open(data.name);
const frame = new Uint8Array(data.size).fill(0xff, 0, 6);
const [ring] = port.txRings;
for (let i = 0; i < ring.numSlots; i++) ring.buf(i, data.size).set(frame);
for (;;) {
  if (ring.space === 0) port.pollSync(abi.POLLOUT);
  const { space } = ring;
  for (let k = 0, i = ring.head; k < space; k++, i = ring.next(i)) ring.setSlot(i, data.size);
  ring.advance(space);
  port.txsync();
}
