// A program with a memory of its own on a switch of the host: a cable copies the frames from one memory to the other. The
// program sees what was sent to it, and nothing else.
import { joinPorts, Netmap } from 'ptnet';

// The host: a switch with a port for somebody who is trusted.
const host = await Netmap.create();
const peer = await host.open('vale0:peer');

// The program's memory, here an empty one. A C program or an emulator brings its own, and says which ranges are free.
const MIB = 1 << 20;
const memory = new WebAssembly.Memory({ initial: 1024, maximum: 1024 });
const program = await Netmap.create({
  memory,
  privateRange: { base: 16 * MIB, size: 4 * MIB },
  regionRange: { base: 20 * MIB, size: 44 * MIB },
});
const port = await program.open('netmap:p{1'); // the program's end of a pipe, which never drops

const cable = joinPorts(await program.open('netmap:p}1'), await host.open('vale0:program'));

const frame = (from, length) => new Uint8Array(length).fill(0xff, 0, 6).fill(from, 6, 12); // a broadcast
async function receive(who, from) {
  for await (const frames of from) {
    for (const { length } of frames) console.log(`${who} received a frame of ${length} bytes`);
    return;
  }
}

await port.send(frame(2, 60));
await receive('the peer', peer);
await peer.send(frame(4, 1514));
await receive('the program', port);

const { aToB, bToA } = cable.counters();
console.log(`passed on: ${aToB.frames} out, ${bToA.frames} in`);
await cable.close();
await program.close();
await host.close();
