/* Runs that end early: the rule by hand, that it is decided step by step whatever the chunks, that it leaves the other
 * images alone; budgets; scores of every step; what is refused; the float network's patience. */
#include "patience.h"
#include "run.h"

/* Image of two pixels -> two neurons of threshold 1 -> scores 4 * rate of each. */
static builder two_neurons(void) {
  builder b = begin(1, 2, 1, 1);
  float *numbers = random_floats(&b, 11, 0, 1);
  memcpy(numbers, (const float[]){1, 0, 0, 1, 0, 0, 1, 4, 0, 0, 4}, 11 * sizeof *numbers);
  snn_node c = {.kind = SNN_LAYER_CONV, .shape = {2, 0, 0}};
  c.conv = (snn_conv){.window = square(1, 1, 0), .groups = 1, .weights = numbers, .bias = numbers + 4};
  uint32_t at = append(&b, c, 1, &(uint32_t){0});
  snn_neurons p = {.clip = INFINITY, .n = 1, .theta = numbers + 6, .fire = numbers + 6, .amplitude = numbers + 6};
  at = append(&b, (snn_node){.kind = SNN_LAYER_NEURON, .neurons = p}, 1, &at);
  c.conv.weights = numbers + 7;
  append(&b, c, 1, &at);
  finish(&b);
  return b;
}

/* Everything of a run that may end early. */
typedef struct early {
  answers a;
  uint32_t used[8];
  float steps[8 * 64 * 70];
  snn_first_spikes first[8 * 64];
} early;

static snn_status run_early(const snn_network *net, snn_session *s, const float *images, size_t batch,
                            const snn_run_options *o, early *e, snn_error *err) {
  e->a = make_answers(net, batch, 1);
  memset(e->used, 0xff, sizeof e->used);
  memset(e->steps, 0xff, sizeof e->steps);
  assert_true(batch * snn_network_layers(net) <= sizeof e->first / sizeof *e->first);
  assert_true(batch * o->timesteps * snn_network_classes(net) <= sizeof e->steps / sizeof *e->steps);
  snn_run_stats stats = {.spikes = e->a.counts,
                         .synaptic_operations = e->a.counts + e->a.n_counts,
                         .macs = e->a.counts + 2 * e->a.n_counts,
                         .first_spikes = e->first,
                         .timesteps_used = e->used,
                         .step_scores = e->steps};
  return snn_session_run(s, images, batch, o, e->a.scores, &stats, err);
}

static void test_rule_by_hand(void **state) {
  (void)state;
  /* pixels 1 and .5 from zero: spikes 1 2 3 4 ... and 0 1 1 2 ..., scores 4,0  4,2  4,1.33  4,2: the probability leads
   * by tanh of half the difference: .964 .762 .870 .762 */
  static const float image[] = {1, 0.5f};
  static const struct {
    float margin;
    uint32_t patience, used;
  } cases[] = {
      {0.7f, 1, 1},  {0.7f, 3, 3},   {0.7f, 20, 20}, {0.7f, 30, 24}, {0.8f, 1, 1},
      {0.8f, 2, 24}, {0.97f, 1, 24}, {0, 5, 5},      {1, 1, 24},     {0, 0, 24},
  };
  builder b = two_neurons();
  for (uint32_t chunk = 1; chunk <= 16; chunk += 5) {
    snn_session *s = session(b.net, 1, chunk);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
      snn_run_options o = {.timesteps = 24, .stop_margin = cases[i].margin, .stop_patience = cases[i].patience};
      early e;
      assert_int_equal(run_early(b.net, s, image, 1, &o, &e, NULL), SNN_OK);
      assert_int_equal(e.used[0], cases[i].used);
      assert_int_equal(e.a.counts[2], cases[i].used + cases[i].used / 2); /* spikes of both neurons */
      assert_true(e.a.scores[0] == 4.0f);
      free_answers(&e.a);
    }
    snn_session_free(s);
  }
  snn_network_free(b.net);
}

