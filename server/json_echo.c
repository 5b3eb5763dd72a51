/* The echo of the options: one list for the answer of classify and the response parameters of the inference protocol.
 * Says nothing of results. */
#include "json_echo.h"

#include <math.h>

/* Seven digits are all a float has: 0.9, not 0.899999976. */
static json_t *share(float v) {
  return json_real(round((double)v * 1e7) / 1e7);
}

void json_echo_options(json_t *into, const inference *inf) {
  const snn_run_options *run = &inf->options.run;
  json_object_set_new(into, "timesteps", json_integer((json_int_t)run->timesteps));
  json_object_set_new(into, "neuron", json_string(snn_neuron_name(run->neuron)));
  if (snn_neuron_leaks(run->neuron)) json_object_set_new(into, "tau", share(run->tau));
  json_object_set_new(into, "init", json_string(snn_init_name(run->init)));
  snn_table_choice table;
  if (snn_run_table(inf->model->network, run, &table))
    json_object_set_new(into, "table",
                        json_pack("{s:s, s:I}", "source", table.is_embedded ? "model" : "calibration", "timesteps",
                                  (json_int_t)table.key.timesteps));
  json_object_set_new(into, "shift", json_integer((json_int_t)run->shift));
  json_object_set_new(into, "encoding", json_string(snn_encoding_name(run->encoding)));
  if (run->encoding == SNN_ENCODING_RATE) json_object_set_new(into, "seed", json_integer((json_int_t)run->seed));
  json_object_set_new(into, "readout", json_string(snn_readout_name(run->readout)));
  json_object_set_new(into, "precision", json_string(snn_precision_name(run->precision)));
  if (run->budget_ns) json_object_set_new(into, "budget_ms", json_integer((json_int_t)(run->budget_ns / 1000000)));
  if (run->stop_patience)
    json_object_set_new(
        into, "stop",
        json_pack("{s:o, s:I}", "margin", share(run->stop_margin), "patience", (json_int_t)run->stop_patience));
}
