/* Value-range networks (Yan, Zhou & Wong): with theta = levels * step, asg at T = levels gives every neuron the count
 * that the quantised float network's activation is, neuron for neuron and picture for picture: zero conversion error.
 * Also the threshold rule for such networks, constant maps, and both through a model file. */
#include <unistd.h>

#include "calibrate/observe.h"
#include "convert/thresholds.h"
#include "patience.h"
#include "run.h"
#include "sim/reference.h"

enum { PICTURES = 4 };

/* Every neuron layer of b quantised to `levels` steps of its threshold's size a level. */
static void quantise(builder *b, uint32_t levels, float rounding) {
  for (uint32_t i = 0; i < b->net->n_nodes; i++) {
    snn_neurons *p = &b->net->nodes[i].neurons;
    if (b->net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    p->n = 1;
    p->clip = p->theta[0];
    p->levels = levels;
    p->rounding = rounding;
  }
}

/* A constant map beside a convolution, as an absorbed offset is. */
static uint32_t add_constant(builder *b, uint32_t beside) {
  snn_node constant = {.kind = SNN_LAYER_CONSTANT, .shape = b->net->nodes[beside].shape};
  constant.values = random_floats(b, snn_shape_size(constant.shape), -0.5f, 0.5f);
  uint32_t map = append(b, constant, 0, NULL);
  return add_sum(b, beside, map);
}

static builder quantised_network(uint64_t number, uint32_t levels, float rounding, bool dyadic) {
  builder b = begin(number, 1 + (uint32_t)(number % 3), 7, 6);
  uint32_t channels = number % 3 ? 6 : 67;
  uint32_t first = add_neurons(&b, add_conv(&b, 0, channels, square(3, 1, 1), 1), 1, 0.5f, 2);
  uint32_t at = add_constant(&b, add_conv(&b, first, channels, square(3, 1, 1), 1));
  if (number % 2) at = add_sum(&b, at, first);
  at = add_neurons(&b, at, 1, 0.5f, 2);
  at = add_pool(&b, number % 2 ? SNN_LAYER_MAXPOOL : SNN_LAYER_AVGPOOL, at, square(2, 2, 0));
  at = add_neurons(&b, add_conv(&b, at, 5, square(2, 1, 0), 1), 1, 0.5f, 2);
  add_dense(&b, at, 4);
  if (dyadic) {
    make_dyadic(&b);
    for (uint32_t i = 0; i < b.net->n_nodes; i++) {
      snn_node *n = &b.net->nodes[i];
      if (n->kind == SNN_LAYER_CONSTANT) round_to((float *)(uintptr_t)n->values, snn_shape_size(n->shape), 0.0625f);
      if (n->kind == SNN_LAYER_NEURON) *(float *)(uintptr_t)n->neurons.theta *= (float)levels; /* a dyadic step */
    }
  }
  quantise(&b, levels, rounding);
  finish(&b);
  return b;
}

/* Counts of asg at T = levels against the float network's activations, all neurons of all layers. */
static void assert_counts(builder *b, const float *images, uint32_t levels, float rounding) {
  snn_error err = {0};
  snn_reference r;
  snn_observer *o = NULL;
  const size_t pixels = snn_shape_size(b->net->nodes[0].shape);
  const float start = rounding;
  assert_int_equal(snn_reference_create(b->net, &r, &err), SNN_OK);
  float *values = calloc(r.elements, sizeof *values);
  assert_non_null(values);
  for (size_t picture = 0; picture < PICTURES; picture++) {
    const float *image = images + picture * pixels;
    snn_observer_options opt = {
        .neuron = snn_neuron_model_get(SNN_NEURON_ASG), .timesteps = levels, .threads = 1, .tau = 0.9f};
    assert_int_equal(snn_observer_create(b->net, image, 1, &opt, &o, &err), SNN_OK);
    snn_reference_run(&r, snn_kernels_get(), (snn_team){.size = 1}, image, values);
    uint64_t fired = 0, below = 0;
    for (uint32_t s = 0; s < snn_observer_plan(o)->n_stages; s++) {
      const snn_stage *stage = &snn_observer_plan(o)->stages[s];
      assert_int_equal(snn_observer_prepare(o, s, &err), SNN_OK);
      if (stage->sink != SNN_SINK_SPIKES) continue;
      const size_t n = snn_shape_size(stage->shape);
      const snn_neurons *p = &b->net->nodes[stage->node].neurons;
      const float step = p->clip / (float)levels;
      snn_observed *seen = calloc(n, sizeof *seen);
      assert_non_null(seen);
      snn_observer_run(o, (snn_potentials){.values = &start, .n = 1}, SNN_OBSERVE_SPIKES, false, seen);
      for (size_t k = 0; k < n; k++) {
        float activation = values[r.offsets[stage->node] + k];
        if (roundf(activation / step) != (float)seen[k].sum)
          fail_msg("layer %u, neuron %zu: %g spikes for an activation of %g steps", stage->node, k, seen[k].sum,
                   (double)(activation / step));
        fired += seen[k].sum > 0;
        below += seen[k].sum < (double)levels;
      }
      free(seen);
    }
    assert_true(fired > 20 && below > 20); /* it was no trivial network */
    snn_observer_free(o);
  }
  free(values);
  snn_reference_free(&r);
}

static void test_zero_conversion_error(void **state) {
  (void)state;
  static const uint32_t powers[] = {1, 2, 8, 16}, any[] = {3, 5, 10};
  for (uint64_t number = 0; number < 12; number++) {
    float rounding = number % 4 < 2 ? 0.0f : 0.5f;
    builder b = quantised_network(number, powers[number % 4], rounding, false); /* weights of any value */
    assert_counts(&b, random_images(&b, PICTURES), powers[number % 4], rounding);
    snn_network_free(b.net);
    b = quantised_network(number, any[number % 3], rounding, true); /* any T: where no sum rounds */
    assert_counts(&b, dyadic_images(&b, PICTURES), any[number % 3], rounding);
    snn_network_free(b.net);
  }
}

/* x = 0.6 and 0.65 at Tq = 4, T = 4: floor gives 2 of 4 levels of 1/4; rounding gives 2 and 3. */
static void test_by_hand(void **state) {
  (void)state;
  static const float images[] = {0.6f, 0.65f, -1.0f, 7.0f};
  static const double floors[] = {2, 2, 0, 4}, nearest[] = {2, 3, 0, 4};
  for (int rounds = 0; rounds < 2; rounds++) {
    builder b = one_neuron(1);
    quantise(&b, 4, rounds ? 0.5f : 0);
    snn_session *s = session(b.net, 1, 0);
    snn_error err = {0};
    float reference[4];
    snn_run_options run_options = {
        .timesteps = 4, .neuron = SNN_NEURON_ASG, .init = rounds ? SNN_INIT_HALF : SNN_INIT_ZERO};
    assert_int_equal(snn_session_reference(s, images, 4, NULL, reference, &err), SNN_OK);
    answers a = run(b.net, s, images, 4, &run_options);
    for (int i = 0; i < 4; i++) { /* score = 2 * spikes / 4 + 0.25 */
      double spikes = rounds ? nearest[i] : floors[i];
      assert_true(reference[i] == (float)(2 * spikes / 4 + 0.25));
      assert_true(a.scores[i] == reference[i]);
    }
    free_answers(&a);
    snn_session_free(s);
    snn_network_free(b.net);
  }
}

/* Constants act at every step, in every kind of plan: scores against the naive mean of the map. */
static void test_constant_map(void **state) {
  (void)state;
  builder b = begin(3, 1, 2, 2);
  const float map[] = {0.5f, 0.25f, 1.0f, 0.75f};
  float *values = random_floats(&b, 4, 0, 1);
  memcpy(values, map, sizeof map);
  uint32_t at = append(&b, (snn_node){.kind = SNN_LAYER_CONSTANT, .shape = {1, 2, 2}, .values = values}, 0, NULL);
  at = add_neurons(&b, add_sum(&b, 0, at), 1, 1, 1);
  add_pool(&b, SNN_LAYER_AVGPOOL, at, square(2, 1, 0));
  finish(&b);
  snn_session *s = session(b.net, 2, 3);
  const float image[] = {0, 0, 0, 0};
  static const snn_neuron neurons[] = {SNN_NEURON_IF, SNN_NEURON_IF_SIGNED, SNN_NEURON_ASG};
  for (int k = 0; k < 6; k++) { /* a black picture, as it is and encoded */
    snn_run_options options = {.timesteps = 8, .neuron = neurons[k / 2], .init = SNN_INIT_ZERO};
    if (k % 2) options.encoding = SNN_ENCODING_REGULAR;
    answers a = run(b.net, s, image, 1, &options);
    assert_true(a.scores[0] == (4 + 2 + 8 + 6) / 8.0f / 4);
    assert_int_equal(a.counts[at], 20);
    assert_int_equal(a.counts[a.n_counts + at], 0); /* a constant current costs no accumulate */
    free_answers(&a);
  }
  snn_session_free(s);
  snn_network_free(b.net);
}

/* Tq = 10, Tmax = 8: theta = T / Tq = 0.8. A layer with fewer levels gets the step times the most levels. */
static void test_clip_rule(void **state) {
  (void)state;
  builder b = one_neuron(1);
  snn_neurons *p = &b.net->nodes[2].neurons;
  snn_convert_options opt = {.threshold = SNN_THRESHOLD_CLIP, .scope = SNN_PER_LAYER};
  snn_error err = {0};
  p->clip = 0.8f;
  p->levels = 8;
  p->n = 0;
  assert_int_equal(snn_quantised_levels(b.net), 8);
  assert_int_equal(snn_thresholds_set(b.net, NULL, &opt, &err), SNN_OK);
  assert_true(p->theta[0] == 0.8f && p->fire[0] == 0.8f && p->amplitude[0] == 0.8f);
  snn_network_free(b.net);

  b = begin(1, 1, 2, 2);
  uint32_t first = add_neurons(&b, 0, 0, 0, 0), second = add_neurons(&b, add_sum(&b, first, 0), 0, 0, 0);
  add_dense(&b, second, 2);
  b.net->nodes[first].neurons.clip = 0.75f;
  b.net->nodes[first].neurons.levels = 3;
  assert_int_equal(snn_quantised_levels(b.net), 0); /* the other is continuous */
  b.net->nodes[second].neurons.clip = 2;
  b.net->nodes[second].neurons.levels = 4;
  assert_int_equal(snn_quantised_levels(b.net), 4);
  assert_int_equal(snn_thresholds_set(b.net, NULL, &opt, &err), SNN_OK);
  assert_true(b.net->nodes[first].neurons.theta[0] == 1.0f && b.net->nodes[second].neurons.theta[0] == 2.0f);
  snn_network_free(b.net);
}

static void test_model_file(void **state) {
  (void)state;
  builder b = quantised_network(5, 8, 0.5f, false);
  char path[] = "/tmp/test-quantised-XXXXXX";
  snn_error err = {0};
  snn_network *loaded = NULL;
  b.net->recommended = (snn_recommended){.timesteps = 8, .init = SNN_INIT_HALF, .neuron = SNN_NEURON_LIF, .tau = 0.75f};
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  assert_int_equal(snn_network_save(b.net, path, SNN_WEIGHTS_F32, &err), SNN_OK);
  if (snn_network_load(path, &loaded, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  remove(path);
  snn_run_options run_options = snn_run_defaults(loaded);
  assert_true(run_options.neuron == SNN_NEURON_LIF && run_options.tau == 0.75f && run_options.timesteps == 8);
  size_t constants = 0, quantised = 0;
  for (uint32_t i = 0; i < loaded->n_nodes; i++) {
    const snn_node *n = &loaded->nodes[i], *was = &b.net->nodes[i];
    assert_int_equal(n->kind, was->kind);
    if (n->kind == SNN_LAYER_CONSTANT) {
      assert_memory_equal(n->values, was->values, snn_shape_size(n->shape) * sizeof(float));
      constants++;
    } else if (n->kind == SNN_LAYER_NEURON) {
      assert_int_equal(n->neurons.levels, 8);
      assert_true(n->neurons.rounding == 0.5f && n->neurons.clip == was->neurons.clip);
      quantised++;
    }
  }
  assert_true(constants == 1 && quantised == 3);
  snn_network_free(loaded);
  snn_network_free(b.net);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_zero_conversion_error), cmocka_unit_test(test_by_hand),
                                     cmocka_unit_test(test_constant_map), cmocka_unit_test(test_clip_rule),
                                     cmocka_unit_test(test_model_file)};
  return cmocka_run_group_tests_name("quantised networks", tests, NULL, NULL);
}
