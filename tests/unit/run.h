/* Sessions in tests: run one, keep all it gives back, compare bytes; networks over all kinds of layers to run. */
#ifndef TESTS_UNIT_RUN_H
#define TESTS_UNIT_RUN_H

#include "build.h"
#include "snn/snn.h"

/* Everything a run gives back. */
typedef struct answers {
  size_t n_scores, n_counts;
  float *scores;
  uint64_t *counts; /* spikes, synaptic operations, macs, n_counts each */
} answers;

static inline answers make_answers(const snn_network *net, size_t batch, size_t checkpoints) {
  answers a = {.n_scores = batch * checkpoints * snn_network_classes(net),
               .n_counts = batch * checkpoints * snn_network_layers(net)};
  a.scores = malloc(a.n_scores * sizeof *a.scores);
  a.counts = malloc(3 * a.n_counts * sizeof *a.counts);
  assert_true(a.scores && a.counts);
  memset(a.scores, 0xff, a.n_scores * sizeof *a.scores);
  memset(a.counts, 0xff, 3 * a.n_counts * sizeof *a.counts);
  return a;
}

static inline void free_answers(answers *a) {
  free(a->scores);
  free(a->counts);
}

/* Answers depend on none of this; images side by side come along with the length of chunks. */
static inline snn_session *session(const snn_network *net, uint32_t threads, uint32_t chunk) {
  snn_session *s = NULL;
  snn_error err = {0};
  snn_session_options opt = {.threads = threads, .chunk = chunk, .together = 1 + chunk % 4};
  if (snn_session_create(net, &opt, &s, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  assert_int_equal(snn_session_threads(s), threads);
  return s;
}

static inline snn_status run_into(snn_session *s, const float *images, size_t batch, const snn_run_options *run,
                                  const answers *a, snn_error *err) {
  snn_run_stats stats = {
      .spikes = a->counts, .synaptic_operations = a->counts + a->n_counts, .macs = a->counts + 2 * a->n_counts};
  return snn_session_run(s, images, batch, run, a->scores, &stats, err);
}

static inline answers run(const snn_network *net, snn_session *s, const float *images, size_t batch,
                          const snn_run_options *options) {
  answers a = make_answers(net, batch, options->checkpoints ? options->n_checkpoints : 1);
  snn_error err = {0};
  if (run_into(s, images, batch, options, &a, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return a;
}

/* The same bytes, scores and counters. */
static inline void assert_same(const answers *a, const answers *b) {
  assert_int_equal(a->n_scores, b->n_scores);
  assert_int_equal(a->n_counts, b->n_counts);
  assert_memory_equal(a->scores, b->scores, a->n_scores * sizeof *a->scores);
  assert_memory_equal(a->counts, b->counts, 3 * a->n_counts * sizeof *a->counts);
}

/* A random network over all kinds of layers, with uneven numbers. */
static inline builder random_network(uint64_t number) {
  static const uint32_t widths[] = {1, 3, 8, 63, 64, 65, 70};
  builder b = begin(number, 1 + (uint32_t)(number % 3), 6 + (uint32_t)(number % 4), 7);
  uint32_t at = 0;
  for (int layer = 0; layer < 4; layer++) {
    uint32_t channels = widths[draw(&b, 7)], kernel = 1 + draw(&b, 3), source = at;
    at = add_conv(&b, at, channels, square(kernel, 1 + (layer == 1), kernel / 2), 1);
    if (draw(&b, 3) == 0) at = add_pool(&b, SNN_LAYER_MAXPOOL, at, square(2, 1, 0));
    if (draw(&b, 3) == 0) at = add_sum(&b, at, add_conv(&b, at, channels, square(1, 1, 0), channels));
    at = add_neurons(&b, at, draw(&b, 2) ? 1 : channels, 0.2f, 1.5f);
    if (draw(&b, 4) == 0) at = add_pool(&b, SNN_LAYER_MAXPOOL, at, square(3, 1, 1));
    if (draw(&b, 4) == 0) at = add_pool(&b, SNN_LAYER_AVGPOOL, at, square(2, 1, draw(&b, 2)));
    if (draw(&b, 3) == 0 && channels == b.net->nodes[source].shape.c) at = add_neurons(&b, at, 1, 0.3f, 0.6f);
  }
  add_dense(&b, at, 3 + 67 * draw(&b, 2));
  finish(&b);
  return b;
}

static inline float *random_images(builder *b, size_t n) {
  return random_floats(b, n * snn_shape_size(b->net->nodes[0].shape), -1, 2);
}

static inline void round_to(float *x, size_t n, float unit) {
  for (size_t i = 0; i < n; i++) x[i] = roundf(x[i] / unit) * unit;
}

/* Weights and biases to multiples of 1/16, thresholds to powers of two: with inputs that are multiples of 1/4 every sum
 * of a run of some dozens of steps is exact, so answers computed in another order or precision are the same numbers. */
static inline void make_dyadic(builder *b) {
  for (uint32_t i = 0; i < b->net->n_nodes; i++) {
    snn_node *n = &b->net->nodes[i];
    if (n->kind == SNN_LAYER_CONV) {
      const snn_window *w = &n->conv.window;
      size_t fan_in = (size_t)w->kernel_h * w->kernel_w * (b->net->nodes[n->inputs[0]].shape.c / n->conv.groups);
      round_to((float *)(uintptr_t)n->conv.weights, fan_in * n->shape.c, 0.0625f);
      round_to((float *)(uintptr_t)n->conv.bias, n->shape.c, 0.0625f);
    } else if (n->kind == SNN_LAYER_NEURON) {
      float *theta = (float *)(uintptr_t)n->neurons.theta;
      for (uint32_t k = 0; k < n->neurons.n; k++) theta[k] = exp2f(roundf(log2f(theta[k])));
    }
  }
}

/* Convolutions, pools before and behind neurons, a sum of two branches, thresholds of layers and of channels around
 * `theta`. */
static inline builder small_network(uint64_t number, float theta) {
  builder b = begin(number, 1 + (uint32_t)(number % 2), 6, 6);
  uint32_t channels = number % 3 ? 5 : 66;
  uint32_t at = add_conv(&b, 0, channels, square(3, 1, 1), 1);
  if (draw(&b, 2)) at = add_pool(&b, SNN_LAYER_MAXPOOL, at, square(2, 1, 0));
  uint32_t first = at = add_neurons(&b, at, channels, theta, 2 * theta);
  at = add_conv(&b, at, channels, square(3, 1, 1), 1);
  if (draw(&b, 2)) at = add_sum(&b, at, first);
  at = add_neurons(&b, at, 1, theta, theta);
  at = add_pool(&b, draw(&b, 2) ? SNN_LAYER_MAXPOOL : SNN_LAYER_AVGPOOL, at, square(2, 2, 0));
  at = add_neurons(&b, add_conv(&b, at, 4, square(2, 1, 0), 1), 4, theta / 2, theta);
  add_dense(&b, at, 3);
  finish(&b);
  return b;
}

static inline builder dyadic_network(uint64_t number, float theta) {
  builder b = small_network(number, theta);
  make_dyadic(&b);
  return b;
}

static inline float *dyadic_images(builder *b, size_t n) {
  float *images = random_images(b, n);
  round_to(images, n * snn_shape_size(b->net->nodes[0].shape), 0.25f);
  return images;
}

#endif
