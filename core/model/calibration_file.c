/* Calibration files: a safetensors container with a tensor of initial potentials per table and neuron layer.
 *
 * Invariant: a calibration comes out only when it was made for this very network (by SHA-256 of the model file) and
 * every table has every neuron layer, of a fitting size, finite. Tensors are used where they lie. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "calibrate/calibration.h"
#include "model/format.h"

enum { SNN_CALIBRATION_VERSION = 1, SNN_MAX_TABLES = 4096 };
#define SNN_KEY_CALIBRATION_VERSION "spiked.calibration_version"
#define SNN_KEY_CALIBRATION         "spiked.calibration"

/* The tensor of a layer in a table, such as "if.matched.8.conv1". */
static int tensor_name(char *out, size_t n, snn_calibration_table key, const char *layer) {
  return snprintf(out, n, "%s.%s.%u.%s", snn_neuron_name(key.neuron), snn_init_name(key.init), key.timesteps, layer);
}

enum { MAX_TENSOR_NAME = SNN_MAX_NAME + 64 };

static snn_status describe(const snn_calibration *c, char **out, snn_error *err) {
  json_t *tables = json_array();
  for (size_t k = 0; tables && k < c->n_entries; k++) {
    snn_calibration_table key = c->entries[k].key;
    json_array_append_new(tables, json_pack("{s:s, s:s, s:i}", "neuron", snn_neuron_name(key.neuron), "init",
                                            snn_init_name(key.init), "timesteps", (int)key.timesteps));
  }
  json_t *json = json_pack("{s:s, s:o}", "model_sha256", c->model_sha256, "tables", tables);
  *out = json ? json_dumps(json, JSON_COMPACT) : NULL;
  json_decref(json);
  return *out ? SNN_OK : snn_fail_memory(err, "the calibration's description");
}

snn_status snn_calibration_save(const snn_calibration *c, const char *path, snn_error *err) {
  if (!c->model_sha256[0])
    return snn_fail(err, SNN_ERR_ARGUMENT, "model",
                    "its network was never saved, so the calibration could not be bound to it");
  char *description = NULL, version[16];
  snn_arena arena = {0};
  size_t n = 0, most;
  snn_tensor_writer writer;
  snn_tensor *tensors =
      snn_mul(c->n_entries, c->n_layers, &most) ? snn_arena_alloc(&arena, most, sizeof *tensors) : NULL;
  const float **values = tensors ? snn_arena_alloc(&arena, most, sizeof *values) : NULL;
  snn_status status = values ? describe(c, &description, err) : snn_fail_memory(err, "the calibration's tensors");
  for (size_t k = 0; status == SNN_OK && values && k < c->n_entries; k++)
    for (size_t i = 0; status == SNN_OK && i < c->n_layers; i++) {
      snn_potentials p = c->entries[k].layers[i];
      if (!p.values) continue;
      char name[MAX_TENSOR_NAME];
      int length = tensor_name(name, sizeof name, c->entries[k].key, c->layers[i].name);
      tensors[n] = (snn_tensor){.name = snn_arena_text(&arena, name, (size_t)length), .rank = 1, .shape = {p.n}};
      if (!tensors[n].name || !snn_tensor_measure(&tensors[n]))
        status = snn_fail_memory(err, "the calibration's tensors");
      values[n++] = p.values;
    }
  if (status == SNN_OK) {
    snprintf(version, sizeof version, "%d", SNN_CALIBRATION_VERSION);
    const snn_metadata_entry metadata[] = {{SNN_KEY_CALIBRATION_VERSION, version}, {SNN_KEY_CALIBRATION, description}};
    status = snn_tensor_writer_begin(path, metadata, 2, tensors, n, &writer, err);
    for (size_t i = 0; status == SNN_OK && i < n; i++) {
      status = snn_tensor_writer_append(&writer, values[i], tensors[i].n_bytes, err);
      if (status != SNN_OK) snn_tensor_writer_abort(&writer);
    }
    if (status == SNN_OK) status = snn_tensor_writer_commit(&writer, err);
  }
  free(description);
  snn_arena_free(&arena);
  return status;
}

static snn_status read_table_key(const json_t *json, snn_calibration_table *key, snn_error *err) {
  const char *neuron = NULL, *init = NULL;
  snn_status status = snn_json_text(json, "neuron", SNN_MAX_NAME, true, &neuron, SNN_KEY_CALIBRATION, err);
  if (status == SNN_OK) status = snn_json_text(json, "init", SNN_MAX_NAME, true, &init, SNN_KEY_CALIBRATION, err);
  if (status == SNN_OK)
    status = snn_json_uint(json, "timesteps", 1, SNN_MAX_TIMESTEPS, true, &key->timesteps, SNN_KEY_CALIBRATION, err);
  if (status != SNN_OK) return status;
  if (!snn_neuron_parse(neuron, &key->neuron) || !snn_init_parse(init, &key->init) || key->init < SNN_INIT_WEIGHTS)
    return snn_fail(err, SNN_ERR_UNSUPPORTED, SNN_KEY_CALIBRATION,
                    "a table for neuron '%.40s' and init '%.40s', which this build has no use for", neuron, init);
  return SNN_OK;
}

