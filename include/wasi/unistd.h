// unistd.h of programs that `ptnet exec` runs: what wasi-libc lacks of it. There is one process, which nobody else can see.
#ifndef PTNET_WASI_UNISTD_H
#define PTNET_WASI_UNISTD_H

#define getpid ptnet_libc_getpid
#define gethostname ptnet_libc_gethostname
#define sleep ptnet_libc_sleep
#define usleep ptnet_libc_usleep
#include_next <unistd.h>
#undef getpid
#undef gethostname
#undef sleep
#undef usleep

#include <ptnet/fail.h>
#include <sys/types.h>
#include <time.h>

int ptnet_processors(void) __attribute__((import_module("ptnet"), import_name("processors")));

// Processors are those of the host, and the rest is libc's.
static inline long ptnet_sysconf(int name) {
  return name == _SC_NPROCESSORS_ONLN || name == _SC_NPROCESSORS_CONF ? ptnet_processors() : sysconf(name);
}
#define sysconf(name) ptnet_sysconf(name)

static inline int usleep(unsigned microseconds) {
  struct timespec time = {microseconds / 1000000, microseconds % 1000000 * 1000};
  return nanosleep(&time, NULL);
}

static inline unsigned sleep(unsigned seconds) {
  struct timespec time = {seconds, 0}, left;
  return nanosleep(&time, &left) == 0 ? 0 : (unsigned)left.tv_sec + (left.tv_nsec > 0);
}

static inline pid_t getpid(void) {
  return 1;
}

static inline pid_t getppid(void) {
  return 0;
}

static inline uid_t getuid(void) {
  return 0;
}

static inline uid_t geteuid(void) {
  return 0;
}

static inline gid_t getgid(void) {
  return 0;
}

static inline gid_t getegid(void) {
  return 0;
}

static inline int getpagesize(void) {
  return 4096; // of mmap
}

static inline pid_t fork(void) {
  return ptnet_fail(ENOSYS);
}

static inline pid_t vfork(void) {
  return ptnet_fail(ENOSYS);
}

static inline pid_t setsid(void) {
  return ptnet_fail(ENOSYS);
}

static inline int daemon(int no_chdir, int no_close) {
  (void)no_chdir, (void)no_close;
  return ptnet_fail(ENOSYS);
}

static inline int execv(const char *path, char *const arguments[]) {
  (void)path, (void)arguments;
  return ptnet_fail(ENOSYS);
}

static inline int execvp(const char *file, char *const arguments[]) {
  return execv(file, arguments);
}

static inline int pipe(int made[2]) {
  (void)made;
  return ptnet_fail(ENOSYS);
}

static inline int dup(int fd) {
  (void)fd;
  return ptnet_fail(ENOSYS);
}

static inline int dup2(int fd, int wanted) {
  (void)wanted;
  return dup(fd);
}

static inline int gethostname(char *name, size_t size) {
  if (size < 6) return ptnet_fail(ENAMETOOLONG);
  for (int i = 0; i < 6; i++) name[i] = "ptnet"[i];
  return 0;
}

// SIGALRM after so many microseconds, and then again and again; 0 = never.
void ptnet_alarm(long long first, long long every) __attribute__((import_module("ptnet"), import_name("alarm")));

// DIFF: what was left of the last one is not told.
static inline unsigned alarm(unsigned seconds) {
  ptnet_alarm(seconds * 1000000LL, 0);
  return 0;
}

#endif
