/* Admission and order: the ledger's two bounds, under threads too, the queue, an inference's growth, model names, and
 * which path goes where. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/queue.h"
#include "server/refusals.h"
#include "server/router.h"

static void places_are_bounded(void **state) {
  (void)state;
  ledger l;
  ledger_init(&l, 2, 10);
  assert_true(ledger_enter(&l));
  assert_true(ledger_enter(&l));
  assert_false(ledger_enter(&l));
  ledger_leave(&l);
  assert_true(ledger_enter(&l));
  size_t count, bytes;
  ledger_read(&l, &count, &bytes);
  assert_int_equal(count, 2);
  assert_int_equal(bytes, 0);
  ledger_destroy(&l);
}

static void bytes_are_bounded(void **state) {
  (void)state;
  ledger l;
  ledger_init(&l, 2, 10);
  assert_true(ledger_hold(&l, 10));
  assert_false(ledger_hold(&l, 1));
  assert_true(ledger_hold(&l, 0));
  ledger_release(&l, 4);
  assert_false(ledger_hold(&l, 5));
  assert_false(ledger_hold(&l, SIZE_MAX));
  assert_true(ledger_hold(&l, 4));
  ledger_destroy(&l);
}

static void *enter_and_leave(void *context) {
  ledger *l = context;
  size_t refused = 0;
  for (int i = 0; i < 20000; i++) {
    if (!ledger_hold(l, 3)) {
      refused++;
      continue;
    }
    if (ledger_enter(l)) ledger_leave(l);
    ledger_release(l, 3);
  }
  return (void *)refused;
}

static void threads_leave_the_books_balanced(void **state) {
  (void)state;
  ledger l;
  pthread_t threads[4];
  ledger_init(&l, 2, 8);
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, enter_and_leave, &l), 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  assert_int_equal(l.count, 0);
  assert_int_equal(l.bytes, 0);
  ledger_destroy(&l);
}

static void refusals_have_lines_up_to_a_rate(void **state) {
  (void)state;
  refusals r = {0};
  const uint64_t second = UINT64_C(1000000000);
  size_t n_lines = 0;
  for (int i = 0; i < 1000; i++) n_lines += refusals_take(&r, 5 * second + (uint64_t)i);
  assert_int_equal(n_lines, REFUSALS_LOGGED);
  assert_int_equal(r.n_untold, 900);
  assert_true(refusals_take(&r, 6 * second));
  assert_int_equal(r.n_untold, 900);
}

static void what_had_no_line_is_told_once(void **state) {
  (void)state;
  char text[4096];
  int ends[2];
  logger to;
  refusals r = {.second = 5, .n_logged = REFUSALS_LOGGED, .n_untold = 900};
  assert_int_equal(pipe(ends), 0);
  log_init(&to, ends[1], false);
  refusals_tell(&r, &to, UINT64_C(5999999999)); /* its second is not over */
  refusals_tell(&r, &to, UINT64_C(6000000000));
  refusals_tell(&r, &to, UINT64_C(7000000000));
  close(ends[1]);
  ssize_t n = read(ends[0], text, sizeof text - 1);
  close(ends[0]);
  log_destroy(&to);
  assert_true(n > 0);
  text[n] = 0;
  assert_non_null(strstr(text, " warning refusals-not-logged requests=900\n"));
  assert_ptr_equal(strchr(text, '\n'), text + n - 1);
}

static bool has_even_images(void *context, const inference *inf) {
  size_t *left = context;
  if (inf->n_images % 2 != 0 || *left == 0) return false;
  (*left)--;
  return true;
}

static void the_queue_keeps_order(void **state) {
  (void)state;
  queue q = {0};
  inference items[6];
  assert_null(queue_pop(&q));
  for (size_t i = 0; i < 6; i++) {
    items[i].n_images = i;
    queue_push(&q, &items[i]);
  }
  size_t at_most = 2;
  inference *taken = queue_take(&q, has_even_images, &at_most);
  assert_ptr_equal(taken, &items[0]);
  assert_ptr_equal(taken->next, &items[2]);
  assert_null(taken->next->next);
  queue_push(&q, &items[0]);
  static const size_t order[] = {1, 3, 4, 5, 0};
  for (size_t i = 0; i < 5; i++) assert_ptr_equal(queue_pop(&q), &items[order[i]]);
  assert_null(queue_pop(&q));
  assert_null(queue_take(&q, has_even_images, &at_most));
}

