// A test of the glue between an emulator and a ptnet device, for any host: it does what a guest's driver, and a careless
// one, does to BAR 0, and looks at the registers and at the CSB in the guest's RAM. The device is that of a VALE port
// that nobody has used yet.

const EINVAL = 22;
const ENXIO = 6;
const [PTFEAT, PTCTL, MAC_LO, NUM_TX_RINGS, NUM_RX_RINGS, NUM_TX_SLOTS] = [0, 4, 8, 28, 32, 36];
const [VNET_HDR_LEN, GH_BAH, GH_BAL, HG_BAH, HG_BAL, KICK] = [44, 52, 56, 60, 64, 128];

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
      write(PTFEAT, 0, 1),
      expect(PTFEAT, 0),
    ],
    [
      'header length: 12 and 0, not 11',
      write(VNET_HDR_LEN, 12),
      write(VNET_HDR_LEN, 11),
      expect(VNET_HDR_LEN, 12),
      write(VNET_HDR_LEN, 0),
      expect(VNET_HDR_LEN, 0),
    ],
    ['read-only registers', write(NUM_TX_RINGS, 99), write(NUM_RX_RINGS, 99), expect(VNET_HDR_LEN, 0)],
    ['doorbells and unused registers read 0', expect(KICK, 0), expect(KICK + 4, 0, 2), expect(68, 0), expect(124, 0)],
    ['doorbells before CREATE', write(KICK, 1), write(KICK + 124, 1)],
    ['an unknown command', ...command(77, EINVAL)],
    ['DELETE while stopped', ...command(2, 0)],
    ['CREATE without a CSB', ...command(1, ENXIO)],
    ['CREATE with half of it', write(GH_BAL, 4096), ...command(1, ENXIO)],
    ['a CSB behind the RAM', ...csb(ram, 4096), ...command(1, ENXIO)],
    ['a CSB across the end of the RAM', ...csb(4096, last + 64), ...command(1, ENXIO)],
    ['a CSB above 4 GiB', ...csb(4096, 8192, 1), ...command(1, ENXIO)],
    ['a CSB that is not aligned', ...csb(4096 + 32, 8192), ...command(1, ENXIO)],
    ['a CSB at the end of the RAM', ...csb(4096, last), ...command(1, 0), ...command(1, 0), ...command(2, 0)],
    ['address 0 takes it away', ...csb(0, last), ...command(1, ENXIO)],
  ];
}

/**
 * Runs the test against a device.
 * @param glue `read(offset, size)` and `write(offset, size, value)` of BAR 0; `ram` of the guest with `size`, and
 *   `load(address)` and `store(address, value)` of words
 * @returns what went wrong, one line each; none: all is well
 */
export function testRegisters({ read, write: put, ram }) {
  const failures = [];
  const check = (what, got, wanted) => {
    if (got !== wanted) failures.push(`${what}: ${got}, not ${wanted}`);
  };
  const counts = [NUM_TX_RINGS, NUM_RX_RINGS, NUM_TX_SLOTS].map((offset) => read(offset, 4));
  const [tx, rx, slots] = counts;
  const rings = tx + rx;
  for (const [what, ...accesses] of rows(rings, ram.size)) {
    for (const { offset, size, value, expected } of accesses) {
      if (expected === undefined) put(offset, size, value);
      else check(`${what}: ${size} bytes at ${offset}`, read(offset, size) >>> 0, expected);
    }
  }
  check('ring counts, after writes', read(NUM_TX_RINGS, 4), tx);
  const whole = Array.from({ length: 8 }, (_, i) => read(MAC_LO + i, 1));
  for (let offset = 0; offset < 5; offset++) {
    const bytes = whole.slice(offset, offset + 4).reduce((sum, byte, i) => sum + byte * 256 ** i, 0);
    check(`32 bits at ${MAC_LO + offset}`, read(MAC_LO + offset, 4) >>> 0, bytes);
    check(`16 bits at ${MAC_LO + offset}`, read(MAC_LO + offset, 2) >>> 0, bytes % 65536);
  }

  // The CSB as CREATE leaves it, and that DELETE lets go of it.
  const [atok, ktoa] = [8192, 12288];
  for (let at = atok - 64; at < ktoa + 64 * rings + 64; at += 4) ram.store(at, 0xeeeeeeee | 0);
  for (const { offset, size, value, expected } of [...csb(atok, ktoa), ...command(1, 0)]) {
    if (expected === undefined) put(offset, size, value);
    else check('CREATE', read(offset, size), expected);
  }
  const words = (base, ring, n) => Array.from({ length: n }, (_, i) => ram.load(base + 64 * ring + 4 * i)).join();
  for (let ring = 0; ring < rings; ring++) {
    check(`atok of ring ${ring}: head, cur, appl_need_kick, sync_flags`, words(atok, ring, 4), '0,0,1,1');
    check(
      `ktoa of ring ${ring}: hwcur, hwtail, kern_need_kick`,
      words(ktoa, ring, 3),
      `0,${ring < tx ? slots - 1 : 0},1`,
    );
    check(`padding of atok ${ring} is the guest's`, ram.load(atok + 64 * ring + 16), 0xeeeeeeee | 0);
  }
  check('before the arrays', ram.load(atok - 4), 0xeeeeeeee | 0);
  check('behind them', ram.load(ktoa + 64 * rings), 0xeeeeeeee | 0);
  // A head that is out of order is answered with the positions that hold.
  ram.store(atok, slots + 5);
  ram.store(ktoa + 4, 99);
  put(KICK, 4, 1);
  check('hwtail after a bad head', ram.load(ktoa + 4), slots - 1);
  put(PTCTL, 4, 2);
  check('DELETE', read(PTCTL, 4), 0);
  ram.store(ktoa + 4, 99);
  put(KICK, 4, 1);
  check('hwtail after DELETE', ram.load(ktoa + 4), 99);
  return failures;
}
