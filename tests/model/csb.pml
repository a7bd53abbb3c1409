/*
 * One tx ring: App produces, Kern (the sync kloop, woken by kicks) hands the packets to its backend.
 * The backend is immediate, hence hwtail = hwcur + N - 1. Options: see csb.h, and
 *   SLOW_BACKEND   packets complete later, and the backend wakes Kern
 *   BOUNDED        Kern may end an activation early, and wakes itself
 *   NO_SELF_WAKE   ... or forgets to
 */
#include "csb.h"

byte taken, completed; /* packets that the backend has got, and those that it has sent */

/* ---- App ---- */

inline app_put() {
#ifndef SLOT_LATE
  store(SLOT + head % N, head);
#endif
  head++
}

inline app_send() {
#ifdef SLOT_LATE
  byte late = published;
  app_publish();
  do
  :: late < head -> store(SLOT + late % N, late); late++
  :: else -> break
  od
#else
  app_publish()
#endif
}

#ifndef GUEST_SYNC

/* A driver's transmit. It may fill several slots before it publishes them. */
proctype App(byte me) {
  byte head, published, hwtail = N - 1;

  do
  :: head < PACKETS && head < hwtail -> app_put()
  :: head != published ->
    app_send();
    APP_SL;
    if
    :: load(KERN_NEED_KICK) -> app_kick()
    :: else
    fi
  :: head == published && head == hwtail && head < PACKETS -> /* short of slots */
    app_fetch();
    if
    :: head == hwtail -> app_arm()
    :: else
    fi;
    if
    :: head == hwtail -> app_sleep(); store(APPL_NEED_KICK, 0)
    :: else
    fi
  :: head == published && head == PACKETS -> break
  od
}

#else

inline txsync() {
  store(APPL_NEED_KICK, 0);
  seen_hwcur = load(HWCUR);
  app_send();
  APP_SL;
  if
  :: head != seen_hwcur || head == hwtail -> notify = load(KERN_NEED_KICK)
  :: else -> notify = 0
  fi;
  if
  :: notify -> app_kick(); app_fetch()
  :: !notify && head == hwtail -> app_fetch()
  :: else
  fi;
  if
  :: head == hwtail -> app_arm()
  :: else
  fi
}

/* A netmap application: poll runs txsync, and sleeps while there is no space. */
proctype App(byte me) {
  byte head, published, seen_hwcur, hwtail = N - 1;
  bit notify;

  do
  :: head < PACKETS && head < hwtail -> app_put()
  :: head != published -> txsync()
  :: head == published && head == hwtail && head < PACKETS -> app_sleep(); txsync()
  :: head == published && head == PACKETS -> break
  od
}

#endif

/* ---- Kern and its backend ---- */

inline nm_sync() {
  do
  :: hwcur < head -> assert(load(SLOT + hwcur % N) == hwcur); hwcur++ /* the slot is whole, and not yet reused */
  :: else -> break
  od;
#ifdef SLOW_BACKEND
  taken = hwcur;
#else
  completed = hwcur;
#endif
  hwtail = completed + N - 1
}

proctype Kern(byte me) {
  byte head, hwcur; /* after a sync hwcur is rhead, too */
  byte hwtail = N - 1, rtail = N - 1;
  bit more;

activation:
  store(KERN_NEED_KICK, 0);
  kern_fetch();
  do
  :: nm_sync();
    kern_publish();
    if
    :: rtail != hwtail -> rtail = hwtail; more = 1
    :: else
    fi;
    kern_irq(more);
    kern_fetch();
    if
    :: head == hwcur -> /* nothing new */
      kern_arm();
      if
      :: head != hwcur -> store(KERN_NEED_KICK, 0)
      :: else -> break
      fi
    :: head != hwcur && hwcur == hwtail -> break /* no free slot: the backend will wake us, kicks stay off */
    :: head != hwcur && hwcur != hwtail
#ifdef BOUNDED
    :: head != hwcur -> /* enough for one activation; kicks are off */
#ifndef NO_SELF_WAKE
      kick = 1;
#endif
      break
#endif
    fi
  od;
  kern_end(more);
end:
  kern_sleep();
  goto activation
}

proctype Backend() {
end:
  do
  :: completed < taken ->
    atomic {
      completed++;
#ifndef NO_BACKEND_WAKE
      kick = 1
#endif
    }
  od
}

init {
  atomic {
    mem[APPL_NEED_KICK] = 1; /* as CSB_ENABLE leaves them */
    mem[HWTAIL] = N - 1;
    mem[KERN_NEED_KICK] = 1;
    start_buffers();
    run App(0);
    run Kern(1);
    run Backend()
  }
  timeout -> /* nobody can move: Kern sleeps, App sleeps or has sent everything */
  lost_kick = mem[HEAD] != mem[HWCUR] && mem[KERN_NEED_KICK];
  assert(!lost_kick);
  lost_wake = mem[HEAD] != mem[HWCUR] || completed + N - 1 != mem[HWTAIL]; /* by the backend, or by Kern itself */
  assert(!lost_wake);
  lost_irq = mem[HEAD] != PACKETS;
  assert(!lost_irq)
}
