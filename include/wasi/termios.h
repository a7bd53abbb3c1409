// Terminals, as far as programs have to compile: no descriptor is one, and every call fails with ENOTTY.
#ifndef PTNET_WASI_TERMIOS_H
#define PTNET_WASI_TERMIOS_H

#include <ptnet/fail.h>

#define NCCS 32
#define VTIME 5
#define VMIN 6
#define ISIG 0x01
#define ICANON 0x02
#define ECHO 0x08
#define TCSANOW 0
#define TCSADRAIN 1
#define TCSAFLUSH 2

typedef unsigned int tcflag_t;
typedef unsigned char cc_t;

struct termios {
  tcflag_t c_iflag;
  tcflag_t c_oflag;
  tcflag_t c_cflag;
  tcflag_t c_lflag;
  cc_t c_cc[NCCS];
};

static inline int tcgetattr(int fd, struct termios *settings) {
  (void)fd, (void)settings;
  return ptnet_fail(ENOTTY);
}

static inline int tcsetattr(int fd, int when, const struct termios *settings) {
  (void)fd, (void)when, (void)settings;
  return ptnet_fail(ENOTTY);
}

#endif
