/* Answers of infer. Keeps the invariants that outputs come in the order they were asked for and that shape, datatype
 * and data agree; binary tensors follow the JSON in the same order. */
#include "json_oip_out.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_echo.h"
#include "snn/result.h"

enum { ELEMENT_BYTES_MAX = 512 };

/* Bytes that grow. */
typedef struct bytes {
  char *at;
  size_t n, capacity;
  bool no_memory;
} bytes;

static void append(bytes *b, const void *what, size_t n) {
  if (b->no_memory) return;
  if (n > b->capacity - b->n) {
    size_t capacity = b->capacity ? b->capacity : 256;
    while (capacity < b->n + n) capacity *= 2;
    char *larger = realloc(b->at, capacity);
    if (!larger) {
      b->no_memory = true;
      return;
    }
    b->at = larger;
    b->capacity = capacity;
  }
  if (n) memcpy(b->at + b->n, what, n);
  b->n += n;
}

static void append_text(bytes *b, const char *text) {
  uint32_t n = (uint32_t)strlen(text);
  append(b, &n, sizeof n);
  append(b, text, n);
}

/* The tensors of one answer. */
typedef struct answer {
  const inference *inf;
  size_t classes, layers;
  snn_ranked *ranked; /* [classes] */
  bytes tail;         /* binary tensors */
} answer;

static json_t *new_output(const char *name, const char *datatype, json_t *shape) {
  return json_pack("{s:s, s:s, s:o}", "name", name, "datatype", datatype, "shape", shape);
}

static void set_binary_size(json_t *output, size_t n) {
  json_object_set_new(output, "parameters", json_pack("{s:I}", "binary_data_size", (json_int_t)n));
}

static json_t *scores(answer *a, bool binary) {
  size_t n = a->inf->n_images * a->classes;
  json_t *o = new_output("scores", "FP32", json_pack("[I, I]", (json_int_t)a->inf->n_images, (json_int_t)a->classes));
  if (binary) {
    append(&a->tail, a->inf->scores, n * sizeof *a->inf->scores);
    set_binary_size(o, n * sizeof *a->inf->scores);
    return o;
  }
  json_t *data = json_array();
  for (size_t i = 0; i < n; i++) {
    double v = (double)a->inf->scores[i];
    json_array_append_new(data, isfinite(v) ? json_real(v) : json_null());
  }
  json_object_set_new(o, "data", data);
  return o;
}

/* Spikes of the layers that have neurons, a row a picture. */
static json_t *spike_count(answer *a, bool binary) {
  const snn_network *net = a->inf->model->network;
  json_t *data = json_array();
  size_t n_spiking = 0, before = a->tail.n;
  for (size_t k = 0; k < a->layers; k++) n_spiking += snn_network_layer(net, k).kind == SNN_LAYER_NEURON;
  for (size_t i = 0; i < a->inf->n_images; i++)
    for (size_t k = 0; k < a->layers; k++) {
      if (snn_network_layer(net, k).kind != SNN_LAYER_NEURON) continue;
      int64_t spikes = (int64_t)a->inf->spikes[i * a->layers + k];
      if (binary)
        append(&a->tail, &spikes, sizeof spikes);
      else
        json_array_append_new(data, json_integer(spikes));
    }
  json_t *o =
      new_output("spike_count", "INT64", json_pack("[I, I]", (json_int_t)a->inf->n_images, (json_int_t)n_spiking));
  if (binary) {
    set_binary_size(o, a->tail.n - before);
    json_decref(data);
  } else {
    json_object_set_new(o, "data", data);
  }
  return o;
}

/* One element of a tensor of text: to the tail, or to `data`. */
static void put_text(answer *a, json_t *data, bool binary, const char *text) {
  if (binary)
    append_text(&a->tail, text);
  else
    json_array_append_new(data, json_string(text));
}

/* Text of rank k: the label by itself, or "score:index:label" of the classification extension. */
static void describe_class(const answer *a, const snn_ranked *c, bool classification, char text[ELEMENT_BYTES_MAX]) {
  const char *label = snn_network_label(a->inf->model->network, c->index);
  if (classification)
    snprintf(text, ELEMENT_BYTES_MAX, label ? "%.9g:%zu:%s" : "%.9g:%zu", (double)c->score, c->index, label);
  else if (label)
    snprintf(text, ELEMENT_BYTES_MAX, "%s", label);
  else
    snprintf(text, ELEMENT_BYTES_MAX, "%zu", c->index);
}

