/* `snn convert`: arguments in, snn_convert_onnx and snn_network_save, a summary out. Leaves no file on failure. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tool/tool.h"

enum { KEY_THRESHOLD = TOOL_KEY_OWN, KEY_PER, KEY_MEAN, KEY_STD, KEY_LABELS, KEY_NAME, KEY_WEIGHTS, KEY_BACKGROUND };

typedef struct arguments {
  const char *onnx, *output, *data, *labels_file;
  snn_convert_options opt;
  snn_preprocess preprocess;
  int n_mean, n_std;
  snn_weight_format weights;
  uint32_t timesteps[TOOL_MAX_LIST];
  tool_request request;
} arguments;

static const struct argp_option options[] = {
    {"output", 'o', "FILE", 0, "the model file to write, such as model.safetensors", 0},
    {"data", TOOL_KEY_DATA, "DATA", 0,
     "pictures to take activations from: a folder of class folders or of PNGs, a CIFAR-10 binary file, an IDX file", 0},
    {"limit", TOOL_KEY_LIMIT, "N", 0, "use at most N pictures, evenly spaced (default 1000; 0: all)", 0},
    {"threshold", KEY_THRESHOLD, "RULE", 0,
     "max, percentile=P, clip, ctt (trained on the pictures for T steps of neuron if), or given by the file (default: "
     "given where it is, clip where every activation is "
     "quantised, else percentile=99.9)",
     0},
    {"per", KEY_PER, "SCOPE", 0, "one threshold per channel (default) or per layer", 0},
    {"mean", KEY_MEAN, "LIST", 0, "per channel, of pixels in 0..1: R,G,B or one value (default 0)", 0},
    {"std", KEY_STD, "LIST", 0, "likewise (default 1)", 0},
    {"background", KEY_BACKGROUND, "0-255", 0, "what transparent pixels lie over (default 0, black)", 0},
    {"labels", KEY_LABELS, "FILE", 0, "class names, one a line, in the order of the scores", 0},
    {"name", KEY_NAME, "NAME", 0, "the model's name", 0},
    {"weights", KEY_WEIGHTS, "FORMAT", 0, "f32 (default), f16 or i8: how weights are stored", 0},
    {"timesteps", 'T', "T", 0, "recommended timesteps (default 32, or the levels of a quantised network)", 0},
    {"init", TOOL_KEY_INIT, "INIT", 0, "recommended initial potential: zero, half (the usual default)", 0},
    {"threads", TOOL_KEY_THREADS, "N", 0, "OpenMP threads (default: what the machine allows)", 0},
    {0}};

/* "0.1,0.2,0.3" or "0.5" into per-channel values; a single value holds for all channels. */
static int channel_values(struct argp_state *state, const char *option, const char *text,
                          float out[SNN_MAX_CHANNELS_IN]) {
  int n = 0;
  for (const char *p = text;; p++) {
    char *end;
    float x = strtof(p, &end);
    if (end == p || (*end && *end != ',') || n == SNN_MAX_CHANNELS_IN)
      argp_error(state, "%s: '%s' is not a list of numbers such as 0.49,0.48,0.45", option, text);
    out[n++] = x;
    p = end;
    if (!*p) break;
  }
  for (int i = n; n == 1 && i < SNN_MAX_CHANNELS_IN; i++) out[i] = out[0];
  return n;
}

static void threshold_rule(struct argp_state *state, const char *text, snn_convert_options *opt) {
  char *end;
  if (strcmp(text, "max") == 0) {
    opt->threshold = SNN_THRESHOLD_MAX;
  } else if (strcmp(text, "clip") == 0) {
    opt->threshold = SNN_THRESHOLD_CLIP;
  } else if (strcmp(text, "ctt") == 0) {
    opt->threshold = SNN_THRESHOLD_CTT;
  } else if (strcmp(text, "given") == 0) {
    opt->threshold = SNN_THRESHOLD_GIVEN;
  } else if (strncmp(text, "percentile=", 11) == 0) {
    opt->threshold = SNN_THRESHOLD_PERCENTILE;
    opt->percentile = strtod(text + 11, &end);
    if (end == text + 11 || *end || !(opt->percentile > 0 && opt->percentile <= 100))
      argp_error(state, "threshold: '%s' is not a percentile above 0 and up to 100", text + 11);
  } else {
    argp_error(state, "threshold: '%s' is not known; there are: max, percentile=P, clip, given, ctt", text);
  }
}

