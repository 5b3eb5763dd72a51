/* `snn calibrate`: pictures in, a calibration file out, or the model file with the tables in it. Leaves no file on
 * failure. */
#include <stdlib.h>
#include <string.h>

#include "tool/tool.h"

enum { KEY_METHOD = TOOL_KEY_OWN, KEY_GRAIN, KEY_PLAIN, KEY_ROUNDS, KEY_EMBED, KEY_RECOMMEND, KEY_FIT, KEY_SHIFT };

typedef struct arguments {
  tool_request request;
  const char *data, *output;
  uint32_t timesteps[TOOL_MAX_LIST];
  snn_calibrate_options opt;
  uint32_t limit, recommend;
  bool embed;
} arguments;

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "the calibration file to write; with --embed a model file", 0},
    {"embed", KEY_EMBED, NULL, 0,
     "write the model with the tables in it, to the model's own file unless -o names another; tables it carries for "
     "other neurons, methods and T stay, and `matched` for the model's neuron becomes the recommended init",
     0},
    {"recommend", KEY_RECOMMEND, "T", 0, "with --embed: the recommended timesteps (default: what the model says)", 0},
    {"data", TOOL_KEY_DATA, "DATA", 0,
     "pictures: a folder of class folders or of PNGs, a CIFAR-10 binary file, an IDX file (labels are not used)", 0},
    {"limit", TOOL_KEY_LIMIT, "N", 0, "use at most N pictures, evenly spaced (default 200; 0: all)", 0},
    {"timesteps", 'T', "LIST", 0, "make a table for each, such as 8,16,32", 0},
    {"method", KEY_METHOD, "METHOD", 0, "weights, data, compensated or matched (default)", 0},
    {"granularity", KEY_GRAIN, "GRAIN", 0, "a potential per layer, channel (default) or neuron", 0},
    {"rounds", KEY_ROUNDS, "N", 0, "matched: correct each layer N times (default 2)", 0},
    {"fit-thresholds", KEY_FIT, NULL, 0, "matched: also scale each layer's thresholds as suits each T", 0},
    {"shift", KEY_SHIFT, "0|1|fit", 0,
     "matched: neurons that gain theta/2T at every step and start theta/2 lower, and so fire when more of their input "
     "has come: none (0, default), all (1), or those of the layers that err less so (fit)",
     0},
    {"plain-mean", KEY_PLAIN, NULL, 0, "data: average all residual potentials, as IC-SNN's Algorithm 2 is printed", 0},
    {0}};

/* The place of `text` among `n` names. */
static int choice(struct argp_state *state, const char *option, const char *text, const char *const *names, int n) {
  char known[64] = "";
  for (int i = 0; i < n; i++) {
    if (strcmp(text, names[i]) == 0) return i;
    snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "", names[i]);
  }
  argp_error(state, "%s: '%s' is not known; there are: %s", option, text, known);
  return 0;
}

static snn_shift shift(struct argp_state *state, const char *text) {
  static const char *const names[] = {"0", "1", "fit"};
  return (snn_shift)choice(state, "shift", text, names, 3);
}

