// netmap's forwarding table in place of ptnet's (-DNETMAP_TABLE): 1024 buckets of one entry each, netmap's hash over the
// six bytes, a cache of the source port's last source, none of the last destination. NETMAP(4), VALE; the hash is the
// mixing step of Bob Jenkins' lookup functions.
#pragma once
#include "ring.h"

enum { TABLE_BUCKETS = 1024 };

struct table_entry {
  u64 mac, port;
};

static struct table_entry table[TABLE_BUCKETS];

static inline u32 table_hash(u64 mac) {
  u32 a = 0x9e3779b9u + (u32)mac, b = 0x9e3779b9u + (u32)(mac >> 32), c = 0;
#define MIX(x, y, z, s) x = (x - y - z) ^ (s)
  MIX(a, b, c, c >> 13), MIX(b, c, a, a << 8), MIX(c, a, b, b >> 13);
  MIX(a, b, c, c >> 12), MIX(b, c, a, a << 16), MIX(c, a, b, b >> 5);
  MIX(a, b, c, c >> 3), MIX(b, c, a, a << 10), MIX(c, a, b, b >> 15);
#undef MIX
  return c & (TABLE_BUCKETS - 1);
}

static inline void table_learn(u64 mac, u32 port) {
  struct table_entry *entry = &table[table_hash(mac)];
  entry->mac = mac;
  entry->port = port;
}

static inline u32 table_lookup(u64 mac) {
  const struct table_entry *entry = &table[table_hash(mac)];
  return entry->mac == mac ? entry->port : BROADCAST;
}

/** Learns from, and finds the destination of, every packet of the batch. */
static void table_classify(struct port *port, struct scratch *scratch, u32 count, u32 ring) {
  struct entry *end = scratch->entries + count;
  for (struct entry *e = scratch->entries; e < end; e += e->frags) {
    u32 dest = NOPORT;
    if (e->len >= 14) {
      u64 dst = 0, src = 0;
      memcpy(&dst, e->addr, 6);
      memcpy(&src, e->addr + 6, 6);
      if ((src & 1) == 0 && src != port->last_src) {
        table_learn(src, port->index);
        port->last_src = src;
      }
      dest = BROADCAST;
      if ((dst & 1) == 0) dest = table_lookup(dst);
      if (dest != BROADCAST) dest |= ring << 8;
    }
    e->dest = dest;
  }
}
