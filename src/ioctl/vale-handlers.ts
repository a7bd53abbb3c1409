// Requests about switches: VALE_LIST, attaching and making of ports, polling.

import { valeFind, valeNext } from '../vale/list.js';
import { type Call, nameOf, type Outcome } from './call.js';
import type { VALE_ATTACH, VALE_LIST, VALE_NEWIF, VALE_POLLING, Values } from './codec.js';

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

export async function valePollingEnable({
  files,
  request,
  body,
}: Call<Values<typeof VALE_POLLING>>): Promise<undefined> {
  await files.interfaces.pollingEnable(nameOf(request), body);
}

export async function valePollingDisable({ files, request }: Call<unknown>): Promise<undefined> {
  await files.interfaces.pollingDisable(nameOf(request));
}