static snn_granularity granularity(struct argp_state *state, const char *text) {
  static const char *const names[] = {"layer", "channel", "neuron"};
  return (snn_granularity)choice(state, "granularity", text, names, 3);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
    case 'o': a->output = arg; return 0;
    case 'T': a->opt.n_timesteps = tool_timesteps(state, arg, a->timesteps); return 0;
    case TOOL_KEY_DATA: a->data = arg; return 0;
    case TOOL_KEY_LIMIT: a->limit = tool_number(state, "limit", arg, 0, UINT32_MAX); return 0;
    case KEY_METHOD:
      if (!snn_init_parse(arg, &a->opt.method) || a->opt.method < SNN_INIT_WEIGHTS)
        argp_error(state, "method: '%s' is not known; there are: weights, data, compensated, matched", arg);
      return 0;
    case KEY_GRAIN: a->opt.granularity = granularity(state, arg); return 0;
    case KEY_ROUNDS: a->opt.rounds = tool_number(state, "rounds", arg, 1, 16); return 0;
    case KEY_SHIFT: a->opt.shift = shift(state, arg); return 0;
    case KEY_FIT: a->opt.fit_thresholds = true; return 0;
    case KEY_EMBED: a->embed = true; return 0;
    case KEY_RECOMMEND: a->recommend = tool_number(state, "recommend", arg, 1, SNN_MAX_TIMESTEPS); return 0;
    case KEY_PLAIN: a->opt.plain_mean = true; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &a->request; return 0;
    case ARGP_KEY_END:
      if (!a->output && !a->embed)
        argp_error(state, "where to? -o FILE names the calibration file to write, --embed puts it into the model's");
      if (a->recommend && !a->embed) argp_error(state, "recommend: timesteps are recommended by model files: --embed");
      if (!a->opt.n_timesteps) argp_error(state, "for which timesteps? -T 8,16,32");
      if (!a->data && a->opt.method != SNN_INIT_WEIGHTS) argp_error(state, "from which pictures? --data names them");
      return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

int tool_calibrate(int argc, char **argv) {
  static const struct argp_child children[] = {{&tool_model_argp, 0, NULL, 0}, {&tool_neuron_argp, 0, NULL, 0}, {0}};
  static const struct argp argp = {
      options,
      parse,
      NULL,
      "Find initial membrane potentials from pictures, so that the spiking network needs fewer "
      "timesteps; nothing is trained.",
      children,
      NULL,
      NULL};
  arguments a = {.limit = 200, .opt = {.method = SNN_INIT_MATCHED, .granularity = SNN_GRAIN_CHANNEL}};
  int code = tool_parse(&argp, argc, argv, &a);
  if (code != EXIT_OK) return code;

  snn_network *net = NULL;
  snn_calibration *calibration = NULL;
  float *images = NULL;
  size_t n = 0;
  tool_progress progress = {0};
  snn_error err = {0};
  const char *subject = a.request.model;
  snn_status status = snn_network_load(a.request.model, &net, &err);
  if (status == SNN_OK && a.data) {
    subject = a.data;
    status = tool_load_pictures(a.data, net, a.limit, &images, &n, &err);
  }
  if (status == SNN_OK) {
    snn_run_options run = tool_run_options(net, NULL, &a.request);
    a.opt.timesteps = a.timesteps;
    a.opt.neuron = run.neuron;
    a.opt.tau = run.tau;
    a.opt.threads = a.request.threads;
    a.opt.progress = tool_show_progress;
    a.opt.progress_context = &progress;
    subject = a.request.model;
    status = snn_calibrate(net, images, n, &a.opt, &calibration, &err);
  }
  if (status == SNN_OK && a.embed) {
    const snn_init matched = SNN_INIT_MATCHED;
    const bool best = a.opt.method == SNN_INIT_MATCHED && a.opt.neuron == snn_run_defaults(net).neuron;
    const snn_embed_options embed = {.init = best ? &matched : NULL, .timesteps = a.recommend};
    if (!a.output) a.output = a.request.model;
    subject = a.output;
    status = snn_calibration_embed(calibration, a.request.model, a.output, &embed, &err);
  } else if (status == SNN_OK) {
    subject = a.output;
    status = snn_calibration_save(calibration, a.output, &err);
  }
  if (status != SNN_OK)
    code = tool_fail(subject, &err);
  else
    printf("%s: %s%zu tables for neuron %s, method %s, from %zu pictures\n", a.output, a.embed ? "embedded " : "",
           a.opt.n_timesteps, snn_neuron_name(a.opt.neuron), snn_init_name(a.opt.method), n);
  snn_calibration_free(calibration);
  free(images);
  snn_network_free(net);
  return code;
}
