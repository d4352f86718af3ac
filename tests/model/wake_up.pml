// The frontiers of engine/log/frontiers.hpp: threads that publish frames, one that sleeps until
// they are published, and one that asks to be told. Checked by spin for every interleaving, and for
// every moment at which a core may show its stores to the others.
//
// The machine is x86: a core's plain stores wait in its buffer, in order; it sees its own; a locked
// instruction empties the buffer first and acts on memory at once. membarrier empties every buffer.
//
//   -DONE      one thread publishes, with plain stores
//   -DLOCKED   the same where the system has no membarrier
//   -DMANY     two threads publish, through the ring of slots
//
// What each of these breaks must be found (wake_up_test.py says in which forms):
//   -DNO_MEMBARRIER -DPLAIN_PUBLISH -DPLAIN_SLOT -DREGISTER_LATE -DEPOCH_LATE -DNO_EPOCH -DNO_STEP
//   -DLOOK_EARLY
#define FRAMES 2

/* Words that threads share. */
#define PUBLISHED 0
#define WAITERS   1
#define SLEEPERS  2
#define EPOCH     3
#define SLOT      4   /* one for each frame */
#define WORDS     6
byte memory[WORDS];

/* Who has a store buffer. */
#define WRITER_A 0
#define WRITER_B 1
#define SLEEPER  2
#define ASKER    3
#define CORES    4
#define STORES   3
typedef Buffer { byte word[STORES]; byte value[STORES]; byte used };
Buffer buffer[CORES];

bool asleep = false;        /* the sleeper, in the kernel */
bool asked = false;         /* what the announcer holds, under its mutex */
byte told = 0;

inline show_oldest(core) {
    memory[buffer[core].word[0]] = buffer[core].value[0];
    buffer[core].word[0] = buffer[core].word[1];
    buffer[core].value[0] = buffer[core].value[1];
    buffer[core].word[1] = buffer[core].word[2];
    buffer[core].value[1] = buffer[core].value[2];
    buffer[core].used--;
    buffer[core].word[buffer[core].used] = 0;
    buffer[core].value[buffer[core].used] = 0
}
inline show_all(core) {
    do
    :: buffer[core].used > 0 -> show_oldest(core)
    :: else -> break
    od
}

inline load(from, to) {
    atomic {
        to = memory[from];
        n = 0;
        do
        :: n < buffer[me].used ->
            if
            :: buffer[me].word[n] == from -> to = buffer[me].value[n]
            :: else
            fi;
            n++
        :: else -> break
        od;
        n = 0
    }
}
inline store(to, what) {
    atomic {
        buffer[me].used < STORES;
        buffer[me].word[buffer[me].used] = to;
        buffer[me].value[buffer[me].used] = what;
        buffer[me].used++
    }
}
inline exchange(to, what) { atomic { show_all(me); memory[to] = what } }
inline add(to, what) { atomic { show_all(me); memory[to] = memory[to] + what } }
/* Only where the writer publishes with a plain store. */
inline membarrier() {
#if !defined(NO_MEMBARRIER) && !defined(LOCKED) && !defined(MANY)
    atomic { show_all(WRITER_A); show_all(WRITER_B); show_all(SLEEPER); show_all(ASKER) }
#else
    skip
#endif
}

/* Frontiers::publish_alone, publish_among, step_over_slots. */
inline publish() {
#ifdef LOOK_EARLY
    load(WAITERS, waiting);
#endif
#ifndef MANY
#if defined(LOCKED) && !defined(PLAIN_PUBLISH)
    exchange(PUBLISHED, frame + 1);
#else
    store(PUBLISHED, frame + 1);
#endif
#else
    load(PUBLISHED, at);
    if
    :: at == frame ->
#ifdef PLAIN_PUBLISH
        store(PUBLISHED, frame + 1)
#else
        exchange(PUBLISHED, frame + 1)
#endif
    :: else ->
#ifdef PLAIN_SLOT
        store(SLOT + frame, 1)
#else
        exchange(SLOT + frame, 1)
#endif
#ifdef NO_STEP
        ; goto published
#endif
    fi;
    do
    :: load(PUBLISHED, at);
        if
        :: at == FRAMES -> break
        :: else
        fi;
        load(SLOT + at, set);
        if
        :: !set -> break
        :: else
        fi;
        atomic {   /* compare_exchange */
            show_all(me);
            if
            :: memory[PUBLISHED] == at -> memory[PUBLISHED] = at + 1
            :: else
            fi
        }
    od;
#ifdef NO_STEP
published:
#endif
#endif
    skip
}

