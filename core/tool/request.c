/* Options that several subcommands share, parsed in one place, and a model opened as they ask. Says what is wrong with
 * an option's value; whether the model can do what was asked is the library's to say. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool/tool.h"

/* A whole number at the start of text; *end is behind it. */
static bool whole_number(const char *text, char **end, unsigned long *out) {
  if (text[0] < '0' || text[0] > '9') return false;
  errno = 0;
  *out = strtoul(text, end, 10);
  return errno == 0;
}

uint32_t tool_number(struct argp_state *state, const char *option, const char *text, uint32_t min, uint32_t max) {
  char *end;
  unsigned long n = 0;
  if (!whole_number(text, &end, &n) || *end || n < min || n > max)
    argp_error(state, "%s: '%s' is not a whole number from %u to %u", option, text, min, max);
  return (uint32_t)n;
}

size_t tool_timesteps(struct argp_state *state, const char *text, uint32_t out[TOOL_MAX_LIST]) {
  size_t n = 0;
  for (const char *p = text;; p++) {
    char *end = NULL;
    unsigned long t = 0;
    if (!whole_number(p, &end, &t) || (*end && *end != ',') || t < 1 || t > SNN_MAX_TIMESTEPS || n == TOOL_MAX_LIST) {
      argp_error(state, "timesteps: '%s' is not a list of up to %d numbers from 1 to %d, such as 4,8,16", text,
                 TOOL_MAX_LIST, SNN_MAX_TIMESTEPS);
      return 0; /* not reached: argp_error exits */
    }
    if (n && t <= out[n - 1]) argp_error(state, "timesteps: '%s' is not in ascending order", text);
    out[n++] = (uint32_t)t;
    p = end;
    if (!*p) return n;
  }
}

/* "a, b, c" of all names that name_of gives. */
static const char *list_names(const char *(*name_of)(unsigned), char *buf, size_t n) {
  size_t used = 0;
  for (unsigned i = 0; name_of(i) && used < n; i++)
    used += (size_t)snprintf(buf + used, n - used, "%s%s", i ? ", " : "", name_of(i));
  return buf;
}

static const char *neuron_at(unsigned i) {
  return snn_neuron_name((snn_neuron)i);
}
static const char *precision_at(unsigned i) {
  return snn_precision_name((snn_precision)i);
}
static const char *init_at(unsigned i) {
  return snn_init_name((snn_init)i);
}

static const char *encoding_at(unsigned i) {
  return snn_encoding_name((snn_encoding)i);
}
static const char *readout_at(unsigned i) {
  return snn_readout_name((snn_readout)i);
}

