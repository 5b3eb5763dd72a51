/* When neurons fire first. Costs a look at every word of spikes, and only where a run asks for it. */
#ifndef SNN_SIM_FIRST_SPIKES_H
#define SNN_SIM_FIRST_SPIKES_H

#include "sim/stage.h"

/* Forget, for this rank's share of a stage of neurons, who has fired. */
void snn_first_spikes_reset(const snn_stage_context *ctx, const snn_stage *stage);

/* After a stage of neurons ran n_steps steps: count this rank's share of the neurons that fired for the first time into
 * ctx->counters. Shares are those of snn_stage_run, so no barrier is needed between the two. In whole-run plans neurons
 * have no first step; they only count as having fired. */
void snn_first_spikes_count(const snn_stage_context *ctx, const snn_stage *stage, uint32_t n_steps);

#endif
