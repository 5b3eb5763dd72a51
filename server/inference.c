/* The memory and the limits of one classification. Keeps the invariant that every byte it owns that a client can make
 * large is held in the ledger before it is allocated. Does not decode and does not compute. */
#include "inference.h"

#include <stdlib.h>
#include <string.h>

#include "oip.h"
#include "store.h"

inference *inference_create(model_entry *model, const option_limits *limits, ledger *l) {
  inference *inf = calloc(1, sizeof *inf);
  if (!inf) return NULL;
  inf->model = model;
  if (model) inf->calibration = registry_calibration(model, NULL);
  inf->limits = *limits;
  inf->ledger = l;
  atomic_init(&inf->cancel, false);
  atomic_init(&inf->gone, false);
  return inf;
}

static bool hold(inference *inf, size_t n) {
  if (!ledger_hold(inf->ledger, n))
    return problem_set(&inf->problem, PROBLEM_BUSY, "the memory set aside for requests is in use; try again");
  inf->held_bytes += n;
  return true;
}

static bool out_of_memory(inference *inf) {
  return problem_set(&inf->problem, PROBLEM_BUSY, "out of memory; try again");
}

void inference_drop_body(inference *inf) {
  free(inf->body);
  free(inf->options_text);
  ledger_release(inf->ledger, inf->body_capacity);
  inf->held_bytes -= inf->body_capacity;
  inf->body = NULL;
  inf->options_text = NULL;
  inf->n_body = inf->body_capacity = inf->n_options_text = 0;
}

void inference_take_body(inference *inf, inference *from) {
  ledger_release(inf->ledger, inf->body_capacity);
  free(inf->body);
  inf->held_bytes += from->body_capacity - inf->body_capacity;
  from->held_bytes -= from->body_capacity;
  inf->body = from->body;
  inf->n_body = from->n_body;
  inf->body_capacity = from->body_capacity;
  memcpy(inf->images, from->images, sizeof inf->images);
  inf->n_images = from->n_images;
  from->body = NULL;
  from->n_body = from->body_capacity = from->n_images = 0;
}

void inference_leave_queue(inference *inf) {
  if (inf->has_place) ledger_leave(inf->ledger);
  inf->has_place = false;
}

void inference_destroy(inference *inf) {
  if (!inf) return;
  inference_drop_body(inf);
  inference_leave_queue(inf);
  free(inf->inputs);
  free(inf->scores);
  free(inf->reference);
  free(inf->spikes);
  free(inf->synaptic_operations);
  free(inf->macs);
  free(inf->first_spikes);
  free(inf->timesteps_used);
  free(inf->step_scores);
  for (size_t i = 0; inf->previews && i < inf->n_images; i++) free(inf->previews[i]);
  free(inf->previews);
  free(inf->oip);
  ledger_release(inf->ledger, inf->held_bytes);
  calibration_release(inf->calibration);
  registry_release(inf->model);
  free(inf);
}

bool inference_append(inference *inf, const void *bytes, size_t n) {
  if (n > SIZE_MAX / 4 - inf->n_body) return out_of_memory(inf);
  size_t needed = inf->n_body + n;
  if (needed > inf->body_capacity) {
    size_t capacity = inf->body_capacity ? inf->body_capacity : 4096;
    while (capacity < needed) capacity *= 2;
    if (!hold(inf, capacity - inf->body_capacity)) return false;
    uint8_t *larger = realloc(inf->body, capacity);
    if (!larger) {
      ledger_release(inf->ledger, capacity - inf->body_capacity);
      inf->held_bytes -= capacity - inf->body_capacity;
      return out_of_memory(inf);
    }
    inf->body = larger;
    inf->body_capacity = capacity;
  }
  if (n) memcpy(inf->body + inf->n_body, bytes, n);
  inf->n_body = needed;
  if (inf->n_images) inf->images[inf->n_images - 1].n += n;
  return true;
}

bool inference_begin_image(inference *inf) {
  if (inf->n_images == IMAGES_MAX)
    return problem_set(&inf->problem, PROBLEM_TOO_LARGE, "images: at most %d pictures in a request", IMAGES_MAX);
  inf->images[inf->n_images++] = (span){inf->n_body, 0};
  return true;
}

bool inference_append_options(inference *inf, const void *bytes, size_t n) {
  if (n > OPTIONS_TEXT_MAX - inf->n_options_text)
    return problem_set(&inf->problem, PROBLEM_TOO_LARGE, "options: at most %d bytes", OPTIONS_TEXT_MAX);
  char *larger = realloc(inf->options_text, inf->n_options_text + n + 1);
  if (!larger) return out_of_memory(inf);
  if (n) memcpy(larger + inf->n_options_text, bytes, n);
  inf->options_text = larger;
  inf->n_options_text += n;
  return true;
}

bool inference_choose_calibration(inference *inf) {
  const char *wanted = inf->options.calibration;
  char id[DIGEST_HEX];
  calibration *chosen = NULL;
  snn_error err = {0};
  if (strcmp(wanted, "none") == 0) {
    calibration_release(inf->calibration);
    inf->calibration = NULL;
  } else if (*wanted && !calibration_is_called(inf->calibration, wanted)) {
    if (!inf->limits.store || !store_resolve(inf->limits.store, inf->model->name, wanted, id))
      return problem_set(&inf->problem, PROBLEM_INVALID_OPTION,
                         "calibration: expected 'none' or the id of one of this model's calibrations, got '%.80s'",
                         wanted);
    if (store_open(inf->limits.store, inf->model, id, &chosen, &err) != SNN_OK)
      return problem_set(&inf->problem, PROBLEM_INVALID_OPTION, "calibration: %.12s cannot be used: %s", id, err.text);
    calibration_release(inf->calibration);
    inf->calibration = chosen;
  }
  inf->options.run.calibration = inf->calibration ? inf->calibration->tables : NULL;
  return true;
}

