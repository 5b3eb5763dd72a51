/* Folding constants: values and shapes. Exporters compute the target of a view, the pads of a Pad or the transpose of a
 * weight with little operators; here they become constants. Invariant: results are charged to the import's budget, and
 * the batch's unknown size (ONNX_BATCH) is carried along but never computed with. Data movement by index is in
 * fold_index.c. */
#include <string.h>

#include "onnx/import.h"

typedef const onnx_const *const *constants;

snn_status snn_onnx_need_constants(onnx_import *im, const onnx_node *node, constants in, uint32_t n) {
  for (uint32_t i = 0; i < n; i++)
    if (i >= node->n_inputs || !in[i]) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its input %u is missing", i);
  return SNN_OK;
}

/* ---- sources ---- */

static snn_status one_int(onnx_import *im, const onnx_node *node, uint32_t rank, const int64_t *values, size_t n,
                          onnx_const *out) {
  uint8_t *data;
  int64_t extent = (int64_t)n;
  snn_status status = snn_onnx_new_const(im, node, ONNX_INT64, rank, &extent, out, &data);
  for (size_t i = 0; status == SNN_OK && i < n; i++) snn_onnx_put_int(data, i, values[i]);
  return status;
}

/* value_floats and value_ints may have any length; the attribute is read twice, first for the count. */
static snn_status constant_list(onnx_import *im, const onnx_node *node, const onnx_attribute *a, bool real,
                                onnx_const *out) {
  size_t n;
  uint8_t *data;
  bool ok = real ? snn_onnx_attribute_floats(a, NULL, 0, &n) : snn_onnx_attribute_ints(a, NULL, 0, &n);
  int64_t extent = (int64_t)n;
  if (!ok) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its value is malformed");
  snn_status status = snn_onnx_new_const(im, node, real ? ONNX_FLOAT : ONNX_INT64, 1, &extent, out, &data);
  if (status != SNN_OK || n == 0) return status;
  void *numbers = snn_arena_alloc(&im->scratch, n, real ? sizeof(float) : sizeof(int64_t));
  if (!numbers) return snn_fail_memory(im->err, "a constant");
  if (real)
    (void)snn_onnx_attribute_floats(a, numbers, n, &n);
  else
    (void)snn_onnx_attribute_ints(a, numbers, n, &n);
  for (size_t i = 0; i < n; i++)
    if (real)
      snn_onnx_put_float(data, i, ((const float *)numbers)[i]);
    else
      snn_onnx_put_int(data, i, ((const int64_t *)numbers)[i]);
  return SNN_OK;
}

snn_status snn_onnx_fold_constant(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  (void)in;
  onnx_attribute a;
  if (snn_onnx_find_attribute(node, "value", &a)) {
    onnx_tensor t;
    snn_status status = snn_onnx_parse_tensor(a.tensor, &t, im->err);
    if (status != SNN_OK) return status;
    if (t.name.n == 0) t.name = node->outputs[0];
    return snn_onnx_decode(im, &t, out);
  }
  if (snn_onnx_find_attribute(node, "value_int", &a)) return one_int(im, node, 0, &a.i, 1, out);
  if (snn_onnx_find_attribute(node, "value_ints", &a)) return constant_list(im, node, &a, false, out);
  if (snn_onnx_find_attribute(node, "value_floats", &a)) return constant_list(im, node, &a, true, out);
  if (snn_onnx_find_attribute(node, "value_float", &a)) {
    uint8_t *data;
    snn_status status = snn_onnx_new_const(im, node, ONNX_FLOAT, 0, NULL, out, &data);
    if (status == SNN_OK) snn_onnx_put_float(data, 0, a.f);
    return status;
  }
  return snn_onnx_unsupported(im, node, " without a tensor, integers or floats as its value");
}

