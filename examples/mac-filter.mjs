// A lookup: frames from known addresses go where the learning switch would send them, all others are dropped.
// data: the addresses, such as ['02:00:00:00:00:01'].
export default function macFilter({ u8, drop, learn, data }) {
  const known = new Set(data.map((mac) => Number.parseInt(mac.replaceAll(':', ''), 16)));
  return (address) => {
    let source = 0;
    for (let i = address + 6; i < address + 12; i++) source = source * 256 + u8[i];
    return known.has(source) ? learn : drop;
  };
}
