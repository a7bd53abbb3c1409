// Two Debian guests in v86 on one switch, ping each other. In a checkout after `npm ci`, or with the packages ptnet and
// v86 installed, on Debian with gcc:
//   node examples/guest/image.mjs && node examples/v86-two-guests.mjs
// The same as a page is examples/v86-two-guests.html.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { V86 } from 'v86';
import { runTwoGuests } from './guest/two-guests.mjs';

const folder = process.argv[2] ?? 'build/guest';
const image = Object.fromEntries(
  ['bios.bin', 'vgabios.bin', 'vmlinuz', 'initrd.gz'].map((name) => {
    const { buffer, byteOffset, length } = readFileSync(`${folder}/${name}`);
    return [name, buffer.slice(byteOffset, byteOffset + length)];
  }),
);
const wasm = fileURLToPath(new URL('v86.wasm', import.meta.resolve('v86')));
const lines = { a: '', b: '' };
let ports = [];

await runTwoGuests({
  V86,
  wasm,
  image,
  onByte: (name, byte) => {
    lines[name] += String.fromCharCode(byte);
    if (byte !== 10) return;
    process.stdout.write(`${name}: ${lines[name]}`);
    lines[name] = '';
  },
  onCounters: (now) => {
    ports = now;
  },
});
for (const { name, counters } of ports) {
  console.log(`${name}: ${counters.txPackets} sent, ${counters.rxPackets} received`);
}
process.exit(0); // v86's timers would hold the process