/* BYTES: [n] labels, or with k > 0 [n,k] classes. */
static json_t *texts(answer *a, const char *name, size_t k, bool binary) {
  char text[ELEMENT_BYTES_MAX];
  json_t *data = json_array(), *shape = json_pack("[I]", (json_int_t)a->inf->n_images);
  size_t before = a->tail.n, n = k > a->classes ? a->classes : k;
  if (k) json_array_append_new(shape, json_integer((json_int_t)n));
  for (size_t i = 0; i < a->inf->n_images; i++) {
    snn_rank(a->inf->scores + i * a->classes, a->classes, a->ranked, k ? n : 1);
    for (size_t j = 0; j < (k ? n : 1); j++) {
      describe_class(a, &a->ranked[j], k > 0, text);
      put_text(a, data, binary, text);
    }
  }
  json_t *o = new_output(name, "BYTES", shape);
  if (binary) {
    set_binary_size(o, a->tail.n - before);
    json_decref(data);
  } else {
    json_object_set_new(o, "data", data);
  }
  return o;
}

static json_t *one_output(answer *a, const oip_output_request *q) {
  bool binary = q->binary_given ? q->binary : a->inf->oip->binary_output;
  switch (q->output) {
    case OIP_SCORES: return q->classification ? texts(a, "scores", q->classification, binary) : scores(a, binary);
    case OIP_SPIKE_COUNT: return spike_count(a, binary);
    default: return texts(a, "label", 0, binary);
  }
}

static json_t *outputs(answer *a) {
  const oip_request *q = a->inf->oip;
  json_t *list = json_array();
  for (size_t i = 0; i < q->n_outputs; i++) json_array_append_new(list, one_output(a, &q->outputs[i]));
  for (int i = 0; q->n_outputs == 0 && i < OIP_OUTPUTS; i++)
    json_array_append_new(list, one_output(a, &(oip_output_request){.output = (oip_output)i}));
  return list;
}

static uint64_t sum_of(const uint64_t *values, size_t n) {
  uint64_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += values[i];
  return sum;
}

/* Parameters are scalars: {"stop": {"margin": 0.9}} becomes {"stop_margin": 0.9}. */
static void add_options(json_t *into, const inference *inf) {
  echo list[ECHO_MAX];
  size_t n = json_echo_options(inf, list);
  for (size_t i = 0; i < n; i++) {
    const echo *e = &list[i];
    char name[96];
    snprintf(name, sizeof name, "%s%s%s", e->group ? e->group : "", e->group ? "_" : "", e->name);
    json_object_set_new(into, name,
                        e->kind == ECHO_TEXT      ? json_string(e->text)
                        : e->kind == ECHO_INTEGER ? json_integer((json_int_t)e->integer)
                                                  : json_real(e->real));
  }
}

/* What ran, and what it took for all pictures together. */
static json_t *parameters(const answer *a) {
  const inference *inf = a->inf;
  size_t n = inf->n_images * a->layers;
  uint64_t operations = sum_of(inf->synaptic_operations, n);
  json_t *o = json_pack("{s:s}", "sha256", snn_network_sha256(inf->model->network));
  if (inf->calibration) json_object_set_new(o, "calibration", json_string(inf->calibration->name));
  add_options(o, inf);
  uint32_t longest = 0;
  for (size_t i = 0; i < inf->n_images; i++)
    if (inf->timesteps_used[i] > longest) longest = inf->timesteps_used[i];
  json_object_set_new(o, "timesteps_used", json_integer((json_int_t)longest));
  json_object_set_new(o, "spikes", json_integer((json_int_t)sum_of(inf->spikes, n)));
  json_object_set_new(o, "synaptic_operations", json_integer((json_int_t)operations));
  json_object_set_new(o, "energy_nj", json_real(snn_energy_nj(operations, sum_of(inf->macs, n))));
  return o;
}

bool json_oip_answer(const inference *inf, char **body, size_t *n_body, size_t *n_json) {
  const snn_network *net = inf->model->network;
  answer a = {.inf = inf, .classes = snn_network_classes(net), .layers = snn_network_layers(net)};
  a.ranked = calloc(a.classes, sizeof *a.ranked);
  if (!a.ranked) return false;
  json_t *root = json_pack("{s:s, s:s}", "model_name", inf->model->name, "model_version", OIP_VERSION);
  if (inf->oip->has_id) json_object_set_new(root, "id", json_string(inf->oip->id));
  json_object_set_new(root, "parameters", parameters(&a));
  json_object_set_new(root, "outputs", outputs(&a));
  char *text = json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9));
  json_decref(root);
  free(a.ranked);
  bytes all = {.at = text, .n = text ? strlen(text) : 0, .no_memory = !text || a.tail.no_memory};
  all.capacity = all.n;
  size_t n_text = all.n;
  append(&all, a.tail.at, a.tail.n);
  free(a.tail.at);
  if (all.no_memory) {
    free(all.at);
    return false;
  }
  *body = all.at;
  *n_body = all.n;
  *n_json = all.n > n_text ? n_text : 0;
  return true;
}
