/* Elementwise operators: activations become neurons, sums of layers an Add, constants per channel a bias or a depthwise
 * 1x1 convolution, and what does nothing at inference disappears. Invariant: the view of the input is the view of the
 * output. Products of two activations, and constants that differ within a channel, are refused. */
#include <float.h>
#include <math.h>

#include "onnx/import.h"

/* ---- activations ---- */

static snn_status emit_neurons(onnx_import *im, const onnx_node *node, const onnx_activation *a, float clip) {
  snn_node layer = {.kind = SNN_LAYER_NEURON, .n_inputs = 1, .inputs = &a->layer, .neurons = {.clip = clip}};
  return snn_onnx_emit(im, node, &layer, (onnx_slice){NULL, 0}, a);
}

snn_status snn_onnx_relu(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  snn_status status = snn_onnx_get_activation(im, node, 0, 0, &a);
  if (status != SNN_OK) return status;
  if (snn_onnx_layer(im, a)->kind == SNN_LAYER_NEURON) return snn_onnx_alias(im, node, 0, a); /* it is >= 0 already */
  return emit_neurons(im, node, a, INFINITY);
}

/* A bound of Clip: input i from opset 11, an attribute before. */
static snn_status get_bound(onnx_import *im, const onnx_node *node, uint32_t i, const char *name, float absent,
                            double *out) {
  const onnx_const *c;
  float value = absent;
  snn_status status = snn_onnx_constant(im, node, i, &c);
  if (status == SNN_OK && !c) status = snn_onnx_get_float(im, node, name, absent, &value);
  if (status != SNN_OK) return status;
  if (c && c->n != 1) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its %s must be one number", name);
  *out = c ? snn_onnx_real(c, 0) : (double)value;
  return SNN_OK;
}

snn_status snn_onnx_clip_bounds(onnx_import *im, const onnx_node *node, double *low, double *high) {
  snn_status status = get_bound(im, node, 1, "min", -FLT_MAX, low);
  return status == SNN_OK ? get_bound(im, node, 2, "max", FLT_MAX, high) : status;
}

snn_status snn_onnx_clip(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  double low = 0, high = 0;
  snn_status status = snn_onnx_get_activation(im, node, 0, 0, &a);
  if (status == SNN_OK) status = snn_onnx_clip_bounds(im, node, &low, &high);
  if (status != SNN_OK) return status;
  if (low != 0 || !(high > 0))
    return snn_onnx_unsupported(im, node, " from %g to %g; spikes need a lower bound of 0 and an upper one above it",
                                low, high);
  float bound = high >= (double)FLT_MAX ? INFINITY : (float)high;
  snn_node *source = &im->net->nodes[a->layer];
  if (source->kind == SNN_LAYER_NEURON && (source->neurons.clip <= bound || snn_onnx_exclusive(im, node, 0, a))) {
    if (bound < source->neurons.clip) source->neurons.clip = bound; /* a Relu and its bound in two nodes */
    return snn_onnx_alias(im, node, 0, a);
  }
  return emit_neurons(im, node, a, bound);
}

/* ---- what does nothing ---- */

snn_status snn_onnx_identity(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  snn_status status = snn_onnx_get_activation(im, node, 0, ONNX_PADS | ONNX_OFFSET, &a);
  return status == SNN_OK ? snn_onnx_alias(im, node, 0, a) : status;
}

snn_status snn_onnx_dropout(onnx_import *im, const onnx_node *node) {
  const onnx_const *training;
  snn_status status = snn_onnx_constant(im, node, 2, &training);
  if (status != SNN_OK) return status;
  if (training && training->n && snn_onnx_int(training, 0) != 0)
    return snn_onnx_unsupported(im, node, " in training mode; export the model for inference");
  return snn_onnx_identity(im, node);
}

snn_status snn_onnx_cast(onnx_import *im, const onnx_node *node) {
  int64_t to;
  snn_status status = snn_onnx_get_int(im, node, "to", 0, &to);
  if (status != SNN_OK) return status;
  if (to != ONNX_FLOAT && to != ONNX_FLOAT16 && to != ONNX_DOUBLE)
    return snn_onnx_unsupported(im, node, " to type %lld on activations; casts between floats are", (long long)to);
  return snn_onnx_identity(im, node);
}

