#define _GNU_SOURCE
#include <ucontext.h>
int main(void){return 0;}
