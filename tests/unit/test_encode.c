/* Images as spikes: levels, both encodings by hand, what a random one depends on and what not. Whole networks against
 * another simulation are test_golden's. */
#include "patience.h"
#include "run.h"
#include "sim/encode.h"

static void test_levels(void **state) {
  (void)state;
  /* every grey level comes back exactly from its normalised value, whatever the mean and std */
  static const float norms[][2] = {{0, 1}, {0.1307f, 0.3081f}, {0.4914f, 0.2470f}, {0.485f, 0.229f}};
  for (size_t k = 0; k < 4; k++)
    for (unsigned p = 0; p < 256; p++) {
      const float x = ((float)p / 255.0f - norms[k][0]) / norms[k][1];
      assert_int_equal(snn_encode_level(x, norms[k][0], norms[k][1]), 257 * p);
    }
  assert_int_equal(snn_encode_level(0.25f, 0.25f, 0.5f), 24576); /* 65535 * 0.375 = 24575.6 */
  assert_int_equal(snn_encode_level(-3, 0.5f, 1), 0);
  assert_int_equal(snn_encode_level(1e30f, 0, 1), 65535);
  assert_int_equal(snn_encode_level(-INFINITY, 0, 1), 0);
  assert_int_equal(snn_encode_level(INFINITY, 0, 1), 65535);
  assert_int_equal(snn_encode_level(NAN, 0, 1), 0);
}

