/* Folding constants by index: arithmetic with broadcasting, Gather, Slice, Concat, Transpose. Invariant: a result's
 * elements are reached by an offset and strides that stay within the source, checked before the first copy. Integer
 * arithmetic that overflows, divides by 0 or meets the batch's unknown size is refused. */
#include <string.h>

#include "onnx/import.h"

typedef const onnx_const *const *constants;

/* Distance in elements between neighbours along each dimension. */
static void get_strides(const onnx_const *c, int64_t strides[ONNX_MAX_RANK]) {
  int64_t step = 1;
  for (uint32_t i = c->rank; i-- > 0;) {
    strides[i] = step;
    step *= c->dims[i]; /* 0 only where there are no elements to reach */
  }
}

/* Advance a multi-index over dims and the offsets that go with it; false after the last. */
static bool advance(uint32_t rank, const int64_t *dims, int64_t *index, uint32_t n_offsets,
                    int64_t strides[][ONNX_MAX_RANK], int64_t *offsets) {
  for (uint32_t i = rank; i-- > 0;) {
    for (uint32_t k = 0; k < n_offsets; k++) offsets[k] += strides[k][i];
    if (++index[i] < dims[i]) return true;
    for (uint32_t k = 0; k < n_offsets; k++) offsets[k] -= strides[k][i] * dims[i];
    index[i] = 0;
  }
  return false;
}

/* dst = the elements of src at offset + sum(index * strides), in row-major order of dims. */
static void copy_strided(const onnx_const *src, int64_t offset, const int64_t strides[ONNX_MAX_RANK], uint32_t rank,
                         const int64_t *dims, size_t n, uint8_t *dst) {
  size_t size = snn_onnx_element_size(src->type);
  int64_t index[ONNX_MAX_RANK] = {0}, walk[1][ONNX_MAX_RANK];
  memcpy(walk[0], strides, sizeof walk[0]);
  for (size_t i = 0; i < n; i++) {
    memcpy(dst + i * size, src->data + (size_t)offset * size, size);
    (void)advance(rank, dims, index, 1, walk, &offset);
  }
}

/* ---- arithmetic ---- */

static bool int_operation(onnx_slice op, int64_t a, int64_t b, int64_t *out) {
  bool commutes = !snn_slice_is(op, "Sub") && !snn_slice_is(op, "Div");
  int64_t neutral = snn_slice_is(op, "Mul") || snn_slice_is(op, "Div") ? 1 : 0;
  if (a == ONNX_BATCH || b == ONNX_BATCH) { /* only what leaves it as it is */
    *out = ONNX_BATCH;
    return (a == ONNX_BATCH && b == neutral) || (b == ONNX_BATCH && a == neutral && commutes);
  }
  if (snn_slice_is(op, "Add")) return !__builtin_add_overflow(a, b, out);
  if (snn_slice_is(op, "Sub")) return !__builtin_sub_overflow(a, b, out);
  if (snn_slice_is(op, "Mul")) return !__builtin_mul_overflow(a, b, out);
  if (b == 0 || (a == INT64_MIN && b == -1)) return false;
  *out = a / b;
  return true;
}

static double real_operation(onnx_slice op, double a, double b) {
  return snn_slice_is(op, "Add") ? a + b : snn_slice_is(op, "Sub") ? a - b : snn_slice_is(op, "Mul") ? a * b : a / b;
}

static snn_status broadcast(onnx_import *im, const onnx_node *node, constants in, uint32_t *rank,
                            int64_t dims[ONNX_MAX_RANK], int64_t strides[2][ONNX_MAX_RANK]) {
  *rank = in[0]->rank > in[1]->rank ? in[0]->rank : in[1]->rank;
  memset(strides, 0, 2 * sizeof strides[0]);
  for (uint32_t i = 0; i < *rank; i++) dims[i] = 1;
  for (uint32_t k = 0; k < 2; k++) {
    int64_t own[ONNX_MAX_RANK];
    get_strides(in[k], own);
    for (uint32_t i = 0; i < in[k]->rank; i++) {
      uint32_t at = *rank - in[k]->rank + i;
      int64_t d = in[k]->dims[i];
      if (d == 1) continue;
      if (dims[at] != 1 && dims[at] != d)
        return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its constants have shapes that do not broadcast");
      dims[at] = d;
      strides[k][at] = own[i];
    }
  }
  return SNN_OK;
}

