/* The layers of a model file: their attributes from JSON, their tensors from the container.
 *
 * Invariant: a tensor reaches snn_graph_add only with the shape that its layer's attributes and input ask for. Whether
 * values are finite, inputs precede their readers and windows fit is snn_graph_add's work and not repeated here. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "graph/stored.h"
#include "model/format.h"
#include "model/rounding.h"

enum { LARGE = 1 << 16 }; /* weights */

typedef struct graph_reader {
  snn_network *net;
  const snn_safetensors *file;
  bool *behind_neurons; /* [layers]: some neurons come before it, or it is some */
  snn_error *err;
} graph_reader;

/* ---- tensors ---- */

static const snn_tensor *find_tensor(const graph_reader *r, const char *layer, const char *ending) {
  char name[SNN_MAX_TENSOR_NAME];
  snprintf(name, sizeof name, "%s%s", layer, ending); /* fits: layer names were measured */
  return snn_safetensors_find(r->file, name);
}

static snn_status fail_missing(const graph_reader *r, const char *layer, const char *ending) {
  char name[SNN_MAX_TENSOR_NAME];
  snprintf(name, sizeof name, "%s%s", layer, ending);
  return snn_fail(r->err, SNN_ERR_FORMAT, name, "this tensor is missing");
}

/* An F32 tensor of n elements in one dimension: where it lies, or a copy in the arena when that is unaligned. */
static snn_status read_floats(const graph_reader *r, const snn_tensor *t, size_t n, const float **out) {
  if (t->dtype != SNN_DTYPE_F32)
    return snn_fail(r->err, SNN_ERR_FORMAT, t->name, "its dtype is %s; it must be F32", snn_dtype_name(t->dtype));
  if (t->rank != 1 || t->shape[0] != n)
    return snn_fail(r->err, SNN_ERR_FORMAT, t->name, "it has %zu elements in %u dimensions; its layer needs [%zu]",
                    t->n_elements, t->rank, n);
  if ((uintptr_t)t->bytes % _Alignof(float) == 0) {
    *out = (const float *)(const void *)t->bytes;
    return SNN_OK;
  }
  float *copy = snn_arena_alloc(&r->net->arena, n, sizeof *copy);
  if (!copy) return snn_fail_memory(r->err, t->name);
  memcpy(copy, t->bytes, t->n_bytes);
  *out = copy;
  return SNN_OK;
}

/* The scales of an I8 tensor, one an output channel; only its expanded weights are seen by snn_graph_add. */
static snn_status read_scales(const graph_reader *r, const char *layer, size_t channels, const float **out) {
  const snn_tensor *t = find_tensor(r, layer, SNN_TENSOR_SCALE);
  if (!t) return fail_missing(r, layer, SNN_TENSOR_SCALE);
  const float *scale = NULL;
  snn_status status = read_floats(r, t, channels, &scale);
  if (status != SNN_OK) return status;
  for (size_t c = 0; c < channels; c++)
    if (!(isfinite(scale[c]) && scale[c] > 0))
      return snn_fail(r->err, SNN_ERR_FORMAT, t->name, "a scale must be finite and > 0");
  *out = scale;
  return SNN_OK;
}

/* Large weights in fewer bits become floats when someone wants them: here only those that plans read while they are
 * made, which no neurons come before, and those that snn_graph_add must look at. */
static snn_status keep_or_expand(const graph_reader *r, const snn_tensor *t, const snn_stored *stored,
                                 bool behind_neurons) {
  snn_stored *kept = snn_arena_alloc(&r->net->arena, 1, sizeof *kept);
  snn_spare *spare = snn_arena_alloc(&r->net->arena, 1, sizeof *spare);
  if (!kept || !spare) return snn_fail_memory(r->err, t->name);
  *kept = *stored;
  if (behind_neurons && t->n_elements >= LARGE && snn_stored_is_finite(kept)) {
    kept->next = r->net->stored;
    r->net->stored = kept;
    return SNN_OK;
  }
  snn_stored_expand_all(kept);
  *spare = (snn_spare){t->bytes, t->n_bytes, r->net->spares};
  r->net->spares = spare;
  return SNN_OK;
}

/* Weights of any stored type as floats, or where they will be floats. The tensor has four dimensions, the last one the
 * output channels. */
