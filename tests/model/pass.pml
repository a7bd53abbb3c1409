/*
 * Which loops a thread looks at: those that it has marked itself, and all of them once somebody else has added to its
 * waiter word; and that who finds an event set needs not set it again, nor wake anybody. Marks and `looked` are private to
 * the thread. Data, events and the word are seq-cst atomics. That nobody misses the end of a sleep is in waiter.pml: here a
 * sleep ends when the word has changed.
 *
 *   thread                           waker
 *     v = load seq                     data = 1
 *     s = load seq; load the list      event is 0: event = 1
 *     s != looked: looked = s                      add seq, 1
 *                  mark all
 *     each loop that is marked:      the thread itself, while a loop runs
 *       take the mark                  data = 1
 *       event: event = 0               event is 0: event = 1, add seq, 1, looked = looked + 1
 *              take the data           mark
 *     nothing: sleep while seq == v
 *                                    the thread, at a doorbell
 *                                      take the data, and leave the event
 *
 * Whoever takes data may take a part of it: it sets the event again and marks the loop.
 * The last loop comes from another thread: the mover stores its thread, sets its event, makes the list longer and wakes. Its
 * old thread, which may be notifying it at that moment, sets the event and then loads whose it is: of its own it needs not
 * wake anybody.
 * Options, each of them a mistake:
 *   LOOKED_AFTER      looked is loaded after the look
 *   LIST_FIRST        the length of the list is loaded before seq
 *   ALL_LOOKED        with its own addition, the thread takes for looked what others have added before
 *   NO_MARK           the thread sets an event and does not mark the loop
 *   MARK_TAKEN_LATE   the mark is taken after the loop has run
 *   EVENT_TOO_LATE    the waker adds to seq before it sets the event
 *   RELAXED_SEQ       the waker's add overtakes its event
 *   THREAD_TOO_EARLY  the old thread loads whose the loop is before it sets the event
 *   LOOK_TOO_EARLY    the waker looks at the event before its data is there
 *   RELAXED_DATA      the waker's look overtakes its data
 *   TAKE_TOO_EARLY    the thread takes the data before it clears the event
 *   DOORBELL_CLEARS   a doorbell clears the event after it has taken the data
 *   FOUND_IS_LOOKED   the thread finds an event of another's set, and takes for looked what will be added for it
 */
#ifndef WAKERS
#define WAKERS 1
#endif
#ifndef OWN
#define OWN 2 /* doorbells and events of the thread itself */
#endif
#define LOOPS 2

/* Memory. */
#define SEQ 0
#define THREAD 1 /* of the last loop: whether it is ours */
#define COUNT 2 /* loops in the list */
#define EVENT 3
#define DATA (EVENT + LOOPS)
#define WORDS (DATA + LOOPS)
#define PROCS (3 + WAKERS)
#include "tso.h"

bool lost_wake;

#define add(word, value) atomic { SL; mem[word] = mem[word] + value }
#define set(word, value) atomic { SL; mem[word] = value }

/** Publishes data of a loop; whether the event has to be set is in `clear`. */
inline publish(loop, clear) {
#ifdef LOOK_TOO_EARLY
  clear = load(EVENT + loop) == 0;
#endif
#ifdef RELAXED_DATA
  store(DATA + loop, 1);
#else
  set(DATA + loop, 1);
#endif
#ifndef LOOK_TOO_EARLY
  clear = load(EVENT + loop) == 0
#endif
}

/** The thread sets an event of its own. */
inline mark(loop) {
#ifndef NO_MARK
  marked[loop] = true
#else
  skip
#endif
}

/** The thread takes the data of a loop, or a part of it. */
inline take(loop) {
  if
  :: set(DATA + loop, 0)
  :: own < OWN ->
    own++;
    set(EVENT + loop, 1);
    mark(loop)
  fi
}

proctype Thread(byte me) {
  byte v, s, n, looked, own, i, j;
  bool marked[LOOPS], worked, clear;

  do
  :: own < OWN -> /* a doorbell of a guest in this thread */
    own++;
    if
    :: j = 0
    :: load(THREAD) -> j = LOOPS - 1
    fi;
    take(j);
#ifdef DOORBELL_CLEARS
    set(EVENT + j, 0)
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
#ifdef TAKE_TOO_EARLY
          set(DATA + i, 0);
          set(EVENT + i, 0);
#else
          set(EVENT + i, 0);
          take(i);
#endif
          worked = true;
          if
          :: own < OWN -> /* it moves slots of a ring */
            own++;
            if
            :: j = 0
            :: load(THREAD) -> j = LOOPS - 1
            fi;
            set(DATA + j, 1);
            if
            :: load(EVENT + j) == 0 ->
              set(EVENT + j, 1);
              mark(j);
              atomic {
                SL;
                mem[SEQ]++;
#ifdef ALL_LOOKED
                looked = mem[SEQ]
#else
                looked++
#endif
              }
            :: else ->
#ifdef FOUND_IS_LOOKED
              looked++;
#endif
              mark(j)
            fi
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

/** Has something for each loop of the thread, once. */
proctype Waker(byte me) {
  byte i;
  bool clear;

  for (i : 0 .. LOOPS - 1) {
    publish(i, clear);
    if
    :: clear ->
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
    :: else
    fi
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
  bool clear, theirs;

#ifdef THREAD_TOO_EARLY
  theirs = load(THREAD);
#endif
  publish(LOOPS - 1, clear);
  if
  :: clear ->
    set(EVENT + LOOPS - 1, 1);
#ifndef THREAD_TOO_EARLY
    theirs = load(THREAD);
#endif
    if
    :: theirs -> add(SEQ, 1)
    :: else /* marks it for itself */
    fi
  :: else
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
  for (i : 0 .. LOOPS - 1) { lost_wake = lost_wake || load(EVENT + i) != 0 || load(DATA + i) != 0 }
  assert(!lost_wake)
}
