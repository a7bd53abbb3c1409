/*
 * What the tx and the rx model share: the CSB of one ring, and the half-steps that both sides make on it.
 * Counters are absolute; slot i lies at i % N, and one slot always stays empty.
 * sync_flags is left out: it decides nothing.
 *
 * Without options every barrier and every second look is there, and nothing may be lost. Each option takes one away:
 *   NO_APP_SL         App: the SL between storing head and loading kern_need_kick
 *   NO_APP_ARM_SL     App: the SL between appl_need_kick := 1 and the second look at hwtail
 *   NO_APP_RECHECK    App: that second look
 *   NO_KERN_SL        Kern: the SL between kern_need_kick := 1 and the second look at head
 *   NO_KERN_RECHECK   Kern: that second look
 *   IRQ_EARLY         Kern: the order of hwtail before the interrupt
 *   NO_FINAL_CHECK    Kern: the last look at appl_need_kick on the way to sleep
 *   NO_RELEASE_SL     Kern: the SL before that last look
 *   HEAD_FIRST        App: the order of cur before head
 *   HWTAIL_FIRST      Kern: the order of hwcur before hwtail
 *   SLOT_LATE         the order of the slot before head (tx) or hwtail (rx)
 *   NO_BACKEND_WAKE   the backend's wake of Kern
 * GUEST_SYNC: App is a netmap application behind the guest's txsync or rxsync, not a driver's transmit or receive.
 */
#ifndef N
#define N 3
#endif
#ifndef PACKETS
#define PACKETS 4
#endif

/* Memory: a word of nm_csb_atok is stored by App only, one of nm_csb_ktoa by Kern only, a slot by the producer. */
#define HEAD 0
#define CUR 1
#define APPL_NEED_KICK 2
#define HWCUR 3
#define HWTAIL 4
#define KERN_NEED_KICK 5
#define SLOT 6
#define WORDS (SLOT + N)
#define PROCS 2
#include "tso.h"

bit kick, irq; /* what Kern and App sleep on; sticky */
bool lost_kick, lost_wake, lost_irq;

#ifdef NO_APP_SL
#define APP_SL skip
#else
#define APP_SL SL
#endif
#ifdef NO_APP_ARM_SL
#define APP_ARM_SL skip
#else
#define APP_ARM_SL SL
#endif
#ifdef NO_KERN_SL
#define KERN_SL skip
#else
#define KERN_SL SL
#endif
#ifdef NO_RELEASE_SL
#define RELEASE_SL skip
#else
#define RELEASE_SL SL
#endif
#ifdef IRQ_EARLY
#define IRQ_SL skip
#else
#define IRQ_SL SL
#endif

/* ---- App ---- */

#ifndef GUEST_SYNC
hidden byte seen_hwcur; /* a driver has no use for it */
#endif

/* load hwtail; LL; load hwcur; LL. App never sees an hwtail newer than the hwcur that it sees. */
inline app_fetch() {
  hwtail = load(HWTAIL);
  d_step { seen_hwcur = load(HWCUR); assert(hwtail <= seen_hwcur + N - 1) }
}

/* SS; store cur; SS; store head. */
inline app_publish() {
#ifdef HEAD_FIRST
  store(HEAD, head);
  store(CUR, head);
#else
  store(CUR, head);
  store(HEAD, head);
#endif
  published = head
}

/* Nothing to do: ask for an interrupt, and look again. */
inline app_arm() {
  store(APPL_NEED_KICK, 1);
  APP_ARM_SL;
#ifndef NO_APP_RECHECK
  app_fetch();
  if
  :: head != hwtail -> store(APPL_NEED_KICK, 0)
  :: else
  fi
#endif
}

inline app_kick() {
  SL; /* the doorbell is an atomic: stores do not wait behind it */
  kick = 1
}

inline app_sleep() {
  atomic { irq -> irq = 0 }
}

/* ---- Kern ---- */

/* load head; LL; load cur; LL. The prologue must accept both. */
inline kern_fetch() {
  head = load(HEAD);
  assert(hwcur <= head && head <= load(CUR) && load(CUR) <= hwtail)
}

/* SS; store hwcur; SS; store hwtail. */
inline kern_publish() {
#ifdef HWTAIL_FIRST
  store(HWTAIL, hwtail);
  store(HWCUR, hwcur)
#else
  store(HWCUR, hwcur);
  store(HWTAIL, hwtail)
#endif
}

/* kern_need_kick := 1, and look again. */
inline kern_arm() {
  store(KERN_NEED_KICK, 1);
  KERN_SL;
#ifndef NO_KERN_RECHECK
  kern_fetch()
#endif
}

/* Interrupt App if hwtail has moved and App wants to know. */
inline kern_irq(moved) {
  if
  :: moved && load(APPL_NEED_KICK) ->
    IRQ_SL; /* the signal is an atomic: hwtail is visible before it */
    irq = 1;
    moved = 0
  :: else
  fi
}

inline kern_end(moved) {
#ifndef NO_FINAL_CHECK
  RELEASE_SL; /* the release of the ring is an atomic */
  kern_irq(moved);
#endif
  moved = 0
}

inline kern_sleep() {
  atomic { kick -> kick = 0 }
}
