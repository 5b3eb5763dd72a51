/* The sharing of sharing.h. Keeps the invariants that a picture is handed out once at a time, that a request is
 * finished by whoever ends its last picture, and that a list's first request alone may be handed out in part. */
#include "sharing.h"

#include <stdlib.h>
#include <string.h>

#include "metrics.h"
#include "scheduler.h"

/* So long others may join: then the run ends, so that a watchdog sees runs that hang. */
#define JOIN_NS UINT64_C(1000000000)

/* Every answer wakes a socket thread, then its client: where pictures take less than a wake-up is worth and others wait
 * for their turn anyway, answers leave several at a time. */
enum { HOLD_MOST = 8 };
#define HOLD_NS UINT64_C(1000000)

typedef struct picture {
  inference *of;
  uint32_t number; /* in its request */
} picture;

/* What a thread is at. */
typedef struct seat {
  picture pictures[SNN_HANDFUL_MOST];
  size_t n;
  uint64_t begun_ns;
  atomic_bool cancel; /* of several; one picture has its request's own flag */
} seat;

struct sharing {
  sharing_place place;
  uint32_t threads;
  model_entry *model;       /* references while it runs, since any request may leave earlier; NULL: no run */
  calibration *calibration; /* may be NULL */
  options asked;
  queue list;             /* taken out of the queue, with pictures left to hand out */
  picture *again;         /* what a neighbour's deadline ended, to be run by itself: room for all there can be */
  size_t n_again, n_busy; /* n_busy: threads */
  bool closed;
  uint64_t join_until_ns;
  queue over; /* whose answers are held back */
  size_t n_over;
  uint64_t over_since_ns;
  seat seats[]; /* [threads] */
};

sharing *sharing_create(const sharing_place *place, uint32_t threads) {
  sharing *s = calloc(1, sizeof *s + threads * sizeof *s->seats);
  if (!s) return NULL;
  s->place = *place;
  s->threads = threads;
  s->again = calloc((size_t)threads * SNN_HANDFUL_MOST, sizeof *s->again);
  if (s->again) return s;
  free(s);
  return NULL;
}

void sharing_free(sharing *s) {
  if (s) free(s->again);
  free(s);
}

/* May they run together? The float network has the whole team. */
static bool is_like(const inference *inf, const model_entry *model, const options *asked) {
  return inf->model == model && options_run_equal(&inf->options, asked) && !inf->options.reference &&
         inf->n_images * inf->options.run.timesteps <= BATCH_WORK_MAX;
}

bool sharing_begins(sharing *s, const inference *first) {
  if (!is_like(first, first->model, &first->options)) return false;
  size_t n_requests = 1, n_images = first->n_images;
  for (const inference *inf = s->place.waiting->head; inf && (n_requests < 2 || n_images < s->threads); inf = inf->next)
    if (is_like(inf, first->model, &first->options)) {
      n_requests++;
      n_images += inf->n_images;
    }
  return n_requests > 1 && n_images >= s->threads;
}

typedef struct gathering {
  const inference *first;
  size_t n_images;
} gathering;

static bool joins(void *context, const inference *inf) {
  gathering *g = context;
  const size_t n = g->n_images + inf->n_images;
  if (!is_like(inf, g->first->model, &g->first->options) || n > BATCH_IMAGES_MAX ||
      n * inf->options.run.timesteps > BATCH_WORK_MAX)
    return false;
  g->n_images = n;
  return true;
}

void sharing_gather(sharing *s, inference *first) {
  gathering g = {.first = first, .n_images = first->n_images};
  inference *others = queue_take(s->place.waiting, joins, &g);
  s->model = registry_hold(first->model);
  s->calibration = calibration_hold(first->calibration);
  s->asked = first->options;
  s->list = s->over = (queue){0};
  s->n_over = 0;
  s->n_again = s->n_busy = 0;
  s->closed = false;
  s->join_until_ns = snn_clock_ns() + JOIN_NS;
  queue_push(&s->list, first);
  for (inference *inf = others, *next; inf; inf = next) {
    next = inf->next;
    queue_push(&s->list, inf);
  }
}

/* Nothing more of it is handed out. */
static void hand_out_no_more(sharing *s, inference *inf) {
  inf->n_handed_out = inf->n_images;
  if (s->list.head == inf) queue_pop(&s->list);
}

/* One of its pictures is over. True: that was the last one. */
static bool is_last(inference *inf) {
  return --inf->n_out == 0 && inf->n_handed_out == inf->n_images;
}