snn_status snn_onnx_softmax(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  int64_t axis;
  uint32_t k;
  snn_status status = snn_onnx_get_activation(im, node, 0, 0, &a);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "axis", im->model.opset < 13 ? 1 : -1, &axis);
  if (status != SNN_OK) return status;
  if (!snn_onnx_is_last(im, node))
    return snn_onnx_unsupported(im, node, " inside the network; at its end it is dropped");
  if (a->rank != 2 || !snn_onnx_axis(axis, 2, &k) || k != 1)
    return snn_onnx_unsupported(im, node, " over other than the classes of [batch, classes]");
  return snn_onnx_alias(im, node, 0, a);
}

/* ---- arithmetic ---- */

/* The constant at input i as one number, or one per channel of `a`: its dimensions, aligned to the view's last, are 1
 * but for the channels'. */
static snn_status get_channel_constant(onnx_import *im, const onnx_node *node, uint32_t i, const onnx_activation *a,
                                       onnx_const *out) {
  const onnx_const *c;
  snn_status status = snn_onnx_constant(im, node, i, &c);
  if (status != SNN_OK) return status;
  uint32_t n_channels = snn_onnx_shape(im, a).c;
  bool fits = c && c->n > 0 && c->rank <= a->rank;
  for (uint32_t k = 0; fits && k < c->rank; k++) {
    uint32_t axis = a->rank - c->rank + k;
    bool channels = axis == 1 && a->dims[1] == (int64_t)n_channels && c->dims[k] == a->dims[1];
    fits = c->dims[k] == 1 || channels;
  }
  if (!fits)
    return snn_onnx_unsupported(im, node, " with this shape of constant input %u; one number, or one per channel, is",
                                i);
  *out = *c;
  return SNN_OK;
}

static double channel(const onnx_const *c, uint32_t i) {
  return snn_onnx_real(c, c->n == 1 ? 0 : i);
}

/* y = scale * x + bias by channel; a NULL constant is 1 or 0. */
static snn_status emit_constants(onnx_import *im, const onnx_node *node, const onnx_activation *a, const double *scale,
                                 const double *bias) {
  uint32_t n = snn_onnx_shape(im, a).c;
  float *w, *b;
  snn_status status = snn_onnx_floats(im, node, n, &w);
  if (status == SNN_OK) status = snn_onnx_floats(im, node, n, &b);
  if (status != SNN_OK) return status;
  for (uint32_t i = 0; i < n; i++) {
    w[i] = scale ? (float)scale[i] : 1.0f;
    b[i] = bias ? (float)bias[i] : 0.0f;
  }
  return snn_onnx_emit_affine(im, node, a, w, b, (onnx_slice){NULL, 0});
}

snn_status snn_onnx_add_bias(onnx_import *im, const onnx_node *node, uint32_t i, const onnx_activation *a,
                             const double *bias) {
  snn_node *layer = &im->net->nodes[a->layer];
  if (layer->kind == SNN_LAYER_ADD && im->net->nodes[layer->inputs[1]].kind == SNN_LAYER_CONSTANT)
    layer = &im->net->nodes[layer->inputs[0]]; /* a convolution that took an offset in; nothing else sees it */
  if (layer->kind != SNN_LAYER_CONV || !snn_onnx_exclusive(im, node, i, a))
    return emit_constants(im, node, a, NULL, bias);
  float *sum;
  snn_status status = snn_onnx_floats(im, node, layer->shape.c, &sum);
  if (status != SNN_OK) return status;
  for (uint32_t c = 0; c < layer->shape.c; c++) {
    sum[c] = (float)((double)layer->conv.bias[c] + bias[c]);
    if (!isfinite(sum[c])) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "the bias of channel %u is not finite", c);
  }
  layer->conv.bias = sum;
  return snn_onnx_alias(im, node, i, a);
}

static bool same_view(const onnx_activation *a, const onnx_activation *b) {
  bool same = a->rank == b->rank;
  for (uint32_t i = 1; same && i < a->rank; i++) same = a->dims[i] == b->dims[i];
  return same;
}

/* Activations of one shape meet in an Add layer; their layers go to inputs[]. */
static snn_status gather_branches(onnx_import *im, const onnx_node *node, uint32_t *inputs, uint32_t *n_branches,
                                  uint32_t *first, onnx_activation *out) {
  const onnx_activation *a = NULL, *b;
  *n_branches = 0;
  for (uint32_t i = 0; i < node->n_inputs; i++) {
    if (snn_onnx_is_constant(im, node, i)) continue;
    snn_status status = snn_onnx_get_activation(im, node, i, 0, &b);
    if (status != SNN_OK) return status;
    if (!a) {
      a = b;
      *first = i;
    }
    snn_shape s = snn_onnx_shape(im, a), t = snn_onnx_shape(im, b);
    if (!same_view(a, b) || s.c != t.c || s.h != t.h || s.w != t.w)
      return snn_onnx_unsupported(im, node, " on branches of different shapes (%ux%ux%u and %ux%ux%u)", s.c, s.h, s.w,
                                  t.c, t.h, t.w);
    inputs[(*n_branches)++] = b->layer;
  }
  if (!a) return snn_onnx_unsupported(im, node, " on constants only");
  *out = *a;
  return SNN_OK;
}

