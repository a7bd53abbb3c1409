// The virtio-net header lengths that a port may use (virtio 1.2, 5.1.6): none, without and with num_buffers.
export const VIRTIO_NET_HDR_LEN = 10;
export const VIRTIO_NET_HDR_MRG_LEN = 12;
