/* The ONNX importer: the wire decoder at its edges, models written by hand in forms that the usual writers avoid,
 * weight layout, names, external data, and every refused model of tests/invalid/onnx. Float answers of whole networks
 * are compared elsewhere (tests/support/make_onnx_fixtures.py writes the models). */
#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

#include "graph/graph.h"
#include "onnx/onnx.h"
#include "onnx/wire.h"

enum { PATH_BYTES = 1024 };

/* ---- a small protobuf writer ---- */

typedef struct message {
  uint8_t bytes[8192];
  size_t n;
} message;

static void put_varint(message *m, uint64_t v) {
  for (; v > 0x7f; v >>= 7) m->bytes[m->n++] = (uint8_t)(v | 0x80);
  m->bytes[m->n++] = (uint8_t)v;
}

static void put_int(message *m, uint32_t field, uint64_t v) {
  put_varint(m, (uint64_t)field << 3);
  put_varint(m, v);
}

static void put_bytes(message *m, uint32_t field, const void *bytes, size_t n) {
  put_varint(m, (uint64_t)field << 3 | 2);
  put_varint(m, n);
  assert_true(m->n + n <= sizeof m->bytes);
  if (n) memcpy(m->bytes + m->n, bytes, n);
  m->n += n;
}

static void put_text(message *m, uint32_t field, const char *s) {
  put_bytes(m, field, s, strlen(s));
}

static void put_message(message *m, uint32_t field, const message *sub) {
  put_bytes(m, field, sub->bytes, sub->n);
}

static void put_float(message *m, uint32_t field, float x) {
  put_varint(m, (uint64_t)field << 3 | 5);
  memcpy(m->bytes + m->n, &x, sizeof x);
  m->n += sizeof x;
}

/* ---- models ---- */

typedef struct tensor_form {
  bool packed_dims, raw;
} tensor_form;

/* A float tensor with dims up to the first 0. */
static void put_tensor(message *graph, const char *name, const uint32_t dims[4], const float *x, tensor_form form) {
  message t = {.n = 0}, packed = {.n = 0};
  size_t n = 1;
  for (int i = 0; i < 4 && dims[i]; i++) {
    n *= dims[i];
    if (form.packed_dims)
      put_varint(&packed, dims[i]);
    else
      put_int(&t, 1, dims[i]);
  }
  if (form.packed_dims) put_message(&t, 1, &packed);
  put_int(&t, 2, 1);
  put_text(&t, 8, name);
  if (form.raw)
    put_bytes(&t, 9, x, n * sizeof *x);
  else
    for (size_t i = 0; i < n; i++) put_float(&t, 4, x[i]);
  put_message(graph, 5, &t);
}

static void put_node(message *graph, const char *op, const char *name, const char *a, const char *b, const char *out) {
  message node = {.n = 0};
  put_text(&node, 1, a);
  if (b) put_text(&node, 1, b);
  put_text(&node, 2, out);
  put_text(&node, 3, name);
  put_text(&node, 4, op);
  put_message(graph, 1, &node);
}

/* A graph input [batch, dims...]; its batch is a name. */
static void put_input(message *graph, const char *name, const uint32_t *dims, int n_dims) {
  message port = {.n = 0}, type = {.n = 0}, tensor = {.n = 0}, shape = {.n = 0}, batch = {.n = 0};
  put_text(&batch, 2, "batch");
  put_message(&shape, 1, &batch);
  for (int i = 0; i < n_dims; i++) {
    message dim = {.n = 0};
    put_int(&dim, 1, dims[i]);
    put_message(&shape, 1, &dim);
  }
  put_int(&tensor, 1, 1);
  put_message(&tensor, 2, &shape);
  put_message(&type, 1, &tensor);
  put_text(&port, 1, name);
  put_message(&port, 2, &type);
  put_message(graph, 11, &port);
}

