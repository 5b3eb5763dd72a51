/* Small networks for tests, a layer a call. Weights are pseudo-random and lie in the network's arena; every function
 * returns the new layer's index and fails the test when the graph refuses it. */
#ifndef TESTS_UNIT_BUILD_H
#define TESTS_UNIT_BUILD_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/graph.h"

typedef struct builder {
  snn_network *net;
  uint64_t seed;
  const char *next_name; /* for the next layer; NULL: made from its place */
} builder;

/* How many of n random networks a test takes: a quarter where every step is checked or counted (asan, tsan, cov), which
 * takes ten times as long. The whole of them run in release. */
#ifndef CASES_SHARE
#define CASES_SHARE 1
#endif
static inline uint32_t cases(uint32_t n) {
  return (n + CASES_SHARE - 1) / CASES_SHARE;
}

/* Uniform in [0, n), from an xorshift generator. */
static inline uint32_t draw(builder *b, uint32_t n) {
  b->seed ^= b->seed << 13;
  b->seed ^= b->seed >> 7;
  b->seed ^= b->seed << 17;
  return (uint32_t)((b->seed >> 16) % n);
}

static inline float uniform(builder *b, float low, float high) {
  return low + (high - low) * (float)draw(b, 1 << 20) / (float)(1 << 20);
}

static inline float *random_floats(builder *b, size_t n, float low, float high) {
  float *x = snn_arena_alloc(&b->net->arena, n, sizeof *x);
  assert_non_null(x);
  for (size_t i = 0; i < n; i++) x[i] = uniform(b, low, high);
  return x;
}

static inline uint32_t append(builder *b, snn_node node, uint32_t n_inputs, const uint32_t *inputs) {
  char name[32];
  snn_error err = {0};
  uint32_t index = 0;
  snprintf(name, sizeof name, "layer%u", b->net->n_nodes);
  node.name = b->next_name ? b->next_name : name;
  b->next_name = NULL;
  node.n_inputs = n_inputs;
  node.inputs = inputs;
  if (snn_graph_add(b->net, &node, &index, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return index;
}

static inline builder begin(uint64_t seed, uint32_t c, uint32_t h, uint32_t w) {
  builder b = {.net = snn_network_new(), .seed = seed * 0x9e3779b97f4a7c15u + 1};
  assert_non_null(b.net);
  append(&b, (snn_node){.kind = SNN_LAYER_INPUT, .shape = {c, h, w}}, 0, NULL);
  return b;
}

/* A square window with the same pads all around. */
static inline snn_window square(uint32_t kernel, uint32_t stride, uint32_t pad) {
  return (snn_window){kernel, kernel, stride, stride, pad, pad, pad, pad, 1, 1};
}

static inline uint32_t add_conv(builder *b, uint32_t source, uint32_t channels, snn_window w, uint32_t groups) {
  uint32_t in = b->net->nodes[source].shape.c;
  size_t fan_in = (size_t)w.kernel_h * w.kernel_w * (in / groups);
  float spread = 2.0f / sqrtf((float)fan_in);
  snn_conv conv = {.window = w, .groups = groups};
  conv.weights = random_floats(b, fan_in * channels, -spread, spread * 1.2f);
  conv.bias = random_floats(b, channels, -0.2f, 0.3f);
  return append(b, (snn_node){.kind = SNN_LAYER_CONV, .shape = {channels, 0, 0}, .conv = conv}, 1, &source);
}

/* A fully connected layer over the whole map. */
static inline uint32_t add_dense(builder *b, uint32_t source, uint32_t classes) {
  snn_shape s = b->net->nodes[source].shape;
  return add_conv(b, source, classes, (snn_window){s.h, s.w, 1, 1, 0, 0, 0, 0, 1, 1}, 1);
}

/* Per-channel scale and offset, as BatchNormalization is imported. */
static inline uint32_t add_affine(builder *b, uint32_t source) {
  uint32_t channels = b->net->nodes[source].shape.c;
  return add_conv(b, source, channels, square(1, 1, 0), channels);
}

static inline uint32_t add_pool(builder *b, snn_layer_kind kind, uint32_t source, snn_window w) {
  return append(b, (snn_node){.kind = kind, .pool = {.window = w}}, 1, &source);
}

static inline uint32_t add_sum(builder *b, uint32_t first, uint32_t second) {
  const uint32_t inputs[] = {first, second};
  return append(b, (snn_node){.kind = SNN_LAYER_ADD}, 2, inputs);
}

/* n thresholds between low and high; n = 0: none yet. */
static inline uint32_t add_neurons(builder *b, uint32_t source, uint32_t n, float low, float high) {
  snn_neurons p = {.clip = INFINITY, .n = n};
  if (n) p.theta = p.fire = p.amplitude = random_floats(b, n, low, high);
  return append(b, (snn_node){.kind = SNN_LAYER_NEURON, .neurons = p}, 1, &source);
}

static inline void finish(builder *b) {
  snn_error err = {0};
  if (snn_graph_finish(b->net, true, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
}

/* Image -> 1 * x -> one neuron -> 2 * spike + 0.25. */
static inline builder one_neuron(float theta) {
  builder b = begin(1, 1, 1, 1);
  float *numbers = random_floats(&b, 5, 0, 1);
  memcpy(numbers, (const float[]){1, 0, theta, 2, 0.25f}, 5 * sizeof *numbers);
  snn_node c = {.kind = SNN_LAYER_CONV, .shape = {1, 0, 0}};
  c.conv = (snn_conv){.window = square(1, 1, 0), .groups = 1, .weights = numbers, .bias = numbers + 1};
  uint32_t at = append(&b, c, 1, &(uint32_t){0});
  snn_neurons p = {.clip = INFINITY, .n = 1, .theta = numbers + 2, .fire = numbers + 2, .amplitude = numbers + 2};
  at = append(&b, (snn_node){.kind = SNN_LAYER_NEURON, .neurons = p}, 1, &at);
  c.conv.weights = numbers + 3;
  c.conv.bias = numbers + 4;
  append(&b, c, 1, &at);
  finish(&b);
  return b;
}

#endif