/* *out = a * b * c, false on overflow or above a quarter of the address space. */
static bool multiply(size_t a, size_t b, size_t c, size_t *out) {
  size_t ab;
  return !__builtin_mul_overflow(a, b, &ab) && !__builtin_mul_overflow(ab, c, out) && *out < SIZE_MAX / 16;
}

static run_memo *memo_of(const inference *inf) {
  return inf->calibration ? &inf->calibration->memo : &inf->model->memo;
}

bool inference_is_known(const inference *inf) {
  options asked = inf->options;
  asked.run.calibration = inf->calibration ? inf->calibration->tables : NULL;
  return options_are_known(&asked, memo_of(inf), inf->model->network);
}

bool inference_allocate(inference *inf) {
  const snn_network *net = inf->model->network;
  size_t n = inf->n_images, n_inputs, n_scores, n_counts;
  if (n == 0)
    return problem_set(&inf->problem, PROBLEM_BAD_REQUEST, "images: expected 1 to %d pictures, got none", IMAGES_MAX);
  if (!options_complete(&inf->options, memo_of(inf), net, &inf->problem)) return false;
  if (n * inf->options.run.timesteps > WORK_MAX)
    return problem_set(&inf->problem, PROBLEM_TOO_LARGE,
                       "timesteps: %zu pictures times %u steps is over the limit of %d", n, inf->options.run.timesteps,
                       WORK_MAX);
  uint64_t operations;
  if (inf->limits.max_operations &&
      (__builtin_mul_overflow(snn_network_macs(net), n * inf->options.run.timesteps, &operations) ||
       operations > inf->limits.max_operations))
    return problem_set(&inf->problem, PROBLEM_TOO_LARGE,
                       "timesteps: %zu pictures times %u steps of this network is over the limit of %llu operations", n,
                       inf->options.run.timesteps, (unsigned long long)inf->limits.max_operations);
  if (!multiply(n, snn_shape_size(snn_network_input(net)), sizeof *inf->inputs, &n_inputs) ||
      !multiply(n, snn_network_classes(net), sizeof *inf->scores, &n_scores) ||
      !multiply(n, snn_network_layers(net), sizeof *inf->spikes, &n_counts))
    return out_of_memory(inf);
  const size_t n_steps = inf->options.trace_steps ? inf->options.run.timesteps * n_scores : 0; /* WORK_MAX bounds it */
  if (n_steps / sizeof *inf->step_scores > STEP_SCORES_MAX)
    return problem_set(
        &inf->problem, PROBLEM_TOO_LARGE,
        "trace: the scores of every step of %zu pictures, %u steps and %zu classes are over the limit of "
        "%d numbers",
        n, inf->options.run.timesteps, snn_network_classes(net), STEP_SCORES_MAX);
  if (!hold(inf, n_inputs + 2 * n_scores + 5 * n_counts + n_steps)) return false;
  inf->inputs = malloc(n_inputs);
  inf->scores = malloc(n_scores);
  inf->spikes = malloc(n_counts);
  inf->synaptic_operations = malloc(n_counts);
  inf->macs = malloc(n_counts);
  if (inf->options.trace_layers) inf->first_spikes = malloc(2 * n_counts);
  inf->timesteps_used = calloc(n, sizeof *inf->timesteps_used);
  if (n_steps) inf->step_scores = malloc(n_steps);
  if (inf->options.reference) inf->reference = malloc(n_scores);
  if (inf->options.preview) inf->previews = calloc(n, sizeof *inf->previews);
  bool ok = inf->inputs && inf->scores && inf->timesteps_used && (inf->step_scores || !n_steps) && inf->spikes &&
            inf->synaptic_operations && inf->macs && (inf->first_spikes || !inf->options.trace_layers) &&
            (inf->reference || !inf->options.reference) && (inf->previews || !inf->options.preview);
  return ok || out_of_memory(inf);
}

bool inference_is_over(const inference *inf, uint64_t now_ns) {
  return atomic_load(&inf->cancel) || (inf->deadline_ns && now_ns >= inf->deadline_ns);
}

/* In the words of the request: the protocol's timeout is in microseconds. */
static void deadline_passed(inference *inf) {
  if (inf->oip && inf->oip->timeout_us)
    problem_set(&inf->problem, PROBLEM_DEADLINE, "timeout: %llu us have passed",
                (unsigned long long)inf->oip->timeout_us);
  else
    problem_set(&inf->problem, PROBLEM_DEADLINE, "timeout_ms: %u ms have passed", inf->options.timeout_ms);
}

bool inference_expired(inference *inf, uint64_t now_ns) {
  if (inf->problem.kind != PROBLEM_NONE) return true;
  if (atomic_load(&inf->gone))
    problem_set(&inf->problem, PROBLEM_GONE, "the client closed the connection before there was an answer");
  else if (atomic_load(&inf->cancel))
    problem_set(&inf->problem, PROBLEM_CANCELLED, "the server is stopping");
  else if (inf->deadline_ns && now_ns >= inf->deadline_ns)
    deadline_passed(inf);
  return inf->problem.kind != PROBLEM_NONE;
}
