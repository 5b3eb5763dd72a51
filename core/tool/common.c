/* What the subcommands of `snn` share: argument checks, messages, progress, reading pictures. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool/tool.h"

int tool_fail(const char *subject, const snn_error *err) {
  const char *slash = subject ? strrchr(subject, '/') : NULL; /* the library names files without their folders */
  bool named = err->where[0] && !(subject && strcmp(slash ? slash + 1 : subject, err->where) == 0);
  fflush(stdout);
  fprintf(stderr, "snn: %s%s%s%s%s\n", subject ? subject : "", subject ? ": " : "", named ? err->where : "",
          named ? ": " : "", err->text[0] ? err->text : snn_status_name(err->status));
  return EXIT_FAILED;
}

int tool_parse(const struct argp *argp, int argc, char **argv, void *input) {
  argp_err_exit_status = EXIT_USAGE;
  return argp_parse(argp, argc, argv, 0, NULL, input) == 0 ? EXIT_OK : EXIT_USAGE;
}

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
static const char *init_at(unsigned i) {
  return snn_init_name((snn_init)i);
}

error_t tool_run_option(int key, char *arg, struct argp_state *state, tool_run_request *request) {
  snn_neuron neuron;
  snn_init init;
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
    case TOOL_KEY_TAU:
      request->tau = strtof(arg, &end);
      if (end == arg || *end || !(request->tau > 0 && request->tau <= 1))
        argp_error(state, "tau: '%s' is not a number above 0 and up to 1", arg);
      return 0;
    case TOOL_KEY_SHIFT: request->shift = tool_number(state, "shift", arg, 0, 1) == 1; return 0;
    case TOOL_KEY_CALIBRATION: request->calibration = arg; return 0;
    case TOOL_KEY_THREADS: request->threads = tool_number(state, "threads", arg, 1, 1024); return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

snn_run_options tool_run_options(const snn_network *net, const tool_run_request *request) {
  snn_run_options run = snn_run_defaults(net);
  if (request->neuron) snn_neuron_parse(request->neuron, &run.neuron);
  if (request->init) snn_init_parse(request->init, &run.init);
  if (request->tau > 0) run.tau = request->tau;
  if (request->shift) run.shift = 1;
  return run;
}

snn_status tool_load_calibration(const snn_network *net, const tool_run_request *request, snn_calibration **out,
                                 snn_error *err) {
  *out = NULL;
  return request->calibration ? snn_calibration_load(request->calibration, net, out, err) : SNN_OK;
}

bool tool_show_progress(void *context, const char *phase, size_t done, size_t total) {
  tool_progress *p = context;
  uint64_t now = snn_clock_ns();
  if (!p->started_ns) p->started_ns = now;
  if (!isatty(STDERR_FILENO) || (done < total && now - p->shown_ns < 100000000u)) return true;
  p->shown_ns = now;
  double elapsed = (double)(now - p->started_ns) / 1e9, share = total ? (double)done / (double)total : 1;
  int bar = (int)(share * 30);
  fprintf(stderr, "\r%-12s [%.*s%*s] %zu/%zu  %.0f s", phase, bar, "##############################", 30 - bar, "", done,
          total, elapsed);
  if (done > 0 && done < total) fprintf(stderr, ", %.0f s left ", elapsed * (1 - share) / share);
  if (done >= total) fputs("            \n", stderr);
  fflush(stderr);
  return true;
}

snn_status tool_read_inputs(const snn_dataset *d, const snn_network *net, const size_t *pictures, size_t n,
                            uint8_t *pixels, float *images, snn_error *err) {
  const snn_preprocess *pre = snn_network_preprocess(net);
  snn_shape shape = snn_network_input(net);
  for (size_t i = 0; i < n; i++) {
    snn_status status = snn_dataset_read(d, pictures[i], shape, pre->background, pixels, err);
    if (status != SNN_OK) return status;
    snn_image_normalise(pixels, shape, pre, images + i * snn_shape_size(shape));
  }
  return SNN_OK;
}

const char *tool_plain(const char *s, char buf[TOOL_MAX_TEXT]) {
  size_t n = 0;
  for (; s[n] && n + 1 < TOOL_MAX_TEXT; n++) buf[n] = (unsigned char)s[n] < 0x20 || s[n] == 0x7f ? '?' : s[n];
  buf[n] = 0;
  return buf;
}

const char **tool_labels(const snn_network *net) {
  size_t n = snn_network_classes(net);
  const char **labels = snn_network_label(net, 0) ? calloc(n, sizeof *labels) : NULL;
  for (size_t i = 0; labels && i < n; i++) labels[i] = snn_network_label(net, i);
  return labels;
}

snn_status tool_open_data(const char *path, const snn_network *net, snn_dataset **out, snn_error *err) {
  const char **labels = tool_labels(net);
  snn_dataset_options opt = {.labels = labels, .n_labels = labels ? snn_network_classes(net) : 0};
  snn_status status = snn_dataset_open(path, &opt, out, err);
  free(labels);
  return status;
}

int tool_print_json(json_t *value) {
  int failed = !value || json_dumpf(value, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) != 0 ||
               putchar('\n') == EOF || fflush(stdout) != 0;
  json_decref(value);
  if (failed) fputs("snn: cannot write the answer\n", stderr);
  return failed ? EXIT_FAILED : EXIT_OK;
}
