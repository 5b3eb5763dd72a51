/* What handlers use to read a node and to produce its output: inputs, attributes, messages, the memory budget. Keeps
 * the invariant that a value becomes a constant or an activation once, and that every failure names the node. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "onnx/import.h"

/* ---- messages ---- */

const char *snn_onnx_text(onnx_slice s, char *buf, size_t n_buf) {
  size_t n = s.n < n_buf ? s.n : n_buf - 1;
  for (size_t i = 0; i < n; i++) buf[i] = s.bytes[i] >= 0x20 && s.bytes[i] < 0x7f ? (char)s.bytes[i] : '?';
  buf[n] = '\0';
  return buf;
}

void snn_onnx_label(const onnx_node *node, char out[ONNX_LABEL]) {
  char op[ONNX_LABEL - 16];
  if (node->name.n)
    snn_onnx_text(node->name, out, ONNX_LABEL);
  else
    snprintf(out, ONNX_LABEL, "%s #%u", snn_onnx_text(node->op, op, sizeof op), node->index);
}

snn_status snn_onnx_fail(onnx_import *im, const onnx_node *node, snn_status status, const char *format, ...) {
  char label[ONNX_LABEL], text[256];
  snn_onnx_label(node, label);
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return snn_fail(im->err, status, label, "%s", text);
}

snn_status snn_onnx_unsupported(onnx_import *im, const onnx_node *node, const char *format, ...) {
  char label[ONNX_LABEL], op[64], text[200];
  snn_onnx_label(node, label);
  va_list args;
  va_start(args, format);
  vsnprintf(text, sizeof text, format, args);
  va_end(args);
  return snn_fail(im->err, SNN_ERR_UNSUPPORTED, label, "operator %s (opset %lld) is not supported%s",
                  snn_onnx_text(node->op, op, sizeof op), (long long)im->model.opset, text);
}

snn_status snn_onnx_spend(onnx_import *im, const onnx_node *node, size_t bytes) {
  if (bytes > im->budget)
    return snn_onnx_fail(im, node, SNN_ERR_TOO_LARGE,
                         "the graph asks for far more memory than a file of its size should need");
  im->budget -= bytes;
  return SNN_OK;
}

/* ---- inputs ---- */

bool snn_onnx_is_constant(onnx_import *im, const onnx_node *node, uint32_t i) {
  const onnx_value *v = snn_onnx_input(im, node, i);
  return v && (v->initializer || v->constant);
}

snn_status snn_onnx_constant(onnx_import *im, const onnx_node *node, uint32_t i, const onnx_const **out) {
  onnx_value *v = snn_onnx_input(im, node, i);
  *out = NULL;
  if (!v) return SNN_OK;
  if (!v->constant && !v->initializer)
    return snn_onnx_unsupported(im, node, " with an input %u that is computed at run time; it must be constant", i);
  if (!v->constant) {
    onnx_const *c = snn_arena_alloc(&im->scratch, 1, sizeof *c);
    if (!c) return snn_fail_memory(im->err, "a constant");
    snn_status status = snn_onnx_decode(im, v->initializer, c);
    if (status != SNN_OK) return status;
    v->constant = c;
  }
  *out = v->constant;
  return SNN_OK;
}

snn_status snn_onnx_get_activation(onnx_import *im, const onnx_node *node, uint32_t i, unsigned takes,
                                   const onnx_activation **out) {
  onnx_value *v = snn_onnx_input(im, node, i);
  if (!v) return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its input %u is missing", i);
  const onnx_activation *a = v->activation;
  if (!a) return snn_onnx_unsupported(im, node, " on a constant input %u", i);
  bool padded = a->pad_top || a->pad_left || a->pad_bottom || a->pad_right,
       settles_pads = padded && !(takes & ONNX_PADS);
  snn_status status = SNN_OK;
  if (a->offset != 0 && (settles_pads || !(takes & ONNX_OFFSET))) status = snn_onnx_settle_offset(im, v);
  if (status == SNN_OK && settles_pads) status = snn_onnx_settle_pads(im, v);
  if (status != SNN_OK) return status;
  *out = v->activation;
  return SNN_OK;
}

snn_shape snn_onnx_shape(const onnx_import *im, const onnx_activation *a) {
  return im->net->nodes[a->layer].shape;
}

