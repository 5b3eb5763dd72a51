/* Options of sessions and runs: what is refused, under which name; defaults; the names of choices. */
#include "build.h"
#include "snn/snn.h"

static void test_options_refused(void **state) {
  (void)state;
  builder b = one_neuron(1);
  snn_session *s = NULL;
  assert_int_equal(snn_session_create(b.net, &(snn_session_options){.threads = 1}, &s, NULL), SNN_OK);
  static const uint32_t zero[] = {0, 4}, falling[] = {2, 1, 4}, twice[] = {2, 2, 4}, early[] = {1, 3}, late[] = {4, 5},
                        steps[] = {2, 4};
  const struct {
    snn_run_options o;
    const char *field;
  } cases[] = {
      {{.timesteps = 0}, "timesteps"},
      {{.timesteps = SNN_MAX_TIMESTEPS + 1}, "timesteps"},
      {{.timesteps = 4, .neuron = SNN_NEURON_COUNT}, "neuron"},
      {{.timesteps = 4, .init = SNN_INIT_COUNT}, "init"},
      {{.timesteps = 4, .encoding = SNN_N_ENCODINGS}, "encoding"},
      {{.timesteps = 4, .readout = SNN_N_READOUTS}, "readout"},
      {{.timesteps = 4, .precision = SNN_PRECISION_COUNT}, "precision"},
      {{.timesteps = 4, .init = (snn_init)-1}, "init"},
      {{.timesteps = 4, .checkpoints = zero, .n_checkpoints = 2}, "checkpoints"},
      {{.timesteps = 4, .checkpoints = falling, .n_checkpoints = 3}, "checkpoints"},
      {{.timesteps = 4, .checkpoints = twice, .n_checkpoints = 3}, "checkpoints"},
      {{.timesteps = 4, .checkpoints = early, .n_checkpoints = 2}, "checkpoints"},
      {{.timesteps = 4, .checkpoints = late, .n_checkpoints = 2}, "checkpoints"},
      {{.timesteps = 4, .checkpoints = late, .n_checkpoints = 0}, "checkpoints"},
      {{.timesteps = 4, .neuron = SNN_NEURON_ASG, .checkpoints = steps, .n_checkpoints = 2}, "checkpoints"},
      {{.timesteps = 4, .neuron = SNN_NEURON_LIF, .tau = 0}, "tau"},
      {{.timesteps = 4, .neuron = SNN_NEURON_LIF, .tau = 1.0001f}, "tau"},
      {{.timesteps = 4, .neuron = SNN_NEURON_LIF_SOFT, .tau = -0.5f}, "tau"},
      {{.timesteps = 4, .neuron = SNN_NEURON_LIF_SOFT, .tau = NAN}, "tau"},
      {{.timesteps = 4, .shift = 2}, "shift"},
      {{.timesteps = 4, .init = SNN_INIT_DATA}, "init"},
      {{.timesteps = 4, .init = SNN_INIT_COMPENSATED}, "init"},
      {{.timesteps = 4, .init = SNN_INIT_MATCHED}, "init"},
  };
  const float image = 1;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    float score = 42;
    snn_error err = {0};
    assert_int_equal(snn_session_run(s, &image, 1, &cases[i].o, &score, NULL, &err), SNN_ERR_ARGUMENT);
    assert_string_equal(err.where, cases[i].field);
    assert_true(*err.text && score == 42.0f);
    assert_int_equal(snn_session_run(s, &image, 1, &cases[i].o, &score, NULL, NULL), SNN_ERR_ARGUMENT);
  }
  float score;
  snn_run_options fine = {.timesteps = 4, .neuron = SNN_NEURON_IF, .tau = 0}; /* tau is for neurons that leak */
  assert_int_equal(snn_session_run(s, &image, 1, &fine, &score, NULL, NULL), SNN_OK);
  fine = (snn_run_options){.timesteps = 4, .neuron = SNN_NEURON_ASG, .checkpoints = steps + 1, .n_checkpoints = 1};
  assert_int_equal(snn_session_run(s, &image, 1, &fine, &score, NULL, NULL), SNN_OK);
  snn_session_free(s);
  const struct {
    snn_session_options o;
    const char *field;
  } sessions[] = {{{.threads = 1025}, "threads"}, {{.threads = 1, .chunk = 65}, "chunk"}};
  for (size_t i = 0; i < 2; i++) {
    snn_error err = {0};
    s = NULL;
    assert_int_equal(snn_session_create(b.net, &sessions[i].o, &s, &err), SNN_ERR_ARGUMENT);
    assert_string_equal(err.where, sessions[i].field);
    assert_null(s);
  }
  assert_int_equal(snn_session_create(b.net, NULL, &s, NULL), SNN_OK);
  assert_int_equal(snn_session_threads(s), snn_thread_budget());
  snn_session_free(s);
  snn_session_free(NULL);
  snn_network_free(b.net);
  snn_network_free(NULL);
}

