/* The int8 simulation. The oracle is the float32 one: on networks whose weights, thresholds and biases are whole
 * numbers of the units that int8 chooses, neither rounds, so scores, spikes and operations must be the same to the last
 * bit, for every neuron. On other networks the same bytes must come out for any threads, chunks and batches. */
#include "whole.h"

#include "sim/int8.h"

static void check_whole(builder *b, uint64_t number, snn_neuron neuron, uint32_t shift, snn_init init) {
  float *images = dyadic_images(b, 2);
  snn_session *s = session(b->net, 1, 1 + draw(b, 9));
  snn_run_options o = options_for(neuron, SNN_PRECISION_FLOAT32);
  const uint32_t checkpoints[] = {3, 8};
  o.shift = shift;
  o.init = init;
  if (snn_neuron_has_steps(neuron)) {
    o.checkpoints = checkpoints;
    o.n_checkpoints = 2;
  }
  answers want = run(b->net, s, images, 2, &o);
  o.precision = SNN_PRECISION_INT8;
  answers got = run(b->net, s, images, 2, &o);
  for (size_t i = 0; i < want.n_scores; i++)
    if (want.scores[i] != got.scores[i])
      fail_msg("network %d, %s, shift %u: score %zu is %.9g, not %.9g", (int)number, snn_neuron_name(neuron), shift, i,
               (double)got.scores[i], (double)want.scores[i]);
  for (size_t i = 0; i < 3 * want.n_counts; i++)
    if (want.counts[i] != got.counts[i])
      fail_msg("network %d, %s: counter %zu of layer %zu is %llu, not %llu", (int)number, snn_neuron_name(neuron),
               i / want.n_counts, i % snn_network_layers(b->net), (unsigned long long)got.counts[i],
               (unsigned long long)want.counts[i]);
  free_answers(&want);
  free_answers(&got);
  snn_session_free(s);
}

