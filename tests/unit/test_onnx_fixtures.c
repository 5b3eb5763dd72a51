/* Whole ONNX models from file to scores. Every folder that tests/support/make_onnx_fixtures.py (one operator form a
 * case) and tests/support/export_networks.py (networks as torch exports them) wrote holds model.onnx, input.f32 and
 * scores.f32, the scores torch gives. Asked of each: our float network gives these scores, and the spiking network,
 * with thresholds at the largest activations, comes closer to them as T grows. $ONNX_FIXTURES names the folder; without
 * it the test is skipped. */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "graph/passes.h"
#include "onnx/onnx.h"
#include "patience.h"
#include "sim/reference.h"
#include "snn/snn.h"

enum { PATH_BYTES = 1024, MOST_CASES = 512, CHECKPOINTS = 3 };
static const uint32_t checkpoints[CHECKPOINTS] = {256, 1024, 2048};
static const double parity_bound = 1e-4; /* of the largest score */
static const double close_enough = 4e-3; /* the same, at the last checkpoint: there the error need not shrink further */
static const double int8_bound = 0.08;   /* what rounding weights to 8 bits may add to it, in small random networks */

static float *read_floats(const char *folder, const char *file, size_t n) {
  char path[PATH_BYTES];
  snprintf(path, sizeof path, "%s/%s", folder, file);
  FILE *f = fopen(path, "rb");
  if (!f) fail_msg("%s is missing", path);
  float *x = malloc((n + 1) * sizeof *x);
  assert_non_null(x);
  if (fread(x, sizeof *x, n, f) != n || fgetc(f) != EOF) fail_msg("%s does not hold %zu floats", path, n);
  fclose(f);
  return x;
}

/* Each neuron layer's threshold becomes the largest activation the picture gives it, or 1. */
static void set_thresholds(snn_network *net, const float *image) {
  snn_reference r;
  snn_error err = {0};
  assert_int_equal(snn_reference_create(net, &r, &err), SNN_OK);
  float *values = calloc(r.elements, sizeof *values);
  assert_non_null(values);
  snn_reference_run(&r, snn_kernels_get(), (snn_team){.size = 1}, image, values);
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    snn_node *n = &net->nodes[i];
    if (n->kind != SNN_LAYER_NEURON) continue;
    float *theta = snn_arena_alloc(&net->arena, 1, sizeof *theta);
    assert_non_null(theta);
    for (size_t k = 0; k < snn_shape_size(n->shape); k++) *theta = fmaxf(*theta, values[r.offsets[i] + k]);
    if (*theta <= 0) *theta = 1;
    n->neurons.n = 1;
    n->neurons.theta = n->neurons.fire = n->neurons.amplitude = theta;
  }
  free(values);
  snn_reference_free(&r);
}

static double largest_difference(const float *a, const float *b, size_t n) {
  double most = 0;
  for (size_t i = 0; i < n; i++) {
    double d = fabs((double)a[i] - (double)b[i]);
    if (!(d <= most)) most = d; /* NaN counts */
  }
  return most;
}

static snn_network *import(const char *folder) {
  char path[PATH_BYTES];
  snn_network *net = NULL;
  snn_error err = {0};
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  if (snn_onnx_import(path, &net, &err) != SNN_OK) fail_msg("%s: %s: %s", folder, err.where, err.text);
  if (snn_graph_rewrite(net, &err) != SNN_OK) fail_msg("%s: rewriting: %s: %s", folder, err.where, err.text);
  return net;
}

