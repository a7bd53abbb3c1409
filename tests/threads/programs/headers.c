// What network programs include and call beside netmap's, without a network: it has to compile without warnings, and what
// cannot be done has to fail with a reason.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <netinet/ip_icmp.h>
#include <netinet/ether.h>
#include <netinet/if_ether.h>
#include <net/if.h>
#include <net/ethernet.h>
#include <ifaddrs.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/resource.h>
#include <err.h>
#include <libgen.h>
#include <unistd.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <stdint.h>
#include <ctype.h>
#include <math.h>
#include <assert.h>
#include <signal.h>
#include <net/if_arp.h>
#include <sys/sysctl.h>
#include <sys/wait.h>
#include <netdb.h>
#include <sys/queue.h>
#include <syslog.h>
#include <termios.h>

static int failures;
#define CHECK(what) ((what) ? (void)0 : (failures++, (void)printf("line %d: %s (errno %d)\n", __LINE__, #what, errno)))
#define FAILS(call, error) CHECK((call) == -1 && errno == (error))

static volatile int rings;
static void ring(int number) {
  rings += number == SIGALRM;
}

struct item {
  int number;
  SLIST_ENTRY(item) in_slist;
  LIST_ENTRY(item) in_list;
  STAILQ_ENTRY(item) in_stailq;
  TAILQ_ENTRY(item) in_tailq;
};

// Digits of the numbers of lists, one list behind the other.
static int queues(void) {
  SLIST_HEAD(, item) slist = SLIST_HEAD_INITIALIZER(slist);
  LIST_HEAD(, item) list = LIST_HEAD_INITIALIZER(list);
  STAILQ_HEAD(, item) stailq = STAILQ_HEAD_INITIALIZER(stailq);
  TAILQ_HEAD(, item) tailq = TAILQ_HEAD_INITIALIZER(tailq);
  struct item items[3] = {{.number = 1}, {.number = 2}, {.number = 3}}, *at, *after;
  for (int i = 0; i < 3; i++) {
    SLIST_INSERT_HEAD(&slist, &items[i], in_slist);
    LIST_INSERT_HEAD(&list, &items[i], in_list);
    STAILQ_INSERT_TAIL(&stailq, &items[i], in_stailq);
    TAILQ_INSERT_TAIL(&tailq, &items[i], in_tailq);
  }
  SLIST_REMOVE_HEAD(&slist, in_slist);
  LIST_FOREACH_SAFE(at, &list, in_list, after) if (at->number == 2) LIST_REMOVE(at, in_list);
  STAILQ_REMOVE_HEAD(&stailq, in_stailq);
  STAILQ_INSERT_HEAD(&stailq, &items[0], in_stailq);
  TAILQ_FOREACH_SAFE(at, &tailq, in_tailq, after) if (at->number != 2) TAILQ_REMOVE(&tailq, at, in_tailq);
  TAILQ_INSERT_HEAD(&tailq, &items[2], in_tailq);
  TAILQ_INSERT_TAIL(&tailq, &items[0], in_tailq);
  int digits = 0;
  SLIST_FOREACH(at, &slist, in_slist) digits = 10 * digits + at->number;
  LIST_FOREACH(at, &list, in_list) digits = 10 * digits + at->number;
  STAILQ_FOREACH(at, &stailq, in_stailq) digits = 10 * digits + at->number;
  while (!TAILQ_EMPTY(&tailq)) {
    digits = 10 * digits + TAILQ_FIRST(&tailq)->number;
    TAILQ_REMOVE(&tailq, TAILQ_FIRST(&tailq), in_tailq);
  }
  return digits;
}

int main(int argc, char **argv) {
  struct ip ip = {.ip_v = 4, .ip_hl = 5, .ip_p = IPPROTO_UDP};
  struct ip6_hdr ip6 = {.ip6_nxt = IPPROTO_UDP};
  struct udphdr udp = {.uh_sport = htons(1), .uh_ulen = htons(8)};
  struct tcphdr tcp = {.th_sport = htons(1)};
  struct iphdr linux_ip = {.ihl = 5, .version = 4};
  struct ether_arp arp = {.arp_op = htons(ARPOP_REQUEST)};
  CHECK(sizeof ip == 20 && sizeof ip6 == 40 && sizeof udp == 8 && sizeof tcp == 20 && sizeof linux_ip == 20);
  CHECK(sizeof arp == 28 && sizeof(struct ether_header) == 14 && udp.source == htons(1) && ip.ip_hl == linux_ip.ihl);

  struct in_addr address;
  char text[64];
  CHECK(inet_aton("1.2.3.4", &address) && strcmp(inet_ntoa(address), "1.2.3.4") == 0);
  CHECK(inet_addr("1.2.3.4") == address.s_addr && inet_addr("x") == INADDR_NONE);
  CHECK(inet_ntop(AF_INET6, &ip6.ip6_src, text, sizeof text) && strcmp(text, "::") == 0);
  struct ether_addr *mac = ether_aton("1:02:a:fF:0:6");
  CHECK(mac && strcmp(ether_ntoa(mac), "1:2:a:ff:0:6") == 0 && !ether_aton("1:2:3") && !ether_aton("1:2:3:4:5:6x"));

  CHECK(queues() == 2131123321); // 21, 31, 123 and 321
  struct addrinfo *found;
  CHECK(getaddrinfo("localhost", "http", NULL, &found) == EAI_FAIL && found == NULL && *gai_strerror(EAI_FAIL));
  CHECK(gethostbyname("localhost") == NULL);
  struct termios terminal;
  FAILS(tcgetattr(0, &terminal), ENOTTY);
  openlog("name", LOG_PID, LOG_USER);
  syslog(LOG_WARNING, "logged %d", 1);
  struct ifaddrs *list = (struct ifaddrs *)argv;
  CHECK(getifaddrs(&list) == 0 && list == NULL);
  freeifaddrs(list);
  CHECK(if_nametoindex("eth0") == 0 && errno == ENODEV);
  struct ifreq ifr = {.ifr_flags = IFF_UP};
  strncpy(ifr.ifr_name, "eth0", sizeof ifr.ifr_name);
  FAILS(socket(AF_INET, SOCK_DGRAM, 0), EAFNOSUPPORT);
  FAILS(fork(), ENOSYS);
  FAILS(system("ls"), ENOSYS);
  FAILS(waitpid(-1, NULL, 0), ECHILD);
  FAILS(kill(2, SIGTERM), ESRCH);
  struct rusage usage;
  FAILS(getrusage(RUSAGE_SELF, &usage), ENOSYS);
  CHECK(popen("ls", "r") == NULL && errno == ENOSYS);
  CHECK(getpid() == 1 && getuid() == 0 && gethostname(text, sizeof text) == 0);
  int processors = 0;
  size_t size = sizeof processors;
  CHECK(sysctlbyname("hw.ncpu", &processors, &size, NULL, 0) == 0 && processors == sysconf(_SC_NPROCESSORS_ONLN));
  CHECK(processors >= 1 && floor(1.5) == 1 && isdigit('1'));

  signal(SIGALRM, ring);
  struct itimerval timer = {{0, 5000}, {0, 10000}};
  CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
  FAILS(usleep(5000000), EINTR);
  while (rings < 4) usleep(1000);
  timer = (struct itimerval){{0, 0}, {0, 0}};
  CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
  warnx("%s %d", basename(argv[0]), argc);
  errno = ENOENT;
  warn("warning");
  printf("%d failures\n", failures);
  errno = EIO;
  err(failures == 0 ? 9 : 1, "end");
}
