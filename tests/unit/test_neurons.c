/* Neuron models: each on a neuron computed by hand, the identities between them on whole networks, all of them against
 * a naive simulation, and answers that depend neither on threads, chunks, batches nor kernel tables. */
#include <sys/wait.h>

#include "naive.h"
#include "neurons/neurons.h"
#include "patience.h"
#include "run.h"

static const float zero = 0, half = 0.5f;
static const float tau = 0.5f;

/* ---- by hand ---- */

/* One neuron under a constant current, spikes cumulated. Stars mark the steps that fire. */
static void test_by_hand(void **state) {
  (void)state;
  enum { T = 8 };
  static const struct {
    snn_neuron neuron;
    snn_init init;
    uint32_t shift;
    float theta, image, tau;
    unsigned spikes[T];
  } cases[] = {
      /* v += I; s = [v >= theta]; v -= s theta: .375 .75 1.125* .5 .875 1.25* .625 1* */
      {SNN_NEURON_IF, SNN_INIT_ZERO, 0, 1, 0.375f, 0, {0, 0, 1, 1, 1, 2, 2, 3}},
      /* v += I + theta/2T: .4375 .875 1.3125* .75 1.1875* .625 1.0625* .5 */
      {SNN_NEURON_IF, SNN_INIT_ZERO, 1, 1, 0.375f, 0, {0, 0, 1, 1, 2, 2, 3, 3}},
      /* theta 2: I + 2/16 = .5 */
      {SNN_NEURON_IF, SNN_INIT_ZERO, 1, 2, 0.375f, 0, {0, 0, 0, 1, 1, 1, 1, 2}},
      /* v = 0 where s: .375 .75 1.125* .375 .75 1.125* .375 .75 */
      {SNN_NEURON_IF_HARD, SNN_INIT_ZERO, 0, 1, 0.375f, 0, {0, 0, 1, 1, 1, 2, 2, 2}},
      /* from theta/2: .875 1.25* .375 .75 1.125* .375 .75 1.125* */
      {SNN_NEURON_IF_HARD, SNN_INIT_HALF, 0, 1, 0.375f, 0, {0, 1, 1, 1, 2, 2, 2, 3}},
      /* v = tau v + I, v = 0 where s: .875 1.3125* .875 1.3125* ... */
      {SNN_NEURON_LIF, SNN_INIT_ZERO, 0, 1, 0.875f, 0.5f, {0, 1, 1, 2, 2, 3, 3, 4}},
      /* a leak that never lets it fire: v -> 2 I < theta */
      {SNN_NEURON_LIF, SNN_INIT_ZERO, 0, 1, 0.46875f, 0.5f, {0}},
      /* v -= s theta: .875 1.3125* (.3125) 1.03125* (.03125) .890625 1.3203* (.3203) 1.0352* (.0352) .8926 1.3213* */
      {SNN_NEURON_LIF_SOFT, SNN_INIT_ZERO, 0, 1, 0.875f, 0.5f, {0, 1, 2, 2, 3, 4, 4, 5}},
      /* s = [v >= theta/2]; v -= s theta: .375 .75* (-.25) .125 .5* (-.5) -.125 .25 .625* (-.375) 0 */
      {SNN_NEURON_SRIF, SNN_INIT_ZERO, 0, 1, 0.375f, 0, {0, 1, 1, 2, 2, 2, 3, 3}},
      {SNN_NEURON_SRIF, SNN_INIT_ZERO, 0, 4, 3, 0, {1, 2, 2, 3, 4, 5, 5, 6}}, /* 3* 2* 1 4* 3* 2* 1 4* */
      /* s = [phi(v / theta) >= 1/2], the same spikes */
      {SNN_NEURON_SRIF_MPR, SNN_INIT_ZERO, 0, 1, 0.375f, 0, {0, 1, 1, 2, 2, 2, 3, 3}},
      /* never driven below zero, so nothing is taken back */
      {SNN_NEURON_IF_SIGNED, SNN_INIT_ZERO, 0, 1, 0.375f, 0, {0, 0, 1, 1, 1, 2, 2, 3}},
      {SNN_NEURON_IF_SIGNED, SNN_INIT_ZERO, 0, 1, -3, 0, {0}},
  };
  static const uint32_t every[T] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    builder b = one_neuron(cases[i].theta);
    snn_session *s = session(b.net, 1, 3);
    snn_run_options o = {.timesteps = T,
                         .neuron = cases[i].neuron,
                         .tau = cases[i].tau,
                         .init = cases[i].init,
                         .shift = cases[i].shift,
                         .checkpoints = every,
                         .n_checkpoints = T};
    answers a = run(b.net, s, &cases[i].image, 1, &o);
    for (unsigned t = 0; t < T; t++) {
      unsigned n = cases[i].spikes[t];
      if (a.counts[4 * t + 2] != n)
        fail_msg("case %zu, step %u: %llu spikes, not %u", i, t + 1, (unsigned long long)a.counts[4 * t + 2], n);
      /* the output neither fires nor is shifted */
      assert_true(a.scores[t] == (float)((2.0 * (double)cases[i].theta * n + 0.25 * (t + 1)) / (t + 1)));
    }
    free_answers(&a);
    snn_session_free(s);
    snn_network_free(b.net);
  }
}

