/* The courtesy of jobs towards requests: a job stops computing while a request is being worked on.
 *
 * Idle priority is not enough: a process of idle priority that does nothing but spin raises the latency of the slowest
 * requests as much as a job does, since a busy CPU fetches no waiting thread from another before its next tick. So a
 * job's threads look, every few dozen microseconds, whether a request is in work; if so they rest, in naps of
 * COURTESY_NAP_NS, until a whole nap has passed without one or COURTESY_NAPS have been taken. Then they work for
 * COURTESY_WORK_NS of their own CPU time, whatever there is: so a job gets at least a twentieth of the time it would
 * have without requests, and always comes to its end. Requests pay two atomic additions. Any thread may call. */
#ifndef SERVER_COURTESY_H
#define SERVER_COURTESY_H

#include <stdint.h>

#include "snn/session.h"

enum { COURTESY_NAP_NS = 1000000, COURTESY_NAPS = 5, COURTESY_WORK_NS = 250000 };

typedef struct courtesy {
  atomic_uint busy;           /* requests in work */
  atomic_uint begun;          /* of all time; wraps */
  _Atomic uint64_t rested_ns; /* of all threads together */
  snn_courtesy for_jobs;      /* what a job's computation takes along */
} courtesy;

void courtesy_init(courtesy *c);

/* A request is in work from the end of its body until its answer is handed to its connection. */
void courtesy_begin(courtesy *c);
void courtesy_end(courtesy *c);

/* Rest now, if a request is in work. */
void courtesy_rest(courtesy *c);

/* How long jobs have rested. */
double courtesy_rested_seconds(const courtesy *c);

#endif
