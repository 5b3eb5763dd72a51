/* Signed integrate and fire with memory: takes back spikes that were fired too early.
 *
 *   v += I;  s = +1 where v >= theta;  s = -1 where v <= -theta and more spikes were fired than taken back;  v -= s *
 * theta
 *
 * Its spikes are ternary, which binary neuromorphic hardware does not have. A sent -1 is worth minus a spike, so what
 * the next layer has received is never below zero. */
#include "neurons/neurons.h"

static snn_fired step(const snn_kernels *kernels, const snn_neuron_block *b, const float *current, uint32_t n) {
  (void)kernels;
  snn_fired fired = {0};
  for (uint32_t i = 0; i < n; i++) {
    float v = b->v[i] + current[i];
    if (v >= b->level[i]) {
      v -= b->theta[i];
      b->balance[i] += 1;
      fired.plus |= 1ull << i;
    } else if (v <= -b->level[i] && b->balance[i] > 0) {
      v += b->theta[i];
      b->balance[i] -= 1;
      fired.minus |= 1ull << i;
    }
    b->v[i] = v;
  }
  return fired;
}

const snn_neuron_model snn_neuron_if_signed = {
    .name = "if-signed", .level_share = 1, .is_signed = true, .resets_exactly = true, .step = step};
