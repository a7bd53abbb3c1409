// What a guest may see: a passed-through region holds that guest's ports only, and CSB addresses go through a translator.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  PTNET_IO_CSB_GH_BAL,
  PTNET_IO_CSB_HG_BAL,
  PTNET_IO_PTCTL,
  PTNETMAP_PCI_NETIF_ID,
  PTNETMAP_PTCTL_CREATE,
} from '../../src/abi.js';
import { Netmap } from '../../src/control/netmap.js';

const options = { memorySize: 512 << 20 };
const busy = { code: 'EBUSY' };

test('a port in the region of a passed-through port is refused to the host and to other guests', async () => {
  const netmap = await Netmap.create(options);
  const guest = await netmap.createGuest();
  const other = await netmap.createGuest();
  await guest.passthrough('vale0:a');
  const [{ memId }] = (await netmap.inspect()).ports;
  const before = await netmap.inspect();
  await assert.rejects(netmap.open(`vale0:b@${memId}`), busy);
  await assert.rejects(other.passthrough(`vale0:c@${memId}`), busy);
  assert.deepEqual(await netmap.inspect(), before);
  await guest.passthrough(`vale1:d@${memId}`); // its own second port may share it: slots can then be swapped
  const shared = await netmap.open(`vale0:e@${memId}`, { shareRegion: true });
  assert.equal(shared.memId, memId);
  await netmap.close();
});

test('a port whose region the host uses is not passed through; the other end of a pipe may be', async () => {
  const netmap = await Netmap.create(options);
  const guest = await netmap.createGuest();
  const host = await netmap.open('vale0:a');
  await assert.rejects(guest.passthrough(`vale0:b@${host.memId}`), busy);
  const end = await netmap.open('netmap:p{1');
  await guest.passthrough('netmap:p}1');
  const other = await netmap.createGuest();
  await assert.rejects(other.passthrough('netmap:p{2'), busy); // the same region, another pipe
  await end.close();
  await guest.close();
  await other.passthrough('netmap:p{2');
  await netmap.close();
});

test('an embedder translates CSB addresses, or refuses them', async () => {
  const memory = new WebAssembly.Memory({ initial: 4096, maximum: 4096, shared: true });
  const ram = 128 << 20; // guest RAM: a part of the embedder's memory, outside the host's ranges
  const netmap = await Netmap.create({
    memory,
    privateRange: { base: 64, size: 16 << 20 },
    regionRange: { base: 32 << 20, size: 64 << 20 },
  });
  const asked: [number, number][] = [];
  const guest = await netmap.createGuest({
    translate: (gpa, length) => {
      asked.push([gpa, length]);
      return gpa < 8192 ? ram + gpa : undefined;
    },
  });
  await guest.passthrough('vale0:a');
  const device = (await guest.machine()).functions.find((f) => f.deviceId === PTNETMAP_PCI_NETIF_ID);
  assert.ok(device);
  const create = (): number => {
    device.ioWrite(PTNET_IO_PTCTL, 4, PTNETMAP_PTCTL_CREATE);
    return device.ioRead(PTNET_IO_PTCTL, 4);
  };
  device.ioWrite(PTNET_IO_CSB_GH_BAL, 4, 4096);
  device.ioWrite(PTNET_IO_CSB_HG_BAL, 4, 0x10000000);
  assert.equal(create(), 6, 'ENXIO: the second address was refused');
  device.ioWrite(PTNET_IO_CSB_HG_BAL, 4, 4160 + 64);
  assert.equal(create(), 0);
  assert.deepEqual(asked, [
    [4096, 128],
    [0x10000000, 128],
    [4224, 128],
  ]);
  const words = new Uint32Array(memory.buffer, ram + 4224, 4);
  assert.deepEqual([...words], [0, 1023, 1, 0], 'ktoa of the tx ring: hwcur, hwtail, kern_need_kick');
  await netmap.close();
});
