/* Calibrations as data: creation, lookup, release, and which table a run starts from. Makes no tables and reads no
 * files. */
#include "graph/calibration.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"

snn_calibration *snn_calibration_new(const snn_network *net, size_t n) {
  snn_calibration *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  memcpy(c->network_sha256, net->network_sha256, sizeof c->network_sha256);
  c->n_layers = net->n_nodes;
  c->layers = snn_arena_alloc(&c->arena, net->n_nodes, sizeof *c->layers);
  c->entries = snn_arena_alloc(&c->arena, n, sizeof *c->entries);
  bool complete = c->layers && c->entries;
  for (uint32_t i = 0; complete && i < net->n_nodes; i++) {
    const snn_node *node = &net->nodes[i];
    c->layers[i] = (snn_calibration_layer){.name = snn_arena_text(&c->arena, node->name, strlen(node->name)),
                                           .is_neuron = node->kind == SNN_LAYER_NEURON,
                                           .shape = node->shape};
    complete = c->layers[i].name != NULL;
  }
  for (size_t k = 0; complete && k < n; k++) {
    c->entries[k].layers = snn_arena_alloc(&c->arena, net->n_nodes, sizeof *c->entries[k].layers);
    complete = c->entries[k].layers != NULL;
  }
  if (complete) {
    c->n_entries = n;
    return c;
  }
  snn_calibration_free(c);
  return NULL;
}

void snn_calibration_free(snn_calibration *c) {
  if (!c) return;
  snn_arena_free(&c->arena);
  snn_unmap(&c->mapping);
  free(c);
}

snn_status snn_calibration_set_provenance(snn_calibration *c, const char *json, snn_error *err) {
  const char *copy = snn_arena_text(&c->arena, json, strlen(json));
  if (!copy) return snn_fail_memory(err, "a calibration's provenance");
  c->provenance = copy;
  return SNN_OK;
}

const char *snn_calibration_provenance(const snn_calibration *c) {
  return c->provenance ? c->provenance : "{}";
}

size_t snn_calibration_tables(const snn_calibration *c) {
  return c->n_entries;
}

snn_calibration_table snn_calibration_table_at(const snn_calibration *c, size_t i) {
  return c->entries[i].key;
}

bool snn_calibration_find(const snn_calibration *c, snn_neuron neuron, snn_init init, uint32_t timesteps,
                          size_t *table) {
  bool found = false;
  uint64_t near_more = 0, near_less = 1; /* of the nearest so far: the larger and the smaller of its T and the run's */
  for (size_t i = 0; i < c->n_entries; i++) {
    snn_calibration_table key = c->entries[i].key;
    if (key.neuron != neuron || key.init != init) continue;
    uint64_t more = key.timesteps > timesteps ? key.timesteps : timesteps;
    uint64_t less = key.timesteps > timesteps ? timesteps : key.timesteps;
    uint64_t mine = more * near_less, best = near_more * less; /* more / less against near_more / near_less, exactly */
    if (!found || mine < best || (mine == best && key.timesteps < c->entries[*table].key.timesteps)) {
      near_more = more;
      near_less = less;
      *table = i;
    }
    found = true;
  }
  return found;
}

bool snn_calibration_fits(const snn_calibration *c, const snn_network *net) {
  if (c == net->calibration) return true;
  if (c->n_layers != net->n_nodes || strcmp(c->network_sha256, net->network_sha256) != 0) return false;
  for (uint32_t i = 0; i < net->n_nodes; i++) { /* unsaved networks all have the same digest, none */
    const snn_node *n = &net->nodes[i];
    if (c->layers[i].is_neuron != (n->kind == SNN_LAYER_NEURON) ||
        memcmp(&c->layers[i].shape, &n->shape, sizeof n->shape) != 0)
      return false;
  }
  return true;
}

const float *snn_calibration_potentials(const snn_calibration *c, size_t table, size_t layer, size_t *n) {
  snn_potentials p = c->entries[table].layers[layer];
  *n = p.n;
  return p.values;
}

bool snn_calibration_shifts(const snn_calibration *c, size_t table) {
  for (size_t i = 0; i < c->n_layers; i++)
    if (c->entries[table].layers[i].shift) return true;
  return false;
}

bool snn_calibration_layer_shifts(const snn_calibration *c, size_t table, size_t layer) {
  return c->entries[table].layers[layer].shift;
}

const float *snn_calibration_factors(const snn_calibration *c, size_t table) {
  return c->entries[table].factors;
}

const char *snn_calibration_sha256(const snn_calibration *c) {
  return c->sha256;
}

const snn_calibration *snn_network_calibration(const snn_network *net) {
  return net->calibration;
}

/* Is T = a at least as near to the run's as b, on a logarithmic scale? */
static bool is_as_near(uint32_t a, uint32_t b, uint32_t timesteps) {
  uint64_t more_a = a > timesteps ? a : timesteps, less_a = a > timesteps ? timesteps : a;
  uint64_t more_b = b > timesteps ? b : timesteps, less_b = b > timesteps ? timesteps : b;
  return more_a * less_b <= more_b * less_a;
}

bool snn_run_table(const snn_network *net, const snn_run_options *run, snn_table_choice *out) {
  const snn_calibration *const sources[] = {run->calibration, net->calibration};
  bool found = false;
  for (size_t i = 0; snn_init_needs_table(run->init) && i < 2; i++) {
    size_t table = 0;
    if (!sources[i] || !snn_calibration_find(sources[i], run->neuron, run->init, run->timesteps, &table)) continue;
    snn_calibration_table key = sources[i]->entries[table].key;
    if (found && is_as_near(out->key.timesteps, key.timesteps, run->timesteps)) continue;
    *out = (snn_table_choice){
        .calibration = sources[i], .table = table, .key = key, .is_embedded = sources[i] == net->calibration};
    found = true;
  }
  return found;
}

snn_init snn_recommended_init(const snn_network *net, const snn_run_options *run) {
  snn_run_options wanted = *run;
  snn_table_choice choice;
  wanted.init = net->recommended.init;
  return !snn_init_needs_table(wanted.init) || snn_run_table(net, &wanted, &choice) ? wanted.init : SNN_INIT_HALF;
}