/* asg: count = clamp(floor((T A + v(0)) / theta), 0, T), A the mean current. */
static void test_asg_by_hand(void **state) {
  (void)state;
  static const struct {
    float theta, image;
    snn_init init;
    uint32_t shift, timesteps;
    unsigned spikes;
  } cases[] = {
      {1, 0.375f, SNN_INIT_ZERO, 0, 8, 3},       /* 3.0: exactly a threshold */
      {1, 0.375f, SNN_INIT_ZERO, 0, 4, 1},       /* 1.5 */
      {1, 0.375f, SNN_INIT_HALF, 0, 4, 2},       /* 1.5 + .5 */
      {1, 0.375f, SNN_INIT_ZERO, 1, 4, 2},       /* 4 (.375 + 1/8) */
      {1, 0.375f, SNN_INIT_HALF, 1, 4, 2},       /* 2.5 */
      {2, 0.375f, SNN_INIT_HALF, 1, 8, 2},       /* (3 + 1 + 1) / 2 */
      {1, 2.5f, SNN_INIT_ZERO, 0, 7, 7},         /* at most one a step */
      {1, -0.25f, SNN_INIT_HALF, 0, 100, 0},     /* never less than none */
      {0.25f, 0.125f, SNN_INIT_ZERO, 0, 1, 0},   /* .5 */
      {0.25f, 0.125f, SNN_INIT_ZERO, 0, 33, 16}, /* 16.5 */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    builder b = one_neuron(cases[i].theta);
    snn_session *s = session(b.net, 1, 3);
    uint32_t T = cases[i].timesteps;
    snn_run_options o = {.timesteps = T, .neuron = SNN_NEURON_ASG, .init = cases[i].init, .shift = cases[i].shift};
    answers a = run(b.net, s, &cases[i].image, 1, &o);
    if (a.counts[2] != cases[i].spikes)
      fail_msg("case %zu: %llu spikes, not %u", i, (unsigned long long)a.counts[2], cases[i].spikes);
    assert_true(a.scores[0] == (float)((2.0 * (double)cases[i].theta * cases[i].spikes + 0.25 * T) / T));
    assert_int_equal(a.counts[a.n_counts + 3], cases[i].spikes); /* accumulates */
    assert_int_equal(a.counts[2 * a.n_counts + 1], 1);           /* the image's multiply-accumulate, once */
    free_answers(&a);
    snn_session_free(s);
    snn_network_free(b.net);
  }
}

