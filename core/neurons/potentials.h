/* How one neuron layer starts, in units of theta. */
#ifndef SNN_NEURONS_POTENTIALS_H
#define SNN_NEURONS_POTENTIALS_H

#include <stdbool.h>
#include <stddef.h>

/* One value for all neurons (n = 1), one a channel, or one a neuron in [h][w][c] order. */
typedef struct snn_potentials {
  const float *values;
  size_t n;
  bool shift; /* the layer gains theta / 2T at every step besides (Deng & Gu 2021, section 4.2) */
} snn_potentials;

#endif
