/* The one compute thread. Keeps the invariant that sessions are touched by this thread and its team alone. Does not
 * touch sockets and builds no text. */
#include "scheduler.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "metrics.h"
#include "queue.h"
#include "sharing.h"

/* An entry between scheduler_prepare_begin and _end; one at a time. */
typedef struct preparation {
  enum { PREPARATION_NONE, PREPARATION_WANTED, PREPARATION_FINISHED } state;
  model_entry *entry;
  snn_error *err;
  snn_status status;
} preparation;

struct scheduler {
  pthread_mutex_t lock;
  pthread_cond_t work, prepared;
  queue waiting;
  preparation preparation;
  bool stopping;
  atomic_bool abort;
  inference *alone; /* running by itself now, NULL: none; its flag is the one to raise */
  sharing *sharing;
  _Atomic uint64_t busy_since_ns; /* 0: no run */
  uint32_t threads;
  pthread_t thread;
};

/* Raise the flag of a request that is about to run when everything is being cancelled, or note it as the one to raise
 * later. */
static void begin_alone(scheduler *s, inference *inf) {
  pthread_mutex_lock(&s->lock);
  if (atomic_load(&s->abort)) atomic_store(&inf->cancel, true);
  s->alone = inf;
  pthread_mutex_unlock(&s->lock);
}

static void end_alone(scheduler *s) {
  pthread_mutex_lock(&s->lock);
  s->alone = NULL;
  pthread_mutex_unlock(&s->lock);
}

/* One request by itself, straight into its own arrays. */
static snn_status run_alone(inference *inf, snn_error *err) {
  snn_run_options run = inf->options.run;
  run.cancel = &inf->cancel;
  run.deadline_ns = inf->deadline_ns;
  snn_run_stats stats = {.spikes = inf->spikes,
                         .synaptic_operations = inf->synaptic_operations,
                         .macs = inf->macs,
                         .first_spikes = inf->first_spikes,
                         .timesteps_used = inf->timesteps_used,
                         .step_scores = inf->step_scores};
  return snn_session_run(inf->model->session, inf->inputs, inf->n_images, &run, inf->scores, &stats, err);
}

/* The float network beside it, for a request that asked. Its time is not part of `simulate`. */
static void run_reference(inference *inf) {
  snn_error err = {0};
  const snn_run_options patience = {.cancel = &inf->cancel, .deadline_ns = inf->deadline_ns};
  if (inf->problem.kind == PROBLEM_NONE && inf->options.reference &&
      snn_session_reference(inf->model->session, inf->inputs, inf->n_images, &patience, inf->reference, &err) !=
          SNN_OK &&
      !inference_expired(inf, snn_clock_ns()))
    problem_from_snn(&inf->problem, &err, NULL);
}

static void run_and_finish_alone(scheduler *s, inference *inf) {
  snn_error err = {0};
  inference_leave_queue(inf);
  begin_alone(s, inf);
  bool wanted = !inference_expired(inf, snn_clock_ns());
  if (wanted && inf->decode) inf->decode(inf);
  if (wanted && inf->problem.kind == PROBLEM_NONE) {
    inf->at.run_begin = snn_clock_ns();
    snn_status status = run_alone(inf, &err);
    inf->at.run_end = snn_clock_ns();
    metrics_run(inf->model->metrics, inf->n_images, inf->at.run_end - inf->at.run_begin);
    if (status != SNN_OK && !inference_expired(inf, inf->at.run_end)) {
      err.status = status;
      problem_from_snn(&inf->problem, &err, NULL);
    }
    run_reference(inf);
  }
  end_alone(s);
  inf->done(inf);
}

static void run_shared(scheduler *s) {
  inference *rest;
  if (sharing_run(s->sharing, &rest)) return;
  for (inference *next; rest; rest = next) {
    next = rest->next;
    rest->next = NULL;
    run_and_finish_alone(s, rest);
  }
}

/* A session and one short run for a new entry. */
static snn_status prepare(scheduler *s, model_entry *entry, snn_error *err) {
  const snn_network *net = entry->network;
  snn_session_options team = {.threads = s->threads};
  snn_run_options run = snn_run_defaults(net);
  run.timesteps = 1;
  float *input = NULL, *scores = NULL;
  snn_status status = snn_session_create(net, &team, &entry->session, err);
  if (status != SNN_OK) return status;
  input = calloc(snn_shape_size(snn_network_input(net)), sizeof *input);
  scores = calloc(snn_network_classes(net), sizeof *scores);
  status = input && scores ? snn_session_run(entry->session, input, 1, &run, scores, NULL, err) : SNN_ERR_NO_MEMORY;
  free(scores);
  free(input);
  return status;
}

