// The other ends of the socket benches, and the bare loops that our backends are compared with. Frames go through unix
// sockets with their length before them.
//   socket send PATH SIZE MS WRITE    sends frames, WRITE bytes of them a system call (0: one frame a call)
//   socket recv PATH MS               counts frames for MS milliseconds from the first one on
//   socket pair SIZE MS WRITE         both, joined without anything in between
// Receivers say who they are by a first frame. Prints frames a second.
#define _GNU_SOURCE
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FRAME = 2048, BUFFER = 1 << 17, HEADER = 4, IDLE_MS = 5000 };

static double now(void) {
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec + ts.tv_nsec * 1e-9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void build(uint8_t *frame, int size, int to, int from) {
    memset(frame, 0, size);
    const uint8_t head[] = {2, 0, 0, 0, 0, to, 2, 0, 0, 0, 0, from, 0x88, 0xb5};
    memcpy(frame, head, sizeof head);
}

static int join(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) die(path);
    return fd;
}

static void write_all(int fd, const uint8_t *bytes, size_t size) {
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0) exit(0); // the other end has seen enough
        bytes += n;
        size -= n;
    }
}

static void send_frames(int fd, int size, double seconds, int per_write) {
    static uint8_t buffer[BUFFER + MAX_FRAME];
    int used = 0;
    do {
        uint8_t *at = buffer + used;
        at[0] = at[1] = 0;
        at[2] = size >> 8;
        at[3] = size;
        build(at + HEADER, size, 2, 1);
        used += HEADER + size;
    } while (used + HEADER + size <= per_write);
    for (double end = now() + seconds; now() < end;) write_all(fd, buffer, used);
}

/** Copies each frame out, as a receiver does. */
static double recv_frames(int fd, double seconds) {
    static uint8_t buffer[BUFFER], ring[1024][MAX_FRAME];
    size_t held = 0;
    uint64_t frames = 0;
    double start = 0, last = 0;
    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        if (poll(&ready, 1, IDLE_MS) <= 0) break;
        ssize_t n = read(fd, buffer + held, sizeof buffer - held);
        if (n <= 0) break;
        last = now();
        if (start == 0) start = last;
        held += n;
        size_t at = 0;
        while (held - at >= HEADER) {
            size_t length = buffer[at + 2] << 8 | buffer[at + 3];
            if (held - at < HEADER + length) break;
            memcpy(ring[frames++ & 1023], buffer + at + HEADER, length);
            at += HEADER + length;
        }
        memmove(buffer, buffer + at, held - at);
        held -= at;
        if (last - start >= seconds) break;
    }
    return last > start ? frames / (last - start) : 0;
}

static void announce(int fd) {
    uint8_t frame[HEADER + 60] = {0, 0, 0, 60};
    build(frame + HEADER, 60, 3, 2);
    write_all(fd, frame, sizeof frame);
}

static double run_pair(int size, double seconds, int per_write) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) die("socketpair");
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        send_frames(ends[1], size, seconds + 1, per_write);
        exit(0);
    }
    close(ends[1]);
    double rate = recv_frames(ends[0], seconds);
    close(ends[0]);
    waitpid(child, NULL, 0);
    return rate;
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    const char *mode = argc > 1 ? argv[1] : "";
    double rate = 0;
    if (!strcmp(mode, "send") && argc == 6) {
        send_frames(join(argv[2]), atoi(argv[3]), atof(argv[4]) / 1e3, atoi(argv[5]));
        return 0;
    }
    if (!strcmp(mode, "recv") && argc == 4) {
        int fd = join(argv[2]);
        announce(fd);
        rate = recv_frames(fd, atof(argv[3]) / 1e3);
    } else if (!strcmp(mode, "pair") && argc == 5) {
        rate = run_pair(atoi(argv[2]), atof(argv[3]) / 1e3, atoi(argv[4]));
    } else {
        fprintf(stderr, "bad arguments\n");
        return 2;
    }
    printf("%.0f\n", rate);
    return 0;
}
