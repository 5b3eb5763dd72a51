/* What the model file reader refuses, and what it reads although it does not know it.
 *
 * The cases of tests/invalid/model are read from TESTS_DIR (default: tests); those too large to keep are made here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

#include <dirent.h>

#include "base/error.h"
#include "graph/graph.h"
#include "model/safetensors.h"

enum { PATH_BYTES = 512 };

/* A whole file; the caller frees it. */
static uint8_t *slurp(const char *path, size_t *n) {
  FILE *f = fopen(path, "rb");
  if (!f) fail_msg("cannot open %s", path);
  assert_int_equal(fseek(f, 0, SEEK_END), 0);
  long size = ftell(f);
  rewind(f);
  assert_true(size >= 0);
  uint8_t *bytes = malloc((size_t)size + 1);
  assert_non_null(bytes);
  *n = fread(bytes, 1, (size_t)size, f);
  assert_int_equal(*n, size);
  bytes[*n] = 0;
  fclose(f);
  return bytes;
}

/* ---- refusals too large to keep as files ---- */

/* A container around a header made of `prefix`, `n` times `unit`, `suffix`; no data. */
static void assert_header_refused(const char *prefix, const char *unit, size_t n, const char *suffix, snn_status status,
                                  const char *fragment) {
  size_t n_unit = strlen(unit), n_header = strlen(prefix) + n * n_unit + strlen(suffix);
  uint8_t *bytes = malloc(8 + n_header + 1);
  assert_non_null(bytes);
  uint64_t length = n_header;
  memcpy(bytes, &length, 8);
  char *p = (char *)bytes + 8;
  p = stpcpy(p, prefix);
  for (size_t i = 0; i < n; i++) p = stpcpy(p, unit);
  stpcpy(p, suffix);
  snn_network *out = NULL;
  snn_error err = {.status = SNN_OK};
  assert_int_equal(snn_network_load_memory(bytes, 8 + n_header, &out, &err), status);
  assert_null(out);
  if (!strstr(err.text, fragment)) fail_msg("'%s' is not in '%s'", fragment, err.text);
  free(bytes);
}

static void test_bombs(void **state) {
  (void)state;
  static const struct {
    const char *prefix, *unit;
    size_t n;
    const char *suffix;
    snn_status status;
    const char *fragment;
  } bombs[] = {
      {"{\"a\":[", "{},", 1 << 20, "{}]}", SNN_ERR_TOO_LARGE, "more than 65536 objects and arrays"},
      {"{\"a\":[", "{},", 65534, "]}", SNN_ERR_FORMAT, "not valid JSON"}, /* as many as may be */
      {"{\"a\":[", "{},", 65534, "{}]}", SNN_ERR_TOO_LARGE, "more than 65536 objects and arrays"},
      {"{\"a\":[", "0,", 1 << 20, "0]}", SNN_ERR_TOO_LARGE, "more than 262144 values"},
      {"{\"a\":[", "\"\",", 1 << 20, "0]}", SNN_ERR_TOO_LARGE, "more than 262144 values"},
      {"{\"a\":", "[", 1 << 20, "", SNN_ERR_TOO_LARGE, "nested more than 16"},
      {"{\"a\":", "{\"a\":", 1 << 20, "", SNN_ERR_TOO_LARGE, "nested more than 16"},
      {"{\"__metadata__\":{\"a\":\"", "xxxxxxxx", 1 << 21, "\"}}", SNN_ERR_TOO_LARGE, "a header of"},
      {"{\"__metadata__\":{\"a\":\"", "xxxxxxxx", (1 << 21) - 8, "\"}}", SNN_ERR_FORMAT, "not a model of spiked"},
      {"{\"__metadata__\":{\"a\":\"", "\\\\", 1 << 20, "\"}}", SNN_ERR_FORMAT, "not a model of spiked"},
      {"{\"__metadata__\":{\"a\":\"", "\\\"[", 1 << 20, "\"}}", SNN_ERR_FORMAT, "not a model of spiked"},
      {"{\"a\":\"", "\\", 3, "", SNN_ERR_FORMAT, "not valid JSON"},
  };
  for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++)
    assert_header_refused(bombs[i].prefix, bombs[i].unit, bombs[i].n, bombs[i].suffix, bombs[i].status,
                          bombs[i].fragment);
}

static void test_too_many_tensors(void **state) {
  (void)state;
  enum { N = SNN_MAX_TENSORS + 2 };
  char *header = malloc(N * 16 + 16), *p = header;
  assert_non_null(header);
  p = stpcpy(p, "{");
  for (int i = 0; i < N; i++) p += sprintf(p, "\"t%d\":{},", i);
  strcpy(p - 1, "}");
  assert_header_refused(header, "", 0, "", SNN_ERR_TOO_LARGE, "more than 16384 tensors");
  free(header);
}

