// Two workers, each with a guest's program, and all that moves frames between workers. `pipe`, `vale`: the programs never
// sleep, and each runs its own kernel loop. `notify`: they sleep while there is nothing to do, and the kernel loops run in
// a third thread; natively, too. All contenders write and read length and number of each frame; the proof compares all bytes.
import { memifContender, vhostContender } from '../machine/testpmd.js';
import { byteRing, hostPair, messages, nativePair, ptnetPair, slotRing } from '../pairs.js';
import type { SuiteOptions, TimedCase } from '../types.js';
import { PIPE, VALE } from '../world.js';

const UNIT = 'ns/packet';

export function workersSuite({ native, sizes, quick }: SuiteOptions): TimedCase[] {
  const suite = 'workers';
  const [size] = sizes;
  const pipe = { names: PIPE, size, frames: true, loop: 'direct' as const };
  const vale = { ...pipe, names: VALE };
  // A peer with processes of its own takes seconds to start.
  const testpmd = quick ? [] : [() => memifContender(size), () => vhostContender(size)];
  return [
    {
      suite,
      name: `pipe ${size}`,
      unit: UNIT,
      entrants: [
        () => ptnetPair(pipe),
        () => hostPair(size, true),
        () => nativePair(native, 'threads-pipe', size),
        () => messages(size, 'packed'),
        () => messages(size, 'arrays'),
        () => messages(size, 'single'),
        () => byteRing(size),
        () => slotRing(size, true),
        () => slotRing(size, true, true),
      ],
    },
    {
      suite,
      name: 'pipe, slots only',
      unit: UNIT,
      entrants: [
        () => ptnetPair({ ...pipe, frames: false }),
        () => ptnetPair({ ...pipe, frames: false, inWasm: true }),
        () => hostPair(size, false),
        () => hostPair(size, false, true),
        () => nativePair(native, 'threads-slots', size),
        () => slotRing(size, false),
      ],
    },
    {
      suite,
      name: `vale ${size}`,
      unit: UNIT,
      entrants: [() => ptnetPair(vale), () => nativePair(native, 'threads-vale', size), ...testpmd],
    },
    {
      suite,
      name: `notify pipe ${size}`,
      unit: UNIT,
      entrants: [() => ptnetPair({ ...pipe, loop: 'notify' }), () => nativePair(native, 'notify-pipe', size)],
    },
    {
      suite,
      name: `notify vale ${size}`,
      unit: UNIT,
      entrants: [() => ptnetPair({ ...vale, loop: 'notify' }), () => nativePair(native, 'notify-vale', size)],
    },
  ];
}