/* The first request with a picture left; the queue's first one may join. */
static inference *next_request(sharing *s) {
  if (s->list.head) return s->list.head;
  const inference *first = s->place.waiting->head;
  if (s->closed || !first || !is_like(first, s->model, &s->asked) || snn_clock_ns() >= s->join_until_ns) return NULL;
  inference *inf = queue_pop(s->place.waiting);
  queue_push(&s->list, inf);
  return inf;
}

/* Pictures that could be handed out at once, counted up to n. */
static size_t count_available(const sharing *s, size_t n) {
  size_t found = 0;
  for (const inference *inf = s->list.head; inf && found < n; inf = inf->next)
    found += inf->n_images - inf->n_handed_out;
  for (const inference *inf = s->place.waiting->head; !s->closed && inf && found < n; inf = inf->next) {
    if (!is_like(inf, s->model, &s->asked)) break;
    found += inf->n_images;
  }
  return found < n ? found : n;
}

/* Pictures for a thread: an equal share of what is there for it and the others that are free. Requests that are over
 * get into `over` instead. */
static size_t pick(sharing *s, size_t most, picture *to, queue *over) {
  const uint64_t now = snn_clock_ns();
  if (s->n_again > 0) {
    picture p = s->again[--s->n_again];
    if (!inference_expired(p.of, now)) {
      *to = p;
      return 1;
    }
    hand_out_no_more(s, p.of);
    if (is_last(p.of)) queue_push(over, p.of);
  }
  size_t n = 0;
  const size_t n_free = s->threads - s->n_busy;
  const size_t share = most > 1 ? (count_available(s, most * n_free) + n_free - 1) / n_free : 1;
  while (n < share) {
    inference *inf = next_request(s);
    if (!inf) break;
    if (atomic_load(s->place.abort)) atomic_store(&inf->cancel, true);
    if (inference_expired(inf, now)) {
      hand_out_no_more(s, inf);
      if (inf->n_out == 0) queue_push(over, inf);
      continue;
    }
    inf->n_out++;
    to[n++] = (picture){inf, (uint32_t)inf->n_handed_out++};
    if (inf->n_handed_out == inf->n_images) queue_pop(&s->list);
  }
  return n;
}

static void finish(queue *over) {
  for (inference *inf; (inf = queue_pop(over)) != NULL;) {
    inference_leave_queue(inf);
    inf->done(inf);
  }
}

/* A request's first picture is about to be simulated. Only requests of one picture come undecoded. */
static bool begin_request(inference *inf) {
  inference_leave_queue(inf);
  if (inf->decode) inf->decode(inf);
  return !inf->decode || inf->problem.kind == PROBLEM_NONE;
}

/* Returns how many are left of n: what cannot be decoded is over. */
static size_t begin_requests(picture *pictures, size_t n) {
  size_t n_left = 0;
  for (size_t i = 0; i < n; i++) {
    picture p = pictures[i];
    if (p.number == 0 && p.of->at.run_begin == 0 && !begin_request(p.of))
      p.of->done(p.of);
    else
      pictures[n_left++] = p;
  }
  return n_left;
}

/* The arrays of picture `number`. */
static void describe(const picture *p, snn_handful *h) {
  const inference *inf = p->of;
  const snn_network *net = inf->model->network;
  const size_t layers = snn_network_layers(net), i = p->number;
  h->images[h->n].pixels = inf->inputs + i * snn_shape_size(snn_network_input(net));
  h->images[h->n].number = p->number;
  h->images[h->n].scores = inf->scores + i * snn_network_classes(net);
  h->images[h->n].stats = (snn_run_stats){.spikes = inf->spikes + i * layers,
                                          .synaptic_operations = inf->synaptic_operations + i * layers,
                                          .macs = inf->macs + i * layers,
                                          .first_spikes = inf->first_spikes ? inf->first_spikes + i * layers : NULL,
                                          .timesteps_used = inf->timesteps_used + i};
  h->n++;
  if (inf->deadline_ns && (!h->deadline_ns || inf->deadline_ns < h->deadline_ns)) h->deadline_ns = inf->deadline_ns;
}

/* From here on a sweep sees what the thread is at. */
static void sit_down(sharing *s, seat *at, const picture *pictures, size_t n) {
  at->begun_ns = snn_clock_ns();
  for (size_t i = 0; i < n; i++)
    if (pictures[i].number == 0 && pictures[i].of->at.run_begin == 0) pictures[i].of->at.run_begin = at->begun_ns;
  pthread_mutex_lock(s->place.lock);
  memcpy(at->pictures, pictures, n * sizeof *pictures);
  at->n = n;
  atomic_store(&at->cancel, atomic_load(s->place.abort));
  for (size_t i = 0; atomic_load(s->place.abort) && i < n; i++) atomic_store(&pictures[i].of->cancel, true);
  pthread_mutex_unlock(s->place.lock);
}