static void put_output(message *graph, const char *name) {
  message port = {.n = 0};
  put_text(&port, 1, name);
  put_message(graph, 12, &port);
}

static void finish_model(message *model, const message *graph) {
  message opset = {.n = 0};
  put_int(&opset, 2, 13);
  put_int(model, 1, 7);
  put_message(model, 8, &opset);
  put_message(model, 7, graph);
}

/* x [2,2,3] -> Conv k (3 outputs, 2x2) -> Relu -> Flatten -> MatMul w [6,2]; weights count up from 1. */
static void small_model(message *model, tensor_form form) {
  message graph = {.n = 0};
  float k[3 * 2 * 2 * 2], w[6 * 2];
  for (int i = 0; i < 24; i++) k[i] = (float)(i + 1);
  for (int i = 0; i < 12; i++) w[i] = (float)(i + 1);
  put_input(&graph, "x", (const uint32_t[]){2, 2, 3}, 3);
  put_tensor(&graph, "features.0.weight", (const uint32_t[4]){3, 2, 2, 2}, k, form);
  put_tensor(&graph, "onnx::MatMul_9", (const uint32_t[4]){6, 2, 0, 0}, w, form);
  put_node(&graph, "Conv", "/features/0/Conv", "x", "features.0.weight", "c");
  put_node(&graph, "Relu", "/features/1/Relu", "c", NULL, "r");
  put_node(&graph, "Flatten", "", "r", NULL, "f");
  put_node(&graph, "MatMul", "/fc 1/MatMul", "f", "onnx::MatMul_9", "y");
  put_output(&graph, "y");
  finish_model(model, &graph);
}