static void test_whole_numbers_are_exact(void **state) {
  (void)state;
  for (uint64_t number = 0; number < cases(60); number++) {
    builder b = whole_network(number);
    snn_error err = {0};
    if (snn_int8_takes(b.net, &(snn_run_options){0}, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
    snn_neuron neuron = (snn_neuron)(number % SNN_NEURON_COUNT);
    check_whole(&b, number, SNN_NEURON_IF, number % 2, number % 3 ? SNN_INIT_HALF : SNN_INIT_ZERO);
    if (neuron != SNN_NEURON_IF) check_whole(&b, number, neuron, number % 2, SNN_INIT_HALF);
    snn_network_free(b.net);
  }
}

/* Rows and channels beyond what 16 bits number: receptive fields are then listed one by one. */
static void test_long_rows(void **state) {
  (void)state;
  for (uint32_t narrow = 0; narrow < 2; narrow++) {
    builder b = begin(77, 1, 2, 700);
    uint32_t at = add_neurons(&b, add_conv(&b, 0, 100, square(1, 1, 0), 1), 1, 1, 2);
    const snn_window w = {2, 3, 1, 2, 1, 1, 0, 1, 1, 1};
    if (narrow) at = add_neurons(&b, add_conv(&b, at, 8, w, 1), 1, 0.5f, 2);
    if (!narrow) at = add_neurons(&b, add_conv(&b, at, 70, square(1, 1, 0), 1), 1, 0.5f, 2);
    add_dense(&b, at, 3); /* of 98,000 inputs where the layer before is wide */
    finish(&b);
    make_all_whole(&b);
    check_whole(&b, 77, SNN_NEURON_IF, 0, SNN_INIT_HALF);
    check_whole(&b, 77, SNN_NEURON_IF_SIGNED, 0, SNN_INIT_HALF);
    snn_network_free(b.net);
  }
}

/* Networks on which int8 does round: the same bytes for any team, chunk, batch and set of checkpoints. */
static void test_same_bytes(void **state) {
  (void)state;
  uint32_t taken = 0;
  for (uint64_t number = 0; number < cases(30); number++) {
    builder b = number % 2 ? small_network(number, 0.7f) : whole_network(number);
    float *images = random_images(&b, 7);
    snn_run_options o = options_for((snn_neuron)(number % SNN_NEURON_COUNT), SNN_PRECISION_INT8);
    const uint32_t checkpoints[] = {2, 5, 13};
    o.timesteps = 13;
    o.tau = 0.7f;
    if (number % 2 == 0) /* no longer whole */
      for (uint32_t i = 0; i < b.net->n_nodes; i++)
        if (b.net->nodes[i].kind == SNN_LAYER_NEURON) *(float *)(uintptr_t)b.net->nodes[i].neurons.theta *= 1.1f;
    if (snn_int8_takes(b.net, &o, NULL) == SNN_OK) {
      taken++;
      snn_session *one = session(b.net, 1, 13), *many = session(b.net, 2 + (uint32_t)(number % 2), 1 + draw(&b, 6));
      if (snn_neuron_has_steps(o.neuron)) {
        o.checkpoints = checkpoints;
        o.n_checkpoints = 3;
      }
      for (size_t batch = 1; batch <= 7; batch += batch < 3 ? 1 : 4) {
        answers want = run(b.net, one, images, batch, &o), got = run(b.net, many, images, batch, &o),
                again = run(b.net, many, images, batch, &o);
        assert_same(&want, &got);
        assert_same(&got, &again);
        free_answers(&want);
        free_answers(&got);
        free_answers(&again);
      }
      snn_session_free(one);
      snn_session_free(many);
    }
    snn_network_free(b.net);
  }
  assert_true(taken >= cases(20));
}

/* First spikes and early ends look at single steps. */
static void test_single_steps(void **state) {
  (void)state;
  builder b = whole_network(31);
  float *image = dyadic_images(&b, 1);
  snn_session *s = session(b.net, 2, 5);
  const size_t layers = snn_network_layers(b.net), classes = snn_network_classes(b.net);
  for (uint32_t patience = 0; patience < 3; patience++) {
    float scores[2][128], steps[2][8 * 128] = {{0}};
    uint64_t counts[2][3 * 64];
    snn_first_spikes first[2][64];
    uint32_t used[2];
    assert_true(layers <= 64 && classes <= 128);
    for (int k = 0; k < 2; k++) {
      snn_run_options o = options_for(SNN_NEURON_IF, k ? SNN_PRECISION_INT8 : SNN_PRECISION_FLOAT32);
      snn_run_stats stats = {counts[k], counts[k] + layers, counts[k] + 2 * layers, first[k], &used[k], steps[k]};
      snn_error err = {0};
      o.stop_patience = patience;
      o.stop_margin = 0.05f;
      if (snn_session_run(s, image, 1, &o, scores[k], &stats, &err) != SNN_OK) fail_msg("%s", err.text);
    }
    assert_int_equal(used[0], used[1]);
    assert_memory_equal(scores[0], scores[1], classes * sizeof(float));
    assert_memory_equal(steps[0], steps[1], used[0] * classes * sizeof(float));
    assert_memory_equal(counts[0], counts[1], 3 * layers * sizeof(uint64_t));
    assert_memory_equal(first[0], first[1], layers * sizeof(snn_first_spikes));
  }
  snn_session_free(s);
  snn_network_free(b.net);
}

/* Dense tables that count what is asked of them. */
static struct {
  const snn_dense_kernels *real;
  uint64_t sums, adds;
} seen;

static void seen_sum(const int8_t *weights, uint32_t vectors, const snn_dense_runs *runs, const uint8_t *const *x,
                     uint32_t n, uint32_t shift, int32_t *acc) {
  __atomic_fetch_add(&seen.sums, 1, __ATOMIC_RELAXED);
  seen.real->sum(weights, vectors, runs, x, n, shift, acc);
}

static void seen_spread(const uint64_t *bits, uint32_t words, uint32_t n, bool add, uint8_t *to, size_t stride) {
  __atomic_fetch_add(&seen.adds, add, __ATOMIC_RELAXED);
  seen.real->spread(bits, words, n, add, to, stride);
}

static answers run_by(builder *b, snn_int8_choice choice, unsigned table, uint32_t threads, uint32_t chunk,
                      float input_cost, const float *images, const snn_run_options *o) {
  snn_session *s = session(b->net, threads, chunk);
  snn_int8_sim *sim = snn_session_int8(s);
  seen.real = snn_dense_kernels_available(table);
  snn_dense_kernels counting = *seen.real;
  seen.sums = seen.adds = 0;
  counting.sum = seen_sum;
  counting.spread = seen_spread;
  counting.input_cost = input_cost;
  sim->kernels = snn_int8_kernels_available(table);
  sim->whole.kernels = &counting;
  sim->choice = choice;
  answers a = run(b->net, s, images, 2, o);
  snn_session_free(s);
  return a;
}

/* Sums from events, dense ones, and the choice between them: the same bytes by every table, for any threads and chunks,
 * behind pools too. */
static void test_dense_steps(void **state) {
  (void)state;
  static const snn_neuron neurons[] = {SNN_NEURON_IF, SNN_NEURON_IF_HARD, SNN_NEURON_LIF, SNN_NEURON_IF_SIGNED};
  uint32_t dense = 0, pooled = 0, chosen = 0, mixed = 0;
  for (uint64_t number = 0; number < 12; number++) {
    builder b = number % 4 == 3 ? small_network(number, 0.7f) : whole_network(number);
    float *images = random_images(&b, 2);
    snn_run_options o = options_for(number % 3 == 2 ? neurons[number / 3 % 4] : SNN_NEURON_IF, SNN_PRECISION_INT8);
    o.timesteps = 1 + draw(&b, 15);
    if (snn_int8_takes(b.net, &o, NULL) == SNN_OK) {
      answers want = run_by(&b, SNN_INT8_EVENTS, 0, 1, 8, 1, images, &o);
      assert_true(seen.sums == 0);
      for (unsigned table = 0; snn_int8_kernels_available(table); table++) {
        const uint32_t chunk = 1 + draw(&b, 15);
        answers got = run_by(&b, SNN_INT8_DENSE, table, 1 + draw(&b, 3), chunk, 1, images, &o);
        assert_same(&want, &got);
        free_answers(&got);
        dense += seen.sums > 0;
        pooled += seen.adds > 0;
        const uint64_t all = seen.sums;
        got = run_by(&b, SNN_INT8_BEST, table, 1, chunk, 0.05f, images, &o);
        assert_same(&want, &got);
        free_answers(&got);
        chosen += seen.sums > 0;
        mixed += seen.sums > 0 && seen.sums < all;
        got = run_by(&b, SNN_INT8_BEST, table, 1, chunk, 1000, images, &o);
        assert_same(&want, &got);
        free_answers(&got);
        assert_true(seen.sums == 0); /* what never pays is never chosen */
        if (o.neuron == SNN_NEURON_IF_SIGNED) assert_true(all == 0);
      }
      free_answers(&want);
    }
    snn_network_free(b.net);
  }
  assert_true(dense >= 8 && pooled >= 3 && chosen >= 6 && mixed >= 3);
}

static void refuses(const snn_network *net, const snn_run_options *o, const char *field, const char *text) {
  snn_session *s = session(net, 1, 0);
  float *image = calloc(snn_shape_size(snn_network_input(net)), sizeof *image), scores[128];
  snn_error err = {0};
  assert_int_equal(snn_session_run(s, image, 1, o, scores, NULL, &err), SNN_ERR_ARGUMENT);
  assert_string_equal(err.where, field);
  if (!strstr(err.text, text)) fail_msg("'%s' does not say '%s'", err.text, text);
  free(image);
  snn_session_free(s);
}

/* What int8 does not take is refused, with the layer's name and a way out. */
static void test_refusals(void **state) {
  (void)state;
  const snn_run_options o = options_for(SNN_NEURON_IF, SNN_PRECISION_INT8);
  builder b = begin(1, 1, 4, 4);
  uint32_t at = add_neurons(&b, add_conv(&b, 0, 3, square(3, 1, 1), 1), 1, 1, 1);
  add_dense(&b, add_conv(&b, at, 3, square(1, 1, 0), 1), 2); /* a linear bottleneck */
  finish(&b);
  refuses(b.net, &o, "precision", "layer4: a convolution of values that are not spikes");
  assert_int_equal(snn_run_defaults(b.net).precision, SNN_PRECISION_FLOAT32);
  snn_network_free(b.net);
  b = begin(2, 1, 4, 4);
  at = add_neurons(&b, add_conv(&b, 0, 3, square(3, 1, 1), 1), 1, 1, 1);
  snn_window w = square(3, 1, 1);
  add_dense(&b, add_pool(&b, SNN_LAYER_AVGPOOL, at, w), 2);
  finish(&b);
  refuses(b.net, &o, "precision", "padding");
  snn_network_free(b.net);
}

/* 2176 weights of 127 in one channel: 4096 steps of them do not fit into 32 bits, some fewer do, exactly. */
static void test_longest_run(void **state) {
  (void)state;
  builder b = begin(3, 1, 8, 16);
  uint32_t at = add_neurons(&b, add_conv(&b, 0, 17, square(1, 1, 0), 1), 1, 1, 1);
  at = add_neurons(&b, add_dense(&b, at, 2), 1, 1, 1);
  add_dense(&b, at, 2);
  finish(&b);
  make_all_whole(&b);
  float *weights = (float *)(uintptr_t)b.net->nodes[3].conv.weights;
  for (uint32_t i = 0; i < 2176; i++) {
    weights[2 * i] = 127.0f / 128;
    weights[2 * i + 1] = -127.0f / 128;
  }
  float *bias = (float *)(uintptr_t)b.net->nodes[1].conv.bias, image[128] = {0}, scores[2][2];
  for (int c = 0; c < 17; c++) bias[c] = 2; /* all fire, at every step */
  snn_run_options o = options_for(SNN_NEURON_IF, SNN_PRECISION_INT8);
  o.timesteps = 4096;
  refuses(b.net, &o, "precision", "timesteps: 4096 is out of range for this network in int8; 1 to 38");
  snn_session *s = session(b.net, 1, 64);
  o.timesteps = 3800;
  for (int k = 0; k < 2; k++) {
    o.precision = k ? SNN_PRECISION_INT8 : SNN_PRECISION_FLOAT32;
    assert_int_equal(snn_session_run(s, image, 1, &o, scores[k], NULL, NULL), SNN_OK);
  }
  assert_memory_equal(scores[0], scores[1], sizeof scores[0]);
  snn_session_free(s);
  snn_network_free(b.net);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_whole_numbers_are_exact),
      cmocka_unit_test(test_long_rows),
      cmocka_unit_test(test_same_bytes),
      cmocka_unit_test(test_single_steps),
      cmocka_unit_test(test_dense_steps),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_longest_run),
  };
  return cmocka_run_group_tests_name("int8", tests, NULL, NULL);
}
