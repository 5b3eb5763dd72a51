/* Operators that put layers together or take them apart: Concat, Slice, Split, Pad. They become concatenations and
 * slices, which copy and compute nothing. Invariant: the batch stays whole, and channels are the outermost of a
 * picture's dimensions, so that joining flattened maps of one size is joining their channels. Zeros around rows and
 * columns wait in the view (see onnx_activation) until a layer takes them in or needs them as values. */
#include <string.h>

#include "onnx/import.h"

static bool is_vector(snn_shape s) {
  return s.h == 1 && s.w == 1;
}

/* The layer's channels are dimension 1 of the view: a map, its rows and columns seen as one, or a vector. */
static bool channels_apart(const onnx_import *im, const onnx_activation *a) {
  snn_shape s = snn_onnx_shape(im, a);
  return a->rank >= 2 && a->dims[1] == (int64_t)s.c && (a->rank > 2 || is_vector(s));
}

/* ---- Concat ---- */

/* Whether b can stand beside a, the first of them; channels may differ. */
static bool fits_beside(const onnx_import *im, const onnx_activation *a, const onnx_activation *b) {
  snn_shape s = snn_onnx_shape(im, a), t = snn_onnx_shape(im, b);
  bool fits = s.h == t.h && s.w == t.w && a->rank == b->rank;
  for (uint32_t i = 2; fits && i < a->rank; i++) fits = a->dims[i] == b->dims[i];
  return fits && (a->rank == 2 || channels_apart(im, b));
}

snn_status snn_onnx_concat(onnx_import *im, const onnx_node *node) {
  uint32_t inputs[ONNX_MAX_NODE_VALUES], axis;
  int64_t given_axis;
  const onnx_activation *a = NULL, *b;
  onnx_activation view = {.rank = 0};
  snn_status status = snn_onnx_get_int(im, node, "axis", 1, &given_axis);
  for (uint32_t i = 0; status == SNN_OK && i < node->n_inputs; i++) {
    if (snn_onnx_is_constant(im, node, i))
      return snn_onnx_unsupported(im, node, " of a layer and a constant (input %u)", i);
    status = snn_onnx_get_activation(im, node, i, 0, &b);
    if (status != SNN_OK) return status;
    if (!a) {
      a = b;
      view = *a;
      view.dims[1] = 0;
    }
    if (!snn_onnx_axis(given_axis, b->rank, &axis) || axis != 1)
      return snn_onnx_unsupported(im, node, " along axis %lld; channels (axis 1) are joined", (long long)given_axis);
    if (!fits_beside(im, a, b))
      return snn_onnx_unsupported(im, node, " of layers whose rows and columns differ, or are not seen apart");
    view.dims[1] += b->dims[1]; /* at most 64 times 2^28 */
    inputs[i] = b->layer;
  }
  if (status != SNN_OK) return status;
  if (node->n_inputs == 1) return snn_onnx_alias(im, node, 0, a);
  snn_node layer = {.kind = SNN_LAYER_CONCAT, .n_inputs = node->n_inputs, .inputs = inputs};
  return snn_onnx_emit(im, node, &layer, (onnx_slice){NULL, 0}, &view);
}

/* ---- Slice and Split ---- */

/* A slice of `a`, seen as `a` is but for the extents it changes; `a` is a map or a vector. */
static snn_status emit_slice(onnx_import *im, const onnx_node *node, const onnx_activation *a, snn_shape shape,
                             const snn_slice *slice) {
  snn_node layer = {.kind = SNN_LAYER_SLICE, .n_inputs = 1, .inputs = &a->layer, .shape = shape, .slice = *slice};
  onnx_activation view = *a;
  view.dims[1] = shape.c;
  return snn_onnx_emit(im, node, &layer, (onnx_slice){NULL, 0}, a->rank == 2 ? &view : NULL);
}

/* The activation at input 0: a map, or a vector of channels. */
static snn_status get_sliceable(onnx_import *im, const onnx_node *node, const onnx_activation **out) {
  snn_status status = snn_onnx_get_activation(im, node, 0, 0, out);
  if (status != SNN_OK || ((*out)->rank == 2 && channels_apart(im, *out))) return status;
  return snn_onnx_get_map(im, node, 0, 0, out);
}

