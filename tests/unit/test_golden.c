/* The simulation against an independent one: every case of tests/golden/cases, at several thread counts, chunk lengths
 * and batch sizes, must give the scores, spikes, synaptic operations and multiply-accumulates of the Python reference
 * to the last bit. The cases hold dyadic numbers, so no rounding hides or excuses anything. */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "patience.h"
#include "snn/snn.h"

enum { MOST_CASES = 256, FIELDS = 3 };

typedef struct golden {
  char name[256];
  snn_network *net;
  json_t *expected;
  float *images;
  size_t n_images, pixels, classes, layers, n_checkpoints;
  uint32_t checkpoints[64];
} golden;

static void path_of(char *out, size_t n_out, const char *name, const char *file) {
  const char *tests = getenv("TESTS_DIR");
  int n = snprintf(out, n_out, "%s/golden/cases/%s%s%s", tests ? tests : "tests", name, *file ? "/" : "", file);
  assert_true(n > 0 && (size_t)n < n_out);
}

static void load(golden *g, const char *name) {
  char path[1024];
  snn_error err = {0};
  *g = (golden){0};
  snprintf(g->name, sizeof g->name, "%s", name);
  path_of(path, sizeof path, name, "model.safetensors");
  if (snn_network_load(path, &g->net, &err) != SNN_OK) fail_msg("%s: %s: %s", name, err.where, err.text);
  path_of(path, sizeof path, name, "expected.json");
  g->expected = json_load_file(path, 0, NULL);
  assert_non_null(g->expected);
  g->n_images = (size_t)json_integer_value(json_object_get(g->expected, "images"));
  g->pixels = snn_shape_size(snn_network_input(g->net));
  g->classes = snn_network_classes(g->net);
  g->layers = snn_network_layers(g->net);
  assert_int_equal(g->layers, json_integer_value(json_object_get(g->expected, "layers")));
  const json_t *checkpoints = json_object_get(g->expected, "checkpoints");
  g->n_checkpoints = json_array_size(checkpoints);
  assert_in_range(g->n_checkpoints, 1, 64);
  for (size_t k = 0; k < g->n_checkpoints; k++)
    g->checkpoints[k] = (uint32_t)json_integer_value(json_array_get(checkpoints, k));
  path_of(path, sizeof path, name, "input.bin");
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  g->images = malloc(g->n_images * g->pixels * sizeof *g->images);
  assert_non_null(g->images);
  assert_int_equal(fread(g->images, sizeof *g->images, g->n_images * g->pixels, f), g->n_images * g->pixels);
  assert_int_equal(fgetc(f), EOF);
  fclose(f);
}

static void unload(golden *g) {
  snn_network_free(g->net);
  json_decref(g->expected);
  free(g->images);
}

/* expected[image][checkpoint][i] of a field */
static const json_t *entry(const json_t *field, size_t image, size_t k, size_t i) {
  const json_t *v = json_array_get(json_array_get(json_array_get(field, image), k), i);
  assert_true(json_is_number(v));
  return v;
}

/* Answers for images [first, first + batch) against the file. */
static void compare(const golden *g, const json_t *want, const snn_run_options *run, const char *how, size_t first,
                    size_t batch, const float *scores, uint64_t *const counts[FIELDS]) {
  static const char *const fields[FIELDS] = {"spikes", "synaptic_operations", "macs"};
  for (size_t i = 0; i < batch; i++)
    for (size_t k = 0; k < run->n_checkpoints; k++) {
      for (size_t c = 0; c < g->classes; c++) {
        float w = (float)json_number_value(entry(json_object_get(want, "scores"), first + i, k, c));
        float got = scores[(i * run->n_checkpoints + k) * g->classes + c];
        if (!(got == w))
          fail_msg("%s, %s: image %zu, T %u, class %zu: score %.9g, not %.9g", g->name, how, first + i,
                   run->checkpoints[k], c, (double)got, (double)w);
      }
      for (int f = 0; f < FIELDS; f++)
        for (size_t l = 0; l < g->layers; l++) {
          uint64_t w = (uint64_t)json_integer_value(entry(json_object_get(want, fields[f]), first + i, k, l));
          uint64_t got = counts[f][(i * run->n_checkpoints + k) * g->layers + l];
          if (got != w)
            fail_msg("%s, %s: image %zu, T %u, layer %zu (%s): %s %llu, not %llu", g->name, how, first + i,
                     run->checkpoints[k], l, snn_network_layer(g->net, l).name, fields[f], (unsigned long long)got,
                     (unsigned long long)w);
        }
    }
}

/* One set of options, whose answers are `want`. */
static void run_batches(const golden *g, snn_session *s, const json_t *want, snn_run_options *run, const char *how,
                        size_t batch) {
  static const uint32_t numbers[] = {0, 1, 2};
  snn_error err = {0};
  const size_t n_counts = batch * run->n_checkpoints * g->layers;
  float *scores = malloc(batch * run->n_checkpoints * g->classes * sizeof *scores);
  uint64_t *counts[FIELDS];
  for (int f = 0; f < FIELDS; f++) counts[f] = malloc(n_counts * sizeof *counts[f]);
  for (size_t first = 0; first + batch <= g->n_images; first += batch) {
    memset(scores, 0xff, batch * run->n_checkpoints * g->classes * sizeof *scores);
    for (int f = 0; f < FIELDS; f++) memset(counts[f], 0xff, n_counts * sizeof *counts[f]);
    snn_run_stats stats = {.spikes = counts[0], .synaptic_operations = counts[1], .macs = counts[2]};
    run->image_numbers = numbers + first;
    if (snn_session_run(s, g->images + first * g->pixels, batch, run, scores, &stats, &err) != SNN_OK)
      fail_msg("%s, %s: %s: %s", g->name, how, err.where, err.text);
    compare(g, want, run, how, first, batch, scores, counts);
  }
  for (int f = 0; f < FIELDS; f++) free(counts[f]);
  free(scores);
}

