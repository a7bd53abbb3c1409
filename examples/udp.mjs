// UDP through PtnetInterface, with a stack of a hundred lines: ARP, IPv4 and UDP made by hand. Two guests on one VALE
// switch in one process; the first asks, the second answers: node examples/udp.mjs
import { Netmap, PtnetDriver, PtnetInterface } from 'ptnet';

const ETHER = 14;
const IP = 20;
const UDP = 8;
const TYPE_IP = 0x0800;
const TYPE_ARP = 0x0806;
const PROTOCOL_UDP = 17;
const BROADCAST = new Uint8Array(6).fill(0xff);

/** Internet checksum (RFC 1071) of some parts, each but the last of even length. */
function checksum(...parts) {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i < part.length; i += 2) sum += (part[i] << 8) | (part[i + 1] ?? 0);
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

class UdpStack {
  #netif;
  #address;
  #neighbours = new Map();
  /** Datagrams that wait for their neighbour's address. */
  #waiting = [];
  /** Called with { from, fromPort, port, data }. */
  onDatagram = () => {};

  constructor(netif, address) {
    this.#netif = netif;
    this.#address = address;
    netif.onReceive((frames) => {
      for (const { data } of frames) this.#receive(data);
    });
  }

  send(to, port, fromPort, data) {
    const mac = this.#neighbours.get(String(to));
    if (!mac) {
      this.#waiting.push([to, port, fromPort, data]);
      this.#arp(1, BROADCAST, to);
      return;
    }
    const frame = new Uint8Array(ETHER + IP + UDP + data.length);
    const view = new DataView(frame.buffer);
    this.#ethernet(frame, mac, TYPE_IP);
    frame[ETHER] = 0x45;
    view.setUint16(ETHER + 2, IP + UDP + data.length);
    frame[ETHER + 8] = 64; // time to live
    frame[ETHER + 9] = PROTOCOL_UDP;
    frame.set(this.#address, ETHER + 12);
    frame.set(to, ETHER + 16);
    view.setUint16(ETHER + 10, checksum(frame.subarray(ETHER, ETHER + IP)));
    view.setUint16(ETHER + IP, fromPort);
    view.setUint16(ETHER + IP + 2, port);
    view.setUint16(ETHER + IP + 4, UDP + data.length);
    frame.set(data, ETHER + IP + UDP);
    const pseudo = Uint8Array.of(
      ...this.#address,
      ...to,
      0,
      PROTOCOL_UDP,
      ...frame.subarray(ETHER + IP + 4, ETHER + IP + 6),
    );
    view.setUint16(ETHER + IP + 6, checksum(pseudo, frame.subarray(ETHER + IP)) || 0xffff);
    this.#netif.transmit(frame);
  }

  #ethernet(frame, to, type) {
    frame.set(to);
    frame.set(this.#netif.mac, 6);
    new DataView(frame.buffer).setUint16(12, type);
  }

  /** A request (1) or a reply (2). */
  #arp(operation, mac, address) {
    const frame = new Uint8Array(60);
    this.#ethernet(frame, mac, TYPE_ARP);
    frame.set([0, 1, 8, 0, 6, 4, 0, operation, ...this.#netif.mac, ...this.#address, ...mac, ...address], ETHER);
    this.#netif.transmit(frame);
  }

  #receive(frame) {
    const view = new DataView(frame.buffer, frame.byteOffset, frame.length);
    const isMine = (at) => this.#address.every((byte, i) => frame[at + i] === byte);
    if (view.getUint16(12) === TYPE_ARP && isMine(ETHER + 24)) {
      const mac = frame.slice(ETHER + 8, ETHER + 14);
      const address = frame.slice(ETHER + 14, ETHER + 18);
      this.#neighbours.set(String(address), mac);
      if (view.getUint16(ETHER + 6) === 1) this.#arp(2, mac, address);
      for (const datagram of this.#waiting.splice(0)) this.send(...datagram);
    } else if (view.getUint16(12) === TYPE_IP && frame[ETHER + 9] === PROTOCOL_UDP && isMine(ETHER + 16)) {
      const udp = ETHER + 4 * (frame[ETHER] & 15);
      this.onDatagram({
        from: frame.slice(ETHER + 12, ETHER + 16),
        fromPort: view.getUint16(udp),
        port: view.getUint16(udp + 2),
        data: frame.slice(udp + UDP, udp + view.getUint16(udp + 4)),
      });
    }
  }
}

const netmap = await Netmap.create();
const ends = [];
for (const [i, name] of ['vale0:a', 'vale0:b'].entries()) {
  const guest = await netmap.createGuest();
  await guest.passthrough(name);
  const [driver] = PtnetDriver.probe(await guest.machine());
  const netif = new PtnetInterface(driver);
  netif.up();
  const address = Uint8Array.of(10, 0, 0, i + 1);
  ends.push({ netif, address, stack: new UdpStack(netif, address) });
}
const [a, b] = ends;
const text = (data) => new TextDecoder().decode(data);
b.stack.onDatagram = ({ from, fromPort, port, data }) => {
  console.log(`b received "${text(data)}" from ${from.join('.')}`);
  b.stack.send(from, fromPort, port, new TextEncoder().encode(text(data).toUpperCase()));
};
const answer = new Promise((resolve) => {
  a.stack.onDatagram = resolve;
});
a.stack.send(b.address, 7777, 5555, new TextEncoder().encode('hello over ptnet'));
const { from, data } = await answer;
console.log(`a received "${text(data)}" from ${from.join('.')}`);
for (const { netif } of ends) netif.down();
await netmap.close();
