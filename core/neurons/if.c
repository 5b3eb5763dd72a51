/* Integrate and fire with soft reset (reset by subtraction), without leak.
 *
 *   v(t) = v(t-1) + I(t);   s(t) = [v(t) >= fire];   v(t) -= s(t) * theta
 *
 * IC-SNN eq. 2-6; Deng & Gu 2021 eq. 3-4. The papers disagree on > and >=; this is >=. */
#include "neurons/neurons.h"

static uint64_t step(float *v, const float *current, snn_neuron_constants k, uint32_t n) {
  uint64_t spikes = 0;
  for (uint32_t i = 0; i < n; i++) {
    float u = v[i] + current[i];
    if (u >= k.fire[i]) {
      u -= k.theta[i];
      spikes |= 1ull << i;
    }
    v[i] = u;
  }
  return spikes;
}

const snn_neuron_model snn_neuron_if = {.name = "if", .step = step};