static snn_status expand_weights(const graph_reader *r, const char *layer, const snn_tensor *t, bool behind_neurons,
                                 const float **out) {
  const float *scale = NULL;
  if (t->n_elements > SNN_MAX_LAYER_ELEMENTS)
    return snn_fail(r->err, SNN_ERR_TOO_LARGE, t->name, "%zu weights, more than the limit of %zu", t->n_elements,
                    SNN_MAX_LAYER_ELEMENTS);
  bool in_place = t->dtype == SNN_DTYPE_F32 && (uintptr_t)t->bytes % _Alignof(float) == 0;
  if (in_place) {
    *out = (const float *)(const void *)t->bytes;
    return SNN_OK;
  }
  if (t->dtype == SNN_DTYPE_I8) {
    snn_status status = read_scales(r, layer, t->shape[3], &scale);
    if (status != SNN_OK) return status;
    if (!snn_i8_is_symmetric(t->bytes, t->n_elements))
      return snn_fail(r->err, SNN_ERR_FORMAT, t->name, "an I8 weight is -128; they must be -127..127");
  }
  float *w = snn_arena_alloc(&r->net->arena, t->n_elements, sizeof *w);
  if (!w) return snn_fail_memory(r->err, t->name);
  *out = w;
  const snn_stored stored = {.kind = t->dtype == SNN_DTYPE_F16 ? SNN_STORED_F16 : SNN_STORED_I8,
                             .bytes = t->bytes,
                             .scale = scale,
                             .rows = t->n_elements / t->shape[3],
                             .channels = t->shape[3],
                             .weights = w};
  snn_spare *spare = NULL;
  switch (t->dtype) {
    case SNN_DTYPE_F16:
    case SNN_DTYPE_I8: return keep_or_expand(r, t, &stored, behind_neurons);
    case SNN_DTYPE_F32: memcpy(w, t->bytes, t->n_bytes); break;
    case SNN_DTYPE_BF16: snn_expand_bf16(t->bytes, t->n_elements, w); break;
    default:
      return snn_fail(r->err, SNN_ERR_FORMAT, t->name, "its dtype is %s; weights are F32, F16, BF16 or I8",
                      snn_dtype_name(t->dtype));
  }
  if (!(spare = snn_arena_alloc(&r->net->arena, 1, sizeof *spare))) return snn_fail_memory(r->err, t->name);
  *spare = (snn_spare){t->bytes, t->n_bytes, r->net->spares};
  r->net->spares = spare;
  return SNN_OK;
}

/* ---- attributes ---- */

/* Extents as they stand in the file; kernel is required, the rest has defaults. */
static snn_status read_window(const graph_reader *r, const json_t *entry, const char *name, snn_window *w) {
  uint32_t kernel[2] = {1, 1}, stride[2] = {1, 1}, pads[4] = {0}, dilation[2] = {1, 1};
  snn_status status = snn_json_uints(entry, "kernel", 2, SNN_MAX_DIMENSION, true, kernel, name, r->err);
  if (status == SNN_OK) status = snn_json_uints(entry, "stride", 2, SNN_MAX_DIMENSION, false, stride, name, r->err);
  if (status == SNN_OK) status = snn_json_uints(entry, "pads", 4, SNN_MAX_DIMENSION, false, pads, name, r->err);
  if (status == SNN_OK) status = snn_json_uints(entry, "dilation", 2, SNN_MAX_DIMENSION, false, dilation, name, r->err);
  if (status != SNN_OK) return status;
  *w = (snn_window){.kernel_h = kernel[0],
                    .kernel_w = kernel[1],
                    .stride_h = stride[0],
                    .stride_w = stride[1],
                    .pad_top = pads[0],
                    .pad_left = pads[1],
                    .pad_bottom = pads[2],
                    .pad_right = pads[3],
                    .dilation_h = dilation[0],
                    .dilation_w = dilation[1]};
  return SNN_OK;
}

static snn_status read_input(const graph_reader *r, const json_t *entry, snn_node *node) {
  uint32_t shape[3] = {0};
  snn_status status = snn_json_uints(entry, "shape", 3, SNN_MAX_DIMENSION, true, shape, node->name, r->err);
  if (status == SNN_OK) node->shape = (snn_shape){shape[0], shape[1], shape[2]};
  return status;
}

static snn_status read_slice(const graph_reader *r, const json_t *entry, snn_node *node) {
  snn_slice *s = &node->slice;
  s->step[0] = s->step[1] = 1;
  snn_status status = read_input(r, entry, node); /* its shape is given, too */
  if (status == SNN_OK)
    status = snn_json_uints(entry, "start", 3, SNN_MAX_DIMENSION, false, s->start, node->name, r->err);
  if (status == SNN_OK)
    status = snn_json_uints(entry, "step", 2, SNN_MAX_DIMENSION, false, s->step, node->name, r->err);
  if (status == SNN_OK)
    status = snn_json_uints(entry, "zeros", 3, SNN_MAX_DIMENSION, false, s->pad, node->name, r->err);
  return status;
}