static void *work(void *context) {
  scheduler *s = context;
  pthread_mutex_lock(&s->lock);
  for (;;) {
    if (s->preparation.state == PREPARATION_WANTED) {
      preparation p = s->preparation;
      pthread_mutex_unlock(&s->lock);
      p.status = prepare(s, p.entry, p.err);
      p.state = PREPARATION_FINISHED;
      pthread_mutex_lock(&s->lock);
      s->preparation = p;
      pthread_cond_broadcast(&s->prepared);
    } else if (s->waiting.head) {
      inference *first = queue_pop(&s->waiting);
      const bool shared = sharing_begins(s->sharing, first);
      if (shared) sharing_gather(s->sharing, first);
      pthread_mutex_unlock(&s->lock);
      atomic_store(&s->busy_since_ns, snn_clock_ns());
      if (shared)
        run_shared(s);
      else
        run_and_finish_alone(s, first);
      atomic_store(&s->busy_since_ns, 0);
      pthread_mutex_lock(&s->lock);
    } else if (s->stopping) {
      break;
    } else {
      pthread_cond_wait(&s->work, &s->lock);
    }
  }
  pthread_mutex_unlock(&s->lock);
  return NULL;
}

scheduler *scheduler_start(uint32_t threads) {
  scheduler *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->work, NULL);
  pthread_cond_init(&s->prepared, NULL);
  atomic_init(&s->abort, false);
  atomic_init(&s->busy_since_ns, 0);
  s->threads = threads ? threads : snn_thread_budget();
  s->sharing = sharing_create(&(sharing_place){&s->lock, &s->work, &s->waiting, &s->abort}, s->threads);
  if (s->sharing && pthread_create(&s->thread, NULL, work, s) == 0) return s;
  sharing_free(s->sharing);
  free(s);
  return NULL;
}

void scheduler_prepare_begin(scheduler *s, model_entry *entry, snn_error *err) {
  pthread_mutex_lock(&s->lock);
  while (s->preparation.state != PREPARATION_NONE) pthread_cond_wait(&s->prepared, &s->lock);
  s->preparation = (preparation){.state = PREPARATION_WANTED, .entry = entry, .err = err};
  sharing_close(s->sharing);
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
}

snn_status scheduler_prepare_end(scheduler *s) {
  pthread_mutex_lock(&s->lock);
  while (s->preparation.state != PREPARATION_FINISHED) pthread_cond_wait(&s->prepared, &s->lock);
  snn_status status = s->preparation.status;
  s->preparation = (preparation){.state = PREPARATION_NONE};
  pthread_cond_broadcast(&s->prepared); /* the next caller's turn */
  pthread_mutex_unlock(&s->lock);
  return status;
}

void scheduler_submit(scheduler *s, inference *inf) {
  pthread_mutex_lock(&s->lock);
  queue_push(&s->waiting, inf);
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
}

void scheduler_sweep(scheduler *s) {
  pthread_mutex_lock(&s->lock);
  inference *over = queue_take_over(&s->waiting, snn_clock_ns());
  sharing_sweep(s->sharing);
  pthread_mutex_unlock(&s->lock);
  queue_finish(over);
}

void scheduler_abort(scheduler *s) {
  pthread_mutex_lock(&s->lock);
  atomic_store(&s->abort, true);
  sharing_abort(s->sharing);
  if (s->alone) atomic_store(&s->alone->cancel, true);
  pthread_mutex_unlock(&s->lock);
}

void scheduler_stop(scheduler *s) {
  if (!s) return;
  pthread_mutex_lock(&s->lock);
  s->stopping = true;
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
  pthread_join(s->thread, NULL);
  sharing_free(s->sharing);
  pthread_cond_destroy(&s->prepared);
  pthread_cond_destroy(&s->work);
  pthread_mutex_destroy(&s->lock);
  free(s);
}

uint64_t scheduler_busy_ns(const scheduler *s) {
  uint64_t since = atomic_load(&s->busy_since_ns), now = snn_clock_ns();
  return since && now > since ? now - since : 0;
}

uint32_t scheduler_threads(const scheduler *s) {
  return s->threads;
}
