/* What the subcommands of `snn` share: argument checks, messages, progress, reading pictures. */
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

/* Picture i of a data set, through pixels [size of the input], as an input. */
static snn_status read_input(const snn_dataset *d, const snn_network *net, size_t i, uint8_t *pixels, float *image,
                             snn_error *err) {
  const snn_preprocess *pre = snn_network_preprocess(net);
  snn_shape shape = snn_network_input(net);
  snn_status status = snn_dataset_read(d, i, shape, pre->background, pixels, err);
  if (status == SNN_OK) snn_image_normalise(pixels, shape, pre, image);
  return status;
}

snn_status tool_read_inputs(const snn_dataset *d, const snn_network *net, size_t first, size_t n, float *images,
                            snn_error *err) {
  size_t size = snn_shape_size(snn_network_input(net));
  uint8_t *pixels = malloc(size);
  snn_status status = pixels ? SNN_OK : (err->status = SNN_ERR_NO_MEMORY);
  for (size_t i = 0; status == SNN_OK && i < n; i++)
    status = read_input(d, net, first + i, pixels, images + i * size, err);
  free(pixels);
  return status;
}

snn_status tool_load_pictures(const char *path, const snn_network *net, uint32_t limit, float **images, size_t *n,
                              snn_error *err) {
  size_t size = snn_shape_size(snn_network_input(net));
  snn_dataset *data = NULL;
  snn_status status = snn_dataset_open(path, NULL, &data, err);
  if (status != SNN_OK) return status;
  size_t available = snn_dataset_count(data), wanted = limit && limit < available ? limit : available;
  uint8_t *pixels = malloc(size);
  float *out = calloc(wanted, size * sizeof *out);
  if (!pixels || !out) status = err->status = SNN_ERR_NO_MEMORY;
  for (size_t i = 0; status == SNN_OK && i < wanted; i++)
    status =
        read_input(data, net, (size_t)((double)i * (double)available / (double)wanted), pixels, out + i * size, err);
  free(pixels);
  snn_dataset_free(data);
  if (status != SNN_OK) {
    free(out);
    return status;
  }
  *images = out;
  *n = wanted;
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
