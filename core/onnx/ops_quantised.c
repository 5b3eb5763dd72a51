/* Quantised activations (Yan, Zhou & Wong, VR; also QCFS and the like): a run of elementwise nodes with constants of
 * one number around one Floor or Round, such as Clip, Mul, Floor, Div, becomes one spiking layer. Recognised by what
 * the nodes compute, in any order, never by names.
 *
 * The run computes y = A * clamp(n, m, M) + B with n = floor(s x + b). With L = M - m levels of size A that is
 *
 *     y = y' + c,   c = A m + B,   y' = A * clamp(floor(d / A + r), 0, L),   d = A s x + A (b - m - r)
 *
 * YZW's eq. 6 and 10: theta = T / Tq is A L, T = Tmax - Tmin is L, and m / Tq = Tmin / Tq is subtracted from the
 * layer's own drive d. r is 1/2 where b has that fraction (rounding to the nearest, a start at theta/2), else 0. The
 * neurons send y'; c stays with the value as its *offset* until a convolution takes it in: W (y' + c) = W y' + W c,
 * which under zero padding depends on the position, since the zeros around are those of y. Invariant: what the float
 * network computes stays what it was. */
#include <float.h>
#include <math.h>

#include "onnx/import.h"

enum { MOST_NODES = 16, MOST_LEVELS = SNN_MAX_TIMESTEPS };

static const double nearly = 1e-5; /* of a level: constants are float32 */

/* What the nodes so far make of x: before the rounding u = s x + b, a value in [low, high]; after it u = a n + b2. */
typedef struct quantiser {
  const onnx_node *rounding; /* NULL: not met yet */
  double scale, bias;        /* of n = floor(scale x + bias) */
  double low, high;          /* bounds of u, then of n; infinite: none */
  double a, b;               /* u = a n + b */
  bool off_level;            /* a bound lies between two levels */
} quantiser;

/* The node's other input is a constant of one number. `first` says that x must be the first of the two. */
static bool scalar_operand(onnx_import *im, const onnx_node *node, onnx_slice x, bool first, double *out) {
  if (node->n_inputs != 2) return false;
  uint32_t at = snn_slice_equal(node->inputs[0], x) ? 1 : 0;
  if ((first && at == 0) || !snn_onnx_is_constant(im, node, at)) return false;
  const onnx_const *c;
  if (snn_onnx_constant(im, node, at, &c) != SNN_OK || !c || c->n != 1) return false;
  *out = snn_onnx_real(c, 0);
  return isfinite(*out);
}

/* Bounds are reckoned in float32, as a runtime does: 0.7f * 10.0f is 7. */
static void multiply(quantiser *q, double k, bool inverse) {
  double factor = inverse ? 1 / k : k;
  if (q->rounding) {
    q->a *= factor;
    q->b *= factor;
    return;
  }
  q->scale *= factor;
  q->bias *= factor;
  q->low = (double)(inverse ? (float)q->low / (float)k : (float)q->low * (float)k);
  q->high = (double)(inverse ? (float)q->high / (float)k : (float)q->high * (float)k);
}

static void add(quantiser *q, double k) {
  if (q->rounding) {
    q->b += k;
    return;
  }
  q->bias += k;
  q->low = (double)((float)q->low + (float)k);
  q->high = (double)((float)q->high + (float)k);
}

static double clamped(double x, double low, double high) {
  return x < low ? low : x > high ? high : x;
}

/* A bound of u behind the rounding as one of n, whose levels it must lie on. */
static double level_of(quantiser *q, double bound) {
  double n = (bound - q->b) / q->a;
  if (!isfinite(n)) return n;
  if (n > q->low && n < q->high && fabs(n - rint(n)) > nearly) q->off_level = true;
  return rint(n);
}

/* Bound u from below and above. */
static void bound(quantiser *q, double low, double high) {
  if (q->rounding) {
    low = level_of(q, low);
    high = level_of(q, high);
  }
  q->low = clamped(q->low, low, high);
  q->high = clamped(q->high, low, high);
}

static void round_off(quantiser *q, const onnx_node *node, bool to_nearest) {
  q->rounding = node;
  if (to_nearest) q->bias += 0.5; /* Round takes halves to even, this takes them up: a difference at ties alone */
  q->low = to_nearest ? rint(q->low) : floor(q->low);
  q->high = to_nearest ? rint(q->high) : floor(q->high);
  q->a = 1;
  q->b = 0;
}

