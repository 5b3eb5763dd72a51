/* snn_convert_onnx from end to end: an ONNX file (made here, byte by byte) and an IDX data set become a network.
 * Accuracy on real models is measured elsewhere. */
#include <jansson.h>
#include <math.h>

#include "base/file.h"
#include "patience.h"
#include "pictures.h"

/* ---- an ONNX file, from Conv - Relu or Clip - Flatten - Gemm ---- */

typedef struct bytes {
  uint8_t data[2048];
  size_t n;
} bytes;

static void put_varint(bytes *m, uint64_t v) {
  for (; v > 0x7f; v >>= 7) m->data[m->n++] = (uint8_t)(v | 0x80);
  m->data[m->n++] = (uint8_t)v;
}

static void put_int(bytes *m, uint32_t field, uint64_t v) {
  put_varint(m, field << 3);
  put_varint(m, v);
}

static void put(bytes *m, uint32_t field, const void *data, size_t n) {
  put_varint(m, field << 3 | 2);
  put_varint(m, n);
  assert_true(m->n + n <= sizeof m->data);
  memcpy(m->data + m->n, data, n);
  m->n += n;
}

static void put_text(bytes *m, uint32_t field, const char *s) {
  put(m, field, s, strlen(s));
}

static void put_tensor(bytes *graph, const char *name, size_t rank, const uint64_t *dims, const float *values) {
  bytes t = {.n = 0};
  size_t n = 1;
  for (size_t i = 0; i < rank; i++) put_int(&t, 1, dims[i]), n *= dims[i];
  put_int(&t, 2, 1); /* FLOAT */
  put_text(&t, 8, name);
  put(&t, 9, values, n * sizeof *values);
  put(graph, 5, t.data, t.n);
}

static void put_value(bytes *graph, uint32_t field, const char *name, size_t rank, const uint64_t *dims) {
  bytes shape = {.n = 0}, tensor = {.n = 0}, type = {.n = 0}, value = {.n = 0};
  for (size_t i = 0; i < rank; i++) {
    bytes dim = {.n = 0};
    put_int(&dim, 1, dims[i]);
    put(&shape, 1, dim.data, dim.n);
  }
  put_int(&tensor, 1, 1);
  put(&tensor, 2, shape.data, shape.n);
  put(&type, 1, tensor.data, tensor.n);
  put_text(&value, 1, name);
  put(&value, 2, type.data, type.n);
  put(graph, field, value.data, value.n);
}

static void put_node(bytes *graph, const char *op, const char *const inputs[3], const char *output) {
  bytes node = {.n = 0};
  for (size_t i = 0; i < 3 && inputs[i]; i++) put_text(&node, 1, inputs[i]);
  put_text(&node, 2, output);
  put_text(&node, 4, op);
  put(graph, 1, node.data, node.n);
}

static void write_onnx(const char *path, bool clipped) {
  static const uint64_t image[] = {1, 1, SIDE, SIDE}, kernel[] = {2, 1, 3, 3}, two[] = {2}, dense[] = {8, 3},
                        three[] = {3};
  static const uint64_t scores[] = {1, 3};
  static float numbers[64];
  bytes graph = {.n = 0}, opset = {.n = 0}, model = {.n = 0};
  for (int i = 0; i < 64; i++) numbers[i] = (float)((i * 29) % 17) / 16.0f - 0.4f;
  put_node(&graph, "Conv", (const char *const[]){"x", "conv.weight", "conv.bias"}, "c");
  if (clipped)
    put_node(&graph, "Clip", (const char *const[]){"c", "low", "high"}, "r");
  else
    put_node(&graph, "Relu", (const char *const[]){"c", NULL, NULL}, "r");
  put_node(&graph, "Flatten", (const char *const[]){"r", NULL, NULL}, "f");
  put_node(&graph, "Gemm", (const char *const[]){"f", "fc.weight", "fc.bias"}, "y");
  put_text(&graph, 2, "g");
  put_tensor(&graph, "conv.weight", 4, kernel, numbers);
  put_tensor(&graph, "conv.bias", 1, two, numbers + 3);
  put_tensor(&graph, "fc.weight", 2, dense, numbers + 5);
  put_tensor(&graph, "fc.bias", 1, three, numbers + 1);
  if (clipped) put_tensor(&graph, "low", 0, NULL, (const float[]){0});
  if (clipped) put_tensor(&graph, "high", 0, NULL, (const float[]){0.5f});
  put_value(&graph, 11, "x", 4, image);
  put_value(&graph, 12, "y", 2, scores);
  put_int(&opset, 2, 13);
  put_int(&model, 1, 8);
  put(&model, 7, graph.data, graph.n);
  put(&model, 8, opset.data, opset.n);
  write_file(path, model.data, model.n);
}

