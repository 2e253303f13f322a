/* SPDX-License-Identifier: Apache-2.0
 * Copyright the ProxyFS authors */
/*
 * Who drives a connection: the protocol of lib/conn/conn.h, submit.c, drive.c and io.c, for spin(1).
 * CALLERS threads make CALLS calls each, its I/O thread takes turns, the peer answers in any order and
 * grouping. The clock is left out: nobody may depend on the ticks with which the code looks again.
 *
 * Checked: each call completes once (assert in complete), one thread at a time reads the socket
 * (assert at READ), and no call waits for ever (a state in which nothing can move and a caller has
 * not ended is an invalid end state).
 *
 * tests/model/check.sh runs it, and again with each of these faults, which it must find:
 *   BREAK_TURN     whoever pushes onto an empty inbox of a busy connection does not ask for a turn
 *   BREAK_LEAVE    a driver leaves although others wait
 *   BREAK_ASKED    the I/O thread forgets the turn that was asked for after it drained the inbox
 *   BREAK_OWNER    a caller takes a connection that another caller drives
 *   BREAK_SLEEP    the I/O thread sleeps without a last look at its tasks
 */
#ifndef CALLERS
#define CALLERS 3
#endif
#ifndef CALLS
#define CALLS 2
#endif

#define NOBODY 0
#define CALLER 1
#define IO 2

/* Bit i: caller i's call. */
byte inbox;    /* pushed, not yet taken */
byte in_nghttp /* taken, not yet sent */, at_peer, answered /* in the socket */, done;
byte owner = NOBODY;
bool mu, busy, turn_asked, calm;
bool sweep;               /* the connection is in the list that is looked through now and then */
byte tasks;               /* posted to the I/O thread */
bool io_sleeping, io_event; /* it will sleep, and was woken */
byte n_readers, n_ended;

#define BIT(i) (1 << (i))
#define LOCK() atomic { !mu -> mu = true }
#define UNLOCK() mu = false
#define OPEN (in_nghttp | at_peer | answered)

/* lib/conn/submit.c: drain_inbox_locked; the exchange of an atomic list head is one step */
inline drain_inbox()
{
    atomic { in_nghttp = in_nghttp | inbox; inbox = 0 }
}

/* conn_flush_locked */
inline flush()
{
    atomic { at_peer = at_peer | in_nghttp; in_nghttp = 0 }
}

/* What was in the socket is fed to the session, and its calls complete: each once. */
inline complete()
{
    atomic { assert((done & answered) == 0); done = done | answered; answered = 0 }
}

/* io.c: io_post and wake */
inline ask_for_turn()
{
    if
    :: atomic { turn_asked -> skip }
    :: atomic { !turn_asked -> turn_asked = true }
        tasks++;
        if
        :: atomic { io_sleeping -> io_sleeping = false; io_event = true }
        :: atomic { !io_sleeping -> skip }
        fi
    fi
}

proctype call(byte me)
{
    byte n = 0;
    bool was_empty, drives;

    do
    :: n == CALLS -> break
    :: n < CALLS ->
        /* conn_submit */
        atomic { was_empty = inbox == 0; inbox = inbox | BIT(me) }
        drives = false;
        if
        :: atomic { !was_empty -> skip } /* who found it empty sees to it */
        :: atomic { was_empty && busy -> skip }
#ifndef BREAK_TURN
            ask_for_turn()
#endif
        :: atomic { was_empty && !busy -> skip }
            LOCK();
            drain_inbox();
            if /* conn_take_locked */
#ifdef BREAK_OWNER
            :: OPEN & BIT(me) -> owner = CALLER; drives = true
#endif
            :: (OPEN & BIT(me)) && owner == NOBODY -> owner = CALLER; drives = true
            :: (OPEN & BIT(me)) && owner == IO && calm && OPEN == BIT(me) ->
                owner = CALLER; drives = true; sweep = true
            :: !((OPEN & BIT(me)) && (owner == NOBODY || (owner == IO && calm && OPEN == BIT(me)))) ->
                if
                :: owner == NOBODY -> owner = IO
                :: else -> skip
                fi;
                flush()
            fi;
            if
            :: drives -> skip /* and keeps the lock */
            :: else -> UNLOCK()
            fi
        fi;
        if
        :: drives ->
            /* conn_drive */
            flush();
            do
            :: !(OPEN & BIT(me)) -> break
            :: OPEN & BIT(me) ->
                UNLOCK();
                atomic { n_readers++; assert(n_readers == 1) }
                atomic { answered != 0 -> n_readers-- } /* READ: recv() outside the lock */
                LOCK();
                complete();
                flush()
            od;
            /* stop_driving_locked */
            if
#ifdef BREAK_LEAVE
            :: true -> owner = NOBODY
#else
            :: atomic { OPEN != 0 || inbox != 0 -> calm = false; owner = IO }
                ask_for_turn()
            :: atomic { OPEN == 0 && inbox == 0 -> owner = NOBODY }
#endif
            fi;
            UNLOCK()
        :: else -> skip
        fi;
        atomic { done & BIT(me) -> done = done & (255 - BIT(me)) } /* sleep_until_done */
        n++
    od;
    n_ended++
}

/* One turn of pfs_conn_turn; readable: epoll named the connection. */
inline turn(readable)
{
    LOCK();
    drain_inbox();
    if
    :: readable && owner == IO && answered != 0 ->
        atomic { n_readers++; assert(n_readers == 1) }
        complete();
        n_readers--
    :: else -> skip
    fi;
    flush();
    if /* more than one exchange at a time, or a calm time; how long calm takes is left open */
    :: OPEN != 0 -> calm = false
    :: true -> calm = true
    :: true -> skip
    fi;
    busy = (owner == IO && !calm);
    UNLOCK()
}

active proctype io()
{
    byte n_run;

    do
    :: n_ended == CALLERS -> break
    :: n_ended < CALLERS ->
        io_sleeping = true;
#ifndef BREAK_SLEEP
        if
        :: atomic { tasks != 0 -> io_sleeping = false }
        :: else ->
#endif
            if /* epoll_wait: the eventfd, the socket, the sweep's time, or the end */
            :: atomic { io_event -> io_event = false; io_sleeping = false }
            :: atomic { owner == IO && answered != 0 -> io_sleeping = false }
                turn(true)
            :: atomic { sweep && owner == NOBODY -> io_sleeping = false }
                LOCK();
                if
                :: owner == NOBODY -> owner = IO; sweep = false
                :: else -> skip
                fi;
                UNLOCK()
            :: n_ended == CALLERS -> io_sleeping = false
            fi
#ifndef BREAK_SLEEP
        fi
#endif
        ;
        /* io_run_posted: turn_task */
        atomic { n_run = tasks; tasks = 0 }
        if
        :: n_run != 0 ->
#ifdef BREAK_ASKED
            turn(false);
            turn_asked = false
#else
            turn_asked = false;
            turn(false)
#endif
        :: else -> skip
        fi
    od
}

/* Answers any of the calls that reached it, in any order; several may wait in the socket. */
#define ANSWER(i) atomic { (at_peer & BIT(i)) -> at_peer = at_peer & (255 - BIT(i)); answered = answered | BIT(i) }

active proctype peer()
{
    do
    :: ANSWER(0)
    :: ANSWER(1)
    :: ANSWER(2)
    :: n_ended == CALLERS -> break
    od
}

init
{
    byte i;

    atomic {
        for (i : 0 .. CALLERS - 1) {
            run call(i)
        }
    }
}
