// The CSB option, CSB_ENABLE, SYNC_KLOOP_START and SYNC_KLOOP_STOP.

import {
  EBADF,
  EFAULT,
  EINVAL,
  EOPNOTSUPP,
  NETMAP_REQ_OPT_CSB,
  NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS,
  NETMAP_REQ_OPT_SYNC_KLOOP_MODE,
  NM_OPT_SYNC_KLOOP_DIRECT_RX,
  NM_OPT_SYNC_KLOOP_DIRECT_TX,
  NMREQ_OPT_EVENTFDS_ARRAY,
  NMREQ_OPT_EVENTFDS_ELEMENT,
} from '../abi.js';
import { check, netmapError } from '../errors.js';
import type { LoopMode } from '../kloop/loop.js';
import type { OpenPort } from '../netmap/register.js';
import type { Call, Outcome } from './call.js';
import type { KLOOP_START, Values } from './codec.js';

const MAX_SLEEP_US = 1_000_000;
const DIRECT = NM_OPT_SYNC_KLOOP_DIRECT_TX | NM_OPT_SYNC_KLOOP_DIRECT_RX;

/** Takes the CSB option, if there is one: from then on only the kernel loop syncs the rings. @throws NetmapError */
export function takeCsb({ file, request: { csb }, status }: Call<unknown>): void {
  if (!csb) return;
  let result = 0;
  if (file.port && file.port.tx.length + file.port.rx.length !== 0) {
    result = file.kloop(file.port).enableCsb(csb.atok, csb.ktoa, csb.end);
    // DIFF: a kernel reaches every program's memory, a kernel loop here only what lies in the arena's.
    if (result === -EFAULT && csb.end === 0) result = -EOPNOTSUPP;
  }
  status[NETMAP_REQ_OPT_CSB] = -result;
  check(result, 'csbEnable');
}

export function csbEnable(call: Call<unknown>): undefined {
  if (!call.request.csb) throw netmapError('EINVAL', 'there is no CSB option', { op: 'csbEnable' });
  takeCsb(call);
}

/** START: hands the rings to the thread that asks, which runs the loop until STOP. */
export function kloopStart(call: Call<Values<typeof KLOOP_START>>): Outcome | undefined {
  const { files, file, tid, request, body } = call;
  if (body.sleepUs > MAX_SLEEP_US) throw netmapError('EINVAL', `sleep_us ${body.sleepUs}`, { op: 'kloopStart' });
  const port = boundPort(call);
  const loop = file.kloop(port);
  check(loop.startable(), 'kloopStart', port.info.name);
  takeMode(call);
  if (!takeEventfds(call, port)) return undefined;
  const { eventfds } = request;
  const mode = loopMode(call);
  const thread = files.ports.registry.arena.threadPtr(tid);
  check(loop.start({ mode, thread, guest: eventfds?.someIrqs ? thread : 0 }), 'kloopStart', port.info.name);
  if (!loop.running) return undefined; // a STOP came first
  files.enterLoop(loop, tid);
  return { run: { loop: loop.ptr, starts: loop.starts, isBusy: mode === 'busy' } };
}

/** STOP: when it returns, nobody touches the CSB. */
export function kloopStop(call: Call<unknown>): undefined {
  check(call.file.kloop(boundPort(call)).stop(), 'kloopStop');
}

function boundPort({ file: { port } }: Call<unknown>): OpenPort {
  if (!port) throw netmapError('ENXIO', 'the descriptor is not bound', { op: 'kloop' });
  return port;
}

function takeMode({ request: { mode, eventfds }, status }: Call<unknown>): void {
  if (mode === undefined) return;
  // DIFF: netmap accepts direct modes without event descriptors, and then never looks at the rings.
  const refused = (mode & ~DIRECT) !== 0 || (mode !== 0 && !eventfds);
  status[NETMAP_REQ_OPT_SYNC_KLOOP_MODE] = refused ? EINVAL : 0;
  if (refused) throw netmapError('EINVAL', `mode ${mode}`, { op: 'kloopStart' });
}

/** False when there is no table of event descriptors: the request then ends at once, with success, as on FreeBSD. */
function takeEventfds({ request: { mode, eventfds }, status }: Call<unknown>, { tx, rx }: OpenPort): boolean {
  if (!eventfds) return true;
  const size = NMREQ_OPT_EVENTFDS_ARRAY + NMREQ_OPT_EVENTFDS_ELEMENT * (tx.length + rx.length);
  let refused = 0;
  if (eventfds.size !== size) refused = EINVAL;
  else if (!eventfds.supported) refused = EOPNOTSUPP;
  else if (mode && !eventfds.allKicks) refused = EINVAL;
  else if (eventfds.bad) refused = EBADF;
  status[NETMAP_REQ_OPT_SYNC_KLOOP_EVENTFDS] = refused;
  if (refused === EOPNOTSUPP) return false;
  check(-refused, 'kloopStart');
  return true;
}

function loopMode({ request: { mode, eventfds } }: Call<unknown>): LoopMode {
  if (!eventfds?.allKicks) return 'busy';
  // DIFF: rings are always processed by the thread in START, and one mode holds for both directions.
  return mode === DIRECT ? 'direct' : 'notify';
}
