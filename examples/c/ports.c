// Looks at ports and switches, and changes them: ports [-l] [-i PORT] [-a SWITCH:IF] [-h SWITCH:IF] [-d SWITCH:IF]
// [-n IF] [-r IF]. -l lists, -i tells of one port, -a attaches an interface to a switch, -h with its host rings, -d takes it
// away; -n makes a persistent port, -r removes it.
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <net/netmap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int fd;

static int request(int type, const char *name, void *body, struct nmreq_header *header) {
  memset(header, 0, sizeof *header);
  header->nr_version = NETMAP_API;
  header->nr_reqtype = (uint16_t)type;
  snprintf(header->nr_name, sizeof header->nr_name, "%s", name);
  header->nr_body = (uintptr_t)body;
  return ioctl(fd, NIOCCTRL, header);
}

static void list(void) {
  struct nmreq_vale_list entry = {0};
  struct nmreq_header header;
  while (request(NETMAP_REQ_VALE_LIST, "", &entry, &header) == 0) {
    printf("%s bridge %d port %d\n", header.nr_name, entry.nr_bridge_idx, (int)entry.nr_port_idx);
    entry.nr_port_idx++;
  }
  if (errno != ENOENT) err(1, "cannot list switches");
}

static void tell(const char *name) {
  struct nmreq_port_info_get info = {0};
  struct nmreq_header header;
  const char *bare = strncmp(name, "netmap:", 7) == 0 ? name + 7 : name;
  if (request(NETMAP_REQ_PORT_INFO_GET, bare, &info, &header) < 0) err(1, "cannot look at '%s'", name);
  printf("%s: %d tx rings of %d slots, %d rx rings of %d slots, memory %d of %llu bytes\n", bare, info.nr_tx_rings,
         (int)info.nr_tx_slots, info.nr_rx_rings, (int)info.nr_rx_slots, info.nr_mem_id,
         (unsigned long long)info.nr_memsize);
}

static void attach(const char *name, int mode) {
  struct nmreq_vale_attach body = {.reg = {.nr_mode = (uint32_t)mode}};
  struct nmreq_header header;
  if (request(NETMAP_REQ_VALE_ATTACH, name, &body, &header) < 0) err(1, "cannot attach '%s'", name);
  printf("%s is port %d\n", name, (int)body.port_index);
}

static void detach(const char *name) {
  struct nmreq_vale_detach body = {0};
  struct nmreq_header header;
  if (request(NETMAP_REQ_VALE_DETACH, name, &body, &header) < 0) err(1, "cannot detach '%s'", name);
  printf("%s was port %d\n", name, (int)body.port_index);
}

static void create(const char *name, int makes) {
  struct nmreq_vale_newif body = {0};
  struct nmreq_header header;
  if (request(makes ? NETMAP_REQ_VALE_NEWIF : NETMAP_REQ_VALE_DELIF, name, makes ? &body : NULL, &header) < 0) {
    err(1, "cannot %s '%s'", makes ? "make" : "remove", name);
  }
}

int main(int argc, char **argv) {
  fd = open("/dev/netmap", O_RDWR);
  if (fd < 0) err(1, "cannot open /dev/netmap");
  if (argc == 1) list();
  for (int option; (option = getopt(argc, argv, "li:a:h:d:n:r:")) != -1;) {
    if (option == 'l') list();
    else if (option == 'i') tell(optarg);
    else if (option == 'a') attach(optarg, NR_REG_ALL_NIC);
    else if (option == 'h') attach(optarg, NR_REG_NIC_SW);
    else if (option == 'd') detach(optarg);
    else if (option == 'n' || option == 'r') create(optarg, option == 'n');
    else return 2;
  }
  close(fd);
  return 0;
}