const snn_node *snn_onnx_layer(const onnx_import *im, const onnx_activation *a) {
  return &im->net->nodes[a->layer];
}

snn_status snn_onnx_get_map(onnx_import *im, const onnx_node *node, uint32_t i, unsigned takes,
                            const onnx_activation **out) {
  snn_status status = snn_onnx_get_activation(im, node, i, takes, out);
  if (status != SNN_OK) return status;
  const onnx_activation *a = *out;
  snn_shape s = snn_onnx_shape(im, a);
  if (a->rank == 3 || a->rank == 5)
    return snn_onnx_unsupported(im, node, " on %u-dimensional values; only two-dimensional maps are ([N,C,H,W])",
                                a->rank);
  if (a->rank != 4 || a->dims[1] != s.c || a->dims[2] != s.h || a->dims[3] != s.w)
    return snn_onnx_unsupported(im, node, " on a reshaped or flattened value; it needs the %ux%ux%u map itself", s.c,
                                s.h, s.w);
  return SNN_OK;
}

bool snn_onnx_exclusive(onnx_import *im, const onnx_node *node, uint32_t i, const onnx_activation *a) {
  return !a->shared && snn_onnx_input(im, node, i)->n_uses == 1;
}

/* ---- attributes ---- */

/* Find an attribute and check its type, where the writer gave one. */
static snn_status get_typed(onnx_import *im, const onnx_node *node, const char *name, onnx_attribute_type type,
                            onnx_attribute *out, bool *given) {
  *given = snn_onnx_find_attribute(node, name, out);
  if (*given && out->type && out->type != (int64_t)type)
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its attribute %s is of the wrong type", name);
  return SNN_OK;
}

snn_status snn_onnx_get_int(onnx_import *im, const onnx_node *node, const char *name, int64_t absent, int64_t *out) {
  onnx_attribute a;
  bool given;
  snn_status status = get_typed(im, node, name, ONNX_ATTRIBUTE_INT, &a, &given);
  if (status == SNN_OK) *out = given ? a.i : absent;
  return status;
}

snn_status snn_onnx_get_float(onnx_import *im, const onnx_node *node, const char *name, float absent, float *out) {
  onnx_attribute a;
  bool given;
  snn_status status = get_typed(im, node, name, ONNX_ATTRIBUTE_FLOAT, &a, &given);
  if (status == SNN_OK) *out = given ? a.f : absent;
  return status;
}

snn_status snn_onnx_get_text(onnx_import *im, const onnx_node *node, const char *name, onnx_slice *out) {
  onnx_attribute a;
  bool given;
  snn_status status = get_typed(im, node, name, ONNX_ATTRIBUTE_STRING, &a, &given);
  if (status == SNN_OK) *out = given ? a.text : (onnx_slice){NULL, 0};
  return status;
}

snn_status snn_onnx_get_ints(onnx_import *im, const onnx_node *node, const char *name, int64_t out[ONNX_MAX_RANK],
                             uint32_t *n, bool *given) {
  onnx_attribute a;
  size_t count = 0;
  snn_status status = get_typed(im, node, name, ONNX_ATTRIBUTE_INTS, &a, given);
  if (status != SNN_OK) return status;
  if (*given && (!snn_onnx_attribute_ints(&a, out, ONNX_MAX_RANK, &count) || count > ONNX_MAX_RANK))
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its attribute %s has more than %d entries", name, ONNX_MAX_RANK);
  *n = (uint32_t)count;
  return SNN_OK;
}

snn_status snn_onnx_get_list(onnx_import *im, const onnx_node *node, const char *name, uint32_t i,
                             int64_t out[ONNX_MAX_RANK], uint32_t *n, bool *given) {
  const onnx_const *c;
  snn_status status = snn_onnx_constant(im, node, i, &c);
  if (status != SNN_OK) return status;
  if (!c) return snn_onnx_get_ints(im, node, name, out, n, given);
  if (c->n > ONNX_MAX_RANK || c->rank > 1 || snn_onnx_is_real(c->type))
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "its input %u must be a list of at most %d integers", i,
                         ONNX_MAX_RANK);
  for (size_t k = 0; k < c->n; k++) out[k] = snn_onnx_int(c, k);
  *n = (uint32_t)c->n;
  *given = true;
  return SNN_OK;
}

