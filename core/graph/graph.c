/* Building and checking networks: the one gate every node passes, whether it comes from ONNX or from a model file.
 *
 * Invariant: in a network that snn_graph_finish accepted, inputs precede their readers, shapes follow from the input's,
 * tensors are finite and sized by those shapes, and every layer stays within the limits of graph.h. Does no rewriting;
 * see passes.c. */
#include "graph/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/stored.h"
#include "snn/calibrate.h"

snn_network *snn_network_new(void) {
  snn_network *net = calloc(1, sizeof *net);
  if (!net) return NULL;
  for (int c = 0; c < SNN_MAX_CHANNELS_IN; c++) net->preprocess.std[c] = 1.0f;
  net->recommended = (snn_recommended){.timesteps = 32, .init = SNN_INIT_HALF, .tau = 0.9f};
  net->name = snn_arena_text(&net->arena, "", 0);
  net->provenance = snn_arena_text(&net->arena, "{}", 2);
  net->shared = calloc(1, sizeof *net->shared);
  if (net->shared) pthread_mutex_init(&net->shared->lock, NULL);
  if (!net->name || !net->provenance || !net->shared) {
    snn_network_free(net);
    return NULL;
  }
  return net;
}

void snn_graph_forget_forms(snn_network *net) {
  if (net->shared->value) net->shared->free(net->shared->value);
  net->shared->value = NULL;
  net->shared->refusal = (snn_error){0};
}

void snn_network_free(snn_network *net) {
  if (!net) return;
  if (net->shared) {
    snn_graph_forget_forms(net);
    pthread_mutex_destroy(&net->shared->lock);
    free(net->shared);
  }
  snn_calibration_free(net->calibration);
  snn_arena_free(&net->arena);
  snn_unmap(&net->mapping);
  free(net->nodes);
  free(net);
}

bool snn_window_output(const snn_window *w, uint32_t in_h, uint32_t in_w, uint32_t *out_h, uint32_t *out_w) {
  uint64_t span_h = (uint64_t)w->dilation_h * (w->kernel_h - 1) + 1,
           span_w = (uint64_t)w->dilation_w * (w->kernel_w - 1) + 1;
  uint64_t padded_h = (uint64_t)in_h + w->pad_top + w->pad_bottom,
           padded_w = (uint64_t)in_w + w->pad_left + w->pad_right;
  if (span_h > padded_h || span_w > padded_w) return false;
  *out_h = (uint32_t)((padded_h - span_h) / w->stride_h + 1);
  *out_w = (uint32_t)((padded_w - span_w) / w->stride_w + 1);
  return true;
}

static snn_status check_shape(snn_shape s, const char *name, snn_error *err) {
  if (!s.c || !s.h || !s.w) return snn_fail(err, SNN_ERR_FORMAT, name, "an extent of its shape is 0");
  if (s.c > SNN_MAX_DIMENSION || s.h > SNN_MAX_DIMENSION || s.w > SNN_MAX_DIMENSION ||
      (uint64_t)s.c * s.h * s.w > SNN_MAX_LAYER_ELEMENTS)
    return snn_fail(err, SNN_ERR_TOO_LARGE, name, "shape %ux%ux%u is over the limit of %zu elements", s.c, s.h, s.w,
                    SNN_MAX_LAYER_ELEMENTS);
  return SNN_OK;
}

static snn_status check_window(const snn_window *w, snn_shape in, snn_shape *out, const char *name, snn_error *err) {
  const uint32_t at_least_one[] = {w->kernel_h, w->kernel_w, w->stride_h, w->stride_w, w->dilation_h, w->dilation_w};
  const uint32_t any[] = {w->pad_top, w->pad_left, w->pad_bottom, w->pad_right};
  for (size_t i = 0; i < 6; i++)
    if (!at_least_one[i] || at_least_one[i] > SNN_MAX_DIMENSION)
      return snn_fail(err, SNN_ERR_FORMAT, name, "kernel, stride and dilation must be 1..%d, one is %u",
                      SNN_MAX_DIMENSION, at_least_one[i]);
  for (size_t i = 0; i < 4; i++)
    if (any[i] > SNN_MAX_DIMENSION)
      return snn_fail(err, SNN_ERR_FORMAT, name, "padding must be 0..%d, one is %u", SNN_MAX_DIMENSION, any[i]);
  if (!snn_window_output(w, in.h, in.w, &out->h, &out->w))
    return snn_fail(err, SNN_ERR_FORMAT, name, "a %ux%u window does not fit its %ux%u input", w->kernel_h, w->kernel_w,
                    in.h, in.w);
  return SNN_OK;
}

