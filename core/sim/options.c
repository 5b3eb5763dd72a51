/* Names of the run options: one table a kind, used by every parser and printer.
 * Neurons are named in core/neurons/table.c. */
#include <string.h>

#include "graph/graph.h"
#include "snn/session.h"

static const char *const inits[SNN_INIT_COUNT] = {
    [SNN_INIT_ZERO] = "zero",
    [SNN_INIT_HALF] = "half",
    [SNN_INIT_WEIGHTS] = "weights",
    [SNN_INIT_DATA] = "data",
    [SNN_INIT_COMPENSATED] = "compensated",
    [SNN_INIT_MATCHED] = "matched",
};
static const char *const encodings[SNN_N_ENCODINGS] = {
    [SNN_ENCODING_DIRECT] = "direct", [SNN_ENCODING_RATE] = "rate", [SNN_ENCODING_REGULAR] = "regular"};
static const char *const readouts[SNN_N_READOUTS] = {
    [SNN_READOUT_POTENTIAL] = "potential", [SNN_READOUT_COUNT] = "count"};
static const char *const precisions[SNN_PRECISION_COUNT] = {
    [SNN_PRECISION_FLOAT32] = "float32", [SNN_PRECISION_INT8] = "int8"};

/* Index of `name` in a table, -1 when it is not there. */
static int find(const char *const *table, int n, const char *name) {
  for (int i = 0; i < n; i++)
    if (strcmp(table[i], name) == 0) return i;
  return -1;
}

static const char *at(const char *const *table, unsigned n, unsigned i) {
  return i < n ? table[i] : NULL;
}

const char *snn_init_name(snn_init v) {
  return at(inits, SNN_INIT_COUNT, v);
}
const char *snn_encoding_name(snn_encoding v) {
  return at(encodings, SNN_N_ENCODINGS, v);
}
const char *snn_readout_name(snn_readout v) {
  return at(readouts, SNN_N_READOUTS, v);
}
const char *snn_precision_name(snn_precision v) {
  return at(precisions, SNN_PRECISION_COUNT, v);
}

bool snn_init_parse(const char *name, snn_init *out) {
  int i = find(inits, SNN_INIT_COUNT, name);
  if (i >= 0) *out = (snn_init)i;
  return i >= 0;
}

bool snn_encoding_parse(const char *name, snn_encoding *out) {
  int i = find(encodings, SNN_N_ENCODINGS, name);
  if (i >= 0) *out = (snn_encoding)i;
  return i >= 0;
}

bool snn_readout_parse(const char *name, snn_readout *out) {
  int i = find(readouts, SNN_N_READOUTS, name);
  if (i >= 0) *out = (snn_readout)i;
  return i >= 0;
}

bool snn_precision_parse(const char *name, snn_precision *out) {
  int i = find(precisions, SNN_PRECISION_COUNT, name);
  if (i >= 0) *out = (snn_precision)i;
  return i >= 0;
}

bool snn_run_is_cumulative(const snn_run_options *run) {
  return (run->init == SNN_INIT_ZERO || run->init == SNN_INIT_HALF) && !run->shift && snn_neuron_has_steps(run->neuron);
}

snn_run_options snn_run_defaults(const snn_network *net) {
  const snn_recommended *r = &net->recommended;
  snn_run_options run = {.timesteps = r->timesteps, .neuron = r->neuron, .tau = r->tau, .shift = r->shift};
  run.init = snn_recommended_init(net, &run);
  run.precision = snn_precision_for(net, &run);
  return run;
}

snn_precision snn_precision_for(const snn_network *net, const snn_run_options *run) {
  /* a network that recommends asg is a quantised one, whose own answers asg gives with its own weights only */
  if (run->neuron == SNN_NEURON_ASG && net->recommended.neuron == SNN_NEURON_ASG) return SNN_PRECISION_FLOAT32;
  return snn_int8_takes(net, run, NULL) == SNN_OK ? SNN_PRECISION_INT8 : SNN_PRECISION_FLOAT32;
}
