/* Running a network stage by stage over many pictures: what calibration watches.
 *
 * Where a session carries one picture through all stages, an observer carries all pictures through one stage before the
 * next, so that a layer's potentials can be set from what all pictures do there, with the layers before already set.
 * Each picture's edges are kept until their last reader has run. */
#ifndef SNN_CALIBRATE_OBSERVE_H
#define SNN_CALIBRATE_OBSERVE_H

#include "graph/calibration.h"
#include "sim/stage.h"

typedef struct snn_observer snn_observer;

/* What is recorded of each neuron at the end of a run of its stage. */
typedef enum snn_observation {
  SNN_OBSERVE_SPIKES,
  SNN_OBSERVE_POTENTIAL,
  SNN_OBSERVE_SHORTFALL /* of neuron `if`: the spikes that asg, with the amplitude for threshold, would have fired more
                         */
} snn_observation;

typedef struct snn_observer_options {
  const snn_neuron_model *neuron;
  float tau;
  uint32_t timesteps;
  uint32_t threads;
  const atomic_bool *cancel; /* NULL: none; raised: pictures not begun yet are left out, and what is observed is void */
  const snn_courtesy *courtesy; /* NULL: none */
} snn_observer_options;

/* images: [n][C,H,W], borrowed until snn_observer_free. Errors: NO_MEMORY, TOO_LARGE. */
snn_status snn_observer_create(const snn_network *net, const float *images, size_t n, const snn_observer_options *opt,
                               snn_observer **out, snn_error *err);
void snn_observer_free(snn_observer *o);

const snn_plan *snn_observer_plan(const snn_observer *o);

/* Bring all pictures to stage `s` of the plan: allocates what it leaves and, for stages that are no neurons, runs it.
 * Stages are prepared in order, each once. Errors: NO_MEMORY. */
snn_status snn_observer_prepare(snn_observer *o, uint32_t s, snn_error *err);

/* Scale the thresholds of the plan, see snn_plan_scale: before a stage that is to see it runs. */
void snn_observer_scale(snn_observer *o, const float *factors);

/* What the last run of a stage recorded, [pictures][neurons of the stage]. */
const float *snn_observer_records(const snn_observer *o);

/* Let the prepared neuron stage fire at, and be reset by, theta[channels]. Its spikes' worth stays. */
void snn_observer_set_thresholds(snn_observer *o, const float *theta);

/* What all pictures gave for one neuron. */
typedef struct snn_observed {
  double sum;
  uint32_t count; /* pictures in it */
} snn_observed;

/* Run the prepared neuron stage over all pictures from the given potentials; may be repeated, the last run is what
 * later stages see. out: [neurons of the stage] in [h][w][c] order: spikes in T steps, potentials at T in units of
 * theta, or a difference of spikes. With `at_zero_or_above` only pictures whose potential ended there count. */
void snn_observer_run(snn_observer *o, snn_potentials from, snn_observation what, bool at_zero_or_above,
                      snn_observed *out);

/* The same run, told picture by picture: [n][neurons of the stage] spikes in T steps and, for neurons that keep one,
 * potentials at T in units of theta (*left is NULL for others). Borrowed until the next run. Errors: NO_MEMORY. */
snn_status snn_observer_run_both(snn_observer *o, snn_potentials from, const float **spikes, const float **left,
                                 snn_error *err);

#endif