static void a_body_grows_within_the_ledger(void **state) {
  (void)state;
  ledger l;
  option_limits limits = {.max_timesteps = 1};
  uint8_t bytes[3000];
  memset(bytes, 7, sizeof bytes);
  ledger_init(&l, 1, 16384);
  inference *inf = inference_create(NULL, &limits, &l);
  assert_true(inference_begin_image(inf));
  for (int i = 0; i < 5; i++) assert_true(inference_append(inf, bytes, sizeof bytes));
  assert_int_equal(l.bytes, 16384);
  assert_false(inference_append(inf, bytes, sizeof bytes));
  assert_int_equal(inf->problem.kind, PROBLEM_BUSY);
  assert_int_equal(inf->n_body, 15000);
  assert_int_equal(inf->images[0].n, 15000);
  assert_int_equal(l.bytes, 16384);
  inference_destroy(inf);
  assert_int_equal(l.bytes, 0);
  ledger_destroy(&l);
}

static void pictures_and_options_text_are_bounded(void **state) {
  (void)state;
  ledger l;
  option_limits limits = {.max_timesteps = 1};
  char text[OPTIONS_TEXT_MAX] = "";
  ledger_init(&l, 1, 1 << 20);
  inference *inf = inference_create(NULL, &limits, &l);
  for (int i = 0; i < IMAGES_MAX; i++) assert_true(inference_begin_image(inf));
  assert_true(inference_append_options(inf, text, sizeof text));
  assert_int_equal(inf->problem.kind, PROBLEM_NONE);
  assert_false(inference_append_options(inf, text, 1));
  inf->problem = (problem){0};
  assert_false(inference_begin_image(inf));
  assert_int_equal(inf->problem.kind, PROBLEM_TOO_LARGE);
  inference_destroy(inf);
  ledger_destroy(&l);
}

static void expiry(void **state) {
  (void)state;
  inference inf = {.deadline_ns = 100, .options.timeout_ms = 5};
  assert_false(inference_expired(&inf, 99));
  assert_true(inference_expired(&inf, 100));
  assert_int_equal(inf.problem.kind, PROBLEM_DEADLINE);
  inference cancelled = {0};
  assert_false(inference_expired(&cancelled, UINT64_MAX));
  atomic_store(&cancelled.cancel, true);
  assert_true(inference_expired(&cancelled, 0));
  assert_int_equal(cancelled.problem.kind, PROBLEM_CANCELLED);
}

static void model_names(void **state) {
  (void)state;
  static const char *const good[] = {"a", "0", "lenet-mnist", "A.b_c-9", "a.."};
  static const char *const bad[] = {"", ".", "..", "-a", "_a", "a/b", "a b", "\xc3\xa4", "a\n", "a%"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(registry_name_valid(good[i]));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(registry_name_valid(bad[i]));
  char longest[66];
  memset(longest, 'a', sizeof longest);
  longest[65] = 0;
  assert_false(registry_name_valid(longest));
  longest[64] = 0;
  assert_true(registry_name_valid(longest));
}

static request routed(const char *method, const char *path) {
  request r = {0};
  strcpy(r.method, method);
  strcpy(r.path, path);
  router_find(&r);
  return r;
}

static void routes(void **state) {
  (void)state;
  request r = routed("POST", "/v1/models/abc/classify");
  assert_non_null(r.route);
  assert_string_equal(r.model, "abc");
  assert_string_equal(r.route->pattern, "/v1/models/{model}/classify");
  r = routed("HEAD", "/v1/models/abc");
  assert_non_null(r.route);
  r = routed("GET", "/v1/models/..");
  assert_non_null(r.route);
  assert_string_equal(r.model, "");
  r = routed("POST", "/v1/models/abc");
  assert_null(r.route);
  assert_int_equal(r.problem.kind, PROBLEM_METHOD);
  assert_string_equal(r.reply.headers[0].name, "Allow");
  assert_string_equal(r.reply.headers[0].value, "GET, HEAD");
  static const char *const nowhere[] = {"", "x", "//", "/v1/models/", "/v1/models//classify", "/v1/models/a/classify/"};
  for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
    r = routed("GET", nowhere[i]);
    assert_null(r.route);
    assert_int_equal(r.problem.kind, PROBLEM_NOT_FOUND);
  }
}

static void every_route_answers(void **state) {
  (void)state;
  for (int f = 0; f < FACE_COUNT; f++) {
    size_t n = 0;
    const route *table = router_table((face)f, &n);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
      assert_non_null(table[i].answer);
      assert_true(table[i].begin != NULL || table[i].start == NULL);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refusals_have_lines_up_to_a_rate),
      cmocka_unit_test(what_had_no_line_is_told_once),
      cmocka_unit_test(places_are_bounded),
      cmocka_unit_test(bytes_are_bounded),
      cmocka_unit_test(threads_leave_the_books_balanced),
      cmocka_unit_test(the_queue_keeps_order),
      cmocka_unit_test(a_body_grows_within_the_ledger),
      cmocka_unit_test(pictures_and_options_text_are_bounded),
      cmocka_unit_test(expiry),
      cmocka_unit_test(model_names),
      cmocka_unit_test(routes),
      cmocka_unit_test(every_route_answers),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
