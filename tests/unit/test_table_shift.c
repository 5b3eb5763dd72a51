/* Tables that bring a shift along: matched with it, applied by every run from them, kept by files. */
#include <unistd.h>

#include "graph/calibration.h"
#include "naive.h"
#include "patience.h"
#include "run.h"

enum { PICTURES = 4, T = 8 };
static const uint32_t steps[] = {T};

static snn_calibration *calibrate(const snn_network *net, const float *images, size_t n,
                                  const snn_calibrate_options *opt) {
  snn_calibration *c = NULL;
  snn_error err = {0};
  if (snn_calibrate(net, images, n, opt, &c, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return c;
}

/* theta 1, current 0.3, T 4, so 1/8 more at every step. From 0: 0.425 0.85 1.275, a spike, 0.7: one spike where the
 * float activation is 1.2 of them, + 0.2. From 0.2 again one: + 0.2. */
static void test_matched_by_hand(void **state) {
  (void)state;
  static const uint32_t four[] = {4};
  const float image = 0.3f;
  builder b = one_neuron(1);
  for (uint32_t rounds = 1; rounds <= 2; rounds++) {
    size_t n;
    snn_calibrate_options opt = {
        .method = SNN_INIT_MATCHED, .timesteps = four, .n_timesteps = 1, .rounds = rounds, .shift = SNN_SHIFT_ALL};
    snn_calibration *c = calibrate(b.net, &image, 1, &opt);
    assert_true(snn_calibration_shifts(c, 0));
    assert_true(fabsf(snn_calibration_potentials(c, 0, 2, &n)[0] - 0.2f * (float)rounds) < 1e-6f);
    snn_calibration_free(c);
  }
  snn_network_free(b.net);
}

/* Saved and loaded, so that calibrations can be bound to it. */
static snn_network *saved(const char *folder, const snn_network *net) {
  char path[128];
  snn_network *loaded = NULL;
  snn_error err = {0};
  snprintf(path, sizeof path, "%.64s/model", folder);
  if (snn_network_save(net, path, SNN_WEIGHTS_F32, &err) != SNN_OK || snn_network_load(path, &loaded, &err) != SNN_OK)
    fail_msg("%s: %s", err.where, err.text);
  assert_int_equal(remove(path), 0);
  return loaded;
}

static snn_calibration *reread(const char *folder, const snn_calibration *c, const snn_network *net) {
  char path[128];
  snn_calibration *loaded = NULL;
  snn_error err = {0};
  snprintf(path, sizeof path, "%.64s/tables", folder);
  if (snn_calibration_save(c, path, &err) != SNN_OK || snn_calibration_load(path, net, &loaded, &err) != SNN_OK)
    fail_msg("%s: %s", err.where, err.text);
  assert_int_equal(remove(path), 0);
  return loaded;
}

/* The layers that the table says shift whether the run asks for it or not, in both arithmetics, as in the naive
 * simulation from the same values. */
static void test_runs_shift(void **state) {
  (void)state;
  char folder[64];
  const char *tmp = getenv("TMPDIR");
  snprintf(folder, sizeof folder, "%.40s/shiftXXXXXX", tmp ? tmp : "/tmp");
  assert_non_null(mkdtemp(folder));
  for (unsigned k = 0; k < 12; k++) {
    builder b = dyadic_network(k, 1);
    snn_network *net = saved(folder, b.net);
    float *images = dyadic_images(&b, PICTURES);
    const size_t pixels = snn_shape_size(net->nodes[0].shape), classes = snn_network_classes(net);
    snn_calibrate_options opt = {.method = SNN_INIT_MATCHED,
                                 .timesteps = steps,
                                 .n_timesteps = 1,
                                 .granularity = (snn_granularity)(k % 3),
                                 .shift = SNN_SHIFT_ALL};
    snn_calibration *c = calibrate(net, images, PICTURES, &opt);
    snn_potentials *initial = calloc(net->n_nodes, sizeof *initial);
    for (uint32_t i = 0; i < net->n_nodes; i++) {
      if (k >= 6 && net->nodes[i].kind == SNN_LAYER_NEURON) c->entries[0].layers[i].shift = (i + k) % 3 != 0;
      initial[i].values = snn_calibration_potentials(c, 0, i, &initial[i].n);
      initial[i].shift = snn_calibration_layer_shifts(c, 0, i);
      for (size_t g = 0; initial[i].values && g < initial[i].n; g++) { /* to numbers that do not round */
        float *x = (float *)(uintptr_t)&initial[i].values[g];
        *x = roundf(*x * 8) / 8;
      }
    }
    snn_calibration *again = reread(folder, c, net);
    assert_int_equal(snn_calibration_shifts(again, 0), snn_calibration_shifts(c, 0));
    for (uint32_t i = 0; i < net->n_nodes; i++)
      assert_int_equal(snn_calibration_layer_shifts(again, 0, i), initial[i].shift);
    snn_session *s = session(net, 2, 0);
    snn_run_options o = {.timesteps = T, .init = SNN_INIT_MATCHED, .calibration = again};
    for (int precision = 0; precision < SNN_PRECISION_COUNT; precision++) {
      o.precision = (snn_precision)precision;
      if (precision == SNN_PRECISION_INT8 && snn_int8_takes(net, &o, NULL) != SNN_OK) continue;
      o.shift = 0;
      answers got = run(net, s, images, PICTURES, &o);
      o.shift = snn_calibration_shifts(c, 0);
      answers asked = run(net, s, images, PICTURES, &o);
      assert_same(&got, &asked);
      for (size_t i = 0; precision == SNN_PRECISION_FLOAT32 && i < PICTURES; i++) {
        naive r = naive_run(net, images + i * pixels, SNN_NEURON_IF, 0, false, T, initial);
        for (size_t j = 0; j < classes; j++) assert_true(got.scores[i * classes + j] == (float)r.scores[j]);
        naive_free(&r);
      }
      free_answers(&got);
      free_answers(&asked);
    }
    snn_session_free(s);
    snn_calibration_free(again);
    snn_calibration_free(c);
    free(initial);
    snn_network_free(net);
    snn_network_free(b.net);
  }
  assert_int_equal(rmdir(folder), 0);
}

/* Squared error of the rates of a layer against its float activations. */
static double error_of(const snn_network *net, const float *images, uint32_t layer, const snn_calibration *c) {
  const size_t pixels = snn_shape_size(net->nodes[0].shape);
  snn_potentials *initial = calloc(net->n_nodes, sizeof *initial);
  double error = 0;
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    initial[i].values = snn_calibration_potentials(c, 0, i, &initial[i].n);
    initial[i].shift = snn_calibration_layer_shifts(c, 0, i);
  }
  for (size_t p = 0; p < PICTURES; p++) {
    naive spiking = naive_run(net, images + p * pixels, SNN_NEURON_IF, 0, false, T, initial);
    naive real = naive_float(net, images + p * pixels);
    const snn_neurons *neurons = &net->nodes[layer].neurons;
    for (size_t k = 0; k < snn_shape_size(net->nodes[layer].shape); k++) {
      double amplitude = per_channel(neurons->amplitude, neurons->n, k, net->nodes[layer].shape.c);
      double d = real.value[layer][k] - spiking.sent[layer][k] * amplitude / T;
      error += d * d;
    }
    naive_free(&spiking);
    naive_free(&real);
  }
  free(initial);
  return error;
}

/* Of each layer, those before it as found, the choice that errs less. */
static void test_fitted(void **state) {
  (void)state;
  int chosen[2] = {0};
  for (unsigned number = 0; number < 12; number++) {
    builder b = dyadic_network(number, 1);
    float *images = dyadic_images(&b, PICTURES);
    snn_calibrate_options opt = {.method = SNN_INIT_MATCHED,
                                 .timesteps = steps,
                                 .n_timesteps = 1,
                                 .granularity = SNN_GRAIN_CHANNEL,
                                 .rounds = 1};
    snn_calibration *made[3];
    for (int shift = 0; shift < 3; shift++) {
      opt.shift = (snn_shift)shift;
      made[shift] = calibrate(b.net, images, PICTURES, &opt);
    }
    uint32_t first = 0;
    while (b.net->nodes[first].kind != SNN_LAYER_NEURON) first++;
    double none = error_of(b.net, images, first, made[SNN_SHIFT_NONE]), all = error_of(b.net, images, first, made[1]);
    bool shifts = snn_calibration_layer_shifts(made[SNN_SHIFT_FIT], 0, first);
    if (fabs(none - all) > 1e-6 * none) assert_int_equal(shifts, all < none);
    chosen[shifts]++;
    for (int shift = 0; shift < 3; shift++) snn_calibration_free(made[shift]);
    snn_network_free(b.net);
  }
  assert_true(chosen[0] > 0 && chosen[1] > 0);
}

static void test_other_methods(void **state) {
  (void)state;
  builder b = one_neuron(1);
  snn_calibration *c = NULL;
  snn_error err = {0};
  snn_calibrate_options opt = {.method = SNN_INIT_DATA, .timesteps = steps, .n_timesteps = 1, .shift = SNN_SHIFT_ALL};
  assert_int_equal(snn_calibrate(b.net, &(float){1}, 1, &opt, &c, &err), SNN_ERR_ARGUMENT);
  assert_string_equal(err.where, "shift");
  opt.shift = SNN_SHIFT_NONE;
  c = calibrate(b.net, &(float){1}, 1, &opt);
  assert_false(snn_calibration_shifts(c, 0));
  snn_calibration_free(c);
  snn_network_free(b.net);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_matched_by_hand), cmocka_unit_test(test_runs_shift),
                                     cmocka_unit_test(test_fitted), cmocka_unit_test(test_other_methods)};
  return cmocka_run_group_tests_name("tables with a shift", tests, NULL, NULL);
}