/* Take one node, whose input x is the value so far; false when it is no part of a quantised activation. */
static bool take_node(onnx_import *im, const onnx_node *node, onnx_slice x, quantiser *q) {
  double k = 0, high;
  if ((node->domain.n && !snn_slice_is(node->domain, "ai.onnx")) || node->n_outputs != 1) return false;
  if (snn_slice_is(node->op, "Mul") || snn_slice_is(node->op, "Div")) {
    bool divides = snn_slice_is(node->op, "Div");
    if (!scalar_operand(im, node, x, divides, &k) || !(k > 0)) return false;
    multiply(q, k, divides);
    return true;
  }
  if (snn_slice_is(node->op, "Add") || snn_slice_is(node->op, "Sub")) {
    bool subtracts = snn_slice_is(node->op, "Sub");
    if (!scalar_operand(im, node, x, subtracts, &k)) return false;
    add(q, subtracts ? -k : k);
    return true;
  }
  if (snn_slice_is(node->op, "Relu")) {
    bound(q, 0, INFINITY);
    return node->n_inputs == 1;
  }
  if (snn_slice_is(node->op, "Clip")) {
    for (uint32_t i = 1; i < node->n_inputs; i++)
      if (node->inputs[i].n && !snn_onnx_is_constant(im, node, i)) return false;
    if (snn_onnx_clip_bounds(im, node, &k, &high) != SNN_OK) return false;
    bound(q, k <= -(double)FLT_MAX ? -INFINITY : k, high >= (double)FLT_MAX ? INFINITY : high);
    return true;
  }
  bool nearest = snn_slice_is(node->op, "Round");
  if ((!nearest && !snn_slice_is(node->op, "Floor")) || node->n_inputs != 1 || q->rounding) return false;
  round_off(q, node, nearest);
  return true;
}

/* The node that reads the value and is the only one to do so; NULL when several do, or the graph's output. */
static const onnx_node *only_reader(const onnx_import *im, const onnx_value *v) {
  return v && v->n_uses == 1 && !v->is_output ? &im->model.graph.nodes[v->reader] : NULL;
}

static const onnx_value *output_of(onnx_import *im, const onnx_node *node) {
  const onnx_node reader = {.n_inputs = 1, .inputs = node->outputs};
  return snn_onnx_input(im, &reader, 0);
}

/* The input of a head that is an activation; its index, or UINT32_MAX. */
static uint32_t activation_input(onnx_import *im, const onnx_node *node) {
  for (uint32_t i = 0; i < node->n_inputs; i++) {
    const onnx_value *v = snn_onnx_input(im, node, i);
    if (v && v->activation) return i;
  }
  return UINT32_MAX;
}

/* What a Clip or Relu that others read too was applied to: the run bounds it for itself. False for other values. */
static bool behind_clip(const onnx_import *im, const onnx_activation *a, onnx_activation *out) {
  const snn_node *layer = snn_onnx_layer(im, a);
  bool padded = a->pad_top || a->pad_left || a->pad_bottom || a->pad_right;
  if (layer->kind != SNN_LAYER_NEURON || layer->neurons.levels || a->offset != 0 || padded) return false;
  *out = *a;
  out->layer = layer->inputs[0];
  out->shared = true;
  return true;
}

/* The layer's drive d = k x + e: scale and bias vanish where they are 1 and 0. */
static snn_status make_drive(onnx_import *im, const onnx_node *head, uint32_t i, double k, double e, uint32_t *layer) {
  const onnx_activation *a;
  onnx_activation unclipped = {.rank = 0};
  snn_status status = snn_onnx_get_activation(im, head, i, 0, &a);
  if (status != SNN_OK) return status;
  if (behind_clip(im, a, &unclipped)) a = &unclipped;
  uint32_t channels = snn_onnx_shape(im, a).c;
  bool scales = fabs(k - 1) > nearly, adds = fabs(e) > 0;
  if (!scales && !adds) {
    *layer = a->layer;
    return SNN_OK;
  }
  if (!scales) {
    double *bias;
    status = snn_onnx_numbers(im, head, channels, &bias);
    for (uint32_t c = 0; status == SNN_OK && c < channels; c++) bias[c] = e;
    if (status == SNN_OK) status = snn_onnx_add_bias(im, head, i, a, bias);
  } else {
    float *factor, *bias;
    status = snn_onnx_floats(im, head, channels, &factor);
    if (status == SNN_OK) status = snn_onnx_floats(im, head, channels, &bias);
    if (status != SNN_OK) return status;
    for (uint32_t c = 0; c < channels; c++) {
      factor[c] = (float)k;
      bias[c] = (float)e;
    }
    status = snn_onnx_emit_affine(im, head, a, factor, bias, (onnx_slice){NULL, 0});
  }
  if (status == SNN_OK) *layer = snn_onnx_result(im, head)->layer;
  return status;
}

