/* Averaging integrate-and-fire spike generation (Yan, Zhou & Wong, Algorithm 1).
 *
 * The neuron first gathers the current of the whole run and then integrates its mean A = (1/T) sum of I(t) at every
 * step, with soft reset. How many spikes that gives has a closed form, so nothing is stepped:
 *
 *   spikes = clamp(floor((T A + v(0)) / theta), 0, T)
 *
 * since after t steps it has fired min(t, floor((t A + v(0)) / theta)) times when A >= 0, and never fires at A < 0 from
 * v(0) < theta. */
#include <math.h>

#include "neurons/neurons.h"

static void whole_run(const snn_neuron_block *b, const float *total, uint32_t timesteps, float *counts, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    float spikes = floorf((total[i] + b->v[i]) / b->theta[i]);
    counts[i] = spikes < 0 ? 0 : spikes > (float)timesteps ? (float)timesteps : spikes;
  }
}

const snn_neuron_model snn_neuron_asg = {
    .name = "asg", .level_share = 1, .resets_exactly = true, .whole_run = whole_run};
