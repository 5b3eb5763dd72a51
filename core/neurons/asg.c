/* Averaging integrate-and-fire spike generation (Yan, Zhou & Wong, Algorithm 1).
 *
 * The neuron first gathers the current of the whole run and then integrates its mean A = (1/T) sum of I(t) at every
 * step, with soft reset. How many spikes that gives has a closed form, so nothing is stepped:
 *
 *   spikes = clamp(floor((T A + v(0) + theta - fire) / theta), 0, T)          with fire = theta: (T A + v(0)) / theta
 *
 * From 0 <= v(0) < fire <= theta that is the algorithm's count: at A < 0 it never fires, at A > theta it fires at every
 * step, between them after t steps it has fired floor((t A + v(0) + theta - fire) / theta) times. For other v(0), which
 * calibration may find, the closed form is the definition. */
#include <math.h>

#include "neurons/neurons.h"

static void whole_run(const snn_neuron_block *b, const float *total, uint32_t timesteps, float *counts, uint32_t n) {
  for (uint32_t i = 0; i < n; i++) {
    float spikes = floorf((total[i] + b->v[i] + (b->theta[i] - b->level[i])) / b->theta[i]);
    counts[i] = spikes < 0 ? 0 : spikes > (float)timesteps ? (float)timesteps : spikes;
  }
}

const snn_neuron_model snn_neuron_asg = {
    .name = "asg", .level_share = 1, .resets_exactly = true, .whole_run = whole_run};