static snn_status read_conv(const graph_reader *r, const json_t *entry, snn_node *node) {
  snn_conv *conv = &node->conv;
  conv->groups = 1;
  snn_status status = read_window(r, entry, node->name, &conv->window);
  if (status == SNN_OK)
    status = snn_json_uint(entry, "groups", 1, SNN_MAX_DIMENSION, false, &conv->groups, node->name, r->err);
  if (status != SNN_OK) return status;
  const snn_tensor *weight = find_tensor(r, node->name, SNN_TENSOR_WEIGHT);
  const snn_tensor *bias = find_tensor(r, node->name, SNN_TENSOR_BIAS);
  if (!weight) return fail_missing(r, node->name, SNN_TENSOR_WEIGHT);
  if (!bias) return fail_missing(r, node->name, SNN_TENSOR_BIAS);
  if (node->n_inputs != 1 || node->inputs[0] >= r->net->n_nodes)
    return SNN_OK; /* no input to measure by; snn_graph_add says what is wrong with that, before it looks at weights */
  size_t in = r->net->nodes[node->inputs[0]].shape.c / conv->groups;
  if (weight->rank != 4 || weight->shape[0] != conv->window.kernel_h || weight->shape[1] != conv->window.kernel_w ||
      weight->shape[2] != in)
    return snn_fail(r->err, SNN_ERR_FORMAT, weight->name,
                    "its shape is not [%u, %u, %zu, outputs], as its layer's kernel, input and groups ask for",
                    conv->window.kernel_h, conv->window.kernel_w, in);
  if (weight->shape[3] == 0 || weight->shape[3] > SNN_MAX_DIMENSION)
    return snn_fail(r->err, SNN_ERR_FORMAT, weight->name, "%zu outputs; 1..%d would do", weight->shape[3],
                    SNN_MAX_DIMENSION);
  node->shape.c = (uint32_t)weight->shape[3];
  status = read_floats(r, bias, node->shape.c, &conv->bias);
  return status == SNN_OK ? expand_weights(r, node->name, weight, r->behind_neurons[node->inputs[0]], &conv->weights)
                          : status;
}

static snn_status read_pool(const graph_reader *r, const json_t *entry, snn_node *node) {
  const json_t *count = json_object_get(entry, "count_include_pad");
  if (count && !json_is_boolean(count))
    return snn_fail(r->err, SNN_ERR_FORMAT, node->name, "'count_include_pad' must be true or false");
  node->pool.count_include_pad = json_is_true(count);
  return read_window(r, entry, node->name, &node->pool.window);
}

/* One of a neuron layer's arrays; missing ones become `otherwise`. */
static snn_status read_level(const graph_reader *r, const snn_node *node, const char *ending, const float *otherwise,
                             const float **out) {
  const snn_tensor *t = find_tensor(r, node->name, ending);
  *out = otherwise;
  return t ? read_floats(r, t, node->neurons.n, out) : SNN_OK;
}

static snn_status read_neurons(const graph_reader *r, const json_t *entry, snn_node *node) {
  snn_neurons *p = &node->neurons;
  const json_t *clip = json_object_get(entry, "clip");
  p->clip = INFINITY;
  if (clip && !snn_json_float(clip, &p->clip))
    return snn_fail(r->err, SNN_ERR_FORMAT, node->name, "'clip' must be a number");
  const json_t *rounding = json_object_get(entry, "rounding");
  if (rounding && !snn_json_float(rounding, &p->rounding))
    return snn_fail(r->err, SNN_ERR_FORMAT, node->name, "'rounding' must be a number");
  snn_status status = snn_json_uint(entry, "levels", 0, SNN_MAX_TIMESTEPS, false, &p->levels, node->name, r->err);
  if (status != SNN_OK) return status;
  const snn_tensor *threshold = find_tensor(r, node->name, SNN_TENSOR_THRESHOLD);
  if (!threshold) return fail_missing(r, node->name, SNN_TENSOR_THRESHOLD);
  if (threshold->rank != 1 || threshold->shape[0] == 0 || threshold->shape[0] > SNN_MAX_DIMENSION)
    return snn_fail(r->err, SNN_ERR_FORMAT, threshold->name, "its shape must be [1] or [channels]");
  p->n = (uint32_t)threshold->shape[0];
  status = read_floats(r, threshold, p->n, &p->theta);
  if (status == SNN_OK) status = read_level(r, node, SNN_TENSOR_FIRE, p->theta, &p->fire);
  if (status == SNN_OK) status = read_level(r, node, SNN_TENSOR_AMPLITUDE, p->theta, &p->amplitude);
  if (status == SNN_OK) status = read_level(r, node, SNN_TENSOR_ACTIVATION_MAX, NULL, &p->activation_max);
  return status;
}

