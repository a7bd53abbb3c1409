// The names that the BSDs have for extensions of pthread.h.
#ifndef PTNET_WASI_PTHREAD_NP_H
#define PTNET_WASI_PTHREAD_NP_H

#include <pthread.h>

#define pthread_set_name_np(thread, name) ((void)pthread_setname_np(thread, name))

#endif
