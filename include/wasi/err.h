// Messages on standard error, which wasi-libc declares only.
#ifndef PTNET_WASI_ERR_H
#define PTNET_WASI_ERR_H

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void ptnet_vwarn(int error, const char *format, va_list values) {
  if (format) vfprintf(stderr, format, values);
  if (error >= 0) fprintf(stderr, "%s%s", format ? ": " : "", strerror(error));
  fputs("\n", stderr);
}

#define vwarn(format, values) ptnet_vwarn(errno, format, values)
#define vwarnx(format, values) ptnet_vwarn(-1, format, values)

__attribute__((format(printf, 1, 2))) static inline void warn(const char *format, ...) {
  va_list values;
  va_start(values, format);
  vwarn(format, values);
  va_end(values);
}

__attribute__((format(printf, 1, 2))) static inline void warnx(const char *format, ...) {
  va_list values;
  va_start(values, format);
  vwarnx(format, values);
  va_end(values);
}

__attribute__((format(printf, 2, 3))) _Noreturn static inline void err(int code, const char *format, ...) {
  va_list values;
  va_start(values, format);
  vwarn(format, values);
  va_end(values);
  exit(code);
}

__attribute__((format(printf, 2, 3))) _Noreturn static inline void errx(int code, const char *format, ...) {
  va_list values;
  va_start(values, format);
  vwarnx(format, values);
  va_end(values);
  exit(code);
}

#endif
