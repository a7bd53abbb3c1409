// What headers of the BSDs and of glibc begin with.
#ifndef PTNET_WASI_SYS_CDEFS_H
#define PTNET_WASI_SYS_CDEFS_H

#ifdef __cplusplus
#define __BEGIN_DECLS extern "C" {
#define __END_DECLS }
#else
#define __BEGIN_DECLS
#define __END_DECLS
#endif
#define __unused __attribute__((unused))
#define __packed __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))

#endif
