// Linux for i386 as a freestanding program sees it: compiles with `gcc -m32` alone, with no 32-bit libc. The program defines
// `run`, and is one file.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

// System calls of Linux for i386.

/** The sixth argument is 0. */
static inline long syscall5(long n, long a, long b, long c, long d, long e) {
  long result;
  __asm__ volatile("push %%ebp\n\txor %%ebp, %%ebp\n\tint $0x80\n\tpop %%ebp"
                   : "=a"(result)
                   : "a"(n), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
                   : "memory");
  return result;
}

static inline long syscall3(long n, long a, long b, long c) {
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(n), "b"(a), "c"(b), "d"(c) : "memory");
  return result;
}

enum {
  SYS_EXIT = 1,
  SYS_READ = 3,
  SYS_WRITE = 4,
  SYS_OPEN = 5,
  SYS_CLOSE = 6,
  SYS_IOCTL = 54,
  SYS_SIGACTION = 67,
  SYS_SOCKETCALL = 102,
  SYS_IOPL = 110,
  SYS_READV = 145,
  SYS_WRITEV = 146,
  SYS_NANOSLEEP = 162,
  SYS_PREAD64 = 180,
  SYS_PWRITE64 = 181,
  SYS_MMAP2 = 192,
  SYS_CLOCK_GETTIME = 265,
  SYS_PPOLL = 309,
};
enum { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_NONBLOCK = 2048 };
enum { EIO = 5, EAGAIN = 11, EINVAL = 22 };
enum { SIGTERM = 15 };
enum { PROT_READ_WRITE = 3, MAP_SHARED = 1, MAP_PRIVATE = 2, MAP_ANONYMOUS = 0x20, MAP_LOCKED = 0x2000, MAP_POPULATE = 0x8000 };

void *memcpy(void *to, const void *from, size_t n) {
  void *result = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(n) : : "memory");
  return result;
}

void *memset(void *to, int value, size_t n) {
  void *result = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
  return result;
}

static inline u32 length_of(const char *text) {
  u32 n = 0;
  while (text[n]) n++;
  return n;
}

static inline void print(const char *text) { syscall3(SYS_WRITE, 1, (long)text, length_of(text)); }

static inline char *put_number(char *to, u32 value, u32 base) {
  char digits[32];
  int n = 0;
  do {
    digits[n++] = "0123456789abcdef"[value % base];
    value /= base;
  } while (value);
  while (n) *to++ = digits[--n];
  *to = 0;
  return to;
}

/** Prints ` name=value`, in decimal. */
static inline void print_value(const char *name, u32 value) {
  char line[64], *end = line;
  *end++ = ' ';
  while (*name) *end++ = *name++;
  *end++ = '=';
  put_number(end, value, 10);
  print(line);
}

static inline void exit_with(int status) { syscall3(SYS_EXIT, status, 0, 0); }

static inline void fail(const char *what, u32 value) {
  print("FAILED ");
  print(what);
  print_value("value", value);
  print("\n");
  exit_with(1);
}

static inline u32 milliseconds(void) {
  struct { int32_t s, ns; } now;
  syscall3(SYS_CLOCK_GETTIME, 1, (long)&now, 0);
  return (u32)now.s * 1000 + (u32)now.ns / 1000000;
}

/** Lets the machine idle for a moment. */
static inline void rest(void) {
  struct { int32_t s, ns; } time = {0, 50000};
  syscall3(SYS_NANOSLEEP, (long)&time, 0, 0);
}

static inline u32 parse(const char *text, u32 base) {
  u32 value = 0;
  for (;; text++) {
    u32 digit = *text >= '0' && *text <= '9' ? (u32)(*text - '0') : *text >= 'a' && *text <= 'f' ? (u32)(*text - 'a' + 10) : 99;
    if (digit >= base) return value;
    value = value * base + digit;
  }
}

static inline int is(const char *a, const char *b) {
  while (*a && *a == *b) a++, b++;
  return *a == *b;
}

static void run(int argc, char **argv);

__attribute__((used)) static void start(long *stack) {
  run((int)stack[0], (char **)(stack + 1));
  exit_with(0);
}

__asm__(".globl _start\n_start:\n\tmov %esp, %eax\n\tand $-16, %esp\n\tsub $12, %esp\n\tpush %eax\n\tcall start\n");
