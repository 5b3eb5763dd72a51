/* Initial potentials of a run, for every init. */
#ifndef SNN_SIM_INITIAL_H
#define SNN_SIM_INITIAL_H

#include "neurons/potentials.h"
#include "sim/plan.h"

/* The mean over the weights that reach a stage's neurons of (w * amplitude * T + b) mod theta, in units of theta, each
 * with the bias and threshold of its output channel and the amplitude of the spikes it weighs (1 for the image):
 * IC-SNN, Algorithm 1, with the floored modulo. 1/2 for neurons that no weights reach. */
float snn_weights_potential(const snn_plan *plan, const snn_stage *stage, uint32_t timesteps);

#endif