/* Index of `text` among n choices; argp_error otherwise. */
static int choice(struct argp_state *state, const char *option, const char *text, const char *const *choices, int n) {
  for (int i = 0; i < n; i++)
    if (strcmp(text, choices[i]) == 0) return i;
  argp_error(state, "%s: '%s' is not known; there are: %s, %s%s%s", option, text, choices[0], choices[1],
             n > 2 ? ", " : "", n > 2 ? choices[2] : "");
  return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  static const char *const scopes[] = {"layer", "channel"};
  static const char *const formats[] = {"f32", "f16", "i8"};
  arguments *a = state->input;
  switch (key) {
    case 'o': a->output = arg; return 0;
    case 'T':
      if (tool_timesteps(state, arg, a->timesteps) != 1) argp_error(state, "timesteps: one number is recommended");
      a->opt.recommended_timesteps = a->timesteps[0];
      return 0;
    case TOOL_KEY_DATA: a->data = arg; return 0;
    case TOOL_KEY_LIMIT: a->opt.data_limit = tool_number(state, "limit", arg, 0, UINT32_MAX); return 0;
    case KEY_THRESHOLD: threshold_rule(state, arg, &a->opt); return 0;
    case KEY_PER: a->opt.scope = (snn_threshold_scope)choice(state, "per", arg, scopes, 2); return 0;
    case KEY_MEAN: a->n_mean = channel_values(state, "mean", arg, a->preprocess.mean); return 0;
    case KEY_STD: a->n_std = channel_values(state, "std", arg, a->preprocess.std); return 0;
    case KEY_BACKGROUND: a->preprocess.background = (uint8_t)tool_number(state, "background", arg, 0, 255); return 0;
    case KEY_LABELS: a->labels_file = arg; return 0;
    case KEY_NAME: a->opt.name = arg; return 0;
    case KEY_WEIGHTS: a->weights = (snn_weight_format)choice(state, "weights", arg, formats, 3); return 0;
    case ARGP_KEY_ARG:
      if (a->onnx) argp_error(state, "one ONNX file at a time; '%s' is a second one", arg);
      a->onnx = arg;
      return 0;
    case ARGP_KEY_END:
      if (!a->onnx) argp_error(state, "which ONNX file?");
      if (!a->output) argp_error(state, "where to? -o FILE names the model file to write");
      if (!a->data && (a->opt.threshold == SNN_THRESHOLD_MAX || a->opt.threshold == SNN_THRESHOLD_CTT ||
                       a->opt.threshold == SNN_THRESHOLD_PERCENTILE))
        argp_error(state, "--data is needed: thresholds are taken from the activations it gives");
      return 0;
    default: return tool_run_option(key, arg, state, &a->request);
  }
}

/* Class names, one a line. *text owns the bytes the array points into. */
static snn_status read_labels(const char *path, char **text, const char ***labels, size_t *n, snn_error *err) {
  FILE *f = fopen(path, "re");
  size_t capacity = 0;
  err->status = SNN_ERR_IO;
  snprintf(err->where, sizeof err->where, "%s", path);
  snprintf(err->text, sizeof err->text, "cannot read: %s", strerror(errno));
  if (!f) return SNN_ERR_IO;
  ssize_t bytes = getdelim(text, &capacity, '\0', f);
  int read_error = ferror(f) ? errno : 0;
  fclose(f);
  if (read_error) {
    snprintf(err->text, sizeof err->text, "cannot read: %s", strerror(read_error));
    return SNN_ERR_IO;
  }
  if (bytes <= 0) {
    snprintf(err->text, sizeof err->text, "it is empty; class names, one a line, are needed");
    return SNN_ERR_FORMAT;
  }
  size_t lines = 1;
  for (ssize_t i = 0; i < bytes; i++) lines += (*text)[i] == '\n';
  *labels = calloc(lines, sizeof **labels);
  if (!*labels) return SNN_ERR_NO_MEMORY;
  for (char *line = *text, *next; line && *line; line = next) {
    next = strchr(line, '\n');
    if (next) *next++ = 0;
    line[strcspn(line, "\r")] = 0;
    if (!*line) {
      snprintf(err->text, sizeof err->text, "line %zu is empty; one class name a line is needed", *n + 1);
      return SNN_ERR_FORMAT;
    }
    (*labels)[(*n)++] = line;
  }
  *err = (snn_error){0};
  return SNN_OK;
}