static void test_cases(void **state) {
  (void)state;
  const char *tests = getenv("TESTS_DIR");
  char root[PATH_BYTES / 2], path[PATH_BYTES];
  snprintf(root, sizeof root, "%s/invalid/model", tests ? tests : "tests");
  DIR *d = opendir(root);
  if (!d) fail_msg("no cases in %s; TESTS_DIR names the folder tests", root);
  int n_cases = 0;
  for (const struct dirent *e; (e = readdir(d)) != NULL;) {
    if (e->d_name[0] == '.') continue;
    size_t n;
    snprintf(path, sizeof path, "%s/%.200s/expected.txt", root, e->d_name);
    char *expected = (char *)slurp(path, &n), *fragment = strchr(expected, '\n');
    assert_non_null(fragment);
    *fragment++ = 0;
    fragment[strcspn(fragment, "\n")] = 0;
    snprintf(path, sizeof path, "%s/%.200s/model.safetensors", root, e->d_name);
    snn_network *out = NULL;
    snn_error err = {.status = SNN_OK};
    snn_status status = snn_network_load(path, &out, &err);
    char said[sizeof err.where + sizeof err.text + 2];
    snprintf(said, sizeof said, "%s: %s", err.where, err.text);
    if (status == SNN_OK || out) fail_msg("%s: accepted", e->d_name);
    if (strcmp(snn_status_name(status), expected) != 0)
      fail_msg("%s: %s, expected %s (%s)", e->d_name, snn_status_name(status), expected, said);
    if (!fragment[0] || !strstr(said, fragment)) fail_msg("%s: '%s' lacks '%s'", e->d_name, said, fragment);
    free(expected);
    n_cases++;
  }
  closedir(d);
  assert_true(n_cases >= 100);
}

static void test_missing_file(void **state) {
  (void)state;
  snn_network *out = NULL;
  snn_error err = {.status = SNN_OK};
  assert_int_equal(snn_network_load("no/such/folder/nowhere.safetensors", &out, &err), SNN_ERR_NOT_FOUND);
  assert_string_equal(err.where, "nowhere.safetensors");
  assert_null(out);
}

/* A file of a later program with more in it than we know is read for what we know. */
static void test_unknown_extras_are_ignored(void **state) {
  (void)state;
  static const char header[] =
      "{\"__metadata__\":{\"spiked.format_version\":\"1\",\"spiked.tables\":\"not even JSON\",\"other\":\"\","
      "\"spiked.recommended\":\"{\\\"shift\\\":1}\",\"spiked.graph\":\"["
      "{\\\"name\\\":\\\"i\\\",\\\"op\\\":\\\"input\\\",\\\"inputs\\\":[],\\\"shape\\\":[1,1,1],\\\"new\\\":{}},"
      "{\\\"name\\\":\\\"o\\\",\\\"op\\\":\\\"conv\\\",\\\"inputs\\\":[0],\\\"kernel\\\":[1,1],\\\"new\\\":[null]}]\"},"
      "\"o.weight\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1],\"data_offsets\":[0,4],\"new\":1},"
      "\"o.bias\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]},"
      "\"extra\":{\"dtype\":\"BOOL\",\"shape\":[2,0],\"data_offsets\":[4,4]},"
      "\"more\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[8,9]}}";
  static const float values[2] = {2, 3};
  size_t n = 8 + sizeof header - 1 + 9;
  uint8_t *bytes = calloc(1, n);
  assert_non_null(bytes);
  uint64_t length = sizeof header - 1;
  memcpy(bytes, &length, 8);
  memcpy(bytes + 8, header, sizeof header - 1);
  memcpy(bytes + n - 9, values, sizeof values);
  snn_network *net = NULL;
  snn_error err = {.status = SNN_OK};
  if (snn_network_load_memory(bytes, n, &net, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  assert_true(net->nodes[1].conv.weights[0] == 2 && net->nodes[1].conv.bias[0] == 3);
  assert_string_equal(snn_network_name(net), "");
  assert_string_equal(snn_network_provenance(net), "{}");
  assert_null(snn_network_label(net, 0));
  assert_int_equal(net->recommended.timesteps, 32);
  assert_true(snn_network_output_threshold(net) == 0.0f);
  assert_true(net->preprocess.mean[0] == 0 && net->preprocess.std[0] == 1);
  snn_network_free(net);
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_bombs),
      cmocka_unit_test(test_too_many_tensors),
      cmocka_unit_test(test_cases),
      cmocka_unit_test(test_missing_file),
      cmocka_unit_test(test_unknown_extras_are_ignored),
  };
  return cmocka_run_group_tests_name("model refusals", tests, NULL, NULL);
}
