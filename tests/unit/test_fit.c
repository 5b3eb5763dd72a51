/* Threshold factors found by calibration, against every rung of the ladder tried by hand on naive simulations; which
 * layers share one. */
#include "calibrate/meet.h"
#include "naive.h"
#include "patience.h"
#include "run.h"

enum { PICTURES = 6, RUNGS = 23, OF_ONE = 13 };
static const float ladder[RUNGS] = {0.3f,  0.33f, 0.36f, 0.4f, 0.44f, 0.48f, 0.53f, 0.58f, 0.63f, 0.69f, 0.76f, 0.83f,
                                    0.91f, 1,     1.1f,  1.2f, 1.32f, 1.45f, 1.6f,  1.75f, 1.9f,  2.1f,  2.3f};

static snn_calibration *calibrate(const builder *b, const float *images, const snn_calibrate_options *opt) {
  snn_calibration *c = NULL;
  snn_error err = {0};
  if (snn_calibrate(b->net, images, PICTURES, opt, &c, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return c;
}

/* Image -> convolution -> neurons -> convolution -> neurons -> scores. */
static builder chain(uint64_t seed) {
  builder b = begin(seed, 2, 5, 5);
  uint32_t at = add_neurons(&b, add_conv(&b, 0, 4, square(3, 1, 1), 1), 4, 0.6f, 1.2f);
  at = add_neurons(&b, add_conv(&b, at, 5, square(3, 1, 0), 1), 1, 0.8f, 0.8f);
  add_dense(&b, at, 3);
  finish(&b);
  return b;
}

/* The first neuron layer's relative error with its thresholds times `factor`, matched once: the definition. */
static double error_at(builder *b, uint32_t layer, float factor, const float *images, uint32_t T) {
  snn_neurons *x = &b->net->nodes[layer].neurons;
  const float *own = x->theta;
  float *theta = snn_arena_alloc(&b->net->arena, x->n, sizeof *theta);
  for (uint32_t i = 0; i < x->n; i++) theta[i] = own[i] * factor;
  x->theta = x->fire = x->amplitude = theta;
  snn_calibrate_options opt = {
      .method = SNN_INIT_MATCHED, .granularity = SNN_GRAIN_CHANNEL, .rounds = 1, .timesteps = &T, .n_timesteps = 1};
  snn_calibration *c = calibrate(b, images, &opt);
  snn_potentials *initial = calloc(b->net->n_nodes, sizeof *initial);
  for (uint32_t i = 0; i < b->net->n_nodes; i++) initial[i].values = snn_calibration_potentials(c, 0, i, &initial[i].n);
  double error = 0, energy = 0;
  for (size_t p = 0; p < PICTURES; p++) {
    const float *image = images + p * snn_shape_size(b->net->nodes[0].shape);
    naive spiking = naive_run(b->net, image, SNN_NEURON_IF, 0, false, T, initial), real = naive_float(b->net, image);
    for (size_t k = 0; k < naive_size(&real, layer); k++) {
      double a = real.value[layer][k];
      double d = a - spiking.sent[layer][k] * per_channel(theta, x->n, k, b->net->nodes[layer].shape.c) / T;
      error += d * d;
      energy += a * a;
    }
    naive_free(&spiking);
    naive_free(&real);
  }
  x->theta = x->fire = x->amplitude = own;
  free(initial);
  snn_calibration_free(c);
  return error / energy;
}

/* The first layer's factor is the one that going downhill from 1 ends at, and few steps want lower ones than many. */
static void test_the_first_layer(void **state) {
  (void)state;
  static const uint32_t steps[] = {2, 5, 32};
  double sums[3] = {0};
  for (uint64_t seed = 1; seed <= 5; seed++) {
    builder b = chain(seed);
    float *images = random_images(&b, PICTURES);
    for (size_t t = 0; t < 3; t++) {
      snn_calibrate_options opt = {.method = SNN_INIT_MATCHED,
                                   .granularity = SNN_GRAIN_CHANNEL,
                                   .fit_thresholds = true,
                                   .timesteps = &steps[t],
                                   .n_timesteps = 1};
      snn_calibration *c = calibrate(&b, images, &opt);
      const float *factors = snn_calibration_factors(c, 0);
      assert_non_null(factors);
      double errors[RUNGS];
      for (int r = 0; r < RUNGS; r++) errors[r] = error_at(&b, 2, ladder[r], images, steps[t]);
      int at = OF_ONE;
      while (at > 0 && errors[at - 1] < errors[at]) at--;
      while (at >= OF_ONE && at + 1 < RUNGS && errors[at + 1] < errors[at]) at++;
      if (!(factors[2] == ladder[at])) fail_msg("seed %d, T %u: %g", (int)seed, steps[t], (double)factors[2]);
      sums[t] += (double)(factors[2] + factors[4]);
      assert_true(factors[0] == 1 && factors[1] == 1 && factors[5] == 1); /* no neurons */
      snn_calibration_free(c);
    }
    snn_network_free(b.net);
  }
  assert_true(sums[0] < sums[2]);
}

/* Branches that meet share a factor; others have their own; the bytes do not depend on threads. */
static void test_branches(void **state) {
  (void)state;
  static const uint32_t steps[] = {3, 8};
  builder b = begin(9, 2, 6, 6);
  uint32_t first = add_neurons(&b, add_conv(&b, 0, 5, square(3, 1, 1), 1), 5, 0.5f, 1);
  uint32_t inner = add_neurons(&b, add_conv(&b, first, 5, square(3, 1, 1), 1), 1, 0.9f, 0.9f);
  uint32_t sum = add_neurons(&b, add_sum(&b, add_conv(&b, inner, 5, square(1, 1, 0), 1), first), 1, 1, 1);
  uint32_t last = add_neurons(&b, add_conv(&b, sum, 4, square(3, 1, 0), 1), 4, 0.5f, 1);
  add_dense(&b, add_pool(&b, SNN_LAYER_AVGPOOL, last, square(2, 2, 0)), 3);
  finish(&b);
  bool meets[16];
  assert_int_equal(snn_layers_that_meet(b.net, meets, NULL), SNN_OK);
  for (uint32_t i = 0; i < b.net->n_nodes; i++) assert_true(meets[i] == (i == first || i == inner));

  float *images = random_images(&b, PICTURES);
  snn_calibration *made[2];
  for (uint32_t threads = 1; threads <= 2; threads++) {
    snn_calibrate_options opt = {.method = SNN_INIT_MATCHED,
                                 .granularity = SNN_GRAIN_CHANNEL,
                                 .fit_thresholds = true,
                                 .timesteps = steps,
                                 .n_timesteps = 2,
                                 .threads = 2 * threads - 1};
    made[threads - 1] = calibrate(&b, images, &opt);
  }
  for (size_t t = 0; t < 2; t++) {
    const float *factors = snn_calibration_factors(made[0], t);
    assert_true(factors[first] == factors[inner] && factors[first] > 0 && factors[last] > 0);
    assert_memory_equal(factors, snn_calibration_factors(made[1], t), b.net->n_nodes * sizeof *factors);
    for (uint32_t i = 0; i < b.net->n_nodes; i++) {
      size_t n[2];
      const float *x = snn_calibration_potentials(made[0], t, i, &n[0]),
                  *y = snn_calibration_potentials(made[1], t, i, &n[1]);
      if (x) assert_memory_equal(x, y, n[0] * sizeof *x);
    }
  }
  snn_calibration_free(made[0]);
  snn_calibration_free(made[1]);
  snn_network_free(b.net);
}

/* Concatenations join too, the image joins nothing, and a chain shares nothing. */
static void test_who_meets(void **state) {
  (void)state;
  bool meets[16];
  builder b = chain(1);
  assert_int_equal(snn_layers_that_meet(b.net, meets, NULL), SNN_OK);
  for (uint32_t i = 0; i < b.net->n_nodes; i++) assert_false(meets[i]);
  snn_network_free(b.net);

  b = begin(3, 2, 4, 4);
  uint32_t x = add_neurons(&b, add_conv(&b, 0, 2, square(3, 1, 1), 1), 1, 1, 1);
  uint32_t with_image = add_neurons(&b, add_sum(&b, x, 0), 1, 1, 1); /* the image is no spikes */
  uint32_t y = add_neurons(&b, add_conv(&b, with_image, 3, square(3, 1, 1), 1), 1, 1, 1);
  const uint32_t both[] = {with_image, y};
  uint32_t joined = append(&b, (snn_node){.kind = SNN_LAYER_CONCAT}, 2, both);
  uint32_t z = add_neurons(&b, add_conv(&b, joined, 2, square(1, 1, 0), 1), 1, 1, 1);
  add_dense(&b, z, 3);
  finish(&b);
  assert_int_equal(snn_layers_that_meet(b.net, meets, NULL), SNN_OK);
  for (uint32_t i = 0; i < b.net->n_nodes; i++) assert_true(meets[i] == (i == with_image || i == y));

  snn_calibration *c = NULL;
  snn_error err = {0};
  static const uint32_t steps[] = {4};
  float *images = random_images(&b, PICTURES);
  snn_calibrate_options opt = {.method = SNN_INIT_DATA, .fit_thresholds = true, .timesteps = steps, .n_timesteps = 1};
  assert_int_equal(snn_calibrate(b.net, images, PICTURES, &opt, &c, &err), SNN_ERR_ARGUMENT);
  assert_string_equal(err.where, "fit_thresholds");
  snn_network_free(b.net);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_first_layer), cmocka_unit_test(test_branches),
                                     cmocka_unit_test(test_who_meets)};
  return cmocka_run_group_tests_name("fitted thresholds", tests, NULL, NULL);
}
