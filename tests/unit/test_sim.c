/* Sessions: a neuron's life by hand, answers that depend neither on threads nor on chunks nor on what else runs,
 * checkpoints, cancellation, deadlines. What numbers come out of whole networks is test_golden's. */
#include <pthread.h>
#include <time.h>

#include "patience.h"
#include "run.h"

/* ---- one neuron ---- */

static void test_neuron_by_hand(void **state) {
  (void)state;
  enum { T = 8 };
  static const struct {
    float theta, image;
    snn_init init;
    unsigned spikes[T]; /* cumulated */
  } cases[] = {
      /* v .375 .75 1.125* .5 .875 1.25* .625 1.0*: exactly the threshold fires */
      {1, 0.375f, SNN_INIT_ZERO, {0, 0, 1, 1, 1, 2, 2, 3}},
      /* v from .5: .875 1.25* .625 1.0* .375 .75 1.125* .5 */
      {1, 0.375f, SNN_INIT_HALF, {0, 1, 1, 2, 2, 2, 3, 3}},
      {1, 2.5f, SNN_INIT_ZERO, {1, 2, 3, 4, 5, 6, 7, 8}}, /* at most one spike a step */
      {1, -1, SNN_INIT_HALF, {0}},
      {0.5f, 0.125f, SNN_INIT_HALF, {0, 1, 1, 1, 1, 2, 2, 2}}, /* half of theta, not half of one */
      {4, 3, SNN_INIT_ZERO, {0, 1, 2, 3, 3, 4, 5, 6}},
  };
  static const uint32_t every[T] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    builder b = one_neuron(cases[i].theta);
    snn_session *s = session(b.net, 1, 3);
    snn_run_options o = {.timesteps = T, .init = cases[i].init, .checkpoints = every, .n_checkpoints = T};
    answers a = run(b.net, s, &cases[i].image, 1, &o);
    for (unsigned t = 0; t < T; t++) {
      unsigned n = cases[i].spikes[t];
      if (a.counts[4 * t + 2] != n)
        fail_msg("case %zu, step %u: %llu spikes, not %u", i, t + 1, (unsigned long long)a.counts[4 * t + 2], n);
      assert_int_equal(a.counts[a.n_counts + 4 * t + 3], n);     /* each reaches one output */
      assert_int_equal(a.counts[2 * a.n_counts + 4 * t + 1], 1); /* the image's multiply-accumulate, once */
      float want = (float)((2.0 * (double)cases[i].theta * n + 0.25 * (t + 1)) / (t + 1));
      assert_true(a.scores[t] == want);
    }
    free_answers(&a);
    snn_session_free(s);
    snn_network_free(b.net);
  }
}

/* What is read after many steps is the float answer: all of a drive below theta becomes spikes sooner or later. */
static void test_rate_approaches_activation(void **state) {
  (void)state;
  builder b = one_neuron(1);
  snn_session *s = session(b.net, 1, 0);
  for (int k = 0; k <= 64; k++) {
    float image = (float)k / 64.0f, score;
    snn_run_options o = {.timesteps = 4096, .init = SNN_INIT_HALF};
    assert_int_equal(snn_session_run(s, &image, 1, &o, &score, NULL, NULL), SNN_OK);
    assert_true(fabsf(score - (2 * image + 0.25f)) <= 2.0f / 4096.0f);
  }
  snn_session_free(s);
  snn_network_free(b.net);
}

/* ---- independence ---- */

