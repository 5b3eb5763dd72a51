/* Standing back: the core asks between small pieces of work and answers the same; the daemon's rests end, whether
 * requests do or not. */
#include <pthread.h>

#include "patience.h"
#include "run.h"
#include "server/courtesy.h"

enum { PICTURES = 6, STEPS = 6 };

/* ---- the core ---- */

static atomic_size_t n_rests;

static void count_rest(void *context) {
  assert_non_null(context);
  atomic_fetch_add(&n_rests, 1);
}

static atomic_uint wanted;
static const snn_courtesy counting = {.wanted = &wanted, .rest = count_rest, .context = &wanted};

/* Rests since the last call. */
static size_t take_rests(void) {
  return atomic_exchange(&n_rests, 0);
}

/* Output positions of all convolutions: each is at least one piece of work. */
static size_t positions_of(const snn_network *net) {
  size_t n = 0;
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (net->nodes[i].kind == SNN_LAYER_CONV) n += (size_t)net->nodes[i].shape.h * net->nodes[i].shape.w;
  return n;
}

static void check_run(const builder *b, const float *images, uint32_t threads, size_t batch, snn_run_options o) {
  snn_session *s = session(b->net, threads, 0);
  answers want = run(b->net, s, images, batch, &o);
  o.courtesy = &counting;
  atomic_store(&wanted, 0);
  answers got = run(b->net, s, images, batch, &o);
  assert_same(&want, &got);
  assert_int_equal(take_rests(), 0);
  free_answers(&got);
  atomic_store(&wanted, 1);
  got = run(b->net, s, images, batch, &o);
  assert_same(&want, &got);
  /* int8 does several outputs of narrow layers at once, asg up to a tile of them */
  size_t few = o.precision == SNN_PRECISION_INT8 ? 16 : 1;
  assert_true(take_rests() >= batch * positions_of(b->net) / few);
  free_answers(&got);
  float scores[PICTURES * 70];
  snn_error err = {0};
  assert_true(snn_network_classes(b->net) <= 70);
  assert_int_equal(snn_session_reference(s, images, batch, &o, scores, &err), SNN_OK);
  assert_true(take_rests() >= batch * positions_of(b->net));
  free_answers(&want);
  snn_session_free(s);
}

static void test_runs_ask_between_outputs(void **state) {
  (void)state;
  static const snn_neuron neurons[] = {SNN_NEURON_IF, SNN_NEURON_IF_SIGNED, SNN_NEURON_ASG};
  for (unsigned k = 0; k < 12; k++) {
    builder b = random_network(40 + k);
    float *images = random_images(&b, PICTURES);
    snn_run_options o = {.timesteps = STEPS, .neuron = neurons[k % 3], .init = SNN_INIT_HALF};
    if (k % 2) o.precision = snn_precision_for(b.net, &o);
    check_run(&b, images, 1, PICTURES, o);
    check_run(&b, images, 3, 2, o); /* a team for each picture */
    snn_network_free(b.net);
  }
}

