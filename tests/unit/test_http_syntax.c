/* The grammar of headers: what passes, what does not, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "server/http_syntax.h"

static void tokens(void **state) {
  (void)state;
  assert_false(http_is_token("", 0));
  for (int c = 0; c < 256; c++) {
    char text[] = {'a', (char)c};
    bool expected = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                    (c && strchr("!#$%&'*+-.^_`|~", c));
    assert_int_equal(http_is_token(text, 2), expected);
  }
}

static void values(void **state) {
  (void)state;
  assert_true(http_is_value("", 0));
  for (int c = 0; c < 256; c++) {
    char text[] = {'a', (char)c};
    assert_int_equal(http_is_value(text, 2), c == '\t' || (c >= 0x20 && c != 0x7f));
  }
}

static void hosts(void **state) {
  (void)state;
  static const char *const good[] = {"a", "a.b-c_d", "127.0.0.1:8080", "[::1]", "[::ffff:1.2.3.4]:80", "a:", "a%20b"};
  static const char *const bad[] = {"",       ":80",   "a:x", "a:123456", "[",   "[]",  "[a",
                                    "[::1]x", "[g::]", "a b", "a@b",      "a/b", "a,b", "a:1:2"};
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(http_is_host(good[i], strlen(good[i])));
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(http_is_host(bad[i], strlen(bad[i])));
}

static void targets(void **state) {
  (void)state;
  static const struct {
    const char *method, *target;
    http_target form;
  } cases[] = {
      {"GET", "/", HTTP_TARGET_PATH},
      {"GET", "/a?b", HTTP_TARGET_PATH},
      {"GET", "http://a/b", HTTP_TARGET_ABSOLUTE},
      {"GET", "hTTps://a", HTTP_TARGET_ABSOLUTE},
      {"GET", "http://", HTTP_TARGET_INVALID},
      {"GET", "ftp://a", HTTP_TARGET_INVALID},
      {"GET", "*", HTTP_TARGET_INVALID},
      {"GET", "a", HTTP_TARGET_INVALID},
      {"GET", "", HTTP_TARGET_INVALID},
      {"OPTIONS", "*", HTTP_TARGET_ASTERISK},
      {"CONNECT", "a:1", HTTP_TARGET_AUTHORITY},
      {"CONNECT", "/", HTTP_TARGET_INVALID},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(http_target_form(cases[i].method, cases[i].target, strlen(cases[i].target)), cases[i].form);
  for (int c = 0; c < 256; c++) {
    char text[] = {'/', (char)c};
    assert_int_equal(http_is_target(text, 2), c > 0x20 && c < 0x7f && c != '#');
  }
  assert_false(http_is_target("", 0));
}

static void absolute_targets_split(void **state) {
  (void)state;
  static const char *const cases[][3] = {
      {"http://a:1/b", "a:1", "/b"}, {"https://a", "a", ""}, {"http://a?q", "a", "?q"}, {"http:///x", "", "/x"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const char *authority, *path;
    size_t n;
    http_split_absolute(cases[i][0], strlen(cases[i][0]), &authority, &n, &path);
    assert_int_equal(n, strlen(cases[i][1]));
    assert_memory_equal(authority, cases[i][1], n);
    assert_string_equal(path, cases[i][2]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tokens),
      cmocka_unit_test(values),
      cmocka_unit_test(hosts),
      cmocka_unit_test(targets),
      cmocka_unit_test(absolute_targets_split),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
