// REGISTER, and what can be asked of a port without binding it.

import {
  EOPNOTSUPP,
  NETMAP_REQ_OPT_EXTMEM,
  NETMAP_REQ_OPT_OFFSETS,
  NR_MONITOR_RX,
  NR_MONITOR_TX,
  NR_ZCOPY_MON,
} from '../abi.js';
import { NetmapError, netmapError } from '../errors.js';
import { EXTMEM_OP } from '../memory/extmem.js';
import { OFFSETS_OP } from '../netmap/offsets.js';
import { headerLength, setHeaderLength } from '../netmap/port-header.js';
import type { PortSpec } from '../netmap/port-name.js';
import { memoryInfo, portCounts, portInfo } from '../netmap/port-requests.js';
import type { OpenPort } from '../netmap/register.js';
import type { MemoryInfo } from '../netmap/registry.js';
import { type Call, nameOf, type Outcome } from './call.js';
import type { POOLS_INFO, PORT_HDR, PORT_INFO, REGISTER, Values } from './codec.js';
import { takeCsb } from './kloop-handlers.js';
import type { ExtmemOption } from './messages.js';

/** REGISTER: binds a port. A failure leaves the descriptor unbound, and nothing behind. */
export async function register(call: Call<Values<typeof REGISTER>>): Promise<Outcome> {
  const { files, file, request, body } = call;
  if (file.port) throw netmapError('EBUSY', 'the descriptor is bound already', { op: 'register' });
  const { mode, ringId, memId } = body;
  const spec = { name: nameOf(request), mode, ringId, flags: body.flags | 0, memId };
  const port = await openPort(call, spec);
  file.port = port;
  try {
    takeCsb(call);
    checkOptions(call);
  } catch (error) {
    await files.unbind(file);
    throw error;
  }
  const { offset, memsize, extraBufs } = port.info;
  const counts = portCounts(port.adapter);
  // A zero-copy monitor is one of both directions, whatever was asked.
  const flags = body.flags & NR_ZCOPY_MON ? body.flags | NR_MONITOR_TX | NR_MONITOR_RX : body.flags;
  return {
    body: { ...counts, offset, memsize, memId: port.info.memId, extraBufs, flags },
    port: port.info,
    ...(request.extmem && { extmem: files.ports.registry.externalParams(request.extmem) }),
    ...(request.offsets && { maxOffset: port.info.maxOffset }),
  };
}

/** Opens the port, and says whether the OFFSETS option was the reason for a failure. */
async function openPort(call: Call<Values<typeof REGISTER>>, spec: PortSpec): Promise<OpenPort> {
  const { files, file, body, status } = call;
  const { offsets, dataModel, shownAs, extmem } = call.request;
  try {
    if (extmem) checkExtmem(extmem);
    const port = await files.ports.register(
      spec,
      {
        ...body,
        ...(dataModel && { dataModel }),
        ...(shownAs && { shownAs }),
        ...(offsets && { offsets }),
        ...(extmem && { extmem }),
      },
      file.owner,
    );
    if (extmem) status[NETMAP_REQ_OPT_EXTMEM] = 0;
    if (offsets) status[NETMAP_REQ_OPT_OFFSETS] = 0;
    return port;
  } catch (error) {
    if (!(error instanceof NetmapError)) throw error;
    if (extmem) status[NETMAP_REQ_OPT_EXTMEM] = error.op === EXTMEM_OP ? error.errno : 0;
    if (error.op === OFFSETS_OP) status[NETMAP_REQ_OPT_OFFSETS] = error.errno;
    throw error;
  }
}

/** The memory must be the program's. @throws NetmapError EOPNOTSUPP, EFAULT */
function checkExtmem({ base, size, isOwn }: ExtmemOption): void {
  const where = { op: EXTMEM_OP };
  // DIFF: a kernel takes pages of any program's, the data path here only what lies in the arena's memory.
  if (isOwn === null) throw netmapError('EOPNOTSUPP', "the program is not in the arena's memory", where);
  if (!isOwn) throw netmapError('EFAULT', `range ${base}+${size} is not in the program's memory`, where);
}

/** Of all requests, REGISTER alone fails for options that nobody has taken. */
function checkOptions({ request, status }: Call<unknown>): void {
  const left = request.options.find((type) => (status[type] ?? EOPNOTSUPP) === EOPNOTSUPP);
  if (left !== undefined) throw netmapError('EOPNOTSUPP', `option ${left}`, { op: 'register' });
}

export async function portInfoGet({ files, request, body }: Call<Values<typeof PORT_INFO>>): Promise<Outcome> {
  const { registry } = files.ports;
  const name = nameOf(request);
  if (name === '') {
    const { memsize, memId } = memoryInfo(registry, body.memId);
    return { body: { memsize, memId } };
  }
  const found = await portInfo(registry, name, body.memId, body);
  const { txRings, rxRings, txSlots, rxSlots, hostTxRings, hostRxRings, memsize, memId } = found;
  return { body: { txRings, rxRings, txSlots, rxSlots, hostTxRings, hostRxRings, memsize, memId } };
}

export async function poolsInfoGet({ files, request, body }: Call<Values<typeof POOLS_INFO>>): Promise<Outcome> {
  return { body: poolsBody(await portInfo(files.ports.registry, nameOf(request), body.memId, {})) };
}

function poolsBody(info: MemoryInfo): Values<typeof POOLS_INFO> {
  const { memsize, memId, ifPoolOffset, ringPoolOffset, bufPoolOffset, ifPool, ringPool, bufPool } = info;
  return {
    memsize,
    memId,
    ifPoolOffset,
    ifPoolObjtotal: ifPool.objtotal,
    ifPoolObjsize: ifPool.objsize,
    ringPoolOffset,
    ringPoolObjtotal: ringPool.objtotal,
    ringPoolObjsize: ringPool.objsize,
    bufPoolOffset,
    bufPoolObjtotal: bufPool.objtotal,
    bufPoolObjsize: bufPool.objsize,
  };
}

export function portHdrSet({ files, request, body }: Call<Values<typeof PORT_HDR>>): undefined {
  setHeaderLength(files.ports.registry, nameOf(request), body.length);
}

export function portHdrGet({ files, request }: Call<unknown>): Outcome {
  return { body: { length: headerLength(files.ports.registry, nameOf(request)) } };
}