static void test_threads_and_chunks_do_not_matter(void **state) {
  (void)state;
  enum { IMAGES = 5 };
  static const uint32_t threads[] = {1, 2, 3, 4}, chunks[] = {1, 7, 16, 64}, checkpoints[] = {3, 20, 41};
  for (uint64_t number = 1; number <= cases(12); number++) {
    builder b = random_network(number);
    float *images = random_images(&b, IMAGES), reference[2][IMAGES * 70];
    size_t pixels = snn_shape_size(b.net->nodes[0].shape), classes = snn_network_classes(b.net);
    snn_run_options o = {.timesteps = 41, .init = SNN_INIT_HALF, .checkpoints = checkpoints, .n_checkpoints = 3};
    snn_session *s = session(b.net, 1, 16);
    answers want = run(b.net, s, images, IMAGES, &o);
    assert_int_equal(snn_session_reference(s, images, IMAGES, NULL, reference[0], NULL), SNN_OK);
    snn_session_free(s);
    uint64_t spikes = 0;
    for (size_t i = 0; i < want.n_counts; i++) spikes += want.counts[i];
    assert_true(spikes > 0); /* or nothing would be compared */
    for (size_t i = 0; i < 4; i++)
      for (size_t j = 0; j < 4; j++) {
        s = session(b.net, threads[i], chunks[j]);
        answers got = run(b.net, s, images, IMAGES, &o); /* an image a thread */
        assert_same(&want, &got);
        for (size_t k = 0; k < IMAGES; k++) { /* all threads in one image */
          answers one = {.n_scores = 3 * classes, .n_counts = 3 * snn_network_layers(b.net)};
          one.scores = got.scores + k * one.n_scores;
          one.counts = malloc(3 * one.n_counts * sizeof *one.counts);
          assert_int_equal(run_into(s, images + k * pixels, 1, &o, &one, NULL), SNN_OK);
          for (size_t f = 0; f < 3; f++)
            memcpy(got.counts + f * got.n_counts + k * one.n_counts, one.counts + f * one.n_counts,
                   one.n_counts * sizeof *one.counts);
          free(one.counts);
        }
        assert_same(&want, &got);
        for (size_t batch = 1; batch <= IMAGES; batch += IMAGES - 1) {
          memset(reference[1], 0xff, sizeof reference[1]);
          for (size_t k = 0; k < IMAGES; k += batch)
            assert_int_equal(
                snn_session_reference(s, images + k * pixels, batch, NULL, reference[1] + k * classes, NULL), SNN_OK);
          assert_memory_equal(reference[0], reference[1], IMAGES * classes * sizeof(float));
        }
        free_answers(&got);
        snn_session_free(s);
      }
    free_answers(&want);
    snn_network_free(b.net);
  }
}

/* A run of many checkpoints is many runs, and one run leaves nothing behind for the next. */
static void test_checkpoints_equal_runs(void **state) {
  (void)state;
  static const uint32_t checkpoints[] = {1, 2, 16, 17, 30};
  for (uint64_t number = 20; number < 26; number++) {
    builder b = random_network(number);
    float *images = random_images(&b, 2);
    size_t classes = snn_network_classes(b.net), layers = snn_network_layers(b.net);
    snn_session *s = session(b.net, 2, 8);
    snn_run_options o = {.timesteps = 30, .checkpoints = checkpoints, .n_checkpoints = 5};
    answers all = run(b.net, s, images, 2, &o);
    for (size_t k = 5; k-- > 0;) {
      snn_run_options single = {.timesteps = checkpoints[k]};
      answers one = run(b.net, s, images, 2, &single);
      for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(one.scores + i * classes, all.scores + (i * 5 + k) * classes, classes * sizeof(float));
        for (size_t f = 0; f < 3; f++)
          assert_memory_equal(one.counts + f * one.n_counts + i * layers,
                              all.counts + f * all.n_counts + (i * 5 + k) * layers, layers * sizeof(uint64_t));
      }
      free_answers(&one);
    }
    free_answers(&all);
    snn_session_free(s);
    snn_network_free(b.net);
  }
}

/* Inside somebody else's parallel region OpenMP gives one thread where more were asked for. */
static void test_smaller_team_than_asked_for(void **state) {
  (void)state;
  builder b = random_network(31);
  float *images = random_images(&b, 2);
  snn_run_options o = {.timesteps = 9};
  snn_session *s = session(b.net, 3, 4), *t[2] = {session(b.net, 3, 4), session(b.net, 3, 4)};
  answers want = run(b.net, s, images, 2, &o), got[2] = {make_answers(b.net, 2, 1), make_answers(b.net, 2, 1)};
  snn_status status[2];
#pragma omp parallel for num_threads(2)
  for (int i = 0; i < 2; i++) status[i] = run_into(t[i], images, 2, &o, &got[i], NULL);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(status[i], SNN_OK);
    assert_same(&want, &got[i]);
    free_answers(&got[i]);
    snn_session_free(t[i]);
  }
  free_answers(&want);
  snn_session_free(s);
  snn_network_free(b.net);
}

/* ---- stopping ---- */

static void *raise_soon(void *flag) {
  nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
  atomic_store(*(atomic_bool *const *)flag, true);
  return NULL;
}

/* Long enough that nobody finishes it in the milliseconds that these tests wait. */
static builder long_network(void) {
  builder b = begin(40, 3, 24, 24);
  uint32_t at = 0;
  for (int i = 0; i < 3; i++) at = add_neurons(&b, add_conv(&b, at, 32, square(3, 1, 1), 1), 1, 0.2f, 0.4f);
  add_dense(&b, at, 4);
  finish(&b);
  return b;
}

