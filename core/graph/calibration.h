/* A calibration inside the library: tables of initial potentials, threshold factors and shifts. Lives in the graph's
 * room because a network may own one, that of its model file. */
#ifndef SNN_GRAPH_CALIBRATION_H
#define SNN_GRAPH_CALIBRATION_H

#include "graph/graph.h"
#include "neurons/potentials.h"
#include "snn/calibrate.h"

typedef struct snn_calibration_entry {
  snn_calibration_table key;
  snn_potentials *layers; /* [n_layers]; values NULL where a layer is no neurons */
  const float *factors;   /* [n_layers], of the thresholds, 1 where a layer is no neurons; NULL: all are 1 */
} snn_calibration_entry;

/* What a calibration remembers of its network's layers. */
typedef struct snn_calibration_layer {
  char *name;
  bool is_neuron;
  snn_shape shape;
} snn_calibration_layer;

struct snn_calibration {
  snn_arena arena; /* owns the values, unless they lie in a mapping */
  snn_mapping mapping;
  char sha256[SNN_SHA256_HEX];         /* of its file; "" for one that was made and not loaded */
  char network_sha256[SNN_SHA256_HEX]; /* "" for a network that was never saved */
  const char *provenance;              /* how it was made: a JSON object as text; NULL: unknown */
  size_t n_layers;                     /* of the network */
  snn_calibration_layer *layers;       /* [n_layers] */
  snn_calibration_entry *entries;
  size_t n_entries;
};

enum { SNN_MAX_TABLES = 4096 };

/* An empty calibration of a network with room for n tables; NULL when out of memory. */
snn_calibration *snn_calibration_new(const snn_network *net, size_t n);

#endif
