/* The echo of the options: one list for the answer of classify and the response parameters of the inference protocol.
 * Says nothing of results and prints nothing. */
#include "json_echo.h"

#include <math.h>

typedef struct list {
  echo *at;
  size_t n;
} list;

static void add_text(list *l, const char *group, const char *name, const char *text) {
  l->at[l->n++] = (echo){.group = group, .name = name, .kind = ECHO_TEXT, .text = text};
}

static void add_integer(list *l, const char *group, const char *name, uint64_t v) {
  l->at[l->n++] = (echo){.group = group, .name = name, .kind = ECHO_INTEGER, .integer = (long long)v};
}

/* Seven digits are all a float has: 0.9, not 0.899999976. */
static void add_share(list *l, const char *group, const char *name, float v) {
  l->at[l->n++] = (echo){.group = group, .name = name, .kind = ECHO_REAL, .real = round((double)v * 1e7) / 1e7};
}

size_t json_echo_options(const inference *inf, echo out[ECHO_MAX]) {
  const snn_run_options *run = &inf->options.run;
  static const char of_table[] = "table", of_stop[] = "stop"; /* told apart by where they lie */
  list l = {.at = out};
  snn_table_choice table;
  add_integer(&l, NULL, "timesteps", run->timesteps);
  add_text(&l, NULL, "neuron", snn_neuron_name(run->neuron));
  if (snn_neuron_leaks(run->neuron)) add_share(&l, NULL, "tau", run->tau);
  add_text(&l, NULL, "init", snn_init_name(run->init));
  if (snn_run_table(inf->model->network, run, &table)) {
    add_text(&l, of_table, "source", table.is_embedded ? "model" : "calibration");
    add_integer(&l, of_table, "timesteps", table.key.timesteps);
  }
  add_integer(&l, NULL, "shift", run->shift);
  add_text(&l, NULL, "encoding", snn_encoding_name(run->encoding));
  if (run->encoding == SNN_ENCODING_RATE) add_integer(&l, NULL, "seed", run->seed);
  add_text(&l, NULL, "readout", snn_readout_name(run->readout));
  add_text(&l, NULL, "precision", snn_precision_name(run->precision));
  if (run->budget_ns) add_integer(&l, NULL, "budget_ms", run->budget_ns / 1000000);
  if (run->stop_patience) {
    add_share(&l, of_stop, "margin", run->stop_margin);
    add_integer(&l, of_stop, "patience", run->stop_patience);
  }
  return l.n;
}
