/* Tables of initial potentials and threshold factors, to and from a container.
 *
 * Invariant: tables come out only when each has every neuron layer, of a fitting size, finite. Tensors are used where
 * they lie. Does not know which network a container was made for. */
#include "model/tables.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

static const char where[] = SNN_KEY_CALIBRATION;

/* Far beyond what is of use; keeps thresholds in range. */
static const float largest_factor = 1024;

/* Tables times layers, which all take memory before a tensor is looked for. */
static const size_t most_layers = (size_t)1 << 20;

void snn_table_tensor_name(char out[SNN_MAX_TABLE_TENSOR_NAME], snn_calibration_table key, const char *layer) {
  snprintf(out, SNN_MAX_TABLE_TENSOR_NAME, "%s.%s.%u.%s", snn_neuron_name(key.neuron), snn_init_name(key.init),
           key.timesteps, layer);
}

bool snn_tables_have_more(const snn_calibration *c) {
  for (size_t k = 0; k < c->n_entries; k++)
    if (c->entries[k].factors || snn_calibration_shifts(c, k)) return true;
  return false;
}

/* One number a neuron layer, in the order of the layers. */
static json_t *factors_json(const snn_calibration *c, const float *factors) {
  json_t *list = json_array();
  for (size_t i = 0; i < c->n_layers; i++)
    if (c->layers[i].is_neuron) json_array_append_new(list, json_real((double)factors[i]));
  return list;
}

/* 1 where all neuron layers shift, else a 0 or 1 for each. */
static json_t *shifts_json(const snn_calibration *c, const snn_potentials *layers) {
  json_t *list = json_array();
  bool all = true;
  for (size_t i = 0; i < c->n_layers; i++)
    if (c->layers[i].is_neuron) {
      json_array_append_new(list, json_integer(layers[i].shift));
      all = all && layers[i].shift;
    }
  if (!all) return list;
  json_decref(list);
  return json_integer(1);
}

json_t *snn_tables_json(const snn_calibration *c) {
  json_t *tables = json_array();
  for (size_t k = 0; tables && k < c->n_entries; k++) {
    snn_calibration_table key = c->entries[k].key;
    json_t *table = json_pack("{s:s, s:s, s:i}", "neuron", snn_neuron_name(key.neuron), "init", snn_init_name(key.init),
                              "timesteps", (int)key.timesteps);
    if (c->entries[k].factors) json_object_set_new(table, "factors", factors_json(c, c->entries[k].factors));
    if (snn_calibration_shifts(c, k)) json_object_set_new(table, "shift", shifts_json(c, c->entries[k].layers));
    json_array_append_new(tables, table);
  }
  return tables;
}

snn_status snn_tables_tensors(const snn_calibration *c, snn_arena *arena, snn_tensor **out_tensors,
                              const float ***out_values, size_t *out_n, snn_error *err) {
  size_t n = 0, most;
  snn_tensor *tensors =
      snn_mul(c->n_entries, c->n_layers, &most) ? snn_arena_alloc(arena, most, sizeof *tensors) : NULL;
  const float **values = tensors ? snn_arena_alloc(arena, most, sizeof *values) : NULL;
  if (!values) return snn_fail_memory(err, "the tables' tensors");
  for (size_t k = 0; k < c->n_entries; k++)
    for (size_t i = 0; i < c->n_layers; i++) {
      snn_potentials p = c->entries[k].layers[i];
      if (!p.values) continue;
      char name[SNN_MAX_TABLE_TENSOR_NAME];
      snn_table_tensor_name(name, c->entries[k].key, c->layers[i].name);
      tensors[n] = (snn_tensor){.name = snn_arena_text(arena, name, strlen(name)), .rank = 1, .shape = {p.n}};
      if (!tensors[n].name || !snn_tensor_measure(&tensors[n])) return snn_fail_memory(err, "the tables' tensors");
      values[n++] = p.values;
    }
  *out_tensors = tensors;
  *out_values = values;
  *out_n = n;
  return SNN_OK;
}

static snn_status read_key(const json_t *json, snn_calibration_table *key, snn_error *err) {
  const char *neuron = NULL, *init = NULL;
  snn_status status = snn_json_text(json, "neuron", SNN_MAX_NAME, true, &neuron, where, err);
  if (status == SNN_OK) status = snn_json_text(json, "init", SNN_MAX_NAME, true, &init, where, err);
  if (status == SNN_OK)
    status = snn_json_uint(json, "timesteps", 1, SNN_MAX_TIMESTEPS, true, &key->timesteps, where, err);
  if (status != SNN_OK) return status;
  if (!snn_neuron_parse(neuron, &key->neuron) || !snn_init_parse(init, &key->init) || key->init < SNN_INIT_WEIGHTS)
    return snn_fail(err, SNN_ERR_UNSUPPORTED, where,
                    "a table for neuron '%.40s' and init '%.40s', which this build has no use for", neuron, init);
  return SNN_OK;
}