/* Frontiers::announce: what is published is looked at before the announcer's mutex is taken. */
inline announce() {
    load(PUBLISHED, at);
    atomic {
        show_all(me);
        if
        :: asked && at == FRAMES ->
            asked = false;
            told++;
            memory[WAITERS] = memory[WAITERS] - 1
        :: else
        fi
    }
}

/* Frontiers::wake_waiters. */
inline wake() {
#ifndef LOOK_EARLY
    load(WAITERS, waiting);
#endif
    if
    :: waiting > 0 ->
        load(SLEEPERS, waiting);
        if
        :: waiting > 0 ->
#ifndef NO_EPOCH
            add(EPOCH, 1);
#endif
            atomic { show_all(me); asleep = false }
        :: else
        fi;
        announce()
    :: else
    fi
}

proctype Writer(byte me; byte first; byte last) {
    byte n, at, set, waiting, frame;
    frame = first;
    do
    :: frame <= last ->
        publish();
        wake();
        frame++
    :: else -> break
    od
}

inline begin_to_wait() {
    add(SLEEPERS, 1);
    add(WAITERS, 1);
    membarrier()
}

/* Frontiers::sleep, until all frames are published. */
active proctype Sleeper() {
    byte me = SLEEPER, n, at, epoch;
#ifndef REGISTER_LATE
    begin_to_wait();
#endif
    do
    ::
#ifdef EPOCH_LATE
        load(PUBLISHED, at);
        load(EPOCH, epoch);
#else
        load(EPOCH, epoch);
        load(PUBLISHED, at);
#endif
        if
        :: at == FRAMES -> break
        :: else
        fi;
#ifdef REGISTER_LATE
        if
        :: memory[SLEEPERS] == 0 -> begin_to_wait()
        :: else
        fi;
#endif
        atomic {   /* futex: sleeps if the word is still what it was */
            show_all(me);
            if
            :: memory[EPOCH] == epoch -> asleep = true
            :: else
            fi
        };
        !asleep
    od;
    if
    :: memory[SLEEPERS] > 0 -> add(WAITERS, -1); add(SLEEPERS, -1)
    :: else
    fi
}

/* Frontiers::announce_at. */
active proctype Asker() {
    byte me = ASKER, n, at;
    add(WAITERS, 1);
    atomic { show_all(me); asked = true };
    membarrier();
    announce()
}

/* Each core shows what it stored, some time. */
active proctype Cores() {
end:
    do
    :: atomic { buffer[WRITER_A].used > 0 -> show_oldest(WRITER_A) }
    :: atomic { buffer[WRITER_B].used > 0 -> show_oldest(WRITER_B) }
    od
}

/* When nothing can happen any more, every frame is published, nobody sleeps (a thread that sleeps
 * is no valid end of its own), and who asked was told once. */
active proctype AtTheEnd() {
end:
    timeout ->
    assert(memory[PUBLISHED] == FRAMES);
    assert(told == 1 && !asked);
    assert(memory[WAITERS] == 0 && memory[SLEEPERS] == 0)
}

init {
    atomic {
#ifdef MANY
        run Writer(WRITER_A, 0, 0);
        run Writer(WRITER_B, 1, 1)
#else
        run Writer(WRITER_A, 0, FRAMES - 1)
#endif
    }
}
