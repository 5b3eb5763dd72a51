/* Arrays in files: what .npy and text give, what is refused, and that what is written is read again. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "snn/array.h"

/* An .npy file of version 1 around a header and values. */
static size_t make_npy(const char *header, const void *values, size_t n_values, char *out) {
  size_t length = strlen(header);
  memcpy(out, "\x93NUMPY\x01\x00", 8);
  out[8] = (char)(length & 255);
  out[9] = (char)(length >> 8);
  memcpy(out + 10, header, length);
  memcpy(out + 10 + length, values, n_values);
  return 10 + length + n_values;
}

static void test_npy(void **state) {
  (void)state;
  const float floats[] = {1, -2.5f, INFINITY, 4, 5, 6};
  const double doubles[] = {1, -2.5, 1e300, 0.1, 5, 6};
  static const struct {
    const char *header;
    bool is_double;
    size_t n_dims, dims[3];
  } cases[] = {
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }   \n", false, 2, {2, 3}},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (6,), }\n", true, 1, {6}},
      {"{'shape':(1,2,3),'fortran_order':False,'descr':'<f4'}", false, 3, {1, 2, 3}},
      {"{'shape': (3, 2,), 'descr': '<f8', 'fortran_order': False}", true, 2, {3, 2}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char bytes[512];
    size_t n = cases[i].is_double ? make_npy(cases[i].header, doubles, sizeof doubles, bytes)
                                  : make_npy(cases[i].header, floats, sizeof floats, bytes);
    snn_array a;
    snn_error err = {0};
    if (snn_array_read_memory(bytes, n, &a, &err) != SNN_OK) fail_msg("case %zu: %s", i, err.text);
    assert_int_equal(a.n_dims, cases[i].n_dims);
    assert_memory_equal(a.dims, cases[i].dims, a.n_dims * sizeof *a.dims);
    assert_int_equal(a.n, 6);
    for (int k = 0; k < 6; k++) assert_true(a.values[k] == (cases[i].is_double ? (float)doubles[k] : floats[k]));
    snn_array_free(&a);
    for (size_t cut = 6; cut < n; cut++) /* nothing is as good as less of it */
      assert_int_equal(snn_array_read_memory(bytes, cut, &a, NULL), SNN_ERR_FORMAT);
    bytes[n] = 0;
    assert_int_equal(snn_array_read_memory(bytes, n + 1, &a, NULL), SNN_ERR_FORMAT);
  }
}