static bool all_finite(const float *x, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!isfinite(x[i])) return false;
  return true;
}

static bool all_positive(const float *x, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!(isfinite(x[i]) && x[i] > 0)) return false;
  return true;
}

/* is_known: its weights are known to be finite, and no floats yet. */
static snn_status check_conv(const snn_conv *conv, snn_shape in, bool is_known, snn_shape *out, const char *name,
                             snn_error *err) {
  if (!conv->groups || in.c % conv->groups || out->c % conv->groups)
    return snn_fail(err, SNN_ERR_FORMAT, name, "%u groups do not divide %u input and %u output channels", conv->groups,
                    in.c, out->c);
  snn_status status = check_window(&conv->window, in, out, name, err);
  if (status != SNN_OK) return status;
  const snn_window *w = &conv->window;
  size_t n_weights;
  if (!snn_mul((size_t)w->kernel_h * w->kernel_w, (size_t)(in.c / conv->groups) * out->c, &n_weights) ||
      n_weights > SNN_MAX_LAYER_ELEMENTS)
    return snn_fail(err, SNN_ERR_TOO_LARGE, name, "more weights than the limit of %zu", SNN_MAX_LAYER_ELEMENTS);
  if (!conv->weights || !conv->bias) return snn_fail(err, SNN_ERR_FORMAT, name, "it has no weights or no bias");
  if (!(is_known || all_finite(conv->weights, n_weights)) || !all_finite(conv->bias, out->c))
    return snn_fail(err, SNN_ERR_FORMAT, name, "a weight or bias is not finite");
  return SNN_OK;
}

/* Does some window along one axis have no tap inside the map? With pads smaller than the kernel it starts before the
 * end and ends after the start, so only dilation can step over the map: from before its start to past its end. */
static bool misses_map(uint32_t in, uint32_t out, uint32_t stride, uint32_t dilation, uint32_t pad) {
  for (uint32_t o = 0; o < out; o++) {
    int64_t first = (int64_t)o * stride - pad;
    if (first >= 0) break;
    first += (-first + dilation - 1) / dilation * dilation; /* the first tap that is not before the map */
    if (first >= in) return true;
  }
  return false;
}

static snn_status check_pool(const snn_pool *pool, snn_shape in, snn_shape *out, const char *name, snn_error *err) {
  const snn_window *w = &pool->window;
  snn_status status = check_window(w, in, out, name, err);
  if (status != SNN_OK) return status;
  if (w->pad_top >= w->kernel_h || w->pad_left >= w->kernel_w || w->pad_bottom >= w->kernel_h ||
      w->pad_right >= w->kernel_w)
    return snn_fail(err, SNN_ERR_FORMAT, name, "pooling pads must be smaller than the window");
  if ((size_t)w->kernel_h * w->kernel_w > SNN_MAX_LAYER_ELEMENTS)
    return snn_fail(err, SNN_ERR_TOO_LARGE, name, "more taps than the limit of %zu", SNN_MAX_LAYER_ELEMENTS);
  if (misses_map(in.h, out->h, w->stride_h, w->dilation_h, w->pad_top) ||
      misses_map(in.w, out->w, w->stride_w, w->dilation_w, w->pad_left))
    return snn_fail(err, SNN_ERR_FORMAT, name, "a pooling window lies outside its %ux%u input, by its dilation", in.h,
                    in.w);
  return SNN_OK;
}

