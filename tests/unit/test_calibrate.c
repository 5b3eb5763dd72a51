/* The calibration methods against loops written from their definitions (naive.h), on small networks; what a run makes
 * of the tables. Files are test_calibration_file's. */
#include "naive.h"
#include "patience.h"
#include "run.h"

enum { PICTURES = 5 };
static const float tau = 0.5f;

static snn_calibration *calibrate(const builder *b, const float *images, size_t n, snn_calibrate_options opt) {
  snn_calibration *c = NULL;
  snn_error err = {0};
  if (snn_calibrate(b->net, images, n, &opt, &c, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  assert_non_null(c);
  return c;
}

static bool is_neuron(const builder *b, uint32_t i) {
  return b->net->nodes[i].kind == SNN_LAYER_NEURON;
}

static size_t grains(const builder *b, uint32_t layer, snn_granularity granularity) {
  snn_shape s = b->net->nodes[layer].shape;
  return granularity == SNN_GRAIN_LAYER ? 1 : granularity == SNN_GRAIN_CHANNEL ? s.c : snn_shape_size(s);
}

/* The grain that neuron k of a layer belongs to. */
static size_t grain_of(const builder *b, uint32_t layer, size_t n, size_t k) {
  return n == 1 ? 0 : n == b->net->nodes[layer].shape.c ? k % n : k;
}

static snn_potentials *all_layers(const builder *b, const float *value) {
  snn_potentials *p = calloc(b->net->n_nodes, sizeof *p);
  for (uint32_t i = 0; i < b->net->n_nodes; i++) p[i] = (snn_potentials){.values = value, .n = 1};
  return p;
}

/* ---- weights ---- */

/* IC-SNN Algorithm 1 for one convolution: mem = (w T + b) % theta, its sum and count. */
static void naive_weights(const snn_node *conv, uint32_t in, const float *amplitude, uint32_t n_amplitude,
                          const float *more_bias, const snn_neurons *to, double T, double *sum, double *count) {
  uint32_t out = conv->shape.c, group_in = in / conv->conv.groups, taps = conv->conv.window.kernel_h;
  for (uint32_t k = 0; k < taps * taps * group_in * out; k++) {
    uint32_t o = k % out, i = k / out % group_in + o / (out / conv->conv.groups) * group_in;
    double spike = amplitude ? (double)amplitude[n_amplitude == 1 ? 0 : i] : 1;
    double theta = (double)to->theta[to->n == 1 ? 0 : o];
    double bias = (double)conv->conv.bias[o] + (more_bias ? (double)more_bias[o] : 0);
    double mem = fmod((double)conv->conv.weights[k] * spike * T + bias, theta);
    if (mem < 0) mem += theta;
    *sum += mem / theta;
    *count += 1;
  }
}

/* Weights reach neurons directly (the first layer's current is constant in time), behind a pool, and as two branches.
 */
static void test_weights(void **state) {
  (void)state;
  static const uint32_t steps[] = {1, 7, 64};
  builder b = begin(5, 2, 6, 6);
  uint32_t c1 = add_conv(&b, 0, 6, square(3, 1, 1), 1), n1 = add_neurons(&b, c1, 6, 0.3f, 0.9f);
  uint32_t c2 = add_conv(&b, n1, 4, square(3, 1, 0), 2);
  uint32_t n2 = add_neurons(&b, add_pool(&b, SNN_LAYER_MAXPOOL, c2, square(2, 1, 0)), 1, 0.5f, 0.6f);
  uint32_t pooled = add_pool(&b, SNN_LAYER_AVGPOOL, n2, square(2, 1, 0));
  uint32_t c3 = add_conv(&b, pooled, 5, square(1, 1, 0), 1), c4 = add_conv(&b, pooled, 5, square(1, 1, 0), 1);
  uint32_t n3 = add_neurons(&b, add_sum(&b, c3, c4), 5, 0.3f, 0.9f);
  uint32_t n4 = add_neurons(&b, n3, 1, 0.3f, 0.3f);
  add_dense(&b, n4, 2);
  finish(&b);
  const snn_node *nodes = b.net->nodes;
  snn_calibration *c = calibrate(
      &b, NULL, 0,
      (snn_calibrate_options){
          .method = SNN_INIT_WEIGHTS, .granularity = SNN_GRAIN_CHANNEL, .timesteps = steps, .n_timesteps = 3});
  snn_session *s = session(b.net, 1, 0);
  float *image = random_images(&b, 1), scores[2], want[2];
  for (size_t t = 0; t < 3; t++) {
    double sums[4] = {0, 0, 0, 0.5}, counts[4] = {0, 0, 0, 1}; /* n4: no weights reach it */
    const uint32_t layers[] = {n1, n2, n3, n4};
    naive_weights(&nodes[c1], 2, NULL, 0, NULL, &nodes[n1].neurons, steps[t], &sums[0], &counts[0]);
    naive_weights(&nodes[c2], 6, nodes[n1].neurons.amplitude, 6, NULL, &nodes[n2].neurons, steps[t], &sums[1],
                  &counts[1]);
    naive_weights(&nodes[c3], 4, nodes[n2].neurons.amplitude, 1, nodes[c4].conv.bias, &nodes[n3].neurons, steps[t],
                  &sums[2], &counts[2]);
    naive_weights(&nodes[c4], 4, nodes[n2].neurons.amplitude, 1, nodes[c3].conv.bias, &nodes[n3].neurons, steps[t],
                  &sums[2], &counts[2]);
    snn_potentials *initial = calloc(b.net->n_nodes, sizeof *initial);
    for (int k = 0; k < 4; k++) {
      size_t n;
      const float *got = snn_calibration_potentials(c, t, layers[k], &n);
      assert_int_equal(n, 1);
      if (!(fabs((double)got[0] - sums[k] / counts[k]) < 1e-6))
        fail_msg("T %u, neurons %d: %.9g, not %.9g", steps[t], k + 1, (double)got[0], sums[k] / counts[k]);
      initial[layers[k]] = (snn_potentials){.values = got, .n = 1};
    }
    /* a run finds the same by itself */
    snn_run_options o = {.timesteps = steps[t], .init = SNN_INIT_WEIGHTS};
    assert_int_equal(snn_session_run(s, image, 1, &o, scores, NULL, NULL), SNN_OK);
    naive r = naive_run(b.net, image, SNN_NEURON_IF, 0, false, steps[t], initial);
    for (int k = 0; k < 2; k++) want[k] = (float)r.scores[k];
    for (int k = 0; k < 2; k++) assert_true(fabsf(scores[k] - want[k]) < 1e-5f);
    naive_free(&r);
    free(initial);
  }
  size_t n;
  assert_null(snn_calibration_potentials(c, 0, c1, &n));
  snn_session_free(s);
  snn_calibration_free(c);
  snn_network_free(b.net);
}

/* ---- data, compensated ---- */

/* Means of what a naive simulation leaves at T, over pictures and neurons of each grain of a layer. */
static void naive_residuals(const builder *b, const naive *runs, uint32_t layer, size_t n, bool plain, double *means) {
  const snn_node *node = &b->net->nodes[layer];
  double *count = calloc(n, sizeof *count);
  for (size_t g = 0; g < n; g++) means[g] = 0;
  for (size_t i = 0; i < PICTURES; i++)
    for (size_t k = 0; k < snn_shape_size(node->shape); k++) {
      double v = runs[i].v[layer][k] / per_channel(node->neurons.theta, node->neurons.n, k, node->shape.c);
      size_t g = grain_of(b, layer, n, k);
      if (!plain && v < 0) continue;
      means[g] += v;
      count[g]++;
    }
  for (size_t g = 0; g < n; g++) means[g] = count[g] > 0 ? means[g] / count[g] : 0;
  free(count);
}

static void check_residuals(const builder *b, const float *images, snn_calibrate_options opt) {
  const uint32_t T = opt.timesteps[0];
  const float start = opt.method == SNN_INIT_COMPENSATED ? 0.5f / (float)T : 0.0f;
  const size_t pixels = snn_shape_size(b->net->nodes[0].shape);
  snn_potentials *initial = all_layers(b, &start);
  naive runs[PICTURES];
  for (size_t i = 0; i < PICTURES; i++)
    runs[i] = naive_run(b->net, images + i * pixels, opt.neuron, (double)tau, false, T, initial);
  snn_calibration *c = calibrate(b, images, PICTURES, opt);
  for (uint32_t layer = 0; layer < b->net->n_nodes; layer++) {
    size_t n, want_n = grains(b, layer, opt.granularity);
    const float *got = snn_calibration_potentials(c, 0, layer, &n);
    assert_true((got != NULL) == is_neuron(b, layer));
    if (!got) continue;
    assert_int_equal(n, want_n);
    double *want = calloc(n, sizeof *want);
    naive_residuals(b, runs, layer, n, opt.plain_mean, want);
    for (size_t g = 0; g < n; g++)
      if (!(fabs((double)got[g] - (want[g] + (double)start)) < 1e-5))
        fail_msg("%s of %s, T %u, granularity %d, layer %u, value %zu: %.9g, not %.9g", snn_init_name(opt.method),
                 snn_neuron_name(opt.neuron), T, (int)opt.granularity, layer, g, (double)got[g],
                 want[g] + (double)start);
    free(want);
  }
  snn_calibration_free(c);
  for (size_t i = 0; i < PICTURES; i++) naive_free(&runs[i]);
  free(initial);
}

static void test_residuals(void **state) {
  (void)state;
  static const snn_neuron neurons[] = {SNN_NEURON_IF, SNN_NEURON_IF_HARD, SNN_NEURON_LIF_SOFT, SNN_NEURON_SRIF,
                                       SNN_NEURON_IF_SIGNED};
  static const uint32_t steps[] = {4, 8};
  for (uint64_t number = 1; number <= cases(5); number++) {
    builder b = dyadic_network(number, 1);
    float *images = dyadic_images(&b, PICTURES);
    for (unsigned k = 0; k < 5 * 2 * 3 * 3; k++) {
      snn_calibrate_options opt = {.neuron = neurons[k % 5],
                                   .tau = tau,
                                   .timesteps = &steps[k / 5 % 2],
                                   .n_timesteps = 1,
                                   .granularity = (snn_granularity)(k / 10 % 3)};
      opt.method = k / 30 == 2 ? SNN_INIT_COMPENSATED : SNN_INIT_DATA;
      opt.plain_mean = k / 30 == 1;
      check_residuals(&b, images, opt);
    }
    snn_network_free(b.net);
  }
}

/* ---- matched ---- */

enum { MANY = 40 }; /* pictures to match with: of fewer, single spikes decide */

/* Thresholds as conversion sets them: the largest activation of each channel, or layer, over the pictures. */
static void set_thresholds(const builder *b, const float *images) {
  const size_t pixels = snn_shape_size(b->net->nodes[0].shape);
  for (uint32_t i = 0; i < b->net->n_nodes; i++) {
    if (!is_neuron(b, i)) continue;
    const snn_neurons *p = &b->net->nodes[i].neurons;
    float *theta = (float *)(uintptr_t)p->theta;
    for (uint32_t k = 0; k < p->n; k++) theta[k] = 0.05f;
    for (size_t picture = 0; picture < MANY; picture++) {
      naive real = naive_float(b->net, images + picture * pixels);
      for (size_t k = 0; k < naive_size(&real, i); k++) {
        float *t = &theta[p->n == 1 ? 0 : k % b->net->nodes[i].shape.c];
        *t = fmaxf(*t, (float)real.value[i][k]);
      }
      naive_free(&real);
    }
  }
}

static snn_potentials *table_layers(const builder *b, const snn_calibration *c, size_t table) {
  snn_potentials *p = calloc(b->net->n_nodes, sizeof *p);
  for (uint32_t i = 0; i < b->net->n_nodes; i++) p[i].values = snn_calibration_potentials(c, table, i, &p[i].n);
  return p;
}

/* Sums over the grains of every layer of |mean rate - mean float activation, in units of the amplitude, clipped|, times
 * pictures. */
static void distances(const builder *b, const float *images, const snn_calibrate_options *opt,
                      const snn_potentials *initial, double *sums) {
  const size_t pixels = snn_shape_size(b->net->nodes[0].shape);
  const uint32_t T = opt->timesteps[0];
  double **difference = calloc(b->net->n_nodes, sizeof *difference);
  for (uint32_t i = 0; i < b->net->n_nodes; i++)
    difference[i] = calloc(snn_shape_size(b->net->nodes[i].shape), sizeof(double));
  for (size_t picture = 0; picture < MANY; picture++) {
    naive spiking = naive_run(b->net, images + picture * pixels, opt->neuron, 0, false, T, initial);
    naive real = naive_float(b->net, images + picture * pixels);
    for (uint32_t i = 0; i < b->net->n_nodes; i++)
      for (size_t k = 0; is_neuron(b, i) && k < naive_size(&real, i); k++) {
        const snn_neurons *p = &b->net->nodes[i].neurons;
        double amplitude = per_channel(p->amplitude, p->n, k, b->net->nodes[i].shape.c);
        difference[i][grain_of(b, i, grains(b, i, opt->granularity), k)] +=
            spiking.sent[i][k] / T - fmin(real.value[i][k] / amplitude, 1);
      }
    naive_free(&spiking);
    naive_free(&real);
  }
  for (uint32_t i = 0; i < b->net->n_nodes; i++) {
    sums[i] = 0;
    for (size_t g = 0; g < grains(b, i, opt->granularity); g++) sums[i] += fabs(difference[i][g]);
    free(difference[i]);
  }
  free(difference);
}

static void test_matched_comes_closer(void **state) {
  (void)state;
  static const snn_neuron neurons[] = {SNN_NEURON_IF, SNN_NEURON_SRIF, SNN_NEURON_ASG, SNN_NEURON_IF_SIGNED};
  static const float half = 0.5f, zero = 0;
  static const uint32_t steps[] = {4};
  static const uint64_t numbers[] = {1, 2, 4, 5};
  for (unsigned k = 0; k < 4 * 12; k++) {
    builder b = small_network(numbers[k / 12], 1);
    float *images = random_images(&b, MANY);
    double before[16], after[16];
    set_thresholds(&b, images);
    assert_true(b.net->n_nodes <= 16);
    snn_calibrate_options opt = {.method = SNN_INIT_MATCHED,
                                 .neuron = neurons[k / 3 % 4],
                                 .timesteps = steps,
                                 .n_timesteps = 1,
                                 .granularity = (snn_granularity)(k % 3)};
    snn_calibration *c = calibrate(&b, images, MANY, opt);
    snn_potentials *matched = table_layers(&b, c, 0);
    snn_potentials *start = all_layers(&b, opt.neuron == SNN_NEURON_SRIF ? &zero : &half);
    distances(&b, images, &opt, start, before);
    distances(&b, images, &opt, matched, after);
    for (uint32_t i = 0; i < b.net->n_nodes; i++) {
      if (!is_neuron(&b, i)) continue;
      assert_int_equal(matched[i].n, grains(&b, i, opt.granularity));
      if (!(after[i] < before[i]))
        fail_msg("network %u, %s, granularity %d, layer %u: from %g to %g", k / 12, snn_neuron_name(opt.neuron),
                 (int)opt.granularity, i, before[i], after[i]);
    }
    free(start);
    free(matched);
    snn_calibration_free(c);
    snn_network_free(b.net);
  }
}

/* One neuron, one picture: what is missing is known. theta 1, current 0.3, T 4: from theta/2 1.7 gives one spike, the
 * float activation 1.2 of them: v(0) = 0.5 + 0.2, again 1.9 gives one: + 0.2, then 2.1 gives two: - 0.8. */
static void test_matched_by_hand(void **state) {
  (void)state;
  static const uint32_t steps[] = {4};
  static const float want[] = {0.7f, 0.9f, 0.1f}, image = 0.3f;
  builder b = one_neuron(1);
  for (uint32_t rounds = 0; rounds <= 3; rounds++) {
    size_t n;
    snn_calibration *c = calibrate(
        &b, &image, 1,
        (snn_calibrate_options){.method = SNN_INIT_MATCHED, .timesteps = steps, .n_timesteps = 1, .rounds = rounds});
    float got = snn_calibration_potentials(c, 0, 2, &n)[0];
    assert_true(fabsf(got - want[rounds ? rounds - 1 : 1]) < 1e-6f); /* two rounds unless told */
    snn_calibration_free(c);
  }
  /* What no rate can give is not asked for: a current of 3 fires at every step, and that is all. */
  size_t n;
  snn_calibration *c = calibrate(
      &b, &(float){3}, 1, (snn_calibrate_options){.method = SNN_INIT_MATCHED, .timesteps = steps, .n_timesteps = 1});
  assert_true(snn_calibration_potentials(c, 0, 2, &n)[0] == 0.5f);
  snn_calibration_free(c);
  /* Where a spike sends twice the theta it costs, each missing spike still takes one theta: current 1/4, theta 1/2,
   * amplitude 1, T 8: from 1/4 it fires 4 times, the float activation asks for 2. */
  float numbers[] = {0.5f, 1};
  b.net->nodes[2].neurons.theta = b.net->nodes[2].neurons.fire = numbers;
  b.net->nodes[2].neurons.amplitude = numbers + 1;
  c = calibrate(
      &b, &(float){0.25f}, 1,
      (snn_calibrate_options){.method = SNN_INIT_MATCHED, .timesteps = &(uint32_t){8}, .n_timesteps = 1, .rounds = 1});
  assert_true(snn_calibration_potentials(c, 0, 2, &n)[0] == 0.5f - 2);
  snn_calibration_free(c);
  snn_network_free(b.net);
}

/* ---- all methods ---- */

static void test_threads_do_not_matter(void **state) {
  (void)state;
  static const uint32_t steps[] = {3, 10};
  for (unsigned k = 0; k < 9; k++) {
    builder b = random_network(80 + k);
    float *images = random_images(&b, PICTURES);
    snn_calibrate_options opt = {.method = (snn_init)(SNN_INIT_DATA + k % 3),
                                 .neuron = k % 2 ? SNN_NEURON_IF_SIGNED : SNN_NEURON_IF,
                                 .timesteps = steps,
                                 .n_timesteps = 2,
                                 .granularity = (snn_granularity)(k / 3),
                                 .threads = 1};
    snn_calibration *one = calibrate(&b, images, PICTURES, opt);
    for (opt.threads = 2; opt.threads <= 7; opt.threads += 1 + opt.threads % 3) { /* 2 5 */
      snn_calibration *more = calibrate(&b, images, PICTURES, opt);
      for (size_t t = 0; t < 2; t++)
        for (uint32_t i = 0; i < b.net->n_nodes; i++) {
          size_t n[2];
          const float *x = snn_calibration_potentials(one, t, i, &n[0]);
          const float *y = snn_calibration_potentials(more, t, i, &n[1]);
          if (!is_neuron(&b, i)) continue;
          assert_int_equal(n[0], n[1]);
          assert_memory_equal(x, y, n[0] * sizeof *x);
        }
      snn_calibration_free(more);
    }
    snn_calibration_free(one);
    snn_network_free(b.net);
  }
}

/* A run starts every neuron where the table says, whatever its granularity, threads, chunks and batch. */
static void test_runs_use_the_table(void **state) {
  (void)state;
  static const uint32_t steps[] = {4, 8};
  for (unsigned k = 0; k < 3 * SNN_NEURON_COUNT; k++) {
    builder b = dyadic_network(k, 1);
    float *images = dyadic_images(&b, PICTURES);
    const size_t pixels = snn_shape_size(b.net->nodes[0].shape), classes = snn_network_classes(b.net);
    const snn_neuron neuron = (snn_neuron)(k / 3);
    const bool exact = snn_neuron_leaks(neuron) || neuron == SNN_NEURON_IF_HARD;
    snn_calibration *c = calibrate(&b, images, PICTURES,
                                   (snn_calibrate_options){.method = exact ? SNN_INIT_DATA : SNN_INIT_MATCHED,
                                                           .neuron = neuron,
                                                           .tau = tau,
                                                           .timesteps = steps,
                                                           .n_timesteps = 2,
                                                           .granularity = (snn_granularity)(k % 3)});
    snn_run_options o = {.timesteps = 8,
                         .neuron = neuron,
                         .tau = tau,
                         .init = exact ? SNN_INIT_DATA : SNN_INIT_MATCHED,
                         .calibration = c};
    snn_potentials *initial = table_layers(&b, c, 1);
    for (uint32_t i = 0; i < b.net->n_nodes;
         i++) /* to numbers that do not round, asg's from where Algorithm 1 starts */
      for (size_t g = 0; initial[i].values && g < initial[i].n; g++) {
        float *x = (float *)(uintptr_t)&initial[i].values[g];
        *x = roundf(*x * 8) / 8;
        if (neuron == SNN_NEURON_ASG) *x -= floorf(*x);
      }
    snn_session *s = session(b.net, 1, 0);
    answers want = run(b.net, s, images, PICTURES, &o);
    for (size_t i = 0; i < PICTURES; i++) {
      naive r = naive_run(b.net, images + i * pixels, neuron, (double)tau, false, 8, initial);
      for (size_t j = 0; j < classes; j++)
        if (!(want.scores[i * classes + j] == (float)r.scores[j]))
          fail_msg("%s, granularity %u, picture %zu: score %.9g, not %.9g", snn_neuron_name(neuron), k % 3, i,
                   (double)want.scores[i * classes + j], r.scores[j]);
      naive_free(&r);
    }
    snn_session_free(s);
    for (uint32_t threads = 1; threads <= 3; threads++) {
      s = session(b.net, threads, 1 + 4 * threads);
      answers got = run(b.net, s, images, PICTURES, &o);
      assert_same(&want, &got);
      memset(got.scores, 0, got.n_scores * sizeof *got.scores);
      for (size_t i = 0; i < PICTURES; i++)
        assert_int_equal(snn_session_run(s, images + i * pixels, 1, &o, got.scores + i * classes, NULL, NULL), SNN_OK);
      assert_same(&want, &got);
      free_answers(&got);
      snn_session_free(s);
    }
    free_answers(&want);
    free(initial);
    snn_calibration_free(c);
    snn_network_free(b.net);
  }
}

static void test_find(void **state) {
  (void)state;
  static const uint32_t steps[] = {64, 4, 16, 1, 9};
  static const struct {
    uint32_t asked, found;
  } cases[] = {{1, 1},
               {2, 1} /* as far from 4 */,
               {3, 4},
               {4, 4},
               {6, 4} /* as far from 9 */,
               {7, 9},
               {12, 9} /* as far from 16 */,
               {13, 16},
               {16, 16},
               {32, 16} /* as far from 64 */,
               {33, 64},
               {4096, 64}};
  builder b = one_neuron(1);
  snn_calibration *c =
      calibrate(&b, NULL, 0, (snn_calibrate_options){.method = SNN_INIT_WEIGHTS, .timesteps = steps, .n_timesteps = 5});
  assert_int_equal(snn_calibration_tables(c), 5);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    size_t table = 99;
    assert_true(snn_calibration_find(c, SNN_NEURON_IF, SNN_INIT_WEIGHTS, cases[i].asked, &table));
    snn_calibration_table t = snn_calibration_table_at(c, table);
    assert_true(t.neuron == SNN_NEURON_IF && t.init == SNN_INIT_WEIGHTS);
    if (t.timesteps != cases[i].found) fail_msg("T %u finds %u", cases[i].asked, t.timesteps);
  }
  size_t table = 99;
  assert_false(snn_calibration_find(c, SNN_NEURON_LIF, SNN_INIT_WEIGHTS, 4, &table));
  assert_false(snn_calibration_find(c, SNN_NEURON_IF, SNN_INIT_MATCHED, 4, &table));
  assert_int_equal(table, 99);
  snn_calibration_free(c);
  snn_network_free(b.net);
}

/* ---- stopping and refusing ---- */

typedef struct watch {
  size_t calls, stop_at, last;
  bool complete;
} watch;

static bool look(void *context, const char *phase, size_t done, size_t total) {
  watch *w = context;
  assert_string_equal(phase, "calibrating");
  assert_true(done <= total && total > 0);
  assert_true(done == total || done >= w->last);
  w->last = done;
  w->complete = done == total;
  return ++w->calls != w->stop_at;
}

static void test_progress(void **state) {
  (void)state;
  static const uint32_t steps[] = {2, 4};
  builder b = dyadic_network(1, 1);
  float *images = dyadic_images(&b, 2);
  watch all = {0};
  snn_calibrate_options opt = {
      .method = SNN_INIT_MATCHED, .timesteps = steps, .n_timesteps = 2, .progress = look, .progress_context = &all};
  snn_calibration_free(calibrate(&b, images, 2, opt));
  assert_true(all.complete && all.calls > 10);
  for (size_t stop = 1; stop < all.calls; stop++) {
    watch w = {.stop_at = stop};
    snn_calibration *c = NULL;
    snn_error err = {0};
    opt.progress_context = &w;
    assert_int_equal(snn_calibrate(b.net, images, 2, &opt, &c, &err), SNN_ERR_CANCELLED);
    assert_int_equal(err.status, SNN_ERR_CANCELLED);
    assert_true(!c && w.calls == stop);
  }
  snn_network_free(b.net);
}

static void test_options_refused(void **state) {
  (void)state;
  static const uint32_t good[] = {2, 4}, nothing[] = {0}, long_run[] = {SNN_MAX_TIMESTEPS + 1}, twice[] = {2, 4, 2};
  uint32_t *many = calloc(300, sizeof *many);
  for (uint32_t i = 0; i < 300; i++) many[i] = i + 1;
#define GOOD .timesteps = good, .n_timesteps = 2
  const struct {
    snn_calibrate_options o;
    const char *field;
    size_t pictures;
  } cases[] = {
      {{.method = SNN_INIT_ZERO, GOOD}, "method", 1},
      {{.method = SNN_INIT_HALF, GOOD}, "method", 1},
      {{.method = SNN_INIT_COUNT, GOOD}, "method", 1},
      {{.method = (snn_init)-1, GOOD}, "method", 1},
      {{.method = SNN_INIT_MATCHED, .neuron = SNN_NEURON_COUNT, GOOD}, "neuron", 1},
      {{.method = SNN_INIT_MATCHED, .neuron = (snn_neuron)-1, GOOD}, "neuron", 1},
      {{.method = SNN_INIT_MATCHED, .neuron = SNN_NEURON_IF_HARD, GOOD}, "method", 1},
      {{.method = SNN_INIT_MATCHED, .neuron = SNN_NEURON_LIF, .tau = 1, GOOD}, "method", 1},
      {{.method = SNN_INIT_MATCHED, .neuron = SNN_NEURON_LIF_SOFT, .tau = 1, GOOD}, "method", 1},
      {{.method = SNN_INIT_DATA, .neuron = SNN_NEURON_ASG, GOOD}, "method", 1},
      {{.method = SNN_INIT_COMPENSATED, .neuron = SNN_NEURON_ASG, GOOD}, "method", 1},
      {{.method = SNN_INIT_DATA, .neuron = SNN_NEURON_LIF, .tau = 0, GOOD}, "tau", 1},
      {{.method = SNN_INIT_DATA, .neuron = SNN_NEURON_LIF, .tau = 1.5f, GOOD}, "tau", 1},
      {{.method = SNN_INIT_DATA, .neuron = SNN_NEURON_LIF_SOFT, .tau = NAN, GOOD}, "tau", 1},
      {{.method = SNN_INIT_DATA}, "timesteps", 1},
      {{.method = SNN_INIT_DATA, .timesteps = nothing, .n_timesteps = 1}, "timesteps", 1},
      {{.method = SNN_INIT_DATA, .timesteps = long_run, .n_timesteps = 1}, "timesteps", 1},
      {{.method = SNN_INIT_DATA, .timesteps = twice, .n_timesteps = 3}, "timesteps", 1},
      {{.method = SNN_INIT_WEIGHTS, .timesteps = many, .n_timesteps = 300}, "timesteps", 1},
      {{.method = SNN_INIT_MATCHED, .rounds = 17, GOOD}, "rounds", 1},
      {{.method = SNN_INIT_DATA, .granularity = (snn_granularity)3, GOOD}, "granularity", 1},
      {{.method = SNN_INIT_DATA, .threads = 1025, GOOD}, "threads", 1},
      {{.method = SNN_INIT_DATA, GOOD}, "images", 0},
      {{.method = SNN_INIT_MATCHED, GOOD}, "images", 0},
  };
#undef GOOD
  builder b = one_neuron(1);
  const float image = 1;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    snn_calibration *c = NULL;
    snn_error err = {0};
    if (snn_calibrate(b.net, &image, cases[i].pictures, &cases[i].o, &c, &err) != SNN_ERR_ARGUMENT)
      fail_msg("case %zu is not refused", i);
    assert_string_equal(err.where, cases[i].field);
    assert_true(*err.text && !c);
    assert_int_equal(snn_calibrate(b.net, &image, cases[i].pictures, &cases[i].o, &c, NULL), SNN_ERR_ARGUMENT);
  }
  free(many);
  snn_network_free(b.net);
}

