/* Initial potentials of one neuron layer, in units of theta. */
#ifndef SNN_NEURONS_POTENTIALS_H
#define SNN_NEURONS_POTENTIALS_H

#include <stddef.h>

/* One value for all neurons (n = 1), one a channel, or one a neuron in [h][w][c] order. */
typedef struct snn_potentials {
  const float *values;
  size_t n;
} snn_potentials;

#endif
