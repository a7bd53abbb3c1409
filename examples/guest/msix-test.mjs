// A test of the MSI-X of a ptnet device in an emulator, for any host: the capability, the table and the pending bits (PCI
// Local Bus 3.0, 6.8.2), and what becomes of an interrupt. Interrupts are made as a guest makes them: with its tx rings, by
// doorbells. The device is that of a VALE port that nobody has used yet; register-test.mjs comes before.

const [PTCTL, NUM_TX_RINGS, NUM_RX_RINGS, NUM_TX_SLOTS, GH_BAH, KICK] = [4, 28, 32, 36, 52, 128];
const [ATOK, KTOA] = [8192, 12288];
const [COMMAND, CAPABILITIES, INTX_DISABLE] = [4, 0x34, 0x400];
const [MSIX, ENABLE, FUNCTION_MASK] = [0x11, 0x8000, 0x4000];
const ENTRY = 16;
const MASKED = 1;

/**
 * Runs the test.
 * @param glue
 *   - `registers`: `read(offset, size)` and `write(offset, size, value)` of BAR 0
 *   - `config`: the same of the configuration space, sizes 1, 2 and 4
 *   - `bar(number)`: the same of a memory BAR, as `{ size, read, write }`
 *   - `ram`: `store(address, value)` of words of the guest's RAM
 *   - `takeMessages()`: the messages since the last call, as [address, data]; `takePulses()`: how often the pin was asserted
 *   - `address`: where messages are to go, default 0xfee00000; `above4g`: the same above 4 GiB, if the emulator takes it
 *   - `receive()`, if there is a way: has the device receive a frame in its first rx ring
 *   - `reset()`, if there is one: a reset of the machine
 *   - `settle()`, if messages take time: resolves when they have come
 * @returns what went wrong, one line each; none: all is well
 */