static void test_conversion(void **state) {
  (void)state;
  char onnx[256], saved[2][256];
  static const char *const labels[] = {"a", "b", "c"};
  snn_preprocess pre = {.background = 7};
  for (int c = 0; c < SNN_MAX_CHANNELS_IN; c++) pre.mean[c] = 0.5f, pre.std[c] = 0.25f;
  write_onnx(in_folder("a\"b.onnx", onnx), false); /* a name that JSON has to escape */
  snn_convert_options opt = {.name = "small",
                             .preprocess = &pre,
                             .labels = labels,
                             .n_labels = 3,
                             .data = pictures,
                             .data_limit = 20,
                             .data_name = "random \xff\n\\",
                             .threshold = SNN_THRESHOLD_PERCENTILE,
                             .percentile = 99.9,
                             .scope = SNN_PER_CHANNEL,
                             .recommended_init = "zero",
                             .recommended_timesteps = 11,
                             .threads = 1};
  for (int i = 0; i < 2; i++) { /* twice, at another number of threads: the same file */
    snn_network *net = NULL;
    snn_error err = {0};
    if (snn_convert_onnx(onnx, &opt, &net, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
    assert_int_equal(snn_network_save(net, in_folder(i ? "1" : "0", saved[i]), SNN_WEIGHTS_F32, NULL), SNN_OK);
    assert_string_equal(snn_network_name(net), "small");
    assert_string_equal(snn_network_label(net, 2), "c");
    assert_true(snn_network_preprocess(net)->mean[0] == 0.5f && snn_network_preprocess(net)->background == 7);
    snn_run_options run = snn_run_defaults(net);
    assert_true(run.timesteps == 11 && run.init == SNN_INIT_ZERO);
    assert_int_equal(snn_network_layers(net), 4);
    snn_layer_info act = snn_network_layer(net, 2);
    assert_int_equal(act.n_threshold, 2);
    assert_true(act.threshold[0] > 0 && isinf(act.clip));
    json_t *how = json_loads(snn_network_provenance(net), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(how);
    assert_string_equal(json_string_value(json_object_get(how, "source")), "a\"b.onnx");
    assert_string_equal(json_string_value(json_object_get(how, "data")), "random ??\\");
    assert_string_equal(json_string_value(json_object_get(how, "threshold")), "percentile=99.9");
    assert_string_equal(json_string_value(json_object_get(how, "per")), "channel");
    assert_int_equal(json_integer_value(json_object_get(how, "pictures")), 20);
    assert_int_equal(strlen(json_string_value(json_object_get(how, "source_sha256"))), 64);
    json_decref(how);
    snn_network_free(net);
    opt.threads = 3;
  }
  snn_mapping files[2];
  for (int i = 0; i < 2; i++) assert_int_equal(snn_map_file(saved[i], 1 << 20, &files[i], NULL), SNN_OK);
  assert_int_equal(files[0].n_bytes, files[1].n_bytes);
  assert_memory_equal(files[0].bytes, files[1].bytes, files[0].n_bytes);
  for (int i = 0; i < 2; i++) {
    snn_unmap(&files[i]);
    unlink(saved[i]);
  }
  unlink(onnx);
}

static void test_clipped_conversion_without_pictures(void **state) {
  (void)state;
  char onnx[256];
  write_onnx(in_folder("clip.onnx", onnx), true);
  snn_convert_options opt = {.threshold = SNN_THRESHOLD_CLIP};
  snn_network *net = NULL;
  snn_error err = {0};
  if (snn_convert_onnx(onnx, &opt, &net, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  assert_true(snn_network_layer(net, 2).threshold[0] == 0.5f && snn_network_layer(net, 2).clip == 0.5f);
  assert_int_equal(snn_run_defaults(net).timesteps, 32);
  assert_int_equal(snn_run_defaults(net).init, SNN_INIT_HALF);
  snn_network_free(net);
  unlink(onnx);
}

static void test_conversion_refused(void **state) {
  (void)state;
  char onnx[256], longest[300], missing[256];
  static const char *const labels[] = {"a", "b"};
  const char *long_label[] = {"a", "b", longest};
  memset(longest, 'x', sizeof longest);
  longest[sizeof longest - 1] = 0;
  write_onnx(in_folder("net.onnx", onnx), false);
  in_folder("missing.onnx", missing);
  progress_log stopped = {.stop_at = 0};
  const snn_convert_options good = {.data = pictures, .threshold = SNN_THRESHOLD_MAX};
  struct {
    const char *path;
    snn_convert_options opt;
    snn_status status;
    const char *where;
  } cases[12];
  size_t n = 0;
  for (size_t i = 0; i < 12; i++) {
    cases[i].path = onnx;
    cases[i].opt = good;
    cases[i].status = SNN_ERR_ARGUMENT;
  }
  const double percentiles[] = {0, -1, 100.5, NAN};
  for (size_t i = 0; i < 4; i++, n++) {
    cases[n].opt.threshold = SNN_THRESHOLD_PERCENTILE;
    cases[n].opt.percentile = percentiles[i];
    cases[n].where = "threshold";
  }
  cases[n].opt.data = NULL;
  cases[n++].where = "data";
  cases[n].opt.recommended_init = "quarter";
  cases[n++].where = "init";
  cases[n].opt.name = longest;
  cases[n++].where = "name";
  cases[n].opt.labels = labels;
  cases[n].opt.n_labels = 2;
  cases[n++].where = "labels";
  cases[n].opt.labels = long_label;
  cases[n].opt.n_labels = 3;
  cases[n++].where = "labels";
  cases[n].opt.threshold = SNN_THRESHOLD_CLIP;
  cases[n++].where = "conv";
  cases[n].path = missing;
  cases[n].status = SNN_ERR_NOT_FOUND;
  cases[n++].where = "missing.onnx";
  cases[n].opt.progress = note_progress;
  cases[n].opt.progress_context = &stopped;
  cases[n].status = SNN_ERR_CANCELLED;
  cases[n++].where = "";
  assert_int_equal(n, sizeof cases / sizeof *cases);
  for (size_t i = 0; i < n; i++) {
    snn_network *net = NULL;
    snn_error err = {0};
    snn_status got = snn_convert_onnx(cases[i].path, &cases[i].opt, &net, &err);
    if (got != cases[i].status || strcmp(err.where, cases[i].where) != 0)
      fail_msg("case %zu: status %s, %s: %s", i, snn_status_name(got), err.where, err.text);
    assert_null(net);
  }
  unlink(onnx);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_conversion),
      cmocka_unit_test(test_clipped_conversion_without_pictures),
      cmocka_unit_test(test_conversion_refused),
  };
  return cmocka_run_group_tests_name("convert", tests, make_pictures, remove_pictures);
}
