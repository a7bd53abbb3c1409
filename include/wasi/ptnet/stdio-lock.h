// The functions of stdio.h that programs with threads share streams by: each takes the lock and calls libc's.
#ifndef PTNET_STDIO_LOCK_H
#define PTNET_STDIO_LOCK_H

#include <ptnet/futex.h>
#include <stdarg.h>
#include <string.h>

__attribute__((weak)) volatile int ptnet_stdio;
// Whose address tells the thread that has the lock: a signal's handler may print while its thread does.
__attribute__((weak, tls_model("local-exec"))) _Thread_local char ptnet_stdio_thread;
__attribute__((weak)) char *volatile ptnet_stdio_holder;
__attribute__((weak)) int ptnet_stdio_depth;

static inline void ptnet_enter_stdio(void) {
  if (ptnet_stdio_holder != &ptnet_stdio_thread) {
    ptnet_lock(&ptnet_stdio);
    ptnet_stdio_holder = &ptnet_stdio_thread;
  }
  ptnet_stdio_depth++;
}

static inline void ptnet_leave_stdio(void) {
  if (--ptnet_stdio_depth > 0) return;
  ptnet_stdio_holder = 0;
  ptnet_unlock(&ptnet_stdio);
}

static inline void flockfile(FILE *file) {
  (void)file;
  ptnet_enter_stdio();
}

static inline void funlockfile(FILE *file) {
  (void)file;
  ptnet_leave_stdio();
}

// From here on `name` is a function of ours, and ptnet_libc_name the one of libc.
#define PTNET_LOCKED(result, name, parameters, arguments)                                                              \
  result ptnet_libc_##name parameters __asm__(#name);                                                                  \
  result name parameters __asm__("ptnet_" #name);                                                                      \
  __attribute__((weak)) result name parameters {                                                                       \
    ptnet_enter_stdio();                                                                                               \
    result said = ptnet_libc_##name arguments;                                                                         \
    ptnet_leave_stdio();                                                                                               \
    return said;                                                                                                       \
  }

PTNET_LOCKED(int, vfprintf, (FILE *file, const char *format, va_list values), (file, format, values))
PTNET_LOCKED(int, fputs, (const char *text, FILE *file), (text, file))
PTNET_LOCKED(int, puts, (const char *text), (text))
PTNET_LOCKED(int, fputc, (int byte, FILE *file), (byte, file))
PTNET_LOCKED(int, fflush, (FILE *file), (file))
PTNET_LOCKED(int, fgetc, (FILE *file), (file))
PTNET_LOCKED(char *, fgets, (char *line, int size, FILE *file), (line, size, file))
PTNET_LOCKED(size_t, fwrite, (const void *data, size_t size, size_t count, FILE *file), (data, size, count, file))
PTNET_LOCKED(size_t, fread, (void *data, size_t size, size_t count, FILE *file), (data, size, count, file))

int fprintf(FILE *file, const char *format, ...) __asm__("ptnet_fprintf");
__attribute__((weak, format(printf, 2, 3))) int fprintf(FILE *file, const char *format, ...) {
  va_list values;
  va_start(values, format);
  int said = vfprintf(file, format, values);
  va_end(values);
  return said;
}

int vprintf(const char *format, va_list values) __asm__("ptnet_vprintf");
__attribute__((weak)) int vprintf(const char *format, va_list values) {
  return vfprintf(stdout, format, values);
}

int printf(const char *format, ...) __asm__("ptnet_printf");
__attribute__((weak, format(printf, 1, 2))) int printf(const char *format, ...) {
  va_list values;
  va_start(values, format);
  int said = vfprintf(stdout, format, values);
  va_end(values);
  return said;
}

int putc(int byte, FILE *file) __asm__("ptnet_putc");
__attribute__((weak)) int putc(int byte, FILE *file) {
  return fputc(byte, file);
}

int putchar(int byte) __asm__("ptnet_putchar");
__attribute__((weak)) int putchar(int byte) {
  return fputc(byte, stdout);
}

void perror(const char *what) __asm__("ptnet_perror");
__attribute__((weak)) void perror(const char *what) {
  const char *why = strerror(errno);
  if (what && *what) fprintf(stderr, "%s: %s\n", what, why);
  else fprintf(stderr, "%s\n", why);
}

#endif
