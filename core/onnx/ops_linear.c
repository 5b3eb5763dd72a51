/* Weighted operators: Conv, Gemm, MatMul and BatchNormalization become convolution layers. Weights are copied once,
 * from ONNX order (OIHW) to ours (HWIO), into the network's arena; invariant: every one of them is finite there.
 * Folding one layer into another is left to core/convert. */
#include <math.h>

#include "onnx/import.h"

enum { OUTPUTS_AT_ONCE = 16 }; /* a cache line of floats on the writing side */

static snn_status not_finite(onnx_import *im, const onnx_node *node, const onnx_const *c) {
  char name[ONNX_LABEL];
  return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "tensor '%s' holds a value that is not finite",
                       snn_onnx_text(c->name, name, sizeof name));
}

/* dst[p][c][o] = factor * source[o * stride_o + (c * n_positions + p) * stride_k], for o < n_out, c < n_in. */
static snn_status copy_weights(onnx_import *im, const onnx_node *node, const onnx_const *source, size_t n_out,
                               size_t n_in, size_t n_positions, size_t stride_o, size_t stride_k, double factor,
                               float *dst) {
  for (size_t o = 0; o < n_out; o += OUTPUTS_AT_ONCE) {
    size_t end = n_out - o < OUTPUTS_AT_ONCE ? n_out : o + OUTPUTS_AT_ONCE;
    for (size_t c = 0; c < n_in; c++)
      for (size_t p = 0; p < n_positions; p++)
        for (size_t k = o; k < end; k++) {
          float w = (float)(factor * snn_onnx_real(source, k * stride_o + (c * n_positions + p) * stride_k));
          if (!isfinite(w)) return not_finite(im, node, source);
          dst[(p * n_in + c) * n_out + k] = w;
        }
  }
  return SNN_OK;
}

/* A bias of n floats: zeros without a source; a source of one element serves all. */
static snn_status make_bias(onnx_import *im, const onnx_node *node, const onnx_const *source, size_t n, double factor,
                            float **out) {
  snn_status status = snn_onnx_floats(im, node, n, out);
  if (status != SNN_OK || !source) return status;
  for (size_t i = 0; i < n; i++) {
    (*out)[i] = (float)(factor * snn_onnx_real(source, source->n == 1 ? 0 : i));
    if (!isfinite((*out)[i])) return not_finite(im, node, source);
  }
  return SNN_OK;
}

static bool extent_fits(int64_t n) {
  return n >= 1 && n <= SNN_MAX_DIMENSION;
}

snn_status snn_onnx_conv(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  const onnx_const *w, *b;
  snn_status status = snn_onnx_constant(im, node, 1, &w);
  if (status == SNN_OK) status = snn_onnx_constant(im, node, 2, &b);
  if (status != SNN_OK) return status;
  if (!w) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "it has no weights");
  if (w->rank == 3 || w->rank == 5)
    return snn_onnx_unsupported(im, node, " in %u dimensions; only two-dimensional convolutions are", w->rank - 2);
  status = snn_onnx_get_map(im, node, 0, ONNX_PADS | ONNX_OFFSET, &a);
  if (status != SNN_OK) return status;
  snn_shape in = snn_onnx_shape(im, a);
  int64_t groups, kernel[ONNX_MAX_RANK];
  uint32_t n_kernel;
  bool given;
  status = snn_onnx_get_int(im, node, "group", 1, &groups);
  if (status == SNN_OK) status = snn_onnx_get_ints(im, node, "kernel_shape", kernel, &n_kernel, &given);
  if (status != SNN_OK) return status;
  if (w->rank != 4 || !extent_fits(w->dims[0]) || !extent_fits(w->dims[1]) || !extent_fits(w->dims[2]) ||
      !extent_fits(w->dims[3]))
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its weights must have four dimensions of 1 to %d",
                         SNN_MAX_DIMENSION);
  if (given && (n_kernel != 2 || kernel[0] != w->dims[2] || kernel[1] != w->dims[3]))
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "kernel_shape does not agree with the weights");
  if (!extent_fits(groups) || in.c % groups || w->dims[0] % groups || w->dims[1] * groups != (int64_t)in.c)
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT,
                         "weights for %lld input channels in each of %lld groups do not fit an input of %u channels",
                         (long long)w->dims[1], (long long)groups, in.c);
  if (b && (b->rank != 1 || b->dims[0] != w->dims[0]))
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its bias must have %lld elements", (long long)w->dims[0]);
  snn_node layer = {.kind = SNN_LAYER_CONV, .n_inputs = 1, .inputs = &a->layer};
  layer.shape.c = (uint32_t)w->dims[0];
  layer.conv.groups = (uint32_t)groups;
  status = snn_onnx_window(im, node, a, (uint32_t)w->dims[2], (uint32_t)w->dims[3], &layer.conv.window);
  if (status != SNN_OK) return status;
  float *weights, *bias;
  status = snn_onnx_floats(im, node, w->n, &weights);
  if (status == SNN_OK) status = make_bias(im, node, b, layer.shape.c, 1.0, &bias);
  if (status != SNN_OK) return status;
  size_t n_positions = (size_t)w->dims[2] * (size_t)w->dims[3], n_in = (size_t)w->dims[1];
  status = copy_weights(im, node, w, layer.shape.c, n_in, n_positions, n_in * n_positions, 1, 1.0, weights);
  if (status != SNN_OK) return status;
  layer.conv.weights = weights;
  layer.conv.bias = bias;
  double offset = a->offset;
  status = snn_onnx_emit(im, node, &layer, w->name, NULL);
  return status == SNN_OK ? snn_onnx_absorb_offset(im, node, offset) : status;
}

