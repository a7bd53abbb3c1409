/*
 * Shared memory under total store order (x86-TSO). A store enters the FIFO of its process and reaches memory at
 * any later time; loads read memory; an atomic read-modify-write, like the SL barrier, first waits for the FIFO
 * to drain. No process loads a word that it stores, so there is nothing to forward from the FIFO.
 * SS and LL barriers cost nothing here: they are the order of the statements.
 * -DSC: sequential consistency, which is also what seq-cst atomics on every word give.
 *
 * The includer defines WORDS (in memory) and PROCS (with a FIFO each); a process knows its FIFO as `me`.
 */
#ifndef DEPTH
#define DEPTH 6
#endif

byte mem[WORDS];
#define load(word) mem[word]

#ifdef SC

#define store(word, value) mem[word] = value
#define SL skip
#define start_buffers() skip

#else

chan buf[PROCS] = [DEPTH] of { byte, byte };
#define store(word, value) buf[me] ! word, value
#define SL empty(buf[me])

proctype Buffer(byte me) {
  byte word, value;
end:
  do
  :: atomic { buf[me] ? word, value -> mem[word] = value; word = 0; value = 0 }
  od
}

inline start_buffers() {
  byte p;
  for (p : 0 .. PROCS - 1) { run Buffer(p) }
}

#endif