/* Image 1 -> A fires every step, B every fourth -> C gets A/2 - 3 B -> 2 C + 0.25. */
static builder early_network(void) {
  static const float in[] = {1, 0.25f}, no_bias[2], mix[] = {0.5f, -3}, theta[] = {1}, out[] = {2}, bias[] = {0.25f};
  builder b = begin(1, 1, 1, 1);
  snn_node c = {.kind = SNN_LAYER_CONV, .shape = {2, 0, 0}};
  snn_node neurons = {.kind = SNN_LAYER_NEURON,
                      .neurons = {.clip = INFINITY, .n = 1, .theta = theta, .fire = theta, .amplitude = theta}};
  c.conv = (snn_conv){.window = square(1, 1, 0), .groups = 1, .weights = in, .bias = no_bias};
  uint32_t at = append(&b, c, 1, &(uint32_t){0});
  at = append(&b, neurons, 1, &at);
  c.shape.c = 1;
  c.conv.weights = mix;
  at = append(&b, c, 1, &at);
  at = append(&b, neurons, 1, &at);
  c.conv.weights = out;
  c.conv.bias = bias;
  append(&b, c, 1, &at);
  finish(&b);
  return b;
}

/* if-signed: C's potential is .5 1* .5 -2* (it had fired, so it takes that back) -.5 0 .5 -2 (nothing to take back). */
static void test_signed_takes_back(void **state) {
  (void)state;
  enum { T = 8, C = 4 };
  static const uint32_t every[T] = {1, 2, 3, 4, 5, 6, 7, 8};
  static const unsigned fired[T] = {0, 1, 1, 2, 2, 2, 2, 2}, balance[T] = {0, 1, 1, 0, 0, 0, 0, 0};
  builder b = early_network();
  snn_session *s = session(b.net, 1, 3);
  const float image = 1;
  snn_run_options o = {.timesteps = T, .neuron = SNN_NEURON_IF_SIGNED, .checkpoints = every, .n_checkpoints = T};
  answers a = run(b.net, s, &image, 1, &o);
  for (unsigned t = 0; t < T; t++) {
    assert_int_equal(a.counts[6 * t + C], fired[t]); /* a taken-back spike is an event too */
    assert_int_equal(a.counts[a.n_counts + 6 * t + 5], fired[t]);
    assert_true(a.scores[t] == (float)((2.0 * balance[t] + 0.25 * (t + 1)) / (t + 1)));
  }
  free_answers(&a);
  o.neuron = SNN_NEURON_IF; /* which cannot: it keeps its one spike */
  a = run(b.net, s, &image, 1, &o);
  assert_int_equal(a.counts[6 * (T - 1) + C], 1);
  assert_true(a.scores[T - 1] == 0.5f);
  free_answers(&a);
  snn_session_free(s);
  snn_network_free(b.net);
}

/* phi(u) = 1 - (1 - u)^(1/3) below 0, tanh(3 (u - 1/2)) / (2 tanh(3/2)) + 1/2 up to 1, u^(1/3) above. */
static void test_mpr(void **state) {
  (void)state;
  static const float values[][2] = {{-26, -2},
                                    {-7, -1},
                                    {-1, -0.25992105f},
                                    {0, 0},
                                    {0.25f, 0.149146f},
                                    {0.5f, 0.5f},
                                    {0.75f, 0.850854f},
                                    {1, 1},
                                    {2, 1.25992105f},
                                    {8, 2},
                                    {27, 3}};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    if (!(fabsf(snn_mpr(values[i][0]) - values[i][1]) < 1e-6f))
      fail_msg("phi(%g) = %.9g, not %.9g", (double)values[i][0], (double)snn_mpr(values[i][0]), (double)values[i][1]);
  float before = -INFINITY;
  for (int i = -400000; i <= 400000; i++) { /* rises, and keeps its side of 1/2 */
    float u = (float)i / 65536.0f, phi = snn_mpr(u);
    assert_true((phi >= 0.5f) == (u >= 0.5f) && phi >= before);
    before = phi;
  }
  for (float u = 0.5f; u > 0.49999f; u = nextafterf(u, 0)) assert_true((snn_mpr(u) >= 0.5f) == (u >= 0.5f));
  for (float u = 0.5f; u < 0.50001f; u = nextafterf(u, 1)) assert_true(snn_mpr(u) >= 0.5f);
}

