// Ends with a trap, with a port open.
#include <fcntl.h>
#include <net/netmap.h>

int main(void) {
  struct nmreq_register reg = {.nr_mode = NR_REG_ALL_NIC};
  struct nmreq_header header = {.nr_version = NETMAP_API, .nr_reqtype = NETMAP_REQ_REGISTER, .nr_name = "vale7:trap"};
  header.nr_body = (uintptr_t)&reg;
  if (ioctl(open("/dev/netmap", O_RDWR), NIOCCTRL, &header) < 0) return 1;
  __builtin_trap();
}
