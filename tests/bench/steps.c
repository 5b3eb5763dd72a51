/* Where dense sums of single steps begin to pay: int8 networks of one convolution whose inputs spike at a given rate,
 * by events, by the dense kernels, and as a session chooses; every table of this machine. Prints a line a layer, table
 * and rate: milliseconds of a picture, the best of some that take turns. What else the network does is the same in all.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "graph/graph.h"
#include "sim/int8.h"
#include "snn/snn.h"

enum { ROUNDS = 9, CHOICES = 3 };

typedef struct layer {
  const char *name;
  uint32_t side, in, out, kernel, pool; /* square maps, stride 1; behind an average of pool x pool unless 1 */
} layer;

static const layer layers[] = {{"3x3, 16 to 16, 32x32", 32, 16, 16, 3, 1},
                               {"3x3, 64 to 64, 16x16", 16, 64, 64, 3, 1},
                               {"3x3, 64 to 64, 16x16 behind 2x2", 32, 64, 64, 3, 2},
                               {"3x3, 256 to 256, 4x4", 4, 256, 256, 3, 1},
                               {"3x3, 512 to 512, 2x2", 2, 512, 512, 3, 1},
                               {"dense, 512 to 512", 1, 512, 512, 1, 1}};

static uint32_t draw(void) {
  static uint32_t state = 97531;
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

static float uniform(void) {
  return (float)(draw() >> 8) / (1 << 24);
}

static uint32_t append(snn_network *net, snn_node node, uint32_t source) {
  char name[16];
  snn_error err = {0};
  uint32_t index = 0;
  snprintf(name, sizeof name, "n%u", net->n_nodes);
  node.name = name;
  node.inputs = &source;
  node.n_inputs = node.kind != SNN_LAYER_INPUT;
  if (snn_graph_add(net, &node, &index, &err) != SNN_OK) exit(fprintf(stderr, "%s: %s\n", err.where, err.text));
  return index;
}

static uint32_t convolve(snn_network *net, uint32_t source, uint32_t out, snn_window w, uint32_t groups, bool is_one) {
  const size_t rows = (size_t)w.kernel_h * w.kernel_w * net->nodes[source].shape.c / groups;
  float *weights = snn_arena_alloc(&net->arena, rows * out, sizeof *weights);
  for (size_t i = 0; weights && i < rows * out; i++) weights[i] = is_one ? 1 : uniform() - 0.5f;
  snn_conv conv = {.window = w, .groups = groups, .weights = weights};
  conv.bias = snn_arena_alloc(&net->arena, out, sizeof *conv.bias);
  return append(net, (snn_node){.kind = SNN_LAYER_CONV, .shape = {out, 0, 0}, .conv = conv}, source);
}

static uint32_t fire(snn_network *net, uint32_t source, float theta) {
  float *numbers = snn_arena_alloc(&net->arena, 1, sizeof *numbers);
  *numbers = theta;
  const snn_neurons p = {.clip = INFINITY, .n = 1, .theta = numbers, .fire = numbers, .amplitude = numbers};
  return append(net, (snn_node){.kind = SNN_LAYER_NEURON, .neurons = p}, source);
}

/* Of an image, which has 64 planes at most: some channels share one. */
static uint32_t pixels(const layer *l) {
  return l->in < 64 ? l->in : 64;
}

/* Neurons that take a pixel each, the layer, neurons that stay silent. */
static snn_network *network(const layer *l) {
  snn_network *net = snn_network_new();
  snn_error err = {0};
  const snn_window one = {1, 1, 1, 1, 0, 0, 0, 0, 1, 1};
  const uint32_t pad = l->kernel / 2;
  const uint32_t planes = pixels(l);
  append(net, (snn_node){.kind = SNN_LAYER_INPUT, .shape = {planes, l->side, l->side}}, 0);
  uint32_t at = fire(net, convolve(net, 0, l->in, one, planes, true), 1);
  if (l->pool > 1) {
    const snn_window w = {l->pool, l->pool, l->pool, l->pool, 0, 0, 0, 0, 1, 1};
    at = append(net, (snn_node){.kind = SNN_LAYER_AVGPOOL, .pool = {.window = w}}, at);
  }
  at = convolve(net, at, l->out, (snn_window){l->kernel, l->kernel, 1, 1, pad, pad, pad, pad, 1, 1}, 1, false);
  at = fire(net, at, 4000);
  const uint32_t side = net->nodes[at].shape.h;
  convolve(net, at, 2, (snn_window){side, side, 1, 1, 0, 0, 0, 0, 1, 1}, 1, false);
  if (snn_graph_finish(net, true, &err) != SNN_OK) exit(fprintf(stderr, "%s: %s\n", err.where, err.text));
  return net;
}

static void measure(const layer *l, snn_session *s, unsigned table, uint32_t timesteps, uint32_t percent) {
  snn_int8_sim *sim = snn_session_int8(s);
  const size_t n = (size_t)l->side * l->side * pixels(l);
  float *image = malloc(n * sizeof *image), scores[2], want[2] = {0};
  double best[CHOICES] = {INFINITY, INFINITY, INFINITY};
  const snn_run_options o = {
      .timesteps = timesteps, .tau = 0.5f, .init = SNN_INIT_HALF, .precision = SNN_PRECISION_INT8};
  for (size_t i = 0; i < n; i++) image[i] = (float)percent / 100 + (uniform() - 0.5f) * 0.2f;
  sim->kernels = snn_int8_kernels_available(table);
  sim->whole.kernels = snn_dense_kernels_available(table);
  for (int round = 0; round < ROUNDS; round++)
    for (int choice = 0; choice < CHOICES; choice++) {
      sim->choice = (snn_int8_choice)choice;
      double ms = 0;
      for (int warm = 0; warm < 2; warm++) { /* the first finds the weights of another way in the caches */
        const uint64_t begin = snn_clock_ns();
        if (snn_session_run(s, image, 1, &o, scores, NULL, NULL) != SNN_OK) exit(1);
        ms = (double)(snn_clock_ns() - begin) / 1e6;
      }
      if (round && ms < best[choice]) best[choice] = ms;
      if (!round && !choice) want[0] = scores[0], want[1] = scores[1];
      if (scores[0] != want[0] || scores[1] != want[1]) exit(fprintf(stderr, "other scores\n"));
    }
  printf(
      "{\"table\": \"%s\", \"layer\": \"%s\", \"timesteps\": %u, \"rate\": %g, \"events_ms\": %.3f, \"dense_ms\": "
      "%.3f, \"chosen_ms\": %.3f}\n",
      sim->kernels->name, l->name, timesteps, percent / 100.0, best[SNN_INT8_EVENTS], best[SNN_INT8_DENSE],
      best[SNN_INT8_BEST]);
  free(image);
}

int main(void) {
  static const uint32_t rates[] = {10, 20, 30, 40, 50, 70, 100}, timesteps[] = {8, 32};
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
    snn_network *net = network(&layers[i]);
    snn_session *s = NULL;
    snn_error err = {0};
    if (snn_session_create(net, &(snn_session_options){.threads = 1}, &s, &err) != SNN_OK)
      return fprintf(stderr, "%s\n", err.text), 1;
    for (unsigned table = 0; snn_int8_kernels_available(table) != &snn_int8_scalar; table++)
      for (size_t t = 0; t < sizeof timesteps / sizeof *timesteps; t++)
        for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) measure(&layers[i], s, table, timesteps[t], rates[r]);
    snn_session_free(s);
    snn_network_free(net);
  }
  return 0;
}