/* Neurons trained as spiking ones fire at 1/2, lose 1, send 1. Two spikes each in 4 steps of 0.375:
 * if, if-signed .375 .75* -.25+.375 .5*; hard .375 .75* .375 .75*; lif at tau 1/2 .375 .5625* .375 .5625*; srif fires
 * at 1/4: .375* -.25 .125 .5*; asg floor((1.5 + 1 - 1/2) / 1). */
static void test_fire_apart_from_theta(void **state) {
  (void)state;
  builder b = one_neuron(1);
  float fire[] = {0.5f};
  b.net->nodes[2].neurons.fire = fire;
  static const snn_neuron neurons[] = {SNN_NEURON_IF,   SNN_NEURON_IF_HARD, SNN_NEURON_LIF,
                                       SNN_NEURON_SRIF, SNN_NEURON_ASG,     SNN_NEURON_IF_SIGNED};
  const float image = 0.375f;
  snn_session *s = session(b.net, 1, 0);
  for (size_t i = 0; i < sizeof neurons / sizeof *neurons; i++) {
    snn_run_options o = {.timesteps = 4, .neuron = neurons[i], .tau = 0.5f};
    answers a = run(b.net, s, &image, 1, &o);
    if (a.counts[2] != 2)
      fail_msg("%s: %llu spikes, not 2", snn_neuron_name(neurons[i]), (unsigned long long)a.counts[2]);
    free_answers(&a);
  }
  snn_session_free(s);
  snn_network_free(b.net);
}

/* ---- whole networks ---- */

static const uint32_t checkpoints[] = {1, 2, 5, 16, 32};
enum { N_CHECKPOINTS = 5, LAST = 32 };

static answers answer(const builder *b, const float *images, size_t n, snn_neuron neuron, float leak, snn_init init) {
  snn_session *s = session(b->net, 1, 0);
  bool steps = neuron != SNN_NEURON_ASG;
  snn_run_options o = {.timesteps = LAST,
                       .neuron = neuron,
                       .tau = leak,
                       .init = init,
                       .checkpoints = steps ? checkpoints : NULL,
                       .n_checkpoints = steps ? N_CHECKPOINTS : 0};
  answers a = run(b->net, s, images, n, &o);
  snn_session_free(s);
  return a;
}

