/* The table of neuron models: the one place that lists them. */
#include <string.h>

#include "neurons/neurons.h"

static const snn_neuron_model *const models[SNN_NEURON_COUNT] = {
    [SNN_NEURON_IF] = &snn_neuron_if,     [SNN_NEURON_IF_HARD] = &snn_neuron_if_hard,
    [SNN_NEURON_LIF] = &snn_neuron_lif,   [SNN_NEURON_LIF_SOFT] = &snn_neuron_lif_soft,
    [SNN_NEURON_SRIF] = &snn_neuron_srif, [SNN_NEURON_SRIF_MPR] = &snn_neuron_srif_mpr,
    [SNN_NEURON_ASG] = &snn_neuron_asg,   [SNN_NEURON_IF_SIGNED] = &snn_neuron_if_signed,
};

const snn_neuron_model *snn_neuron_model_get(snn_neuron neuron) {
  return (unsigned)neuron < SNN_NEURON_COUNT ? models[neuron] : NULL;
}

const char *snn_neuron_name(snn_neuron v) {
  const snn_neuron_model *m = snn_neuron_model_get(v);
  return m ? m->name : NULL;
}

bool snn_neuron_parse(const char *name, snn_neuron *out) {
  for (int i = 0; i < SNN_NEURON_COUNT; i++)
    if (strcmp(models[i]->name, name) == 0) {
      *out = (snn_neuron)i;
      return true;
    }
  return false;
}

bool snn_neuron_leaks(snn_neuron v) {
  const snn_neuron_model *m = snn_neuron_model_get(v);
  return m && m->leaks;
}

bool snn_neuron_has_steps(snn_neuron v) {
  const snn_neuron_model *m = snn_neuron_model_get(v);
  return m && !m->whole_run;
}

bool snn_neuron_is_ternary(snn_neuron v) {
  const snn_neuron_model *m = snn_neuron_model_get(v);
  return m && m->is_signed;
}
