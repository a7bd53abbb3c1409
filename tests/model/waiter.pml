/*
 * The waiter: one sleeper, several wakers. All of its words are seq-cst atomics; the work itself is plain memory.
 *
 *   sleeper                          waker
 *     v = load seq                     publish work
 *     scan for work                    add seq, 1
 *     none: sleepers = 1               if load sleepers:
 *           wait while seq == v          sleepers = 0
 *                                        add seq, 1
 *                                        notify
 *
 * The atomic add to seq carries the work out of the waker's store buffer before it loads sleepers; the sleeper
 * sets the word before it compares seq. So one of the two sees the other. Whoever sets the word before it is cleared, and
 * compares after it, does so with a seq from before the second add. Options, each of them a mistake:
 *   SEQ_AFTER_SCAN      v is loaded after the scan
 *   SLEEPERS_TOO_EARLY  the waker loads sleepers before it adds to seq
 *   WORK_TOO_LATE       the waker publishes after it has added to seq
 *   RELAXED_SEQ         the waker's add overtakes its work
 *   RELAXED_SLEEPERS    the sleeper's store is overtaken by its load of seq
 *   ADD_ONCE            the waker does not add to seq after it has cleared sleepers
 */
#ifndef WAKERS
#define WAKERS 2
#endif
#ifndef ITEMS
#define ITEMS 2 /* from each waker */
#endif

/* Memory. */
#define SEQ 0
#define SLEEPERS 1
#define WORK 2 /* one counter a waker */
#define WORDS (WORK + WAKERS)
#define PROCS (1 + WAKERS)
#include "tso.h"

bool asleep; /* in wait: only a notify ends it, and a notify is not remembered */
byte done;
bool lost_wake;

#define add(word, value) atomic { SL; mem[word] = mem[word] + value }
#define set(word, value) atomic { SL; mem[word] = value }

proctype Sleeper(byte me) {
  byte v, w, seen[WAKERS];

  do
  :: done == WAKERS * ITEMS -> break
  :: else ->
    bool idle = true;
#ifndef SEQ_AFTER_SCAN
    v = load(SEQ);
#endif
    for (w : 0 .. WAKERS - 1) {
      atomic {
        byte work = load(WORK + w);
        if
        :: seen[w] != work -> done = done + work - seen[w]; seen[w] = work; idle = false
        :: else
        fi;
        work = 0
      }
    }
#ifdef SEQ_AFTER_SCAN
    v = load(SEQ);
#endif
    if
    :: idle ->
#ifdef RELAXED_SLEEPERS
      store(SLEEPERS, 1);
#else
      set(SLEEPERS, 1);
#endif
      asleep = load(SEQ) == v; /* wait: compares and sleeps in one step */
      !asleep
    :: else
    fi
  od
}

proctype Waker(byte me) {
  byte item;
  bool notify;

  do
  :: item == ITEMS -> break
  :: else ->
    item++;
#ifndef WORK_TOO_LATE
    store(WORK + me - 1, item);
#endif
#ifdef SLEEPERS_TOO_EARLY
    notify = load(SLEEPERS);
#endif
#ifdef RELAXED_SEQ
    mem[SEQ]++;
#else
    add(SEQ, 1);
#endif
#ifdef WORK_TOO_LATE
    store(WORK + me - 1, item);
#endif
#ifndef SLEEPERS_TOO_EARLY
    notify = load(SLEEPERS);
#endif
    if
    :: notify ->
      set(SLEEPERS, 0);
#ifndef ADD_ONCE
      add(SEQ, 1);
#endif
      asleep = false
    :: else
    fi
  od
}

init {
  atomic {
    byte i;
    start_buffers();
    run Sleeper(0);
    for (i : 1 .. WAKERS) { run Waker(i) }
  }
  timeout -> /* nobody can move */
  lost_wake = done != WAKERS * ITEMS;
  assert(!lost_wake)
}
