// Requests about switches: VALE_LIST, attaching and making of ports, polling.

import { netmapError } from '../errors.js';
import { valeFind, valeNext } from '../vale/list.js';
import { type Call, nameOf, type Outcome } from './call.js';
import type { VALE_ATTACH, VALE_LIST, VALE_NEWIF, Values } from './codec.js';

export function valeList({ files, request, body }: Call<Values<typeof VALE_LIST>>): Outcome {
  const { bridges } = files.ports.registry;
  const asked = nameOf(request);
  const found = asked === '' ? valeNext(bridges, body.bridgeIndex, body.portIndex) : valeFind(bridges, asked);
  const { name, bridgeIndex, portIndex } = found;
  return { name, body: { bridgeIndex, portIndex } };
}

export async function valeAttach({ files, request, body }: Call<Values<typeof VALE_ATTACH>>): Promise<Outcome> {
  const name = nameOf(request);
  files.ports.registry.checkMemId(body.memId, name);
  return { body: { portIndex: await files.interfaces.attachAs(name, body.mode, body.ringId) } };
}

export async function valeDetach({ files, request }: Call<unknown>): Promise<Outcome> {
  return { body: { portIndex: await files.interfaces.detachAs(nameOf(request)) } };
}

export function valeNewif({ files, request, body }: Call<Values<typeof VALE_NEWIF>>): Outcome {
  const { txRings, rxRings, txSlots, rxSlots, memId } = files.interfaces.newif(nameOf(request), body);
  return { body: { txRings, rxRings, txSlots, rxSlots, memId } };
}

export async function valeDelif({ files, request }: Call<unknown>): Promise<undefined> {
  await files.interfaces.delif(nameOf(request));
}

/** VALE_POLLING_ENABLE and DISABLE. There are no CPUs to bind a kernel thread to, so nothing is ever polled. */
export function valePolling({ files, request }: Call<unknown>): never {
  const name = nameOf(request);
  const where = { op: 'valePolling', port: name };
  if (!name.startsWith('vale')) throw netmapError('EINVAL', "the name does not start with 'vale'", where);
  const attached = [...files.ports.registry.bridges.values()].some((bridge) =>
    bridge.ports.some(({ adapter }) => adapter.name === name),
  );
  if (!attached) throw netmapError('ENXIO', 'it is not attached', where);
  throw netmapError('EOPNOTSUPP', 'ports are not polled by kernel threads', where);
}