snn_status snn_onnx_fold_arithmetic(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  uint32_t rank;
  int64_t dims[ONNX_MAX_RANK], strides[2][ONNX_MAX_RANK], index[ONNX_MAX_RANK] = {0}, at[2] = {0, 0};
  uint8_t *data;
  snn_status status = snn_onnx_need_constants(im, node, in, 2);
  if (status == SNN_OK) status = broadcast(im, node, in, &rank, dims, strides);
  if (status != SNN_OK) return status;
  bool real = snn_onnx_is_real(in[0]->type) || snn_onnx_is_real(in[1]->type);
  status = snn_onnx_new_const(im, node, real ? ONNX_FLOAT : ONNX_INT64, rank, dims, out, &data);
  if (status != SNN_OK) return status;
  out->name = in[0]->n >= in[1]->n ? in[0]->name : in[1]->name;
  for (size_t i = 0; i < out->n; i++) {
    size_t a = (size_t)at[0], b = (size_t)at[1];
    if (real) {
      snn_onnx_put_float(data, i, (float)real_operation(node->op, snn_onnx_real(in[0], a), snn_onnx_real(in[1], b)));
    } else {
      int64_t value;
      if (!int_operation(node->op, snn_onnx_int(in[0], a), snn_onnx_int(in[1], b), &value))
        return snn_onnx_unsupported(im, node,
                                    " on integers that overflow, divide by 0 or involve the unknown batch size");
      snn_onnx_put_int(data, i, value);
    }
    (void)advance(rank, dims, index, 2, strides, at);
  }
  return SNN_OK;
}

/* ---- movement ---- */

snn_status snn_onnx_fold_transpose(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  int64_t perm[ONNX_MAX_RANK], dims[ONNX_MAX_RANK] = {0}, own[ONNX_MAX_RANK], strides[ONNX_MAX_RANK] = {0};
  uint32_t n;
  bool given, seen[ONNX_MAX_RANK] = {false};
  uint8_t *data;
  snn_status status = snn_onnx_need_constants(im, node, in, 1);
  if (status == SNN_OK) status = snn_onnx_get_ints(im, node, "perm", perm, &n, &given);
  if (status != SNN_OK) return status;
  const onnx_const *c = in[0];
  if (!given)
    for (n = 0; n < c->rank; n++) perm[n] = (int64_t)c->rank - 1 - n;
  if (n != c->rank) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "perm does not fit its input");
  get_strides(c, own);
  for (uint32_t i = 0; i < n; i++) {
    if (perm[i] < 0 || perm[i] >= n || seen[perm[i]])
      return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "perm is not a permutation");
    seen[perm[i]] = true;
    dims[i] = c->dims[perm[i]];
    strides[i] = own[perm[i]];
  }
  status = snn_onnx_new_const(im, node, c->type, n, dims, out, &data);
  if (status != SNN_OK) return status;
  out->name = c->name;
  copy_strided(c, 0, strides, n, dims, out->n, data);
  return SNN_OK;
}

snn_status snn_onnx_fold_gather(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  int64_t axis, dims[ONNX_MAX_RANK];
  uint32_t k, rank = 0;
  uint8_t *data;
  snn_status status = snn_onnx_need_constants(im, node, in, 2);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "axis", 0, &axis);
  if (status != SNN_OK) return status;
  const onnx_const *c = in[0], *which = in[1];
  if (!snn_onnx_axis(axis, c->rank, &k) || snn_onnx_is_real(which->type))
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its axis is out of range or its indices are not integers");
  if (c->rank - 1 + which->rank > ONNX_MAX_RANK)
    return snn_onnx_fail(im, node, SNN_ERR_TOO_LARGE, "more than %d dimensions", ONNX_MAX_RANK);
  for (uint32_t i = 0; i < k; i++) dims[rank++] = c->dims[i];
  for (uint32_t i = 0; i < which->rank; i++) dims[rank++] = which->dims[i];
  for (uint32_t i = k + 1; i < c->rank; i++) dims[rank++] = c->dims[i];
  status = snn_onnx_new_const(im, node, c->type, rank, dims, out, &data);
  if (status != SNN_OK || out->n == 0) return status;
  size_t n_outer, n_inner;
  if (!snn_onnx_count(k, c->dims, &n_outer) || !snn_onnx_count(c->rank - k - 1, c->dims + k + 1, &n_inner))
    return snn_onnx_fail(im, node, SNN_ERR_TOO_LARGE, "a constant of impossible size");
  size_t block = n_inner * snn_onnx_element_size(c->type);
  for (size_t o = 0; o < n_outer; o++)
    for (size_t i = 0; i < which->n; i++, data += block) {
      int64_t at = snn_onnx_int(which, i);
      if (at < -c->dims[k] || at >= c->dims[k])
        return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "index %lld is out of range", (long long)at);
      if (at < 0) at += c->dims[k];
      memcpy(data, c->data + (o * (size_t)c->dims[k] + (size_t)at) * block, block);
    }
  return SNN_OK;
}

/* First element and number of elements of start:end:step over n, as ONNX clamps them. */
static void clamp_range(int64_t n, int64_t start, int64_t end, int64_t step, int64_t *first, int64_t *count) {
  int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  if (start < 0) start = start < -n ? low : start + n;
  if (end < 0) end = end < -n ? low : end + n;
  if (start > high) start = high;
  if (end > high) end = high;
  int64_t span = step > 0 ? end - start : start - end;
  int64_t stride = step == INT64_MIN ? INT64_MAX : step < 0 ? -step : step;
  *count = span > 0 && stride > 0 ? (span - 1) / stride + 1 : 0;
  *first = start;
}