snn_status snn_onnx_sum(onnx_import *im, const onnx_node *node) {
  uint32_t inputs[ONNX_MAX_NODE_VALUES], n_branches = 0, first = 0;
  onnx_activation a = {.rank = 0};
  onnx_const c;
  double *bias = NULL;
  snn_status status = gather_branches(im, node, inputs, &n_branches, &first, &a);
  if (status != SNN_OK) return status;
  uint32_t n_channels = snn_onnx_shape(im, &a).c;
  for (uint32_t i = 0; i < node->n_inputs; i++) {
    if (!snn_onnx_is_constant(im, node, i)) continue;
    status = get_channel_constant(im, node, i, &a, &c);
    if (status == SNN_OK && !bias) status = snn_onnx_numbers(im, node, n_channels, &bias);
    if (status != SNN_OK) return status;
    for (uint32_t k = 0; k < n_channels; k++) bias[k] += channel(&c, k);
  }
  if (n_branches == 1) return bias ? snn_onnx_add_bias(im, node, first, &a, bias) : snn_onnx_alias(im, node, first, &a);
  snn_node layer = {.kind = SNN_LAYER_ADD, .n_inputs = n_branches, .inputs = inputs};
  status = snn_onnx_emit(im, node, &layer, (onnx_slice){NULL, 0}, &a);
  if (status != SNN_OK || !bias) return status;
  return emit_constants(im, node, snn_onnx_result(im, node), NULL, bias);
}

/* One activation and one constant: which is which. */
static snn_status split_operands(onnx_import *im, const onnx_node *node, uint32_t *activation, onnx_activation *a,
                                 onnx_const *c) {
  *activation = snn_onnx_is_constant(im, node, 0) ? 1 : 0;
  if (!snn_onnx_is_constant(im, node, 1 - *activation))
    return snn_onnx_unsupported(im, node, " on two activations; one of them must be constant");
  const onnx_activation *found;
  snn_status status = snn_onnx_get_activation(im, node, *activation, 0, &found);
  if (status != SNN_OK) return status;
  *a = *found;
  return get_channel_constant(im, node, 1 - *activation, found, c);
}

snn_status snn_onnx_sub(onnx_import *im, const onnx_node *node) {
  onnx_activation a = {.rank = 0};
  onnx_const c = {.n = 0};
  uint32_t i = 0;
  double *bias = NULL, *scale = NULL;
  snn_status status = split_operands(im, node, &i, &a, &c);
  if (status != SNN_OK) return status;
  uint32_t n = snn_onnx_shape(im, &a).c;
  status = snn_onnx_numbers(im, node, n, &bias);
  if (status == SNN_OK) status = snn_onnx_numbers(im, node, n, &scale);
  if (status != SNN_OK) return status;
  for (uint32_t k = 0; k < n; k++) {
    bias[k] = i == 0 ? -channel(&c, k) : channel(&c, k);
    scale[k] = -1.0;
  }
  return i == 0 ? snn_onnx_add_bias(im, node, i, &a, bias) : emit_constants(im, node, &a, scale, bias);
}

/* Multiply by the constant, or by its inverse. */
static snn_status scale_by(onnx_import *im, const onnx_node *node, bool inverse) {
  onnx_activation a = {.rank = 0};
  onnx_const c = {.n = 0};
  uint32_t i = 0;
  double *scale = NULL;
  snn_status status = split_operands(im, node, &i, &a, &c);
  if (status != SNN_OK) return status;
  if (inverse && i != 0) return snn_onnx_unsupported(im, node, " of a constant by an activation");
  uint32_t n = snn_onnx_shape(im, &a).c;
  status = snn_onnx_numbers(im, node, n, &scale);
  if (status != SNN_OK) return status;
  for (uint32_t k = 0; k < n; k++) scale[k] = inverse ? 1.0 / channel(&c, k) : channel(&c, k);
  return emit_constants(im, node, &a, scale, NULL);
}

snn_status snn_onnx_mul(onnx_import *im, const onnx_node *node) {
  return scale_by(im, node, false);
}

snn_status snn_onnx_div(onnx_import *im, const onnx_node *node) {
  return scale_by(im, node, true);
}