snn_status snn_onnx_fold_fill(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  static const uint8_t zero[4] = {0};
  onnx_const value = {.type = ONNX_FLOAT, .n = 1, .data = zero};
  onnx_attribute a;
  uint8_t *data;
  int64_t dims[ONNX_MAX_RANK];
  snn_status status = snn_onnx_need_constants(im, node, in, 1);
  if (status == SNN_OK && snn_onnx_find_attribute(node, "value", &a)) {
    onnx_tensor t;
    status = snn_onnx_parse_tensor(a.tensor, &t, im->err);
    if (status == SNN_OK) status = snn_onnx_decode(im, &t, &value);
  }
  if (status != SNN_OK) return status;
  if (value.n != 1 || in[0]->n > ONNX_MAX_RANK || snn_onnx_is_real(in[0]->type))
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "it needs one value and a list of at most %d integers",
                         ONNX_MAX_RANK);
  for (size_t i = 0; i < in[0]->n; i++) {
    dims[i] = snn_onnx_int(in[0], i);
    if (dims[i] < 0) return snn_onnx_unsupported(im, node, " with a dimension that is negative or the batch's");
  }
  status = snn_onnx_new_const(im, node, value.type, (uint32_t)in[0]->n, dims, out, &data);
  size_t size = snn_onnx_element_size(value.type);
  for (size_t i = 0; status == SNN_OK && i < out->n; i++) memcpy(data + i * size, value.data, size);
  return status;
}

snn_status snn_onnx_fold_shape(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  int64_t start, end;
  snn_status status = snn_onnx_need_constants(im, node, in, 1);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "start", 0, &start);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "end", ONNX_MAX_RANK, &end);
  if (status != SNN_OK) return status;
  if (start != 0 || end < in[0]->rank) return snn_onnx_unsupported(im, node, " of a constant with start or end");
  return one_int(im, node, 1, in[0]->dims, in[0]->rank, out);
}

/* ---- the same data, seen differently ---- */

snn_status snn_onnx_fold_identity(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  snn_status status = snn_onnx_need_constants(im, node, in, 1);
  if (status == SNN_OK) *out = *in[0];
  return status;
}

snn_status snn_onnx_fold_cast(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  int64_t to;
  uint8_t *data;
  snn_status status = snn_onnx_need_constants(im, node, in, 1);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "to", 0, &to);
  if (status != SNN_OK) return status;
  if (!snn_onnx_element_size(to)) return snn_onnx_unsupported(im, node, " to type %lld", (long long)to);
  bool real = snn_onnx_is_real((onnx_type)to);
  if (to == (int64_t)in[0]->type || (real && snn_onnx_is_real(in[0]->type))) { /* a wider float holds it as well */
    *out = *in[0];
    return SNN_OK;
  }
  status = snn_onnx_new_const(im, node, real ? ONNX_FLOAT : ONNX_INT64, in[0]->rank, in[0]->dims, out, &data);
  if (status != SNN_OK) return status;
  out->name = in[0]->name;
  for (size_t i = 0; i < out->n; i++) {
    if (real)
      snn_onnx_put_float(data, i, (float)snn_onnx_real(in[0], i));
    else if (to == ONNX_BOOL)
      snn_onnx_put_int(data, i, snn_onnx_real(in[0], i) != 0);
    else
      snn_onnx_put_int(data, i, snn_onnx_int(in[0], i));
  }
  return SNN_OK;
}

snn_status snn_onnx_fold_reshape(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  int64_t allow_zero, dims[ONNX_MAX_RANK] = {0};
  snn_status status = snn_onnx_need_constants(im, node, in, 2);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "allowzero", 0, &allow_zero);
  if (status != SNN_OK) return status;
  if (in[1]->n > ONNX_MAX_RANK || snn_onnx_is_real(in[1]->type))
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its shape must be a list of at most %d integers", ONNX_MAX_RANK);
  uint32_t rank = (uint32_t)in[1]->n, inferred = ONNX_MAX_RANK;
  for (uint32_t i = 0; i < rank; i++) {
    dims[i] = snn_onnx_int(in[1], i);
    if (dims[i] == 0 && !allow_zero && i < in[0]->rank) dims[i] = in[0]->dims[i];
    if (dims[i] == -1 && inferred == ONNX_MAX_RANK) {
      inferred = i;
      dims[i] = 1;
    }
  }
  size_t n;
  bool fits = snn_onnx_count(rank, dims, &n);
  if (fits && inferred < ONNX_MAX_RANK) {
    fits = n > 0 && in[0]->n % n == 0;
    if (fits) dims[inferred] = (int64_t)(in[0]->n / n);
    n = fits ? in[0]->n : n;
  }
  if (!fits || n != in[0]->n) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its shape does not fit its input");
  *out = *in[0];
  out->rank = rank;
  memcpy(out->dims, dims, sizeof dims);
  return SNN_OK;
}

