/* Integrate and fire without leak.
 *
 * if       v += I; s = [v >= theta]; v -= s * theta           IC-SNN eq. 2-6; Deng & Gu 2021 eq. 3-4
 * if-hard  v += I; s = [v >= theta]; v = 0 where s            InfLoR-SNN eq. 2-5
 * srif     v += I; s = [v >= theta/2]; v -= s * theta         InfLoR-SNN eq. 8, with V_th 1/2 and spikes of 1
 *
 * srif is `if` seen from half a threshold further up: with v' = v + theta/2 its equations are those of `if`, so its
 * spikes are those of `if` from v(0) = theta/2. srif-mpr differs only in what is presented to the threshold, which
 * cannot change a spike (mpr.c). The papers disagree on > and >=; this is >=. */
#include "neurons/neurons.h"

static snn_fired step_soft(const snn_kernels *kernels, const snn_neuron_block *b, const float *current, uint32_t n) {
  return (snn_fired){.plus = kernels->integrate_fire(b->v, current, b->level, b->theta, n)};
}

static snn_fired step_hard(const snn_kernels *kernels, const snn_neuron_block *b, const float *current, uint32_t n) {
  (void)kernels;
  snn_fired fired = {0};
  for (uint32_t i = 0; i < n; i++) {
    float v = b->v[i] + current[i];
    if (v >= b->level[i]) {
      v = 0;
      fired.plus |= 1ull << i;
    }
    b->v[i] = v;
  }
  return fired;
}

const snn_neuron_model snn_neuron_if = {.name = "if", .level_share = 1, .resets_exactly = true, .step = step_soft};
const snn_neuron_model snn_neuron_if_hard = {.name = "if-hard", .level_share = 1, .step = step_hard};
const snn_neuron_model snn_neuron_srif = {
    .name = "srif", .level_share = 0.5f, .resets_exactly = true, .step = step_soft};
