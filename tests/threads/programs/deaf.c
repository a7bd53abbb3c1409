// Has no handler for signals. With `loop`, it makes system calls for ever; else it sleeps.
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
  int loops = argc > 1 && strcmp(argv[1], "loop") == 0;
  printf("ready\n");
  for (;;) {
    if (loops) time(NULL);
    else sleep(1000);
  }
}
