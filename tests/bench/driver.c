/* Our side of a comparison: a model, some pictures, and commands on standard input, one a line, each answered by one
 * line. So a comparing program can let the contenders take turns in one run.
 *
 *   driver MODEL DATA N THREADS INPUTS   N pictures of DATA, whose normalised floats [N][C,H,W] are written to INPUTS
 *
 *   run NEURON PRECISION T FIRST B       simulate pictures FIRST .. FIRST + B - 1 in one call: nanoseconds on the clock
 *                                        and of all threads' processor time, or "unknown" for names this build lacks
 *   spikes T I                           spikes of every layer of picture I, T steps of `if` in float32; 0 for others
 *   scores T I                           its scores; T 0: those of the float network
 *
 * Uses the public library only. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "snn/snn.h"

typedef struct driver {
  snn_network *net;
  snn_session *session;
  float *images, *scores;
  uint64_t *spikes;
  size_t n, pixels;
} driver;

static int fail(const char *what, const snn_error *err) {
  fprintf(stderr, "driver: %s: %s %s\n", what, err->where, err->text);
  return 1;
}

/* The first n pictures, again from the start where there are fewer. */
static snn_status read_pictures(driver *d, const char *path, snn_error *err) {
  snn_dataset *data = NULL;
  uint8_t *pixels = malloc(d->pixels);
  const snn_preprocess *pre = snn_network_preprocess(d->net);
  snn_status status = snn_dataset_open(path, NULL, &data, err);
  for (size_t i = 0; status == SNN_OK && i < d->n; i++) {
    status =
        snn_dataset_read(data, i % snn_dataset_count(data), snn_network_input(d->net), pre->background, pixels, err);
    if (status == SNN_OK) snn_image_normalise(pixels, snn_network_input(d->net), pre, d->images + i * d->pixels);
  }
  snn_dataset_free(data);
  free(pixels);
  return status;
}

static uint64_t processor_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void time_run(driver *d, const char *neuron, const char *precision, unsigned steps, size_t first, size_t batch) {
  snn_run_options run = snn_run_defaults(d->net);
  run.timesteps = steps;
  run.init = SNN_INIT_HALF;
  run.shift = 0;
  if (!snn_neuron_parse(neuron, &run.neuron) || !snn_precision_parse(precision, &run.precision) ||
      first + batch > d->n) {
    puts("unknown");
    return;
  }
  snn_error err = {0};
  const uint64_t cpu = processor_ns(), begin = snn_clock_ns();
  snn_status status = snn_session_run(d->session, d->images + first * d->pixels, batch, &run, d->scores, NULL, &err);
  const uint64_t end = snn_clock_ns();
  if (status == SNN_OK)
    printf("%" PRIu64 " %" PRIu64 "\n", end - begin, processor_ns() - cpu);
  else
    printf("failed: %s %s\n", err.where, err.text);
}

static void print_run(driver *d, unsigned steps, size_t i, bool scores) {
  const float *image = d->images + i * d->pixels;
  snn_run_options run = {.timesteps = steps, .tau = 1, .init = SNN_INIT_HALF};
  run.precision = SNN_PRECISION_FLOAT32;
  snn_run_stats stats = {.spikes = d->spikes};
  snn_status status = steps ? snn_session_run(d->session, image, 1, &run, d->scores, &stats, NULL)
                            : snn_session_reference(d->session, image, 1, NULL, d->scores, NULL);
  for (size_t k = 0; status == SNN_OK && scores && k < snn_network_classes(d->net); k++)
    printf("%.9g ", (double)d->scores[k]);
  for (size_t k = 0; status == SNN_OK && !scores && k < snn_network_layers(d->net); k++)
    printf("%" PRIu64 " ", d->spikes[k]);
  putchar('\n');
}

static void serve(driver *d) {
  char line[256], neuron[32], precision[32];
  unsigned steps;
  size_t first, batch;
  while (fgets(line, sizeof line, stdin)) {
    if (sscanf(line, "run %31s %31s %u %zu %zu", neuron, precision, &steps, &first, &batch) == 5)
      time_run(d, neuron, precision, steps, first, batch);
    else if (sscanf(line, "spikes %u %zu", &steps, &first) == 2 && first < d->n && steps)
      print_run(d, steps, first, false);
    else if (sscanf(line, "scores %u %zu", &steps, &first) == 2 && first < d->n)
      print_run(d, steps, first, true);
    else
      puts("unknown");
    fflush(stdout);
  }
}

int main(int argc, char **argv) {
  if (argc != 6) {
    fputs("usage: driver MODEL DATA N THREADS INPUTS\n", stderr);
    return 2;
  }
  snn_error err = {0};
  driver d = {.n = strtoul(argv[3], NULL, 10)};
  const snn_session_options options = {.threads = (uint32_t)strtoul(argv[4], NULL, 10)};
  if (snn_network_load(argv[1], &d.net, &err) != SNN_OK) return fail(argv[1], &err);
  d.pixels = snn_shape_size(snn_network_input(d.net));
  d.images = calloc(d.n, d.pixels * sizeof *d.images);
  d.scores = calloc(d.n, snn_network_classes(d.net) * sizeof *d.scores);
  d.spikes = calloc(snn_network_layers(d.net), sizeof *d.spikes);
  if (!d.n || !d.images || !d.scores || !d.spikes) return fail("memory", &err);
  if (read_pictures(&d, argv[2], &err) != SNN_OK) return fail(argv[2], &err);
  if (snn_session_create(d.net, &options, &d.session, &err) != SNN_OK) return fail(argv[1], &err);
  FILE *f = fopen(argv[5], "wb");
  if (!f || fwrite(d.images, sizeof(float) * d.pixels, d.n, f) != d.n || fclose(f) != 0) return fail(argv[5], &err);
  puts("ready");
  fflush(stdout);
  serve(&d);
  snn_session_free(d.session);
  snn_network_free(d.net);
  free(d.images);
  free(d.scores);
  free(d.spikes);
  return 0;
}