/* y = alpha * x W + beta * b, with W [features][outputs], or [outputs][features] when transposed: a convolution whose
 * kernel is the whole map, since ONNX flattens in the order C, H, W. */
static snn_status emit_linear(onnx_import *im, const onnx_node *node, const onnx_const *w, bool transposed,
                              double alpha, const onnx_const *b, double beta) {
  const onnx_activation *a;
  snn_status status = snn_onnx_get_activation(im, node, 0, ONNX_OFFSET, &a);
  if (status != SNN_OK) return status;
  if (a->rank != 2)
    return snn_onnx_unsupported(im, node, " on a %u-dimensional value; flatten it to [batch, features] first", a->rank);
  if (!w || w->rank != 2) return snn_onnx_unsupported(im, node, " without a two-dimensional weight matrix");
  snn_shape in = snn_onnx_shape(im, a);
  int64_t n_out = w->dims[transposed ? 0 : 1], n_in = w->dims[transposed ? 1 : 0];
  if (n_in != a->dims[1])
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "weights for %lld features do not fit an input of %lld",
                         (long long)n_in, (long long)a->dims[1]);
  if (!extent_fits(n_out))
    return snn_onnx_fail(im, node, SNN_ERR_TOO_LARGE, "%lld outputs; 1 to %d are supported", (long long)n_out,
                         SNN_MAX_DIMENSION);
  if (b && (b->rank > 2 || (b->rank == 2 && b->dims[0] != 1) || (b->n != 1 && b->n != (size_t)n_out)))
    return snn_onnx_unsupported(im, node, " with a bias that is not one number per output");
  snn_node layer = {.kind = SNN_LAYER_CONV, .n_inputs = 1, .inputs = &a->layer};
  layer.shape.c = (uint32_t)n_out;
  layer.conv.groups = 1;
  layer.conv.window =
      (snn_window){.kernel_h = in.h, .kernel_w = in.w, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1};
  float *weights, *bias;
  status = snn_onnx_floats(im, node, w->n, &weights);
  if (status == SNN_OK) status = make_bias(im, node, b, layer.shape.c, beta, &bias);
  if (status != SNN_OK) return status;
  status = copy_weights(im, node, w, (size_t)n_out, in.c, (size_t)in.h * in.w, transposed ? (size_t)n_in : 1,
                        transposed ? 1 : (size_t)n_out, alpha, weights);
  if (status != SNN_OK) return status;
  layer.conv.weights = weights;
  layer.conv.bias = bias;
  onnx_activation view = {.rank = 2, .dims = {ONNX_BATCH, n_out}};
  double offset = a->offset;
  status = snn_onnx_emit(im, node, &layer, w->name, &view);
  return status == SNN_OK ? snn_onnx_absorb_offset(im, node, offset) : status;
}