snn_status snn_onnx_slice_ranges(onnx_import *im, const onnx_node *node, uint32_t rank, const int64_t *dims,
                                 onnx_range ranges[ONNX_MAX_RANK]) {
  int64_t starts[ONNX_MAX_RANK], ends[ONNX_MAX_RANK], axes[ONNX_MAX_RANK], steps[ONNX_MAX_RANK];
  uint32_t n, n_ends, n_axes, n_steps, k;
  bool given, axes_given, steps_given, sliced[ONNX_MAX_RANK] = {false};
  snn_status status = snn_onnx_get_list(im, node, "starts", 1, starts, &n, &given);
  if (status == SNN_OK) status = snn_onnx_get_list(im, node, "ends", 2, ends, &n_ends, &given);
  if (status == SNN_OK) status = snn_onnx_get_list(im, node, "axes", 3, axes, &n_axes, &axes_given);
  if (status == SNN_OK) status = snn_onnx_get_list(im, node, "steps", 4, steps, &n_steps, &steps_given);
  if (status != SNN_OK) return status;
  if (n_ends != n || (axes_given && n_axes != n) || (steps_given && n_steps != n) || n > rank)
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "starts, ends, axes and steps do not go together");
  for (uint32_t i = 0; i < rank; i++) ranges[i] = (onnx_range){.first = 0, .count = dims[i], .step = 1};
  for (uint32_t i = 0; i < n; i++) {
    int64_t step = steps_given ? steps[i] : 1;
    if (!snn_onnx_axis(axes_given ? axes[i] : (int64_t)i, rank, &k) || sliced[k] || step == 0)
      return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "an axis is out of range or repeated, or a step is 0");
    sliced[k] = true;
    ranges[k].step = step;
    clamp_range(dims[k], starts[i], ends[i], step, &ranges[k].first, &ranges[k].count);
  }
  return SNN_OK;
}

snn_status snn_onnx_fold_slice(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  int64_t dims[ONNX_MAX_RANK], strides[ONNX_MAX_RANK], offset = 0;
  onnx_range ranges[ONNX_MAX_RANK] = {{0}};
  uint8_t *data;
  snn_status status = snn_onnx_need_constants(im, node, in, 1);
  if (status == SNN_OK) status = snn_onnx_slice_ranges(im, node, in[0]->rank, in[0]->dims, ranges);
  if (status != SNN_OK) return status;
  const onnx_const *c = in[0];
  get_strides(c, strides);
  for (uint32_t k = 0; k < c->rank; k++) {
    const onnx_range *r = &ranges[k];
    if (r->count > 0) offset += r->first * strides[k];
    dims[k] = r->count;
    strides[k] = r->count > 1 ? strides[k] * r->step : 0; /* |step| < dims[k] then, so that no overflow can happen */
  }
  status = snn_onnx_new_const(im, node, c->type, c->rank, dims, out, &data);
  if (status != SNN_OK) return status;
  out->name = c->name;
  copy_strided(c, offset, strides, c->rank, dims, out->n, data);
  return SNN_OK;
}

snn_status snn_onnx_fold_concat(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  int64_t axis, dims[ONNX_MAX_RANK];
  uint32_t k;
  uint8_t *data;
  snn_status status = snn_onnx_need_constants(im, node, in, node->n_inputs);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "axis", 0, &axis);
  if (status != SNN_OK) return status;
  const onnx_const *c = in[0];
  if (!snn_onnx_axis(axis, c->rank, &k)) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its axis is out of range");
  memcpy(dims, c->dims, sizeof dims);
  dims[k] = 0;
  for (uint32_t i = 0; i < node->n_inputs; i++) {
    bool fits = in[i]->rank == c->rank && in[i]->type == c->type;
    for (uint32_t d = 0; fits && d < c->rank; d++) fits = d == k || in[i]->dims[d] == c->dims[d];
    if (!fits || __builtin_add_overflow(dims[k], in[i]->rank == c->rank ? in[i]->dims[k] : 0, &dims[k]))
      return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its inputs differ in type or shape");
  }
  status = snn_onnx_new_const(im, node, c->type, c->rank, dims, out, &data);
  size_t n_outer, n_inner;
  if (status != SNN_OK || out->n == 0) return status;
  if (!snn_onnx_count(k, c->dims, &n_outer) || !snn_onnx_count(c->rank - k - 1, c->dims + k + 1, &n_inner))
    return snn_onnx_fail(im, node, SNN_ERR_TOO_LARGE, "a constant of impossible size");
  for (size_t o = 0; o < n_outer; o++)
    for (uint32_t i = 0; i < node->n_inputs; i++) {
      size_t block = (size_t)in[i]->dims[k] * n_inner * snn_onnx_element_size(c->type);
      if (block) memcpy(data, in[i]->data + o * block, block);
      data += block;
    }
  return SNN_OK;
}
