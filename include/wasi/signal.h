// Signals of programs that `ptnet exec` runs. A handler runs at the program's next system call; poll and the sleeps that
// it interrupts fail with EINTR.
#ifndef PTNET_WASI_SIGNAL_H
#define PTNET_WASI_SIGNAL_H

#include <__typedef_sigset_t.h>
#include <errno.h>

#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGABRT 6
#define SIGKILL 9
#define SIGUSR1 10
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define _NSIG 32
#define NSIG _NSIG

typedef int sig_atomic_t;
typedef void (*sighandler_t)(int);

#define SIG_DFL ((sighandler_t)0)
// Not 1, which is the address of a function here.
#define SIG_IGN ((sighandler_t)-2)
#define SIG_ERR ((sighandler_t)-1)

struct sigaction {
  sighandler_t sa_handler;
  sigset_t sa_mask;
  int sa_flags;
};
#define SA_RESTART 0x10000000

// Weak: every file of a program that includes this has them, and the program one of each.
__attribute__((weak)) sighandler_t ptnet_handlers[_NSIG];

// The host calls this. 0 = the default action, which the host takes; 1 = ignored; 2 = handled.
__attribute__((weak, export_name("ptnet_signal"))) int ptnet_signal(int number) {
  sighandler_t handler = number > 0 && number < _NSIG ? ptnet_handlers[number] : SIG_DFL;
  if (handler == SIG_DFL || handler == SIG_IGN) return handler == SIG_IGN;
  handler(number);
  return 2;
}

static inline sighandler_t signal(int number, sighandler_t handler) {
  if (number <= 0 || number >= _NSIG || number == SIGKILL) {
    errno = EINVAL;
    return SIG_ERR;
  }
  sighandler_t before = ptnet_handlers[number];
  ptnet_handlers[number] = handler;
  return before;
}

static inline int sigaction(int number, const struct sigaction *action, struct sigaction *before) {
  if (number <= 0 || number >= _NSIG || number == SIGKILL) {
    errno = EINVAL;
    return -1;
  }
  struct sigaction was = {ptnet_handlers[number], 0, 0};
  if (action) ptnet_handlers[number] = action->sa_handler;
  if (before) *before = was;
  return 0;
}

// Masks are accepted, and nothing is masked: handlers do not interrupt each other.
static inline int sigemptyset(sigset_t *set) {
  *set = 0;
  return 0;
}

static inline int sigaddset(sigset_t *set, int number) {
  (void)set;
  (void)number;
  return 0;
}

#endif