snn_status snn_onnx_gemm(onnx_import *im, const onnx_node *node) {
  const onnx_const *w, *b;
  int64_t transpose_a, transpose_b;
  float alpha, beta;
  snn_status status = snn_onnx_get_int(im, node, "transA", 0, &transpose_a);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "transB", 0, &transpose_b);
  if (status == SNN_OK) status = snn_onnx_get_float(im, node, "alpha", 1.0f, &alpha);
  if (status == SNN_OK) status = snn_onnx_get_float(im, node, "beta", 1.0f, &beta);
  if (status == SNN_OK) status = snn_onnx_constant(im, node, 1, &w);
  if (status == SNN_OK) status = snn_onnx_constant(im, node, 2, &b);
  if (status != SNN_OK) return status;
  if (transpose_a) return snn_onnx_unsupported(im, node, " with transA: the batch must come first");
  return emit_linear(im, node, w, transpose_b != 0, (double)alpha, b, (double)beta);
}

snn_status snn_onnx_matmul(onnx_import *im, const onnx_node *node) {
  const onnx_const *w;
  snn_status status = snn_onnx_constant(im, node, 1, &w);
  return status == SNN_OK ? emit_linear(im, node, w, false, 1.0, NULL, 0.0) : status;
}

snn_status snn_onnx_emit_affine(onnx_import *im, const onnx_node *node, const onnx_activation *a, const float *scale,
                                const float *bias, onnx_slice weight) {
  snn_node layer = {.kind = SNN_LAYER_CONV, .n_inputs = 1, .inputs = &a->layer};
  layer.shape.c = layer.conv.groups = snn_onnx_shape(im, a).c;
  layer.conv.window =
      (snn_window){.kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1};
  layer.conv.weights = scale;
  layer.conv.bias = bias;
  for (uint32_t c = 0; c < layer.shape.c; c++)
    if (!isfinite(scale[c]) || !isfinite(bias[c]))
      return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "a factor or offset (channel %u) is not finite", c);
  return snn_onnx_emit(im, node, &layer, weight, a);
}

snn_status snn_onnx_batch_norm(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  const onnx_const *p[4]; /* gamma, beta, mean, variance */
  int64_t training, spatial;
  float epsilon;
  snn_status status = snn_onnx_get_activation(im, node, 0, 0, &a);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "training_mode", 0, &training);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "spatial", 1, &spatial);
  if (status == SNN_OK) status = snn_onnx_get_float(im, node, "epsilon", 1e-5f, &epsilon);
  if (status != SNN_OK) return status;
  if (training || !spatial) return snn_onnx_unsupported(im, node, " in training mode or without `spatial`");
  snn_shape s = snn_onnx_shape(im, a);
  if (a->dims[1] != (int64_t)s.c)
    return snn_onnx_unsupported(im, node, " on a flattened %ux%ux%u map; put it before the flattening", s.c, s.h, s.w);
  for (uint32_t i = 0; i < 4; i++) {
    status = snn_onnx_constant(im, node, i + 1, &p[i]);
    if (status != SNN_OK) return status;
    if (!p[i] || p[i]->rank != 1 || p[i]->dims[0] != (int64_t)s.c)
      return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its input %u must have one number per channel, %u in all", i + 1,
                           s.c);
  }
  float *scale, *bias;
  status = snn_onnx_floats(im, node, s.c, &scale);
  if (status == SNN_OK) status = snn_onnx_floats(im, node, s.c, &bias);
  if (status != SNN_OK) return status;
  for (uint32_t c = 0; c < s.c; c++) { /* in double, rounded once */
    double factor = snn_onnx_real(p[0], c) / sqrt(snn_onnx_real(p[3], c) + (double)epsilon);
    scale[c] = (float)factor;
    bias[c] = (float)(snn_onnx_real(p[1], c) - snn_onnx_real(p[2], c) * factor);
  }
  return snn_onnx_emit_affine(im, node, a, scale, bias, p[0]->name);
}
