/* From a network to a model file.
 *
 * Invariant: the same network in the same weight format gives the same bytes, and a file that appears under its name is
 * whole. Tensors of four-byte elements come first, then smaller ones, so that all are aligned without gaps. Memory used
 * does not grow with the weights: they are converted a piece at a time. */
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/stored.h"
#include "model/rounding.h"
#include "model/tables.h"

/* One tensor to be: what it is called in the file and where its values are. */
typedef struct plan_item {
  const float *values;
  const float *scale; /* I8 only: [channels] */
} plan_item;

typedef struct plan {
  const snn_network *net;
  snn_weight_format format;
  snn_arena arena;     /* names and scales */
  snn_tensor *tensors; /* in file order, [n] */
  plan_item *items;    /* [n] */
  size_t n;
  snn_error *err;
} plan;

enum { MOST_TENSORS_OF_A_LAYER = 4, PIECE = 1 << 15 /* elements converted at a time */ };

static snn_status plan_tensor(plan *p, const snn_node *node, const char *ending, snn_dtype dtype, uint32_t rank,
                              const size_t *shape, plan_item item) {
  char name[SNN_MAX_TENSOR_NAME];
  int n = snprintf(name, sizeof name, "%s%s", node->name, ending);
  assert(n > 0 && (size_t)n < sizeof name);
  snn_tensor t = {.name = snn_arena_text(&p->arena, name, (size_t)n), .dtype = dtype, .rank = rank};
  if (!t.name) return snn_fail_memory(p->err, "the list of tensors");
  memcpy(t.shape, shape, rank * sizeof *shape);
  if (!snn_tensor_measure(&t)) return snn_fail(p->err, SNN_ERR_INTERNAL, t.name, "its shape overflows");
  p->tensors[p->n] = t;
  p->items[p->n] = item;
  p->n++;
  return SNN_OK;
}

static snn_status plan_vector(plan *p, const snn_node *node, const char *ending, const float *values, size_t n) {
  return plan_tensor(p, node, ending, SNN_DTYPE_F32, 1, &n, (plan_item){.values = values});
}

static snn_dtype weight_dtype(snn_weight_format format) {
  return format == SNN_WEIGHTS_F16 ? SNN_DTYPE_F16 : format == SNN_WEIGHTS_I8 ? SNN_DTYPE_I8 : SNN_DTYPE_F32;
}

/* The weight tensor, and for I8 its scales before it; both are planned in the pass of their element size. */
static snn_status plan_weights(plan *p, const snn_node *node, const float *scale) {
  const snn_window *w = &node->conv.window;
  size_t in = p->net->nodes[node->inputs[0]].shape.c / node->conv.groups;
  const size_t shape[4] = {w->kernel_h, w->kernel_w, in, node->shape.c};
  return plan_tensor(p, node, SNN_TENSOR_WEIGHT, weight_dtype(p->format), 4, shape,
                     (plan_item){.values = node->conv.weights, .scale = scale});
}

static snn_status plan_scales(plan *p, const snn_node *node) {
  const snn_window *w = &node->conv.window;
  size_t out = node->shape.c, in = p->net->nodes[node->inputs[0]].shape.c / node->conv.groups;
  float *scale = snn_arena_alloc(&p->arena, out, sizeof *scale);
  if (!scale) return snn_fail_memory(p->err, "the scales");
  snn_i8_scales(node->conv.weights, (size_t)w->kernel_h * w->kernel_w * in * out, out, scale);
  return plan_vector(p, node, SNN_TENSOR_SCALE, scale, out);
}

static bool same(const float *a, const float *b, size_t n) {
  return a == b || memcmp(a, b, n * sizeof *a) == 0;
}

/* Everything of a layer that is F32 whatever the weight format. */
static snn_status plan_vectors(plan *p, const snn_node *node) {
  snn_status status = SNN_OK;
  if (node->kind == SNN_LAYER_CONV) {
    if (p->format == SNN_WEIGHTS_I8) status = plan_scales(p, node);
    if (status == SNN_OK) status = plan_vector(p, node, SNN_TENSOR_BIAS, node->conv.bias, node->shape.c);
  } else if (node->kind == SNN_LAYER_NEURON) {
    const snn_neurons *x = &node->neurons;
    if (x->n == 0) return snn_fail(p->err, SNN_ERR_ARGUMENT, node->name, "its neurons have no threshold yet");
    status = plan_vector(p, node, SNN_TENSOR_THRESHOLD, x->theta, x->n);
    if (status == SNN_OK && !same(x->fire, x->theta, x->n))
      status = plan_vector(p, node, SNN_TENSOR_FIRE, x->fire, x->n);
    if (status == SNN_OK && !same(x->amplitude, x->theta, x->n))
      status = plan_vector(p, node, SNN_TENSOR_AMPLITUDE, x->amplitude, x->n);
    if (status == SNN_OK && x->activation_max)
      status = plan_vector(p, node, SNN_TENSOR_ACTIVATION_MAX, x->activation_max, x->n);
  } else if (node->kind == SNN_LAYER_CONSTANT) {
    status = plan_vector(p, node, SNN_TENSOR_VALUE, node->values, snn_shape_size(node->shape));
  }
  return status;
}