bool snn_onnx_axis(int64_t axis, uint32_t rank, uint32_t *out) {
  if (axis < -(int64_t)rank || axis >= (int64_t)rank) return false;
  *out = (uint32_t)(axis < 0 ? axis + rank : axis);
  return true;
}

/* ---- outputs ---- */

/* Values are found by name, so output 0 can be looked up like an input. */
static onnx_value *output_value(onnx_import *im, const onnx_node *node) {
  const onnx_node reader = {.n_inputs = 1, .inputs = node->outputs};
  return snn_onnx_input(im, &reader, 0);
}

bool snn_onnx_wanted(onnx_import *im, const onnx_node *node) {
  return node->outputs[0].n && output_value(im, node)->needed;
}

bool snn_onnx_is_last(onnx_import *im, const onnx_node *node) {
  const onnx_value *v = output_value(im, node);
  return v->is_output && v->n_uses == 1;
}

const onnx_activation *snn_onnx_result(onnx_import *im, const onnx_node *node) {
  return output_value(im, node)->activation;
}

snn_status snn_onnx_set_constant(onnx_import *im, const onnx_node *node, const onnx_const *c) {
  onnx_const *copy = snn_arena_alloc(&im->scratch, 1, sizeof *copy);
  if (!copy) return snn_fail_memory(im->err, "a constant");
  *copy = *c;
  output_value(im, node)->constant = copy;
  return SNN_OK;
}

void snn_onnx_set_offset(onnx_import *im, const onnx_node *node, double offset) {
  output_value(im, node)->activation->offset = offset;
}

static snn_status set_activation(onnx_import *im, const onnx_node *node, const onnx_activation *a) {
  onnx_activation *copy = snn_arena_alloc(&im->scratch, 1, sizeof *copy);
  if (!copy) return snn_fail_memory(im->err, "a layer");
  *copy = *a;
  output_value(im, node)->activation = copy;
  return SNN_OK;
}

snn_status snn_onnx_alias(onnx_import *im, const onnx_node *node, uint32_t i, const onnx_activation *seen) {
  onnx_activation a = *seen;
  a.shared = !snn_onnx_exclusive(im, node, i, seen);
  return set_activation(im, node, &a);
}

snn_status snn_onnx_emit(onnx_import *im, const onnx_node *node, snn_node *layer, onnx_slice weight,
                         const onnx_activation *view) {
  char name[SNN_MAX_NAME];
  onnx_activation a = {.rank = 0};
  snn_status status = snn_onnx_name_layer(im, node, layer, weight, name);
  if (status != SNN_OK) return status;
  layer->name = name;
  status = snn_graph_add(im->net, layer, &a.layer, im->err);
  if (status != SNN_OK) return status;
  if (view) {
    a.rank = view->rank;
    memcpy(a.dims, view->dims, sizeof a.dims);
  } else {
    snn_shape s = im->net->nodes[a.layer].shape;
    a.rank = 4;
    a.dims[0] = ONNX_BATCH;
    a.dims[1] = s.c;
    a.dims[2] = s.h;
    a.dims[3] = s.w;
  }
  return set_activation(im, node, &a);
}

snn_status snn_onnx_floats(onnx_import *im, const onnx_node *node, size_t n, float **out) {
  size_t bytes;
  if (!snn_mul(n, sizeof(float), &bytes))
    return snn_onnx_fail(im, node, SNN_ERR_TOO_LARGE, "weights of impossible size");
  snn_status status = snn_onnx_spend(im, node, bytes);
  if (status != SNN_OK) return status;
  *out = snn_arena_alloc(&im->net->arena, n, sizeof **out);
  return *out ? SNN_OK : snn_fail_memory(im->err, "weights");
}

snn_status snn_onnx_numbers(onnx_import *im, const onnx_node *node, uint32_t n, double **out) {
  snn_status status = snn_onnx_spend(im, node, n * sizeof **out);
  if (status != SNN_OK) return status;
  *out = snn_arena_alloc(&im->scratch, n, sizeof **out);
  return *out ? SNN_OK : snn_fail_memory(im->err, "constants");
}