static snn_status emit(onnx_import *im, const onnx_node *head, uint32_t i, const onnx_node *tail, const quantiser *q) {
  if (!isfinite(q->low) || !isfinite(q->high))
    return snn_onnx_unsupported(im, q->rounding, " without a bound below and above; a quantised activation has both");
  if (q->off_level)
    return snn_onnx_unsupported(im, q->rounding, " with a bound behind it that lies between two levels");
  double levels = q->high - q->low;
  if (levels < 1 || levels > MOST_LEVELS)
    return snn_onnx_unsupported(im, q->rounding, " to %g levels; 1 to %d are", levels, MOST_LEVELS);
  double fraction = q->bias - floor(q->bias), rounding = fabs(fraction - 0.5) < nearly ? 0.5 : 0;
  double e = q->a * (q->bias - q->low - rounding), c = q->a * q->low + q->b;
  if (fabs(e) < nearly * q->a) e = 0;
  if (fabs(c) < nearly * q->a) c = 0;
  uint32_t layer;
  const onnx_activation view = *snn_onnx_input(im, head, i)->activation; /* rank and dims, which emitting keeps */
  snn_status status = make_drive(im, head, i, q->a * q->scale, e, &layer);
  if (status != SNN_OK) return status;
  snn_node neurons = {
      .kind = SNN_LAYER_NEURON,
      .n_inputs = 1,
      .inputs = &layer,
      .neurons = {.clip = (float)(q->a * levels), .levels = (uint32_t)levels, .rounding = (float)rounding}};
  status = snn_onnx_emit(im, tail, &neurons, (onnx_slice){NULL, 0}, &view);
  if (status == SNN_OK) snn_onnx_set_offset(im, tail, c);
  return status;
}

snn_status snn_onnx_quantised(onnx_import *im, const onnx_node *head, bool *taken) {
  quantiser q = {.scale = 1, .low = -INFINITY, .high = INFINITY};
  uint32_t i = activation_input(im, head), n = 0;
  const onnx_node *run[MOST_NODES];
  *taken = false;
  if (i == UINT32_MAX) return SNN_OK;
  onnx_slice x = head->inputs[i];
  onnx_activation unclipped = {.rank = 0};
  const onnx_activation *a = snn_onnx_input(im, head, i)->activation;
  if (behind_clip(im, a, &unclipped)) {
    q.low = 0;
    q.high = (double)snn_onnx_layer(im, a)->neurons.clip;
  }
  for (const onnx_node *node = head; node && n < MOST_NODES && take_node(im, node, x, &q);) {
    run[n++] = node;
    x = node->outputs[0];
    node = only_reader(im, output_of(im, node));
  }
  if (!q.rounding) return SNN_OK;
  *taken = true;
  for (uint32_t k = 0; k < n; k++) im->done[run[k]->index] = true;
  return emit(im, head, i, run[n - 1], &q);
}

/* ---- offsets ---- */

snn_status snn_onnx_settle_offset(onnx_import *im, onnx_value *value) {
  const onnx_activation before = *value->activation;
  const onnx_node *maker = &im->model.graph.nodes[value->producer]; /* only a node's output has an offset */
  uint32_t channels = snn_onnx_shape(im, &before).c;
  float *factor, *bias;
  snn_status status = snn_onnx_floats(im, maker, channels, &factor);
  if (status == SNN_OK) status = snn_onnx_floats(im, maker, channels, &bias);
  if (status != SNN_OK) return status;
  for (uint32_t c = 0; c < channels; c++) {
    factor[c] = 1.0f;
    bias[c] = (float)before.offset;
  }
  status = snn_onnx_emit_affine(im, maker, &before, factor, bias, (onnx_slice){NULL, 0});
  if (status != SNN_OK) return status;
  onnx_activation *now = value->activation;
  now->pad_top = before.pad_top;
  now->pad_left = before.pad_left;
  now->pad_bottom = before.pad_bottom;
  now->pad_right = before.pad_right;
  return SNN_OK;
}