/* The spiking network's scores come to the wanted ones as T grows; a line about it where parity >= 0. */
static void check_spiking(const snn_network *net, snn_session *s, const float *image, const float *want, double scale,
                          const char *name, double parity) {
  const size_t classes = net->nodes[net->n_nodes - 1].shape.c;
  float *got = calloc(CHECKPOINTS * classes, sizeof *got);
  double error[CHECKPOINTS];
  snn_error err = {0};
  assert_non_null(got);
  snn_run_options run = snn_run_defaults(net);
  run.init = SNN_INIT_HALF;
  run.precision = SNN_PRECISION_FLOAT32;
  run.timesteps = checkpoints[CHECKPOINTS - 1];
  run.checkpoints = checkpoints;
  run.n_checkpoints = CHECKPOINTS;
  if (snn_session_run(s, image, 1, &run, got, NULL, &err) != SNN_OK) fail_msg("%s: %s", name, err.text);
  for (size_t k = 0; k < CHECKPOINTS; k++) error[k] = largest_difference(got + k * classes, want, classes) / scale;
  const double first = error[0], last = error[CHECKPOINTS - 1];
  if (parity >= 0)
    print_message("   %-24s float %.1e   SNN at T=256 %.1e   1024 %.1e   2048 %.1e\n", name, parity, first, error[1],
                  last);
  if (!(last <= 0.4 * first) && !(last <= close_enough))
    fail_msg("%s: the spiking network does not converge: off by %g at T=%u, by %g at T=%u", name, first, checkpoints[0],
             last, checkpoints[CHECKPOINTS - 1]);
  run.precision = SNN_PRECISION_INT8;
  if (snn_int8_takes(net, &run, NULL) == SNN_OK) {
    if (snn_session_run(s, image, 1, &run, got, NULL, &err) != SNN_OK) fail_msg("%s: %s", name, err.text);
    const double rounded = largest_difference(got + (CHECKPOINTS - 1) * classes, want, classes) / scale;
    if (!(rounded <= last + int8_bound)) fail_msg("%s: in int8 the scores are off by %g", name, rounded);
  }
  free(got);
}

/* Neurons of a quantised network with theta at the clip: asg at T = levels gives the float network's numbers, to the
 * bit where T is a power of two and so scales every sum exactly. */
static void check_quantised(const char *folder, const char *name, bool tell) {
  snn_network *net = import(folder);
  snn_error err = {0};
  snn_session *s = NULL;
  size_t classes = net->nodes[net->n_nodes - 1].shape.c;
  float *image = read_floats(folder, "input.f32", snn_shape_size(net->nodes[0].shape));
  float *want = read_floats(folder, "scores.f32", classes);
  float *zeros = calloc(classes, sizeof *zeros), *got = calloc(classes, sizeof *got);
  float *spiking = calloc(classes, sizeof *spiking);
  assert_true(zeros && got && spiking);
  uint32_t levels = 0;
  float rounding = 0;
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    snn_neurons *p = &net->nodes[i].neurons;
    if (net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    float *theta = snn_arena_alloc(&net->arena, 1, sizeof *theta);
    assert_non_null(theta);
    *theta = p->clip / (float)p->levels; /* times T, once that is known */
    p->n = 1;
    p->theta = p->fire = p->amplitude = theta;
    if (p->levels > levels) levels = p->levels;
    rounding = p->rounding;
  }
  assert_true(levels > 0);
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (net->nodes[i].kind == SNN_LAYER_NEURON) *(float *)(uintptr_t)net->nodes[i].neurons.theta *= (float)levels;
  if (snn_graph_finish(net, true, &err) != SNN_OK) fail_msg("%s: %s: %s", name, err.where, err.text);
  if (snn_session_create(net, NULL, &s, &err) != SNN_OK) fail_msg("%s: %s", name, err.text);
  const double scale = largest_difference(want, zeros, classes);
  assert_int_equal(snn_session_reference(s, image, 1, NULL, got, &err), SNN_OK);
  double parity = largest_difference(got, want, classes) / scale;
  if (!(parity <= parity_bound)) fail_msg("%s: the float network is off by %g of the largest score", name, parity);
  snn_run_options run = snn_run_defaults(net);
  run.neuron = SNN_NEURON_ASG;
  run.precision = SNN_PRECISION_FLOAT32; /* the identity is one of exact weights */
  run.init = rounding > 0 ? SNN_INIT_HALF : SNN_INIT_ZERO;
  run.timesteps = levels;
  if (snn_session_run(s, image, 1, &run, spiking, NULL, &err) != SNN_OK) fail_msg("%s: %s", name, err.text);
  double off = largest_difference(spiking, got, classes) / scale;
  if (!(off <= ((levels & (levels - 1)) == 0 && !strstr(name, "last") ? 0 : 1e-6)))
    fail_msg("%s: asg at T=%u is off the quantised network by %g", name, levels, off);
  (void)tell;
  snn_session_free(s);
  snn_network_free(net);
  free(image);
  free(want);
  free(zeros);
  free(got);
  free(spiking);
}

