/* Tables into a model file: the container is written again with more tensors and metadata.
 *
 * Invariant: whatever is not replaced is copied byte for byte, what this build does not know included, so the network
 * stays the same network, and its identity with it. Does not read or make tables. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/tables.h"

/* A file in the making: tensors with their bytes, metadata with texts from the arena. */
typedef struct rewrite {
  snn_arena arena;
  const snn_safetensors *from;
  snn_tensor *tensors; /* [n] */
  size_t n;
  snn_metadata_entry *metadata; /* [n_metadata] */
  size_t n_metadata;
  snn_error *err;
} rewrite;

static bool same_key(snn_calibration_table a, snn_calibration_table b) {
  return a.neuron == b.neuron && a.init == b.init && a.timesteps == b.timesteps;
}

/* The tables of both, of `c` where both have one; its values are borrowed. NULL when out of memory. */
static snn_calibration *merge(const snn_network *net, const snn_calibration *c) {
  const snn_calibration *old = net->calibration;
  snn_calibration *all = snn_calibration_new(net, (old ? old->n_entries : 0) + c->n_entries);
  if (!all) return NULL;
  all->n_entries = 0;
  for (size_t k = 0; old && k < old->n_entries; k++) {
    bool replaced = false;
    for (size_t i = 0; i < c->n_entries; i++) replaced = replaced || same_key(c->entries[i].key, old->entries[k].key);
    if (!replaced) all->entries[all->n_entries++] = old->entries[k];
  }
  for (size_t i = 0; i < c->n_entries; i++) all->entries[all->n_entries++] = c->entries[i];
  return all;
}

static snn_status set_metadata(rewrite *w, const char *key, const char *value) {
  char *text = snn_arena_text(&w->arena, value, strlen(value));
  size_t i = 0;
  if (!text) return snn_fail_memory(w->err, key);
  while (i < w->n_metadata && strcmp(w->metadata[i].key, key) != 0) i++;
  w->metadata[i] = (snn_metadata_entry){key, text};
  w->n_metadata += i == w->n_metadata;
  return SNN_OK;
}

/* The same with JSON, which is taken. */
static snn_status set_json(rewrite *w, const char *key, json_t *json) {
  char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
  snn_status status = text ? set_metadata(w, key, text) : snn_fail_memory(w->err, key);
  json_decref(json);
  free(text);
  return status;
}

/* Members are changed where something else is recommended; others, known or not, stay. */
static snn_status recommend(rewrite *w, const snn_network *net, const snn_calibration *all,
                            const snn_embed_options *opt) {
  const char *text = snn_safetensors_metadata(w->from, SNN_KEY_RECOMMENDED);
  json_t *json = NULL;
  snn_init init = opt->init ? *opt->init : net->recommended.init;
  size_t table;
  if (snn_init_needs_table(init) && !snn_calibration_find(all, net->recommended.neuron, init, 1, &table))
    return snn_fail(w->err, SNN_ERR_ARGUMENT, "init", "'%s' cannot be recommended without a table for neuron '%s'",
                    snn_init_name(init), snn_neuron_name(net->recommended.neuron));
  snn_status status = text ? snn_json_parse(text, strlen(text), SNN_KEY_RECOMMENDED, &json, w->err) : SNN_OK;
  if (status != SNN_OK) return status;
  if (!json) json = json_object();
  json_object_set_new(json, "init", json_string(snn_init_name(init)));
  json_object_set_new(json, "timesteps", json_integer(opt->timesteps ? opt->timesteps : net->recommended.timesteps));
  return set_json(w, SNN_KEY_RECOMMENDED, json);
}

/* All tensors but those of tables that were there, and those of all tables; larger elements first, by name otherwise.
 */