/* One number for all neuron layers, or an array of one each. */
static snn_status read_shift(const json_t *json, const snn_network *net, snn_calibration_entry *entry, snn_error *err) {
  const json_t *list = json_object_get(json, "shift");
  const bool each = json_is_array(list);
  uint32_t all = 0;
  size_t n = 0;
  snn_status status = each ? SNN_OK : snn_json_uint(json, "shift", 0, 1, false, &all, where, err);
  for (uint32_t i = 0; status == SNN_OK && i < net->n_nodes; i++) {
    if (net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    const json_t *one = json_array_get(list, n++);
    json_int_t value = each ? json_integer_value(one) : all;
    if (each && (!json_is_integer(one) || value < 0 || value > 1))
      status =
          snn_fail(err, SNN_ERR_FORMAT, where, "'shift' must be 0 or 1, or an array of one of them a neuron layer");
    entry->layers[i].shift = value == 1;
  }
  if (status == SNN_OK && each && json_array_size(list) != n)
    status =
        snn_fail(err, SNN_ERR_FORMAT, where, "'shift' has %zu values for %zu neuron layers", json_array_size(list), n);
  return status;
}

static snn_status read_factors(const json_t *json, const snn_network *net, snn_calibration *c,
                               snn_calibration_entry *entry, snn_error *err) {
  size_t n = 0;
  const json_t *list = json_object_get(json, "factors");
  if (!list) return SNN_OK;
  for (uint32_t i = 0; i < net->n_nodes; i++) n += net->nodes[i].kind == SNN_LAYER_NEURON;
  float *given = snn_arena_alloc(&c->arena, n, sizeof *given);
  float *factors = snn_arena_alloc(&c->arena, net->n_nodes, sizeof *factors);
  if (!given || !factors) return snn_fail_memory(err, "threshold factors");
  snn_status status = snn_json_floats(json, "factors", n, given, where, err);
  for (uint32_t i = 0, k = 0; status == SNN_OK && i < net->n_nodes; i++) {
    const snn_node *node = &net->nodes[i];
    factors[i] = node->kind == SNN_LAYER_NEURON ? given[k++] : 1.0f;
    if (!(factors[i] >= 1 / largest_factor && factors[i] <= largest_factor))
      return snn_fail(err, SNN_ERR_FORMAT, where, "the factor of '%s' is not between 1/%g and %g", node->name,
                      (double)largest_factor, (double)largest_factor);
    const snn_neurons *x = &node->neurons;
    for (uint32_t t = 0; node->kind == SNN_LAYER_NEURON && t < x->n; t++)
      if (!(factors[i] * x->theta[t] > 0 && factors[i] * x->fire[t] > 0 && isfinite(factors[i] * x->theta[t]) &&
            isfinite(factors[i] * x->fire[t]) && isfinite(factors[i] * x->amplitude[t])))
        return snn_fail(err, SNN_ERR_FORMAT, where, "factor %g brings a threshold of '%s' out of range",
                        (double)factors[i], node->name);
  }
  entry->factors = factors;
  return status;
}

/* The values of one layer in one table, in place. */
static snn_status read_layer(const snn_safetensors *file, const snn_network *net, uint32_t layer,
                             snn_calibration_table key, snn_potentials *out, snn_error *err) {
  char name[SNN_MAX_TABLE_TENSOR_NAME];
  snn_shape shape = net->nodes[layer].shape;
  snn_table_tensor_name(name, key, net->nodes[layer].name);
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
  *out = (snn_potentials){.values = values, .n = t->n_elements};
  return SNN_OK;
}

static snn_status read_all(const snn_safetensors *file, const snn_network *net, const json_t *tables,
                           snn_calibration *c, snn_error *err) {
  snn_status status = SNN_OK;
  for (size_t k = 0; status == SNN_OK && k < c->n_entries; k++) {
    snn_calibration_entry *entry = &c->entries[k];
    const json_t *table = json_array_get(tables, k);
    status = read_key(table, &entry->key, err);
    for (size_t i = 0; status == SNN_OK && i < k; i++)
      if (memcmp(&c->entries[i].key, &entry->key, sizeof entry->key) == 0)
        status = snn_fail(err, SNN_ERR_FORMAT, where, "the table %s.%s.%u is listed twice",
                          snn_neuron_name(entry->key.neuron), snn_init_name(entry->key.init), entry->key.timesteps);
    if (status == SNN_OK) status = read_factors(table, net, c, entry, err);
    for (uint32_t i = 0; status == SNN_OK && i < net->n_nodes; i++)
      if (net->nodes[i].kind == SNN_LAYER_NEURON) status = read_layer(file, net, i, entry->key, &entry->layers[i], err);
    if (status == SNN_OK) status = read_shift(table, net, entry, err);
  }
  return status;
}

snn_status snn_tables_read(const snn_safetensors *file, const snn_network *net, const json_t *about,
                           snn_calibration **out, snn_error *err) {
  const json_t *tables = json_object_get(about, "tables");
  size_t n = json_array_size(tables);
  if (!json_is_array(tables) || n < 1 || n > SNN_MAX_TABLES)
    return snn_fail(err, SNN_ERR_FORMAT, where, "'tables' must be an array of 1 to %d", SNN_MAX_TABLES);
  if (n * net->n_nodes > most_layers)
    return snn_fail(err, SNN_ERR_TOO_LARGE, where, "%zu tables of %u layers", n, net->n_nodes);
  snn_calibration *c = snn_calibration_new(net, n);
  if (!c) return snn_fail_memory(err, "a calibration");
  snn_status status = read_all(file, net, tables, c, err);
  if (status == SNN_OK)
    *out = c;
  else
    snn_calibration_free(c);
  return status;
}
