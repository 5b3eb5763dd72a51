/* Initial potentials that follow from the weights alone. */
#ifndef SNN_SIM_INITIAL_H
#define SNN_SIM_INITIAL_H

#include "graph/graph.h"

/* What snn_weights_potential works in; allocated once. */
typedef struct snn_weights_scratch {
  bool *reached; /* [n_nodes] */
  double *bias;  /* [channels of the widest layer] */
} snn_weights_scratch;

/* Errors: NO_MEMORY. */
snn_status snn_weights_scratch_create(const snn_network *net, snn_weights_scratch *out, snn_error *err);
void snn_weights_scratch_free(snn_weights_scratch *s);

/* The mean over the weights that reach neuron layer `node`, through additions and pools, of (w * amplitude * T + b) mod
 * theta, in units of theta, each with the bias and threshold of its output channel and the amplitude of the spikes it
 * weighs (1 for the image): IC-SNN, Algorithm 1, with the floored modulo. 1/2 for neurons that no weights reach. */
float snn_weights_potential(const snn_network *net, uint32_t node, uint32_t timesteps, const snn_weights_scratch *s);

#endif
