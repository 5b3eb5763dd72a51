/* Initial potentials that follow from the weights alone. Reads the plan; keeps nothing. */
#include "sim/initial.h"

#include <math.h>

/* Sum over the weights of one convolution, in units of theta. */
static double term_sum(const snn_stage *stage, const snn_conv_args *conv, const float *amplitude, uint32_t timesteps) {
  double sum = 0;
  const float *w = conv->weights;
  for (uint32_t tap = 0; tap < conv->kernel_h * conv->kernel_w; tap++)
    for (uint32_t i = 0; i < conv->group_in; i++)
      for (uint32_t o = 0; o < conv->out_c; o++, w++) {
        double value = amplitude ? (double)amplitude[o / conv->group_out * conv->group_in + i] : 1.0;
        double u = ((double)*w * value * timesteps + (double)stage->bias[o]) / (double)stage->theta[o];
        sum += u - floor(u);
      }
  return sum;
}

float snn_weights_potential(const snn_plan *plan, const snn_stage *stage, uint32_t timesteps) {
  double sum = 0, count = 0;
  for (uint32_t k = 0; k < stage->n_terms; k++) {
    const snn_term *term = &stage->terms[k];
    const snn_conv_args *conv = &term->conv;
    if (!term->is_conv) continue;
    sum += term_sum(stage, conv, plan->edges[term->source].amplitude, timesteps);
    count += (double)conv->kernel_h * conv->kernel_w * conv->group_in * conv->out_c;
  }
  return count > 0 ? (float)(sum / count) : 0.5f;
}
