/* The JSON writer: commas, names, escapes, and reals digit by digit against printf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "server/json_text.h"

static void commas_and_names(void **state) {
  (void)state;
  json_text t = {0};
  json_open(&t, NULL, '{');
  json_put_text(&t, "a", NULL);
  json_open(&t, "b", '[');
  json_put_integer(&t, NULL, 0);
  json_put_integer(&t, NULL, INT64_MIN);
  json_open(&t, NULL, '[');
  json_close(&t, ']');
  json_open(&t, NULL, '{');
  json_close(&t, '}');
  json_put_real(&t, NULL, NAN);
  json_close(&t, ']');
  json_put_true(&t, "c");
  json_put_real(&t, "d", -0.5);
  json_close(&t, '}');
  char *text = json_take(&t);
  assert_string_equal(text, "{\"a\":null,\"b\":[0,-9223372036854775808,[],{},null],\"c\":true,\"d\":-0.5}");
  free(text);
}

static void strings_are_escaped(void **state) {
  (void)state;
  const char *all = "\x01\x1f\t\n\"\\/ \x7f z\xc3\xbc\xe2\x82\xac";
  json_text t = {0};
  json_open(&t, NULL, '[');
  json_put_text(&t, NULL, all);
  json_put_text(&t, NULL, "");
  json_close(&t, ']');
  char *text = json_take(&t);
  json_t *root = json_loads(text, 0, NULL);
  assert_non_null(root);
  assert_string_equal(json_string_value(json_array_get(root, 0)), all);
  assert_string_equal(json_string_value(json_array_get(root, 1)), "");
  json_decref(root);
  free(text);
}

static void long_texts_grow(void **state) {
  (void)state;
  json_text t = {0};
  json_open(&t, NULL, '[');
  for (int i = 0; i < 5000; i++) json_put_text(&t, NULL, "123456789");
  json_close(&t, ']');
  char *text = json_take(&t);
  assert_int_equal(strlen(text), 5000 * 12 + 1);
  free(text);
}

/* The number that was meant, to nine digits, and JSON. */
static void check_real(double v) {
  char text[JSON_REAL_MAX + 1], plain[64];
  size_t n = json_print_real(text, v);
  text[n] = 0;
  snprintf(plain, sizeof plain, "%.9g", v);
  if (!strpbrk(plain, ".e")) strcat(plain, ".0");
  assert_string_equal(text, plain);
}

static void reals_are_what_printf_prints(void **state) {
  (void)state;
  const double edges[] = {0,
                          -0.0,
                          1,
                          -1,
                          0.1,
                          0.5,
                          0.0001,
                          0.00011,
                          9.99e-5,
                          0.001,
                          0.00999999,
                          0.01,
                          0.099999,
                          10,
                          99999999,
                          99999999.5,
                          1e8,
                          123456789,
                          1e9,
                          1e300,
                          5e-324,
                          1.5,
                          2.5,
                          0.999999999,
                          0.1 / 3,
                          0.999999999,
                          0.99999999,
                          0.99999999951,
                          9.9999999949,
                          12345678.25,
                          12345678.75,
                          1.0 / 3};
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) check_real(edges[i]);
  uint64_t random = 1;
  for (int i = 0; i < 20000; i++) {
    random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    double fraction = (double)(random >> 11) / 9007199254740992.0;
    check_real(fraction);
    check_real(-ldexp(fraction, (int)(random % 60) - 25));
    check_real((double)(float)(100 * fraction - 50));
  }
}

/* What the issue of nine digits is: a float comes back as itself. */
static void floats_come_back(void **state) {
  (void)state;
  uint32_t random = 1;
  for (int i = 0; i < 20000; i++) {
    random = random * 1664525 + 1013904223;
    float v;
    memcpy(&v, &random, sizeof v);
    char text[JSON_REAL_MAX + 1];
    if (!isfinite(v)) continue;
    text[json_print_real(text, (double)v)] = 0;
    assert_true(strtof(text, NULL) == v);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(commas_and_names), cmocka_unit_test(strings_are_escaped),
      cmocka_unit_test(long_texts_grow),  cmocka_unit_test(reals_are_what_printf_prints),
      cmocka_unit_test(floats_come_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
