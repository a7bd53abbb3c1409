// The worker that a hostile guest runs in.
import { type GuestHandle, Netmap } from '../../src/index.js';
import { Attacker, type HostileOptions, type Pressure } from './hostile.js';
import { serve } from './support.js';

let attacker: Attacker;

serve({
  attach: async ({ handle, seed, accomplices = [] }: { handle: GuestHandle; seed: number; accomplices?: string[] }) => {
    const { netmap, machine } = await Netmap.attachGuest(handle);
    const sinks = await Promise.all(accomplices.map((spec) => netmap.open(spec)));
    attacker = new Attacker(machine, sinks, seed);
    return machine.functions.find(({ memoryBar }) => memoryBar)?.memoryBar;
  },
  run: (options: HostileOptions) => {
    attacker.run(options);
    return attacker.writes;
  },
  prepare: () => attacker.prepare(),
  press: ({ ms, kind }: { ms: number; kind: Pressure }) => attacker.press(ms, kind),
});
