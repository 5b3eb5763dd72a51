/* Neuron models: one file a family, one const struct of functions each, listed in one table. */
#ifndef SNN_NEURONS_NEURONS_H
#define SNN_NEURONS_NEURONS_H

#include <stdint.h>

#include "kernels/kernels.h"
#include "snn/session.h"

/* Constants of n <= 64 neurons, n entries each; see snn_neurons in graph.h. */
typedef struct snn_neuron_constants {
  const float *fire;  /* level that fires */
  const float *theta; /* amount a soft reset subtracts */
} snn_neuron_constants;

typedef struct snn_neuron_model {
  const char *name;
  /* One step of n <= 64 neurons: v[n] potentials (updated), current[n] I(t). Returns the spikes, neuron i in bit i. */
  uint64_t (*step)(const snn_kernels *kernels, float *v, const float *current, snn_neuron_constants k, uint32_t n);
} snn_neuron_model;

extern const snn_neuron_model snn_neuron_if;

/* The model of a value of snn_neuron; NULL when out of range. */
const snn_neuron_model *snn_neuron_model_get(snn_neuron neuron);

#endif