/* The lead must be one and the same class's: pixels that take turns never let go. */
static void test_leader_must_stay(void **state) {
  (void)state;
  builder b = two_neurons();
  snn_session *s = session(b.net, 1, 0);
  static const float ties[] = {1, 1};
  snn_run_options o = {.timesteps = 9, .stop_margin = 0.01f, .stop_patience = 1};
  early e;
  assert_int_equal(run_early(b.net, s, ties, 1, &o, &e, NULL), SNN_OK);
  assert_int_equal(e.used[0], 9); /* equal scores lead by nothing */
  free_answers(&e.a);
  /* .375 and .4375 from half: spikes after 1..9 steps 0 1 1 2 2 2 3 3 3 and 0 1 1 2 2 3 3 4 4: the second leads from
   * step 6 on, not at 7, then at 8 and 9 */
  static const float close[] = {0.375f, 0.4375f};
  o.init = SNN_INIT_HALF;
  for (uint32_t patience = 1; patience <= 3; patience++) {
    o.stop_patience = patience;
    assert_int_equal(run_early(b.net, s, close, 1, &o, &e, NULL), SNN_OK);
    assert_int_equal(e.used[0], patience == 1 ? 6 : 9);
    free_answers(&e.a);
  }
  snn_session_free(s);
  snn_network_free(b.net);
}

/* An image that ends at step k has the scores and counters of a run of k steps, in every batch, at every thread count
 * and chunk length; those that do not end are as if there were no rule. */
static void test_early_answers_are_short_runs(void **state) {
  (void)state;
  enum { IMAGES = 6, T = 40 };
  static const uint32_t chunks[] = {1, 3, 16};
  uint32_t ended_early = 0, ran_on = 0, in_int8 = 0;
  for (uint64_t number = 1; number <= 10; number++) {
    builder b = small_network(number, 0.5f);
    float *images = random_images(&b, IMAGES);
    const size_t pixels = snn_shape_size(b.net->nodes[0].shape), classes = snn_network_classes(b.net);
    const size_t layers = snn_network_layers(b.net);
    snn_run_options o = {.timesteps = T, .init = SNN_INIT_HALF, .stop_margin = 0.12f, .stop_patience = 6};
    o.encoding = number % 2 ? SNN_ENCODING_DIRECT : SNN_ENCODING_RATE;
    if (number % 4 == 1 && snn_int8_takes(b.net, &o, NULL) == SNN_OK) {
      o.precision = SNN_PRECISION_INT8;
      in_int8++;
    }
    uint32_t used[IMAGES] = {0};
    for (uint32_t threads = 1; threads <= 3; threads++)
      for (size_t j = 0; j < 3; j++) {
        snn_session *s = session(b.net, threads, chunks[j]);
        early e;
        assert_int_equal(run_early(b.net, s, images, IMAGES, &o, &e, NULL), SNN_OK);
        for (size_t i = 0; i < IMAGES; i++) {
          assert_in_range(e.used[i], o.stop_patience, T);
          assert_true(!used[i] || used[i] == e.used[i]);
          used[i] = e.used[i];
          const uint32_t place = (uint32_t)i;
          snn_run_options plain = {.timesteps = used[i],
                                   .init = SNN_INIT_HALF,
                                   .encoding = o.encoding,
                                   .precision = o.precision,
                                   .image_numbers = &place};
          early one;
          assert_int_equal(run_early(b.net, s, images + i * pixels, 1, &plain, &one, NULL), SNN_OK);
          assert_int_equal(one.used[0], used[i]);
          assert_memory_equal(one.a.scores, e.a.scores + i * classes, classes * sizeof(float));
          assert_memory_equal(one.steps, e.steps + i * T * classes, used[i] * classes * sizeof(float));
          for (size_t f = 0; f < 3; f++)
            assert_memory_equal(one.a.counts + f * one.a.n_counts, e.a.counts + f * e.a.n_counts + i * layers,
                                layers * sizeof(uint64_t));
          assert_memory_equal(one.first, e.first + i * layers, layers * sizeof *e.first);
          free_answers(&one.a);
        }
        free_answers(&e.a);
        snn_session_free(s);
      }
    for (size_t i = 0; i < IMAGES; i++) used[i] < T ? ended_early++ : ran_on++;
    snn_network_free(b.net);
  }
  assert_true(ended_early >= 5 && ran_on >= 5 && in_int8 >= 2); /* or nothing was compared */
}

