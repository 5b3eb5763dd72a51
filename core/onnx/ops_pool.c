/* Pooling, and the window arithmetic that convolutions share: strides, explicit and automatic padding, dilation.
 * Invariant: pads of pooling are smaller than its kernel, so that no window lies wholly in padding. Does not pool over
 * one or three dimensions, nor over channels. */
#include "onnx/import.h"

static bool has_pad(const onnx_activation *a) {
  return a->pad_top || a->pad_left || a->pad_bottom || a->pad_right;
}

/* n numbers of an attribute within [low, SNN_MAX_DIMENSION], or `absent` for each. */
static snn_status get_extents(onnx_import *im, const onnx_node *node, const char *name, uint32_t n, int64_t low,
                              uint32_t absent, uint32_t *out) {
  int64_t values[ONNX_MAX_RANK];
  uint32_t n_values;
  bool given;
  snn_status status = snn_onnx_get_ints(im, node, name, values, &n_values, &given);
  if (status != SNN_OK) return status;
  if (given && n_values != n)
    return snn_onnx_unsupported(im, node, " with %u entries in %s; two-dimensional windows have %u", n_values, name, n);
  for (uint32_t i = 0; i < n; i++) {
    if (given && (values[i] < low || values[i] > SNN_MAX_DIMENSION))
      return snn_onnx_unsupported(im, node, " with %lld in %s; %lld to %d are", (long long)values[i], name,
                                  (long long)low, SNN_MAX_DIMENSION);
    out[i] = given ? (uint32_t)values[i] : absent;
  }
  return SNN_OK;
}

/* Pads that make an output of ceil(in / stride). */
static void same_pads(uint32_t in, uint32_t kernel, uint32_t stride, uint32_t dilation, bool upper, uint32_t *begin,
                      uint32_t *end) {
  uint64_t span = (uint64_t)dilation * (kernel - 1) + 1, covered = (uint64_t)((in - 1) / stride) * stride + span;
  uint32_t total = covered > in ? (uint32_t)(covered - in) : 0;
  *begin = upper ? total / 2 : total - total / 2;
  *end = total - *begin;
}

static snn_status automatic_pads(onnx_import *im, const onnx_node *node, onnx_slice mode, uint32_t in_h, uint32_t in_w,
                                 snn_window *w) {
  bool upper = snn_slice_is(mode, "SAME_UPPER");
  if (snn_slice_is(mode, "VALID")) {
    w->pad_top = w->pad_left = w->pad_bottom = w->pad_right = 0;
    return SNN_OK;
  }
  if (!upper && !snn_slice_is(mode, "SAME_LOWER"))
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER");
  same_pads(in_h, w->kernel_h, w->stride_h, w->dilation_h, upper, &w->pad_top, &w->pad_bottom);
  same_pads(in_w, w->kernel_w, w->stride_w, w->dilation_w, upper, &w->pad_left, &w->pad_right);
  return SNN_OK;
}

/* The operator's own window, without zeros that a Pad put around `a`. */
static snn_status own_window(onnx_import *im, const onnx_node *node, const onnx_activation *a, uint32_t kernel_h,
                             uint32_t kernel_w, snn_window *out) {
  uint32_t strides[2], dilations[2], pads[4];
  onnx_slice mode;
  snn_status status = get_extents(im, node, "strides", 2, 1, 1, strides);
  if (status == SNN_OK) status = get_extents(im, node, "dilations", 2, 1, 1, dilations);
  if (status == SNN_OK) status = get_extents(im, node, "pads", 4, 0, 0, pads);
  if (status == SNN_OK) status = snn_onnx_get_text(im, node, "auto_pad", &mode);
  if (status != SNN_OK) return status;
  *out = (snn_window){.kernel_h = kernel_h,
                      .kernel_w = kernel_w,
                      .stride_h = strides[0],
                      .stride_w = strides[1],
                      .pad_top = pads[0],
                      .pad_left = pads[1],
                      .pad_bottom = pads[2],
                      .pad_right = pads[3],
                      .dilation_h = dilations[0],
                      .dilation_w = dilations[1]};
  if (mode.n == 0 || snn_slice_is(mode, "NOTSET")) return SNN_OK;
  snn_shape in = snn_onnx_shape(im, a);
  return automatic_pads(im, node, mode, in.h + a->pad_top + a->pad_bottom, in.w + a->pad_left + a->pad_right, out);
}

static void take_pads_in(const onnx_activation *a, snn_window *w) {
  w->pad_top += a->pad_top;
  w->pad_left += a->pad_left;
  w->pad_bottom += a->pad_bottom;
  w->pad_right += a->pad_right;
}