static snn_status gather_tensors(rewrite *w, const snn_network *net, const snn_calibration *all) {
  size_t there = snn_safetensors_count(w->from), n_tables = 0, n_names = 0;
  snn_tensor *tables = NULL, *old = NULL;
  const float **values = NULL, **unused = NULL;
  snn_status status = snn_tables_tensors(all, &w->arena, &tables, &values, &n_tables, w->err);
  if (status == SNN_OK && net->calibration)
    status = snn_tables_tensors(net->calibration, &w->arena, &old, &unused, &n_names, w->err);
  if (status != SNN_OK) return status;
  w->tensors = snn_arena_alloc(&w->arena, there + n_tables, sizeof *w->tensors);
  bool *drop = snn_arena_alloc(&w->arena, there, sizeof *drop);
  if (!w->tensors || !drop) return snn_fail_memory(w->err, "the list of tensors");
  const snn_tensor *first = snn_safetensors_at(w->from, 0);
  for (size_t k = 0; k < n_names; k++) drop[snn_safetensors_find(w->from, old[k].name) - first] = true;
  for (size_t size = 8; size >= 1; size /= 2) {
    for (size_t i = 0; i < there; i++) {
      const snn_tensor *t = snn_safetensors_at(w->from, i);
      if (!drop[i] && snn_dtype_bytes(t->dtype) == size) w->tensors[w->n++] = *t;
    }
    for (size_t k = 0; size == sizeof(float) && k < n_tables; k++) {
      const snn_tensor *t = snn_safetensors_find(w->from, tables[k].name);
      if (t && !drop[t - first])
        return snn_fail(w->err, SNN_ERR_FORMAT, t->name, "a tensor that is no table's has a table's name");
      tables[k].bytes = (const uint8_t *)(const void *)values[k];
      w->tensors[w->n++] = tables[k];
    }
  }
  return SNN_OK;
}

static snn_status gather_metadata(rewrite *w, const snn_network *net, const snn_calibration *all,
                                  const snn_embed_options *opt) {
  size_t there = snn_safetensors_metadata_count(w->from);
  w->metadata = snn_arena_alloc(&w->arena, there + 4, sizeof *w->metadata);
  if (!w->metadata) return snn_fail_memory(w->err, "metadata");
  for (size_t i = 0; i < there; i++) w->metadata[w->n_metadata++] = snn_safetensors_metadata_at(w->from, i);
  snn_status status = set_metadata(w, SNN_KEY_VERSION, "2");
  if (status == SNN_OK) status = set_metadata(w, SNN_KEY_IDENTITY, net->network_sha256);
  if (status == SNN_OK) status = recommend(w, net, all, opt);
  if (status == SNN_OK) status = set_json(w, SNN_KEY_CALIBRATION, json_pack("{s:o}", "tables", snn_tables_json(all)));
  return status;
}

static snn_status write_file(rewrite *w, const char *output) {
  snn_tensor_writer writer;
  snn_status status = snn_tensor_writer_begin(output, w->metadata, w->n_metadata, w->tensors, w->n, &writer, w->err);
  for (size_t i = 0; status == SNN_OK && i < w->n; i++) {
    status = snn_tensor_writer_append(&writer, w->tensors[i].bytes, w->tensors[i].n_bytes, w->err);
    if (status != SNN_OK) snn_tensor_writer_abort(&writer);
  }
  return status == SNN_OK ? snn_tensor_writer_commit(&writer, w->err) : status;
}

snn_status snn_calibration_embed(const snn_calibration *c, const char *model, const char *output,
                                 const snn_embed_options *opt, snn_error *err) {
  snn_mapping mapping = {0};
  snn_safetensors *file = NULL;
  snn_network *net = NULL;
  snn_calibration *all = NULL;
  rewrite w = {.err = err};
  snn_status status = snn_map_file(model, SNN_MAX_MODEL_BYTES, &mapping, err);
  if (status == SNN_OK) status = snn_network_load_memory(mapping.bytes, mapping.n_bytes, &net, err);
  if (status == SNN_OK) status = snn_safetensors_open(mapping.bytes, mapping.n_bytes, &file, err);
  if (status == SNN_OK && !snn_calibration_fits(c, net))
    status = snn_fail(err, SNN_ERR_ARGUMENT, "model", "the calibration was made for another network");
  if (status == SNN_OK && !(all = merge(net, c))) status = snn_fail_memory(err, "the tables");
  if (status == SNN_OK && all && all->n_entries > SNN_MAX_TABLES)
    status = snn_fail(err, SNN_ERR_TOO_LARGE, SNN_KEY_CALIBRATION, "it would have more than %d tables", SNN_MAX_TABLES);
  w.from = file;
  if (status == SNN_OK) status = gather_tensors(&w, net, all);
  if (status == SNN_OK) status = gather_metadata(&w, net, all, opt);
  if (status == SNN_OK) status = write_file(&w, output);
  snn_arena_free(&w.arena);
  snn_calibration_free(all);
  snn_network_free(net);
  snn_safetensors_free(file);
  snn_unmap(&mapping);
  return status;
}