/* The output's shape is the node's own; every axis has an element of the input. */
static snn_status check_slice(const snn_node *node, snn_shape in, snn_error *err) {
  const snn_slice *s = &node->slice;
  const uint32_t extents[3] = {in.c, in.h, in.w}, out[3] = {node->shape.c, node->shape.h, node->shape.w};
  for (size_t k = 0; k < 3; k++) {
    if (s->start[k] >= extents[k])
      return snn_fail(err, SNN_ERR_FORMAT, node->name, "it starts at %u of an input extent of %u", s->start[k],
                      extents[k]);
    if (s->pad[k] >= out[k])
      return snn_fail(err, SNN_ERR_FORMAT, node->name, "%u zeros leave nothing of an output extent of %u", s->pad[k],
                      out[k]);
  }
  for (size_t k = 0; k < 2; k++)
    if (!s->step[k] || s->step[k] > SNN_MAX_DIMENSION)
      return snn_fail(err, SNN_ERR_FORMAT, node->name, "steps must be 1..%d, one is %u", SNN_MAX_DIMENSION, s->step[k]);
  return SNN_OK;
}

static snn_status check_neurons(const snn_neurons *p, snn_shape in, const char *name, snn_error *err) {
  if (!(p->clip > 0)) return snn_fail(err, SNN_ERR_FORMAT, name, "its clip must be > 0");
  if (p->levels > SNN_MAX_TIMESTEPS || (p->levels && !isfinite(p->clip)))
    return snn_fail(err, SNN_ERR_FORMAT, name, "levels must be 0..%d, and need a clip", SNN_MAX_TIMESTEPS);
  if (!(p->rounding >= 0 && p->rounding < 1) || (p->rounding > 0 && !p->levels))
    return snn_fail(err, SNN_ERR_FORMAT, name, "rounding must be 0 or above and below 1, and needs levels");
  if (p->n == 0) return SNN_OK;
  if (p->n != 1 && p->n != in.c)
    return snn_fail(err, SNN_ERR_FORMAT, name, "%u thresholds for %u channels; 1 or %u would fit", p->n, in.c, in.c);
  if (!p->theta || !p->fire || !p->amplitude || !all_positive(p->theta, p->n) || !all_positive(p->fire, p->n) ||
      !all_positive(p->amplitude, p->n))
    return snn_fail(err, SNN_ERR_FORMAT, name, "its thresholds must be finite and > 0");
  if (p->activation_max && !all_finite(p->activation_max, p->n))
    return snn_fail(err, SNN_ERR_FORMAT, name, "an activation statistic is not finite");
  return SNN_OK;
}

static snn_status check_constant(const snn_node *node, snn_error *err) {
  snn_status status = check_shape(node->shape, node->name, err);
  if (status != SNN_OK) return status;
  if (!node->values || !all_finite(node->values, snn_shape_size(node->shape)))
    return snn_fail(err, SNN_ERR_FORMAT, node->name, "it has no values, or one is not finite");
  return SNN_OK;
}

/* Inputs exist and precede the node; *in is the first one's shape, for a concatenation with the channels of all. */
static snn_status check_inputs(const snn_network *net, const snn_node *node, snn_shape *in, snn_error *err) {
  bool joins = node->kind == SNN_LAYER_CONCAT, several = joins || node->kind == SNN_LAYER_ADD;
  bool none = node->kind == SNN_LAYER_INPUT || node->kind == SNN_LAYER_CONSTANT;
  uint32_t want_min = none ? 0 : several ? 2 : 1;
  uint32_t want_max = several ? SNN_MAX_NODE_INPUTS : want_min, channels = 0;
  if (node->n_inputs < want_min || node->n_inputs > want_max)
    return snn_fail(err, SNN_ERR_FORMAT, node->name, "%u inputs, a layer of kind %s takes %u", node->n_inputs,
                    snn_layer_kind_name(node->kind), want_min);
  for (uint32_t i = 0; i < node->n_inputs; i++) {
    if (node->inputs[i] >= net->n_nodes)
      return snn_fail(err, SNN_ERR_FORMAT, node->name, "input %u refers to layer %u, which does not precede it", i,
                      node->inputs[i]);
    snn_shape s = net->nodes[node->inputs[i]].shape;
    if (i == 0) *in = s;
    channels += s.c; /* at most SNN_MAX_NODE_INPUTS * SNN_MAX_DIMENSION */
    if ((!joins && s.c != in->c) || s.h != in->h || s.w != in->w)
      return snn_fail(err, SNN_ERR_FORMAT, node->name, "branches of different shapes meet: %ux%ux%u and %ux%ux%u",
                      in->c, in->h, in->w, s.c, s.h, s.w);
  }
  if (joins) in->c = channels;
  return SNN_OK;
}