static void test_defaults_and_names(void **state) {
  (void)state;
  builder b = one_neuron(1);
  snn_run_options o = snn_run_defaults(b.net);
  assert_int_equal(o.timesteps, 32);
  assert_int_equal(o.init, SNN_INIT_HALF);
  assert_null(o.checkpoints);
  b.net->recommended.timesteps = 7;
  b.net->recommended.init = SNN_INIT_ZERO;
  o = snn_run_defaults(b.net);
  assert_int_equal(o.timesteps, 7);
  assert_int_equal(o.init, SNN_INIT_ZERO);
  snn_network_free(b.net);

  snn_neuron neuron = (snn_neuron)9;
  snn_init init = (snn_init)9;
  snn_encoding encoding = (snn_encoding)9;
  snn_readout readout = (snn_readout)9;
  snn_precision precision = (snn_precision)9;
  for (int i = 0; i < SNN_NEURON_COUNT; i++)
    assert_true(snn_neuron_parse(snn_neuron_name((snn_neuron)i), &neuron) && (int)neuron == i);
  for (int i = 0; i < SNN_INIT_COUNT; i++)
    assert_true(snn_init_parse(snn_init_name((snn_init)i), &init) && (int)init == i);
  for (int i = 0; i < SNN_N_ENCODINGS; i++)
    assert_true(snn_encoding_parse(snn_encoding_name((snn_encoding)i), &encoding) && (int)encoding == i);
  for (int i = 0; i < SNN_N_READOUTS; i++)
    assert_true(snn_readout_parse(snn_readout_name((snn_readout)i), &readout) && (int)readout == i);
  for (int i = 0; i < SNN_PRECISION_COUNT; i++)
    assert_true(snn_precision_parse(snn_precision_name((snn_precision)i), &precision) && (int)precision == i);
  assert_false(snn_neuron_parse("IF", &neuron) || snn_init_parse("", &init) ||
               snn_encoding_parse("direct ", &encoding) || snn_readout_parse("pot", &readout) ||
               snn_precision_parse("float", &precision));
  for (int i = 0; i <= SNN_NEURON_COUNT; i++) {
    const snn_neuron n = (snn_neuron)i;
    assert_true(snn_neuron_leaks(n) == (n == SNN_NEURON_LIF || n == SNN_NEURON_LIF_SOFT));
    assert_true(snn_neuron_is_ternary(n) == (n == SNN_NEURON_IF_SIGNED));
  }
  assert_null(snn_neuron_name(SNN_NEURON_COUNT));
  assert_null(snn_init_name(SNN_INIT_COUNT));
  assert_null(snn_encoding_name((snn_encoding)-1));
  assert_null(snn_readout_name(SNN_N_READOUTS));
  assert_null(snn_precision_name(SNN_PRECISION_COUNT));
  assert_true(*snn_kernels_name());
}

/* Which runs go through the answers of shorter ones. */
static void test_cumulative(void **state) {
  (void)state;
  for (int neuron = 0; neuron < SNN_NEURON_COUNT; neuron++)
    for (int init = 0; init < SNN_INIT_COUNT; init++)
      for (uint32_t shift = 0; shift <= 1; shift++) {
        const snn_run_options run = {
            .timesteps = 8, .neuron = (snn_neuron)neuron, .init = (snn_init)init, .shift = shift};
        bool expected = neuron != SNN_NEURON_ASG && init <= SNN_INIT_HALF && shift == 0;
        assert_int_equal(snn_run_is_cumulative(&run), expected);
        assert_int_equal(snn_neuron_has_steps((snn_neuron)neuron), neuron != SNN_NEURON_ASG);
      }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_options_refused),
      cmocka_unit_test(test_defaults_and_names),
      cmocka_unit_test(test_cumulative),
  };
  return cmocka_run_group_tests_name("options", tests, NULL, NULL);
}
