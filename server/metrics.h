/* Counters of the daemon: what GET /metrics and the protocol's statistics tell.
 *
 * Counting is a handful of relaxed atomic additions and takes no lock; a reader may see one request half counted. The
 * sets of labels are bounded: routes of the table, a fixed list of status codes, problem types, and at most MODELS_MAX
 * models (a model that was unloaded keeps its counts). */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include <pthread.h>

#include "request.h"
#include "scheduler.h"

enum { HISTOGRAM_BOUNDS = 17, METRICS_CODES = 27 };

/* Upper bounds of the buckets, in seconds, ascending. */
extern const double histogram_bounds[HISTOGRAM_BOUNDS];

typedef _Atomic uint64_t counter;

typedef struct histogram {
  counter buckets[HISTOGRAM_BOUNDS + 1]; /* not cumulated; the last is above every bound */
  counter sum_ns;
} histogram;

typedef struct duration {
  counter count, ns;
} duration;

/* Of one model, under whatever version of its file. */
typedef struct model_metrics {
  char name[MODEL_NAME_MAX + 1];
  counter images, timesteps, spikes, synaptic_operations; /* of requests answered with 200 */
  counter batches;                                        /* runs of the simulation */
  duration success, fail, queue, decode, simulate, answer;
  counter last_ms; /* Unix time of the last answer, milliseconds; 0: none */
  histogram queue_seconds, simulate_seconds, total_seconds;
  duration by_images[BATCH_IMAGES_MAX]; /* [i]: runs of i + 1 pictures */
} model_metrics;

typedef struct metrics {
  pthread_mutex_t lock; /* of adding a model */
  model_metrics *models[MODELS_MAX];
  atomic_size_t n_models;
  counter *requests[FACE_COUNT]; /* [routes + 1][METRICS_CODES]; the last route: none was found */
  counter rejected[PROBLEM_KIND_COUNT];
  double started; /* Unix time, seconds */
} metrics;

bool metrics_init(metrics *m); /* false when out of memory */
void metrics_destroy(metrics *m);

/* The counters of that model, made when they are new; NULL when out of memory or of places. They live as long as m. */
model_metrics *metrics_of_model(metrics *m, const char *name);

/* Count a request whose reply is made, while it still has its inference. A request is counted once, however often this
 * is called; one whose client left before there was a reply counts with code 499. */
void metrics_request(metrics *m, request *r);

/* Count a run of the simulation. m may be NULL. */
void metrics_run(model_metrics *m, size_t n_images, uint64_t ns);

/* The status code of column i of `requests`; 0: any other. */
unsigned metrics_code(size_t i);

#endif
