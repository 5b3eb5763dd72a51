/* Options that no network could run with. */
#include "sim/run_check.h"

#include "base/error.h"
#include "neurons/neurons.h"

/* Early stops, budgets and traces look at single steps of one run. */
static snn_status check_stepping(const snn_run_options *run, const snn_run_stats *stats, snn_error *err) {
  const char *field = run->stop_patience            ? "stop"
                      : run->budget_ns              ? "budget_ms"
                      : stats && stats->step_scores ? "trace"
                                                    : NULL;
  if (run->stop_patience && !(run->stop_margin >= 0 && run->stop_margin <= 1))
    return snn_fail(err, SNN_ERR_ARGUMENT, "stop", "a margin of %g is out of range; 0 to 1", (double)run->stop_margin);
  if (field && snn_neuron_model_get(run->neuron)->whole_run)
    return snn_fail(err, SNN_ERR_ARGUMENT, field, "neuron %s runs all timesteps at once and has no steps between",
                    snn_neuron_name(run->neuron));
  if ((run->stop_patience || run->budget_ns) && run->checkpoints && run->n_checkpoints > 1)
    return snn_fail(err, SNN_ERR_ARGUMENT, field, "a run that may end early has no checkpoints before its end");
  return SNN_OK;
}

snn_status snn_run_check(const snn_network *net, const snn_run_options *run, const snn_run_stats *stats,
                         snn_error *err) {
  if (run->timesteps < 1 || run->timesteps > SNN_MAX_TIMESTEPS)
    return snn_fail(err, SNN_ERR_ARGUMENT, "timesteps", "%u is out of range; 1 to %d", run->timesteps,
                    SNN_MAX_TIMESTEPS);
  const struct {
    const char *field;
    unsigned value, count;
  } choices[] = {{"neuron", run->neuron, SNN_NEURON_COUNT},
                 {"init", run->init, SNN_INIT_COUNT},
                 {"encoding", run->encoding, SNN_N_ENCODINGS},
                 {"readout", run->readout, SNN_N_READOUTS},
                 {"precision", run->precision, SNN_PRECISION_COUNT}};
  for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
    if (choices[i].value >= choices[i].count)
      return snn_fail(err, SNN_ERR_ARGUMENT, choices[i].field, "value %u does not exist", choices[i].value);
  if (snn_neuron_model_get(run->neuron)->leaks && !(run->tau > 0 && run->tau <= 1))
    return snn_fail(err, SNN_ERR_ARGUMENT, "tau", "%g is out of range; above 0 and at most 1", (double)run->tau);
  if (run->shift > 1) return snn_fail(err, SNN_ERR_ARGUMENT, "shift", "%u is out of range; 0 or 1", run->shift);
  for (size_t k = 0; run->checkpoints && k < run->n_checkpoints; k++)
    if (run->checkpoints[k] <= (k ? run->checkpoints[k - 1] : 0))
      return snn_fail(err, SNN_ERR_ARGUMENT, "checkpoints", "they must be ascending, from 1");
  if (run->checkpoints && (!run->n_checkpoints || run->checkpoints[run->n_checkpoints - 1] != run->timesteps))
    return snn_fail(err, SNN_ERR_ARGUMENT, "checkpoints", "the last one must be %u, the timesteps", run->timesteps);
  if (run->checkpoints && run->n_checkpoints > 1 && snn_neuron_model_get(run->neuron)->whole_run)
    return snn_fail(err, SNN_ERR_ARGUMENT, "checkpoints",
                    "neuron %s runs all timesteps at once and has no steps between", snn_neuron_name(run->neuron));
  if (run->readout == SNN_READOUT_COUNT && !(net->output_threshold > 0))
    return snn_fail(err, SNN_ERR_ARGUMENT, "readout",
                    "'count' needs a threshold of the output layer, which this model file does not have; convert the "
                    "network again, with pictures");
  return check_stepping(run, stats, err);
}