static snn_network *import_ok(const message *m) {
  snn_network *net = NULL;
  snn_error err = {.status = SNN_OK};
  snn_status status = snn_onnx_import_memory(m->bytes, m->n, NULL, &net, &err);
  if (status != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  assert_non_null(net);
  return net;
}

/* ---- wire ---- */

static bool read_one(const void *bytes, size_t n, onnx_field *f) {
  onnx_reader r = snn_wire_open((onnx_slice){bytes, n});
  return snn_wire_next(&r, f) && !r.malformed;
}

static void test_varints(void **state) {
  (void)state;
  static const uint8_t one[] = {0x08, 0x01}, two[] = {0x08, 0xac, 0x02};
  static const uint8_t padded[] = {0x08, 0x81, 0x80, 0x80, 0x00}; /* 1 with trailing zero groups */
  static const uint8_t largest[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
  static const uint8_t too_large[] = {0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
  static const uint8_t too_long[] = {0x08, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
  static const uint8_t torn[] = {0x08, 0x80};
  onnx_field f;
  assert_true(read_one(one, sizeof one, &f));
  assert_int_equal(f.number, 1);
  assert_int_equal(f.value, 1);
  assert_true(read_one(two, sizeof two, &f));
  assert_int_equal(f.value, 300);
  assert_true(read_one(padded, sizeof padded, &f));
  assert_int_equal(f.value, 1);
  assert_true(read_one(largest, sizeof largest, &f));
  assert_true(f.value == UINT64_MAX);
  assert_false(read_one(too_large, sizeof too_large, &f));
  assert_false(read_one(too_long, sizeof too_long, &f));
  assert_false(read_one(torn, sizeof torn, &f));
  assert_false(read_one(torn, 1, &f));
  assert_false(read_one(torn, 0, &f));
}

static void test_field_numbers_and_types(void **state) {
  (void)state;
  static const uint8_t zero[] = {0x00, 0x01}, largest[] = {0xf8, 0xff, 0xff, 0xff, 0x0f, 0x01};
  static const uint8_t too_large[] = {0x80, 0x80, 0x80, 0x80, 0x10, 0x01};
  static const uint8_t group[] = {0x0b, 0x0c}, unknown[] = {0x0e, 0x01};
  onnx_field f;
  assert_false(read_one(zero, sizeof zero, &f));
  assert_true(read_one(largest, sizeof largest, &f));
  assert_int_equal(f.number, (1 << 29) - 1);
  assert_false(read_one(too_large, sizeof too_large, &f));
  assert_false(read_one(group, sizeof group, &f));
  assert_false(read_one(unknown, sizeof unknown, &f));
}

static void test_lengths(void **state) {
  (void)state;
  static const uint8_t text[] = {0x12, 0x03, 'a', 'b', 'c', 0x08, 0x01}, beyond[] = {0x12, 0x04, 'a', 'b', 'c'};
  static const uint8_t huge[] = {0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'a'};
  static const uint8_t fixed[] = {0x0d, 0, 0, 0x80, 0x3f, 0x11, 1, 0, 0, 0, 0, 0, 0, 0};
  onnx_field f;
  assert_true(read_one(text, sizeof text, &f));
  assert_true(snn_slice_is(f.bytes, "abc"));
  assert_false(read_one(beyond, sizeof beyond, &f));
  assert_false(read_one(huge, sizeof huge, &f));
  onnx_reader r = snn_wire_open((onnx_slice){fixed, sizeof fixed});
  assert_true(snn_wire_next(&r, &f));
  assert_true(snn_wire_float((uint32_t)f.value) == 1.0f);
  assert_true(snn_wire_next(&r, &f));
  assert_int_equal(f.value, 1);
  assert_false(snn_wire_next(&r, &f));
  assert_false(r.malformed);
  assert_false(read_one(fixed, 4, &f));
}

static void test_elements_packed_or_not(void **state) {
  (void)state;
  static const uint8_t single[] = {0x08, 0x07}, packed[] = {0x0a, 0x03, 0x07, 0xac, 0x02}, empty[] = {0x0a, 0x00};
  static const uint8_t torn_varint[] = {0x0a, 0x02, 0x07, 0x80}, torn_fixed[] = {0x0a, 0x05, 1, 0, 0, 0, 2};
  onnx_field f;
  uint64_t v = 0;
  assert_true(read_one(single, sizeof single, &f));
  assert_true(snn_wire_element(&f, ONNX_WIRE_VARINT, &v));
  assert_int_equal(v, 7);
  assert_false(snn_wire_element(&f, ONNX_WIRE_VARINT, &v));
  assert_false(f.malformed);
  assert_true(read_one(single, sizeof single, &f));
  assert_false(snn_wire_element(&f, ONNX_WIRE_FIXED32, &v));
  assert_true(f.malformed);
  assert_true(read_one(packed, sizeof packed, &f));
  assert_true(snn_wire_element(&f, ONNX_WIRE_VARINT, &v) && v == 7);
  assert_true(snn_wire_element(&f, ONNX_WIRE_VARINT, &v) && v == 300);
  assert_false(snn_wire_element(&f, ONNX_WIRE_VARINT, &v));
  assert_false(f.malformed);
  assert_true(read_one(empty, sizeof empty, &f));
  assert_false(snn_wire_element(&f, ONNX_WIRE_VARINT, &v));
  assert_false(f.malformed);
  assert_true(read_one(torn_varint, sizeof torn_varint, &f));
  assert_true(snn_wire_element(&f, ONNX_WIRE_VARINT, &v));
  assert_false(snn_wire_element(&f, ONNX_WIRE_VARINT, &v));
  assert_true(f.malformed);
  assert_true(read_one(torn_fixed, sizeof torn_fixed, &f));
  assert_true(snn_wire_element(&f, ONNX_WIRE_FIXED32, &v) && v == 1);
  assert_false(snn_wire_element(&f, ONNX_WIRE_FIXED32, &v));
  assert_true(f.malformed);
}

/* ---- import ---- */

static void check_small_network(const snn_network *net) {
  assert_int_equal(net->n_nodes, 4);
  static const snn_layer_kind kinds[] = {SNN_LAYER_INPUT, SNN_LAYER_CONV, SNN_LAYER_NEURON, SNN_LAYER_CONV};
  static const char *const names[] = {"x", "features.0", "features.0", "fc_1.MatMul"};
  for (uint32_t i = 0; i < 4; i++) {
    assert_int_equal(net->nodes[i].kind, kinds[i]);
    assert_string_equal(net->nodes[i].name, names[i]);
  }
  assert_int_equal(net->nodes[2].neurons.n, 0);
  assert_true(isinf(net->nodes[2].neurons.clip));
  const snn_conv *conv = &net->nodes[1].conv, *fc = &net->nodes[3].conv;
  for (int o = 0; o < 3; o++) /* OIHW [3][2][2][2] to HWIO */
    for (int c = 0; c < 2; c++)
      for (int y = 0; y < 2; y++)
        for (int x = 0; x < 2; x++)
          assert_true(conv->weights[((y * 2 + x) * 2 + c) * 3 + o] == (float)(((o * 2 + c) * 2 + y) * 2 + x + 1));
  for (int o = 0; o < 3; o++) assert_true(conv->bias[o] == 0);
  /* The map is [3,1,2]; feature c*2+x of ONNX, row w[c*2+x], is kernel position x, input channel c. */
  assert_int_equal(fc->window.kernel_h, 1);
  assert_int_equal(fc->window.kernel_w, 2);
  for (int c = 0; c < 3; c++)
    for (int x = 0; x < 2; x++)
      for (int o = 0; o < 2; o++) assert_true(fc->weights[(x * 3 + c) * 2 + o] == (float)((c * 2 + x) * 2 + o + 1));
}

static void test_all_encodings_agree(void **state) {
  (void)state;
  for (int form = 0; form < 4; form++) {
    message m = {.n = 0};
    small_model(&m, (tensor_form){form & 1, form & 2});
    snn_network *net = import_ok(&m);
    check_small_network(net);
    snn_network_free(net);
  }
}

static void test_every_truncation_is_refused(void **state) {
  (void)state;
  message m = {.n = 0};
  small_model(&m, (tensor_form){true, true});
  for (size_t n = 0; n < m.n; n++) {
    snn_network *net = NULL;
    snn_error err = {.status = SNN_OK};
    uint8_t *exact = malloc(n ? n : 1); /* so that a read past the end is seen by the sanitizer */
    assert_non_null(exact);
    memcpy(exact, m.bytes, n);
    assert_int_equal(snn_onnx_import_memory(exact, n, NULL, &net, &err), SNN_ERR_FORMAT);
    assert_null(net);
    assert_true(err.text[0]);
    free(exact);
  }
}

static void test_names(void **state) {
  (void)state;
  message graph = {.n = 0}, m = {.n = 0};
  char longest[400];
  memset(longest, 'n', sizeof longest - 1);
  longest[sizeof longest - 1] = '\0';
  put_input(&graph, "/in put\xc3\xa9", (const uint32_t[]){1, 2, 2}, 3);
  put_node(&graph, "Relu", "same", "/in put\xc3\xa9", NULL, "a");
  put_node(&graph, "GlobalAveragePool", "/same", "a", NULL, "b");
  put_node(&graph, "GlobalAveragePool", "same", "b", NULL, "c");
  put_node(&graph, "GlobalAveragePool", "", "c", NULL, "d");
  put_node(&graph, "GlobalAveragePool", longest, "d", NULL, "e");
  put_node(&graph, "GlobalAveragePool", longest, "e", NULL, "f");
  put_output(&graph, "f");
  finish_model(&m, &graph);
  snn_network *net = import_ok(&m);
  assert_int_equal(net->n_nodes, 7);
  static const char *const names[] = {"in_put__", "in_put__", "same", "same_2", "globalaveragepool_3"};
  for (int i = 0; i < 5; i++) assert_string_equal(net->nodes[i].name, names[i]);
  assert_int_equal(strlen(net->nodes[5].name), SNN_MAX_NAME - 1);
  assert_true(strlen(net->nodes[6].name) < SNN_MAX_NAME);
  assert_string_not_equal(net->nodes[5].name, net->nodes[6].name);
  snn_network_free(net);
}

/* ---- external data ---- */

/* Conv with weights 1..4 [2,2,1,1] in an external file. */
static void external_model(message *m, const char *location, const char *offset, const char *length) {
  message graph = {.n = 0}, t = {.n = 0};
  const char *const entries[][2] = {{"location", location}, {"offset", offset}, {"length", length}};
  put_input(&graph, "x", (const uint32_t[]){2, 1, 1}, 3);
  static const uint32_t dims[] = {2, 2, 1, 1};
  for (int i = 0; i < 4; i++) put_int(&t, 1, dims[i]);
  put_int(&t, 2, 1);
  put_text(&t, 8, "k");
  for (int i = 0; i < 3; i++) {
    message entry = {.n = 0};
    put_text(&entry, 1, entries[i][0]);
    put_text(&entry, 2, entries[i][1]);
    put_message(&t, 13, &entry);
  }
  put_int(&t, 14, 1);
  put_message(&graph, 5, &t);
  put_node(&graph, "Conv", "conv", "x", "k", "y");
  put_output(&graph, "y");
  finish_model(m, &graph);
}

typedef struct external_case {
  const char *location, *offset, *length;
  snn_status status;
} external_case;

static void write_file(const char *path, const void *bytes, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static void test_external_data(void **state) {
  (void)state;
  static const external_case cases[] = {
      {"w.bin", "4", "16", SNN_OK},
      {"./w.bin", "4", "16", SNN_OK},
      {"inside.bin", "4", "16", SNN_OK}, /* a link that stays inside */
      {"w.bin", "0", "16", SNN_OK},
      {"w.bin", "8", "16", SNN_ERR_FORMAT}, /* beyond the end */
      {"w.bin", "4", "12", SNN_ERR_FORMAT}, /* too short for the shape */
      {"w.bin", "18446744073709551615", "16", SNN_ERR_FORMAT},
      {"w.bin", "18446744073709551620", "16", SNN_ERR_FORMAT},
      {"w.bin", "-4", "16", SNN_ERR_FORMAT},
      {"outside.bin", "4", "16", SNN_ERR_FORMAT}, /* a link that leaves the folder */
      {"../secret.bin", "4", "16", SNN_ERR_FORMAT},
      {"sub/../w.bin", "4", "16", SNN_ERR_FORMAT},
      {"/etc/passwd", "4", "16", SNN_ERR_FORMAT},
      {"", "4", "16", SNN_ERR_FORMAT},
      {"absent.bin", "4", "16", SNN_ERR_NOT_FOUND},
      {".", "4", "16", SNN_ERR_FORMAT},
  };
  char root[] = "/tmp/snn-onnx-XXXXXX", path[PATH_BYTES], model_path[PATH_BYTES];
  static const float data[] = {0, 1, 2, 3, 4};
  assert_non_null(mkdtemp(root));
  snprintf(path, sizeof path, "%s/secret.bin", root);
  write_file(path, data, sizeof data);
  snprintf(path, sizeof path, "%s/model", root);
  assert_int_equal(mkdir(path, 0700), 0);
  snprintf(path, sizeof path, "%s/model/w.bin", root);
  write_file(path, data, sizeof data);
  snprintf(path, sizeof path, "%s/model/inside.bin", root);
  assert_int_equal(symlink("w.bin", path), 0);
  snprintf(path, sizeof path, "%s/model/outside.bin", root);
  assert_int_equal(symlink("../secret.bin", path), 0);
  snprintf(model_path, sizeof model_path, "%s/model/model.onnx", root);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    message m = {.n = 0};
    snn_network *net = NULL;
    snn_error err = {.status = SNN_OK};
    external_model(&m, cases[i].location, cases[i].offset, cases[i].length);
    write_file(model_path, m.bytes, m.n);
    snn_status status = snn_onnx_import(model_path, &net, &err);
    if (status != cases[i].status)
      fail_msg("location '%s' offset %s: %s, %s", cases[i].location, cases[i].offset, snn_status_name(status),
               err.text);
    if (status == SNN_OK) { /* [o][c] to [c][o] */
      assert_true(net->nodes[1].conv.weights[1] == data[(size_t)atoi(cases[i].offset) / 4 + 2]);
      snn_network_free(net);
      net = NULL;
      assert_int_equal(snn_onnx_import_memory(m.bytes, m.n, NULL, &net, NULL), SNN_ERR_UNSUPPORTED);
    }
    assert_null(net);
  }
  static const char *const files[] = {"model/w.bin", "model/inside.bin", "model/outside.bin", "model/model.onnx",
                                      "secret.bin"};
  for (size_t i = 0; i < 5; i++) {
    snprintf(path, sizeof path, "%s/%s", root, files[i]);
    assert_int_equal(unlink(path), 0);
  }
  snprintf(path, sizeof path, "%s/model", root);
  assert_int_equal(rmdir(path), 0);
  assert_int_equal(rmdir(root), 0);
}

/* ---- refused models ---- */

static void check_refused(const char *folder) {
  char path[PATH_BYTES], expected[512] = "", said[512];
  snprintf(path, sizeof path, "%s/expected.txt", folder);
  FILE *f = fopen(path, "r");
  if (!f) fail_msg("%s is missing", path);
  expected[fread(expected, 1, sizeof expected - 1, f)] = '\0';
  fclose(f);
  char *status = strtok(expected, "\n"), *text = strtok(NULL, "\n");
  assert_non_null(text);
  snn_network *net = NULL;
  snn_error err = {.status = SNN_OK};
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  snn_status got = snn_onnx_import(path, &net, &err);
  snprintf(said, sizeof said, "%s: %s", err.where, err.text);
  if (strcmp(snn_status_name(got), status) != 0 || !strstr(said, text) || net)
    fail_msg("%s: wanted %s with '%s', got %s with '%s'", folder, status, text, snn_status_name(got), said);
}

static void test_refused_models(void **state) {
  (void)state;
  const char *tests = getenv("TESTS_DIR");
  char root[PATH_BYTES / 4], folder[PATH_BYTES / 2];
  snprintf(root, sizeof root, "%s/invalid/onnx", tests ? tests : "tests");
  DIR *d = opendir(root);
  if (!d) fail_msg("cannot open %s", root);
  size_t n = 0;
  for (struct dirent *e; (e = readdir(d));) {
    if (e->d_name[0] == '.' || strchr(e->d_name, '.')) continue; /* README.md */
    snprintf(folder, sizeof folder, "%s/%s", root, e->d_name);
    check_refused(folder);
    n++;
  }
  closedir(d);
  assert_true(n >= 50);
}

static void test_missing_file(void **state) {
  (void)state;
  snn_network *net = NULL;
  snn_error err = {.status = SNN_OK};
  assert_int_equal(snn_onnx_import("/nonexistent/model.onnx", &net, &err), SNN_ERR_NOT_FOUND);
  assert_string_equal(err.where, "model.onnx");
  assert_int_equal(snn_onnx_import_memory(NULL, 0, NULL, &net, NULL), SNN_ERR_FORMAT);
  assert_null(net);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_varints),
      cmocka_unit_test(test_field_numbers_and_types),
      cmocka_unit_test(test_lengths),
      cmocka_unit_test(test_elements_packed_or_not),
      cmocka_unit_test(test_all_encodings_agree),
      cmocka_unit_test(test_every_truncation_is_refused),
      cmocka_unit_test(test_names),
      cmocka_unit_test(test_external_data),
      cmocka_unit_test(test_refused_models),
      cmocka_unit_test(test_missing_file),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
