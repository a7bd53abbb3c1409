// Signals of programs that `ptnet exec` runs. A handler runs at the next system call of its thread; poll and the sleeps that
// it interrupts fail with EINTR. Signals from outside come to the first thread, or to whoever waits for them.
#ifndef PTNET_WASI_SIGNAL_H
#define PTNET_WASI_SIGNAL_H

#include <__typedef_sigset_t.h>
#include <errno.h>
#include <ptnet/fail.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define SIGHUP 1
#define SIGINT 2
#define SIGQUIT 3
#define SIGILL 4
#define SIGTRAP 5
#define SIGABRT 6
#define SIGBUS 7
#define SIGFPE 8
#define SIGKILL 9
#define SIGUSR1 10
#define SIGSEGV 11
#define SIGUSR2 12
#define SIGPIPE 13
#define SIGALRM 14
#define SIGTERM 15
#define SIGCHLD 17
#define SIGCONT 18
#define SIGSTOP 19
#define SIGTSTP 20
#define SIGWINCH 28
#define SIGIO 29
#define _NSIG 32
#define NSIG _NSIG

typedef int sig_atomic_t;
typedef void (*sighandler_t)(int);
typedef sighandler_t sig_t;

#define SIG_DFL ((sighandler_t)0)
// Not 1, which is the address of a function here.
#define SIG_IGN ((sighandler_t)-2)
#define SIG_ERR ((sighandler_t)-1)

union sigval {
  int sival_int;
  void *sival_ptr;
};

typedef struct {
  int si_signo, si_errno, si_code;
  union sigval si_value;
} siginfo_t;

struct sigaction {
  union {
    sighandler_t sa_handler;
    void (*sa_sigaction)(int, siginfo_t *, void *);
  };
  sigset_t sa_mask;
  int sa_flags;
};
#define SA_NOCLDSTOP 1
#define SA_SIGINFO 4
#define SA_RESTART 0x10000000
#define SA_NODEFER 0x40000000
#define SA_RESETHAND 0x80000000

#define SIG_BLOCK 0
#define SIG_UNBLOCK 1
#define SIG_SETMASK 2

// What calls handlers, as the host knows it: 0 = the default action, which the host takes; 1 = ignored; 2 = handled.
void ptnet_signals(int (*deliver)(int)) __attribute__((import_module("ptnet"), import_name("signals")));
// Signals that wait although they have come, of the calling thread; the mask before.
unsigned long ptnet_signal_mask(unsigned long set) __attribute__((import_module("ptnet"), import_name("signal_mask")));
// Waits for one of a set, and takes it; 0 when the time is over.
int ptnet_signal_wait(unsigned long set, int64_t nanoseconds)
    __attribute__((import_module("ptnet"), import_name("signal_wait")));
// Sends one to the calling thread, and delivers what waits.
void ptnet_signal_raise(int number) __attribute__((import_module("ptnet"), import_name("signal_raise")));

// Weak: every file of a program that includes this has them, and the program one of each.
__attribute__((weak)) struct sigaction ptnet_actions[_NSIG];

__attribute__((weak)) int ptnet_deliver(int number) {
  if (number <= 0 || number >= _NSIG) return 0;
  struct sigaction action = ptnet_actions[number];
  if (action.sa_handler == SIG_IGN) return 1;
  if (action.sa_handler == SIG_DFL) return number == SIGCHLD || number == SIGCONT || number == SIGWINCH;
  if ((unsigned)action.sa_flags & SA_RESETHAND) ptnet_actions[number].sa_handler = SIG_DFL;
  unsigned long before = ptnet_signal_mask(~0UL);
  ptnet_signal_mask(before | action.sa_mask | (action.sa_flags & SA_NODEFER ? 0 : 1UL << number));
  if (action.sa_flags & SA_SIGINFO) {
    siginfo_t info = {.si_signo = number};
    action.sa_sigaction(number, &info, NULL);
  } else {
    action.sa_handler(number);
  }
  ptnet_signal_mask(before);
  return 2;
}

static inline int sigaction(int number, const struct sigaction *action, struct sigaction *before) {
  if (number <= 0 || number >= _NSIG || (action && (number == SIGKILL || number == SIGSTOP))) {
    return ptnet_fail(EINVAL);
  }
  struct sigaction was = ptnet_actions[number];
  if (action) {
    ptnet_actions[number] = *action;
    ptnet_signals(ptnet_deliver);
  }
  if (before) *before = was;
  return 0;
}

static inline sighandler_t signal(int number, sighandler_t handler) {
  struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;
  return sigaction(number, &action, &before) == 0 ? before.sa_handler : SIG_ERR;
}

static inline int sigemptyset(sigset_t *set) {
  *set = 0;
  return 0;
}

static inline int sigfillset(sigset_t *set) {
  *set = ~0UL;
  return 0;
}

static inline int sigaddset(sigset_t *set, int number) {
  if (number <= 0 || number >= _NSIG) return ptnet_fail(EINVAL);
  *set |= 1UL << number;
  return 0;
}

static inline int sigdelset(sigset_t *set, int number) {
  if (number <= 0 || number >= _NSIG) return ptnet_fail(EINVAL);
  *set &= ~(1UL << number);
  return 0;
}

static inline int sigismember(const sigset_t *set, int number) {
  if (number <= 0 || number >= _NSIG) return ptnet_fail(EINVAL);
  return (*set >> number) & 1;
}

static inline int pthread_sigmask(int how, const sigset_t *set, sigset_t *before) {
  unsigned long was = ptnet_signal_mask(~0UL);
  unsigned long mask = was;
  if (set) {
    if (how == SIG_BLOCK) mask = was | *set;
    else if (how == SIG_UNBLOCK) mask = was & ~*set;
    else if (how == SIG_SETMASK) mask = *set;
  }
  ptnet_signal_mask(mask);
  if (before) *before = was;
  return set && (how < SIG_BLOCK || how > SIG_SETMASK) ? EINVAL : 0;
}

static inline int sigprocmask(int how, const sigset_t *set, sigset_t *before) {
  int error = pthread_sigmask(how, set, before);
  return error == 0 ? 0 : ptnet_fail(error);
}

static inline int sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *time) {
  int number = ptnet_signal_wait(*set, time ? time->tv_sec * 1000000000LL + time->tv_nsec : -1);
  if (number == 0) return ptnet_fail(EAGAIN);
  if (info) *info = (siginfo_t){.si_signo = number};
  return number;
}

static inline int sigwaitinfo(const sigset_t *set, siginfo_t *info) {
  return sigtimedwait(set, info, NULL);
}

static inline int sigwait(const sigset_t *set, int *number) {
  *number = ptnet_signal_wait(*set, -1);
  return 0;
}

static inline int raise(int number) {
  if (number < 0 || number >= _NSIG) return ptnet_fail(EINVAL);
  ptnet_signal_raise(number);
  return 0;
}

// There is one process, number 1.
static inline int kill(pid_t pid, int number) {
  if (pid != 1 && pid != 0) return ptnet_fail(ESRCH);
  return raise(number);
}

#endif