static void test_scores_of_every_step(void **state) {
  (void)state;
  enum { T = 9 };
  static const uint32_t every[T] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  builder b = small_network(2, 0.5f);
  float *images = random_images(&b, 2);
  snn_session *s = session(b.net, 2, 4);
  snn_run_options o = {.timesteps = T, .checkpoints = every, .n_checkpoints = T};
  answers want = run(b.net, s, images, 2, &o);
  o.checkpoints = NULL;
  early e;
  assert_int_equal(run_early(b.net, s, images, 2, &o, &e, NULL), SNN_OK);
  assert_memory_equal(e.steps, want.scores, want.n_scores * sizeof(float));
  free_answers(&want);
  free_answers(&e.a);
  snn_session_free(s);
  snn_network_free(b.net);
}

/* A budget decides how many steps are run, at least one, and nothing else. */
static void test_budget(void **state) {
  (void)state;
  enum { IMAGES = 3, T = 40 };
  static const uint64_t budgets[] = {1, 300000, 3600000000000u};
  builder b = begin(40, 3, 16, 16);
  add_dense(&b, add_neurons(&b, add_conv(&b, 0, 32, square(3, 1, 1), 1), 1, 0.2f, 0.4f), 4);
  finish(&b);
  float *images = random_images(&b, IMAGES);
  const size_t pixels = snn_shape_size(b.net->nodes[0].shape);
  for (uint32_t threads = 1; threads <= 4; threads += 3) {
    snn_session *s = session(b.net, threads, 8);
    for (size_t k = 0; k < 3; k++) {
      snn_run_options o = {.timesteps = T, .budget_ns = budgets[k]};
      early e;
      assert_int_equal(run_early(b.net, s, images, IMAGES, &o, &e, NULL), SNN_OK);
      for (size_t i = 0; i < IMAGES; i++) {
        assert_in_range(e.used[i], 1, T);
        if (k == 0) assert_int_equal(e.used[i], 1);
        if (k == 2) assert_int_equal(e.used[i], T);
        answers one = run(b.net, s, images + i * pixels, 1, &(snn_run_options){.timesteps = e.used[i]});
        assert_memory_equal(one.scores, e.a.scores + 4 * i, 4 * sizeof(float));
        assert_memory_equal(one.counts, e.a.counts + 4 * i, 4 * sizeof(uint64_t));
        free_answers(&one);
      }
      free_answers(&e.a);
    }
    snn_session_free(s);
  }
  snn_network_free(b.net);
}

