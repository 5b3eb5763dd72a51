/* Activations of the float network over pictures. */
#ifndef SNN_CALIBRATE_FLOAT_ACTIVATIONS_H
#define SNN_CALIBRATE_FLOAT_ACTIVATIONS_H

#include <stdatomic.h>

#include "graph/graph.h"
#include "snn/session.h"

typedef struct snn_float_options {
  bool keep_all; /* activations of every picture, not their means only */
  uint32_t threads;
  const atomic_bool *cancel;    /* NULL: none; raised: pictures not begun yet are left out */
  const snn_courtesy *courtesy; /* NULL: none */
} snn_float_options;

/* Over images [n][C,H,W]; arrays of [n_nodes], entries NULL for layers that are no neurons; maps are [h][w][c]. */
typedef struct snn_float_activations {
  size_t n;
  snn_float_options opt;
  float **means; /* of each neuron's activation, clipped to its amplitude (what a rate of 1 stands for) */
  float **all;   /* [n] maps of each layer, as they are; NULL unless asked for */
} snn_float_activations;

/* Errors: NO_MEMORY. */
snn_status snn_float_activations_create(const snn_network *net, const float *images, size_t n,
                                        const snn_float_options *opt, snn_float_activations *out, snn_error *err);
void snn_float_activations_free(const snn_network *net, snn_float_activations *f);

/* The means of a layer where its amplitude is scaled by a factor: means[neurons]. All activations were kept. */
void snn_float_activations_clip(const snn_network *net, const snn_float_activations *f, uint32_t node, float factor,
                                float *means);

#endif