snn_status snn_onnx_window(onnx_import *im, const onnx_node *node, const onnx_activation *a, uint32_t kernel_h,
                           uint32_t kernel_w, snn_window *out) {
  snn_status status = own_window(im, node, a, kernel_h, kernel_w, out);
  if (status == SNN_OK) take_pads_in(a, out);
  return status;
}

/* What ceil_mode adds behind the padded input of one axis, so that the windows cover all of it; false where one more
 * window would start behind the input itself: some runtimes leave it out, some do not. */
static bool overhang(uint32_t in, uint32_t begin, uint32_t end, uint32_t kernel, uint32_t stride, uint32_t dilation,
                     uint32_t *out) {
  uint64_t span = (uint64_t)dilation * (kernel - 1) + 1, total = (uint64_t)in + begin + end;
  *out = 0;
  if (span > total || (total - span) % stride == 0) return true;
  uint64_t next = ((total - span) / stride + 1) * stride; /* where one more window starts */
  *out = (uint32_t)(next + span - total);
  return next < (uint64_t)in + begin;
}

static snn_status emit_pool(onnx_import *im, const onnx_node *node, snn_layer_kind kind, const onnx_activation *a,
                            const snn_pool *pool, const onnx_activation *view) {
  const snn_window *w = &pool->window;
  if (w->pad_top >= w->kernel_h || w->pad_bottom >= w->kernel_h || w->pad_left >= w->kernel_w ||
      w->pad_right >= w->kernel_w)
    return snn_onnx_unsupported(im, node, " with padding as large as its %ux%u window", w->kernel_h, w->kernel_w);
  snn_node layer = {.kind = kind, .n_inputs = 1, .inputs = &a->layer, .pool = *pool};
  double offset = a->offset; /* the average or maximum of what is all shifted alike is shifted alike */
  snn_status status = snn_onnx_emit(im, node, &layer, (onnx_slice){NULL, 0}, view);
  if (status == SNN_OK) snn_onnx_set_offset(im, node, offset);
  return status;
}

/* Kernel and window of AveragePool and MaxPool. *out is the operator's own window; *over_h and *over_w are what
 * ceil_mode adds at the bottom and on the right. */
static snn_status pool_window(onnx_import *im, const onnx_node *node, const onnx_activation *a, snn_window *out,
                              uint32_t *over_h, uint32_t *over_w) {
  uint32_t kernel[2] = {0, 0};
  int64_t ceil_mode;
  onnx_attribute ignored;
  if (!snn_onnx_find_attribute(node, "kernel_shape", &ignored))
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "it has no kernel_shape");
  snn_status status = get_extents(im, node, "kernel_shape", 2, 1, 1, kernel);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "ceil_mode", 0, &ceil_mode);
  if (status == SNN_OK) status = own_window(im, node, a, kernel[0], kernel[1], out);
  if (status != SNN_OK) return status;
  snn_shape in = snn_onnx_shape(im, a);
  snn_window w = *out;
  take_pads_in(a, &w);
  *over_h = *over_w = 0;
  if (ceil_mode && (!overhang(in.h, w.pad_top, w.pad_bottom, w.kernel_h, w.stride_h, w.dilation_h, over_h) ||
                    !overhang(in.w, w.pad_left, w.pad_right, w.kernel_w, w.stride_w, w.dilation_w, over_w)))
    return snn_onnx_unsupported(im, node, " with ceil_mode where the last window lies in the padding alone");
  return SNN_OK;
}

snn_status snn_onnx_average_pool(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  int64_t include;
  uint32_t over_h = 0, over_w = 0;
  snn_pool pool = {.count_include_pad = false};
  snn_status status = snn_onnx_get_map(im, node, 0, ONNX_PADS | ONNX_OFFSET, &a);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "count_include_pad", 0, &include);
  if (status == SNN_OK) status = pool_window(im, node, a, &pool.window, &over_h, &over_w);
  if (status != SNN_OK) return status;
  const snn_window *w = &pool.window;
  bool own_pads = w->pad_top || w->pad_left || w->pad_bottom || w->pad_right;
  if (has_pad(a) && own_pads && !include)
    return snn_onnx_unsupported(im, node, " with uncounted padding of its own after a Pad");
  pool.count_include_pad = has_pad(a) || (own_pads && include); /* zeros of a Pad are values like others */
  if (pool.count_include_pad) status = snn_onnx_get_map(im, node, 0, ONNX_PADS, &a); /* zeros have no offset */
  if (status != SNN_OK) return status;
  if (pool.count_include_pad && (over_h || over_w))
    return snn_onnx_unsupported(im, node,
                                " with ceil_mode and counted padding where the last window reaches beyond it");
  take_pads_in(a, &pool.window);
  pool.window.pad_bottom += over_h;
  pool.window.pad_right += over_w;
  return emit_pool(im, node, SNN_LAYER_AVGPOOL, a, &pool, NULL);
}

