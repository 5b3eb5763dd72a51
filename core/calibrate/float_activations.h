/* Activations of the float network over pictures. */
#ifndef SNN_CALIBRATE_FLOAT_ACTIVATIONS_H
#define SNN_CALIBRATE_FLOAT_ACTIVATIONS_H

#include <stdatomic.h>

#include "graph/graph.h"

/* Over images [n][C,H,W]; arrays of [n_nodes], entries NULL for layers that are no neurons; maps are [h][w][c]. */
typedef struct snn_float_activations {
  size_t n;
  float **means; /* of each neuron's activation, clipped to its amplitude (what a rate of 1 stands for) */
  float **all;   /* [n] maps of each layer, as they are; NULL unless asked for */
} snn_float_activations;

/* Errors: NO_MEMORY. */
snn_status snn_float_activations_create(const snn_network *net, const float *images, size_t n, bool keep_all,
                                        uint32_t threads, const atomic_bool *cancel, snn_float_activations *out,
                                        snn_error *err);
void snn_float_activations_free(const snn_network *net, snn_float_activations *f);

/* The means of a layer where its amplitude is scaled by a factor: means[neurons]. All activations were kept. */
void snn_float_activations_clip(const snn_network *net, const snn_float_activations *f, uint32_t node, float factor,
                                float *means);

#endif
