/* Which layers' spikes meet: a node with several inputs joins the neuron layers behind them into one set. */
#include "calibrate/meet.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"

/* Neuron layers form sets, each a tree towards its root; NONE where no spikes come from. */
enum { NONE = UINT32_MAX };

static uint32_t root(const uint32_t *parent, uint32_t i) {
  while (parent[i] != i) i = parent[i];
  return i;
}

snn_status snn_layers_that_meet(const snn_network *net, bool *meets, snn_error *err) {
  uint32_t *parent = snn_alloc_array(net->n_nodes, sizeof *parent);
  uint32_t *source = snn_alloc_array(net->n_nodes, sizeof *source); /* of each node: a layer of the set behind it */
  if (!parent || !source) {
    free(parent);
    free(source);
    return snn_fail_memory(err, "the layers' sets");
  }
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    const snn_node *n = &net->nodes[i];
    parent[i] = i;
    source[i] = NONE;
    for (uint32_t k = 0; k < n->n_inputs; k++) {
      uint32_t from = source[n->inputs[k]];
      if (from == NONE) continue;
      if (source[i] != NONE) parent[root(parent, from)] = root(parent, source[i]);
      source[i] = from;
    }
    if (n->kind == SNN_LAYER_NEURON) source[i] = i;
  }
  for (uint32_t i = 0; i < net->n_nodes; i++) meets[i] = false;
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (root(parent, i) != i) meets[i] = meets[root(parent, i)] = true;
  free(parent);
  free(source);
  return SNN_OK;
}
