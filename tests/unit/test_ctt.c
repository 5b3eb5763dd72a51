/* Channel-wise threshold training (Yan, Zhou & Wong, Algorithm 2) on numbers that were worked out by hand, and what it
 * promises on random networks: counts of `if` nearer to asg's in every layer, the same thresholds for any thread count.
 */
#include "build.h"
#include "calibrate/observe.h"
#include "convert/ctt.h"
#include "patience.h"
#include "pictures.h"
#include "run.h"

static void test_step_by_hand(void **state) {
  (void)state;
  assert_true(snn_ctt_step(1, 1, 1, 2) == 0.75f); /* 1 - 1/4 * (2 - 1): too few spikes, a lower threshold */
  assert_true(snn_ctt_step(1, 1, 3, 2) == 1.25f); /* too many */
  assert_true(snn_ctt_step(0.5f, 0.5f, 2, 2) == 0.5f);
  assert_true(snn_ctt_step(0.5f, 1, 7, 0) == 0.5f);  /* asg is silent: nothing to divide by, nothing changes */
  assert_true(snn_ctt_step(0.3f, 1, 0, 9) == 0.25f); /* a quarter of the start at least */
  assert_true(snn_ctt_step(3, 1, 90, 9) == 4);       /* four times at most */
}

/* A 1x1 convolution of one or more channels with these weights [in][out] and biases. */
static uint32_t add_numbers(builder *b, uint32_t source, uint32_t channels, const float *weights, const float *bias) {
  uint32_t in = b->net->nodes[source].shape.c;
  float *w = random_floats(b, (size_t)in * channels, 0, 1), *c = random_floats(b, channels, 0, 1);
  memcpy(w, weights, in * channels * sizeof *w);
  memcpy(c, bias, channels * sizeof *c);
  snn_node n = {.kind = SNN_LAYER_CONV, .shape = {channels, 0, 0}};
  n.conv = (snn_conv){.window = square(1, 1, 0), .groups = 1, .weights = w, .bias = c};
  return append(b, n, 1, &source);
}

/* Layer 1 gets 3/8 at each of T = 5 steps: v = 3/8, 6/8, 9/8 -> fires, 4/8, 7/8; one spike at t = 3, and asg's
 * floor(15/8) is one too, so its threshold stays 1.
 * Layer 2, channel 0, gets 2 s - 1/4: -1/4 -1/4 7/4 -1/4 -1/4, in all 3/4. With theta 1/2 `if` has v = -1/4, -1/2,
 * 5/4 -> 3/4, 1/2 -> 0, -1/4: two spikes, where asg has floor(3/4 / 1/2) = 1. So theta = 1/2 - 1/4 (1 - 2) = 3/4, with
 * which v = 5/4 -> 1/2, 1/4, 0 gives the one.
 * Channel 1 gets s: 0 0 1 0 0, with theta 1/2 v = 1 -> 1/2, at the next step 1/2 -> 0: two spikes, as asg has. */
static void test_by_hand(void **state) {
  (void)state;
  builder b = begin(1, 1, SIDE, SIDE);
  uint32_t first = add_numbers(&b, 0, 1, (const float[]){0}, (const float[]){0.375f});
  first = add_neurons(&b, first, 1, 1, 1);
  uint32_t second = add_numbers(&b, first, 2, (const float[]){2, 1}, (const float[]){-0.25f, 0});
  second = add_neurons(&b, second, 1, 0.5f, 0.5f);
  add_dense(&b, second, 3);
  finish(&b);
  b.net->recommended.timesteps = 5;
  b.net->recommended.init = SNN_INIT_ZERO;
  progress_log log = {.stop_at = SIZE_MAX};
  snn_convert_options opt = {
      .data = pictures, .data_limit = 3, .threads = 2, .progress = note_progress, .progress_context = &log};
  snn_error err = {0};
  assert_int_equal(snn_ctt_train(b.net, &opt, &err), SNN_OK);
  const snn_neurons *one = &b.net->nodes[first].neurons, *two = &b.net->nodes[second].neurons;
  assert_true(one->n == 1 && one->theta[0] == 1 && one->fire[0] == 1 && one->amplitude[0] == 1);
  assert_true(two->n == 2 && two->theta[0] == 0.75f && two->fire[0] == 0.75f);
  assert_true(two->theta[1] == 0.5f && two->fire[1] == 0.5f);
  assert_true(two->amplitude[0] == 0.5f && two->amplitude[1] == 0.5f); /* what a spike is worth stays */
  assert_true(log.calls > 2 && log.last_done == log.total);
  log = (progress_log){.stop_at = 2};
  assert_int_equal(snn_ctt_train(b.net, &opt, &err), SNN_ERR_CANCELLED);
  snn_network_free(b.net);
}

