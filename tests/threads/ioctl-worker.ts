// A thread of a program that makes requests to /dev/netmap and blocks in them. The requests are in the memory of the test.
import { Netmap, type NetmapFile, type NetmapHandle } from '../../src/index.js';
import { PROGRAM } from '../support/ioctl-world.js';
import { serve } from './support.js';

let netmap: Netmap;
let file: NetmapFile;

export interface Attach {
  readonly handle: NetmapHandle;
  /** Words of the event descriptors, by number. */
  readonly words: readonly [number, Int32Array][];
  /** A descriptor of another thread. */
  readonly fd?: number;
}

serve({
  attach: async ({ handle, words, fd }: Attach) => {
    netmap = await Netmap.attach(handle);
    const eventfds = new Map(words.map(([number, array]) => [number, netmap.eventfd(array)]));
    file = netmap.openDevice({ ...PROGRAM, eventfds, ...(fd === undefined ? {} : { fd }) });
    return { fd: file.fd, threadId: netmap.threadId };
  },
  ioctl: ({ request, argument }: { request: number; argument: number }) => file.ioctl(request, argument),
  closeFile: () => file.closeSync(),
  close: () => netmap.close(),
});
