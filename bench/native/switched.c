// Two programs at a switch of the machine, a thread each: the twin of bench/threads/polled.ts over sockets, with the same
// frames and the same proof.
//
//   switched packet SPACE DEVICE SPACE DEVICE SIZE WARMUP_MS TIME_MS   packet sockets in two network namespaces
//   switched vde CONTROL SIZE WARMUP_MS TIME_MS                        two clients of a vde_switch, by libvdeplug
//
// Prints {"ns": per frame that arrived, "digest": of the proof, "dropped": per cent of what was sent}.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "frames.h"

enum { TYPE = 0x88b5, SLOTS = 1024, BURST = 64, ROOM = 2048, RECEIVE_BUFFER = 8 << 20, SETTLE_MS = 100, QUIET_MS = 20 };
/** How long frames of the proof may take, and how many bursts go between two looks at the clock. */
enum { PATIENCE_MS = 3000, BURSTS = 16 };

typedef struct vdeconn VDECONN;
static VDECONN *(*vde_open_real)(char *, char *, int, void *);
static ssize_t (*vde_recv)(VDECONN *, void *, size_t, int);
static ssize_t (*vde_send)(VDECONN *, const void *, size_t, int);
static int (*vde_datafd)(VDECONN *);

struct end {
  VDECONN *vde; // or none: a packet socket
  int fd;
};
static struct end sender, receiver;

static u32 size;
static u8 frames[SLOTS][ROOM], arrived[BURST][ROOM];
static struct iovec outgoing[BURST], incoming[BURST];
static struct mmsghdr out_heads[BURST], in_heads[BURST];
static u32 lengths[BURST];

static double time_ms, started_ns, ended_ns;
static u32 digest, sum;
static u64 sent;
LINE static _Atomic u64 received;
LINE static _Atomic bool sender_done;

static void die(const char *what) {
  perror(what);
  exit(1);
}

static double now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return 1e9 * t.tv_sec + t.tv_nsec;
}

static void *function(void *library, const char *name) {
  void *found = dlsym(library, name);
  if (!found) die(name);
  return found;
}

static struct end vde_end(char *control) {
  static void *library;
  if (!library) library = dlopen("libvdeplug.so.2", RTLD_NOW);
  if (!library) library = dlopen("libvdeplug.so.3", RTLD_NOW);
  if (!library) {
    fprintf(stderr, "%s\n", dlerror());
    exit(1);
  }
  *(void **)&vde_open_real = function(library, "vde_open_real");
  *(void **)&vde_recv = function(library, "vde_recv");
  *(void **)&vde_send = function(library, "vde_send");
  *(void **)&vde_datafd = function(library, "vde_datafd");
  VDECONN *connection = vde_open_real(control, "bench", 1, NULL);
  if (!connection) die(control);
  return (struct end){.vde = connection, .fd = vde_datafd(connection)};
}

static struct end packet_end(const char *space, const char *device) {
  char path[256];
  snprintf(path, sizeof path, "/run/netns/%s", space);
  int ns = open(path, O_RDONLY);
  if (ns < 0 || setns(ns, CLONE_NEWNET) < 0) die(path);
  close(ns);
  int fd = socket(AF_PACKET, SOCK_RAW, htons(TYPE));
  struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(TYPE), .sll_ifindex = if_nametoindex(device)};
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0) die(device);
  int on = 1, room = RECEIVE_BUFFER;
  if (setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on) < 0) die("PACKET_QDISC_BYPASS");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) < 0) die("SO_RCVBUFFORCE");
  return (struct end){.fd = fd};
}

/** Sends frames `seq` … `seq + count - 1`. One that the kernel refuses is lost, as one that the switch drops. */
static void send_frames(u32 seq, u32 count, u32 vary) {
  for (u32 k = 0; k < count; k++, seq++) {
    u8 *frame = frames[seq % SLOTS];
    memcpy(frame + SEQ_OFS, &seq, sizeof seq);
    outgoing[k] = (struct iovec){.iov_base = frame, .iov_len = size - (seq & vary)};
  }
  for (u32 k = 0; k < count;) {
    int n = sender.vde ? (int)(vde_send(sender.vde, outgoing[k].iov_base, outgoing[k].iov_len, 0) > 0)
                       : sendmmsg(sender.fd, out_heads + k, count - k, 0);
    k += n > 0 ? n : 1;
  }
}

static bool is_ours(const u8 *frame) { return frame[12] == TYPE >> 8 && frame[13] == (TYPE & 255); }

