/* From a model file to a network: opening, the format version, and the metadata that is not the graph.
 *
 * Invariant: a network comes out only when all of it was understood and checked; a file that merely carries more than
 * this version knows (extra keys, extra tensors) is read as if it did not. Layers and tensors are read_graph.c's. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/tables.h"

/* Parse the JSON text under a metadata key. A missing key leaves *out NULL, which is an error when it is required. */
static snn_status parse_metadata(const snn_safetensors *file, const char *key, bool required, json_type type,
                                 json_t **out, snn_error *err) {
  const char *text = snn_safetensors_metadata(file, key);
  if (!text) return required ? snn_fail(err, SNN_ERR_FORMAT, key, "this metadata key is missing") : SNN_OK;
  json_t *json = NULL;
  snn_status status = snn_json_parse(text, strlen(text), key, &json, err);
  if (status != SNN_OK) return status;
  if (json_typeof(json) != type) {
    json_decref(json);
    return snn_fail(err, SNN_ERR_FORMAT, key, "it must be a JSON %s", type == JSON_ARRAY ? "array" : "object");
  }
  *out = json;
  return SNN_OK;
}

static snn_status read_version(const snn_safetensors *file, long *version, snn_error *err) {
  const char *text = snn_safetensors_metadata(file, SNN_KEY_VERSION);
  if (!text)
    return snn_fail(err, SNN_ERR_FORMAT, SNN_KEY_VERSION,
                    "this metadata key is missing: a safetensors file, but not a model of spiked");
  size_t n = strlen(text);
  if (n == 0 || n > 9 || strspn(text, "0123456789") != n || text[0] == '0')
    return snn_fail(err, SNN_ERR_FORMAT, SNN_KEY_VERSION, "it must be a whole number from 1, not '%.32s'", text);
  *version = strtol(text, NULL, 10);
  if (*version > SNN_MODEL_VERSION)
    return snn_fail(err, SNN_ERR_UNSUPPORTED, SNN_KEY_VERSION,
                    "the file has format version %ld, this build reads up to version %d; use a newer spiked", *version,
                    SNN_MODEL_VERSION);
  return SNN_OK;
}

static snn_status read_name(snn_network *net, const snn_safetensors *file, snn_error *err) {
  const char *name = snn_safetensors_metadata(file, SNN_KEY_NAME);
  if (!name) return SNN_OK;
  if (strlen(name) >= SNN_MAX_NAME)
    return snn_fail(err, SNN_ERR_FORMAT, SNN_KEY_NAME, "it is longer than %d bytes", SNN_MAX_NAME - 1);
  net->name = snn_arena_text(&net->arena, name, strlen(name));
  return net->name ? SNN_OK : snn_fail_memory(err, "the model's name");
}

static snn_status read_preprocess(snn_network *net, const snn_safetensors *file, snn_error *err) {
  static const char key[] = SNN_KEY_PREPROCESS;
  json_t *json = NULL;
  uint32_t background = 0, channels = snn_preprocess_channels(net);
  snn_status status = parse_metadata(file, key, false, JSON_OBJECT, &json, err);
  if (status != SNN_OK || !json) return status;
  status = snn_json_floats(json, "mean", channels, net->preprocess.mean, key, err);
  if (status == SNN_OK) status = snn_json_floats(json, "std", channels, net->preprocess.std, key, err);
  if (status == SNN_OK) status = snn_json_uint(json, "background", 0, 255, false, &background, key, err);
  if (status == SNN_OK) net->preprocess.background = (uint8_t)background;
  json_decref(json);
  return status;
}

static snn_status read_labels(snn_network *net, const snn_safetensors *file, snn_error *err) {
  json_t *json = NULL;
  snn_status status = parse_metadata(file, SNN_KEY_LABELS, false, JSON_ARRAY, &json, err);
  if (status != SNN_OK || !json) return status;
  size_t n = json_array_size(json);
  if (n > SNN_MAX_CLASSES) {
    status =
        snn_fail(err, SNN_ERR_TOO_LARGE, SNN_KEY_LABELS, "%zu labels, more than the limit of %d", n, SNN_MAX_CLASSES);
    goto cleanup;
  }
  if (n == 0) goto cleanup;
  net->labels = snn_arena_alloc(&net->arena, n, sizeof *net->labels);
  if (!net->labels) {
    status = snn_fail_memory(err, "the labels");
    goto cleanup;
  }
  for (size_t i = 0; i < n && status == SNN_OK; i++) {
    const json_t *label = json_array_get(json, i);
    if (!json_is_string(label) || json_string_length(label) >= SNN_MAX_NAME) {
      status = snn_fail(err, SNN_ERR_FORMAT, SNN_KEY_LABELS, "label %zu must be a string of fewer than %d bytes", i,
                        SNN_MAX_NAME);
      goto cleanup;
    }
    net->labels[i] = snn_arena_text(&net->arena, json_string_value(label), json_string_length(label));
    if (!net->labels[i]) status = snn_fail_memory(err, "the labels");
  }
  net->n_labels = n;
cleanup:
  json_decref(json);
  return status;
}