snn_status snn_onnx_slice(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  onnx_range ranges[ONNX_MAX_RANK] = {{0}};
  int64_t dims[ONNX_MAX_RANK];
  snn_status status = get_sliceable(im, node, &a);
  if (status != SNN_OK) return status;
  memcpy(dims, a->dims, sizeof dims);
  dims[0] = INT32_MAX; /* stands for any batch; what takes all of it takes this much */
  status = snn_onnx_slice_ranges(im, node, a->rank, dims, ranges);
  if (status != SNN_OK) return status;
  bool whole = true;
  for (uint32_t k = 0; k < a->rank; k++) {
    const onnx_range *r = &ranges[k];
    bool all = r->first == 0 && r->step == 1 && (r->count == dims[k] || (k == 0 && r->count == im->batch));
    whole = whole && all;
    if (k == 0 && !all) return snn_onnx_unsupported(im, node, " of the batch");
    if (r->count == 0) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "it leaves nothing of dimension %u", k);
    if (r->step < 1 || (k == 1 && r->step != 1 && r->count > 1))
      return snn_onnx_unsupported(im, node, " backwards, or of every so many channels");
  }
  if (whole) return snn_onnx_alias(im, node, 0, a);
  snn_shape shape = {1, 1, 1};
  snn_slice slice = {.step = {1, 1}};
  uint32_t *const extents[3] = {&shape.c, &shape.h, &shape.w};
  for (uint32_t k = 1; k < a->rank; k++) { /* all within the layer's shape */
    *extents[k - 1] = (uint32_t)ranges[k].count;
    slice.start[k - 1] = (uint32_t)ranges[k].first;
    if (k > 1 && ranges[k].count > 1) slice.step[k - 2] = (uint32_t)ranges[k].step;
  }
  return emit_slice(im, node, a, shape, &slice);
}

/* The channels each output of a Split takes: listed, or equal but for the last. */
static snn_status split_sizes(onnx_import *im, const onnx_node *node, int64_t channels,
                              int64_t sizes[ONNX_MAX_NODE_VALUES]) {
  const onnx_const *listed;
  int64_t wanted, sum = 0;
  snn_status status = snn_onnx_constant(im, node, 1, &listed);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "num_outputs", node->n_outputs, &wanted);
  if (status != SNN_OK) return status;
  int64_t part = (channels + node->n_outputs - 1) / node->n_outputs, old[ONNX_MAX_RANK];
  uint32_t n_old = 0;
  bool given = false;
  if (!listed) status = snn_onnx_get_ints(im, node, "split", old, &n_old, &given);
  if (status != SNN_OK) return status;
  size_t n = listed ? listed->n : given ? n_old : node->n_outputs;
  bool fits = n == node->n_outputs && wanted == (int64_t)n && !(listed && snn_onnx_is_real(listed->type));
  for (size_t k = 0; fits && k < n; k++) {
    sizes[k] = listed ? snn_onnx_int(listed, k) : given ? old[k] : k + 1 < n ? part : channels - sum;
    fits = sizes[k] >= 1 && sizes[k] <= channels - sum;
    sum += fits ? sizes[k] : 0;
  }
  if (!fits || sum != channels)
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its parts do not make up %lld channels for %u outputs",
                         (long long)channels, node->n_outputs);
  return SNN_OK;
}

snn_status snn_onnx_split(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  int64_t given_axis, sizes[ONNX_MAX_NODE_VALUES] = {0};
  uint32_t axis, first = 0;
  snn_status status = get_sliceable(im, node, &a);
  if (status == SNN_OK) status = snn_onnx_get_int(im, node, "axis", 0, &given_axis);
  if (status != SNN_OK) return status;
  if (!snn_onnx_axis(given_axis, a->rank, &axis) || axis != 1)
    return snn_onnx_unsupported(im, node, " along axis %lld; channels (axis 1) are split", (long long)given_axis);
  snn_shape shape = snn_onnx_shape(im, a);
  status = split_sizes(im, node, shape.c, sizes);
  for (uint32_t k = 0; status == SNN_OK && k < node->n_outputs; k++) {
    const snn_slice slice = {.start = {first, 0, 0}, .step = {1, 1}};
    onnx_node part = *node; /* the node as far as this output goes */
    part.outputs = node->outputs + k;
    part.n_outputs = 1;
    shape.c = (uint32_t)sizes[k];
    first += shape.c;
    if (snn_onnx_wanted(im, &part)) status = emit_slice(im, &part, a, shape, &slice);
  }
  return status;
}

/* ---- Pad ---- */

/* Pads, zero so far, as [begin of each dimension..., end of each...]; *all_zero is the usual case of exporters. */
static snn_status get_pads(onnx_import *im, const onnx_node *node, uint32_t rank, int64_t pads[2 * ONNX_MAX_RANK],
                           bool *all_zero) {
  int64_t list[ONNX_MAX_RANK], axes[ONNX_MAX_RANK];
  uint32_t n, n_axes;
  bool given, axes_given;
  snn_status status = snn_onnx_get_list(im, node, "pads", 1, list, &n, &given);
  if (status == SNN_OK) status = snn_onnx_get_list(im, node, "axes", 3, axes, &n_axes, &axes_given);
  if (status != SNN_OK) return status;
  if (!axes_given)
    for (n_axes = 0; n_axes < rank; n_axes++) axes[n_axes] = n_axes;
  if (!given || n != 2 * n_axes)
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "it needs two pads for each of %u dimensions", n_axes);
  *all_zero = true;
  for (uint32_t i = 0; i < n_axes; i++) {
    uint32_t axis;
    if (!snn_onnx_axis(axes[i], rank, &axis)) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "an axis is out of range");
    pads[axis] = list[i];
    pads[rank + axis] = list[n_axes + i];
    *all_zero = *all_zero && list[i] == 0 && list[n_axes + i] == 0;
  }
  return SNN_OK;
}

