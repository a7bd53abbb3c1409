// A test of the glue between an emulator and a ptnet device with its memdev, for any host: it does what a guest's driver, and
// a careless one, does to the registers, and looks at them, at the CSB in the guest's RAM and at the region. The device is
// that of a VALE port that nobody has used yet. Interrupts have a test of their own: msix-test.mjs.

const EINVAL = 22;
const ENXIO = 6;
const [PTFEAT, PTCTL, MAC_LO, CSBBAH, NIFP_OFS, NUM_TX_RINGS, NUM_RX_RINGS] = [0, 4, 8, 16, 24, 28, 32];
const [NUM_TX_SLOTS, NUM_RX_SLOTS, VNET_HDR_LEN, HOSTMEMID] = [36, 40, 44, 48];
const [GH_BAH, GH_BAL, HG_BAH, HG_BAL, END, KICK, SIZE] = [52, 56, 60, 64, 68, 128, 256];
const READ_ONLY = [MAC_LO, MAC_LO + 4, NIFP_OFS, NUM_TX_RINGS, NUM_RX_RINGS, NUM_TX_SLOTS, NUM_RX_SLOTS, HOSTMEMID];
const MEMDEV_SIZE = 128;
const MEMDEV_REGISTERS = [0, 4, 8, 64, 68, 72, 76, 80, 84, 88, 92, 96];

const write = (offset, value, size = 4) => ({ offset, value, size });
const expect = (offset, expected, size = 4) => ({ offset, expected, size });
const command = (value, result) => [write(PTCTL, value), expect(PTCTL, result)];
const csb = (atok, ktoa, high = 0) => [
  write(GH_BAH, high),
  write(GH_BAL, atok),
  write(HG_BAH, high),
  write(HG_BAL, ktoa),
];

/** The rows of the test: a name and accesses, for a device with `rings` rings in a guest with `ram` bytes of RAM. */
function rows(rings, ram) {
  const last = ram - 64 * rings;
  return [
    ['features: what is wanted and supported', write(PTFEAT, 0xffffffff), expect(PTFEAT, 1)],
    [
      'bytes of a register: the others stay',
      write(PTFEAT + 1, 0, 1),
      expect(PTFEAT, 1),
      write(PTFEAT + 2, 0xffff, 2),
      expect(PTFEAT, 1),
      write(PTFEAT, 0, 1),
      expect(PTFEAT, 0),
    ],
    [
      'header length: 12 and 0, not 11',
      write(VNET_HDR_LEN, 12),
      write(VNET_HDR_LEN, 11),
      expect(VNET_HDR_LEN, 12),
      write(VNET_HDR_LEN, 0, 2),
      expect(VNET_HDR_LEN, 0),
    ],
    [
      'doorbells before CREATE',
      write(KICK, 1),
      write(KICK + 4 * rings, 1),
      write(KICK + 124, 1),
      write(SIZE - 1, 1, 4),
    ],
    ['an unknown command', ...command(77, EINVAL), ...command(0, EINVAL)],
    ['DELETE while stopped', ...command(2, 0)],
    ['CREATE without a CSB', ...command(1, ENXIO)],
    [
      'the page of the old CSB is no array',
      ...csb(0, 8192),
      write(CSBBAH, 0),
      write(CSBBAH + 4, 4096),
      ...command(1, ENXIO),
      write(HG_BAL, 0),
    ],
    ['doorbells read 0', write(KICK, 1), expect(KICK, 0), write(KICK, 0xff, 1), expect(KICK, 0, 1)],
    ['CREATE with half of it', write(GH_BAL, 4096), ...command(1, ENXIO)],
    ['a CSB behind the RAM', ...csb(ram, 4096), ...command(1, ENXIO)],
    ['a CSB across the end of the RAM', ...csb(4096, last + 64), ...command(1, ENXIO)],
    ['a CSB above 4 GiB', ...csb(4096, 8192, 1), ...command(1, ENXIO)],
    ['a CSB that is not aligned', ...csb(4096 + 32, 8192), ...command(1, ENXIO)],
    ['a CSB at the end of the RAM', ...csb(4096, last), ...command(1, 0), ...command(1, 0), ...command(2, 0)],
    ['the high half counts when the low one is written', write(GH_BAH, 1), ...command(1, 0), ...command(2, 0)],
    [
      'halves of an address in words',
      write(GH_BAH, 0),
      write(GH_BAL, 4096, 2),
      write(GH_BAL + 2, 0, 2),
      ...command(1, 0),
    ],
    ['a new address stops the loop', write(HG_BAL, 0), ...command(1, ENXIO), ...csb(8192, 4096), ...command(1, 0)],
    ['the command register in bytes', write(PTCTL, 2, 1), expect(PTCTL, 0, 1)],
    ['address 0 takes it away', ...csb(0, last), ...command(1, ENXIO)],
  ];
}