static bool take(void *context, uint32_t thread, size_t most, snn_handful *out) {
  sharing *s = context;
  picture pictures[SNN_HANDFUL_MOST];
  queue over = {0};
  size_t n = 0;
  pthread_mutex_lock(s->place.lock);
  while (n == 0) {
    n = pick(s, most, pictures, &over);
    if (n > 0 || over.head) {
      s->n_busy++;
      pthread_mutex_unlock(s->place.lock);
      finish(&over);
      n = begin_requests(pictures, n);
      if (n > 0) break;
      pthread_mutex_lock(s->place.lock);
      s->n_busy--;
    } else if (s->n_busy == 0 || s->closed || s->place.waiting->head) {
      s->closed = true; /* it is somebody else's turn, or there is nobody */
      pthread_cond_broadcast(s->place.work);
      pthread_mutex_unlock(s->place.lock);
      return false;
    } else {
      pthread_cond_wait(s->place.work, s->place.lock);
    }
  }
  seat *mine = &s->seats[thread];
  sit_down(s, mine, pictures, n);
  *out = (snn_handful){.cancel = n == 1 ? &pictures[0].of->cancel : &mine->cancel};
  for (size_t i = 0; i < n; i++) describe(&pictures[i], out);
  return true;
}

/* A picture that was not simulated to its end: it may be only its neighbours' fault. True: its request is over. */
static bool fail(sharing *s, picture p, bool was_alone, snn_status status, uint64_t now) {
  inference *inf = p.of;
  if (!inference_expired(inf, now)) {
    if (!was_alone) {
      s->again[s->n_again++] = p;
      return false;
    }
    snn_error err = {.status = status};
    problem_from_snn(&inf->problem, &err, NULL);
  }
  hand_out_no_more(s, inf);
  return is_last(inf);
}

/* Those whose answers may leave now; pictures take picture_ns. */
static queue release(sharing *s, uint64_t now, uint64_t picture_ns) {
  queue over = {0};
  const bool others_wait = s->list.head || s->place.waiting->head;
  if (others_wait && s->n_over < HOLD_MOST && now - s->over_since_ns + picture_ns < HOLD_NS) return over;
  over = s->over;
  s->over = (queue){0};
  s->n_over = 0;
  return over;
}

static void ended(void *context, uint32_t thread, const snn_handful *handful, snn_status status) {
  sharing *s = context;
  seat *mine = &s->seats[thread];
  const uint64_t now = snn_clock_ns();
  const size_t n = handful->n;
  if (status == SNN_OK) metrics_run(s->model->metrics, n, now - mine->begun_ns);
  pthread_mutex_lock(s->place.lock);
  for (size_t i = 0; i < n; i++) {
    picture p = mine->pictures[i];
    if (!(status == SNN_OK ? is_last(p.of) : fail(s, p, n == 1, status, now))) continue;
    p.of->at.run_end = now;
    if (s->n_over++ == 0) s->over_since_ns = now;
    queue_push(&s->over, p.of);
  }
  mine->n = 0;
  s->n_busy--;
  if (s->n_again > 0) pthread_cond_signal(s->place.work);
  queue over = release(s, now, now - mine->begun_ns);
  pthread_mutex_unlock(s->place.lock);
  finish(&over);
}

bool sharing_run(sharing *s, inference **rest) {
  snn_error err = {0};
  const snn_feed feed = {take, ended, s};
  bool ok = snn_session_feed(s->model->session, &feed, &s->asked.run, &err) == SNN_OK;
  finish(&s->over);
  *rest = s->list.head;
  model_entry *model = s->model;
  pthread_mutex_lock(s->place.lock);
  s->model = NULL;
  pthread_mutex_unlock(s->place.lock);
  calibration_release(s->calibration);
  registry_release(model);
  return ok;
}

void sharing_close(sharing *s) {
  s->closed = true;
}

void sharing_sweep(sharing *s) {
  for (uint32_t t = 0; s->model && t < s->threads; t++) {
    seat *at = &s->seats[t];
    size_t i = 0;
    while (i < at->n && atomic_load(&at->pictures[i].of->cancel)) i++;
    if (at->n > 0 && i == at->n) atomic_store(&at->cancel, true);
  }
}

void sharing_abort(sharing *s) {
  for (uint32_t t = 0; s->model && t < s->threads; t++) {
    seat *at = &s->seats[t];
    for (size_t i = 0; i < at->n; i++) atomic_store(&at->pictures[i].of->cancel, true);
    atomic_store(&at->cancel, true);
  }
}