static void test_regular_by_hand(void **state) {
  (void)state;
  static const struct {
    uint16_t level;
    uint32_t spikes[8]; /* after 1..8 steps */
  } cases[] = {
      {0, {0, 0, 0, 0, 0, 0, 0, 0}},
      {65535, {1, 2, 3, 4, 5, 6, 7, 8}},
      {21845, {0, 1, 1, 1, 2, 2, 2, 3}}, /* 1/3: t/3 = .33 .67* 1 1.33 1.67* 2 2.33 2.67* */
      {43690, {1, 1, 2, 3, 3, 4, 5, 5}}, /* 2/3: .67* 1.33 2* 2.67* 3.33 4* 4.67* 5.33 */
      {13107, {0, 0, 1, 1, 1, 1, 1, 2}}, /* 1/5: .2 .4 .6* .8 1 1.2 1.4 1.6* */
      {1, {0}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    for (uint32_t t = 0; t <= 8; t++)
      assert_int_equal(snn_encode_regular(cases[i].level, t), t ? cases[i].spikes[t - 1] : 0);
  for (uint32_t level = 0; level <= 65535; level += 17) /* never two a step; never off by more than a half */
    for (uint32_t t = 0; t < 4096; t += 13) {
      const uint32_t now = snn_encode_regular((uint16_t)level, t), next = snn_encode_regular((uint16_t)level, t + 1);
      const double exact = (double)level * t / 65535;
      assert_true(next - now <= 1 && fabs(now - exact) <= 0.5);
    }
}

/* The generator's first outputs from seed 0 are those published for SplitMix64. */
static void test_random_numbers(void **state) {
  (void)state;
  assert_int_equal(snn_encode_random(0, 1, 0, 0), 0xe220a839);
  assert_int_equal(snn_encode_random(0, 1, 0, 1), 0x6e789e6a);
  assert_int_equal(snn_encode_random(0, 1, 0, 2), 0x06c45d18);
  assert_int_equal(snn_encode_random(0, 2, 1, 0), 0x6e789e6a); /* element and step count through one sequence */
  assert_true(snn_encode_seed(1, 2) != snn_encode_seed(2, 1));
}

/* Image -> one weight of 1 -> the scores: with mean m and std s the score is (spikes / s - T m / s) / T. */
static builder wire(uint32_t pixels) {
  builder b = begin(5, 1, pixels, 1);
  float *numbers = random_floats(&b, 2, 0, 1);
  numbers[0] = 1;
  numbers[1] = 0;
  snn_conv conv = {.window = square(1, 1, 0), .groups = 1, .weights = numbers, .bias = numbers + 1};
  uint32_t at = append(&b, (snn_node){.kind = SNN_LAYER_CONV, .shape = {1, 0, 0}, .conv = conv}, 1, &(uint32_t){0});
  at = add_pool(&b, SNN_LAYER_AVGPOOL, at, (snn_window){pixels, 1, 1, 1, 0, 0, 0, 0, 1, 1});
  finish(&b);
  return b;
}

static void test_one_pixel_by_hand(void **state) {
  (void)state;
  builder b = wire(1);
  b.net->preprocess.mean[0] = 0.25f;
  b.net->preprocess.std[0] = 0.5f;
  snn_session *s = session(b.net, 1, 3);
  const float image = ((float)(43690.0 / 65535.0) - 0.25f) / 0.5f; /* two thirds */
  static const uint32_t every[] = {1, 2, 3, 4, 5, 6, 7, 8}, spikes[] = {1, 1, 2, 3, 3, 4, 5, 5};
  snn_run_options o = {
      .timesteps = 8, .encoding = SNN_ENCODING_REGULAR, .checkpoints = every, .n_checkpoints = 8, .seed = 3};
  answers a = run(b.net, s, &image, 1, &o);
  for (uint32_t t = 0; t < 8; t++) {
    const double want = (spikes[t] * 2.0 - (t + 1) * 0.5) / (t + 1);
    assert_true(a.scores[t] == (float)want);
  }
  assert_int_equal(a.counts[0], 0); /* a pixel is no neuron */
  free_answers(&a);
  snn_session_free(s);
  snn_network_free(b.net);
}

/* Bernoulli: the mean over many pixels and steps is p, neighbouring steps and pixels have nothing to do with each
 * other. Of fixed seeds, so it cannot fail by chance. */
static void test_rate_is_bernoulli(void **state) {
  (void)state;
  enum { PIXELS_HERE = 1000, T = 64 };
  static const uint16_t levels[] = {6553, 32768, 58982, 65535};
  for (uint32_t k = 0; k < 4; k++) {
    double n = 0, next = 0, beside = 0;
    const double p = levels[k] / 65535.0;
    for (uint32_t t = 0; t < T; t++)
      for (size_t i = 0; i < PIXELS_HERE; i++) {
        const uint64_t start = snn_encode_seed(9, k);
        const bool now = (uint64_t)snn_encode_random(start, PIXELS_HERE, i, t) * 65535 >> 32 < levels[k];
        n += now;
        next += now && (uint64_t)snn_encode_random(start, PIXELS_HERE, i, t + 1) * 65535 >> 32 < levels[k];
        beside +=
            now && (uint64_t)snn_encode_random(start, PIXELS_HERE, (i + 1) % PIXELS_HERE, t) * 65535 >> 32 < levels[k];
      }
    const double total = (double)PIXELS_HERE * T, four_sigma = 4 * sqrt(0.25 / total);
    assert_true(fabs(n / total - p) <= four_sigma);
    assert_true(fabs(next / total - p * p) <= four_sigma && fabs(beside / total - p * p) <= four_sigma);
    if (levels[k] == 65535) assert_true(n == total); /* white always fires */
  }
}

/* Neither threads nor chunks nor the batch an image is in change an answer; its number and the seed do. */
static void test_independence(void **state) {
  (void)state;
  enum { IMAGES = 4 };
  static const uint32_t chunks[] = {1, 7, 64}, checkpoints[] = {5, 23}, numbers[] = {0, 1, 2, 3};
  static const snn_encoding encodings[] = {SNN_ENCODING_RATE, SNN_ENCODING_REGULAR};
  for (uint64_t number = 1; number <= cases(8); number++)
    for (size_t e = 0; e < 2; e++) {
      builder b = random_network(number);
      for (int c = 0; c < 3; c++) b.net->preprocess.mean[c] = 0.45f, b.net->preprocess.std[c] = 0.23f;
      float *images = random_images(&b, IMAGES);
      const size_t pixels = snn_shape_size(b.net->nodes[0].shape), classes = snn_network_classes(b.net);
      snn_run_options o = {.timesteps = 23, .init = SNN_INIT_HALF, .checkpoints = checkpoints, .n_checkpoints = 2};
      o.encoding = encodings[e];
      o.seed = 11;
      snn_session *s = session(b.net, 1, 16);
      answers want = run(b.net, s, images, IMAGES, &o);
      snn_run_options other = o;
      other.seed = 12;
      answers seeded = run(b.net, s, images, IMAGES, &other);
      const bool same = memcmp(want.counts, seeded.counts, 3 * want.n_counts * sizeof(uint64_t)) == 0;
      assert_true(same == (encodings[e] == SNN_ENCODING_REGULAR));
      free_answers(&seeded);
      snn_session_free(s);
      for (uint32_t threads = 1; threads <= 3; threads++)
        for (size_t j = 0; j < 3; j++) {
          s = session(b.net, threads, chunks[j]);
          answers got = run(b.net, s, images, IMAGES, &o);
          assert_same(&want, &got);
          for (size_t i = 0; i < IMAGES; i++) {
            snn_run_options single = o;
            single.image_numbers = numbers + i;
            answers one = run(b.net, s, images + i * pixels, 1, &single);
            assert_memory_equal(one.scores, want.scores + i * 2 * classes, one.n_scores * sizeof(float));
            free_answers(&one);
          }
          free_answers(&got);
          snn_session_free(s);
        }
      free_answers(&want);
      snn_network_free(b.net);
    }
}

/* A longer run begins like a shorter one. */
static void test_longer_runs_begin_alike(void **state) {
  (void)state;
  static const uint32_t steps[] = {4, 30};
  builder b = random_network(3);
  float *images = random_images(&b, 1);
  snn_session *s = session(b.net, 2, 8);
  for (int e = SNN_ENCODING_RATE; e <= SNN_ENCODING_REGULAR; e++) {
    snn_run_options o = {.timesteps = 30, .checkpoints = steps, .n_checkpoints = 2, .encoding = (snn_encoding)e};
    answers all = run(b.net, s, images, 1, &o);
    answers one = run(b.net, s, images, 1, &(snn_run_options){.timesteps = 4, .encoding = (snn_encoding)e});
    assert_memory_equal(one.scores, all.scores, one.n_scores * sizeof(float));
    free_answers(&all);
    free_answers(&one);
  }
  snn_session_free(s);
  snn_network_free(b.net);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_levels),
      cmocka_unit_test(test_regular_by_hand),
      cmocka_unit_test(test_random_numbers),
      cmocka_unit_test(test_one_pixel_by_hand),
      cmocka_unit_test(test_rate_is_bernoulli),
      cmocka_unit_test(test_independence),
      cmocka_unit_test(test_longer_runs_begin_alike),
  };
  return cmocka_run_group_tests_name("encode", tests, NULL, NULL);
}