static void check(const char *folder, const char *name, bool tell) {
  snn_network *net = import(folder);
  snn_error err = {0};
  snn_session *s = NULL;
  size_t classes = net->nodes[net->n_nodes - 1].shape.c;
  float *image = read_floats(folder, "input.f32", snn_shape_size(net->nodes[0].shape));
  float *want = read_floats(folder, "scores.f32", classes);
  float *zeros = calloc(classes, sizeof *zeros), *got = calloc(classes, sizeof *got);
  assert_non_null(zeros);
  assert_non_null(got);
  set_thresholds(net, image);
  if (snn_graph_finish(net, true, &err) != SNN_OK) fail_msg("%s: %s: %s", name, err.where, err.text);
  if (snn_session_create(net, NULL, &s, &err) != SNN_OK) fail_msg("%s: %s", name, err.text);
  const double scale = largest_difference(want, zeros, classes);
  assert_int_equal(snn_session_reference(s, image, 1, NULL, got, &err), SNN_OK);
  double parity = largest_difference(got, want, classes) / scale;
  if (!(parity <= parity_bound)) fail_msg("%s: the float network is off by %g of the largest score", name, parity);
  if (!strstr(name, "-modern")) /* which the importer makes the very network of "-plain" of */
    check_spiking(net, s, image, want, scale, name, tell ? parity : -1);
  snn_session_free(s);
  snn_network_free(net);
  free(image);
  free(want);
  free(zeros);
  free(got);
}

static int by_name(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every case in a folder of fixtures; at least so many, so that an empty one does not pass. */
static void check_all(const char *group, size_t least, bool tell,
                      void (*check_one)(const char *folder, const char *name, bool tell)) {
  const char *fixtures = getenv("ONNX_FIXTURES");
  if (!fixtures || !*fixtures) {
    print_message("SKIPPED: ONNX_FIXTURES is not set; `make unit` writes the fixtures and sets it\n");
    skip();
  }
  char root[PATH_BYTES / 4], folder[PATH_BYTES / 2], *names[MOST_CASES];
  snprintf(root, sizeof root, "%s/%s", fixtures, group);
  DIR *d = opendir(root);
  if (!d) fail_msg("cannot open %s", root);
  size_t n = 0;
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_name[0] == '.') continue;
    assert_true(n < MOST_CASES);
    names[n++] = strdup(e->d_name);
  }
  closedir(d);
  assert_true(n >= least);
  qsort(names, n, sizeof *names, by_name);
  for (size_t i = 0; i < n; i++) {
    snprintf(folder, sizeof folder, "%s/%.250s", root, names[i]);
    check_one(folder, names[i], tell);
    free(names[i]);
  }
}

static void test_operators(void **state) {
  (void)state;
  check_all("accepted", 110, false, check);
}

static void test_networks(void **state) {
  (void)state;
  check_all("networks", 33, true, check);
}

static void test_quantised(void **state) {
  (void)state;
  check_all("quantised", 17, false, check_quantised);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_operators), cmocka_unit_test(test_quantised),
                                     cmocka_unit_test(test_networks)};
  return cmocka_run_group_tests_name("onnx fixtures", tests, NULL, NULL);
}
