/* The one compute thread. Keeps the invariants that sessions are touched by this thread alone, and that a request's
 * own deadline never costs its neighbours more than one repeated run. Does not touch sockets and builds no text. */
#include "scheduler.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "metrics.h"
#include "queue.h"

/* An array that grows to the largest size seen and stays. */
typedef struct block {
  void *bytes;
  size_t n;
} block;

/* The arrays of a run of several requests. */
typedef struct scratch {
  block inputs, scores, spikes, synaptic_operations, macs, first_spikes, timesteps_used;
} scratch;

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
  bool resting; /* the thread waits for work */
  bool stopping;
  atomic_bool abort;
  inference *alone;               /* running by itself now, NULL: none; its flag is the one to raise */
  const inference *shared;        /* the list of those in a run together, NULL: none */
  atomic_bool cancel;             /* raised: end that run */
  _Atomic uint64_t busy_since_ns; /* 0: no run */
  uint32_t threads;
  scratch scratch; /* this thread's alone */
  pthread_t thread;
};

static bool grow(block *b, size_t need) {
  if (need <= b->n) return true;
  void *larger = malloc(need);
  if (!larger) return false;
  free(b->bytes);
  b->bytes = larger;
  b->n = need;
  return true;
}

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

/* Note who runs together; NULL: nobody any more. */
static void begin_shared(scheduler *s, const inference *first) {
  pthread_mutex_lock(&s->lock);
  atomic_store(&s->cancel, atomic_load(&s->abort));
  s->shared = first;
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

/* Several at once: gather, run, scatter. The earliest deadline is the run's. */
static snn_status run_together(scheduler *s, inference *first, snn_error *err) {
  scratch *x = &s->scratch;
  const snn_network *net = first->model->network;
  size_t image = snn_shape_size(snn_network_input(net)) * sizeof(float), n = 0;
  size_t score = snn_network_classes(net) * sizeof(float);
  size_t count = snn_network_layers(net) * sizeof(uint64_t), first_count = 2 * count;
  bool trace = false;                         /* anyone's layers */
  uint32_t numbers[BATCH_IMAGES_MAX], at = 0; /* a picture's number is its place in its own request */
  snn_run_options run = first->options.run;
  run.cancel = &s->cancel;
  run.image_numbers = numbers;
  for (inference *inf = first; inf; inf = inf->next) {
    for (uint32_t i = 0; i < inf->n_images; i++) numbers[n + i] = i;
    n += inf->n_images;
    trace = trace || inf->options.trace_layers;
    if (inf->deadline_ns && (!run.deadline_ns || inf->deadline_ns < run.deadline_ns))
      run.deadline_ns = inf->deadline_ns;
  }
  /* Every factor was multiplied with checks for a request of IMAGES_MAX pictures, the most a batch has. */
  if (!grow(&x->inputs, n * image) || !grow(&x->scores, n * score) || !grow(&x->spikes, n * count) ||
      !grow(&x->synaptic_operations, n * count) || !grow(&x->macs, n * count) ||
      !grow(&x->timesteps_used, n * sizeof(uint32_t)) || (trace && !grow(&x->first_spikes, n * first_count)))
    return SNN_ERR_NO_MEMORY;
  char *to = x->inputs.bytes;
  for (inference *inf = first; inf; inf = inf->next) {
    memcpy(to, inf->inputs, inf->n_images * image);
    to += inf->n_images * image;
  }
  snn_run_stats stats = {.spikes = x->spikes.bytes,
                         .synaptic_operations = x->synaptic_operations.bytes,
                         .macs = x->macs.bytes,
                         .first_spikes = trace ? x->first_spikes.bytes : NULL,
                         .timesteps_used = x->timesteps_used.bytes};
  begin_shared(s, first);
  snn_status status = snn_session_run(first->model->session, x->inputs.bytes, n, &run, x->scores.bytes, &stats, err);
  begin_shared(s, NULL);
  if (status != SNN_OK) return status;
  for (inference *inf = first; inf; inf = inf->next) {
    memcpy(inf->scores, (char *)x->scores.bytes + at * score, inf->n_images * score);
    memcpy(inf->spikes, (char *)x->spikes.bytes + at * count, inf->n_images * count);
    memcpy(inf->synaptic_operations, (char *)x->synaptic_operations.bytes + at * count, inf->n_images * count);
    memcpy(inf->macs, (char *)x->macs.bytes + at * count, inf->n_images * count);
    if (inf->first_spikes)
      memcpy(inf->first_spikes, (char *)x->first_spikes.bytes + at * first_count, inf->n_images * first_count);
    memcpy(inf->timesteps_used, (uint32_t *)x->timesteps_used.bytes + at, inf->n_images * sizeof(uint32_t));
    at += (uint32_t)inf->n_images;
  }
  return SNN_OK;
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
  begin_alone(s, inf);
  if (!inference_expired(inf, snn_clock_ns())) {
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

static size_t count_images(const inference *list) {
  size_t n = 0;
  for (; list; list = list->next) n += list->n_images;
  return n;
}

static void run_batch(scheduler *s, inference *first) {
  snn_error err = {0};
  if (!first->next) {
    run_and_finish_alone(s, first);
    return;
  }
  uint64_t begin = snn_clock_ns();
  snn_status status = run_together(s, first, &err);
  uint64_t end = snn_clock_ns();
  if (status == SNN_OK) metrics_run(first->model->metrics, count_images(first), end - begin);
  for (inference *inf = first, *next; inf; inf = next) {
    next = inf->next;
    inf->next = NULL;
    if (status != SNN_OK) { /* one of them ended it for all: each of the others gets a run of its own */
      run_and_finish_alone(s, inf);
      continue;
    }
    inf->at.run_begin = begin;
    inf->at.run_end = end;
    run_reference(inf);
    inf->done(inf);
  }
}

/* The batch being put together. */
typedef struct batch {
  const inference *first;
  size_t n_images;
} batch;

static bool joins(void *context, const inference *inf) {
  batch *b = context;
  size_t n = b->n_images + inf->n_images;
  if (inf->model != b->first->model || !options_run_equal(&inf->options, &b->first->options) || n > BATCH_IMAGES_MAX ||
      n * inf->options.run.timesteps > BATCH_WORK_MAX)
    return false;
  b->n_images = n;
  return true;
}

/* What was offered comes first: nothing was there before it. With the lock held, which it gives up meanwhile. */
static bool decode_offered(scheduler *s, inference *inf) {
  pthread_mutex_unlock(&s->lock);
  inf->decode(inf);
  pthread_mutex_lock(&s->lock);
  return inf->problem.kind == PROBLEM_NONE;
}

/* The oldest request and those that may share its run, as a list; one that cannot be decoded is alone in it. Called
 * with the lock held. */
static inference *take_batch(scheduler *s) {
  inference *first = queue_pop(&s->waiting);
  if (first->decode && !decode_offered(s, first)) return first;
  batch b = {.first = first, .n_images = first->n_images};
  first->next = queue_take(&s->waiting, joins, &b);
  return first;
}

/* Answer those whose time is over; the rest, in order. */
static inference *drop_expired(scheduler *s, inference *list) {
  queue alive = {0};
  uint64_t now = snn_clock_ns();
  for (inference *inf = list, *next; inf; inf = next) {
    next = inf->next;
    inference_leave_queue(inf);
    if (atomic_load(&s->abort)) atomic_store(&inf->cancel, true);
    if (inference_expired(inf, now))
      inf->done(inf);
    else
      queue_push(&alive, inf);
  }
  return alive.head;
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
      inference *list = take_batch(s);
      pthread_mutex_unlock(&s->lock);
      list = drop_expired(s, list);
      atomic_store(&s->busy_since_ns, snn_clock_ns());
      if (list) run_batch(s, list);
      atomic_store(&s->busy_since_ns, 0);
      pthread_mutex_lock(&s->lock);
    } else if (s->stopping) {
      break;
    } else {
      s->resting = true;
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
  atomic_init(&s->cancel, false);
  atomic_init(&s->busy_since_ns, 0);
  s->threads = threads ? threads : snn_thread_budget();
  if (pthread_create(&s->thread, NULL, work, s) == 0) return s;
  free(s);
  return NULL;
}

void scheduler_prepare_begin(scheduler *s, model_entry *entry, snn_error *err) {
  pthread_mutex_lock(&s->lock);
  while (s->preparation.state != PREPARATION_NONE) pthread_cond_wait(&s->prepared, &s->lock);
  s->preparation = (preparation){.state = PREPARATION_WANTED, .entry = entry, .err = err};
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
  s->resting = false;
  pthread_cond_signal(&s->work);
  pthread_mutex_unlock(&s->lock);
}

bool scheduler_offer(scheduler *s, inference *inf, void (*decode)(inference *inf)) {
  pthread_mutex_lock(&s->lock);
  bool taken = s->resting && s->preparation.state == PREPARATION_NONE && !s->stopping;
  if (taken) {
    inf->decode = decode;
    queue_push(&s->waiting, inf);
    s->resting = false;
    pthread_cond_signal(&s->work);
  }
  pthread_mutex_unlock(&s->lock);
  return taken;
}

void scheduler_sweep(scheduler *s) {
  pthread_mutex_lock(&s->lock);
  inference *over = queue_take_over(&s->waiting, snn_clock_ns());
  const inference *wanted = s->shared;
  while (wanted && atomic_load(&wanted->cancel)) wanted = wanted->next;
  if (s->shared && !wanted) atomic_store(&s->cancel, true);
  pthread_mutex_unlock(&s->lock);
  queue_finish(over);
}

void scheduler_abort(scheduler *s) {
  pthread_mutex_lock(&s->lock);
  atomic_store(&s->abort, true);
  atomic_store(&s->cancel, true);
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
  free(s->scratch.inputs.bytes);
  free(s->scratch.scores.bytes);
  free(s->scratch.spikes.bytes);
  free(s->scratch.synaptic_operations.bytes);
  free(s->scratch.macs.bytes);
  free(s->scratch.first_spikes.bytes);
  free(s->scratch.timesteps_used.bytes);
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
