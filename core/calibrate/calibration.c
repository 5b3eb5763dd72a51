/* Calibrations as data: creation, lookup, release. Makes no tables and reads no files. */
#include "calibrate/calibration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

snn_calibration *snn_calibration_new(const snn_network *net, size_t n) {
  snn_calibration *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  memcpy(c->model_sha256, net->sha256, sizeof c->model_sha256);
  c->n_layers = net->n_nodes;
  c->layer_names = snn_arena_alloc(&c->arena, net->n_nodes, sizeof *c->layer_names);
  c->entries = snn_arena_alloc(&c->arena, n, sizeof *c->entries);
  bool complete = c->layer_names && c->entries;
  for (uint32_t i = 0; complete && i < net->n_nodes; i++) {
    c->layer_names[i] = snn_arena_text(&c->arena, net->nodes[i].name, strlen(net->nodes[i].name));
    complete = c->layer_names[i] != NULL;
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

size_t snn_calibration_tables(const snn_calibration *c) {
  return c->n_entries;
}

snn_calibration_table snn_calibration_table_at(const snn_calibration *c, size_t i) {
  return c->entries[i].key;
}

bool snn_calibration_find(const snn_calibration *c, snn_neuron neuron, snn_init init, uint32_t timesteps,
                          size_t *table) {
  double nearest = INFINITY;
  for (size_t i = 0; i < c->n_entries; i++) {
    snn_calibration_table key = c->entries[i].key;
    if (key.neuron != neuron || key.init != init) continue;
    double distance = fabs(log((double)key.timesteps) - log((double)timesteps));
    if (distance < nearest || (distance == nearest && key.timesteps < c->entries[*table].key.timesteps)) {
      nearest = distance;
      *table = i;
    }
  }
  return nearest < INFINITY;
}

const float *snn_calibration_potentials(const snn_calibration *c, size_t table, size_t layer, size_t *n) {
  snn_potentials p = c->entries[table].layers[layer];
  *n = p.n;
  return p.values;
}