static snn_status check_name(const snn_network *net, const snn_node *node, snn_error *err) {
  size_t n = node->name ? strnlen(node->name, SNN_MAX_NAME) : 0;
  if (n == 0 || n >= SNN_MAX_NAME)
    return snn_fail(err, SNN_ERR_FORMAT, NULL, "layer %u has a name of %zu bytes; 1 to %d would do", net->n_nodes, n,
                    SNN_MAX_NAME - 1);
  for (uint32_t i = 0; i < net->n_nodes; i++) /* neurons may share the name of the synapses before them */
    if ((net->nodes[i].kind == SNN_LAYER_NEURON) == (node->kind == SNN_LAYER_NEURON) &&
        strcmp(net->nodes[i].name, node->name) == 0)
      return snn_fail(err, SNN_ERR_FORMAT, node->name, "two layers have this name");
  return SNN_OK;
}

static snn_status check_node(const snn_network *net, const snn_node *node, snn_shape *shape, snn_error *err) {
  snn_shape in = {0, 0, 0};
  if ((unsigned)node->kind >= SNN_LAYER_KIND_COUNT)
    return snn_fail(err, SNN_ERR_FORMAT, node->name, "unknown kind of layer");
  if ((node->kind == SNN_LAYER_INPUT) != (net->n_nodes == 0))
    return snn_fail(err, SNN_ERR_FORMAT, node->name, "layer 0, and no other, must be the input");
  snn_status status = check_inputs(net, node, &in, err);
  if (status != SNN_OK) return status;
  *shape = in;
  switch (node->kind) {
    case SNN_LAYER_INPUT:
      *shape = node->shape;
      if (shape->c > SNN_MAX_CHANNELS_IN && (shape->h > 1 || shape->w > 1))
        return snn_fail(err, SNN_ERR_UNSUPPORTED, node->name, "an image of %u channels; at most %d are supported",
                        shape->c, SNN_MAX_CHANNELS_IN);
      break;
    case SNN_LAYER_CONV:
      shape->c = node->shape.c;
      if (!shape->c || shape->c > SNN_MAX_DIMENSION)
        return snn_fail(err, SNN_ERR_FORMAT, node->name, "%u output channels; 1..%d would do", shape->c,
                        SNN_MAX_DIMENSION);
      status = check_conv(&node->conv, in, snn_graph_stored(net, node->conv.weights), shape, node->name, err);
      break;
    case SNN_LAYER_AVGPOOL:
    case SNN_LAYER_MAXPOOL: status = check_pool(&node->pool, in, shape, node->name, err); break;
    case SNN_LAYER_SLICE:
      *shape = node->shape;
      status = check_slice(node, in, err);
      break;
    case SNN_LAYER_NEURON: status = check_neurons(&node->neurons, in, node->name, err); break;
    case SNN_LAYER_CONSTANT:
      *shape = node->shape;
      status = check_constant(node, err);
      break;
    default: break;
  }
  return status == SNN_OK ? check_shape(*shape, node->name, err) : status;
}

