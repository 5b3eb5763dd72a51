/* srif with InfLoR-SNN's membrane potential rectifier (MPR).
 *
 *   v += I;  s = [phi(v / theta) >= 1/2];  v -= s * theta                     eq. 11-14
 *   phi(u) = 1 - (1 - u)^(1/3)                           for u < 0            eq. 12
 *            tanh(3 (u - 1/2)) / (2 tanh(3/2)) + 1/2     for 0 <= u <= 1
 *            u^(1/3)                                     for u > 1
 *
 * phi rises and maps 1/2 to 1/2, so [phi(u) >= 1/2] = [u >= 1/2]: the rectifier does not change a spike, nor the
 * potential that is carried on. It matters in training, where it lowers the quantisation error (eq. 9). The model
 * therefore runs as srif does. */
#include <math.h>

#include "neurons/neurons.h"

float snn_mpr(float u) {
  if (u < 0) return 1.0f - cbrtf(1.0f - u);
  if (u > 1) return cbrtf(u);
  return tanhf(3.0f * (u - 0.5f)) / (2.0f * tanhf(1.5f)) + 0.5f;
}

static snn_fired step(const snn_kernels *kernels, const snn_neuron_block *b, const float *current, uint32_t n) {
  return snn_neuron_srif.step(kernels, b, current, n);
}

const snn_neuron_model snn_neuron_srif_mpr = {
    .name = "srif-mpr", .level_share = 0.5f, .resets_exactly = true, .step = step};
