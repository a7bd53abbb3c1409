// What each request of NIOCCTRL does. Control thread only.

import {
  EINVAL,
  NETMAP_REQ_CSB_ENABLE,
  NETMAP_REQ_POOLS_INFO_GET,
  NETMAP_REQ_PORT_HDR_GET,
  NETMAP_REQ_PORT_HDR_SET,
  NETMAP_REQ_PORT_INFO_GET,
  NETMAP_REQ_REGISTER,
  NETMAP_REQ_SYNC_KLOOP_START,
  NETMAP_REQ_SYNC_KLOOP_STOP,
  NETMAP_REQ_VALE_ATTACH,
  NETMAP_REQ_VALE_DELIF,
  NETMAP_REQ_VALE_DETACH,
  NETMAP_REQ_VALE_LIST,
  NETMAP_REQ_VALE_NEWIF,
  NETMAP_REQ_VALE_POLLING_DISABLE,
  NETMAP_REQ_VALE_POLLING_ENABLE,
} from '../abi.js';
import { NetmapError } from '../errors.js';
import type { Call, Handler } from './call.js';
import type { DeviceFiles } from './files.js';
import { csbEnable, kloopStart, kloopStop } from './kloop-handlers.js';
import type { DeviceAnswer, DeviceRequest } from './messages.js';
import { poolsInfoGet, portHdrGet, portHdrSet, portInfoGet, register } from './port-handlers.js';
import {
  valeAttach,
  valeDelif,
  valeDetach,
  valeList,
  valeNewif,
  valePollingDisable,
  valePollingEnable,
} from './vale-handlers.js';

const HANDLERS: Readonly<Record<number, Handler<never>>> = {
  [NETMAP_REQ_REGISTER]: register,
  [NETMAP_REQ_PORT_INFO_GET]: portInfoGet,
  [NETMAP_REQ_VALE_ATTACH]: valeAttach,
  [NETMAP_REQ_VALE_DETACH]: valeDetach,
  [NETMAP_REQ_VALE_LIST]: valeList,
  [NETMAP_REQ_PORT_HDR_SET]: portHdrSet,
  [NETMAP_REQ_PORT_HDR_GET]: portHdrGet,
  [NETMAP_REQ_VALE_NEWIF]: valeNewif,
  [NETMAP_REQ_VALE_DELIF]: valeDelif,
  [NETMAP_REQ_VALE_POLLING_ENABLE]: valePollingEnable,
  [NETMAP_REQ_VALE_POLLING_DISABLE]: valePollingDisable,
  [NETMAP_REQ_POOLS_INFO_GET]: poolsInfoGet,
  [NETMAP_REQ_SYNC_KLOOP_START]: kloopStart,
  [NETMAP_REQ_SYNC_KLOOP_STOP]: kloopStop,
  [NETMAP_REQ_CSB_ENABLE]: csbEnable,
};

/** Carries a request out. Never throws for what the request says. */
export async function handleRequest(files: DeviceFiles, tid: number, request: DeviceRequest): Promise<DeviceAnswer> {
  const handler = HANDLERS[request.type] as Handler<Record<string, number>> | undefined;
  const status: Record<number, number> = {};
  if (!handler) return { errno: -EINVAL, status };
  try {
    const file = files.get(request.fd, request.owner ?? tid, request.isOwner);
    const call: Call<Record<string, number>> = { files, file, tid, request, body: request.body, status };
    return { errno: 0, status, ...(await handler(call as never)) };
  } catch (error) {
    if (error instanceof NetmapError) return { errno: -error.errno, status };
    throw error;
  }
}