/* Sum over layers and channels of |spikes asg would have fired - spikes of `if`| on the pictures. */
static double shortfall(const snn_network *net, const float *images, size_t n, uint32_t timesteps) {
  static const float start = 0.5f;
  snn_observer_options o = {
      .neuron = snn_neuron_model_get(SNN_NEURON_IF), .tau = 1, .timesteps = timesteps, .threads = 2};
  snn_observer *observer = NULL;
  snn_error err = {0};
  double sum = 0;
  assert_int_equal(snn_observer_create(net, images, n, &o, &observer, &err), SNN_OK);
  for (uint32_t s = 0; s < snn_observer_plan(observer)->n_stages; s++) {
    const snn_stage *stage = &snn_observer_plan(observer)->stages[s];
    assert_int_equal(snn_observer_prepare(observer, s, &err), SNN_OK);
    if (stage->sink != SNN_SINK_SPIKES) continue;
    snn_observed *seen = calloc(snn_shape_size(stage->shape), sizeof *seen);
    assert_non_null(seen);
    snn_observer_run(observer, (snn_potentials){.values = &start, .n = 1}, SNN_OBSERVE_SHORTFALL, false, seen);
    for (uint32_t c = 0; c < stage->shape.c; c++) {
      double channel = 0;
      for (size_t k = c; k < snn_shape_size(stage->shape); k += stage->shape.c) channel += seen[k].sum;
      sum += fabs(channel);
    }
    free(seen);
  }
  snn_observer_free(observer);
  return sum;
}

static void test_counts_come_nearer(void **state) {
  (void)state;
  for (uint64_t number = 0; number < 4; number++) {
    double before = 0, after = 0;
    float thetas[2][8];
    for (uint32_t threads = 1; threads <= 2; threads++) {
      builder b = begin(number + 40, 1, SIDE, SIDE);
      uint32_t at = add_neurons(&b, add_conv(&b, 0, 5, square(3, 1, 1), 1), 5, 0.4f, 1);
      at = add_neurons(&b, add_conv(&b, at, 7, square(3, 1, 1), 1), 1, 0.6f, 0.6f);
      at = add_neurons(&b, add_conv(&b, at, 8, square(3, 1, 1), 1), 8, 0.4f, 1);
      add_dense(&b, at, 3);
      finish(&b);
      b.net->recommended.timesteps = 6;
      float images[PICTURES * PIXELS];
      for (size_t i = 0; i < PICTURES; i++)
        snn_image_normalise(pixels[i], (snn_shape){1, SIDE, SIDE}, &b.net->preprocess, images + i * PIXELS);
      before = shortfall(b.net, images, PICTURES, 6);
      snn_convert_options opt = {.data = pictures, .threads = threads};
      snn_error err = {0};
      assert_int_equal(snn_ctt_train(b.net, &opt, &err), SNN_OK);
      after = shortfall(b.net, images, PICTURES, 6);
      memcpy(thetas[threads - 1], b.net->nodes[at].neurons.theta, sizeof thetas[0]);
      snn_network_free(b.net);
    }
    assert_true(before > 10 && after < before / 2);
    assert_memory_equal(thetas[0], thetas[1], sizeof thetas[0]);
  }
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_step_by_hand), cmocka_unit_test(test_by_hand),
                                     cmocka_unit_test(test_counts_come_nearer)};
  return cmocka_run_group_tests_name("threshold training", tests, make_pictures, remove_pictures);
}
