/* Work that a team hands out: every unit once, whoever is slow, meeting after meeting. */
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "sim/team.h"

enum { UNITS = 1000, MEETINGS = 200 };

static void doze(long microseconds) {
  nanosleep(&(struct timespec){.tv_nsec = 1000 * microseconds}, NULL);
}

/* A team of `size` in which rank `slow` dozes at every unit takes what `n` says of every meeting; taken[rank]: units
 * of the last one. */
static void take_all(uint32_t size, uint32_t slow, const uint32_t *n, uint32_t meetings, uint32_t *taken) {
  snn_meeting meeting = {.shares = calloc(size, sizeof *meeting.shares)};
  static _Atomic uint32_t times[MEETINGS][UNITS];
  memset(times, 0, sizeof times);
  assert_non_null(meeting.shares);
#pragma omp parallel num_threads((int)size)
  {
    const snn_team team = {.rank = (uint32_t)omp_get_thread_num(), .size = size, .meeting = &meeting};
    for (uint32_t k = 0; k < meetings; k++) {
      snn_work work = snn_team_work(team, n[k]);
      uint32_t unit, mine = 0;
      for (; snn_team_take(&work, &unit); mine++) {
        if (unit < UNITS) atomic_fetch_add(&times[k][unit], 1);
        if (team.rank == slow) doze(200);
      }
      taken[team.rank] = mine;
      snn_team_barrier(team);
    }
  }
  free(meeting.shares);
  for (uint32_t k = 0; k < meetings; k++)
    for (uint32_t i = 0; i < UNITS; i++)
      if (times[k][i] != (i < n[k])) fail_msg("meeting %u: unit %u of %u taken %u times", k, i, n[k], times[k][i]);
}

static void test_each_once(void **state) {
  (void)state;
  uint32_t n[MEETINGS], taken[8];
  for (uint32_t k = 0; k < MEETINGS; k++) n[k] = k % 7 == 0 ? k / 7 % 4 : k % 3 == 0 ? UNITS : k;
  for (uint32_t size = 1; size <= 8; size++) take_all(size, size, n, MEETINGS, taken);
}

static void test_the_slow_are_helped(void **state) {
  (void)state;
  const uint32_t n[] = {400};
  for (uint32_t slow = 0; slow < 3; slow++) {
    uint32_t taken[3];
    take_all(3, slow, n, 1, taken);
    if (taken[slow] >= 133) fail_msg("rank %u dozed and did all of its share, %u units, by itself", slow, taken[slow]);
  }
}

/* One alone counts upwards and needs no meeting place. */
static void test_alone(void **state) {
  (void)state;
  snn_work work = snn_team_work((snn_team){.size = 1}, 5);
  uint32_t unit;
  for (uint32_t i = 0; i < 5; i++) {
    assert_true(snn_team_take(&work, &unit));
    assert_int_equal(unit, i);
  }
  assert_false(snn_team_take(&work, &unit));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_each_once),
      cmocka_unit_test(test_the_slow_are_helped),
      cmocka_unit_test(test_alone),
  };
  return cmocka_run_group_tests_name("team", tests, NULL, NULL);
}
