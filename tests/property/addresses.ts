// MAC addresses that the commands send from and to.

import { bucketOf } from './oracle-vale.js';

export { BROADCAST } from './oracle-vale.js';

/** Addresses of one bucket of the forwarding table, more than it has room for, and some others. */
function addresses(): string[] {
  const found: string[] = [];
  const bucket = bucketOf('02:00:00:00:00:01');
  for (let i = 1; found.length < 11; i++) {
    const mac = `02:00:00:00:${(i >> 8).toString(16).padStart(2, '0')}:${(i & 255).toString(16).padStart(2, '0')}`;
    if (bucketOf(mac) === bucket) found.push(mac);
  }
  return [...found, 'aa:bb:cc:dd:ee:00', '02:ff:ff:ff:ff:ff', '00:00:00:00:00:00'];
}
export const MACS = addresses();