/* Two neurons (with inits) that are the same one, on networks of numbers that do not round. */
static void test_identities(void **state) {
  (void)state;
  static const struct {
    snn_neuron a;
    float tau_a;
    snn_init init_a;
    snn_neuron b;
    snn_init init_b;
    bool same;
  } pairs[] = {
      {SNN_NEURON_SRIF, 1, SNN_INIT_ZERO, SNN_NEURON_IF, SNN_INIT_HALF, true},
      {SNN_NEURON_SRIF_MPR, 1, SNN_INIT_ZERO, SNN_NEURON_SRIF, SNN_INIT_ZERO, true},
      {SNN_NEURON_SRIF_MPR, 1, SNN_INIT_WEIGHTS, SNN_NEURON_SRIF, SNN_INIT_WEIGHTS, true},
      {SNN_NEURON_LIF, 1, SNN_INIT_ZERO, SNN_NEURON_IF_HARD, SNN_INIT_ZERO, true},
      {SNN_NEURON_LIF, 1, SNN_INIT_HALF, SNN_NEURON_IF_HARD, SNN_INIT_HALF, true},
      {SNN_NEURON_LIF_SOFT, 1, SNN_INIT_HALF, SNN_NEURON_IF, SNN_INIT_HALF, true},
      {SNN_NEURON_LIF_SOFT, 1, SNN_INIT_WEIGHTS, SNN_NEURON_IF, SNN_INIT_WEIGHTS, true},
      /* and pairs that are not, so that sameness means something */
      {SNN_NEURON_SRIF, 1, SNN_INIT_HALF, SNN_NEURON_IF, SNN_INIT_HALF, false},
      {SNN_NEURON_LIF, 0.5f, SNN_INIT_ZERO, SNN_NEURON_IF_HARD, SNN_INIT_ZERO, false},
      {SNN_NEURON_LIF_SOFT, 0.5f, SNN_INIT_ZERO, SNN_NEURON_IF, SNN_INIT_ZERO, false},
      {SNN_NEURON_IF_HARD, 1, SNN_INIT_ZERO, SNN_NEURON_IF, SNN_INIT_ZERO, false},
      {SNN_NEURON_IF_SIGNED, 1, SNN_INIT_ZERO, SNN_NEURON_IF, SNN_INIT_ZERO, false},
  };
  enum { IMAGES = 3 };
  for (uint64_t number = 1; number <= 8; number++) {
    builder b = dyadic_network(number, 1);
    float *images = dyadic_images(&b, IMAGES);
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
      answers x = answer(&b, images, IMAGES, pairs[i].a, pairs[i].tau_a, pairs[i].init_a);
      answers y = answer(&b, images, IMAGES, pairs[i].b, 0, pairs[i].init_b);
      bool same = memcmp(x.scores, y.scores, x.n_scores * sizeof *x.scores) == 0 &&
                  memcmp(x.counts, y.counts, 3 * x.n_counts * sizeof *x.counts) == 0;
      if (same != pairs[i].same)
        fail_msg("network %llu: %s and %s are %s", (unsigned long long)number, snn_neuron_name(pairs[i].a),
                 snn_neuron_name(pairs[i].b), same ? "the same" : "not the same");
      free_answers(&x);
      free_answers(&y);
    }
    snn_network_free(b.net);
  }
}

/* Scores and spikes of every neuron, T, init and shift against naive.h; for asg that is Algorithm 1 of Yan, Zhou and
 * Wong, the mean current integrated step by step. */
static void test_against_naive(void **state) {
  (void)state;
  static const uint32_t steps[] = {1, 4, 8}; /* powers of two: means, shifts and some leaks do not round */
  for (uint64_t number = 1; number <= 6; number++) {
    builder b = dyadic_network(number, 1);
    const size_t layers = snn_network_layers(b.net), classes = snn_network_classes(b.net);
    float *image = dyadic_images(&b, 1);
    snn_session *s = session(b.net, 1, 3);
    snn_potentials *initial = calloc(layers, sizeof *initial);
    uint64_t spikes = 0;
    for (unsigned k = 0; k < SNN_NEURON_COUNT * 3 * 4; k++) {
      snn_run_options o = {.timesteps = steps[k / 4 % 3],
                           .neuron = (snn_neuron)(k / 12),
                           .tau = tau,
                           .init = k % 2 ? SNN_INIT_HALF : SNN_INIT_ZERO,
                           .shift = k / 2 % 2};
      for (size_t i = 0; i < layers; i++) initial[i] = (snn_potentials){.values = k % 2 ? &half : &zero, .n = 1};
      answers got = run(b.net, s, image, 1, &o);
      naive want = naive_run(b.net, image, o.neuron, (double)tau, o.shift, o.timesteps, initial);
      for (size_t i = 0; i < layers; i++) {
        spikes += got.counts[i];
        if (got.counts[i] != want.fired[i])
          fail_msg("network %llu, %s, T %u, init %s, shift %u, layer %zu: %llu spikes, not %llu",
                   (unsigned long long)number, snn_neuron_name(o.neuron), o.timesteps, snn_init_name(o.init), o.shift,
                   i, (unsigned long long)got.counts[i], (unsigned long long)want.fired[i]);
      }
      for (size_t c = 0; c < classes; c++)
        if (!(got.scores[c] == (float)want.scores[c]))
          fail_msg("network %llu, %s, T %u, init %s, shift %u: score %.9g, not %.9g", (unsigned long long)number,
                   snn_neuron_name(o.neuron), o.timesteps, snn_init_name(o.init), o.shift, (double)got.scores[c],
                   want.scores[c]);
      naive_free(&want);
      free_answers(&got);
    }
    assert_true(spikes > 1000);
    free(initial);
    snn_session_free(s);
    snn_network_free(b.net);
  }
}

