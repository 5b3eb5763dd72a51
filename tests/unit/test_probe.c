/* Probes: a neuron by hand, every neuron model against the naive simulation and sums over all pairs, and numbers that
 * depend neither on threads nor on how the pictures come. */
#include "graph/calibration.h"
#include "naive.h"
#include "neurons/neurons.h"
#include "probe/moments.h"
#include "run.h"

static const float half = 0.5f;

static void assert_near(double got, double want, double tolerance, const char *what) {
  if (isnan(want) != isnan(got) || fabs(got - want) > tolerance * fmax(1, fabs(want)))
    fail_msg("%s: %.17g, not %.17g", what, got, want);
}

static snn_probe *probe(const snn_network *net, uint32_t threads, uint32_t chunk, const snn_run_options *run) {
  const snn_session_options opt = {.threads = threads, .chunk = chunk};
  snn_probe *p = NULL;
  snn_error err = {0};
  if (snn_probe_create(net, &opt, run, &p, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return p;
}

/* Spikes 3, 0 and 8 of 8 beside activations .375, 0 and 2: x = .375 0 1, y = .375 0 2, whose deviations from the means
 * 11/24 and 19/24 are -2 -11 13 and -10 -19 29 24ths. */
static void test_by_hand(void **state) {
  (void)state;
  const float images[] = {0.375f, -1, 2};
  builder b = one_neuron(1);
  const snn_run_options run = {.timesteps = 8};
  snn_probe *p = probe(b.net, 1, 0, &run);
  assert_int_equal(snn_probe_entries(p), 2);
  assert_int_equal(snn_probe_run(p, images, NULL, 3, NULL), SNN_OK);
  snn_probed got = snn_probe_read(p, 0, 0);
  assert_int_equal(got.layer, 2);
  assert_false(got.is_readout);
  assert_int_equal(got.timesteps, 8);
  assert_int_equal(got.pictures, 3);
  assert_near(got.correlation, (20 + 209 + 377) / sqrt((4 + 121 + 169.0) * (100 + 361 + 841.0)), 1e-15, "correlation");
  assert_near(got.mean_error, -1 / 3.0, 1e-15, "mean error");
  assert_near(got.rms_error, sqrt(1 / 3.0), 1e-15, "rms error");
  assert_near(got.float_rms, sqrt((0.375 * 0.375 + 4) / 3), 1e-15, "float rms");
  assert_near(got.rate, 11 / 24.0, 1e-15, "rate");
  assert_near(got.first_spike, (3 + 1) / 2.0, 1e-15, "first spike"); /* the second never fires */
  assert_near(got.silent, 1 / 3.0, 1e-15, "silent");
  assert_true(isnan(got.quantisation) && isnan(got.rectified));
  got = snn_probe_read(p, 0, 1); /* scores 2 x + .25 */
  assert_true(got.is_readout && got.layer == 3);
  assert_near(got.mean_error, -2 / 3.0, 1e-7, "mean error of the scores");
  assert_near(got.rms_error, 2 * sqrt(1 / 3.0), 1e-7, "rms error of the scores");
  assert_true(isnan(got.rate) && isnan(got.first_spike) && isnan(got.silent));
  snn_probe_free(p);
  snn_network_free(b.net);
}

/* phi of eq. 12, in double. */
static double phi(double u) {
  if (u < 0) return 1 - cbrt(1 - u);
  return u > 1 ? cbrt(u) : tanh(3 * (u - 0.5)) / (2 * tanh(1.5)) + 0.5;
}

/* srif-mpr at a current of .375: what the threshold sees, and what fires at 1/2. */
static void test_quantisation_by_hand(void **state) {
  (void)state;
  static const double u[] = {0.375, 0.75, 0.125, 0.5, -0.125, 0.25, 0.625, 0};
  static const int s[] = {0, 1, 0, 1, 0, 0, 1, 0};
  static const uint32_t every[] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (int theta = 1; theta <= 2; theta++) { /* in units of theta nothing changes */
    const float image = 0.375f * (float)theta;
    builder b = one_neuron((float)theta);
    const snn_run_options run = {
        .timesteps = 8, .neuron = SNN_NEURON_SRIF_MPR, .checkpoints = every, .n_checkpoints = 8};
    snn_probe *p = probe(b.net, 1, 16, &run);
    assert_int_equal(snn_probe_run(p, &image, NULL, 1, NULL), SNN_OK);
    double before = 0, after = 0;
    for (int t = 0; t < 8; t++) {
      before += (u[t] - s[t]) * (u[t] - s[t]);
      after += (phi(u[t]) - s[t]) * (phi(u[t]) - s[t]);
      snn_probed got = snn_probe_read(p, (size_t)t, 0);
      assert_near(got.quantisation, before / (t + 1), 1e-15, "before");
      assert_near(got.rectified, after / (t + 1), 1e-6, "after");
    }
    assert_near(before, 0.6875, 1e-15, "the sum by hand");
    assert_true(after < before); /* what the rectifier is for */
    snn_probe_free(p);
    snn_network_free(b.net);
  }
}

static void test_moments(void **state) {
  (void)state;
  const snn_moments none = {0}, one = {.n = 1, .mean_x = 3, .mean_y = 5, .errors = 4};
  assert_true(isnan(snn_moments_correlation(&none)) && isnan(snn_moments_mean_error(&none)));
  assert_true(isnan(snn_moments_rms_error(&none)) && isnan(snn_moments_rms_y(&none)));
  assert_true(isnan(snn_moments_correlation(&one))); /* nothing varies */
  snn_moments same = snn_moments_join(&one, &none);
  assert_memory_equal(&same, &one, sizeof one);
  same = snn_moments_join(&none, &one);
  assert_memory_equal(&same, &one, sizeof one);
  /* deviations of a billionth beside a mean of a million: plain sums of squares would see none of it */
  snn_moments all = {0};
  for (int i = 0; i < 1000; i++) {
    double d = (i % 2 ? 1 : -1) / 1024.0;
    snn_moments next = {.n = 1, .mean_x = 1e6 + d, .mean_y = 2e6 - 3 * d};
    all = snn_moments_join(&all, &next);
  }
  assert_near(all.xx, 1000 / 1024.0 / 1024.0, 1e-6, "xx");
  assert_near(snn_moments_correlation(&all), -1, 1e-9, "correlation");
}

/* All pairs of an entry at once, plainly. */
typedef struct pairs {
  double *x, *y;
  size_t n;
} pairs;

static void compare(const snn_probed *got, const pairs *p) {
  double mx = 0, my = 0, xx = 0, yy = 0, xy = 0, errors = 0, squares = 0;
  for (size_t i = 0; i < p->n; i++) {
    mx += p->x[i] / (double)p->n;
    my += p->y[i] / (double)p->n;
    errors += (p->x[i] - p->y[i]) * (p->x[i] - p->y[i]);
    squares += p->y[i] * p->y[i];
  }
  for (size_t i = 0; i < p->n; i++) {
    xx += (p->x[i] - mx) * (p->x[i] - mx);
    yy += (p->y[i] - my) * (p->y[i] - my);
    xy += (p->x[i] - mx) * (p->y[i] - my);
  }
  assert_near(got->mean_error, mx - my, 1e-6, "mean error");
  assert_near(got->rms_error, sqrt(errors / (double)p->n), 1e-6, "rms error");
  assert_near(got->float_rms, sqrt(squares / (double)p->n), 1e-6, "float rms");
  assert_near(got->correlation, xx > 1e-12 && yy > 1e-12 ? xy / sqrt(xx * yy) : NAN, 1e-6, "correlation");
}

enum { T = 8, IMAGES = 3 };

static void check_entry(const snn_network *net, const naive *spiking, const naive *real, const snn_probed *got) {
  const uint32_t l = (uint32_t)got->layer;
  const size_t size = naive_size(&real[0], l);
  pairs p = {malloc(IMAGES * size * sizeof(double)), malloc(IMAGES * size * sizeof(double)), IMAGES * size};
  double fired = 0, first = 0, silent = 0;
  assert_true(p.x && p.y);
  for (size_t i = 0; i < p.n; i++) {
    const naive *s = &spiking[i / size];
    const size_t k = i % size;
    const snn_neurons *n = &net->nodes[l].neurons;
    p.y[i] = real[i / size].value[l][k];
    p.x[i] =
        got->is_readout ? s->scores[k] : s->sent[l][k] / T * per_channel(n->amplitude, n->n, k, net->nodes[l].shape.c);
    if (got->is_readout) continue;
    if (k == 0) fired += (double)s->fired[l];
    first += s->first[l][k];
    silent += s->first[l][k] == 0;
  }
  compare(got, &p);
  if (!got->is_readout) {
    double n = (double)p.n;
    assert_near(got->rate, fired / n / T, 1e-12, "rate");
    assert_near(got->silent, silent / n, 1e-12, "silent");
    bool known = spiking[0].neuron != SNN_NEURON_ASG && silent < n;
    assert_near(got->first_spike, known ? first / (n - silent) : NAN, 1e-12, "first spike");
    assert_int_equal(isnan(got->quantisation), spiking[0].neuron != SNN_NEURON_SRIF_MPR);
  }
  free(p.x);
  free(p.y);
}

/* Steps 3 and 8 on networks over all kinds of layers; what is compared with is the run of 8 steps. */
static void test_against_the_naive_simulation(void **state) {
  (void)state;
  static const uint32_t steps[] = {3, T};
  for (uint64_t number = 1; number <= 3; number++)
    for (int neuron = 0; neuron < SNN_NEURON_COUNT; neuron++) {
      builder b = dyadic_network(number, 1);
      const size_t pixels = snn_shape_size(b.net->nodes[0].shape);
      const float *images = dyadic_images(&b, IMAGES);
      snn_potentials initial[64];
      naive spiking[IMAGES], real[IMAGES];
      for (uint32_t l = 0; l < b.net->n_nodes; l++) initial[l] = (snn_potentials){.values = &half, .n = 1};
      for (int i = 0; i < IMAGES; i++) {
        spiking[i] = naive_run(b.net, images + (size_t)i * pixels, (snn_neuron)neuron, 0.5, neuron == 0, T, initial);
        real[i] = naive_float(b.net, images + (size_t)i * pixels);
      }
      const snn_run_options run = {.timesteps = T,
                                   .neuron = (snn_neuron)neuron,
                                   .tau = 0.5f,
                                   .init = SNN_INIT_HALF,
                                   .shift = neuron == 0, /* so that every T is a run of its own */
                                   .checkpoints = steps,
                                   .n_checkpoints = 2};
      snn_probe *first = NULL;
      for (uint32_t threads = 1; threads <= 4; threads++) {
        snn_probe *p = probe(b.net, threads, threads % 2 ? 0 : 5, &run);
        if (threads == 4) /* a picture a call */
          for (size_t i = 0; i < IMAGES; i++)
            assert_int_equal(snn_probe_run(p, images + i * pixels, NULL, 1, NULL), SNN_OK);
        else
          assert_int_equal(snn_probe_run(p, images, NULL, IMAGES, NULL), SNN_OK);
        if (!first) first = p;
        for (size_t e = 0; e < snn_probe_entries(p); e++)
          for (size_t row = 0; row < 2; row++) {
            snn_probed got = snn_probe_read(p, row, e), want = snn_probe_read(first, row, e);
            assert_int_equal(got.pictures, IMAGES);
            assert_int_equal(got.timesteps, steps[row]);
            assert_memory_equal(&got.correlation, &want.correlation, 9 * sizeof(double));
            if (p == first && row == 1) check_entry(b.net, spiking, real, &got);
          }
        if (p != first) snn_probe_free(p);
      }
      snn_probe_free(first);
      for (int i = 0; i < IMAGES; i++) {
        naive_free(&spiking[i]);
        naive_free(&real[i]);
      }
      snn_network_free(b.net);
    }
}

/* A table that scales thresholds: the same as thresholds scaled by hand, of which a spike is worth as much. */
static void test_scaled_thresholds(void **state) {
  (void)state;
  static const uint32_t t[] = {T};
  builder a = dyadic_network(2, 1), b = dyadic_network(2, 1);
  const float *images = dyadic_images(&a, IMAGES);
  snn_calibration *c = NULL;
  const snn_calibrate_options opt = {.method = SNN_INIT_MATCHED, .timesteps = t, .n_timesteps = 1};
  assert_int_equal(snn_calibrate(a.net, images, IMAGES, &opt, &c, NULL), SNN_OK);
  float factors[64];
  for (uint32_t i = 0; i < a.net->n_nodes; i++) {
    snn_neurons *n = &b.net->nodes[i].neurons;
    factors[i] = b.net->nodes[i].kind == SNN_LAYER_NEURON ? (i % 2 ? 0.5f : 2.0f) : 1.0f;
    if (b.net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    float *theta = snn_arena_alloc(&b.net->arena, n->n, sizeof *theta);
    for (uint32_t k = 0; k < n->n; k++) theta[k] = n->theta[k] * factors[i];
    n->theta = n->fire = n->amplitude = theta;
  }
  const snn_run_options run = {.timesteps = T, .init = SNN_INIT_MATCHED, .calibration = c};
  c->entries[0].factors = factors;
  snn_probe *scaled = probe(a.net, 2, 0, &run);
  assert_int_equal(snn_probe_run(scaled, images, NULL, IMAGES, NULL), SNN_OK);
  c->entries[0].factors = NULL;
  snn_probe *by_hand = probe(b.net, 1, 0, &run), *plain = probe(a.net, 1, 0, &run);
  assert_int_equal(snn_probe_run(by_hand, images, NULL, IMAGES, NULL), SNN_OK);
  assert_int_equal(snn_probe_run(plain, images, NULL, IMAGES, NULL), SNN_OK);
  for (size_t e = 0; e < snn_probe_entries(scaled); e++) {
    snn_probed got = snn_probe_read(scaled, 0, e), want = snn_probe_read(by_hand, 0, e);
    snn_probed other = snn_probe_read(plain, 0, e);
    assert_memory_equal(&got.correlation, &want.correlation, 9 * sizeof(double));
    assert_true(got.rms_error != other.rms_error);
  }
  snn_probe_free(scaled);
  snn_probe_free(by_hand);
  snn_probe_free(plain);
  snn_calibration_free(c);
  snn_network_free(a.net);
  snn_network_free(b.net);
}

/* Edge shapes: no neurons at all; layers of one neuron and of 70, one right behind the other; a run that is refused.
 */
static void test_edges(void **state) {
  (void)state;
  const float image = 1;
  snn_run_options run = {.timesteps = 2};
  builder b = begin(3, 1, 1, 1);
  add_dense(&b, 0, 3);
  finish(&b);
  snn_probe *p = probe(b.net, 2, 0, &run);
  assert_int_equal(snn_probe_entries(p), 1);
  assert_true(isnan(snn_probe_read(p, 0, 0).rms_error)); /* no picture yet */
  assert_int_equal(snn_probe_run(p, NULL, NULL, 0, NULL), SNN_OK);
  assert_int_equal(snn_probe_run(p, &image, NULL, 1, NULL), SNN_OK);
  snn_probed got = snn_probe_read(p, 0, 0);
  assert_true(got.is_readout && got.rms_error < 1e-6 && got.correlation > 0.999999);
  snn_probe_free(p);
  snn_network_free(b.net);

  b = begin(4, 1, 1, 1);
  add_dense(&b, add_neurons(&b, add_neurons(&b, add_conv(&b, 0, 70, square(1, 1, 0), 1), 70, 0.5f, 1), 1, 0.5f, 0.5f),
            1);
  finish(&b);
  p = probe(b.net, 1, 0, &run);
  assert_int_equal(snn_probe_entries(p), 3);
  assert_int_equal(snn_probe_run(p, &image, NULL, 1, NULL), SNN_OK);
  for (size_t e = 0; e < 2; e++) {
    got = snn_probe_read(p, 0, e);
    assert_true(got.layer == 2 + e && got.float_rms > 0 && got.silent > 0 && got.silent < 1 && got.rate > 0);
  }
  got = snn_probe_read(p, 0, 2);
  assert_true(isnan(got.correlation)); /* one score on one picture does not vary */
  assert_near(got.rms_error, fabs(got.mean_error), 1e-12, "of one pair");
  snn_probe_free(p);

  snn_error err = {0};
  run.init = SNN_INIT_DATA; /* without a calibration */
  p = probe(b.net, 1, 0, &run);
  assert_int_equal(snn_probe_run(p, &image, NULL, 1, &err), SNN_ERR_ARGUMENT);
  assert_string_equal(err.where, "init");
  snn_probe_free(p);
  snn_probe_free(NULL);
  snn_network_free(b.net);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand),           cmocka_unit_test(test_quantisation_by_hand),
      cmocka_unit_test(test_moments),           cmocka_unit_test(test_against_the_naive_simulation),
      cmocka_unit_test(test_scaled_thresholds), cmocka_unit_test(test_edges),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