/* A run refuses a calibration that has no table for it, or is of another network. */
static void test_runs_refuse(void **state) {
  (void)state;
  static const uint32_t steps[] = {4};
  builder b = dyadic_network(1, 1), other = dyadic_network(3, 1), same_shapes = dyadic_network(1, 2);
  float *image = dyadic_images(&b, 1), *image_of_other = dyadic_images(&other, 1), scores[3];
  snn_calibrate_options opt = {.method = SNN_INIT_MATCHED, .timesteps = steps, .n_timesteps = 1};
  snn_calibration *c = calibrate(&b, image, 1, opt), *alien = calibrate(&other, image_of_other, 1, opt);
  snn_session *s = session(b.net, 1, 0);
  const struct {
    snn_run_options o;
    const char *field;
  } cases[] = {
      {{.timesteps = 4, .init = SNN_INIT_MATCHED}, "init"},
      {{.timesteps = 4, .init = SNN_INIT_DATA, .calibration = c}, "init"},
      {{.timesteps = 4, .init = SNN_INIT_MATCHED, .neuron = SNN_NEURON_SRIF, .calibration = c}, "init"},
      {{.timesteps = 4, .init = SNN_INIT_MATCHED, .calibration = alien}, "calibration"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    snn_error err = {0};
    assert_int_equal(snn_session_run(s, image, 1, &cases[i].o, scores, NULL, &err), SNN_ERR_ARGUMENT);
    assert_string_equal(err.where, cases[i].field);
    assert_true(*err.text);
  }
  snn_run_options o = {.timesteps = 4, .init = SNN_INIT_MATCHED, .calibration = c};
  assert_int_equal(snn_session_run(s, image, 1, &o, scores, NULL, NULL), SNN_OK);
  o.init = SNN_INIT_ZERO; /* ignored where no table is needed */
  o.calibration = alien;
  assert_int_equal(snn_session_run(s, image, 1, &o, scores, NULL, NULL), SNN_OK);
  assert_true(snn_calibration_fits(c, b.net) && !snn_calibration_fits(c, other.net));
  memset(same_shapes.net->network_sha256, 'a',
         SNN_SHA256_HEX - 1); /* a saved network of the same layers is another one */
  assert_false(snn_calibration_fits(c, same_shapes.net));
  snn_session_free(s);
  snn_calibration_free(c);
  snn_calibration_free(alien);
  snn_calibration_free(NULL);
  snn_network_free(b.net);
  snn_network_free(other.net);
  snn_network_free(same_shapes.net);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_weights),
      cmocka_unit_test(test_residuals),
      cmocka_unit_test(test_matched_comes_closer),
      cmocka_unit_test(test_matched_by_hand),
      cmocka_unit_test(test_threads_do_not_matter),
      cmocka_unit_test(test_runs_use_the_table),
      cmocka_unit_test(test_find),
      cmocka_unit_test(test_progress),
      cmocka_unit_test(test_options_refused),
      cmocka_unit_test(test_runs_refuse),
  };
  return cmocka_run_group_tests_name("calibrate", tests, NULL, NULL);
}
