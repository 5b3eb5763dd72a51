/* First spikes (IC-SNN, Fig. 6): a neuron by hand, every neuron model against the naive simulation, and counts that
 * depend neither on threads nor on chunks. */
#include "naive.h"
#include "run.h"

static const float half = 0.5f;

/* v: .375 .75 1.125*: silent for two steps, then one neuron whose first step is 3, for good. */
static void test_by_hand(void **state) {
  (void)state;
  enum { T = 8, LAYERS = 4 };
  static const uint32_t every[T] = {1, 2, 3, 4, 5, 6, 7, 8};
  const float images[] = {0.375f, -1, 2};
  static const uint32_t first[] = {3, 0, 1}; /* 0: never */
  builder b = one_neuron(1);
  snn_session *s = session(b.net, 1, 3);
  snn_run_options o = {.timesteps = T, .checkpoints = every, .n_checkpoints = T};
  snn_first_spikes got[3][T][LAYERS];
  float scores[3 * T];
  snn_run_stats stats = {.first_spikes = &got[0][0][0]};
  assert_int_equal(snn_session_run(s, images, 3, &o, scores, &stats, NULL), SNN_OK);
  for (int i = 0; i < 3; i++)
    for (uint32_t t = 1; t <= T; t++)
      for (int l = 0; l < LAYERS; l++) {
        bool fired = l == 2 && first[i] && t >= first[i];
        assert_int_equal(got[i][t - 1][l].neurons, fired);
        assert_int_equal(got[i][t - 1][l].steps, fired ? first[i] : 0);
      }
  o = (snn_run_options){.timesteps = T, .neuron = SNN_NEURON_ASG}; /* no steps, but 3 and 16 / 8 spikes */
  assert_int_equal(snn_session_run(s, images, 3, &o, scores, &stats, NULL), SNN_OK);
  for (int i = 0; i < 3; i++) {
    const snn_first_spikes *f = &got[0][0][0] + i * LAYERS + 2;
    assert_int_equal(f->neurons, first[i] != 0);
    assert_int_equal(f->steps, 0);
  }
  assert_false(snn_neuron_has_steps(SNN_NEURON_ASG));
  assert_true(snn_neuron_has_steps(SNN_NEURON_IF_SIGNED));
  assert_false(snn_neuron_has_steps((snn_neuron)99));
  snn_session_free(s);
  snn_network_free(b.net);
}

/* Every neuron model on networks of layers narrower and wider than a word, at every step. */
static void test_against_the_naive_simulation(void **state) {
  (void)state;
  enum { T = 8 };
  const float tau = 0.5f;
  static const uint32_t every[T] = {1, 2, 3, 4, 5, 6, 7, 8}, last[] = {T};
  for (uint64_t number = 1; number <= 3; number++)
    for (int neuron = 0; neuron < SNN_NEURON_COUNT; neuron++) {
      const bool steps = snn_neuron_has_steps((snn_neuron)neuron);
      builder b = dyadic_network(number, 1);
      const size_t layers = b.net->n_nodes, rows = steps ? T : 1;
      const float *image = dyadic_images(&b, 1);
      snn_potentials initial[64];
      for (size_t l = 0; l < layers; l++) initial[l] = (snn_potentials){.values = &half, .n = 1};
      naive want = naive_run(b.net, image, (snn_neuron)neuron, (double)tau, false, T, initial);
      snn_run_options o = {.timesteps = T, .neuron = (snn_neuron)neuron, .tau = tau, .init = SNN_INIT_HALF};
      o.checkpoints = steps ? every : last;
      o.n_checkpoints = rows;
      for (uint32_t threads = 1; threads <= 3; threads++) {
        static const uint32_t chunks[] = {1, 5, 16};
        snn_session *s = session(b.net, threads, chunks[threads - 1]);
        snn_first_spikes *got = calloc(rows * layers, sizeof *got);
        float scores[3 * T];
        snn_run_stats stats = {.first_spikes = got};
        assert_int_equal(snn_session_run(s, image, 1, &o, scores, &stats, NULL), SNN_OK);
        for (size_t k = 0; k < rows; k++)
          for (uint32_t l = 0; l < layers; l++) {
            snn_first_spikes sum = {0};
            for (size_t i = 0; b.net->nodes[l].kind == SNN_LAYER_NEURON && i < naive_size(&want, l); i++) {
              if (want.first[l][i] == 0 || want.first[l][i] > (double)o.checkpoints[k]) continue;
              /* a whole run that takes no steps fires where spikes are left */
              sum.neurons++;
              sum.steps += steps ? (uint64_t)want.first[l][i] : 0;
            }
            assert_int_equal(got[k * layers + l].neurons, sum.neurons);
            assert_int_equal(got[k * layers + l].steps, sum.steps);
          }
        free(got);
        snn_session_free(s);
      }
      naive_free(&want);
      snn_network_free(b.net);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_hand),
      cmocka_unit_test(test_against_the_naive_simulation),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