/* Scales that plan_scales left for a layer; NULL in other formats. */
static const float *scales_of(const plan *p, const snn_node *node, size_t *at) {
  if (p->format != SNN_WEIGHTS_I8) return NULL;
  char name[SNN_MAX_TENSOR_NAME];
  snprintf(name, sizeof name, "%s%s", node->name, SNN_TENSOR_SCALE);
  while (strcmp(p->tensors[*at].name, name) != 0) (*at)++; /* same order as the layers', so one sweep finds them all */
  return p->items[*at].values;
}

static snn_status plan_all_weights(plan *p) {
  snn_status status = SNN_OK;
  size_t at = 0;
  for (uint32_t i = 0; i < p->net->n_nodes && status == SNN_OK; i++)
    if (p->net->nodes[i].kind == SNN_LAYER_CONV)
      status = plan_weights(p, &p->net->nodes[i], scales_of(p, &p->net->nodes[i], &at));
  return status;
}

static snn_status plan_tensors(plan *p) {
  size_t most, n_tables = 0;
  snn_tensor *tables = NULL;
  const float **values = NULL;
  if (p->net->calibration &&
      snn_tables_tensors(p->net->calibration, &p->arena, &tables, &values, &n_tables, p->err) != SNN_OK)
    return SNN_ERR_NO_MEMORY;
  if (!snn_mul(p->net->n_nodes, MOST_TENSORS_OF_A_LAYER, &most) || !snn_add(most, n_tables, &most)) most = SIZE_MAX;
  p->tensors = snn_arena_alloc(&p->arena, most, sizeof *p->tensors);
  p->items = snn_arena_alloc(&p->arena, most, sizeof *p->items);
  if (!p->tensors || !p->items) return snn_fail_memory(p->err, "the list of tensors");
  snn_status status = SNN_OK;
  if (p->format == SNN_WEIGHTS_F32) status = plan_all_weights(p);
  for (uint32_t i = 0; i < p->net->n_nodes && status == SNN_OK; i++) status = plan_vectors(p, &p->net->nodes[i]);
  for (size_t k = 0; k < n_tables; k++) {
    p->tensors[p->n] = tables[k];
    p->items[p->n++] = (plan_item){.values = values[k]};
  }
  if (status == SNN_OK && p->format != SNN_WEIGHTS_F32) status = plan_all_weights(p);
  return status;
}

/* Convert and append one tensor. */
static snn_status write_tensor(snn_tensor_writer *w, const snn_tensor *t, const plan_item *item, void *piece,
                               snn_error *err) {
  if (t->dtype == SNN_DTYPE_F32) return snn_tensor_writer_append(w, item->values, t->n_bytes, err);
  for (size_t first = 0; first < t->n_elements; first += PIECE) {
    size_t n = t->n_elements - first < PIECE ? t->n_elements - first : PIECE;
    if (t->dtype == SNN_DTYPE_I8)
      snn_round_i8(item->values + first, n, first, item->scale, t->shape[t->rank - 1], piece);
    else if (!snn_round_f16(item->values + first, n, piece))
      return snn_fail(err, SNN_ERR_ARGUMENT, t->name, "a weight is beyond the range of F16; use another weight format");
    snn_status status = snn_tensor_writer_append(w, piece, n * snn_dtype_bytes(t->dtype), err);
    if (status != SNN_OK) return status;
  }
  return SNN_OK;
}

/* ---- metadata; every function returns NULL when out of memory ---- */