snn_status snn_graph_add(snn_network *net, const snn_node *node, uint32_t *index, snn_error *err) {
  if (net->n_nodes == SNN_MAX_NODES)
    return snn_fail(err, SNN_ERR_TOO_LARGE, node->name, "more than %d layers", SNN_MAX_NODES);
  snn_status status = check_name(net, node, err);
  if (status != SNN_OK) return status;
  snn_node copy = *node;
  status = check_node(net, node, &copy.shape, err);
  if (status != SNN_OK) return status;
  if (net->n_nodes == net->capacity) {
    uint32_t capacity = net->capacity ? 2 * net->capacity : 64;
    snn_node *nodes = realloc(net->nodes, capacity * sizeof *nodes);
    if (!nodes) return snn_fail_memory(err, "the layers");
    net->nodes = nodes;
    net->capacity = capacity;
  }
  copy.name = snn_arena_text(&net->arena, node->name, strlen(node->name));
  uint32_t *inputs = snn_arena_alloc(&net->arena, node->n_inputs, sizeof *inputs);
  if (!copy.name || !inputs) return snn_fail_memory(err, "a layer");
  if (node->n_inputs) memcpy(inputs, node->inputs, node->n_inputs * sizeof *inputs);
  copy.inputs = inputs;
  copy.n_readers = 0;
  for (uint32_t i = 0; i < node->n_inputs; i++) net->nodes[node->inputs[i]].n_readers++;
  net->nodes[net->n_nodes] = copy;
  if (index) *index = net->n_nodes;
  net->n_nodes++;
  return SNN_OK;
}

snn_status snn_graph_finish(snn_network *net, bool need_thresholds, snn_error *err) {
  snn_graph_forget_forms(net);
  if (net->n_nodes < 2) return snn_fail(err, SNN_ERR_FORMAT, NULL, "a network needs an input and at least one layer");
  const snn_node *last = &net->nodes[net->n_nodes - 1];
  for (uint32_t i = 0; i + 1 < net->n_nodes; i++)
    if (!net->nodes[i].n_readers)
      return snn_fail(err, SNN_ERR_FORMAT, net->nodes[i].name, "no layer reads it, and it is not the last one");
  if (last->kind == SNN_LAYER_NEURON)
    return snn_fail(
        err, SNN_ERR_UNSUPPORTED, last->name,
        "the network ends in an activation; scores are read from a layer that does not fire, such as a Gemm");
  if (last->shape.h != 1 || last->shape.w != 1 || last->shape.c > SNN_MAX_CLASSES)
    return snn_fail(err, SNN_ERR_UNSUPPORTED, last->name,
                    "the output has shape %ux%ux%u; one score per class ([batch, classes]) is needed", last->shape.c,
                    last->shape.h, last->shape.w);
  if (net->n_labels && net->n_labels != last->shape.c)
    return snn_fail(err, SNN_ERR_FORMAT, "labels", "%zu labels for %u classes", net->n_labels, last->shape.c);
  for (uint32_t c = 0; c < SNN_MAX_CHANNELS_IN; c++)
    if (!isfinite(net->preprocess.mean[c]) || !isfinite(net->preprocess.std[c]) || net->preprocess.std[c] <= 0)
      return snn_fail(err, SNN_ERR_FORMAT, "preprocess", "mean must be finite and std finite and > 0");
  if (net->recommended.timesteps < 1 || net->recommended.timesteps > SNN_MAX_TIMESTEPS)
    return snn_fail(err, SNN_ERR_FORMAT, "recommended", "timesteps must be 1..%d", SNN_MAX_TIMESTEPS);
  if (!(net->recommended.tau > 0 && net->recommended.tau <= 1))
    return snn_fail(err, SNN_ERR_FORMAT, "recommended", "tau must be above 0 and at most 1");
  for (uint32_t i = 0; need_thresholds && i < net->n_nodes; i++)
    if (net->nodes[i].kind == SNN_LAYER_NEURON && net->nodes[i].neurons.n == 0)
      return snn_fail(err, SNN_ERR_FORMAT, net->nodes[i].name, "its neurons have no threshold");
  return SNN_OK;
}
