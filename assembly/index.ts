// The Wasm API: the export list and nothing else. Every function takes the addresses that it works on.
export {
  checksumAdd,
  checksumAddIov,
  checksumCopy,
  checksumFold,
  checksumUpdate16,
  checksumUpdate32,
  packetChecksum,
} from './packet/checksum';
export { coalesceAdd, coalesceBatch, coalesceFlush, coalesceReset } from './packet/coalesce';
export { packetCopy } from './packet/copy';
export { packetParse } from './packet/headers';
export { offloadComplete, offloadValidate, vnetBuild, vnetRead, vnetWrite } from './packet/offload';
export { receiveBatch } from './packet/receive';
export { segmentNext, segmentPrepare } from './packet/segment';
export { memZero } from './mem/zero';
export { slotsCopy, slotsSwap } from './mem/exchange';
export { kringNotify, threadWake } from './ring/notify';
export { kringRelease } from './ring/kring';
export { pollRing, pollTake } from './sync/poll';
export { ringForward, ringSync } from './sync/sync';
export { fdbLookup, fdbPurge } from './vale/fdb';
export { leaseDiscard, leaseIsOpen } from './vale/header';
export { leaseLock, leasePublish, leaseRecover, leaseUnlock } from './vale/lease';
export { valeClassify } from './vale/classify';
export { valeDeliver } from './vale/deliver';
export { valeGather } from './vale/gather';
export { valeLookup, valeLookupFailed } from './vale/lookup';
export { csbInit } from './csb/kernel';
export { kloopDoorbell, kloopKick, kloopPass } from './kloop/pass';
export { ptnetKicked, ptnetRxsync, ptnetSyncFromCsb, ptnetTxsync } from './ptnet/driver';
