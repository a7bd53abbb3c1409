/*
 * Which loops a thread looks at: those that it has marked itself, and all of them once somebody else has added to its
 * waiter word. Marks and `looked` are private to the thread. Events and the word are seq-cst atomics. That nobody
 * misses the end of a sleep is in waiter.pml: here a sleep ends when the word has changed.
 *
 *   thread                           waker
 *     v = load seq                     event = 1
 *     s = load seq; load the list      add seq, 1
 *     s != looked: looked = s
 *                  mark all          the thread itself, while a loop runs
 *     each loop that is marked:        event = 1
 *       take the mark                  mark
 *       event: event = 0, run it       add seq, 1
 *     nothing: sleep while seq == v    looked = looked + 1
 *
 * The last loop comes from another thread: the mover stores its thread, sets its event, makes the list longer and wakes. Its old thread, which may
 * be notifying it at that moment, sets the event and then loads whose it is: of its own it needs not wake anybody.
 * Options, each of them a mistake:
 *   LOOKED_AFTER      looked is loaded after the look
 *   LIST_FIRST        the length of the list is loaded before seq
 *   ALL_LOOKED        with its own addition, the thread takes for looked what others have added before
 *   NO_MARK           the thread sets an event and does not mark the loop
 *   MARK_TAKEN_LATE   the mark is taken after the loop has run
 *   EVENT_TOO_LATE    the waker adds to seq before it sets the event
 *   RELAXED_SEQ       the waker's add overtakes its event
 *   THREAD_TOO_EARLY  the old thread loads whose the loop is before it sets the event
 */
#ifndef WAKERS
#define WAKERS 1
#endif
#ifndef OWN
#define OWN 2 /* events that the thread sets itself */
#endif
#define LOOPS 2

/* Memory. */
#define SEQ 0
#define THREAD 1 /* of the last loop: whether it is ours */
#define COUNT 2 /* loops in the list */
#define EVENT 3
#define WORDS (EVENT + LOOPS)
#define PROCS (3 + WAKERS)
#include "tso.h"

bool lost_wake;

#define add(word, value) atomic { SL; mem[word] = mem[word] + value }
#define set(word, value) atomic { SL; mem[word] = value }

proctype Thread(byte me) {
  byte v, s, n, looked, own, i, j;
  bool marked[LOOPS], worked;

  do
  :: own < OWN -> /* a doorbell of a guest in this thread */
    own++;
    if
    :: j = 0
    :: j = 1
    fi;
    set(EVENT + j, 1);
#ifndef NO_MARK
    marked[j] = true
#endif
  :: true ->
    worked = false;
    v = load(SEQ);
#ifdef LIST_FIRST
    n = load(COUNT);
    s = load(SEQ);
#else
    s = load(SEQ);
    n = load(COUNT);
#endif
    if
    :: s != looked ->
#ifndef LOOKED_AFTER
      looked = s;
#endif
      for (i : 0 .. n - 1) { marked[i] = true }
    :: else
    fi;
    for (i : 0 .. n - 1) {
      if
      :: marked[i] ->
#ifndef MARK_TAKEN_LATE
        marked[i] = false;
#endif
        if
        :: load(EVENT + i) != 0 ->
          set(EVENT + i, 0);
          worked = true;
          if
          :: own < OWN -> /* it moves slots of a ring */
            own++;
            if
            :: j = 0
            :: j = 1
            fi;
            set(EVENT + j, 1);
#ifndef NO_MARK
            marked[j] = true;
#endif
            atomic {
              SL;
              mem[SEQ]++;
#ifdef ALL_LOOKED
              looked = mem[SEQ]
#else
              looked++
#endif
            }
          :: true
          fi
        :: else
        fi;
#ifdef MARK_TAKEN_LATE
        marked[i] = false
#endif
      :: else
      fi
    }
#ifdef LOOKED_AFTER
    looked = load(SEQ);
#endif
    if
    :: worked
    :: else ->
end:  load(SEQ) != v
    fi
  od
}

/** Sets an event of a loop of the thread, once for each loop. */
proctype Waker(byte me) {
  byte i;

  for (i : 0 .. LOOPS - 1) {
#ifdef EVENT_TOO_LATE
    add(SEQ, 1);
    set(EVENT + i, 1)
#else
#ifdef RELAXED_SEQ
    store(EVENT + i, 1);
    mem[SEQ]++
#else
    set(EVENT + i, 1);
    add(SEQ, 1)
#endif
#endif
  }
}

/** The control thread hands the last loop over. */
proctype Mover(byte me) {
  set(THREAD, 1);
  set(EVENT + LOOPS - 1, 1);
  set(COUNT, LOOPS);
  add(SEQ, 1)
}

/** The thread that has had it notifies one of its rings. */
proctype Old(byte me) {
  bool theirs;

#ifdef THREAD_TOO_EARLY
  theirs = load(THREAD);
#endif
  set(EVENT + LOOPS - 1, 1);
#ifndef THREAD_TOO_EARLY
  theirs = load(THREAD);
#endif
  if
  :: theirs -> add(SEQ, 1)
  :: else /* marks it for itself */
  fi
}

init {
  byte i;
  atomic {
    mem[COUNT] = LOOPS - 1;
    start_buffers();
    run Thread(0);
    run Mover(1);
    run Old(2);
    for (i : 1 .. WAKERS) { run Waker(2 + i) }
  }
  timeout -> /* nobody can move */
  for (i : 0 .. LOOPS - 1) { lost_wake = lost_wake || load(EVENT + i) != 0 }
  assert(!lost_wake)
}
