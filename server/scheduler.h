/* The scheduler: one thread that owns the simulation.
 *
 * It is the only caller of snn_session_run and snn_session_feed, and so the owner of the one OpenMP team: requests
 * never compete for cores. It takes the oldest waiting request and, into the same run, those behind it that ask the
 * same of the same model (sharing.h). It never waits for more to come: a request that is alone has the whole team, at
 * once. */
#ifndef SERVER_SCHEDULER_H
#define SERVER_SCHEDULER_H

#include "inference.h"

enum {
  BATCH_IMAGES_MAX = 64, /* pictures that share a run while others wait for its end */
  BATCH_WORK_MAX = 2048  /* pictures times timesteps of them: bounds what a request waits for those behind it */
};

typedef struct scheduler scheduler;

/* Start the thread. threads: of the OpenMP team, 0: the machine's. NULL when it or memory is refused. */
scheduler *scheduler_start(uint32_t threads);

/* Give an entry its session and run it once, so that its first request finds everything warm, on the scheduler's
 * thread; one entry at a time. The second call waits for what the first one began, whose `err` must live so long.
 * Errors: those of snn_session_create and snn_session_run. */
void scheduler_prepare_begin(scheduler *s, model_entry *entry, snn_error *err);
snn_status scheduler_prepare_end(scheduler *s);

/* Hand over (takes); inf->done is called on a thread of the team when it has scores or a problem. One whose `decode` is
 * set is decoded before it is simulated, by the thread that does that; it must be quick. */
void scheduler_submit(scheduler *s, inference *inf);

/* Finish, with a problem, those in the queue that were cancelled or whose deadline has passed; end what runs and
 * nobody wants any more. Any thread may call. */
void scheduler_sweep(scheduler *s);

/* Cancel everything, waiting or running, now and from now on. */
void scheduler_abort(scheduler *s);

/* How long the run of now has taken, 0: there is none. */
uint64_t scheduler_busy_ns(const scheduler *s);

/* End the thread. Nothing may be queued any more; NULL is allowed. */
void scheduler_stop(scheduler *s);

/* Threads of the OpenMP team. */
uint32_t scheduler_threads(const scheduler *s);

#endif