static void test_calibration_asks_between_outputs(void **state) {
  (void)state;
  static const uint32_t steps[] = {STEPS};
  for (unsigned k = 0; k < 8; k++) {
    builder b = random_network(60 + k);
    float *images = random_images(&b, PICTURES);
    snn_calibrate_options opt = {.method = k % 2 ? SNN_INIT_MATCHED : SNN_INIT_DATA,
                                 .timesteps = steps,
                                 .n_timesteps = 1,
                                 .granularity = SNN_GRAIN_CHANNEL,
                                 .fit_thresholds = k % 4 == 1,
                                 .threads = 1 + k % 3,
                                 .courtesy = &counting};
    snn_calibration *made[2] = {NULL, NULL};
    snn_layer_match *match[2];
    snn_error err = {0};
    for (unsigned wants = 0; wants < 2; wants++) {
      atomic_store(&wanted, wants);
      assert_int_equal(snn_calibrate(b.net, images, PICTURES, &opt, &made[wants], &err), SNN_OK);
      assert_true(wants ? take_rests() >= PICTURES * positions_of(b.net) : take_rests() == 0);
      snn_run_options o = {.timesteps = STEPS, .init = opt.method, .calibration = made[wants], .courtesy = &counting};
      match[wants] = calloc(b.net->n_nodes, sizeof **match);
      assert_int_equal(snn_layers_match(b.net, images, PICTURES, &o, opt.threads, match[wants], &err), SNN_OK);
      assert_true(wants ? take_rests() >= PICTURES * positions_of(b.net) : take_rests() == 0);
    }
    assert_memory_equal(match[0], match[1], b.net->n_nodes * sizeof **match);
    for (uint32_t i = 0; i < b.net->n_nodes; i++) {
      size_t n[2];
      const float *x = snn_calibration_potentials(made[0], 0, i, &n[0]);
      const float *y = snn_calibration_potentials(made[1], 0, i, &n[1]);
      assert_true((x == NULL) == (y == NULL));
      if (!x) continue;
      assert_int_equal(n[0], n[1]);
      assert_memory_equal(x, y, n[0] * sizeof *x);
    }
    for (int i = 0; i < 2; i++) {
      free(match[i]);
      snn_calibration_free(made[i]);
    }
    snn_network_free(b.net);
  }
}

/* ---- the daemon ---- */

/* One look, as a job's computation takes it. */
static void look(const courtesy *c) {
  if (atomic_load(c->for_jobs.wanted)) c->for_jobs.rest(c->for_jobs.context);
}

static uint64_t rested(const courtesy *c) {
  return (uint64_t)(courtesy_rested_seconds(c) * 1e9 + 0.5);
}

static void *look_once(void *context) {
  look(context);
  return NULL;
}

static void test_no_rest_without_requests(void **state) {
  (void)state;
  courtesy c;
  courtesy_init(&c);
  for (int i = 0; i < 1000; i++) look(&c);
  courtesy_rest(&c);
  courtesy_begin(&c);
  courtesy_begin(&c);
  courtesy_end(&c);
  assert_int_equal(atomic_load(c.for_jobs.wanted), 1);
  courtesy_end(&c);
  courtesy_rest(&c);
  look(&c);
  assert_int_equal(rested(&c), 0);
}

/* A request that never ends: each rest is as long as rests get, and work follows it. */
static void test_a_rest_ends_and_work_follows(void **state) {
  (void)state;
  courtesy c;
  courtesy_init(&c);
  courtesy_begin(&c);
  uint64_t before = 0;
  for (int i = 0; i < 10; i++) {
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, look_once, &c), 0); /* one that has no allowance left */
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(rested(&c) - before >= (uint64_t)COURTESY_NAPS * COURTESY_NAP_NS);
    before = rested(&c);
  }
  /* This one works on between rests: not one for each look. */
  size_t looks = 0, rests = 0;
  for (struct timespec begin, now = {0}; rests < 20; looks++) {
    if (!now.tv_sec) clock_gettime(CLOCK_MONOTONIC, &begin);
    look(&c);
    if (rested(&c) != before) rests++;
    before = rested(&c);
    clock_gettime(CLOCK_MONOTONIC, &now);
    assert_true(now.tv_sec - begin.tv_sec < 120);
  }
  assert_true(looks > 20 * 20);
}

static void test_a_rest_outlasts_the_request(void **state) {
  (void)state;
  const struct timespec two_naps = {.tv_nsec = 2 * COURTESY_NAP_NS};
  courtesy c;
  courtesy_init(&c);
  courtesy_begin(&c);
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, look_once, &c), 0);
  nanosleep(&two_naps, NULL);
  courtesy_end(&c);
  assert_int_equal(pthread_join(thread, NULL), 0);
  /* a whole nap without a request is behind it, unless the thread came too late to see any */
  assert_true(rested(&c) == 0 || rested(&c) >= COURTESY_NAP_NS);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_runs_ask_between_outputs),    cmocka_unit_test(test_calibration_asks_between_outputs),
      cmocka_unit_test(test_no_rest_without_requests),    cmocka_unit_test(test_a_rest_ends_and_work_follows),
      cmocka_unit_test(test_a_rest_outlasts_the_request),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
