// There are no other processes to wait for.
#ifndef PTNET_WASI_SYS_WAIT_H
#define PTNET_WASI_SYS_WAIT_H

#include <ptnet/fail.h>
#include <sys/types.h>

#define WNOHANG 1
#define WUNTRACED 2
#define WIFEXITED(status) (((status) & 0x7f) == 0)
#define WEXITSTATUS(status) (((status) >> 8) & 0xff)
#define WIFSIGNALED(status) (((status) & 0x7f) != 0)
#define WTERMSIG(status) ((status) & 0x7f)

static inline pid_t waitpid(pid_t pid, int *status, int options) {
  (void)pid, (void)status, (void)options;
  return ptnet_fail(ECHILD);
}

static inline pid_t wait(int *status) {
  return waitpid(-1, status, 0);
}

#endif