static json_t *int_array(const uint32_t *v, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; i < n; i++)
    if (json_array_append_new(array, json_integer(v[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  return array;
}

static json_t *float_array(const float *v, size_t n) {
  json_t *array = json_array();
  for (size_t i = 0; i < n; i++)
    if (json_array_append_new(array, json_real((double)v[i])) != 0) {
      json_decref(array);
      return NULL;
    }
  return array;
}

/* Integers, unless they are what a reader assumes anyway. */
static bool put_ints(json_t *entry, const char *key, const uint32_t *v, size_t n, uint32_t usual) {
  bool all_usual = true;
  for (size_t i = 0; i < n; i++) all_usual &= v[i] == usual;
  return all_usual || json_object_set_new(entry, key, int_array(v, n)) == 0;
}

static bool put_window(json_t *entry, const snn_window *w) {
  const uint32_t kernel[2] = {w->kernel_h, w->kernel_w}, stride[2] = {w->stride_h, w->stride_w},
                 pads[4] = {w->pad_top, w->pad_left, w->pad_bottom, w->pad_right},
                 dilation[2] = {w->dilation_h, w->dilation_w};
  return json_object_set_new(entry, "kernel", int_array(kernel, 2)) == 0 && put_ints(entry, "stride", stride, 2, 1) &&
         put_ints(entry, "pads", pads, 4, 0) && put_ints(entry, "dilation", dilation, 2, 1);
}

static bool put_attributes(json_t *entry, const snn_node *node) {
  const uint32_t shape[3] = {node->shape.c, node->shape.h, node->shape.w};
  switch (node->kind) {
    case SNN_LAYER_INPUT: return json_object_set_new(entry, "shape", int_array(shape, 3)) == 0;
    case SNN_LAYER_CONV:
      return put_window(entry, &node->conv.window) &&
             (node->conv.groups == 1 || json_object_set_new(entry, "groups", json_integer(node->conv.groups)) == 0);
    case SNN_LAYER_AVGPOOL:
    case SNN_LAYER_MAXPOOL:
      return put_window(entry, &node->pool.window) &&
             (!node->pool.count_include_pad || json_object_set_new(entry, "count_include_pad", json_true()) == 0);
    case SNN_LAYER_SLICE:
      return json_object_set_new(entry, "shape", int_array(shape, 3)) == 0 &&
             put_ints(entry, "start", node->slice.start, 3, 0) && put_ints(entry, "step", node->slice.step, 2, 1) &&
             put_ints(entry, "zeros", node->slice.pad, 3, 0);
    case SNN_LAYER_NEURON:
      return (!isfinite(node->neurons.clip) ||
              json_object_set_new(entry, "clip", json_real((double)node->neurons.clip)) == 0) &&
             (node->neurons.levels == 0 ||
              json_object_set_new(entry, "levels", json_integer(node->neurons.levels)) == 0) &&
             (node->neurons.rounding == 0 ||
              json_object_set_new(entry, "rounding", json_real((double)node->neurons.rounding)) == 0);
    case SNN_LAYER_CONSTANT: return json_object_set_new(entry, "shape", int_array(shape, 3)) == 0;
    default: return true;
  }
}

static json_t *graph_json(const snn_network *net) {
  json_t *graph = json_array();
  bool ok = graph != NULL;
  for (uint32_t i = 0; ok && i < net->n_nodes; i++) {
    const snn_node *node = &net->nodes[i];
    json_t *entry = json_pack("{s:s, s:s, s:o}", "name", node->name, "op", snn_layer_kind_name(node->kind), "inputs",
                              int_array(node->inputs, node->n_inputs));
    ok = json_array_append_new(graph, entry) == 0 && put_attributes(entry, node);
  }
  if (ok) return graph;
  json_decref(graph);
  return NULL;
}

static json_t *labels_json(const snn_network *net) {
  json_t *labels = json_array();
  for (size_t i = 0; i < net->n_labels; i++)
    if (json_array_append_new(labels, json_string(net->labels[i])) != 0) {
      json_decref(labels);
      return NULL;
    }
  return labels;
}

static json_t *preprocess_json(const snn_network *net) {
  const snn_preprocess *pre = &net->preprocess;
  uint32_t n = snn_preprocess_channels(net);
  return json_pack("{s:o, s:o, s:i}", "mean", float_array(pre->mean, n), "std", float_array(pre->std, n), "background",
                   (int)pre->background);
}

static json_t *recommended_json(const snn_network *net) {
  const snn_recommended *r = &net->recommended;
  json_t *json = json_pack("{s:i, s:s}", "timesteps", (int)r->timesteps, "init", snn_init_name(r->init));
  if (r->neuron != SNN_NEURON_IF) json_object_set_new(json, "neuron", json_string(snn_neuron_name(r->neuron)));
  if (snn_neuron_leaks(r->neuron)) json_object_set_new(json, "tau", json_real((double)r->tau));
  if (r->shift) json_object_set_new(json, "shift", json_integer(r->shift));
  return json;
}

static json_t *readout_json(const snn_network *net) {
  return json_pack("{s:f}", "threshold", (double)net->output_threshold);
}

/* ---- text from elsewhere (an ONNX file, a command line) is checked once, before it is packed ---- */

static snn_status check_texts(const snn_network *net, snn_error *err) {
  snn_status status = SNN_OK;
  for (uint32_t i = 0; i < net->n_nodes && status == SNN_OK; i++)
    status = snn_json_check_text(net->nodes[i].name, net->nodes[i].name, err);
  for (size_t i = 0; i < net->n_labels && status == SNN_OK; i++) {
    status = snn_json_check_text(net->labels[i], SNN_KEY_LABELS, err);
    if (status == SNN_OK && strlen(net->labels[i]) >= SNN_MAX_NAME)
      status =
          snn_fail(err, SNN_ERR_ARGUMENT, SNN_KEY_LABELS, "label %zu is longer than %d bytes", i, SNN_MAX_NAME - 1);
  }
  if (status == SNN_OK && strlen(net->name) >= SNN_MAX_NAME)
    status = snn_fail(err, SNN_ERR_ARGUMENT, SNN_KEY_NAME, "it is longer than %d bytes", SNN_MAX_NAME - 1);
  if (status != SNN_OK) return status;
  json_t *provenance = NULL;
  status = snn_json_parse(net->provenance, strlen(net->provenance), SNN_KEY_PROVENANCE, &provenance, err);
  if (status == SNN_OK && !json_is_object(provenance))
    status = snn_fail(err, SNN_ERR_ARGUMENT, SNN_KEY_PROVENANCE, "it must be a JSON object");
  json_decref(provenance);
  return status;
}

enum { MOST_METADATA = 10 };

/* Print json, which is taken, as the text of one metadata entry; the text is malloc'ed into texts[*n]. */
static snn_status add_json(snn_metadata_entry *entries, char **texts, size_t *n, const char *key, json_t *json,
                           snn_error *err) {
  char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(json);
  if (!text) return snn_fail_memory(err, key);
  texts[*n] = text;
  entries[*n] = (snn_metadata_entry){key, text};
  (*n)++;
  return SNN_OK;
}

static snn_status write_model(plan *p, const char *path, void *piece) {
  const snn_network *net = p->net;
  snn_error *err = p->err;
  snn_metadata_entry entries[MOST_METADATA];
  char *texts[MOST_METADATA] = {NULL};
  char version[16];
  snn_tensor_writer w;
  size_t n = 0;
  const bool is_second = net->calibration || net->recommended.shift || net->recommended.neuron != SNN_NEURON_IF;
  snprintf(version, sizeof version, "%d", is_second ? 2 : 1);
  entries[n++] = (snn_metadata_entry){SNN_KEY_VERSION, version};
  entries[n++] = (snn_metadata_entry){SNN_KEY_NAME, net->name};
  entries[n++] = (snn_metadata_entry){SNN_KEY_PROVENANCE, net->provenance};
  snn_status status = add_json(entries, texts, &n, SNN_KEY_GRAPH, graph_json(net), err);
  if (status == SNN_OK) status = add_json(entries, texts, &n, SNN_KEY_PREPROCESS, preprocess_json(net), err);
  if (status == SNN_OK) status = add_json(entries, texts, &n, SNN_KEY_RECOMMENDED, recommended_json(net), err);
  if (status == SNN_OK && net->output_threshold > 0)
    status = add_json(entries, texts, &n, SNN_KEY_READOUT, readout_json(net), err);
  if (status == SNN_OK && net->calibration)
    status = add_json(entries, texts, &n, SNN_KEY_CALIBRATION,
                      json_pack("{s:o}", "tables", snn_tables_json(net->calibration)), err);
  if (net->calibration && net->network_sha256[0])
    entries[n++] = (snn_metadata_entry){SNN_KEY_IDENTITY, net->network_sha256};
  if (status == SNN_OK && net->n_labels) status = add_json(entries, texts, &n, SNN_KEY_LABELS, labels_json(net), err);
  if (status == SNN_OK) status = snn_tensor_writer_begin(path, entries, n, p->tensors, p->n, &w, err);
  if (status != SNN_OK) goto cleanup;
  for (size_t i = 0; i < p->n && status == SNN_OK; i++)
    status = write_tensor(&w, &p->tensors[i], &p->items[i], piece, err);
  if (status == SNN_OK)
    status = snn_tensor_writer_commit(&w, err);
  else
    snn_tensor_writer_abort(&w);
cleanup:
  for (size_t i = 0; i < MOST_METADATA; i++) free(texts[i]);
  return status;
}

snn_status snn_network_save(const snn_network *net, const char *path, snn_weight_format weights, snn_error *err) {
  if (weights != SNN_WEIGHTS_F32 && weights != SNN_WEIGHTS_F16 && weights != SNN_WEIGHTS_I8)
    return snn_fail(err, SNN_ERR_ARGUMENT, "weights", "unknown weight format %d", (int)weights);
  plan p = {.net = net, .format = weights, .err = err};
  void *piece = snn_alloc_array(PIECE, sizeof(uint16_t));
  snn_status status = piece ? check_texts(net, err) : snn_fail_memory(err, "a buffer");
  snn_graph_want_floats(net, 1);
  if (status == SNN_OK) status = plan_tensors(&p);
  if (status == SNN_OK) status = write_model(&p, path, piece);
  snn_arena_free(&p.arena);
  free(piece);
  return status;
}