/* sums[tap][o] = offset * sum over the inputs of a group of the weights of a tap. */
static void sum_taps(const snn_conv *conv, uint32_t group_in, uint32_t channels, double offset, double *sums) {
  size_t taps = (size_t)conv->window.kernel_h * conv->window.kernel_w;
  const float *w = conv->weights;
  for (size_t tap = 0; tap < taps; tap++)
    for (uint32_t in = 0; in < group_in; in++)
      for (uint32_t o = 0; o < channels; o++) sums[tap * channels + o] += offset * (double)*w++;
}

/* What the taps that lie inside the input add at output position (y, x). */
static void add_position(const snn_window *w, snn_shape in, uint32_t channels, uint32_t y, uint32_t x,
                         const double *sums, float *out) {
  for (uint32_t o = 0; o < channels; o++) {
    double sum = 0;
    for (uint32_t ky = 0; ky < w->kernel_h; ky++) {
      int64_t row = (int64_t)y * w->stride_h + (int64_t)ky * w->dilation_h - w->pad_top;
      for (uint32_t kx = 0; kx < w->kernel_w; kx++) {
        int64_t column = (int64_t)x * w->stride_w + (int64_t)kx * w->dilation_w - w->pad_left;
        if (row >= 0 && row < in.h && column >= 0 && column < in.w)
          sum += sums[((size_t)ky * w->kernel_w + kx) * channels + o];
      }
    }
    out[o] = (float)sum;
  }
}

snn_status snn_onnx_absorb_offset(onnx_import *im, const onnx_node *node, double offset) {
  if (offset == 0) return SNN_OK;
  const onnx_activation view = *snn_onnx_result(im, node);
  snn_node *layer = &im->net->nodes[view.layer];
  const snn_window *w = &layer->conv.window;
  const snn_shape in = im->net->nodes[layer->inputs[0]].shape, shape = layer->shape;
  const size_t taps = (size_t)w->kernel_h * w->kernel_w;
  double *sums;
  if (taps * shape.c > SNN_MAX_LAYER_ELEMENTS)
    return snn_onnx_fail(im, node, SNN_ERR_TOO_LARGE, "a kernel of %zu taps", taps);
  snn_status status = snn_onnx_numbers(im, node, (uint32_t)(taps * shape.c), &sums);
  if (status != SNN_OK) return status;
  sum_taps(&layer->conv, in.c / layer->conv.groups, shape.c, offset, sums);
  if (!(w->pad_top | w->pad_left | w->pad_bottom | w->pad_right)) { /* every tap is inside: one bias for all */
    float *bias;
    status = snn_onnx_floats(im, node, shape.c, &bias);
    for (uint32_t o = 0; status == SNN_OK && o < shape.c; o++) {
      double sum = (double)layer->conv.bias[o];
      for (size_t tap = 0; tap < taps; tap++) sum += sums[tap * shape.c + o];
      bias[o] = (float)sum;
      if (!isfinite(bias[o])) status = snn_onnx_fail(im, node, SNN_ERR_FORMAT, "a bias is not finite");
    }
    if (status == SNN_OK) layer->conv.bias = bias;
    return status;
  }
  float *map;
  uint32_t inputs[2] = {view.layer, 0};
  status = snn_onnx_floats(im, node, snn_shape_size(shape), &map);
  if (status != SNN_OK) return status;
  for (uint32_t y = 0; y < shape.h; y++)
    for (uint32_t x = 0; x < shape.w; x++)
      add_position(w, in, shape.c, y, x, sums, map + ((size_t)y * shape.w + x) * shape.c);
  snn_node constant = {.kind = SNN_LAYER_CONSTANT, .shape = shape, .values = map};
  status = snn_onnx_emit(im, node, &constant, (onnx_slice){NULL, 0}, &view);
  if (status != SNN_OK) return status;
  inputs[1] = snn_onnx_result(im, node)->layer;
  snn_node sum = {.kind = SNN_LAYER_ADD, .n_inputs = 2, .inputs = inputs};
  return snn_onnx_emit(im, node, &sum, (onnx_slice){NULL, 0}, &view);
}
