// The longest frame of a VALE port: an option of the open that creates it, and the buffers' size while its virtio-net
// header is in use.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NR_ACCEPT_VNET_HDR, PTNET_IO_VNET_HDR_LEN } from '../../src/abi.js';
import { Control } from '../../src/control/control.js';
import { errnoName, NetmapError } from '../../src/errors.js';
import type { OpenOptions } from '../../src/netmap/register.js';

async function withControl(body: (control: Control) => Promise<void>, bufSize = 2048): Promise<void> {
  const control = await Control.create({ shared: false, privatePools: { priv_buf_size: bufSize } });
  try {
    await body(control);
  } finally {
    await control.close();
  }
}

const open = (control: Control, options: OpenOptions): Promise<unknown> =>
  control.call(control.thread.id, 'open', { spec: 'vale0:a', options });

describe('maximum frame size', () => {
  test('is 1514 by default, and any of 64..65535 if the first open says so', () =>
    withControl(async (control) => {
      for (const mfs of [undefined, 64, 1514, 9018, 65535]) {
        await open(control, mfs === undefined ? {} : { mfs });
        assert.equal(control.registry.adapters.get('vale0:a')?.mfs, mfs ?? 1514);
        await open(control, { mfs: 100 });
        assert.equal(control.registry.adapters.get('vale0:a')?.mfs, mfs ?? 1514, 'the port exists already');
        await control.call(control.thread.id, 'closeAll', {});
      }
    }));

  test('of another value is refused, and nothing is left of the port', () =>
    withControl(async (control) => {
      for (const mfs of [63, 0, -1, 65536, 1514.5, Number.NaN, Infinity, '1514' as unknown as number]) {
        await assert.rejects(open(control, { mfs }), (error) => {
          assert.ok(error instanceof NetmapError);
          assert.equal(errnoName(error.errno), 'EINVAL');
          assert.match(error.message, /mfs .* is not within 64\.\.65535/);
          return true;
        });
        assert.equal(control.registry.adapters.size, 0);
      }
    }));

  for (const bufSize of [2048, 65536]) {
    test(`is that of the buffers (${bufSize}) while a guest uses the header, unless more was asked for`, () =>
      withControl(async (control) => {
        const { id } = control.thread;
        for (const [mfs, large] of [
          [1514, Math.min(bufSize, 65535)],
          [9018, Math.max(9018, Math.min(bufSize, 65535))],
        ]) {
          const guest = control.addGuest({});
          const options = { mfs, flags: NR_ACCEPT_VNET_HDR, txSlots: 4, rxSlots: 4 };
          await control.call(id, 'passthrough', { id: guest.id, spec: 'vale0:a', options });
          const adapter = control.registry.adapters.get('vale0:a');
          const [device] = guest.devices;
          for (const [length, expected] of [
            [12, large],
            [0, mfs],
            [10, large],
            [11, large],
            [0, mfs],
          ]) {
            device.ioWrite(PTNET_IO_VNET_HDR_LEN, 4, length);
            assert.equal(adapter?.mfs, expected);
          }
          await control.removeGuest(guest.id);
        }
      }, bufSize));
  }
});
