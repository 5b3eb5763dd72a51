/* Ranking, probabilities, energy. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "snn/result.h"

static void test_argmax(void **state) {
  (void)state;
  assert_int_equal(snn_argmax((const float[]){3}, 1), 0);
  assert_int_equal(snn_argmax((const float[]){-3, -1, -2}, 3), 1);
  assert_int_equal(snn_argmax((const float[]){1, 5, 5, 5}, 4), 1); /* the first of equals */
  assert_int_equal(snn_argmax((const float[]){-INFINITY, -INFINITY, 0}, 3), 2);
}

static void test_rank_order(void **state) {
  (void)state;
  const float scores[] = {1, 7, -2, 7, 0, 7, 3};
  const size_t want[] = {1, 3, 5, 6, 0, 4, 2}; /* ties in order of their index */
  for (size_t k = 0; k <= 7; k++) {
    snn_ranked out[8];
    memset(out, 0x55, sizeof out);
    const snn_ranked untouched = out[7];
    snn_rank(scores, 7, out, k);
    for (size_t i = 0; i < k; i++) {
      assert_int_equal(out[i].index, want[i]);
      assert_true(out[i].score == scores[want[i]]);
    }
    assert_memory_equal(&out[k], &untouched, sizeof untouched); /* not one more than k */
  }
}

static void test_all_equal(void **state) {
  (void)state;
  const float scores[] = {2, 2, 2, 2};
  snn_ranked out[3];
  snn_rank(scores, 4, out, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(out[i].index, i);
    assert_true(out[i].probability == 0.25f);
  }
}

static void test_probabilities(void **state) {
  (void)state;
  enum { N = 200 };
  float scores[N];
  snn_ranked out[N];
  for (int i = 0; i < N; i++) scores[i] = (float)((i * 7919) % 613) / 40.0f - 3;
  snn_rank(scores, N, out, N);
  double sum = 0, below = 0;
  for (int i = 0; i < N; i++) below += exp((double)scores[i]);
  for (int i = 0; i < N; i++) {
    sum += (double)out[i].probability;
    assert_true(fabs((double)out[i].probability - exp((double)out[i].score) / below) < 1e-6);
    if (i) assert_true(out[i].score <= out[i - 1].score);
  }
  assert_true(fabs(sum - 1) < 1e-5);
  snn_ranked top;
  snn_rank(scores, N, &top, 1); /* over all scores, however few are asked for */
  assert_memory_equal(&top, &out[0], sizeof top);
}

static void test_large_scores(void **state) {
  (void)state;
  snn_ranked out[3];
  snn_rank((const float[]){3e38f, -3e38f, 3e38f}, 3, out, 3);
  assert_true(out[0].probability == 0.5f && out[1].probability == 0.5f && out[2].probability == 0.0f);
}

static void test_not_numbers_are_last(void **state) {
  (void)state;
  const float scores[] = {NAN, 1, NAN, 3, 2};
  const size_t want[] = {3, 4, 1, 0, 2};
  snn_ranked out[5];
  assert_int_equal(snn_argmax(scores, 5), 3);
  snn_rank(scores, 5, out, 5);
  for (size_t i = 0; i < 5; i++) assert_int_equal(out[i].index, want[i]);
  assert_int_equal(snn_argmax((const float[]){NAN, NAN}, 2), 0);
}

static void test_energy(void **state) {
  (void)state;
  assert_true(snn_energy_nj(0, 0) == 0);
  assert_true(fabs(snn_energy_nj(1000, 0) - 0.9) < 1e-12);
  assert_true(fabs(snn_energy_nj(0, 1000) - 4.6) < 1e-12);
  assert_true(fabs(snn_energy_nj(3000000000, 2000000000) - 11900000.0) < 1e-3); /* counts past 32 bits */
  assert_non_null(strstr(snn_energy_basis(), "Horowitz"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_argmax),       cmocka_unit_test(test_rank_order),
      cmocka_unit_test(test_all_equal),    cmocka_unit_test(test_probabilities),
      cmocka_unit_test(test_large_scores), cmocka_unit_test(test_not_numbers_are_last),
      cmocka_unit_test(test_energy),
  };
  return cmocka_run_group_tests_name("result", tests, NULL, NULL);
}