static void test_npy_refused(void **state) {
  (void)state;
  static const struct {
    const char *header;
    snn_status status;
  } cases[] = {
      {"{'descr': '>f4', 'fortran_order': False, 'shape': (1,), }", SNN_ERR_UNSUPPORTED},
      {"{'descr': '<i4', 'fortran_order': False, 'shape': (1,), }", SNN_ERR_UNSUPPORTED},
      {"{'descr': '<f4', 'fortran_order': True, 'shape': (1,), }", SNN_ERR_UNSUPPORTED},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (), }", SNN_ERR_UNSUPPORTED},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }", SNN_ERR_FORMAT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1 1), }", SNN_ERR_FORMAT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (,), }", SNN_ERR_FORMAT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", SNN_ERR_FORMAT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,1,1,1,1,1,1,1,1), }", SNN_ERR_FORMAT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }", SNN_ERR_FORMAT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967297), }", SNN_ERR_FORMAT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387905,), }", SNN_ERR_FORMAT}, /* * 4 is 4 */
      {"{'descr': '<f4', 'fortran_order': Falsch, 'shape': (1,), }", SNN_ERR_FORMAT},
      {"{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }", SNN_ERR_FORMAT},
      {"{'descr': '<f4', 'fortran_order': False, }", SNN_ERR_FORMAT},
      {"{'descr': '<f4' 'fortran_order': False, 'shape': (1,), }", SNN_ERR_FORMAT},
      {"{'descr': '<f4', 'fortran_order': False, 'shape': (1,), } x", SNN_ERR_FORMAT},
      {"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", SNN_ERR_FORMAT},
      {"{'other': 1}", SNN_ERR_FORMAT},
      {"", SNN_ERR_FORMAT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char bytes[512];
    const float one = 1;
    snn_array a;
    snn_error err = {0};
    snn_status status = snn_array_read_memory(bytes, make_npy(cases[i].header, &one, sizeof one, bytes), &a, &err);
    if (status != cases[i].status) fail_msg("%s: %s %s", cases[i].header, snn_status_name(status), err.text);
    assert_true(err.text[0] && err.status == status);
  }
  snn_array a;
  assert_int_equal(snn_array_read_memory("\x93NUMPY\x04\x00\x02\x00{}", 12, &a, NULL), SNN_ERR_FORMAT);
  assert_int_equal(snn_array_read_memory("\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14, &a, NULL), SNN_ERR_FORMAT);
}

static void test_text(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t rows, columns;
    float values[6];
  } cases[] = {
      {"1,2,3\n4,5,6\n", 2, 3, {1, 2, 3, 4, 5, 6}},
      {"1 2\t3\r\n# more\r\n\r\n  4 ; 5; 6", 2, 3, {1, 2, 3, 4, 5, 6}},
      {"-1e-3\n+2.5\n.5\n7.", 4, 1, {-1e-3f, 2.5f, 0.5f, 7}},
      {"1.500000000000000000e+00, 2,\n", 1, 2, {1.5f, 2}}, /* a comma at the end divides nothing */
      {"", 0, 0, {0}},
      {"# nothing\n\n", 0, 0, {0}},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    snn_array a;
    snn_error err = {0};
    if (snn_array_read_memory(cases[i].text, strlen(cases[i].text), &a, &err) != SNN_OK)
      fail_msg("case %zu: %s", i, err.text);
    assert_int_equal(a.n_dims, 2);
    assert_int_equal(a.dims[0], cases[i].rows);
    assert_int_equal(a.dims[1], cases[i].columns);
    assert_memory_equal(a.values, cases[i].values, a.n * sizeof *a.values);
    snn_array_free(&a);
  }
  static const struct {
    const char *text, *error;
  } bad[] = {
      {"1,2\n3\n", "line 2 has 1 numbers, those before have 2"},
      {"class,score\n", "line 1 holds what is no number"},
      {"1,,2", "line 1 holds what is no number"},
      {",1", "line 1 holds what is no number"},
      {"\n1,2x", "line 2 holds what is no number"},
      {"1;;2", "line 1 holds what is no number"},
      {"1\n2 #3", "line 2 holds what is no number"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    snn_array a;
    snn_error err = {0};
    assert_int_equal(snn_array_read_memory(bad[i].text, strlen(bad[i].text), &a, &err), SNN_ERR_FORMAT);
    assert_string_equal(err.text, bad[i].error);
  }
  char long_number[100];
  snn_array a;
  memset(long_number, '1', sizeof long_number);
  assert_int_equal(snn_array_read_memory(long_number, sizeof long_number, &a, NULL), SNN_ERR_FORMAT);
  assert_int_equal(snn_array_read_memory("1\0002", 3, &a, NULL), SNN_ERR_FORMAT);
}

static void test_written_and_read(void **state) {
  (void)state;
  char path[] = "/tmp/snn-array-XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  const float values[24] = {1, 2, 3, -0.1f};
  static const size_t dims[] = {2, 1, 3, 4};
  for (size_t n_dims = 1; n_dims <= 4; n_dims++) {
    const size_t *shape = n_dims == 1 ? (const size_t[]){24} : n_dims == 4 ? dims : (const size_t[]){24, 1, 1};
    snn_array a;
    assert_int_equal(snn_array_write(path, values, n_dims, shape, NULL), SNN_OK);
    assert_int_equal(snn_array_read(path, &a, NULL), SNN_OK);
    assert_int_equal(a.n_dims, n_dims);
    assert_memory_equal(a.dims, shape, n_dims * sizeof *shape);
    assert_memory_equal(a.values, values, sizeof values);
    snn_array_free(&a);
  }
  unlink(path);
  snn_error err = {0};
  snn_array a;
  assert_int_equal(snn_array_read(path, &a, &err), SNN_ERR_NOT_FOUND);
  assert_int_equal(snn_array_write("/nonexistent/x.npy", values, 4, dims, NULL), SNN_ERR_IO);
  snn_array_free(&(snn_array){0});
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_npy),
      cmocka_unit_test(test_npy_refused),
      cmocka_unit_test(test_text),
      cmocka_unit_test(test_written_and_read),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
