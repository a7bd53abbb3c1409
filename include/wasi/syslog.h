// Messages to the system's log: there is none, and they go to standard error.
#ifndef PTNET_WASI_SYSLOG_H
#define PTNET_WASI_SYSLOG_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define LOG_EMERG 0
#define LOG_ALERT 1
#define LOG_CRIT 2
#define LOG_ERR 3
#define LOG_WARNING 4
#define LOG_NOTICE 5
#define LOG_INFO 6
#define LOG_DEBUG 7
#define LOG_PRIMASK 7
#define LOG_PRI(priority) ((priority) & LOG_PRIMASK)
#define LOG_MASK(priority) (1 << (priority))
#define LOG_UPTO(priority) ((1 << ((priority) + 1)) - 1)

#define LOG_KERN (0 << 3)
#define LOG_USER (1 << 3)
#define LOG_DAEMON (3 << 3)
#define LOG_AUTH (4 << 3)
#define LOG_LOCAL0 (16 << 3)
#define LOG_LOCAL1 (17 << 3)
#define LOG_LOCAL2 (18 << 3)
#define LOG_LOCAL3 (19 << 3)
#define LOG_LOCAL4 (20 << 3)
#define LOG_LOCAL5 (21 << 3)
#define LOG_LOCAL6 (22 << 3)
#define LOG_LOCAL7 (23 << 3)

#define LOG_PID 0x01
#define LOG_CONS 0x02
#define LOG_ODELAY 0x04
#define LOG_NDELAY 0x08
#define LOG_NOWAIT 0x10
#define LOG_PERROR 0x20

__attribute__((format(printf, 2, 0))) static inline void vsyslog(int priority, const char *format, va_list values) {
  (void)priority;
  // %m is the message of errno, which printf of wasi-libc knows, too.
  vfprintf(stderr, format, values);
  size_t length = strlen(format);
  if (length == 0 || format[length - 1] != '\n') fputs("\n", stderr);
}

__attribute__((format(printf, 2, 3))) static inline void syslog(int priority, const char *format, ...) {
  va_list values;
  va_start(values, format);
  vsyslog(priority, format, values);
  va_end(values);
}

static inline void openlog(const char *name, int options, int facility) {
  (void)name, (void)options, (void)facility;
}

static inline void closelog(void) {}

static inline int setlogmask(int mask) {
  (void)mask;
  return LOG_UPTO(LOG_DEBUG); // all are written
}

#endif