error_t tool_run_option(int key, char *arg, struct argp_state *state, tool_request *request) {
  snn_neuron neuron;
  snn_init init;
  snn_encoding encoding;
  snn_readout readout;
  snn_precision precision;
  char names[256], *end;
  switch (key) {
    case TOOL_KEY_NEURON:
      if (!snn_neuron_parse(arg, &neuron))
        argp_error(state, "neuron: '%s' is not known; there are: %s", arg, list_names(neuron_at, names, sizeof names));
      request->neuron = arg;
      return 0;
    case TOOL_KEY_INIT:
      if (!snn_init_parse(arg, &init))
        argp_error(state, "init: '%s' is not known; there are: %s", arg, list_names(init_at, names, sizeof names));
      request->init = arg;
      return 0;
    case TOOL_KEY_ENCODING:
      if (!snn_encoding_parse(arg, &encoding))
        argp_error(state, "encoding: '%s' is not known; there are: %s", arg,
                   list_names(encoding_at, names, sizeof names));
      request->encoding = arg;
      return 0;
    case TOOL_KEY_READOUT:
      if (!snn_readout_parse(arg, &readout))
        argp_error(state, "readout: '%s' is not known; there are: %s", arg,
                   list_names(readout_at, names, sizeof names));
      request->readout = arg;
      return 0;
    case TOOL_KEY_SEED: request->seed = tool_number(state, "seed", arg, 0, UINT32_MAX); return 0;
    case TOOL_KEY_TAU:
      request->tau = strtof(arg, &end);
      if (end == arg || *end || !(request->tau > 0 && request->tau <= 1))
        argp_error(state, "tau: '%s' is not a number above 0 and up to 1", arg);
      return 0;
    case TOOL_KEY_SHIFT: request->shift = tool_number(state, "shift", arg, 0, 1) == 1; return 0;
    case TOOL_KEY_PRECISION:
      if (!snn_precision_parse(arg, &precision))
        argp_error(state, "precision: '%s' is not known; there are: %s", arg,
                   list_names(precision_at, names, sizeof names));
      request->precision = arg;
      return 0;
    case TOOL_KEY_CALIBRATION: request->calibration = arg; return 0;
    case TOOL_KEY_THREADS: request->threads = tool_number(state, "threads", arg, 1, 1024); return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

static error_t parse_run(int key, char *arg, struct argp_state *state) {
  if (key == ARGP_KEY_INIT && state->child_inputs) state->child_inputs[0] = state->input;
  return tool_run_option(key, arg, state, state->input);
}

static error_t parse_model(int key, char *arg, struct argp_state *state) {
  tool_request *request = state->input;
  switch (key) {
    case ARGP_KEY_ARG:
      if (request->model) argp_error(state, "one model at a time; '%s' is a second one", arg);
      request->model = arg;
      return 0;
    case ARGP_KEY_END:
      if (!request->model) argp_error(state, "which model file?");
      return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_option neuron_options[] = {
    {"neuron", TOOL_KEY_NEURON, "NEURON", 0,
     "if, if-hard, lif, lif-soft, srif, srif-mpr, asg, if-signed (default: the model's, mostly if)", 0},
    {"tau", TOOL_KEY_TAU, "TAU", 0, "for neurons that leak: what remains of a potential after a step", 0},
    {"threads", TOOL_KEY_THREADS, "N", 0, "OpenMP threads (default: what the machine allows)", 0},
    {0}};

static const struct argp_option run_options[] = {
    {"init", TOOL_KEY_INIT, "INIT", 0,
     "initial potential: zero, half, weights, or from tables data, compensated, matched (default: the model's "
     "recommendation)",
     0},
    {"calibration", TOOL_KEY_CALIBRATION, "FILE", 0,
     "tables from `snn calibrate`, beside those in the model file: the nearest T counts, of two as near this one", 0},
    {"shift", TOOL_KEY_SHIFT, "0|1", 0, "1: theta/2T more current a step in every hidden layer (Deng & Gu)", 0},
    {"encoding", TOOL_KEY_ENCODING, "ENCODING", 0,
     "how a picture comes in: direct (default), rate (random spikes), regular (evenly spaced spikes)", 0},
    {"seed", TOOL_KEY_SEED, "N", 0, "of encoding rate (default 0)", 0},
    {"readout", TOOL_KEY_READOUT, "READOUT", 0,
     "scores: potential (default, mean currents), count (the last layer's spikes)", 0},
    {"precision", TOOL_KEY_PRECISION, "PRECISION", 0, "int8 (default, where the network allows it) or float32", 0},
    {0}};

const struct argp tool_model_argp = {NULL, parse_model, "MODEL", NULL, NULL, NULL, NULL};
const struct argp tool_neuron_argp = {neuron_options, parse_run, NULL, NULL, NULL, NULL, NULL};
const struct argp tool_run_argp = {
    run_options, parse_run, NULL, NULL, (const struct argp_child[]){{&tool_neuron_argp, 0, NULL, 0}, {0}}, NULL, NULL};

snn_run_options tool_run_options(const snn_network *net, const snn_calibration *calibration,
                                 const tool_request *request) {
  snn_run_options run = snn_run_defaults(net);
  run.calibration = calibration;
  if (request->neuron) snn_neuron_parse(request->neuron, &run.neuron);
  if (request->init)
    snn_init_parse(request->init, &run.init);
  else
    run.init = snn_recommended_init(net, &run);
  if (request->tau > 0) run.tau = request->tau;
  if (request->shift) run.shift = 1;
  if (request->encoding) snn_encoding_parse(request->encoding, &run.encoding);
  if (request->readout) snn_readout_parse(request->readout, &run.readout);
  run.seed = request->seed;
  if (!request->precision || !snn_precision_parse(request->precision, &run.precision))
    run.precision = snn_precision_for(net, &run);
  return run;
}

uint64_t tool_neurons(const snn_network *net, const snn_run_options *run) {
  return snn_network_neurons(net) + (run->readout == SNN_READOUT_COUNT ? snn_network_classes(net) : 0);
}

snn_status tool_open_model(const tool_request *request, tool_model *out, const char **subject, snn_error *err) {
  const snn_session_options session = {.threads = request->threads};
  *out = (tool_model){0};
  *subject = request->model;
  snn_status status = snn_network_load(request->model, &out->net, err);
  if (status == SNN_OK && request->calibration) {
    *subject = request->calibration;
    status = snn_calibration_load(request->calibration, out->net, &out->calibration, err);
  }
  if (status != SNN_OK) return status;
  *subject = request->model;
  out->run = tool_run_options(out->net, out->calibration, request);
  return snn_session_create(out->net, &session, &out->session, err);
}

json_t *tool_table_json(const snn_network *net, const snn_run_options *run) {
  snn_table_choice choice;
  if (!snn_run_table(net, run, &choice)) return NULL;
  return json_pack("{s:s, s:i}", "source", choice.is_embedded ? "model" : "calibration", "timesteps",
                   (int)choice.key.timesteps);
}

const char *tool_run_text(const snn_run_options *run, char buf[TOOL_MAX_RUN]) {
  int n = snprintf(buf, TOOL_MAX_RUN, "neuron=%s, init=%s", snn_neuron_name(run->neuron), snn_init_name(run->init));
  if (snn_neuron_leaks(run->neuron)) n += snprintf(buf + n, (size_t)(TOOL_MAX_RUN - n), ", tau=%g", (double)run->tau);
  if (run->shift) n += snprintf(buf + n, (size_t)(TOOL_MAX_RUN - n), ", shift=%u", run->shift);
  if (run->encoding != SNN_ENCODING_DIRECT)
    n += snprintf(buf + n, (size_t)(TOOL_MAX_RUN - n), ", encoding=%s", snn_encoding_name(run->encoding));
  if (run->encoding == SNN_ENCODING_RATE) n += snprintf(buf + n, (size_t)(TOOL_MAX_RUN - n), ", seed=%u", run->seed);
  if (run->readout != SNN_READOUT_POTENTIAL)
    n += snprintf(buf + n, (size_t)(TOOL_MAX_RUN - n), ", readout=%s", snn_readout_name(run->readout));
  if (run->precision != SNN_PRECISION_FLOAT32)
    snprintf(buf + n, (size_t)(TOOL_MAX_RUN - n), ", precision=%s", snn_precision_name(run->precision));
  return buf;
}

json_t *tool_set_run(json_t *object, const snn_run_options *run) {
  json_object_set_new(object, "neuron", json_string(snn_neuron_name(run->neuron)));
  if (snn_neuron_leaks(run->neuron)) json_object_set_new(object, "tau", json_real(round((double)run->tau * 1e7) / 1e7));
  json_object_set_new(object, "init", json_string(snn_init_name(run->init)));
  json_object_set_new(object, "shift", json_integer(run->shift));
  json_object_set_new(object, "encoding", json_string(snn_encoding_name(run->encoding)));
  if (run->encoding == SNN_ENCODING_RATE) json_object_set_new(object, "seed", json_integer(run->seed));
  json_object_set_new(object, "readout", json_string(snn_readout_name(run->readout)));
  json_object_set_new(object, "precision", json_string(snn_precision_name(run->precision)));
  return object;
}

void tool_close_model(tool_model *m) {
  snn_session_free(m->session);
  snn_calibration_free(m->calibration);
  snn_network_free(m->net);
  *m = (tool_model){0};
}