static void test_refused(void **state) {
  (void)state;
  static const uint32_t steps[] = {2, 4};
  const struct {
    snn_run_options o;
    bool trace;
    const char *field;
  } cases[] = {
      {{.timesteps = 4, .neuron = SNN_NEURON_ASG, .stop_patience = 1}, false, "stop"},
      {{.timesteps = 4, .neuron = SNN_NEURON_ASG, .budget_ns = 1}, false, "budget_ms"},
      {{.timesteps = 4, .neuron = SNN_NEURON_ASG}, true, "trace"},
      {{.timesteps = 4, .stop_patience = 1, .stop_margin = -0.1f}, false, "stop"},
      {{.timesteps = 4, .stop_patience = 1, .stop_margin = 1.1f}, false, "stop"},
      {{.timesteps = 4, .stop_patience = 1, .stop_margin = NAN}, false, "stop"},
      {{.timesteps = 4, .stop_patience = 1, .checkpoints = steps, .n_checkpoints = 2}, false, "stop"},
      {{.timesteps = 4, .budget_ns = 1, .checkpoints = steps, .n_checkpoints = 2}, false, "budget_ms"},
      {{.timesteps = 4, .readout = SNN_READOUT_COUNT}, false, "readout"},
  };
  builder b = two_neurons();
  snn_session *s = session(b.net, 1, 0);
  static const float image[] = {1, 1};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    float scores[2], trace[8];
    snn_error err = {0};
    snn_run_stats stats = {.step_scores = cases[i].trace ? trace : NULL};
    assert_int_equal(snn_session_run(s, image, 1, &cases[i].o, scores, &stats, &err), SNN_ERR_ARGUMENT);
    assert_string_equal(err.where, cases[i].field);
  }
  snn_session_free(s);
  snn_network_free(b.net);
}

/* The output layer's threshold is 2 here: a drive of 4 a step fires every step, one of 1 every other one. */
static void test_count_by_hand(void **state) {
  (void)state;
  builder b = two_neurons();
  b.net->output_threshold = 2;
  snn_session *s = session(b.net, 1, 3);
  static const float image[] = {1, 0.25f};
  snn_run_options o = {.timesteps = 8, .readout = SNN_READOUT_COUNT};
  answers a = run(b.net, s, image, 1, &o);
  /* the second neuron fires at steps 4 and 8 and brings 4 each time, enough for two: at 4 5 8 and, too late, 9 */
  assert_true(a.scores[0] == 2.0f && a.scores[1] == 3 * 2.0f / 8);
  assert_int_equal(a.counts[3], 8 + 3);
  free_answers(&a);
  o.init = SNN_INIT_HALF; /* it fires at 2 and 6, and the output starts from 1: at 2 3 6 7 */
  a = run(b.net, s, image, 1, &o);
  assert_true(a.scores[0] == 2.0f && a.scores[1] == 4 * 2.0f / 8);
  free_answers(&a);
  snn_session_free(s);
  snn_network_free(b.net);
}

static void test_reference_stops(void **state) {
  (void)state;
  builder b = two_neurons();
  static const float images[8] = {1, 1};
  for (uint32_t threads = 1; threads <= 3; threads += 2) {
    snn_session *s = session(b.net, threads, 0);
    for (size_t batch = 1; batch <= 4; batch += 3) {
      float scores[8];
      snn_error err = {0};
      atomic_bool raised = true, not_raised = false;
      snn_run_options o = {.cancel = &raised};
      assert_int_equal(snn_session_reference(s, images, batch, &o, scores, &err), SNN_ERR_CANCELLED);
      assert_int_equal(err.status, SNN_ERR_CANCELLED);
      o = (snn_run_options){.deadline_ns = 1};
      assert_int_equal(snn_session_reference(s, images, batch, &o, scores, NULL), SNN_ERR_DEADLINE);
      o = (snn_run_options){.cancel = &not_raised, .deadline_ns = UINT64_MAX};
      assert_int_equal(snn_session_reference(s, images, batch, &o, scores, NULL), SNN_OK);
      assert_true(scores[0] == 4.0f);
    }
    snn_session_free(s);
  }
  snn_network_free(b.net);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rule_by_hand),
      cmocka_unit_test(test_leader_must_stay),
      cmocka_unit_test(test_early_answers_are_short_runs),
      cmocka_unit_test(test_scores_of_every_step),
      cmocka_unit_test(test_budget),
      cmocka_unit_test(test_refused),
      cmocka_unit_test(test_count_by_hand),
      cmocka_unit_test(test_reference_stops),
  };
  return cmocka_run_group_tests_name("anytime", tests, NULL, NULL);
}