static void test_stopping(void **state) {
  (void)state;
  builder b = long_network();
  float *images = random_images(&b, 4);
  static const uint32_t threads[] = {1, 3};
  static const size_t batches[] = {1, 2, 4};
  for (size_t i = 0; i < 2; i++) {
    snn_session *s = session(b.net, threads[i], 2);
    snn_run_options quick = {.timesteps = 3}, o = {.timesteps = SNN_MAX_TIMESTEPS};
    answers want = run(b.net, s, images, 4, &quick);
    for (size_t j = 0; j < 3; j++) {
      answers a = make_answers(b.net, batches[j], 1);
      atomic_bool raised = true, later = false, never = false;
      atomic_bool *flag = &later;
      snn_error err = {0};
      pthread_t thread;

      o.cancel = &raised; /* before it starts */
      assert_int_equal(run_into(s, images, batches[j], &o, &a, &err), SNN_ERR_CANCELLED);
      assert_int_equal(err.status, SNN_ERR_CANCELLED);
      o.cancel = &later; /* on the way */
      assert_int_equal(pthread_create(&thread, NULL, raise_soon, &flag), 0);
      assert_int_equal(run_into(s, images, batches[j], &o, &a, NULL), SNN_ERR_CANCELLED);
      assert_int_equal(pthread_join(thread, NULL), 0);
      o.cancel = &never;
      err = (snn_error){0};
      o.deadline_ns = 1; /* in the past */
      assert_int_equal(run_into(s, images, batches[j], &o, &a, &err), SNN_ERR_DEADLINE);
      assert_int_equal(err.status, SNN_ERR_DEADLINE);
      o.deadline_ns = snn_clock_ns() + 3000000; /* on the way */
      assert_int_equal(run_into(s, images, batches[j], &o, &a, NULL), SNN_ERR_DEADLINE);
      o.deadline_ns = 0;
      free_answers(&a);

      quick.cancel = &never; /* the session is as good as new, and neither option changes an answer */
      quick.deadline_ns = snn_clock_ns() + 600000000000;
      answers again = run(b.net, s, images, 4, &quick);
      assert_same(&want, &again);
      free_answers(&again);
    }
    free_answers(&want);
    snn_session_free(s);
  }
  snn_network_free(b.net);
}

/* ---- what may be left out ---- */

static void test_statistics_are_optional(void **state) {
  (void)state;
  builder b = random_network(50);
  float *images = random_images(&b, 2);
  snn_session *s = session(b.net, 2, 0);
  snn_run_options o = {.timesteps = 5};
  answers want = run(b.net, s, images, 2, &o);
  for (unsigned mask = 0; mask < 8; mask++)
    for (size_t batch = 1; batch <= 2; batch++) {
      answers got = make_answers(b.net, 2, 1);
      uint64_t *part[3] = {got.counts, got.counts + got.n_counts, got.counts + 2 * got.n_counts};
      memcpy(got.counts, want.counts, 3 * want.n_counts * sizeof *want.counts);
      for (unsigned f = 0; f < 3; f++)
        if (mask >> f & 1) memset(part[f], 0xff, got.n_counts * sizeof(uint64_t));
      for (size_t i = 0; i < 2; i += batch) {
        snn_run_stats stats = {0};
        size_t first = i * snn_network_layers(b.net);
        if (mask & 1) stats.spikes = part[0] + first;
        if (mask & 2) stats.synaptic_operations = part[1] + first;
        if (mask & 4) stats.macs = part[2] + first;
        assert_int_equal(snn_session_run(s, images + i * snn_shape_size(snn_network_input(b.net)), batch, &o,
                                         got.scores + i * snn_network_classes(b.net), mask ? &stats : NULL, NULL),
                         SNN_OK);
      }
      assert_same(&want, &got);
      free_answers(&got);
    }
  assert_int_equal(snn_session_run(s, NULL, 0, &o, NULL, NULL, NULL), SNN_OK); /* nothing to do is no mistake */
  assert_int_equal(snn_session_reference(s, NULL, 0, NULL, NULL, NULL), SNN_OK);
  free_answers(&want);
  snn_session_free(s);
  snn_network_free(b.net);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_neuron_by_hand),
      cmocka_unit_test(test_rate_approaches_activation),
      cmocka_unit_test(test_threads_and_chunks_do_not_matter),
      cmocka_unit_test(test_checkpoints_equal_runs),
      cmocka_unit_test(test_smaller_team_than_asked_for),
      cmocka_unit_test(test_stopping),
      cmocka_unit_test(test_statistics_are_optional),
  };
  return cmocka_run_group_tests_name("sim", tests, NULL, NULL);
}
