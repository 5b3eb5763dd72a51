/* Mean activations of the float network over pictures. */
#ifndef SNN_CALIBRATE_FLOAT_MEANS_H
#define SNN_CALIBRATE_FLOAT_MEANS_H

#include "graph/graph.h"

/* Mean over images [n][C,H,W] of every neuron's activation, clipped to its amplitude (what a rate of 1 stands for).
 * *out: [n_nodes] arrays in [h][w][c] order, NULL for layers that are no neurons; freed with snn_float_means_free.
 * Errors: NO_MEMORY. */
snn_status snn_float_means(const snn_network *net, const float *images, size_t n, uint32_t threads, float ***out,
                           snn_error *err);
void snn_float_means_free(const snn_network *net, float **means);

#endif
