// The numbers of both layouts, for TypeScript: one source with the Wasm side.
export * from '../assembly/abi/arena.js';
export * from '../assembly/abi/csb.js';
export * from '../assembly/abi/data-model.js';
export * from '../assembly/abi/errno.js';
export * from '../assembly/abi/ether.js';
export * from '../assembly/abi/inet.js';
export * from '../assembly/abi/netmap.js';
export * from '../assembly/abi/nmreq.js';
export * from '../assembly/abi/offload.js';
export * from '../assembly/abi/ptnet.js';
export * from '../assembly/abi/virtio-net.js';
