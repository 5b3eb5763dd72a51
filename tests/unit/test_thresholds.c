/* Activation statistics against sorted arrays, and the rules that make thresholds of them. */
#include "build.h"
#include "convert/thresholds.h"
#include "patience.h"
#include "pictures.h"

enum { CHANNELS = 3 };

/* ---- a network whose activations are known: pixel * weight + bias, per channel ---- */

static const float weights[CHANNELS] = {1, 5, -1}, bias[CHANNELS] = {0, 0.125f, 0}; /* the last one never fires */

static builder known_network(float clip) {
  builder b = begin(1, 1, SIDE, SIDE);
  snn_conv conv = {.window = square(1, 1, 0), .groups = 1, .weights = weights, .bias = bias};
  uint32_t at =
      append(&b, (snn_node){.kind = SNN_LAYER_CONV, .shape = {CHANNELS, 0, 0}, .conv = conv}, 1, &(uint32_t){0});
  b.next_name = "act";
  at = append(&b, (snn_node){.kind = SNN_LAYER_NEURON, .neurons = {.clip = clip}}, 1, &at);
  add_dense(&b, at, 2);
  return b;
}

static float activation(size_t picture, size_t p, size_t channel) {
  float x = (float)pixels[picture][p] / 255.0f * weights[channel] + bias[channel];
  return x > 0 ? x : 0;
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

/* All activations of channels [begin, end), sorted; returns how many. */
static size_t sorted(size_t begin, size_t end, float out[CHANNELS * PICTURES * PIXELS]) {
  size_t n = 0;
  for (size_t c = begin; c < end; c++)
    for (size_t i = 0; i < PICTURES; i++)
      for (size_t p = 0; p < PIXELS; p++) out[n++] = activation(i, p, c);
  qsort(out, n, sizeof *out, ascending);
  return n;
}

static snn_activation_stats *collect(const snn_network *net, uint32_t threads, size_t limit, size_t *used) {
  snn_activation_stats *stats = NULL;
  snn_convert_options opt = {.data = pictures, .data_limit = limit, .threads = threads};
  snn_error err = {0};
  if (snn_activation_stats_collect(net, &opt, &stats, used, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return stats;
}

/* ---- statistics ---- */

static void test_percentiles_against_sorted(void **state) {
  (void)state;
  static const double percentiles[] = {10, 34, 50, 66.6, 90, 99, 99.9, 99.99};
  static const uint32_t ranges[][2] = {{0, 1}, {1, 2}, {0, 2}, {0, CHANNELS}, {1, CHANNELS}};
  builder b = known_network(INFINITY);
  size_t used = 0;
  snn_activation_stats *stats = collect(b.net, 2, 0, &used), *s = &stats[2];
  float all[CHANNELS * PICTURES * PIXELS];
  assert_int_equal(used, PICTURES);
  assert_int_equal(s->channels, CHANNELS);
  assert_int_equal(s->per_channel, PICTURES * PIXELS);
  for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
    uint32_t first = ranges[r][0], end = ranges[r][1];
    size_t n = sorted(first, end, all);
    for (size_t k = 0; k < sizeof percentiles / sizeof *percentiles; k++) {
      float got = snn_activation_percentile(s, first, end, percentiles[k]);
      float want = all[(size_t)ceil(percentiles[k] / 100 * (double)n) - 1]; /* nearest rank */
      if (!(got >= want * 0.992f && got <= want * 1.008f))
        fail_msg("channels %u..%u: percentile %g is %g, not %g", first, end, percentiles[k], (double)got, (double)want);
    }
    assert_true(snn_activation_percentile(s, first, end, 100) == all[n - 1]);
  }
  assert_true(snn_activation_percentile(s, 2, 3, 99.9) == 0); /* the dead one */
  assert_true(snn_activation_percentile(s, 2, 3, 100) == 0);
  assert_null(stats[1].histogram); /* only neurons are counted */
  snn_activation_stats_free(b.net, stats);
  snn_network_free(b.net);
}

static void test_collection_does_not_depend_on_threads(void **state) {
  (void)state;
  builder b = known_network(INFINITY);
  for (size_t limit = 0; limit <= 7; limit += 7) {
    size_t used[2];
    snn_activation_stats *one = collect(b.net, 1, limit, &used[0]), *four = collect(b.net, 4, limit, &used[1]);
    assert_int_equal(used[0], limit ? limit : PICTURES);
    assert_int_equal(used[0], used[1]);
    assert_memory_equal(one[2].max, four[2].max, CHANNELS * sizeof(float));
    assert_memory_equal(one[2].histogram, four[2].histogram, CHANNELS * SNN_HISTOGRAM_BINS * sizeof(uint64_t));
    uint64_t counted = 0;
    for (size_t i = 0; i < SNN_HISTOGRAM_BINS; i++) counted += one[2].histogram[i];
    assert_int_equal(counted, used[0] * PIXELS);
    if (limit) { /* evenly spaced: 0, 4, 8, 12, 17, 21, 25 of 30 */
      static const size_t chosen[] = {0, 4, 8, 12, 17, 21, 25};
      float max = 0;
      for (size_t i = 0; i < 7; i++)
        for (size_t p = 0; p < PIXELS; p++) max = fmaxf(max, activation(chosen[i], p, 1));
      assert_true(one[2].max[1] == max);
    }
    snn_activation_stats_free(b.net, one);
    snn_activation_stats_free(b.net, four);
  }
  snn_network_free(b.net);
}

/* Values outside the histogram's range keep their order and their largest. */
static void test_extreme_activations(void **state) {
  (void)state;
  static const struct {
    float weight;
    double percentile;
    float low, high;
  } cases[] = {
      {1e30f, 100, 9.8e29f, 1e30f},    /* far above: the maximum is exact */
      {1e30f, 99, 9.6e29f, 1e30f},     /* nor is a percentile cut off there */
      {1e-30f, 100, 9.8e-31f, 1e-30f}, /* far below */
      {1e-30f, 99, 0, 0},              /* which is as good as nothing */
      {1e4f, 99, 9.6e3f, 1e4f},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    builder b = known_network(INFINITY);
    const float w[CHANNELS] = {cases[i].weight, 0, 0}, none[CHANNELS] = {0};
    b.net->nodes[1].conv.weights = w;
    b.net->nodes[1].conv.bias = none;
    size_t used;
    snn_activation_stats *stats = collect(b.net, 1, 0, &used);
    float got = snn_activation_percentile(&stats[2], 0, 1, cases[i].percentile);
    if (!(got >= cases[i].low && got <= cases[i].high)) fail_msg("case %zu gives %g", i, (double)got);
    snn_activation_stats_free(b.net, stats);
    snn_network_free(b.net);
  }
}

static void test_progress_and_cancelling(void **state) {
  (void)state;
  builder b = known_network(INFINITY);
  progress_log log = {.stop_at = SIZE_MAX};
  snn_convert_options opt = {.data = pictures, .threads = 2, .progress = note_progress, .progress_context = &log};
  snn_activation_stats *stats = NULL;
  size_t used = 99;
  snn_error err = {0};
  assert_int_equal(snn_activation_stats_collect(b.net, &opt, &stats, &used, &err), SNN_OK);
  assert_true(log.calls >= PICTURES / 2 && log.last_done == PICTURES && log.total == PICTURES);
  snn_activation_stats_free(b.net, stats);
  stats = NULL;
  used = 99;
  log = (progress_log){.stop_at = 10};
  assert_int_equal(snn_activation_stats_collect(b.net, &opt, &stats, &used, &err), SNN_ERR_CANCELLED);
  assert_true(!stats && used == 99 && log.last_done == 10);
  snn_network_free(b.net);
}

/* ---- thresholds ---- */

static snn_status set(snn_network *net, const snn_activation_stats *stats, snn_threshold_rule rule,
                      snn_threshold_scope scope, double percentile, snn_error *err) {
  snn_convert_options opt = {.threshold = rule, .scope = scope, .percentile = percentile};
  return snn_thresholds_set(net, stats, &opt, err);
}

static void test_thresholds(void **state) {
  (void)state;
  builder b = known_network(INFINITY);
  size_t used;
  snn_activation_stats *stats = collect(b.net, 1, 0, &used), *s = &stats[2];
  const snn_neurons *n = &b.net->nodes[2].neurons;
  assert_int_equal(set(b.net, stats, SNN_THRESHOLD_MAX, SNN_PER_LAYER, 0, NULL), SNN_OK);
  assert_int_equal(n->n, 1);
  assert_true(n->theta[0] == s->max[1] && n->fire[0] == n->theta[0] && n->amplitude[0] == n->theta[0]);
  assert_true(n->activation_max[0] == s->max[1]);

  assert_int_equal(set(b.net, stats, SNN_THRESHOLD_MAX, SNN_PER_CHANNEL, 0, NULL), SNN_OK);
  assert_int_equal(n->n, CHANNELS);
  assert_true(n->theta[0] == s->max[0] && n->theta[1] == s->max[1]);
  assert_true(n->theta[2] == s->max[1]); /* dead: its layer's */
  assert_true(n->activation_max[0] == s->max[0] && n->activation_max[2] == 0);

  assert_int_equal(set(b.net, stats, SNN_THRESHOLD_PERCENTILE, SNN_PER_CHANNEL, 90, NULL), SNN_OK);
  assert_true(n->theta[0] == snn_activation_percentile(s, 0, 1, 90));
  assert_true(n->theta[1] == snn_activation_percentile(s, 1, 2, 90));
  assert_true(n->theta[2] == snn_activation_percentile(s, 0, 3, 90));
  assert_true(n->activation_max[1] == s->max[1]); /* the largest, whatever the percentile */

  assert_int_equal(set(b.net, stats, SNN_THRESHOLD_PERCENTILE, SNN_PER_LAYER, 20, NULL), SNN_OK);
  assert_true(n->theta[0] == s->max[1]); /* a third is zeros, so the percentile is 0: the largest instead */
  snn_error err = {0};
  assert_int_equal(snn_graph_finish(b.net, true, &err), SNN_OK);
  snn_activation_stats_free(b.net, stats);
  snn_network_free(b.net);
}

static void test_dead_layer(void **state) {
  (void)state;
  for (int scope = SNN_PER_LAYER; scope <= SNN_PER_CHANNEL; scope++) {
    builder b = known_network(INFINITY);
    const float w[CHANNELS] = {-1, -1, -1}, none[CHANNELS] = {0};
    b.net->nodes[1].conv.weights = w;
    b.net->nodes[1].conv.bias = none;
    size_t used;
    snn_activation_stats *stats = collect(b.net, 1, 0, &used);
    assert_int_equal(set(b.net, stats, SNN_THRESHOLD_PERCENTILE, (snn_threshold_scope)scope, 99.9, NULL), SNN_OK);
    for (uint32_t i = 0; i < b.net->nodes[2].neurons.n; i++) assert_true(b.net->nodes[2].neurons.theta[i] == 1.0f);
    snn_activation_stats_free(b.net, stats);
    snn_network_free(b.net);
  }
}

static void test_clip_rule(void **state) {
  (void)state;
  builder b = known_network(INFINITY);
  snn_error err = {0};
  assert_int_equal(set(b.net, NULL, SNN_THRESHOLD_CLIP, SNN_PER_LAYER, 0, &err), SNN_ERR_ARGUMENT);
  assert_string_equal(err.where, "act"); /* the layer that cannot follow it */
  assert_int_equal(b.net->nodes[2].neurons.n, 0);
  snn_network_free(b.net);
  b = known_network(0.75f);
  assert_int_equal(set(b.net, NULL, SNN_THRESHOLD_CLIP, SNN_PER_LAYER, 0, NULL), SNN_OK);
  assert_true(b.net->nodes[2].neurons.n == 1 && b.net->nodes[2].neurons.theta[0] == 0.75f);
  assert_null(b.net->nodes[2].neurons.activation_max);
  assert_int_equal(set(b.net, NULL, SNN_THRESHOLD_CLIP, SNN_PER_CHANNEL, 0, NULL), SNN_OK);
  assert_true(b.net->nodes[2].neurons.n == CHANNELS && b.net->nodes[2].neurons.theta[2] == 0.75f);
  size_t used;
  snn_activation_stats *stats = collect(b.net, 1, 0, &used);
  assert_true(stats[2].max[1] == 0.75f); /* the float network clips */
  assert_int_equal(set(b.net, stats, SNN_THRESHOLD_CLIP, SNN_PER_LAYER, 0, NULL), SNN_OK);
  assert_true(b.net->nodes[2].neurons.theta[0] == 0.75f && b.net->nodes[2].neurons.activation_max[0] == 0.75f);
  snn_activation_stats_free(b.net, stats);
  snn_network_free(b.net);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_percentiles_against_sorted),
      cmocka_unit_test(test_collection_does_not_depend_on_threads),
      cmocka_unit_test(test_extreme_activations),
      cmocka_unit_test(test_progress_and_cancelling),
      cmocka_unit_test(test_thresholds),
      cmocka_unit_test(test_dead_layer),
      cmocka_unit_test(test_clip_rule),
  };
  return cmocka_run_group_tests_name("thresholds", tests, make_pictures, remove_pictures);
}