/** Whether reads of 16 and 32 bits, at every offset, are those of the bytes; and that what is not a register reads 0. */
function checkReads(check, read, size, isRegister) {
  const byte = (offset) => (offset < size ? read(offset, 1) >>> 0 : 0);
  for (let offset = 0; offset < size; offset++) {
    const bytes = [0, 1, 2, 3].map((i) => byte(offset + i));
    check(`16 bits at ${offset}`, read(offset, 2) >>> 0, bytes[0] + 256 * bytes[1]);
    check(
      `32 bits at ${offset}`,
      read(offset, 4) >>> 0,
      bytes[0] + 256 * bytes[1] + 65536 * bytes[2] + 2 ** 24 * bytes[3],
    );
    if (!isRegister(offset & ~3)) check(`${offset}, which is no register`, bytes[0], 0);
  }
}

/** Writes of all widths to registers that only the host changes. */
function checkReadOnly(check, { read, write: put }, offsets) {
  const values = new Map(offsets.map((offset) => [offset, read(offset, 4) >>> 0]));
  for (const offset of offsets) {
    for (const size of [1, 2, 4]) {
      for (let at = offset; at <= offset + 4 - size; at++) {
        const all = 0xffffffff >>> (32 - 8 * size);
        for (const value of [0, all]) put(at, size, value);
      }
    }
  }
  for (const [offset, value] of values) check(`${offset} is read-only`, read(offset, 4) >>> 0, value);
}

/** Failures of `what: got, not wanted`. */
function recorder() {
  const failures = [];
  const check = (what, got, wanted) => {
    if (got !== wanted) failures.push(`${what}: ${got}, not ${wanted}`);
  };
  return { failures, check };
}

/**
 * Runs the test of a ptnet device.
 * @param glue `read(offset, size)` and `write(offset, size, value)` of BAR 0, sizes 1, 2 and 4, any offset; `ram` of the
 *   guest with `size`, and `load(address)` and `store(address, value)` of words; `reset()`, a reset of the machine, if
 *   the emulator has it
 * @returns what went wrong, one line each; none: all is well
 */
export function testRegisters({ read, write: put, ram, reset }) {
  const { failures, check } = recorder();
  const access = (what, accesses) => {
    for (const { offset, size, value, expected } of accesses) {
      if (expected === undefined) put(offset, size, value);
      else check(`${what}: ${size} bytes at ${offset}`, read(offset, size) >>> 0, expected);
    }
  };
  const [tx, rx, slots] = [NUM_TX_RINGS, NUM_RX_RINGS, NUM_TX_SLOTS].map((offset) => read(offset, 4));
  const rings = tx + rx;
  check('at least a ring of each direction, 32 in all', tx > 0 && rx > 0 && rings <= 32, true);
  check('an address of a station, not of a group', (read(MAC_LO + 4, 4) >>> 8) & 1, 0);
  const csbRegisters = new Set([CSBBAH, CSBBAH + 4, GH_BAH, GH_BAL, HG_BAH, HG_BAL]);
  checkReads(check, read, SIZE, (offset) => offset < END && !csbRegisters.has(offset));
  checkReadOnly(check, { read, write: put }, READ_ONLY);
  for (const [what, ...accesses] of rows(rings, ram.size)) access(what, accesses);

  // The CSB as CREATE leaves it, and that DELETE lets go of it.
  const [atok, ktoa] = [8192, 12288];
  const guard = 0xeeeeeeee | 0;
  const start = (what) => {
    for (let at = atok - 64; at < ktoa + 64 * rings + 64; at += 4) ram.store(at, guard);
    access(what, [...csb(atok, ktoa), ...command(1, 0)]);
  };
  const words = (base, ring, n) => Array.from({ length: n }, (_, i) => ram.load(base + 64 * ring + 4 * i)).join();
  start('CREATE');
  for (let ring = 0; ring < rings; ring++) {
    check(`atok of ring ${ring}: head, cur, appl_need_kick, sync_flags`, words(atok, ring, 4), '0,0,1,1');
    const hwtail = ring < tx ? slots - 1 : 0;
    check(`ktoa of ring ${ring}: hwcur, hwtail, kern_need_kick`, words(ktoa, ring, 3), `0,${hwtail},1`);
    check(`padding of atok ${ring} is the guest's`, ram.load(atok + 64 * ring + 16), guard);
  }
  check('before the arrays', ram.load(atok - 4), guard);
  check('behind them', ram.load(ktoa + 64 * rings), guard);
  // A head that is out of order is answered with the positions that hold.
  ram.store(atok, slots + 5);
  ram.store(ktoa + 4, 99);
  put(KICK, 4, 1);
  check('hwtail after a bad head', ram.load(ktoa + 4), slots - 1);
  const isLetGo = (what) => {
    ram.store(ktoa + 4, 99);
    put(KICK, 4, 1);
    check(`hwtail after ${what}`, ram.load(ktoa + 4), 99);
  };
  access('DELETE', command(2, 0));
  isLetGo('DELETE');
  start('CREATE again');
  put(GH_BAL, 4, 0);
  isLetGo('a CSB of address 0');
  if (!reset) return failures;
  access('before a reset', [write(PTFEAT, 1), write(VNET_HDR_LEN, 12), ...command(77, EINVAL)]);
  start('CREATE before a reset');
  reset();
  isLetGo('a reset');
  access(
    'after a reset',
    [PTFEAT, PTCTL, VNET_HDR_LEN].map((offset) => expect(offset, 0)),
  );
  access('CREATE after a reset', command(1, ENXIO));
  return failures;
}

