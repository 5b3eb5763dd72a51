/* Neuron models: one file a family, one const struct of functions each, listed in table.c.
 *
 * All follow one scheme. At step t a neuron with current I(t), potential v, firing level, threshold theta:
 *     v = lambda * v + I(t);   s(t) = [v >= level];   v -= s(t) * theta (soft reset)  or  v = 0 where s(t) = 1 (hard)
 * A model is asked for up to 64 neurons at a time. */
#ifndef SNN_NEURONS_NEURONS_H
#define SNN_NEURONS_NEURONS_H

#include <stdint.h>

#include "kernels/kernels.h"
#include "snn/session.h"

/* Constants and state of n <= 64 neurons, n entries each. */
typedef struct snn_neuron_block {
  const float *level; /* that fires: the layer's firing level times the model's level_share */
  const float *theta; /* amount a soft reset subtracts */
  float tau;          /* what remains of a potential after a step */
  float *v;           /* potentials */
  float *balance;     /* signed models: spikes emitted so far, those taken back subtracted; NULL for others */
} snn_neuron_block;

/* Spikes of one step, neuron i in bit i. `minus` is 0 for all but signed models. */
typedef struct snn_fired {
  uint64_t plus, minus;
} snn_fired;

typedef struct snn_neuron_model {
  const char *name;
  float level_share;   /* 1, or 1/2 for neurons that fire half way to theta */
  bool leaks;          /* uses tau */
  bool is_signed;      /* may take spikes back; keeps a balance */
  bool resets_exactly; /* soft reset without leak: v(T) = v(0) + sum of I - theta * spikes, which calibration builds on
                        */
  /* One step with current[n]. NULL for models that run all of T at once. */
  snn_fired (*step)(const snn_kernels *kernels, const snn_neuron_block *b, const float *current, uint32_t n);
  /* All T steps at once from total[n] = sum over t of I(t): counts[n] of spikes. NULL for models that go step by step.
   */
  void (*whole_run)(const snn_neuron_block *b, const float *total, uint32_t timesteps, float *counts, uint32_t n);
} snn_neuron_model;

extern const snn_neuron_model snn_neuron_if, snn_neuron_if_hard, snn_neuron_lif, snn_neuron_lif_soft, snn_neuron_srif,
    snn_neuron_srif_mpr, snn_neuron_asg, snn_neuron_if_signed;

/* The model of a value of snn_neuron; NULL when out of range. */
const snn_neuron_model *snn_neuron_model_get(snn_neuron neuron);

/* InfLoR-SNN's membrane potential rectifier phi of a potential in units of theta (eq. 12): pulls it towards 0 or 1
 * without moving it across 1/2. */
float snn_mpr(float u);

#endif