export async function testMsix(glue) {
  const failures = [];
  const check = (what, got, wanted) => {
    const [a, b] = [got, wanted].map((value) => JSON.stringify(value));
    if (a !== b) failures.push(`${what}: ${a}, not ${b}`);
  };
  const { registers, config, ram } = glue;
  const [tx, rx, slots] = [NUM_TX_RINGS, NUM_RX_RINGS, NUM_TX_SLOTS].map((offset) => registers.read(offset, 4));
  const vectors = tx + rx;

  // The capability.
  check('status: there are capabilities', (config.read(6, 2) >>> 4) & 1, 1);
  let at = config.read(CAPABILITIES, 1);
  for (let n = 0; at !== 0 && config.read(at, 1) !== MSIX && n < 48; n++) at = config.read(at + 1, 1);
  if (at === 0) return [...failures, 'no MSI-X capability'];
  check('the capability is aligned', at % 4, 0);
  const control = () => config.read(at + 2, 2);
  check('message control: off, not masked, a vector for each ring', control(), vectors - 1);
  const [table, pba] = [4, 8].map((offset) => config.read(at + offset, 4) >>> 0);
  const bar = glue.bar(table & 7);
  const [tableAt, pbaAt] = [table & ~7, pba & ~7];
  check('table and pending bits are in one BAR', pba & 7, table & 7);
  check('the table is in it', tableAt + ENTRY * vectors <= bar.size, true);
  check('the pending bits are in it', pbaAt + 8 <= bar.size, true);
  check('they are apart', pbaAt + 8 <= tableAt || pbaAt >= tableAt + ENTRY * vectors, true);
  const capability = [0, 4, 8].map((offset) => config.read(at + offset, 4) >>> 0);
  config.write(at, 2, 0);
  config.write(at + 2, 2, 0x3fff);
  for (const offset of [4, 8]) config.write(at + offset, 4, 0xffffffff);
  const after = [0, 4, 8].map((offset) => config.read(at + offset, 4) >>> 0);
  check('the capability is read-only', after, capability);

  // The table.
  const entry = (vector, offset = 0) => tableAt + ENTRY * vector + offset;
  const word = (vector, offset) => bar.read(entry(vector, offset), 4) >>> 0;
  for (let i = 0; i < vectors; i++) check(`vector ${i} is masked at first`, word(i, 12) & MASKED, MASKED);
  for (let i = 0; i < vectors; i++) {
    const values = [0xfee00000 + 0x1000 * i, 0x100 + i, 0xa5a50000 + i];
    for (const [k, value] of values.entries()) bar.write(entry(i, 4 * k), 4, value);
  }
  for (let i = 0; i < vectors; i++) {
    const expected = [0xfee00000 + 0x1000 * i, 0x100 + i, 0xa5a50000 + i];
    check(
      `entry ${i}`,
      [0, 4, 8].map((k) => word(i, k)),
      expected,
    );
  }
  bar.write(entry(0, 9), 1, 0x5a);
  check('a byte of an entry', word(0, 8), 0xa5a55a00);
  bar.write(entry(0, 10), 2, 0x1234);
  check('a word of an entry', word(0, 8), 0x12345a00);
  check('bytes and words are read', [bar.read(entry(0, 9), 1), bar.read(entry(0, 10), 2)], [0x5a, 0x1234]);
  check('across two fields', bar.read(entry(0, 6), 4) >>> 0, 0x5a000000);
  bar.write(pbaAt, 4, 0xffffffff);
  const pending = () => bar.read(pbaAt, 4) >>> 0;
  check('the pending bits are read-only', pending(), 0);

  // Interrupts.
  const heads = Array.from({ length: tx }, () => 0);
  const start = () => {
    for (const [i, value] of [0, ATOK, 0, KTOA].entries()) registers.write(GH_BAH + 4 * i, 4, value);
    registers.write(PTCTL, 4, 1);
    check('CREATE', registers.read(PTCTL, 4), 0);
    for (let i = 0; i < tx; i++) heads[i] = ram.load(ATOK + 64 * i);
  };
  const fire = async (ring) => {
    heads[ring] = (heads[ring] + 1) % slots;
    ram.store(ATOK + 64 * ring + 4, heads[ring]);
    ram.store(ATOK + 64 * ring, heads[ring]);
    registers.write(KICK + 4 * ring, 4, 1);
    await glue.settle?.();
  };
  const seen = async (what, messages, bits, pulses = 0) => {
    await glue.settle?.();
    check(`${what}: messages`, glue.takeMessages(), messages);
    check(`${what}: pending bits`, pending(), bits);
    check(`${what}: pulses of the pin`, glue.takePulses(), pulses);
  };
  const { address = 0xfee00000 } = glue;
  const program = (vector, high = 0) => {
    bar.write(entry(vector), 4, address);
    bar.write(entry(vector, 4), 4, high);
    bar.write(entry(vector, 8), 4, 0x40 + vector);
  };
  const message = (vector, high = 0) => [high * 2 ** 32 + address, 0x40 + vector];
  const mask = (vector, on) => bar.write(entry(vector, 12), 4, on ? MASKED : 0);
  const set = (bits) => config.write(at + 2, 2, bits | (vectors - 1));
  for (let i = 0; i < vectors; i++) program(i);
  glue.takeMessages();
  glue.takePulses();
  start();

  const command = config.read(COMMAND, 2) & ~INTX_DISABLE;
  config.write(COMMAND, 2, command);
  mask(0, false);
  await fire(0);
  await seen('MSI-X off', [], 0, 1);
  config.write(COMMAND, 2, command | INTX_DISABLE);
  await fire(0);
  await seen('MSI-X off, and the pin disabled', [], 0);
  config.write(COMMAND, 2, command);

  set(ENABLE);
  check('message control is stored', control(), ENABLE | (vectors - 1));
  await seen('MSI-X on', [], 0);
  for (let i = 0; i < tx; i++) {
    mask(i, false);
    await fire(i);
    await seen(`tx ring ${i}`, [message(i)], 0);
    await fire(i);
    await seen(`tx ring ${i} again`, [message(i)], 0);
    mask(i, true);
    await fire(i);
    await seen(`vector ${i} masked`, [], 1 << i);
    await fire(i);
    await seen(`vector ${i} masked, twice`, [], 1 << i);
    bar.write(entry(i, 8), 4, 0x80 + i);
    await seen('another field does not unmask', [], 1 << i);
    mask(i, false);
    await seen(`vector ${i} unmasked: once, with what the entry has now`, [[address, 0x80 + i]], 0);
    mask(i, true);
    program(i);
  }
  mask(0, false);
  set(ENABLE | FUNCTION_MASK);
  for (let i = 0; i < tx; i++) await fire(i);
  await seen('the function masked', [], 2 ** tx - 1);
  set(ENABLE);
  await seen('the function unmasked: without another access', [message(0)], 2 ** tx - 2);
  for (let i = 1; i < tx; i++) {
    bar.write(entry(i, 12), 1, 0);
    await seen(`vector ${i} unmasked by a byte`, [message(i)], (2 ** tx - 1) & ~(2 ** (i + 1) - 1));
  }
  if (glue.above4g) {
    program(0, 1);
    await fire(0);
    await seen('an address above 4 GiB', [message(0, 1)], 0);
    program(0);
  }
  ram.store(ATOK + 8, 0);
  await fire(0);
  await seen('not wanted: appl_need_kick is 0', [], 0);
  ram.store(ATOK + 8, 1);
  if (glue.receive) {
    mask(tx, false);
    await glue.receive();
    await seen('the first rx ring has the vector after the tx rings', [message(tx)], 0);
  }
  set(0);
  await fire(0);
  await seen('MSI-X off again', [], 0, 1);
  registers.write(PTCTL, 4, 2);
  if (!glue.reset) return failures;

  set(ENABLE | FUNCTION_MASK);
  start();
  await fire(0);
  await seen('before a reset', [], 1);
  glue.reset();
  check('message control after a reset', control(), vectors - 1);
  set(ENABLE);
  await seen('after a reset', [], 0);
  for (let i = 0; i < vectors; i++) check(`vector ${i} is masked after a reset`, word(i, 12) & MASKED, MASKED);
  set(0);
  return failures;
}
