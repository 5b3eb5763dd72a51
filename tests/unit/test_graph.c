/* The gate that every network passes: each refusal of graph.c, window arithmetic, what accessors tell. */
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

static const float ones[4096] = {[0 ... 4095] = 1.0f};
static const float with_nan[16] = {1, 1, 1, NAN};
static const float with_inf[16] = {1, INFINITY};
static const float with_zero[16] = {1, 0};
static const float negative[16] = {-1};
static const uint32_t first_two[] = {0, 1}, zero_zero[64 + 1] = {0}, forward[] = {9};

/* ---- nodes ---- */

static snn_node input(uint32_t c, uint32_t h, uint32_t w) {
  return (snn_node){.name = "in", .kind = SNN_LAYER_INPUT, .shape = {c, h, w}};
}

static snn_window window(uint32_t kernel, uint32_t stride) {
  return (snn_window){
      .kernel_h = kernel, .kernel_w = kernel, .stride_h = stride, .stride_w = stride, .dilation_h = 1, .dilation_w = 1};
}

static snn_node conv(const char *name, uint32_t channels, uint32_t kernel) {
  return (snn_node){.name = name,
                    .kind = SNN_LAYER_CONV,
                    .n_inputs = 1,
                    .inputs = zero_zero,
                    .shape = {channels, 0, 0},
                    .conv = {.window = window(kernel, 1), .groups = 1, .weights = ones, .bias = ones}};
}

static snn_node pool(snn_layer_kind kind, uint32_t kernel) {
  return (snn_node){
      .name = "pool", .kind = kind, .n_inputs = 1, .inputs = zero_zero, .pool = {.window = window(kernel, kernel)}};
}

static snn_node neurons(uint32_t n, const float *theta) {
  return (snn_node){.name = "act",
                    .kind = SNN_LAYER_NEURON,
                    .n_inputs = 1,
                    .inputs = zero_zero,
                    .neurons = {.clip = INFINITY, .n = n, .theta = theta, .fire = theta, .amplitude = theta}};
}

static snn_node sum(uint32_t n, const uint32_t *inputs) {
  return (snn_node){.name = "sum", .kind = SNN_LAYER_ADD, .n_inputs = n, .inputs = inputs};
}

static snn_node joined(uint32_t n, const uint32_t *inputs) {
  return (snn_node){.name = "joined", .kind = SNN_LAYER_CONCAT, .n_inputs = n, .inputs = inputs};
}

static snn_node slice(uint32_t c, uint32_t h, uint32_t w) {
  return (snn_node){.name = "slice",
                    .kind = SNN_LAYER_SLICE,
                    .n_inputs = 1,
                    .inputs = zero_zero,
                    .shape = {c, h, w},
                    .slice = {.step = {1, 1}}};
}

static snn_network *network_of(uint32_t c, uint32_t h, uint32_t w) {
  snn_network *net = snn_network_new();
  snn_node in = input(c, h, w);
  assert_non_null(net);
  assert_int_equal(snn_graph_add(net, &in, NULL, NULL), SNN_OK);
  return net;
}

/* The node is refused with this status, its own name (or none for a name that is at fault) and this word. */
static void refuse(snn_network *net, snn_node node, snn_status status, const char *word) {
  snn_error err = {0};
  uint32_t index = 77, before = net->n_nodes;
  snn_status got = snn_graph_add(net, &node, &index, &err);
  if (got != status || err.status != status || !strstr(err.text, word))
    fail_msg("'%s' expected: got status %s, '%s'", word, snn_status_name(got), err.text);
  if (node.name && *err.where) assert_string_equal(err.where, node.name);
  assert_int_equal(index, 77);
  assert_int_equal(net->n_nodes, before);
}

