/* Counting. Keeps the invariant that what a counter said once it never takes back. Prints nothing: metrics_text.c and
 * json_oip_out.c do. */
#include "metrics.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "router.h"

const double histogram_bounds[HISTOGRAM_BOUNDS] = {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                   0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30};

static const unsigned codes[METRICS_CODES] = {200, 202, 204, 304, 400, 401, 403, 404, 405, 408, 409, 412, 413, 415,
                                              417, 422, 428, 429, 431, 499, 500, 501, 503, 504, 505, 507, 0};

static void add(counter *c, uint64_t n) {
  atomic_fetch_add_explicit(c, n, memory_order_relaxed);
}

static void add_duration(duration *d, uint64_t ns) {
  add(&d->count, 1);
  add(&d->ns, ns);
}

static void observe(histogram *h, uint64_t ns) {
  size_t i = 0;
  while (i < HISTOGRAM_BOUNDS && (double)ns > histogram_bounds[i] * 1e9) i++;
  add(&h->buckets[i], 1);
  add(&h->sum_ns, ns);
}

unsigned metrics_code(size_t i) {
  return codes[i];
}

bool metrics_init(metrics *m) {
  struct timespec now;
  bool ok = true;
  *m = (metrics){0};
  for (int f = 0; f < FACE_COUNT; f++) {
    size_t n_routes;
    router_table((face)f, &n_routes);
    m->requests[f] = calloc((n_routes + 1) * METRICS_CODES, sizeof *m->requests[f]);
    ok = ok && m->requests[f];
  }
  pthread_mutex_init(&m->lock, NULL);
  atomic_init(&m->n_models, 0);
  clock_gettime(CLOCK_REALTIME, &now);
  m->started = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
  return ok;
}

void metrics_destroy(metrics *m) {
  for (size_t i = 0; i < m->n_models; i++) free(m->models[i]);
  for (int f = 0; f < FACE_COUNT; f++) free(m->requests[f]);
  pthread_mutex_destroy(&m->lock);
}

model_metrics *metrics_of_model(metrics *m, const char *name) {
  model_metrics *found = NULL;
  pthread_mutex_lock(&m->lock);
  size_t n = atomic_load(&m->n_models);
  for (size_t i = 0; i < n && !found; i++)
    if (strcmp(m->models[i]->name, name) == 0) found = m->models[i];
  if (!found && n < MODELS_MAX && (found = calloc(1, sizeof *found)) != NULL) {
    strncpy(found->name, name, sizeof found->name - 1);
    m->models[n] = found;
    atomic_store(&m->n_models, n + 1);
  }
  pthread_mutex_unlock(&m->lock);
  return found;
}

static uint64_t sum_of(const uint64_t *values, size_t n) {
  uint64_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += values[i];
  return sum;
}

static void count_answered(model_metrics *m, const inference *inf, uint64_t now) {
  const snn_network *net = inf->model->network;
  size_t n_counts = inf->n_images * snn_network_layers(net);
  uint64_t queue = inf->at.decode_begin - inf->at.received + (inf->at.run_begin - inf->at.decode_end);
  struct timespec wall;
  clock_gettime(CLOCK_REALTIME, &wall);
  add(&m->images, inf->n_images);
  for (size_t i = 0; i < inf->n_images; i++) add(&m->timesteps, inf->timesteps_used[i]);
  add(&m->spikes, sum_of(inf->spikes, n_counts));
  add(&m->synaptic_operations, sum_of(inf->synaptic_operations, n_counts));
  add_duration(&m->queue, queue);
  add_duration(&m->decode, inf->at.decode_end - inf->at.decode_begin);
  add_duration(&m->simulate, inf->at.run_end - inf->at.run_begin);
  add_duration(&m->answer, now - inf->at.run_end);
  add_duration(&m->success, now - inf->at.received);
  observe(&m->queue_seconds, queue);
  observe(&m->simulate_seconds, inf->at.run_end - inf->at.run_begin);
  observe(&m->total_seconds, now - inf->at.received);
  atomic_store_explicit(&m->last_ms, (uint64_t)wall.tv_sec * 1000 + (uint64_t)wall.tv_nsec / 1000000,
                        memory_order_relaxed);
}

void metrics_request(metrics *m, request *r) {
  size_t n_routes, code = 0;
  const route *routes = router_table(r->face, &n_routes);
  unsigned status = r->reply.status ? r->reply.status : 499;
  if (r->counted) return;
  r->counted = true;
  while (code < METRICS_CODES - 1 && codes[code] != status) code++;
  size_t row = r->route >= routes && r->route < routes + n_routes ? (size_t)(r->route - routes) : n_routes;
  add(&m->requests[r->face][row * METRICS_CODES + code], 1);
  if (r->problem.kind != PROBLEM_NONE) add(&m->rejected[r->problem.kind], 1);
  model_metrics *model = r->inference ? r->inference->model->metrics : r->refused_by;
  if (!model) return;
  uint64_t now = snn_clock_ns();
  if (status == 200 && r->inference)
    count_answered(model, r->inference, now);
  else
    add_duration(&model->fail, now - r->begun_ns);
}

void metrics_run(model_metrics *m, size_t n_images, uint64_t ns) {
  if (!m || n_images == 0 || n_images > BATCH_IMAGES_MAX) return;
  add(&m->batches, 1);
  add_duration(&m->by_images[n_images - 1], ns);
}