static snn_status read_recommended(snn_network *net, const snn_safetensors *file, snn_error *err) {
  static const char key[] = SNN_KEY_RECOMMENDED;
  json_t *json = NULL;
  const char *init = NULL, *neuron = NULL;
  snn_status status = parse_metadata(file, key, false, JSON_OBJECT, &json, err);
  if (status != SNN_OK || !json) return status;
  status = snn_json_uint(json, "timesteps", 1, SNN_MAX_TIMESTEPS, false, &net->recommended.timesteps, key, err);
  if (status == SNN_OK) status = snn_json_uint(json, "shift", 0, 1, false, &net->recommended.shift, key, err);
  if (status == SNN_OK) status = snn_json_text(json, "init", SNN_MAX_NAME, false, &init, key, err);
  if (status == SNN_OK && init && !snn_init_parse(init, &net->recommended.init))
    status = snn_fail(err, SNN_ERR_UNSUPPORTED, key, "'init' is '%.64s', which this build does not know", init);
  if (status == SNN_OK) status = snn_json_text(json, "neuron", SNN_MAX_NAME, false, &neuron, key, err);
  if (status == SNN_OK && neuron && !snn_neuron_parse(neuron, &net->recommended.neuron))
    status = snn_fail(err, SNN_ERR_UNSUPPORTED, key, "'neuron' is '%.64s', which this build does not know", neuron);
  const json_t *tau = status == SNN_OK ? json_object_get(json, "tau") : NULL;
  if (tau && !snn_json_float(tau, &net->recommended.tau))
    status = snn_fail(err, SNN_ERR_FORMAT, key, "'tau' must be a number");
  json_decref(json);
  return status;
}

static snn_status read_readout(snn_network *net, const snn_safetensors *file, snn_error *err) {
  json_t *json = NULL;
  snn_status status = parse_metadata(file, SNN_KEY_READOUT, false, JSON_OBJECT, &json, err);
  if (status != SNN_OK || !json) return status;
  const json_t *threshold = json_object_get(json, "threshold");
  const float theta = (float)json_number_value(threshold);
  if (threshold && (!json_is_number(threshold) || !(theta > 0) || !isfinite(theta)))
    status = snn_fail(err, SNN_ERR_FORMAT, SNN_KEY_READOUT, "'threshold' must be a number above 0");
  if (status == SNN_OK) net->output_threshold = theta;
  json_decref(json);
  return status;
}

static snn_status read_provenance(snn_network *net, const snn_safetensors *file, snn_error *err) {
  json_t *json = NULL;
  snn_status status = parse_metadata(file, SNN_KEY_PROVENANCE, false, JSON_OBJECT, &json, err);
  if (status != SNN_OK || !json) return status;
  json_decref(json);
  const char *text = snn_safetensors_metadata(file, SNN_KEY_PROVENANCE);
  net->provenance = snn_arena_text(&net->arena, text, strlen(text));
  return net->provenance ? SNN_OK : snn_fail_memory(err, "the provenance");
}

/* What version 2 added: the network's identity, and tables. The network is complete and has its digest. */
static snn_status read_calibration(snn_network *net, const snn_safetensors *file, snn_error *err) {
  const char *identity = snn_safetensors_metadata(file, SNN_KEY_IDENTITY);
  json_t *about = NULL;
  if (identity &&
      (strlen(identity) != SNN_SHA256_HEX - 1 || strspn(identity, "0123456789abcdef") != SNN_SHA256_HEX - 1))
    return snn_fail(err, SNN_ERR_FORMAT, SNN_KEY_IDENTITY, "it must be 64 hexadecimal digits");
  if (identity) memcpy(net->network_sha256, identity, SNN_SHA256_HEX);
  snn_status status = parse_metadata(file, SNN_KEY_CALIBRATION, false, JSON_OBJECT, &about, err);
  if (status == SNN_OK && about) status = snn_tables_read(file, net, about, &net->calibration, err);
  json_decref(about);
  return status;
}

/* Fill an empty network from a whole file. */
static snn_status read_model(snn_network *net, const uint8_t *bytes, size_t n_bytes, snn_error *err) {
  snn_safetensors *file = NULL;
  json_t *graph = NULL;
  long version = 0;
  snn_status status = snn_safetensors_open(bytes, n_bytes, &file, err);
  if (status == SNN_OK) status = read_version(file, &version, err);
  if (status == SNN_OK) status = parse_metadata(file, SNN_KEY_GRAPH, true, JSON_ARRAY, &graph, err);
  if (status == SNN_OK) status = snn_model_read_graph(net, file, graph, err);
  if (status == SNN_OK) status = read_name(net, file, err);
  if (status == SNN_OK) status = read_preprocess(net, file, err);
  if (status == SNN_OK) status = read_labels(net, file, err);
  if (status == SNN_OK) status = read_recommended(net, file, err);
  if (status == SNN_OK) status = read_readout(net, file, err);
  if (status == SNN_OK) status = read_provenance(net, file, err);
  if (status == SNN_OK) status = snn_graph_finish(net, true, err);
  if (status == SNN_OK) {
    snn_sha256_hex(bytes, n_bytes, net->sha256);
    memcpy(net->network_sha256, net->sha256, SNN_SHA256_HEX);
    if (version >= 2) status = read_calibration(net, file, err);
  }
  json_decref(graph);
  snn_safetensors_free(file);
  return status;
}

snn_status snn_network_load(const char *path, snn_network **out, snn_error *err) {
  snn_network *net = snn_network_new();
  if (!net) return snn_fail_memory(err, "a network");
  snn_status status = snn_map_file(path, SNN_MAX_MODEL_BYTES, &net->mapping, err);
  if (status == SNN_OK) status = read_model(net, net->mapping.bytes, net->mapping.n_bytes, err);
  if (status != SNN_OK) {
    snn_network_free(net);
    return status;
  }
  *out = net;
  return SNN_OK;
}

snn_status snn_network_load_memory(const void *bytes, size_t n_bytes, snn_network **out, snn_error *err) {
  snn_network *net = snn_network_new();
  if (!net) return snn_fail_memory(err, "a network");
  snn_status status = read_model(net, bytes, n_bytes, err); /* net->mapping stays empty: these bytes are not ours */
  if (status != SNN_OK) {
    snn_network_free(net);
    return status;
  }
  *out = net;
  return SNN_OK;
}