/* The values of one layer in one table, in place. */
static snn_status read_layer(const snn_safetensors *file, const snn_network *net, uint32_t layer,
                             snn_calibration_table key, snn_potentials *out, snn_error *err) {
  char name[MAX_TENSOR_NAME];
  snn_shape shape = net->nodes[layer].shape;
  tensor_name(name, sizeof name, key, net->nodes[layer].name);
  const snn_tensor *t = snn_safetensors_find(file, name);
  if (!t) return snn_fail(err, SNN_ERR_FORMAT, name, "this tensor is missing");
  if (t->dtype != SNN_DTYPE_F32 || (uintptr_t)t->bytes % sizeof(float) != 0)
    return snn_fail(err, SNN_ERR_FORMAT, name, "it must be an aligned F32 tensor");
  if (t->n_elements != 1 && t->n_elements != shape.c && t->n_elements != snn_shape_size(shape))
    return snn_fail(err, SNN_ERR_FORMAT, name, "%zu values; a layer of %ux%ux%u neurons takes 1, %u or %zu",
                    t->n_elements, shape.c, shape.h, shape.w, shape.c, snn_shape_size(shape));
  const float *values = (const float *)(const void *)t->bytes;
  for (size_t i = 0; i < t->n_elements; i++)
    if (!isfinite(values[i])) return snn_fail(err, SNN_ERR_FORMAT, name, "a potential is not finite");
  *out = (snn_potentials){values, t->n_elements};
  return SNN_OK;
}

static snn_status read_tables(const snn_safetensors *file, const snn_network *net, const json_t *tables,
                              snn_calibration *c, snn_error *err) {
  snn_status status = SNN_OK;
  for (size_t k = 0; status == SNN_OK && k < c->n_entries; k++) {
    snn_calibration_entry *entry = &c->entries[k];
    status = read_table_key(json_array_get(tables, k), &entry->key, err);
    for (size_t i = 0; status == SNN_OK && i < k; i++)
      if (memcmp(&c->entries[i].key, &entry->key, sizeof entry->key) == 0)
        status = snn_fail(err, SNN_ERR_FORMAT, SNN_KEY_CALIBRATION, "the table %s.%s.%u is listed twice",
                          snn_neuron_name(entry->key.neuron), snn_init_name(entry->key.init), entry->key.timesteps);
    for (uint32_t i = 0; status == SNN_OK && i < net->n_nodes; i++)
      if (net->nodes[i].kind == SNN_LAYER_NEURON) status = read_layer(file, net, i, entry->key, &entry->layers[i], err);
  }
  return status;
}

snn_status snn_calibration_load_memory(const void *bytes, size_t n_bytes, const snn_network *net, snn_calibration **out,
                                       snn_error *err) {
  snn_safetensors *file = NULL;
  json_t *json = NULL;
  snn_calibration *c = NULL;
  const char *made_for = NULL;
  snn_status status = snn_safetensors_open(bytes, n_bytes, &file, err);
  if (status != SNN_OK) return status;
  const char *version = snn_safetensors_metadata(file, SNN_KEY_CALIBRATION_VERSION);
  const char *text = snn_safetensors_metadata(file, SNN_KEY_CALIBRATION);
  if (!version || !text)
    status =
        snn_fail(err, SNN_ERR_FORMAT, SNN_KEY_CALIBRATION, "this metadata key is missing: not a calibration of spiked");
  else if (strcmp(version, "1") != 0)
    status = snn_fail(err, SNN_ERR_UNSUPPORTED, SNN_KEY_CALIBRATION_VERSION,
                      "the file has version '%.16s', this build reads %d", version, SNN_CALIBRATION_VERSION);
  else
    status = snn_json_parse(text, strlen(text), SNN_KEY_CALIBRATION, &json, err);
  const json_t *tables = json_object_get(json, "tables");
  if (status == SNN_OK)
    status = snn_json_text(json, "model_sha256", SNN_SHA256_HEX, true, &made_for, SNN_KEY_CALIBRATION, err);
  if (status == SNN_OK && strcmp(made_for, net->sha256) != 0)
    status = snn_fail(err, SNN_ERR_ARGUMENT, "model",
                      "the calibration was made for another network (model file %.12s..., not %.12s...)", made_for,
                      net->sha256);
  if (status == SNN_OK &&
      (!json_is_array(tables) || json_array_size(tables) < 1 || json_array_size(tables) > SNN_MAX_TABLES))
    status = snn_fail(err, SNN_ERR_FORMAT, SNN_KEY_CALIBRATION, "'tables' must be an array of 1 to %d", SNN_MAX_TABLES);
  if (status == SNN_OK && !(c = snn_calibration_new(net, json_array_size(tables))))
    status = snn_fail_memory(err, "a calibration");
  if (status == SNN_OK && c) status = read_tables(file, net, tables, c, err);
  json_decref(json);
  snn_safetensors_free(file);
  if (status == SNN_OK)
    *out = c;
  else
    snn_calibration_free(c);
  return status;
}

snn_status snn_calibration_load(const char *path, const snn_network *net, snn_calibration **out, snn_error *err) {
  snn_mapping mapping;
  snn_calibration *c = NULL;
  snn_status status = snn_map_file(path, SNN_MAX_MODEL_BYTES, &mapping, err);
  if (status != SNN_OK) return status;
  status = snn_calibration_load_memory(mapping.bytes, mapping.n_bytes, net, &c, err);
  if (status != SNN_OK) {
    snn_unmap(&mapping);
    return status;
  }
  c->mapping = mapping; /* its tables point into it */
  *out = c;
  return SNN_OK;
}