/* With thresholds above all activations nothing saturates, and long runs of neurons that lose nothing give the float
 * network's scores; those that leak or reset hard lose drive for ever. */
static void test_convergence(void **state) {
  (void)state;
  enum { T = 2048 };
  for (uint64_t number = 1; number <= 5; number += number % 3) { /* the narrow ones: 1 2 4 5 */
    builder b = dyadic_network(number, 16);
    float *image = dyadic_images(&b, 1), want[3], got[3];
    snn_session *s = session(b.net, 2, 64);
    assert_int_equal(snn_session_reference(s, image, 1, NULL, want, NULL), SNN_OK);
    for (int n = 0; n < SNN_NEURON_COUNT; n++)
      for (uint32_t shift = 0; shift < 2; shift++) {
        snn_run_options o = {
            .timesteps = T, .neuron = (snn_neuron)n, .tau = 0.9f, .init = SNN_INIT_HALF, .shift = shift};
        assert_int_equal(snn_session_run(s, image, 1, &o, got, NULL, NULL), SNN_OK);
        float most = 0;
        for (int c = 0; c < 3; c++) most = fmaxf(most, fabsf(got[c] - want[c]));
        bool close = most < 0.15f;
        if (close != (snn_neuron_model_get(o.neuron)->resets_exactly))
          fail_msg("network %llu: scores of %s are %g from the float network's", (unsigned long long)number,
                   snn_neuron_name(o.neuron), (double)most);
      }
    snn_session_free(s);
    snn_network_free(b.net);
  }
}

/* The shift reaches neurons only: a network without any is left alone, its output too. */
static void test_shift_spares_the_output(void **state) {
  (void)state;
  builder b = begin(9, 2, 4, 4);
  uint32_t at = add_pool(&b, SNN_LAYER_MAXPOOL, add_conv(&b, 0, 5, square(3, 1, 1), 1), square(2, 2, 0));
  add_dense(&b, at, 4);
  finish(&b);
  float *image = random_images(&b, 1);
  snn_session *s = session(b.net, 1, 0);
  answers a[2];
  for (uint32_t shift = 0; shift < 2; shift++) {
    snn_run_options o = {.timesteps = 8, .shift = shift};
    a[shift] = run(b.net, s, image, 1, &o);
  }
  assert_same(&a[0], &a[1]);
  free_answers(&a[0]);
  free_answers(&a[1]);
  snn_session_free(s);
  snn_network_free(b.net);
}

/* ---- independence ---- */

enum { IMAGES = 3 };

static answers run_neuron(const builder *b, snn_session *s, const float *images, size_t batch, unsigned choice) {
  static const snn_init inits[] = {SNN_INIT_ZERO, SNN_INIT_HALF, SNN_INIT_WEIGHTS};
  snn_run_options o = {.timesteps = 13,
                       .neuron = (snn_neuron)(choice / 3),
                       .tau = 0.7f,
                       .init = inits[choice % 3],
                       .shift = choice / 2 % 2};
  answers all = make_answers(b->net, IMAGES, 1);
  const size_t pixels = snn_shape_size(b->net->nodes[0].shape), classes = snn_network_classes(b->net),
               layers = b->net->n_nodes;
  for (size_t i = 0; i < IMAGES; i += batch) {
    answers part = run(b->net, s, images + i * pixels, batch, &o);
    memcpy(all.scores + i * classes, part.scores, part.n_scores * sizeof *part.scores);
    for (size_t f = 0; f < 3; f++)
      memcpy(all.counts + f * all.n_counts + i * layers, part.counts + f * part.n_counts,
             part.n_counts * sizeof *part.counts);
    free_answers(&part);
  }
  return all;
}

