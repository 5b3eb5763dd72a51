/* Integrate and fire with soft reset (reset by subtraction), without leak.
 *
 *   v(t) = v(t-1) + I(t);   s(t) = [v(t) >= fire];   v(t) -= s(t) * theta
 *
 * IC-SNN eq. 2-6; Deng & Gu 2021 eq. 3-4. The papers disagree on > and >=; this is >=. */
#include "neurons/neurons.h"

static uint64_t step(const snn_kernels *kernels, float *v, const float *current, snn_neuron_constants k, uint32_t n) {
  return kernels->integrate_fire(v, current, k.fire, k.theta, n);
}

const snn_neuron_model snn_neuron_if = {.name = "if", .step = step};
