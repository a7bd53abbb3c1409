// Includes one header, the first of all: -DHEADER=<name>
#include HEADER

int main(void) {
  return 0;
}
