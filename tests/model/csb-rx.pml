/*
 * One rx ring: Kern (the sync kloop, woken by kicks and by its backend) fills it with arriving packets, App consumes.
 * A full ring is hwtail = head + N - 1. Options: see csb.h.
 */
#include "csb.h"

byte arrived; /* packets that have reached the backend */

/* ---- App ---- */

inline app_take() {
  assert(load(SLOT + head % N) == head); /* the slot is whole, and not yet reused */
  head++
}

#ifndef GUEST_SYNC

/* A driver's receive. It may consume several packets before it returns their slots. */
proctype App(byte me) {
  byte head, published, hwtail;

  do
  :: head < hwtail -> app_take()
  :: head != published ->
    app_publish();
    APP_SL;
    if
    :: load(KERN_NEED_KICK) -> app_kick()
    :: else
    fi
  :: head == published && head == hwtail && head < PACKETS -> /* empty */
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

/* The kick comes first: a host that answers at once need not be asked for an interrupt. */
inline rxsync() {
  store(APPL_NEED_KICK, 0);
  app_fetch();
  if
  :: head != seen_hwcur -> app_publish(); APP_SL
  :: else -> published = head
  fi;
  if
  :: (head != seen_hwcur || head == hwtail) && load(KERN_NEED_KICK) -> app_kick(); app_fetch()
  :: else
  fi;
  if
  :: head == hwtail -> app_arm()
  :: else
  fi
}

/* A netmap application: poll runs rxsync, and sleeps while the ring is empty. */
proctype App(byte me) {
  byte head, published, seen_hwcur, hwtail;

  rxsync();
  do
  :: head < hwtail -> app_take()
  :: head != published -> rxsync()
  :: head == published && head == hwtail && head < PACKETS -> app_sleep(); rxsync()
  :: head == published && head == PACKETS -> break
  od
}

#endif

/* ---- Kern and its backend ---- */

inline nm_sync() {
  hwcur = head;
  do
  :: hwtail < arrived && hwtail < hwcur + N - 1 ->
#ifndef SLOT_LATE
    store(SLOT + hwtail % N, hwtail);
#endif
    hwtail++
  :: else -> break
  od
}

inline kern_receive() {
#ifdef SLOT_LATE
  byte late = rtail;
  kern_publish();
  do
  :: late < hwtail -> store(SLOT + late % N, late); late++
  :: else -> break
  od
#else
  kern_publish()
#endif
}

proctype Kern(byte me) {
  byte head, hwcur; /* after a sync hwcur is rhead, too */
  byte hwtail, rtail, dry;
  bit some;

activation:
  store(KERN_NEED_KICK, 0);
  kern_fetch();
  do
  :: nm_sync();
    kern_receive();
    if
    :: rtail != hwtail -> rtail = hwtail; some = 1; dry = 0
    :: else -> dry++
    fi;
    kern_irq(some);
    kern_fetch();
    if
    :: head != hwcur /* slots to give back */
    :: head == hwcur && hwtail == head ->
      break /* the guest has nothing: the backend will wake us, kicks stay off */
    :: head == hwcur && hwtail != head && hwtail != head + N - 1 && dry < 2
    :: head == hwcur && hwtail != head && (hwtail == head + N - 1 || dry >= 2) ->
      /* full, or nothing more comes, and the guest holds packets */
      kern_arm();
      if
      :: head != hwcur -> store(KERN_NEED_KICK, 0)
      :: else -> break
      fi
    fi
  od;
  kern_end(some);
  dry = 0;
end:
  kern_sleep();
  goto activation
}

proctype Backend() {
  do
  :: arrived < PACKETS ->
    atomic {
      arrived++;
#ifndef NO_BACKEND_WAKE
      kick = 1
#endif
    }
  :: else -> break
  od
}

#define COULD_FILL (mem[HWTAIL] < arrived && mem[HWTAIL] < mem[HEAD] + N - 1)

init {
  atomic {
    mem[APPL_NEED_KICK] = 1; /* as CSB_ENABLE leaves them */
    mem[KERN_NEED_KICK] = 1;
    start_buffers();
    run App(0);
    run Kern(1);
    run Backend()
  }
  timeout -> /* nobody can move: Kern sleeps, App sleeps or has read everything */
  lost_kick = COULD_FILL && mem[KERN_NEED_KICK];
  assert(!lost_kick);
  lost_wake = COULD_FILL; /* by the backend */
  assert(!lost_wake);
  lost_irq = mem[HEAD] != PACKETS;
  assert(!lost_irq)
}