/* The last component of the data's path; slashes after it do not matter. Owned by the caller, NULL without memory. */
static char *data_name(const char *path) {
  size_t end = strlen(path), begin;
  while (end > 1 && path[end - 1] == '/') end--;
  for (begin = end; begin > 0 && path[begin - 1] != '/';) begin--;
  return strndup(path + begin, end - begin);
}

/* Writing replaces what is there; devices, pipes and folders are not to be replaced. */
static bool writable(const char *path) {
  struct stat st;
  if (stat(path, &st) != 0 || S_ISREG(st.st_mode)) return true;
  fprintf(stderr, "snn: %s: it is there and no regular file, so it is not replaced\n", path);
  return false;
}

static void summary(const snn_network *net, const arguments *a) {
  struct stat st = {0};
  size_t neuron_layers = 0;
  uint64_t parameters = 0;
  for (size_t i = 0; i < snn_network_layers(net); i++) {
    snn_layer_info info = snn_network_layer(net, i);
    neuron_layers += info.kind == SNN_LAYER_NEURON;
    parameters += info.parameters;
  }
  snn_shape in = snn_network_input(net);
  if (stat(a->output, &st) != 0) st.st_size = 0;
  printf("%s: input %ux%ux%u, %zu classes, %zu spiking layers, %llu neurons, %llu parameters, %.2f MB\n", a->output,
         in.c, in.h, in.w, snn_network_classes(net), neuron_layers, (unsigned long long)snn_network_neurons(net),
         (unsigned long long)parameters, (double)st.st_size / 1e6);
}

int tool_convert(int argc, char **argv) {
  static const struct argp argp = {
      options,
      parse,
      "MODEL.onnx",
      "Turn a trained CNN into a spiking network: import the ONNX file, fold and rewrite its graph, run it on "
      "pictures, and set thresholds from the activations seen.",
      NULL,
      NULL,
      NULL};
  arguments a = {
      .opt = {.threshold = SNN_THRESHOLD_AUTO, .percentile = 99.9, .scope = SNN_PER_CHANNEL, .data_limit = 1000}};
  for (int c = 0; c < SNN_MAX_CHANNELS_IN; c++) a.preprocess.std[c] = 1.0f;
  int code = tool_parse(&argp, argc, argv, &a);
  if (code != EXIT_OK) return code;
  if (!writable(a.output)) return EXIT_FAILED;

  snn_network *net = NULL;
  snn_dataset *data = NULL;
  char *label_text = NULL, *name_of_data = a.data ? data_name(a.data) : NULL;
  const char **labels = NULL;
  tool_progress progress = {0};
  snn_error err = {0};
  snn_status status = SNN_OK;
  const char *subject = a.onnx;
  if (a.labels_file) {
    status = read_labels(a.labels_file, &label_text, &labels, &a.opt.n_labels, &err);
    subject = a.labels_file;
  }
  if (status == SNN_OK && a.data) {
    subject = a.data;
    status =
        snn_dataset_open(a.data, NULL, &data, &err); /* activations need no classes, so folders may have any name */
  }
  if (status == SNN_OK) {
    subject = a.onnx;
    a.opt.labels = labels;
    a.opt.preprocess = &a.preprocess;
    a.opt.data = data;
    a.opt.data_name = name_of_data;
    a.opt.recommended_init = a.request.init;
    a.opt.threads = a.request.threads;
    a.opt.progress = tool_show_progress;
    a.opt.progress_context = &progress;
    status = snn_convert_onnx(a.onnx, &a.opt, &net, &err);
  }
  if (status == SNN_OK) {
    unsigned channels = snn_network_input(net).c;
    bool mean_fits = a.n_mean <= 1 || (unsigned)a.n_mean == channels;
    if (!mean_fits || (a.n_std > 1 && (unsigned)a.n_std != channels)) {
      fprintf(stderr, "snn: %s: %s has %d values, but the input has %u channels\n", a.onnx,
              mean_fits ? "--std" : "--mean", mean_fits ? a.n_std : a.n_mean, channels);
      code = EXIT_FAILED;
    }
  }
  if (status == SNN_OK && code == EXIT_OK) {
    subject = a.output;
    status = snn_network_save(net, a.output, a.weights, &err);
  }
  if (status != SNN_OK)
    code = tool_fail(subject, &err);
  else if (code == EXIT_OK)
    summary(net, &a);
  snn_network_free(net);
  snn_dataset_free(data);
  free(labels);
  free(label_text);
  free(name_of_data);
  return code;
}