/**
 * Runs the test of a memdev, with a ptnet device that is in its region.
 * @param memdev `read` and `write` of BAR 0, as above; `load(offset, size)` of BAR 1, sizes 1 and 4
 * @param device `read` of the ptnet's BAR 0
 * @param pointer bytes of an element of ring_ofs as the guest reads it: 4 for 32-bit guests
 * @returns what went wrong, one line each
 */
export function testMemdev({ read, write: put, load }, device, pointer = 4) {
  const { failures, check } = recorder();
  checkReads(check, read, MEMDEV_SIZE, (offset) => MEMDEV_REGISTERS.includes(offset));
  checkReadOnly(check, { read, write: put }, MEMDEV_REGISTERS);
  const [low, high, memId, ifOfs, ifNum, ifSize, ringOfs, ringNum, ringSize, bufOfs, bufNum, bufSize] =
    MEMDEV_REGISTERS.map((offset) => read(offset, 4) >>> 0);
  check('high half of the size', high, 0);
  check('size in pages', low % 4096, 0);
  check('id of the region', memId, device.read(HOSTMEMID, 4));
  check('offset of the if pool', ifOfs, 0);
  check('offset of the ring pool', ringOfs, ifNum * ifSize);
  check('offset of the buf pool', bufOfs, ringOfs + ringNum * ringSize);
  check('end of the buf pool in the last page', Math.ceil((bufOfs + bufNum * bufSize) / 4096) * 4096, low);
  const nifp = device.read(NIFP_OFS, 4);
  check('netmap_if in its pool', nifp % ifSize === 0 && nifp < ringOfs, true);
  const word = (offset) => load(offset, 4) | 0;
  const [tx, rx, hostTx, hostRx] = [24, 28, 36, 40].map((offset) => word(nifp + offset));
  check('ni_tx_rings', tx, device.read(NUM_TX_RINGS, 4));
  check('ni_rx_rings', rx, device.read(NUM_RX_RINGS, 4));
  check('room for host rings in ring_ofs', hostTx >= 1 && hostRx >= 1, true);
  for (let i = 0; i < tx + hostTx + rx + hostRx; i++) {
    const [isTx, isHost] = [i < tx + hostTx, i < tx + hostTx ? i >= tx : i >= tx + hostTx + rx];
    const offset = word(nifp + 56 + pointer * i);
    if (isHost) {
      check(`ring_ofs ${i}, a host ring, is not bound`, offset, 0);
      continue;
    }
    const ring = nifp + offset;
    check(`ring ${i} in its pool`, (ring - ringOfs) % ringSize === 0 && ring >= ringOfs && ring < bufOfs, true);
    check(`buf_ofs of ring ${i}`, ring + word(ring), bufOfs);
    check(`num_slots of ring ${i}`, word(ring + 8), device.read(isTx ? NUM_TX_SLOTS : NUM_RX_SLOTS, 4));
    check(`nr_buf_size of ring ${i}`, word(ring + 12), bufSize);
    check(`ringid and dir of ring ${i}`, word(ring + 16), isTx ? i | 0x10000 : i - tx - hostTx);
  }
  return failures;
}
