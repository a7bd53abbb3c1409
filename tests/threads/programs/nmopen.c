// nm_open() and its family: names, what is refused, packets in one slot and in several, by callback and one by one.
#define NETMAP_WITH_LIBS
#include <net/netmap_user.h>
#include <poll.h>

static int failures;
#define CHECK(what) ((what) ? (void)0 : (failures++, (void)printf("line %d: %s (errno %d)\n", __LINE__, #what, errno)))

static struct nm_desc parsed;
static int parse(const char *name) {
  memset(&parsed, 0, sizeof parsed);
  return nm_parse(name, &parsed, parsed.msg);
}

static unsigned seen, bytes, more;
static void count(unsigned char *argument, const struct nm_pkthdr *header, const unsigned char *data) {
  CHECK(argument == (unsigned char *)&seen && header->buf == data);
  CHECK(data[14] == (unsigned char)seen && (header->caplen < 60 || data[59] == (unsigned char)seen));
  seen++;
  bytes += header->len;
  more += header->flags & NM_MORE_PKTS;
}

static void names(void) {
  CHECK(parse("netmap:eth0-3/xR@2") == 0 && strcmp(parsed.req.nr_name, "eth0") == 0);
  CHECK(parsed.req.nr_flags == (NR_REG_ONE_NIC | NR_EXCLUSIVE | NR_RX_RINGS_ONLY) && parsed.req.nr_ringid == 3);
  CHECK(parsed.req.nr_arg2 == 2);
  CHECK(parse("netmap:eth0*") == 0 && parsed.req.nr_flags == NR_REG_NIC_SW);
  CHECK(parse("netmap:eth0^") == 0 && parsed.req.nr_flags == NR_REG_SW);
  CHECK(parse("netmap:p{7") == 0 && parsed.req.nr_flags == NR_REG_PIPE_MASTER && parsed.req.nr_ringid == 7);
  CHECK(parse("vale1:port}") == 0 && parsed.req.nr_flags == NR_REG_PIPE_SLAVE && parsed.req.nr_ringid == 0);
  CHECK(strcmp(parsed.req.nr_name, "vale1:port") == 0);
  CHECK(parse("vale0:a/zrt") == 0 && parsed.req.nr_flags == (NR_REG_ALL_NIC | NR_ZCOPY_MON | NR_MONITOR_RX | NR_MONITOR_TX));
  static const char *const wrong[] = {"vale0",      "vale0:",          "netmap:",        "netmap:a-",  "netmap:a^1",
                                      "netmap:a/q", "netmap:p{4095",   "netmap:a@1@2",   "vale0:a.b",  "netmap:a-3x",
                                      "vale-1:a",   "netmap:0123456789abcdef"};
  for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
    if (parse(wrong[i]) == 0 || errno != EINVAL) printf("'%s' is taken\n", wrong[i]), failures++;
  }
  CHECK(parse("eth0") == -1 && errno == 0);
  CHECK(nm_open("eth0", NULL, 0, NULL) == NULL && errno == 0);
  CHECK(nm_open("netmap:eth77", NULL, 0, NULL) == NULL && errno == ENXIO);
}

int main(void) {
  names();
  struct nmreq wanted = {.nr_tx_slots = 256, .nr_rx_slots = 256};
  struct nm_desc *a = nm_open("vale5:a", &wanted, 0, NULL);
  struct nm_desc *b = a ? nm_open("vale5:b", NULL, NM_OPEN_RING_CFG, a) : NULL;
  if (!a || !b) return perror("nm_open"), 1;
  CHECK(a->done_mmap && !b->done_mmap && b->mem == a->mem && NETMAP_FD(a) != NETMAP_FD(b));
  CHECK(a->first_tx_ring == 0 && a->last_tx_ring == 0 && a->req.nr_tx_slots == 256 && b->req.nr_rx_slots == 256);
  CHECK((char *)a->buf_start > (char *)a->mem && a->buf_end == (char *)a->mem + a->memsize);
  static unsigned char packet[5000];
  for (int i = 0; i < 100; i++) {
    memset(packet, i, sizeof packet);
    memset(packet, 0xff, 6); // a broadcast
    CHECK(nm_inject(a, packet, i == 99 ? sizeof packet : 100) != 0);
  }
  struct pollfd waiting = {.fd = a->fd, .events = POLLOUT};
  poll(&waiting, 1, 1000);
  waiting = (struct pollfd){.fd = b->fd, .events = POLLIN};
  while (seen < 97 && poll(&waiting, 1, 5000) == 1) nm_dispatch(b, (int)(97 - seen), count, (unsigned char *)&seen);
  CHECK(seen == 97 && bytes == 9700);
  struct nm_pkthdr header;
  unsigned char *data = NULL;
  for (int i = 97; i < 99; i++) {
    while (!(data = nm_nextpkt(b, &header)) && poll(&waiting, 1, 5000) == 1) {
    }
    CHECK(data && data[14] == i && header.len == 100);
  }
  bytes = 0;
  seen = 99;
  while (bytes == 0 && poll(&waiting, 1, 5000) == 1) nm_dispatch(b, -1, count, (unsigned char *)&seen);
  CHECK(seen == 100 && bytes == sizeof packet && more <= 97);
  CHECK(nm_close(b) == 0 && nm_close(a) == 0 && nm_close(NULL) == EINVAL);
  printf("%d failures\n", failures);
  return failures != 0;
}