static void test_independence(void **state) {
  (void)state;
  static const uint32_t threads[] = {1, 2, 3}, chunks[] = {1, 5, 64};
  for (uint64_t number = 60; number < 60 + cases(2); number++) {
    builder b = random_network(number);
    float *images = random_images(&b, IMAGES);
    answers want[SNN_NEURON_COUNT * 3];
    for (unsigned k = 0; k < SNN_NEURON_COUNT * 3; k++) { /* a fresh session each: nothing is left behind */
      snn_session *s = session(b.net, 1, 16);
      want[k] = run_neuron(&b, s, images, 1, k);
      snn_session_free(s);
    }
    for (unsigned i = 0; i < 9; i++) {
      snn_session *s = session(b.net, threads[i / 3], chunks[i % 3]);
      for (size_t batch = 1; batch <= IMAGES; batch += IMAGES - 1)
        for (unsigned k = 0; k < SNN_NEURON_COUNT * 3; k++) {
          answers got = run_neuron(&b, s, images, batch, k);
          assert_same(&want[k], &got);
          free_answers(&got);
        }
      snn_session_free(s);
    }
    for (unsigned k = 0; k < SNN_NEURON_COUNT * 3; k++) free_answers(&want[k]);
    snn_network_free(b.net);
  }
}

/* What this process's kernel table makes of many runs, as text: kernels are chosen once a process. */
static void print_digest(FILE *to) {
  uint64_t digest = 1469598103934665603u;
  for (uint64_t number = 70; number < 70 + cases(4); number++) {
    builder b = random_network(number);
    float *images = random_images(&b, IMAGES);
    snn_session *s = session(b.net, 1, 5);
    for (unsigned k = 0; k < SNN_NEURON_COUNT * 3; k++) {
      answers a = run_neuron(&b, s, images, IMAGES, k);
      const unsigned char *bytes[] = {(unsigned char *)a.scores, (unsigned char *)a.counts};
      const size_t n[] = {a.n_scores * sizeof *a.scores, 3 * a.n_counts * sizeof *a.counts};
      for (int p = 0; p < 2; p++)
        for (size_t i = 0; i < n[p]; i++) digest = (digest ^ bytes[p][i]) * 1099511628211u;
      free_answers(&a);
    }
    snn_session_free(s);
    snn_network_free(b.net);
  }
  fprintf(to, "%s %016llx\n", snn_kernels_name(), (unsigned long long)digest);
}

static void test_kernel_tables(void **state) {
  (void)state;
  char first[128] = "";
  for (unsigned k = 0; snn_kernels_available(k); k++) {
    const char *name = snn_kernels_available(k)->name;
    int ends[2], status;
    char text[128] = "", said[64] = "";
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      setenv("SPIKED_KERNELS", name, 1);
      if (dup2(ends[1], 1) < 0) _exit(1);
      execl("/proc/self/exe", "test_neurons", "digest", (char *)NULL);
      _exit(1);
    }
    close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    assert_non_null(from);
    bool read = fgets(text, sizeof text, from) != NULL;
    fclose(from);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(read && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_int_equal(sscanf(text, "%63s", said), 1);
    assert_string_equal(said, name);
    if (!*first) snprintf(first, sizeof first, "%s", strchr(text, ' '));
    if (strcmp(first, strchr(text, ' ')) != 0) fail_msg("%s gives other answers than the fastest table", name);
  }
}

int main(int argc, char **argv) {
  wait_patiently(argv);
  if (argc > 1 && strcmp(argv[1], "digest") == 0) {
    print_digest(stdout);
    return 0;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_asg_by_hand),
      cmocka_unit_test(test_signed_takes_back),
      cmocka_unit_test(test_mpr),
      cmocka_unit_test(test_fire_apart_from_theta),
      cmocka_unit_test(test_identities),
      cmocka_unit_test(test_against_naive),
      cmocka_unit_test(test_convergence),
      cmocka_unit_test(test_shift_spares_the_output),
      cmocka_unit_test(test_independence),
      cmocka_unit_test(test_kernel_tables),
  };
  return cmocka_run_group_tests_name("neurons", tests, NULL, NULL);
}
