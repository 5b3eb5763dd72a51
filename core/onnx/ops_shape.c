/* Operators that only look at a layer differently: Flatten, Reshape, Squeeze, Unsqueeze, Transpose, Shape. None of them
 * makes a layer. Invariant: the elements of a view are those of its layer in ONNX order, so the batch stays dimension 0
 * and the product of the others stays the layer's size. Real transposition of activations is refused. */
#include "onnx/import.h"

static int64_t view_size(const onnx_import *im, const onnx_activation *a) {
  return (int64_t)snn_shape_size(snn_onnx_shape(im, a));
}

snn_status snn_onnx_flatten(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  int64_t axis;
  uint32_t k;
  snn_status status = snn_onnx_get_activation(im, node, 0, ONNX_OFFSET, &a);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "axis", 1, &axis);
  if (status != SNN_OK) return status;
  if (!snn_onnx_axis(axis, a->rank, &k) || k != 1)
    return snn_onnx_unsupported(im, node, " with axis %lld; axis 1, which keeps the batch apart, is", (long long)axis);
  onnx_activation view = *a;
  view.rank = 2;
  view.dims[1] = view_size(im, a);
  return snn_onnx_alias(im, node, 0, &view);
}

/* Whether a target's first dimension can only mean the batch. A network sees one picture at a time, so 1 does. */
static bool means_batch(const onnx_import *im, int64_t d) {
  return d == ONNX_BATCH || d == -1 || d == 0 || d == 1 || d == im->batch;
}

snn_status snn_onnx_reshape(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  const onnx_const *target;
  int64_t allow_zero;
  snn_status status = snn_onnx_get_activation(im, node, 0, ONNX_OFFSET, &a);
  if (status == SNN_OK) status = snn_onnx_constant(im, node, 1, &target);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "allowzero", 0, &allow_zero);
  if (status != SNN_OK) return status;
  if (!target || snn_onnx_is_real(target->type) || target->n > ONNX_MAX_RANK || target->rank != 1)
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its shape must be a list of at most %d integers", ONNX_MAX_RANK);
  onnx_activation view = *a;
  view.rank = (uint32_t)target->n;
  int64_t size = view_size(im, a), known = 1;
  uint32_t inferred = 0; /* dimension 0 is the batch, so 0 says that there is none */
  if (view.rank < 2 || !means_batch(im, snn_onnx_int(target, 0)))
    return snn_onnx_unsupported(im, node, " where it does not keep the batch as the first of two or more dimensions");
  for (uint32_t i = 1; i < view.rank; i++) {
    int64_t d = snn_onnx_int(target, i);
    if (d == 0 && !allow_zero && i < a->rank) d = a->dims[i];
    if (d == -1 && !inferred && snn_onnx_int(target, 0) != -1) {
      inferred = i;
      continue;
    }
    if (d < 1 || known > size / d)
      return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its shape does not fit an input of %lld elements",
                           (long long)size);
    view.dims[i] = d;
    known *= d;
  }
  if (inferred) view.dims[inferred] = size / known;
  if ((inferred && size % known) || (!inferred && known != size))
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its shape does not fit an input of %lld elements", (long long)size);
  return snn_onnx_alias(im, node, 0, &view);
}

snn_status snn_onnx_squeeze(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  int64_t axes[ONNX_MAX_RANK];
  uint32_t n_axes;
  bool given;
  snn_status status = snn_onnx_get_activation(im, node, 0, ONNX_OFFSET, &a);
  if (status == SNN_OK) status = snn_onnx_get_list(im, node, "axes", 1, axes, &n_axes, &given);
  if (status != SNN_OK) return status;
  if (!given && im->batch == 1)
    return snn_onnx_unsupported(im, node, " without axes where the batch is 1: it would drop the batch");
  onnx_activation view = *a;
  status = snn_onnx_squeeze_dims(im, node, given ? axes : NULL, n_axes, &view.rank, view.dims);
  if (status != SNN_OK) return status;
  if (view.rank < 2) return snn_onnx_unsupported(im, node, " where it leaves fewer than two dimensions");
  return snn_onnx_alias(im, node, 0, &view);
}

snn_status snn_onnx_unsqueeze(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  int64_t axes[ONNX_MAX_RANK];
  uint32_t n_axes;
  bool given;
  snn_status status = snn_onnx_get_activation(im, node, 0, ONNX_OFFSET, &a);
  if (status == SNN_OK) status = snn_onnx_get_list(im, node, "axes", 1, axes, &n_axes, &given);
  if (status != SNN_OK) return status;
  onnx_activation view = *a;
  status = snn_onnx_unsqueeze_dims(im, node, axes, n_axes, &view.rank, view.dims);
  if (status != SNN_OK) return status;
  if (view.dims[0] != ONNX_BATCH) return snn_onnx_unsupported(im, node, " where it puts a dimension before the batch");
  return snn_onnx_alias(im, node, 0, &view);
}

snn_status snn_onnx_transpose(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  int64_t permutation[ONNX_MAX_RANK];
  uint32_t n;
  bool given;
  snn_status status = snn_onnx_get_activation(im, node, 0, ONNX_PADS | ONNX_OFFSET, &a);
  if (status == SNN_OK) status = snn_onnx_get_ints(im, node, "perm", permutation, &n, &given);
  if (status != SNN_OK) return status;
  bool same = given && n == a->rank;
  for (uint32_t i = 0; i < n && same; i++) same = permutation[i] == (int64_t)i;
  if (!same) return snn_onnx_unsupported(im, node, " on activations; export the model with channels first ([N,C,H,W])");
  return snn_onnx_alias(im, node, 0, a);
}

snn_status snn_onnx_shape_of(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  onnx_const c;
  uint8_t *data;
  int64_t start, end;
  snn_status status = snn_onnx_get_activation(im, node, 0, ONNX_OFFSET, &a);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "start", 0, &start);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "end", ONNX_MAX_RANK, &end);
  if (status != SNN_OK) return status;
  int64_t rank = a->rank;
  if (start < 0) start = start < -rank ? 0 : start + rank;
  if (end < 0) end = end < -rank ? 0 : end + rank;
  if (end > rank) end = rank;
  if (start > end) start = end;
  int64_t n = end - start;
  status = snn_onnx_new_const(im, node, ONNX_INT64, 1, &n, &c, &data);
  if (status != SNN_OK) return status;
  for (int64_t i = 0; i < n; i++) snn_onnx_put_int(data, (size_t)i, a->dims[start + i]);
  return snn_onnx_set_constant(im, node, &c);
}
