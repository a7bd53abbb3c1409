// Wants something that nobody provides.
int strange(int) __attribute__((import_module("env"), import_name("strange")));
int main(void) { return strange(1); }