/* Are the layer's values never below 0? Then zeros around it are no more than a pooling's own padding, which is no
 * value at all: every window has a value of at least 0. */
static bool never_negative(const onnx_import *im, const onnx_activation *a) {
  const snn_node *n = snn_onnx_layer(im, a);
  while (n->kind == SNN_LAYER_AVGPOOL || n->kind == SNN_LAYER_MAXPOOL || n->kind == SNN_LAYER_SLICE)
    n = &im->net->nodes[n->inputs[0]];
  return n->kind == SNN_LAYER_NEURON;
}

/* Whether a MaxPool with this window of its own may take in the zeros around `a`. */
static bool takes_zeros(const onnx_import *im, const onnx_activation *a, const snn_window *w) {
  snn_window all = *w;
  take_pads_in(a, &all);
  return never_negative(im, a) && all.pad_top < all.kernel_h && all.pad_bottom < all.kernel_h &&
         all.pad_left < all.kernel_w && all.pad_right < all.kernel_w && all.dilation_h == 1 && all.dilation_w == 1;
}

snn_status snn_onnx_max_pool(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  int64_t storage_order;
  uint32_t over_h = 0, over_w = 0;
  snn_pool pool = {.count_include_pad = false};
  snn_status status = snn_onnx_get_map(im, node, 0, ONNX_PADS | ONNX_OFFSET, &a);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "storage_order", 0, &storage_order);
  if (status == SNN_OK) status = pool_window(im, node, a, &pool.window, &over_h, &over_w);
  if (status != SNN_OK) return status;
  if (storage_order) return snn_onnx_unsupported(im, node, " with a storage_order");
  if (has_pad(a) && a->offset == 0 && takes_zeros(im, a, &pool.window))
    take_pads_in(a, &pool.window);
  else
    status = snn_onnx_get_map(im, node, 0, ONNX_OFFSET, &a);
  if (status != SNN_OK) return status;
  pool.window.pad_bottom += over_h;
  pool.window.pad_right += over_w;
  return emit_pool(im, node, SNN_LAYER_MAXPOOL, a, &pool, NULL);
}

static snn_status pool_all(onnx_import *im, const onnx_node *node, snn_layer_kind kind, const onnx_activation *a,
                           const onnx_activation *view) {
  snn_shape in = snn_onnx_shape(im, a);
  snn_pool pool = {
      .window = {.kernel_h = in.h, .kernel_w = in.w, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1}};
  return emit_pool(im, node, kind, a, &pool, view);
}

snn_status snn_onnx_global_average_pool(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  snn_status status = snn_onnx_get_map(im, node, 0, ONNX_OFFSET, &a);
  return status == SNN_OK ? pool_all(im, node, SNN_LAYER_AVGPOOL, a, NULL) : status;
}

snn_status snn_onnx_global_max_pool(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  snn_status status = snn_onnx_get_map(im, node, 0, ONNX_OFFSET, &a);
  return status == SNN_OK ? pool_all(im, node, SNN_LAYER_MAXPOOL, a, NULL) : status;
}

snn_status snn_onnx_reduce_mean(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  int64_t axes[ONNX_MAX_RANK], keep, no_op;
  uint32_t n_axes;
  bool given, all = true, any = false, reduced[ONNX_MAX_RANK] = {false};
  snn_status status = snn_onnx_get_activation(im, node, 0, ONNX_OFFSET, &a);
  if (status == SNN_OK) status = snn_onnx_get_list(im, node, "axes", 1, axes, &n_axes, &given);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "keepdims", 1, &keep);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "noop_with_empty_axes", 0, &no_op);
  if (status != SNN_OK) return status;
  if (n_axes == 0 && no_op) return snn_onnx_alias(im, node, 0, a);
  for (uint32_t i = 0; i < n_axes; i++) {
    uint32_t axis;
    if (!snn_onnx_axis(axes[i], a->rank, &axis))
      return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "an axis is out of range");
    reduced[axis] = true;
  }
  for (uint32_t i = 2; i < a->rank; i++) { /* rows and columns, or both seen as one dimension */
    all = all && (reduced[i] || a->dims[i] == 1);
    any = any || reduced[i];
  }
  if (reduced[0] || reduced[1] || !all || !any || a->dims[1] != (int64_t)snn_onnx_shape(im, a).c)
    return snn_onnx_unsupported(im, node, " over axes other than rows and columns together (2 and 3)");
  onnx_activation view = {.rank = 0};
  for (uint32_t i = 0; i < a->rank; i++)
    if (!reduced[i] || keep) view.dims[view.rank++] = reduced[i] ? 1 : a->dims[i];
  return pool_all(im, node, SNN_LAYER_AVGPOOL, a, &view);
}
