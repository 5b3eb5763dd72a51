/* Networks whose weights, thresholds and biases are whole numbers of the units that int8 chooses, over every kind of
 * layer that int8 takes: there it does not round. */
#ifndef TESTS_UNIT_WHOLE_H
#define TESTS_UNIT_WHOLE_H

#include "run.h"

#include "sim/int8_model.h"

/* What one event of a channel of node i is worth; 0: it sends none. */
static inline float worth_of(const builder *b, uint32_t i, uint32_t channel) {
  const snn_node *n = &b->net->nodes[i];
  if (n->kind == SNN_LAYER_NEURON) return n->neurons.amplitude[n->neurons.n == 1 ? 0 : channel];
  if (n->kind == SNN_LAYER_MAXPOOL) return worth_of(b, n->inputs[0], channel);
  if (n->kind == SNN_LAYER_AVGPOOL)
    return worth_of(b, n->inputs[0], channel) / (float)(n->pool.window.kernel_h * n->pool.window.kernel_w);
  if (n->kind == SNN_LAYER_SLICE) {
    uint32_t from = channel - n->slice.pad[0] + n->slice.start[0];
    return channel < n->slice.pad[0] || from >= b->net->nodes[n->inputs[0]].shape.c ? 1
                                                                                    : worth_of(b, n->inputs[0], from);
  }
  if (n->kind == SNN_LAYER_CONCAT)
    for (uint32_t k = 0; k < n->n_inputs; k++) {
      uint32_t channels = b->net->nodes[n->inputs[k]].shape.c;
      if (channel < channels) return worth_of(b, n->inputs[k], channel);
      channel -= channels;
    }
  return 0;
}

/* Weights of a convolution of spikes to whole numbers up to 127 of 2^-7 (one of them 127, or the unit would be
 * another), divided by what a spike is worth; others to dyadic numbers. */
static inline void make_whole(builder *b, uint32_t node) {
  const snn_node *n = &b->net->nodes[node];
  const snn_window *w = &n->conv.window;
  uint32_t source = n->inputs[0], out_c = n->shape.c, group_in = b->net->nodes[source].shape.c / n->conv.groups;
  size_t rows = (size_t)w->kernel_h * w->kernel_w * group_in;
  float *weights = (float *)(uintptr_t)n->conv.weights, *bias = (float *)(uintptr_t)n->conv.bias;
  for (uint32_t o = 0; o < out_c; o++) {
    bias[o] = roundf(bias[o] * 16) / 16;
    for (size_t row = 0; row < rows; row++) {
      float *x = &weights[row * out_c + o];
      float worth = worth_of(b, source, o / (out_c / n->conv.groups) * group_in + (uint32_t)(row % group_in));
      float q = row == group_in / 2 ? SNN_INT8_MOST : roundf(fminf(fmaxf(*x * 128, -SNN_INT8_MOST), SNN_INT8_MOST));
      *x = worth > 0 ? q / 128 / worth : roundf(*x * 16) / 16;
    }
  }
}

static inline void make_all_whole(builder *b) {
  make_dyadic(b);
  for (uint32_t i = 0; i < b->net->n_nodes; i++)
    if (b->net->nodes[i].kind == SNN_LAYER_CONV) make_whole(b, i);
}

static inline uint32_t add_slice(builder *b, uint32_t source, uint32_t channels, uint32_t pad) {
  snn_shape s = b->net->nodes[source].shape;
  snn_slice slice = {.pad = {pad, 0, 0}, .step = {2, 2}};
  snn_node node = {.kind = SNN_LAYER_SLICE, .shape = {channels, (s.h + 1) / 2, (s.w + 1) / 2}, .slice = slice};
  return append(b, node, 1, &source);
}

static inline uint32_t add_concat(builder *b, uint32_t first, uint32_t second) {
  const uint32_t inputs[] = {first, second};
  return append(b, (snn_node){.kind = SNN_LAYER_CONCAT}, 2, inputs);
}

/* Every kind of layer that int8 takes, in widths around the 64 lanes of a group. */
static inline builder whole_network(uint64_t number) {
  static const uint32_t widths[] = {1, 3, 8, 16, 21, 32, 33, 63, 64, 65, 130, 270};
  const uint32_t channels = widths[number % 12], other = widths[number / 12 % 6];
  builder b = begin(number, 1 + (uint32_t)(number % 3), 14, 14 + (uint32_t)(number % 5));
  uint32_t at = add_conv(&b, 0, channels, square(3, 1, 1), 1), first;
  if (draw(&b, 3) == 0) at = add_pool(&b, SNN_LAYER_MAXPOOL, at, square(2, 1, 0));
  first = at = add_neurons(&b, at, draw(&b, 2) ? 1 : channels, 1, 2);
  at = add_conv(&b, at, channels, square(3, 1, 1), 1);
  switch (draw(&b, 6)) {
    case 0: at = add_sum(&b, at, first); break;
    case 1: at = add_sum(&b, at, add_conv(&b, first, channels, square(1, 1, 0), draw(&b, 2) ? channels : 1)); break;
    case 2: at = add_pool(&b, SNN_LAYER_MAXPOOL, at, square(2, 2, 0)); break;
    case 3: at = add_pool(&b, SNN_LAYER_MAXPOOL, add_sum(&b, at, first), square(3, 1, 1)); break;
    default: break;
  }
  at = add_neurons(&b, at, draw(&b, 2) ? 1 : channels, 0.5f, 2);
  switch (draw(&b, 7)) {
    case 0: at = add_pool(&b, SNN_LAYER_AVGPOOL, at, square(2, 2, 0)); break;
    case 1: at = add_pool(&b, SNN_LAYER_MAXPOOL, at, square(2, 1, 1)); break;
    case 2: at = add_slice(&b, at, channels + 5, channels == 1 ? 3 : 2); break;
    case 3: at = add_concat(&b, at, add_neurons(&b, at, 1, 0.5f, 1)); break;
    case 4: at = add_concat(&b, at, add_pool(&b, SNN_LAYER_AVGPOOL, at, square(1, 1, 0))); break;
    case 5: at = add_neurons(&b, add_pool(&b, SNN_LAYER_AVGPOOL, at, square(2, 1, 0)), 1, 0.5f, 1); break;
    default: break;
  }
  snn_window w = {.kernel_h = 2,
                  .kernel_w = 3,
                  .stride_h = 1,
                  .stride_w = 1 + draw(&b, 3),
                  .dilation_h = 1 + draw(&b, 2),
                  .dilation_w = 1,
                  .pad_top = 1,
                  .pad_left = draw(&b, 3),
                  .pad_bottom = 1,
                  .pad_right = 1};
  if (draw(&b, 4) == 0) w.dilation_w = 2, w.pad_right = 3;
  at = add_neurons(&b, add_conv(&b, at, other, w, 1), other, 1, 2);
  if (draw(&b, 3) == 0) at = add_pool(&b, SNN_LAYER_AVGPOOL, at, square(2, 1, 0));
  add_dense(&b, at, 3 + 67 * draw(&b, 2));
  finish(&b);
  make_all_whole(&b);
  return b;
}

static inline snn_run_options options_for(snn_neuron neuron, snn_precision precision) {
  return (snn_run_options){
      .timesteps = 8, .neuron = neuron, .tau = 0.5f, .init = SNN_INIT_HALF, .precision = precision};
}

#endif
