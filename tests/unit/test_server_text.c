/* The server's text machinery: the JSON scan, base64, percent-encoding, log lines, problems. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/encoding.h"
#include "server/json_out.h"
#include "server/json_scan.h"
#include "server/log.h"
#include "server/problem.h"
#include "server/request.h"

static json_scan_result scan(const char *text, unsigned depth, size_t tokens) {
  return json_scan(text, strlen(text), depth, tokens);
}

static void scan_counts_depth(void **state) {
  (void)state;
  assert_int_equal(scan("[[[]]]", 3, 100), JSON_SCAN_OK);
  assert_int_equal(scan("[[[]]]", 2, 100), JSON_SCAN_TOO_DEEP);
  assert_int_equal(scan("[[],[],[]]", 2, 100), JSON_SCAN_OK);
  assert_int_equal(scan("{\"a\":{\"b\":[]}}", 2, 100), JSON_SCAN_TOO_DEEP);
  assert_int_equal(scan("\"[[[[[[\"", 1, 1), JSON_SCAN_OK);
  assert_int_equal(scan("\"\\\"[[[[[[\"", 1, 1), JSON_SCAN_OK);
  assert_int_equal(scan("\"\\\\\"[[[", 2, 9), JSON_SCAN_TOO_DEEP);
  assert_int_equal(scan("]]]]]][[", 2, 9), JSON_SCAN_OK);
}

static void scan_counts_values(void **state) {
  (void)state;
  assert_int_equal(scan("[1,2,3]", 9, 4), JSON_SCAN_OK);
  assert_int_equal(scan("[1,2,3]", 9, 3), JSON_SCAN_TOO_MANY);
  assert_int_equal(scan("{\"a\" : true}", 9, 3), JSON_SCAN_OK);
  assert_int_equal(scan("{\"a\" : true}", 9, 2), JSON_SCAN_TOO_MANY);
  assert_int_equal(scan("[\"\",\"\"]", 9, 2), JSON_SCAN_TOO_MANY);
  assert_int_equal(scan("[-1.5e+3]", 9, 2), JSON_SCAN_OK);
  assert_int_equal(scan("", 0, 0), JSON_SCAN_OK);
  assert_int_equal(scan("\"never closed, 1, 2, 3", 9, 1), JSON_SCAN_OK);
  assert_int_equal(scan("\"ends in a backslash\\", 9, 1), JSON_SCAN_OK);
}

static void scan_refuses_nul(void **state) {
  (void)state;
  assert_int_equal(json_scan("[1]\0[", 5, 9, 9), JSON_SCAN_NUL);
  assert_int_equal(json_scan("[1]", 4, 9, 9), JSON_SCAN_NUL);
}

static void base64_goes_both_ways(void **state) {
  (void)state;
  for (size_t n = 0; n < 70; n++) {
    uint8_t bytes[70], back[96];
    for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)(i * 37 + n);
    char *text = base64_encode(bytes, n);
    size_t n_back = 99, bad = 0;
    assert_int_equal(strlen(text), (n + 2) / 3 * 4);
    assert_true(base64_decode(text, strlen(text), back, &n_back, &bad));
    assert_int_equal(n_back, n);
    assert_memory_equal(back, bytes, n);
    size_t bare = strcspn(text, "=");
    assert_true(base64_decode(text, bare, back, &n_back, &bad));
    assert_int_equal(n_back, n);
    free(text);
  }
}

static void base64_refuses(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t bad;
  } cases[] = {{"A", 1},    {"AAAAA", 5}, {"AA=A", 2}, {"A===", 1}, {"====", 0}, {"AA A", 2},  {"AAAA\n", 4},
               {"AAA-", 3}, {"AB==", 1},  {"AAB=", 2}, {"=", 0},    {"AA=", 2},  {"AAA==", 3}, {"\xff", 0}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    uint8_t out[16];
    size_t n = 77, bad = 99;
    assert_false(base64_decode(cases[i].text, strlen(cases[i].text), out, &n, &bad));
    assert_int_equal(n, 77);
    assert_int_equal(bad, cases[i].bad);
  }
}

static void percent_decodes(void **state) {
  (void)state;
  char good[] = "a%20b%2Fc%c3%A4+%7e";
  assert_true(percent_decode(good));
  assert_string_equal(good, "a b/c\xc3\xa4+~");
  static const char *const bad[] = {"%", "%4", "%zz", "%0", "%00", "a%4g", "%%41"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    char text[16];
    strcpy(text, bad[i]);
    assert_false(percent_decode(text));
  }
}

static void percent_encodes_within_bounds(void **state) {
  (void)state;
  char out[8];
  percent_encode("a/b", out, sizeof out);
  assert_string_equal(out, "a%2Fb");
  percent_encode("ab////", out, sizeof out);
  assert_string_equal(out, "ab%2F");
  percent_encode("abcdefghij", out, sizeof out);
  assert_string_equal(out, "abcdefg");
}

static const char *line_of(bool json, const log_field *fields) {
  static char line[4096];
  size_t n = log_format(line, sizeof line, json, "T", LOG_WARNING, "event", fields);
  line[n] = 0;
  return line;
}

static void log_lines(void **state) {
  (void)state;
  log_field fields[] = {LOG_TEXT("a", "plain/1.0"),
                        LOG_TEXT("b", "two words"),
                        LOG_TEXT("c", "x=\"\\\n\x1b\xe9"),
                        LOG_INTEGER("d", -5),
                        LOG_REAL("e", 1.5),
                        LOG_TEXT("f", NULL),
                        LOG_LAST};
  assert_string_equal(
      line_of(false, fields),
      "T warning event a=plain/1.0 b=\"two words\" c=\"x=\\\"\\\\\\x0a\\x1b\\xe9\" d=-5 e=1.500 f=\"\"\n");
  assert_string_equal(
      line_of(true, fields),
      "{\"time\":\"T\",\"level\":\"warning\",\"event\":\"event\",\"a\":\"plain/1.0\",\"b\":\"two words\","
      "\"c\":\"x=\\\"\\\\\\u000a\\u001b\\u00e9\",\"d\":-5,\"e\":1.500,\"f\":\"\"}\n");
}

static void log_lines_are_cut_at_a_field(void **state) {
  (void)state;
  char line[64];
  log_field fields[] = {LOG_INTEGER("a", 1), LOG_TEXT("b", "0123456789012345678901234567890123456789"), LOG_LAST};
  size_t n = log_format(line, sizeof line, true, "T", LOG_INFO, "e", fields);
  line[n] = 0;
  assert_string_equal(line, "{\"time\":\"T\",\"level\":\"info\",\"event\":\"e\",\"a\":1}\n");
}

static void first_problem_stays_and_is_printable(void **state) {
  (void)state;
  problem p = {0};
  assert_false(problem_set(&p, PROBLEM_NOT_FOUND, "a\n\xff%s", "b"));
  assert_false(problem_set(&p, PROBLEM_INTERNAL, "later"));
  assert_int_equal(p.kind, PROBLEM_NOT_FOUND);
  assert_string_equal(p.detail, "a??b");
}

static void library_errors_map_to_http(void **state) {
  (void)state;
  static const unsigned expected[SNN_STATUS_COUNT] = {[SNN_OK] = 200,
                                                      [SNN_ERR_ARGUMENT] = 400,
                                                      [SNN_ERR_NO_MEMORY] = 503,
                                                      [SNN_ERR_IO] = 500,
                                                      [SNN_ERR_FORMAT] = 422,
                                                      [SNN_ERR_UNSUPPORTED] = 422,
                                                      [SNN_ERR_TOO_LARGE] = 413,
                                                      [SNN_ERR_NOT_FOUND] = 404,
                                                      [SNN_ERR_CANCELLED] = 503,
                                                      [SNN_ERR_DEADLINE] = 504,
                                                      [SNN_ERR_INTERNAL] = 500};
  for (int i = 1; i < SNN_STATUS_COUNT; i++) {
    problem p = {0};
    snn_error err = {.status = (snn_status)i, .where = "w", .text = "secret"};
    problem_from_snn(&p, &err, "images[2]");
    assert_int_equal(problem_describe(p.kind)->http_status, expected[i]);
    assert_ptr_equal(strstr(p.detail, "images[2]: "), p.detail);
    if (expected[i] == 500) assert_null(strstr(p.detail, "secret"));
  }
}

static void request_ids(void **state) {
  (void)state;
  request r = {0};
  char longest[REQUEST_ID_MAX + 2];
  memset(longest, 'x', sizeof longest);
  longest[REQUEST_ID_MAX] = 0;
  request_identify(&r, longest);
  assert_string_equal(r.id, longest);
  longest[REQUEST_ID_MAX] = 'x';
  longest[REQUEST_ID_MAX + 1] = 0;
  const char *refused[] = {NULL, "", "a b", "a\tb", "\xc3\xa4", longest};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    request_identify(&r, refused[i]);
    assert_int_equal(strlen(r.id), 32);
    assert_int_equal(strspn(r.id, "0123456789abcdef"), 32);
  }
}

static void problem_body(void **state) {
  (void)state;
  problem p = {0};
  problem_set(&p, PROBLEM_INVALID_OPTION, "T: \"x\"");
  char *body = json_out_problem(&p, "id/1");
  assert_string_equal(body,
                      "{\"type\":\"urn:spiked:problem:invalid-option\",\"title\":\"Invalid option\",\"status\":400,"
                      "\"detail\":\"T: \\\"x\\\"\",\"instance\":\"urn:spiked:request:id%2F1\",\"error\":\"T: "
                      "\\\"x\\\"\"}");
  free(body);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scan_counts_depth),
      cmocka_unit_test(scan_counts_values),
      cmocka_unit_test(scan_refuses_nul),
      cmocka_unit_test(base64_goes_both_ways),
      cmocka_unit_test(base64_refuses),
      cmocka_unit_test(percent_decodes),
      cmocka_unit_test(percent_encodes_within_bounds),
      cmocka_unit_test(log_lines),
      cmocka_unit_test(log_lines_are_cut_at_a_field),
      cmocka_unit_test(first_problem_stays_and_is_printable),
      cmocka_unit_test(library_errors_map_to_http),
      cmocka_unit_test(request_ids),
      cmocka_unit_test(problem_body),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