snn_status snn_onnx_fold_flatten(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  int64_t axis;
  snn_status status = snn_onnx_need_constants(im, node, in, 1);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "axis", 1, &axis);
  if (status != SNN_OK) return status;
  int64_t rank = in[0]->rank;
  if (axis < -rank || axis > rank) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its axis is out of range");
  if (axis < 0) axis += rank;
  *out = *in[0];
  out->rank = 2;
  out->dims[0] = out->dims[1] = 1;
  for (int64_t i = 0; i < rank; i++) out->dims[i >= axis] *= in[0]->dims[i]; /* n elements, so no overflow */
  return SNN_OK;
}

snn_status snn_onnx_squeeze_dims(onnx_import *im, const onnx_node *node, const int64_t *axes, uint32_t n_axes,
                                 uint32_t *rank, int64_t dims[ONNX_MAX_RANK]) {
  bool drop[ONNX_MAX_RANK] = {false};
  for (uint32_t i = 0; axes && i < n_axes; i++) {
    uint32_t k;
    if (!snn_onnx_axis(axes[i], *rank, &k) || dims[k] != 1)
      return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "axis %lld is not a dimension of 1", (long long)axes[i]);
    drop[k] = true;
  }
  uint32_t kept = 0;
  for (uint32_t i = 0; i < *rank; i++)
    if (axes ? !drop[i] : dims[i] != 1) dims[kept++] = dims[i];
  *rank = kept;
  return SNN_OK;
}

snn_status snn_onnx_unsqueeze_dims(onnx_import *im, const onnx_node *node, const int64_t *axes, uint32_t n_axes,
                                   uint32_t *rank, int64_t dims[ONNX_MAX_RANK]) {
  int64_t old[ONNX_MAX_RANK];
  bool fresh[ONNX_MAX_RANK] = {false};
  uint32_t n = *rank + n_axes, from = 0;
  if (n > ONNX_MAX_RANK) return snn_onnx_fail(im, node, SNN_ERR_TOO_LARGE, "more than %d dimensions", ONNX_MAX_RANK);
  memcpy(old, dims, sizeof old);
  for (uint32_t i = 0; i < n_axes; i++) {
    uint32_t k;
    if (!snn_onnx_axis(axes[i], n, &k) || fresh[k])
      return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "axis %lld is out of range or given twice", (long long)axes[i]);
    fresh[k] = true;
  }
  for (uint32_t i = 0; i < n; i++) dims[i] = fresh[i] ? 1 : old[from++];
  *rank = n;
  return SNN_OK;
}

static snn_status fold_dims(onnx_import *im, const onnx_node *node, constants in, onnx_const *out, bool squeeze) {
  int64_t axes[ONNX_MAX_RANK];
  uint32_t n_axes;
  bool given;
  snn_status status = snn_onnx_need_constants(im, node, in, 1);
  if (status == SNN_OK) status = snn_onnx_get_list(im, node, "axes", 1, axes, &n_axes, &given);
  if (status != SNN_OK) return status;
  onnx_const c = *in[0];
  status = squeeze ? snn_onnx_squeeze_dims(im, node, given ? axes : NULL, n_axes, &c.rank, c.dims)
                   : snn_onnx_unsqueeze_dims(im, node, axes, n_axes, &c.rank, c.dims);
  if (status == SNN_OK) *out = c;
  return status;
}

snn_status snn_onnx_fold_squeeze(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  return fold_dims(im, node, in, out, true);
}

snn_status snn_onnx_fold_unsqueeze(onnx_import *im, const onnx_node *node, constants in, onnx_const *out) {
  return fold_dims(im, node, in, out, false);
}