/* The plain runs, from both initial potentials. */
static void run_inits(const golden *g, snn_session *s, const char *how, size_t batch) {
  snn_run_options run = snn_run_defaults(g->net);
  run.precision = SNN_PRECISION_FLOAT32;
  run.timesteps = g->checkpoints[g->n_checkpoints - 1];
  run.checkpoints = g->checkpoints;
  run.n_checkpoints = g->n_checkpoints;
  static const char *const inits[] = {"zero", "half"};
  for (int i = 0; i < 2; i++) {
    assert_true(snn_init_parse(inits[i], &run.init));
    run_batches(g, s, json_object_get(json_object_get(g->expected, "init"), inits[i]), &run, how, batch);
  }
}

/* Runs with options of their own, where the case has such. */
static void run_others(const golden *g, snn_session *s, const char *session, size_t batch) {
  const json_t *runs = json_object_get(g->expected, "runs");
  for (size_t i = 0; i < json_array_size(runs); i++) {
    const json_t *want = json_array_get(runs, i), *steps = json_object_get(want, "checkpoints");
    const char *neuron = json_string_value(json_object_get(want, "neuron"));
    const char *init = json_string_value(json_object_get(want, "init"));
    uint32_t checkpoints[8];
    char how[128];
    snn_run_options run = snn_run_defaults(g->net);
    run.precision = SNN_PRECISION_FLOAT32;
    assert_true(neuron && snn_neuron_parse(neuron, &run.neuron) && init && snn_init_parse(init, &run.init));
    run.tau = (float)json_number_value(json_object_get(want, "tau"));
    run.shift = (uint32_t)json_integer_value(json_object_get(want, "shift"));
    const json_t *encoding = json_object_get(want, "encoding"), *readout = json_object_get(want, "readout");
    assert_true(!encoding || snn_encoding_parse(json_string_value(encoding), &run.encoding));
    assert_true(!readout || snn_readout_parse(json_string_value(readout), &run.readout));
    run.seed = (uint32_t)json_integer_value(json_object_get(want, "seed"));
    run.checkpoints = checkpoints;
    run.n_checkpoints = json_array_size(steps);
    assert_in_range(run.n_checkpoints, 1, 8);
    for (size_t k = 0; k < run.n_checkpoints; k++)
      checkpoints[k] = (uint32_t)json_integer_value(json_array_get(steps, k));
    run.timesteps = checkpoints[run.n_checkpoints - 1];
    snprintf(how, sizeof how, "%s, %s from %s, shift %u, %s, %s", session, neuron, init, run.shift,
             snn_encoding_name(run.encoding), snn_readout_name(run.readout));
    run_batches(g, s, want, &run, how, batch);
  }
}

static void run_reference(const golden *g, snn_session *s, const char *how) {
  float *scores = malloc(g->n_images * g->classes * sizeof *scores);
  snn_error err = {0};
  assert_int_equal(snn_session_reference(s, g->images, g->n_images, NULL, scores, &err), SNN_OK);
  for (size_t i = 0; i < g->n_images; i++)
    for (size_t c = 0; c < g->classes; c++) {
      const json_t *row = json_array_get(json_object_get(g->expected, "reference"), i);
      float want = (float)json_number_value(json_array_get(row, c));
      if (!(scores[i * g->classes + c] == want))
        fail_msg("%s, %s: image %zu, class %zu: the float network gives %.9g, not %.9g", g->name, how, i, c,
                 (double)scores[i * g->classes + c], (double)want);
    }
  free(scores);
}

/* Returns the number of its runs with options of their own. */
static size_t run_case(const char *name) {
  static const uint32_t threads[] = {1, 2, 3}, chunks[] = {1, 3, 16, 64};
  golden g;
  load(&g, name);
  for (size_t a = 0; a < sizeof threads / sizeof *threads; a++)
    for (size_t b = 0; b < sizeof chunks / sizeof *chunks; b++) {
      char how[64];
      snn_session *s = NULL;
      snn_error err = {0};
      snn_session_options opt = {.threads = threads[a], .chunk = chunks[b], .together = 1 + (uint32_t)(a + b) % 4};
      snprintf(how, sizeof how, "%u threads, chunks of %u", opt.threads, opt.chunk);
      if (snn_session_create(g.net, &opt, &s, &err) != SNN_OK) fail_msg("%s, %s: %s", name, how, err.text);
      for (size_t batch = 1; batch <= g.n_images; batch++) { /* fewer images than threads, as many, more */
        run_inits(&g, s, how, batch);
        run_others(&g, s, how, batch);
      }
      run_reference(&g, s, how);
      snn_session_free(s);
    }
  size_t runs = json_array_size(json_object_get(g.expected, "runs"));
  unload(&g);
  return runs;
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

static void test_cases(void **state) {
  (void)state;
  char path[1024], *names[MOST_CASES];
  size_t n = 0;
  path_of(path, sizeof path, "", "");
  DIR *folder = opendir(path);
  assert_non_null(folder);
  for (struct dirent *e; (e = readdir(folder));) {
    if (e->d_name[0] == '.') continue;
    assert_true(n < MOST_CASES);
    names[n++] = strdup(e->d_name);
  }
  closedir(folder);
  qsort(names, n, sizeof *names, by_name);
  assert_true(n >= 76); /* an empty folder must not pass */
  size_t runs = 0;
  for (size_t i = 0; i < n; i++) {
    runs += run_case(names[i]);
    free(names[i]);
  }
  assert_true(runs >= 6 * 3 * SNN_NEURON_COUNT + 60);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases)};
  return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