/* The fill value, an attribute before opset 11. */
static snn_status get_pad_value(onnx_import *im, const onnx_node *node, double *out) {
  const onnx_const *c;
  float value;
  snn_status status = snn_onnx_constant(im, node, 2, &c);
  if (status == SNN_OK) status = snn_onnx_get_float(im, node, "value", 0.0f, &value);
  if (status == SNN_OK) *out = c && c->n == 1 ? snn_onnx_real(c, 0) : (double)value;
  return status;
}

/* Zeros at both ends of each axis, or elements taken away where a pad is negative. */
static snn_status emit_padded(onnx_import *im, const onnx_node *node, const onnx_activation *a, const int64_t begin[3],
                              const int64_t end[3]) {
  snn_shape in = snn_onnx_shape(im, a), shape = in;
  snn_slice slice = {.step = {1, 1}};
  const uint32_t extents[3] = {in.c, in.h, in.w};
  uint32_t *const out[3] = {&shape.c, &shape.h, &shape.w};
  for (uint32_t k = 0; k < 3; k++) {
    int64_t least = -(int64_t)extents[k], most = SNN_MAX_DIMENSION;
    if (begin[k] < least || begin[k] > most || end[k] < least || end[k] > most || extents[k] + begin[k] + end[k] < 1 ||
        extents[k] + begin[k] + end[k] > most || begin[k] == least)
      return snn_onnx_unsupported(im, node, " with pads that leave nothing, or more than %d elements, of a dimension",
                                  SNN_MAX_DIMENSION);
    *out[k] = (uint32_t)(extents[k] + begin[k] + end[k]);
    slice.start[k] = begin[k] < 0 ? (uint32_t)-begin[k] : 0;
    slice.pad[k] = begin[k] > 0 ? (uint32_t)begin[k] : 0;
  }
  return emit_slice(im, node, a, shape, &slice);
}

snn_status snn_onnx_settle_pads(onnx_import *im, onnx_value *value) {
  const onnx_activation *a = value->activation;
  const onnx_node *maker = &im->model.graph.nodes[value->producer]; /* only a node's output has pads */
  const int64_t begin[3] = {0, a->pad_top, a->pad_left}, end[3] = {0, a->pad_bottom, a->pad_right};
  return emit_padded(im, maker, a, begin, end); /* which becomes the value's activation */
}

snn_status snn_onnx_pad(onnx_import *im, const onnx_node *node) {
  const onnx_activation *a;
  onnx_slice mode = {NULL, 0};
  double value = 0;
  bool all_zero = false;
  int64_t pads[2 * ONNX_MAX_RANK] = {0};
  snn_status status = snn_onnx_get_activation(im, node, 0, ONNX_PADS | ONNX_OFFSET, &a);
  if (status == SNN_OK) status = get_pads(im, node, a->rank, pads, &all_zero);
  if (status == SNN_OK) status = snn_onnx_get_text(im, node, "mode", &mode);
  if (status == SNN_OK) status = get_pad_value(im, node, &value);
  if (status != SNN_OK) return status;
  if (all_zero) return snn_onnx_alias(im, node, 0, a);
  if ((mode.n && !snn_slice_is(mode, "constant")) || value != 0)
    return snn_onnx_unsupported(im, node, " with a mode other than constant or a value other than 0");
  status = snn_onnx_get_map(im, node, 0, ONNX_PADS | ONNX_OFFSET, &a);
  if (status != SNN_OK) return status;
  if (pads[0] || pads[4]) return snn_onnx_unsupported(im, node, " of the batch");
  const int64_t begin[3] = {pads[1], pads[2], pads[3]}, end[3] = {pads[5], pads[6], pads[7]};
  uint32_t *fields[4];
  onnx_activation view = *a;
  const int64_t wanted[4] = {pads[2], pads[3], pads[6], pads[7]};
  fields[0] = &view.pad_top;
  fields[1] = &view.pad_left;
  fields[2] = &view.pad_bottom;
  fields[3] = &view.pad_right;
  bool waits = !pads[1] && !pads[5];
  for (uint32_t k = 0; k < 4; k++) {
    waits = waits && wanted[k] >= 0 && wanted[k] <= SNN_MAX_DIMENSION - (int64_t)*fields[k];
    if (waits) *fields[k] += (uint32_t)wanted[k];
  }
  if (waits) return snn_onnx_alias(im, node, 0, &view);
  status = snn_onnx_get_map(im, node, 0, 0, &a); /* earlier zeros are values like others now */
  return status == SNN_OK ? emit_padded(im, node, a, begin, end) : status;
}