static snn_status read_constant(const graph_reader *r, const json_t *entry, snn_node *node) {
  snn_status status = read_input(r, entry, node); /* its shape is given, too */
  if (status != SNN_OK) return status;
  const snn_tensor *t = find_tensor(r, node->name, SNN_TENSOR_VALUE);
  size_t n;
  if (!t) return fail_missing(r, node->name, SNN_TENSOR_VALUE);
  if (!snn_mul((size_t)node->shape.h * node->shape.w, node->shape.c, &n)) n = SIZE_MAX;
  return read_floats(r, t, n, &node->values);
}

/* ---- layers ---- */

static bool parse_kind(const char *op, snn_layer_kind *out) {
  for (unsigned k = 0; k < SNN_LAYER_KIND_COUNT; k++)
    if (strcmp(op, snn_layer_kind_name((snn_layer_kind)k)) == 0) {
      *out = (snn_layer_kind)k;
      return true;
    }
  return false;
}

static snn_status read_inputs(const graph_reader *r, const json_t *entry, const char *name,
                              uint32_t inputs[SNN_MAX_NODE_INPUTS], uint32_t *n_inputs) {
  const json_t *list = json_object_get(entry, "inputs");
  size_t n = json_array_size(list);
  if (!json_is_array(list)) return snn_fail(r->err, SNN_ERR_FORMAT, name, "'inputs' must be an array");
  if (n > SNN_MAX_NODE_INPUTS)
    return snn_fail(r->err, SNN_ERR_TOO_LARGE, name, "%zu inputs, more than the limit of %d", n, SNN_MAX_NODE_INPUTS);
  *n_inputs = (uint32_t)n;
  return snn_json_uints(entry, "inputs", n, SNN_MAX_NODES - 1, true, inputs, name, r->err);
}

static snn_status read_node(const graph_reader *r, const json_t *entry, const char *place) {
  uint32_t inputs[SNN_MAX_NODE_INPUTS];
  const char *op = NULL;
  snn_node node = {.inputs = inputs};
  snn_status status = SNN_OK;
  if (!json_is_object(entry)) return snn_fail(r->err, SNN_ERR_FORMAT, place, "it must be an object");
  status = snn_json_text(entry, "name", SNN_MAX_NAME, true, &node.name, place, r->err);
  if (status == SNN_OK) status = snn_json_text(entry, "op", SNN_MAX_NAME, true, &op, node.name, r->err);
  if (status == SNN_OK) status = read_inputs(r, entry, node.name, inputs, &node.n_inputs);
  if (status != SNN_OK) return status;
  if (!parse_kind(op, &node.kind))
    return snn_fail(r->err, SNN_ERR_UNSUPPORTED, node.name, "its op is '%.64s', which this build does not know", op);
  switch (node.kind) {
    case SNN_LAYER_INPUT: status = read_input(r, entry, &node); break;
    case SNN_LAYER_CONV: status = read_conv(r, entry, &node); break;
    case SNN_LAYER_AVGPOOL:
    case SNN_LAYER_MAXPOOL: status = read_pool(r, entry, &node); break;
    case SNN_LAYER_SLICE: status = read_slice(r, entry, &node); break;
    case SNN_LAYER_NEURON: status = read_neurons(r, entry, &node); break;
    case SNN_LAYER_CONSTANT: status = read_constant(r, entry, &node); break;
    default: /* additions and concatenations have no attributes */ break;
  }
  if (status == SNN_OK) status = snn_graph_add(r->net, &node, NULL, r->err);
  if (status != SNN_OK) return status;
  bool *behind = &r->behind_neurons[r->net->n_nodes - 1];
  *behind = node.kind == SNN_LAYER_NEURON;
  for (uint32_t k = 0; k < node.n_inputs; k++) *behind |= r->behind_neurons[inputs[k]];
  return SNN_OK;
}

snn_status snn_model_read_graph(snn_network *net, const snn_safetensors *file, const json_t *graph, snn_error *err) {
  graph_reader r = {.net = net, .file = file, .err = err};
  if (json_array_size(graph) > SNN_MAX_NODES)
    return snn_fail(err, SNN_ERR_TOO_LARGE, SNN_KEY_GRAPH, "more than %d layers", SNN_MAX_NODES);
  if (json_array_size(graph) == 0) return snn_fail(err, SNN_ERR_FORMAT, SNN_KEY_GRAPH, "it has no layers");
  r.behind_neurons = snn_arena_alloc(&net->arena, json_array_size(graph), sizeof *r.behind_neurons);
  if (!r.behind_neurons) return snn_fail_memory(err, "the layers");
  for (size_t i = 0; i < json_array_size(graph); i++) {
    char place[sizeof SNN_KEY_GRAPH + 24];
    snprintf(place, sizeof place, "%s[%zu]", SNN_KEY_GRAPH, i);
    snn_status status = read_node(&r, json_array_get(graph, i), place);
    if (status != SNN_OK) return status;
  }
  return SNN_OK;
}
