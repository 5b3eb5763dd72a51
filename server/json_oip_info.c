/* Descriptions in the protocol's words: server, models, configuration, statistics. Keeps the invariant that only
 * extensions of the public listener are listed: the repository has its own. Runs nothing. */
#include <jansson.h>
#include <string.h>

#include "json_oip_out.h"

#define PLATFORM "spiked_snn"

static char *print(json_t *root) {
  char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  return text;
}

char *json_oip_server(void) {
  return print(json_pack("{s:s, s:s, s:[s, s, s, s, s, s]}", "name", "spiked", "version", SPIKED_VERSION, "extensions",
                         "binary_tensor_data", "classification", "parameters", "schedule_policy", "model_configuration",
                         "statistics"));
}

static size_t spiking_layers(const snn_network *net) {
  size_t n = 0;
  for (size_t i = 0; i < snn_network_layers(net); i++) n += snn_network_layer(net, i).kind == SNN_LAYER_NEURON;
  return n;
}

char *json_oip_model(const model_entry *entry) {
  const snn_network *net = entry->network;
  snn_shape in = snn_network_input(net);
  json_t *inputs = json_pack("[{s:s, s:s, s:[i, I, I, I]}]", "name", OIP_INPUT_NAME, "datatype", "FP32", "shape", -1,
                             (json_int_t)in.c, (json_int_t)in.h, (json_int_t)in.w);
  json_t *outputs =
      json_pack("[{s:s, s:s, s:[i, I]}, {s:s, s:s, s:[i, I]}, {s:s, s:s, s:[i]}]", "name", oip_output_name(OIP_SCORES),
                "datatype", "FP32", "shape", -1, (json_int_t)snn_network_classes(net), "name",
                oip_output_name(OIP_SPIKE_COUNT), "datatype", "INT64", "shape", -1, (json_int_t)spiking_layers(net),
                "name", oip_output_name(OIP_LABEL), "datatype", "BYTES", "shape", -1);
  return print(json_pack("{s:s, s:[s], s:s, s:o, s:o, s:{s:s}}", "name", entry->name, "versions", OIP_VERSION,
                         "platform", PLATFORM, "inputs", inputs, "outputs", outputs, "parameters", "sha256",
                         snn_network_sha256(net)));
}

char *json_oip_ready(const char *name) {
  return print(json_pack("{s:s, s:b}", "name", name, "ready", true));
}

/* Names of the spiking layers, as the columns of spike_count have them. */
static json_t *layer_names(const snn_network *net) {
  json_t *all = json_string("");
  for (size_t i = 0; i < snn_network_layers(net); i++) {
    snn_layer_info layer = snn_network_layer(net, i);
    if (layer.kind != SNN_LAYER_NEURON) continue;
    json_t *longer = json_sprintf("%s%s%s", json_string_value(all), *json_string_value(all) ? "," : "", layer.name);
    json_decref(all);
    all = longer;
    if (!all) return json_null();
  }
  return all;
}

char *json_oip_config(const model_entry *entry) {
  const snn_network *net = entry->network;
  snn_shape in = snn_network_input(net);
  json_t *input = json_pack("[{s:s, s:s, s:s, s:[I, I, I]}]", "name", OIP_INPUT_NAME, "data_type", "TYPE_FP32",
                            "format", "FORMAT_NCHW", "dims", (json_int_t)in.c, (json_int_t)in.h, (json_int_t)in.w);
  json_t *output = json_pack("[{s:s, s:s, s:[I]}, {s:s, s:s, s:[I]}, {s:s, s:s, s:[i], s:{s:[]}}]", "name",
                             oip_output_name(OIP_SCORES), "data_type", "TYPE_FP32", "dims",
                             (json_int_t)snn_network_classes(net), "name", oip_output_name(OIP_SPIKE_COUNT),
                             "data_type", "TYPE_INT64", "dims", (json_int_t)spiking_layers(net), "name",
                             oip_output_name(OIP_LABEL), "data_type", "TYPE_STRING", "dims", 1, "reshape", "shape");
  return print(json_pack("{s:s, s:s, s:s, s:{s:{s:i}}, s:i, s:o, s:o, s:{s:{s:s}, s:{s:o}}}", "name", entry->name,
                         "platform", PLATFORM, "backend", "spiked", "version_policy", "latest", "num_versions", 1,
                         "max_batch_size", IMAGES_MAX, "input", input, "output", output, "parameters", "sha256",
                         "string_value", snn_network_sha256(net), "spike_count_layers", "string_value",
                         layer_names(net)));
}

static json_int_t value_of(const counter *c) {
  return (json_int_t)atomic_load_explicit(c, memory_order_relaxed);
}

static json_t *duration_object(const duration *d) {
  return json_pack("{s:I, s:I}", "count", value_of(&d->count), "ns", value_of(&d->ns));
}

/* Runs by how many pictures they had. */
static json_t *batch_list(const model_metrics *m) {
  static const duration none;
  json_t *list = json_array();
  for (int i = 0; i < BATCH_IMAGES_MAX; i++) {
    if (value_of(&m->by_images[i].count) == 0) continue;
    json_array_append_new(
        list, json_pack("{s:i, s:o, s:o, s:o}", "batch_size", i + 1, "compute_input", duration_object(&none),
                        "compute_infer", duration_object(&m->by_images[i]), "compute_output", duration_object(&none)));
  }
  return list;
}

static json_t *model_statistics(const model_metrics *m) {
  static const duration none;
  return json_pack("{s:s, s:s, s:I, s:I, s:I, s:{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}, s:o}", "name", m->name,
                   "version", OIP_VERSION, "last_inference", value_of(&m->last_ms), "inference_count",
                   value_of(&m->images), "execution_count", value_of(&m->batches), "inference_stats", "success",
                   duration_object(&m->success), "fail", duration_object(&m->fail), "queue", duration_object(&m->queue),
                   "compute_input", duration_object(&m->decode), "compute_infer", duration_object(&m->simulate),
                   "compute_output", duration_object(&m->answer), "cache_hit", duration_object(&none), "cache_miss",
                   duration_object(&none), "batch_stats", batch_list(m));
}

char *json_oip_statistics(model_entry *const *entries, size_t n) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++)
    if (entries[i]->metrics) json_array_append_new(list, model_statistics(entries[i]->metrics));
  return print(json_pack("{s:o}", "model_stats", list));
}
