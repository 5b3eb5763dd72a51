/* Leaky integrate and fire: a potential keeps the share tau of itself from step to step.
 *
 * lif       v = tau * v + I; s = [v >= theta]; v = 0 where s        InfLoR-SNN eq. 6
 * lif-soft  v = tau * v + I; s = [v >= theta]; v -= s * theta
 *
 * With tau = 1 they are if-hard and if. The current is not scaled by 1 - tau. */
#include "neurons/neurons.h"

static inline snn_fired step(const snn_neuron_block *b, const float *current, uint32_t n, bool hard) {
  snn_fired fired = {0};
  for (uint32_t i = 0; i < n; i++) {
    float v = b->tau * b->v[i] + current[i];
    if (v >= b->level[i]) {
      v = hard ? 0 : v - b->theta[i];
      fired.plus |= 1ull << i;
    }
    b->v[i] = v;
  }
  return fired;
}

static snn_fired step_hard(const snn_kernels *kernels, const snn_neuron_block *b, const float *current, uint32_t n) {
  (void)kernels;
  return step(b, current, n, true);
}

static snn_fired step_soft(const snn_kernels *kernels, const snn_neuron_block *b, const float *current, uint32_t n) {
  (void)kernels;
  return step(b, current, n, false);
}

const snn_neuron_model snn_neuron_lif = {.name = "lif", .level_share = 1, .leaks = true, .step = step_hard};
const snn_neuron_model snn_neuron_lif_soft = {.name = "lif-soft", .level_share = 1, .leaks = true, .step = step_soft};
