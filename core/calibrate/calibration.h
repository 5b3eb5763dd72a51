/* A calibration inside the library: tables of initial potentials. */
#ifndef SNN_CALIBRATE_CALIBRATION_H
#define SNN_CALIBRATE_CALIBRATION_H

#include "graph/graph.h"
#include "neurons/potentials.h"
#include "snn/calibrate.h"

typedef struct snn_calibration_entry {
  snn_calibration_table key;
  snn_potentials *layers; /* [n_layers]; values NULL where a layer is no neurons */
} snn_calibration_entry;

/* What a calibration remembers of its network's layers. */
typedef struct snn_calibration_layer {
  char *name;
  bool is_neuron;
  snn_shape shape;
} snn_calibration_layer;

struct snn_calibration {
  snn_arena arena; /* owns the values, unless they lie in the mapping */
  snn_mapping mapping;
  char model_sha256[SNN_SHA256_HEX]; /* "" for a network that was never saved */
  size_t n_layers;                   /* of the network */
  snn_calibration_layer *layers;     /* [n_layers] */
  snn_calibration_entry *entries;
  size_t n_entries;
};

/* An empty calibration of a network with room for n tables; NULL when out of memory. */
snn_calibration *snn_calibration_new(const snn_network *net, size_t n);

#endif