/** Takes the frames that are there, up to a burst; waits a little for the first one. */
static u32 take(void) {
  struct pollfd ready = {.fd = receiver.fd, .events = POLLIN};
  for (int tries = 0; tries < 2; tries++) {
    u32 n = 0;
    if (receiver.vde) {
      for (ssize_t len; n < BURST && (len = vde_recv(receiver.vde, arrived[n], ROOM, 0)) > 0;)
        if (is_ours(arrived[n])) lengths[n++] = len;
    } else {
      int got = recvmmsg(receiver.fd, in_heads, BURST, MSG_DONTWAIT, NULL);
      for (; (int)n < got; n++) lengths[n] = in_heads[n].msg_len;
    }
    if (n > 0 || poll(&ready, 1, QUIET_MS) == 0) return n;
  }
  return 0;
}

static void *prove_sender(void *unused) {
  for (u32 seq = 0; seq < PROOF_FRAMES; seq += BURST) {
    send_frames(seq, BURST, seq < PROOF_FRAMES / 2 ? 7 : 0);
    // A window: what is too much would be dropped.
    for (double end = now_ns() + 1e6 * PATIENCE_MS; atomic_load(&received) < seq + BURST; sched_yield()) {
      if (now_ns() < end) continue;
      fprintf(stderr, "frames of the proof are lost\n");
      exit(3);
    }
  }
  return unused;
}

static void *prove_receiver(void *unused) {
  u32 hash = FNV_BASIS;
  for (u64 got = 0; got < PROOF_FRAMES; atomic_store(&received, got)) {
    u32 n = take();
    for (u32 k = 0; k < n; k++) hash = digest_frame(arrived[k], lengths[k], hash);
    got += n;
  }
  digest = hash;
  return unused;
}

static void *run_sender(void *unused) {
  u64 seq = 0;
  started_ns = now_ns();
  while (now_ns() - started_ns < 1e6 * time_ms)
    for (int i = 0; i < BURSTS; i++, seq += BURST) send_frames(seq, BURST, 0);
  sent = seq;
  atomic_store(&sender_done, true);
  return unused;
}

static void *run_receiver(void *unused) {
  u64 packets = 0;
  u32 s = 0;
  for (bool last = false, some = true; some || !last;) {
    last = atomic_load(&sender_done);
    u32 n = take();
    some = n > 0;
    if (!some) continue;
    for (u32 k = 0; k < n; k++) {
      u32 number;
      memcpy(&number, arrived[k] + SEQ_OFS, sizeof number);
      s += lengths[k] + number;
    }
    packets += n;
    ended_ns = now_ns();
  }
  sum = s;
  atomic_store(&received, packets);
  return unused;
}

static void in_two_threads(void *(*send)(void *), void *(*receive)(void *)) {
  pthread_t threads[2];
  if (pthread_create(&threads[0], NULL, receive, NULL) || pthread_create(&threads[1], NULL, send, NULL)) die("threads");
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

/** The receiver says where it is: to an address that nobody has. */
static void introduce(void) {
  u8 hello[60];
  frame_make(hello, sizeof hello, 9, 2, 0);
  ssize_t n = receiver.vde ? vde_send(receiver.vde, hello, sizeof hello, 0) : send(receiver.fd, hello, sizeof hello, 0);
  if (n < 0) die("the first frame");
  usleep(1000 * SETTLE_MS);
}

int main(int argc, char **argv) {
  if (argc == 9 && !strcmp(argv[1], "packet")) {
    sender = packet_end(argv[2], argv[3]);
    receiver = packet_end(argv[4], argv[5]);
  } else if (argc == 6 && !strcmp(argv[1], "vde")) {
    sender = vde_end(argv[2]);
    receiver = vde_end(argv[2]);
    if (fcntl(receiver.fd, F_SETFL, O_NONBLOCK) < 0) die("O_NONBLOCK");
  } else {
    return 2;
  }
  size = atoi(argv[argc - 3]);
  for (u32 i = 0; i < SLOTS; i++) frame_make(frames[i], size, 2, 1, i);
  for (u32 k = 0; k < BURST; k++) {
    out_heads[k].msg_hdr = (struct msghdr){.msg_iov = &outgoing[k], .msg_iovlen = 1};
    incoming[k] = (struct iovec){.iov_base = arrived[k], .iov_len = ROOM};
    in_heads[k].msg_hdr = (struct msghdr){.msg_iov = &incoming[k], .msg_iovlen = 1};
  }
  introduce();
  in_two_threads(prove_sender, prove_receiver);
  for (int i = 2; i > 0; i--) {
    time_ms = atof(argv[argc - i]);
    atomic_store(&sender_done, false);
    in_two_threads(run_sender, run_receiver);
  }
  u64 got = atomic_load(&received);
  if (got == 0 || (got == sent && sum != (u32)(sent * (sent - 1) / 2 + sent * size))) return 4;
  printf("{\"ns\":%.4f,\"digest\":%u,\"dropped\":%.3f}\n", (ended_ns - started_ns) / got, digest,
         100.0 * (double)(sent - got) / (double)sent);
  return 0;
}
