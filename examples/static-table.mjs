// A lookup: a table of addresses that nobody learns; what is not in it is dropped, group addresses go to all ports.
// data: a SharedArrayBuffer of entries of 8 bytes, the 6 of the address and the index of its port (16 bits, 0xffff = the
// entry is free). The host may change it at any time.
const ENTRY = 8;
const FREE = 0xffff;

export default function staticTable({ u8, broadcast, drop, data }) {
  const table = new Uint8Array(data);
  const ports = new Uint16Array(data);
  return (address, _length, _headerLength, _port, ring) => {
    if (u8[address] & 1) return broadcast;
    for (let entry = 0; entry < table.length; entry += ENTRY) {
      const port = ports[(entry + 6) / 2];
      if (port === FREE) continue;
      let i = 0;
      while (i < 6 && table[entry + i] === u8[address + i]) i++;
      if (i === 6) return port | (ring << 8); // to the ring of the sender's index, as the learning switch does it
    }
    return drop;
  };
}