static void accept(snn_network *net, snn_node node, uint32_t c, uint32_t h, uint32_t w) {
  snn_error err = {0};
  uint32_t index = 0;
  if (snn_graph_add(net, &node, &index, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  assert_int_equal(index, net->n_nodes - 1);
  snn_shape s = net->nodes[index].shape;
  if (s.c != c || s.h != h || s.w != w) fail_msg("shape %ux%ux%u, not %ux%ux%u", s.c, s.h, s.w, c, h, w);
}

/* ---- refusals ---- */

static void test_input_refused(void **state) {
  (void)state;
  snn_network *net = snn_network_new();
  refuse(net, input(0, 4, 4), SNN_ERR_FORMAT, "extent");
  refuse(net, input(1, 0, 4), SNN_ERR_FORMAT, "extent");
  refuse(net, input(1, 4, 0), SNN_ERR_FORMAT, "extent");
  refuse(net, input(1, SNN_MAX_DIMENSION + 1, 1), SNN_ERR_TOO_LARGE, "limit");
  refuse(net, input(1, 1, SNN_MAX_DIMENSION + 1), SNN_ERR_TOO_LARGE, "limit");
  refuse(net, input(SNN_MAX_DIMENSION + 1, 1, 1), SNN_ERR_TOO_LARGE, "limit");
  refuse(net, input(1, SNN_MAX_DIMENSION, SNN_MAX_DIMENSION), SNN_ERR_TOO_LARGE, "limit");
  refuse(net, input(SNN_MAX_CHANNELS_IN + 1, 2, 1), SNN_ERR_UNSUPPORTED, "channels");
  refuse(net, conv("c", 1, 1), SNN_ERR_FORMAT, "layer 0");
  snn_node with_inputs = input(1, 1, 1);
  with_inputs.n_inputs = 1;
  with_inputs.inputs = zero_zero;
  refuse(net, with_inputs, SNN_ERR_FORMAT, "inputs");
  accept(net, input(SNN_MAX_CHANNELS_IN + 1, 1, 1), SNN_MAX_CHANNELS_IN + 1, 1, 1); /* a long vector is fine */
  snn_node second = input(1, 1, 1);
  second.name = "in2";
  refuse(net, second, SNN_ERR_FORMAT, "layer 0");
  snn_network_free(net);
}

static void test_names_refused(void **state) {
  (void)state;
  static char longest[SNN_MAX_NAME + 1];
  memset(longest, 'x', SNN_MAX_NAME);
  snn_network *net = network_of(2, 4, 4);
  refuse(net, conv(NULL, 1, 1), SNN_ERR_FORMAT, "name");
  refuse(net, conv("", 1, 1), SNN_ERR_FORMAT, "name");
  refuse(net, conv(longest, 1, 1), SNN_ERR_FORMAT, "name");
  refuse(net, conv("in", 1, 1), SNN_ERR_FORMAT, "two layers");
  longest[SNN_MAX_NAME - 1] = 0;
  accept(net, conv(longest, 2, 1), 2, 4, 4);
  snn_node act = neurons(1, ones);
  act.name = "in"; /* neurons may share the name of another kind of layer */
  accept(net, act, 2, 4, 4);
  refuse(net, act, SNN_ERR_FORMAT, "two layers");
  snn_network_free(net);
}

static void test_inputs_refused(void **state) {
  (void)state;
  snn_network *net = network_of(2, 4, 4);
  snn_node n = conv("c", 1, 1);
  n.kind = SNN_LAYER_KIND_COUNT;
  refuse(net, n, SNN_ERR_FORMAT, "kind");
  n = conv("c", 1, 1);
  n.inputs = forward;
  refuse(net, n, SNN_ERR_FORMAT, "precede");
  n.inputs = &(uint32_t){1}; /* itself */
  refuse(net, n, SNN_ERR_FORMAT, "precede");
  n.inputs = zero_zero;
  n.n_inputs = 0;
  refuse(net, n, SNN_ERR_FORMAT, "inputs");
  n.n_inputs = 2;
  refuse(net, n, SNN_ERR_FORMAT, "inputs");
  refuse(net, sum(1, zero_zero), SNN_ERR_FORMAT, "inputs");
  refuse(net, sum(SNN_MAX_NODE_INPUTS + 1, zero_zero), SNN_ERR_FORMAT, "inputs");
  accept(net, conv("c", 3, 1), 3, 4, 4);
  refuse(net, sum(2, first_two), SNN_ERR_FORMAT, "different shapes");
  accept(net, sum(SNN_MAX_NODE_INPUTS, zero_zero), 2, 4, 4);
  snn_network_free(net);
}

static void test_convolutions_refused(void **state) {
  (void)state;
  snn_network *net = network_of(4, 6, 5);
  for (int field = 0; field < 6; field++)
    for (int large = 0; large < 2; large++) {
      snn_node n = conv("c", 1, 1);
      snn_window *w = &n.conv.window;
      uint32_t *const fields[] = {&w->kernel_h, &w->kernel_w,   &w->stride_h,
                                  &w->stride_w, &w->dilation_h, &w->dilation_w};
      *fields[field] = large ? SNN_MAX_DIMENSION + 1 : 0;
      refuse(net, n, SNN_ERR_FORMAT, "kernel, stride and dilation");
    }
  for (int field = 0; field < 4; field++) {
    snn_node n = conv("c", 1, 1);
    snn_window *w = &n.conv.window;
    uint32_t *const fields[] = {&w->pad_top, &w->pad_left, &w->pad_bottom, &w->pad_right};
    *fields[field] = SNN_MAX_DIMENSION + 1;
    refuse(net, n, SNN_ERR_FORMAT, "padding");
  }
  refuse(net, conv("c", 1, 6), SNN_ERR_FORMAT, "does not fit"); /* too wide, not too high */
  snn_node n = conv("c", 1, 2);
  n.conv.window.dilation_h = 6;
  refuse(net, n, SNN_ERR_FORMAT, "does not fit");
  const struct { uint32_t groups, out; } uneven[] = {{0, 4}, {3, 3}, {2, 3}, {8, 8}};
  for (size_t i = 0; i < sizeof uneven / sizeof *uneven; i++) {
    n = conv("c", uneven[i].out, 1);
    n.conv.groups = uneven[i].groups;
    refuse(net, n, SNN_ERR_FORMAT, "groups");
  }
  refuse(net, conv("c", 0, 1), SNN_ERR_FORMAT, "output channels");
  refuse(net, conv("c", SNN_MAX_DIMENSION + 1, 1), SNN_ERR_FORMAT, "output channels");
  n = conv("c", 1, 1);
  n.conv.weights = NULL;
  refuse(net, n, SNN_ERR_FORMAT, "no weights");
  n = conv("c", 1, 1);
  n.conv.bias = NULL;
  refuse(net, n, SNN_ERR_FORMAT, "no bias");
  n = conv("c", 1, 1);
  n.conv.weights = with_nan; /* the fourth and last of them */
  refuse(net, n, SNN_ERR_FORMAT, "not finite");
  n = conv("c", 2, 1);
  n.conv.bias = with_inf;
  refuse(net, n, SNN_ERR_FORMAT, "not finite");
  n = conv("c", SNN_MAX_DIMENSION, 3000); /* checked before the weights are looked at */
  n.conv.window.pad_top = n.conv.window.pad_left = 3000;
  refuse(net, n, SNN_ERR_TOO_LARGE, "weights");
  n = conv("c", 4000, 1); /* 4000 channels of a padded map of 400 x 400 */
  n.conv.groups = 1;
  n.conv.window.pad_top = n.conv.window.pad_left = 400;
  n.conv.weights = calloc(16000, sizeof(float));
  refuse(net, n, SNN_ERR_TOO_LARGE, "elements");
  free((void *)(uintptr_t)n.conv.weights);
  snn_network_free(net);
}

static void test_pools_refused(void **state) {
  (void)state;
  snn_network *net = network_of(2, 4, 5);
  for (int kind = SNN_LAYER_AVGPOOL; kind <= SNN_LAYER_MAXPOOL; kind++) {
    refuse(net, pool((snn_layer_kind)kind, 5), SNN_ERR_FORMAT, "does not fit");
    for (int field = 0; field < 4; field++) { /* a window that lies in the padding alone would have no value */
      snn_node n = pool((snn_layer_kind)kind, 2);
      snn_window *w = &n.pool.window;
      uint32_t *const fields[] = {&w->pad_top, &w->pad_left, &w->pad_bottom, &w->pad_right};
      *fields[field] = 2;
      refuse(net, n, SNN_ERR_FORMAT, "smaller than the window");
    }
    snn_node n = pool((snn_layer_kind)kind, 2); /* taps at -1 and 4 of 4 rows, then at 0 and 5 */
    n.pool.window = (snn_window){2, 1, 1, 1, 1, 0, 1, 0, 5, 1};
    refuse(net, n, SNN_ERR_FORMAT, "outside");
    n.pool.window = (snn_window){1, 2, 1, 1, 0, 1, 0, 1, 1, 6}; /* -1 and 5 of 5 columns */
    refuse(net, n, SNN_ERR_FORMAT, "outside");
    n.pool.window = (snn_window){3, 1, 1, 1, 2, 0, 2, 0, 2, 1}; /* -2, 0, 2: the middle tap is inside */
    n.name = kind == SNN_LAYER_AVGPOOL ? "average" : "maximum";
    accept(net, n, 2, 4, 5);
    n.name = "huge"; /* 65536 * 65536 taps: their number does not fit 32 bits */
    n.pool.window = window(SNN_MAX_DIMENSION, 1);
    n.pool.window.pad_top = n.pool.window.pad_left = SNN_MAX_DIMENSION - 1;
    n.pool.window.stride_h = n.pool.window.stride_w = SNN_MAX_DIMENSION;
    refuse(net, n, SNN_ERR_TOO_LARGE, "taps");
  }
  snn_network_free(net);
}

static void test_concatenations_refused(void **state) {
  (void)state;
  snn_network *net = network_of(2, 4, 5);
  refuse(net, joined(1, zero_zero), SNN_ERR_FORMAT, "inputs");
  refuse(net, joined(SNN_MAX_NODE_INPUTS + 1, zero_zero), SNN_ERR_FORMAT, "inputs");
  refuse(net, joined(2, first_two), SNN_ERR_FORMAT, "precede");
  snn_node n = conv("c", 3, 1);
  accept(net, n, 3, 4, 5);
  accept(net, joined(2, first_two), 5, 4, 5);
  n = joined(SNN_MAX_NODE_INPUTS, zero_zero);
  n.name = "most";
  accept(net, n, 2 * SNN_MAX_NODE_INPUTS, 4, 5);
  snn_network_free(net);
  for (int axis = 0; axis < 2; axis++) { /* rows, then columns that differ */
    net = network_of(2, 4, 5);
    n = conv("c", 3, 1);
    *(axis ? &n.conv.window.stride_w : &n.conv.window.stride_h) = 2;
    accept(net, n, 3, axis ? 4 : 2, axis ? 3 : 5);
    refuse(net, joined(2, first_two), SNN_ERR_FORMAT, "different shapes");
    snn_network_free(net);
  }
  net = network_of(SNN_MAX_DIMENSION / 2 + 1, 1, 1);
  refuse(net, joined(2, zero_zero), SNN_ERR_TOO_LARGE, "limit");
  snn_network_free(net);
}

static void test_slices_refused(void **state) {
  (void)state;
  static const uint32_t in[3] = {3, 4, 5}, out[3] = {2, 3, 4};
  snn_network *net = network_of(in[0], in[1], in[2]);
  for (int axis = 0; axis < 3; axis++) {
    snn_node n = slice(out[0], out[1], out[2]);
    n.slice.start[axis] = in[axis];
    refuse(net, n, SNN_ERR_FORMAT, "starts at");
    n.slice.start[axis] = in[axis] - 1;
    n.slice.pad[axis] = out[axis];
    refuse(net, n, SNN_ERR_FORMAT, "leave nothing");
    n.slice.pad[axis] = out[axis] - 1;
    n.name = axis == 0 ? "a" : axis == 1 ? "b" : "c";
    accept(net, n, out[0], out[1], out[2]);
  }
  for (int axis = 0; axis < 2; axis++)
    for (int large = 0; large < 2; large++) {
      snn_node n = slice(2, 2, 2);
      n.slice.step[axis] = large ? SNN_MAX_DIMENSION + 1 : 0;
      refuse(net, n, SNN_ERR_FORMAT, "steps");
    }
  refuse(net, slice(0, 2, 2), SNN_ERR_FORMAT, "leave nothing");
  refuse(net, slice(SNN_MAX_DIMENSION + 1, 2, 2), SNN_ERR_TOO_LARGE, "limit");
  refuse(net, slice(1, SNN_MAX_DIMENSION, SNN_MAX_DIMENSION), SNN_ERR_TOO_LARGE, "limit");
  snn_node n = slice(2, 2, 2);
  n.n_inputs = 2;
  refuse(net, n, SNN_ERR_FORMAT, "inputs");
  accept(net, slice(9, 8, 7), 9, 8, 7); /* zeros behind the input */
  snn_network_free(net);
}

static void test_neurons_refused(void **state) {
  (void)state;
  snn_network *net = network_of(3, 2, 2);
  const float clips[] = {0, -1, NAN};
  for (size_t i = 0; i < 3; i++) {
    snn_node n = neurons(1, ones);
    n.neurons.clip = clips[i];
    refuse(net, n, SNN_ERR_FORMAT, "clip");
  }
  refuse(net, neurons(2, ones), SNN_ERR_FORMAT, "thresholds for 3 channels");
  refuse(net, neurons(4, ones), SNN_ERR_FORMAT, "thresholds for 3 channels");
  const float *const bad[] = {with_inf, with_zero, negative, NULL};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    for (int field = 0; field < 3; field++) {
      snn_node n = neurons(3, ones);
      const float **const fields[] = {&n.neurons.theta, &n.neurons.fire, &n.neurons.amplitude};
      *fields[field] = bad[i];
      refuse(net, n, SNN_ERR_FORMAT, "finite and > 0");
    }
  snn_node n = neurons(3, ones);
  n.neurons.activation_max = with_inf;
  refuse(net, n, SNN_ERR_FORMAT, "statistic");
  accept(net, neurons(0, NULL), 3, 2, 2);
  snn_network_free(net);
}

static void test_too_many_layers(void **state) {
  (void)state;
  snn_network *net = network_of(1, 1, 1);
  char name[32];
  for (uint32_t i = 1; i < SNN_MAX_NODES; i++) {
    snprintf(name, sizeof name, "c%u", i);
    snn_node n = conv(name, 1, 1);
    assert_int_equal(snn_graph_add(net, &n, NULL, NULL), SNN_OK);
  }
  refuse(net, conv("one more", 1, 1), SNN_ERR_TOO_LARGE, "layers");
  snn_network_free(net);
}

/* ---- the whole ---- */

static void refuse_whole(snn_network *net, bool need_thresholds, snn_status status, const char *where,
                         const char *word) {
  snn_error err = {0};
  snn_status got = snn_graph_finish(net, need_thresholds, &err);
  if (got != status || err.status != status || !strstr(err.text, word) || strcmp(err.where, where) != 0)
    fail_msg("'%s' expected: got status %s, %s: '%s'", word, snn_status_name(got), err.where, err.text);
}

static void test_finish(void **state) {
  (void)state;
  snn_network *net = network_of(2, 2, 2);
  refuse_whole(net, false, SNN_ERR_FORMAT, "", "at least one layer");
  snn_node act = neurons(0, NULL);
  accept(net, act, 2, 2, 2);
  refuse_whole(net, false, SNN_ERR_UNSUPPORTED, "act", "ends in an activation");
  snn_node n = conv("fc", 3, 2);
  n.inputs = &(uint32_t){1};
  accept(net, n, 3, 1, 1);
  assert_int_equal(snn_graph_finish(net, false, NULL), SNN_OK);
  refuse_whole(net, true, SNN_ERR_FORMAT, "act", "no threshold");
  net->nodes[1].neurons = neurons(1, ones).neurons;
  assert_int_equal(snn_graph_finish(net, true, NULL), SNN_OK);

  char *labels[] = {"a", "b"};
  net->labels = labels;
  net->n_labels = 2;
  refuse_whole(net, true, SNN_ERR_FORMAT, "labels", "2 labels for 3 classes");
  net->n_labels = 0;
  const float bad_std[] = {0, -1, NAN, INFINITY};
  for (size_t i = 0; i < 4; i++) {
    net->preprocess.std[1] = bad_std[i];
    refuse_whole(net, true, SNN_ERR_FORMAT, "preprocess", "std");
  }
  net->preprocess.std[1] = 1;
  net->preprocess.mean[0] = NAN;
  refuse_whole(net, true, SNN_ERR_FORMAT, "preprocess", "mean");
  net->preprocess.mean[0] = 0;
  const uint32_t bad_steps[] = {0, SNN_MAX_TIMESTEPS + 1};
  for (size_t i = 0; i < 2; i++) {
    net->recommended.timesteps = bad_steps[i];
    refuse_whole(net, true, SNN_ERR_FORMAT, "recommended", "timesteps");
  }
  net->recommended.timesteps = SNN_MAX_TIMESTEPS;
  assert_int_equal(snn_graph_finish(net, true, NULL), SNN_OK);

  n = conv("other", 1, 2);
  n.inputs = &(uint32_t){1};
  accept(net, n, 1, 1, 1);
  refuse_whole(net, true, SNN_ERR_FORMAT, "fc", "no layer reads it");
  snn_network_free(net);

  net = network_of(2, 3, 3);
  accept(net, conv("map", 2, 2), 2, 2, 2);
  refuse_whole(net, true, SNN_ERR_UNSUPPORTED, "map", "one score per class");
  snn_network_free(net);
}

/* ---- windows, readers, accessors ---- */

static void test_window_output(void **state) {
  (void)state;
  const struct {
    uint32_t in, kernel, stride, dilation, before, after, out; /* out 0: does not fit */
  } cases[] = {{5, 3, 1, 1, 0, 0, 3},
               {5, 3, 1, 1, 1, 1, 5},
               {5, 3, 2, 1, 0, 0, 2},
               {6, 3, 2, 1, 0, 0, 2},
               {6, 3, 2, 1, 0, 1, 3},
               {7, 3, 1, 3, 0, 0, 1},
               {6, 3, 1, 3, 0, 0, 0},
               {6, 3, 1, 3, 1, 0, 1},
               {1, 1, 9, 1, 0, 0, 1},
               {2, 3, 1, 1, 0, 0, 0},
               {2, 3, 5, 1, 2, 2, 1},
               {1, 65536, 65536, 65536, 0, 0, 0},
               {65536, 1, 1, 65536, 65536, 65536, 196608}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (int across = 0; across < 2; across++) { /* the same along rows and columns */
      uint32_t k = cases[i].kernel, s = cases[i].stride, d = cases[i].dilation, h = 0, w = 0;
      snn_window v = window(1, 1);
      if (across)
        v.kernel_w = k, v.stride_w = s, v.dilation_w = d, v.pad_left = cases[i].before, v.pad_right = cases[i].after;
      else
        v.kernel_h = k, v.stride_h = s, v.dilation_h = d, v.pad_top = cases[i].before, v.pad_bottom = cases[i].after;
      bool fits = snn_window_output(&v, across ? 7 : cases[i].in, across ? cases[i].in : 7, &h, &w);
      assert_int_equal(fits, cases[i].out != 0);
      if (fits) assert_int_equal(across ? w : h, cases[i].out);
      if (fits) assert_int_equal(across ? h : w, 7);
    }
}

static void test_consumers_and_copies(void **state) {
  (void)state;
  snn_network *net = network_of(2, 1, 1);
  char name[] = "c";
  uint32_t inputs[] = {0, 1, 1};
  snn_node n = conv(name, 2, 1);
  accept(net, n, 2, 1, 1);
  accept(net, sum(3, inputs), 2, 1, 1);
  name[0] = 'X';
  inputs[1] = 0; /* the network has its own copies */
  assert_string_equal(net->nodes[1].name, "c");
  assert_int_equal(net->nodes[2].inputs[1], 1);
  assert_int_equal(net->nodes[0].n_readers, 2);
  assert_int_equal(net->nodes[1].n_readers, 2);
  assert_int_equal(net->nodes[2].n_readers, 0);
  snn_network_free(net);
}

static void test_accessors(void **state) {
  (void)state;
  snn_network *net = network_of(4, 5, 4);
  snn_node n = conv("c", 6, 3);
  n.conv.groups = 2;
  n.conv.window.stride_h = 2;
  n.conv.window.pad_top = n.conv.window.pad_left = 1;
  accept(net, n, 6, 2, 3);
  n = neurons(1, ones);
  n.inputs = &(uint32_t){1};
  n.neurons.clip = 6;
  accept(net, n, 6, 2, 3);
  n = conv("fc", 3, 1);
  n.inputs = &(uint32_t){2};
  n.conv.window.kernel_h = 2;
  n.conv.window.kernel_w = 3;
  accept(net, n, 3, 1, 1);
  snn_layer_info c = snn_network_layer(net, 1), act = snn_network_layer(net, 2), fc = snn_network_layer(net, 3);
  assert_int_equal(c.parameters, 3 * 3 * 2 * 6 + 6);
  /* rows: outputs 0 and 1 see 2 and 3 of the kernel's; columns: 2, 3, 3; each tap 2 inputs to 6 outputs */
  assert_int_equal(c.macs, (2 + 3) * (2 + 3 + 3) * 2 * 6);
  assert_int_equal(fc.macs, 6 * 6 * 3);
  assert_int_equal(snn_network_macs(net), c.macs + fc.macs);
  assert_int_equal(snn_network_neurons(net), 36);
  assert_int_equal(act.n_threshold, 1);
  assert_true(act.threshold[0] == 1.0f && act.clip == 6.0f && isinf(c.clip));
  assert_null(c.threshold);
  assert_int_equal(act.n_inputs, 1);
  assert_int_equal(act.inputs[0], 1);
  assert_int_equal(snn_network_classes(net), 3);
  assert_int_equal(snn_network_layers(net), 4);
  assert_int_equal(snn_shape_size(snn_network_input(net)), 80);
  assert_null(snn_network_label(net, 0));
  assert_string_equal(snn_network_name(net), "");
  assert_string_equal(snn_network_provenance(net), "{}");
  assert_string_equal(snn_layer_kind_name(SNN_LAYER_MAXPOOL), "maxpool");
  assert_string_equal(snn_layer_kind_name(SNN_LAYER_KIND_COUNT), "unknown");
  snn_network_free(net);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_input_refused),   cmocka_unit_test(test_names_refused),
      cmocka_unit_test(test_inputs_refused),  cmocka_unit_test(test_convolutions_refused),
      cmocka_unit_test(test_pools_refused),   cmocka_unit_test(test_neurons_refused),
      cmocka_unit_test(test_too_many_layers), cmocka_unit_test(test_finish),
      cmocka_unit_test(test_window_output),   cmocka_unit_test(test_consumers_and_copies),
      cmocka_unit_test(test_accessors),       cmocka_unit_test(test_concatenations_refused),
      cmocka_unit_test(test_slices_refused),
  };
  return cmocka_run_group_tests_name("graph", tests, NULL, NULL);
}
