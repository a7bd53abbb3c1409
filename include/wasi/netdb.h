// Names of hosts and services, as far as programs have to compile: nobody knows any, and every look-up fails.
#ifndef PTNET_WASI_NETDB_H
#define PTNET_WASI_NETDB_H

#include <netinet/in.h>
#include <stddef.h>
#include <sys/socket.h>

struct addrinfo {
  int ai_flags;
  int ai_family;
  int ai_socktype;
  int ai_protocol;
  socklen_t ai_addrlen;
  struct sockaddr *ai_addr;
  char *ai_canonname;
  struct addrinfo *ai_next;
};

struct hostent {
  char *h_name;
  char **h_aliases;
  int h_addrtype;
  int h_length;
  char **h_addr_list;
};
#define h_addr h_addr_list[0]

struct servent {
  char *s_name;
  char **s_aliases;
  int s_port;
  char *s_proto;
};

#define AI_PASSIVE 0x01
#define AI_CANONNAME 0x02
#define AI_NUMERICHOST 0x04
#define AI_NUMERICSERV 0x400
#define NI_NUMERICHOST 0x01
#define NI_NUMERICSERV 0x02
#define NI_MAXHOST 255
#define NI_MAXSERV 32

#define EAI_BADFLAGS -1
#define EAI_NONAME -2
#define EAI_AGAIN -3
#define EAI_FAIL -4
#define EAI_FAMILY -6
#define EAI_SOCKTYPE -7
#define EAI_SERVICE -8
#define EAI_MEMORY -10
#define EAI_SYSTEM -11
#define EAI_OVERFLOW -12

#define HOST_NOT_FOUND 1
#define TRY_AGAIN 2
#define NO_RECOVERY 3
#define NO_DATA 4

static inline int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                              struct addrinfo **found) {
  (void)host, (void)service, (void)hints;
  *found = NULL;
  return EAI_FAIL;
}

static inline void freeaddrinfo(struct addrinfo *found) {
  (void)found; // there is never one
}

static inline int getnameinfo(const struct sockaddr *address, socklen_t length, char *host, socklen_t host_size,
                              char *service, socklen_t service_size, int flags) {
  (void)address, (void)length, (void)host, (void)host_size, (void)service, (void)service_size, (void)flags;
  return EAI_FAIL;
}

static inline const char *gai_strerror(int error) {
  return error == EAI_FAIL ? "there is no name service here" : "the look-up has failed";
}

static inline struct hostent *gethostbyname(const char *name) {
  (void)name;
  return NULL;
}

static inline struct servent *getservbyname(const char *name, const char *protocol) {
  (void)name, (void)protocol;
  return NULL;
}

#endif
