/* Conversion: activation statistics against sorted arrays, threshold rules, and snn_convert_onnx from an ONNX file
 * (made here, byte by byte) and an IDX data set to a network. Accuracy on real models is measured elsewhere. */
#include <jansson.h>
#include <unistd.h>

#include "build.h"
#include "convert/thresholds.h"
#include "patience.h"
#include "snn/snn.h"

enum { PICTURES = 30, SIDE = 4, PIXELS = SIDE * SIDE, CHANNELS = 3 };

static char folder[] = "/tmp/test_convert.XXXXXX";
static uint8_t pixels[PICTURES][PIXELS];
static snn_dataset *pictures;

static char *in_folder(const char *name, char path[256]) {
  snprintf(path, 256, "%s/%s", folder, name);
  return path;
}

static void write_file(const char *path, const void *bytes, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static int make_pictures(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  uint8_t file[16 + sizeof pixels] = {0, 0, 8, 3, 0, 0, 0, PICTURES, 0, 0, 0, SIDE, 0, 0, 0, SIDE};
  uint32_t x = 12345;
  for (size_t i = 0; i < PICTURES; i++)
    for (size_t p = 0; p < PIXELS; p++) {
      x = x * 1664525 + 1013904223;
      pixels[i][p] = (uint8_t)(x >> 24);
    }
  memcpy(file + 16, pixels, sizeof pixels);
  char path[256];
  write_file(in_folder("pictures-idx3-ubyte", path), file, sizeof file);
  return snn_dataset_open(path, NULL, &pictures, NULL) == SNN_OK ? 0 : -1;
}

static int remove_pictures(void **state) {
  (void)state;
  char path[256];
  snn_dataset_free(pictures);
  unlink(in_folder("pictures-idx3-ubyte", path));
  return rmdir(folder);
}

/* ---- a network whose activations are known: pixel * weight + bias, per channel ---- */

static const float weights[CHANNELS] = {1, 5, -1}, bias[CHANNELS] = {0, 0.125f, 0}; /* the last one never fires */

static builder known_network(float clip) {
  builder b = begin(1, 1, SIDE, SIDE);
  snn_conv conv = {.window = square(1, 1, 0), .groups = 1, .weights = weights, .bias = bias};
  uint32_t at =
      append(&b, (snn_node){.kind = SNN_LAYER_CONV, .shape = {CHANNELS, 0, 0}, .conv = conv}, 1, &(uint32_t){0});
  b.next_name = "act";
  at = append(&b, (snn_node){.kind = SNN_LAYER_NEURON, .neurons = {.clip = clip}}, 1, &at);
  add_dense(&b, at, 2);
  return b;
}

static float activation(size_t picture, size_t p, size_t channel) {
  float x = (float)pixels[picture][p] / 255.0f * weights[channel] + bias[channel];
  return x > 0 ? x : 0;
}

static int ascending(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return x < y ? -1 : x > y;
}

/* All activations of channels [begin, end), sorted; returns how many. */
static size_t sorted(size_t begin, size_t end, float out[CHANNELS * PICTURES * PIXELS]) {
  size_t n = 0;
  for (size_t c = begin; c < end; c++)
    for (size_t i = 0; i < PICTURES; i++)
      for (size_t p = 0; p < PIXELS; p++) out[n++] = activation(i, p, c);
  qsort(out, n, sizeof *out, ascending);
  return n;
}

static snn_activation_stats *collect(const snn_network *net, uint32_t threads, size_t limit, size_t *used) {
  snn_activation_stats *stats = NULL;
  snn_convert_options opt = {.data = pictures, .data_limit = limit, .threads = threads};
  snn_error err = {0};
  if (snn_activation_stats_collect(net, &opt, &stats, used, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return stats;
}

/* ---- statistics ---- */

static void test_percentiles_against_sorted(void **state) {
  (void)state;
  static const double percentiles[] = {10, 34, 50, 66.6, 90, 99, 99.9, 99.99};
  static const uint32_t ranges[][2] = {{0, 1}, {1, 2}, {0, 2}, {0, CHANNELS}, {1, CHANNELS}};
  builder b = known_network(INFINITY);
  size_t used = 0;
  snn_activation_stats *stats = collect(b.net, 2, 0, &used), *s = &stats[2];
  float all[CHANNELS * PICTURES * PIXELS];
  assert_int_equal(used, PICTURES);
  assert_int_equal(s->channels, CHANNELS);
  assert_int_equal(s->per_channel, PICTURES * PIXELS);
  for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
    uint32_t first = ranges[r][0], end = ranges[r][1];
    size_t n = sorted(first, end, all);
    for (size_t k = 0; k < sizeof percentiles / sizeof *percentiles; k++) {
      float got = snn_activation_percentile(s, first, end, percentiles[k]);
      float want = all[(size_t)ceil(percentiles[k] / 100 * (double)n) - 1]; /* nearest rank */
      if (!(got >= want * 0.992f && got <= want * 1.008f))
        fail_msg("channels %u..%u: percentile %g is %g, not %g", first, end, percentiles[k], (double)got, (double)want);
    }
    assert_true(snn_activation_percentile(s, first, end, 100) == all[n - 1]);
  }
  assert_true(snn_activation_percentile(s, 2, 3, 99.9) == 0); /* the dead one */
  assert_true(snn_activation_percentile(s, 2, 3, 100) == 0);
  assert_null(stats[1].histogram); /* only neurons are counted */
  snn_activation_stats_free(b.net, stats);
  snn_network_free(b.net);
}

static void test_collection_does_not_depend_on_threads(void **state) {
  (void)state;
  builder b = known_network(INFINITY);
  for (size_t limit = 0; limit <= 7; limit += 7) {
    size_t used[2];
    snn_activation_stats *one = collect(b.net, 1, limit, &used[0]), *four = collect(b.net, 4, limit, &used[1]);
    assert_int_equal(used[0], limit ? limit : PICTURES);
    assert_int_equal(used[0], used[1]);
    assert_memory_equal(one[2].max, four[2].max, CHANNELS * sizeof(float));
    assert_memory_equal(one[2].histogram, four[2].histogram, CHANNELS * SNN_HISTOGRAM_BINS * sizeof(uint64_t));
    uint64_t counted = 0;
    for (size_t i = 0; i < SNN_HISTOGRAM_BINS; i++) counted += one[2].histogram[i];
    assert_int_equal(counted, used[0] * PIXELS);
    if (limit) { /* evenly spaced: 0, 4, 8, 12, 17, 21, 25 of 30 */
      static const size_t chosen[] = {0, 4, 8, 12, 17, 21, 25};
      float max = 0;
      for (size_t i = 0; i < 7; i++)
        for (size_t p = 0; p < PIXELS; p++) max = fmaxf(max, activation(chosen[i], p, 1));
      assert_true(one[2].max[1] == max);
    }
    snn_activation_stats_free(b.net, one);
    snn_activation_stats_free(b.net, four);
  }
  snn_network_free(b.net);
}

/* Values outside the histogram's range keep their order and their largest. */
static void test_extreme_activations(void **state) {
  (void)state;
  static const struct {
    float weight;
    double percentile;
    float low, high;
  } cases[] = {
      {1e30f, 100, 9.8e29f, 1e30f},    /* far above: the maximum is exact */
      {1e30f, 99, 9.6e29f, 1e30f},     /* nor is a percentile cut off there */
      {1e-30f, 100, 9.8e-31f, 1e-30f}, /* far below */
      {1e-30f, 99, 0, 0},              /* which is as good as nothing */
      {1e4f, 99, 9.6e3f, 1e4f},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    builder b = known_network(INFINITY);
    const float w[CHANNELS] = {cases[i].weight, 0, 0}, none[CHANNELS] = {0};
    b.net->nodes[1].conv.weights = w;
    b.net->nodes[1].conv.bias = none;
    size_t used;
    snn_activation_stats *stats = collect(b.net, 1, 0, &used);
    float got = snn_activation_percentile(&stats[2], 0, 1, cases[i].percentile);
    if (!(got >= cases[i].low && got <= cases[i].high)) fail_msg("case %zu gives %g", i, (double)got);
    snn_activation_stats_free(b.net, stats);
    snn_network_free(b.net);
  }
}

typedef struct progress_log {
  size_t calls, last_done, total, stop_at;
} progress_log;

static bool note_progress(void *context, const char *phase, size_t done, size_t total) {
  progress_log *log = context;
  assert_true(*phase && done >= log->last_done && done <= total);
  log->calls++;
  log->last_done = done;
  log->total = total;
  return done < log->stop_at;
}

static void test_progress_and_cancelling(void **state) {
  (void)state;
  builder b = known_network(INFINITY);
  progress_log log = {.stop_at = SIZE_MAX};
  snn_convert_options opt = {.data = pictures, .threads = 2, .progress = note_progress, .progress_context = &log};
  snn_activation_stats *stats = NULL;
  size_t used = 99;
  snn_error err = {0};
  assert_int_equal(snn_activation_stats_collect(b.net, &opt, &stats, &used, &err), SNN_OK);
  assert_true(log.calls >= PICTURES / 2 && log.last_done == PICTURES && log.total == PICTURES);
  snn_activation_stats_free(b.net, stats);
  stats = NULL;
  used = 99;
  log = (progress_log){.stop_at = 10};
  assert_int_equal(snn_activation_stats_collect(b.net, &opt, &stats, &used, &err), SNN_ERR_CANCELLED);
  assert_true(!stats && used == 99 && log.last_done == 10);
  snn_network_free(b.net);
}

/* ---- thresholds ---- */

static snn_status set(snn_network *net, const snn_activation_stats *stats, snn_threshold_rule rule,
                      snn_threshold_scope scope, double percentile, snn_error *err) {
  snn_convert_options opt = {.threshold = rule, .scope = scope, .percentile = percentile};
  return snn_thresholds_set(net, stats, &opt, err);
}

static void test_thresholds(void **state) {
  (void)state;
  builder b = known_network(INFINITY);
  size_t used;
  snn_activation_stats *stats = collect(b.net, 1, 0, &used), *s = &stats[2];
  const snn_neurons *n = &b.net->nodes[2].neurons;
  assert_int_equal(set(b.net, stats, SNN_THRESHOLD_MAX, SNN_PER_LAYER, 0, NULL), SNN_OK);
  assert_int_equal(n->n, 1);
  assert_true(n->theta[0] == s->max[1] && n->fire[0] == n->theta[0] && n->amplitude[0] == n->theta[0]);
  assert_true(n->activation_max[0] == s->max[1]);

  assert_int_equal(set(b.net, stats, SNN_THRESHOLD_MAX, SNN_PER_CHANNEL, 0, NULL), SNN_OK);
  assert_int_equal(n->n, CHANNELS);
  assert_true(n->theta[0] == s->max[0] && n->theta[1] == s->max[1]);
  assert_true(n->theta[2] == s->max[1]); /* dead: its layer's */
  assert_true(n->activation_max[0] == s->max[0] && n->activation_max[2] == 0);

  assert_int_equal(set(b.net, stats, SNN_THRESHOLD_PERCENTILE, SNN_PER_CHANNEL, 90, NULL), SNN_OK);
  assert_true(n->theta[0] == snn_activation_percentile(s, 0, 1, 90));
  assert_true(n->theta[1] == snn_activation_percentile(s, 1, 2, 90));
  assert_true(n->theta[2] == snn_activation_percentile(s, 0, 3, 90));
  assert_true(n->activation_max[1] == s->max[1]); /* the largest, whatever the percentile */

  assert_int_equal(set(b.net, stats, SNN_THRESHOLD_PERCENTILE, SNN_PER_LAYER, 20, NULL), SNN_OK);
  assert_true(n->theta[0] == s->max[1]); /* a third is zeros, so the percentile is 0: the largest instead */
  snn_error err = {0};
  assert_int_equal(snn_graph_finish(b.net, true, &err), SNN_OK);
  snn_activation_stats_free(b.net, stats);
  snn_network_free(b.net);
}

static void test_dead_layer(void **state) {
  (void)state;
  for (int scope = SNN_PER_LAYER; scope <= SNN_PER_CHANNEL; scope++) {
    builder b = known_network(INFINITY);
    const float w[CHANNELS] = {-1, -1, -1}, none[CHANNELS] = {0};
    b.net->nodes[1].conv.weights = w;
    b.net->nodes[1].conv.bias = none;
    size_t used;
    snn_activation_stats *stats = collect(b.net, 1, 0, &used);
    assert_int_equal(set(b.net, stats, SNN_THRESHOLD_PERCENTILE, (snn_threshold_scope)scope, 99.9, NULL), SNN_OK);
    for (uint32_t i = 0; i < b.net->nodes[2].neurons.n; i++) assert_true(b.net->nodes[2].neurons.theta[i] == 1.0f);
    snn_activation_stats_free(b.net, stats);
    snn_network_free(b.net);
  }
}

static void test_clip_rule(void **state) {
  (void)state;
  builder b = known_network(INFINITY);
  snn_error err = {0};
  assert_int_equal(set(b.net, NULL, SNN_THRESHOLD_CLIP, SNN_PER_LAYER, 0, &err), SNN_ERR_ARGUMENT);
  assert_string_equal(err.where, "act"); /* the layer that cannot follow it */
  assert_int_equal(b.net->nodes[2].neurons.n, 0);
  snn_network_free(b.net);
  b = known_network(0.75f);
  assert_int_equal(set(b.net, NULL, SNN_THRESHOLD_CLIP, SNN_PER_LAYER, 0, NULL), SNN_OK);
  assert_true(b.net->nodes[2].neurons.n == 1 && b.net->nodes[2].neurons.theta[0] == 0.75f);
  assert_null(b.net->nodes[2].neurons.activation_max);
  assert_int_equal(set(b.net, NULL, SNN_THRESHOLD_CLIP, SNN_PER_CHANNEL, 0, NULL), SNN_OK);
  assert_true(b.net->nodes[2].neurons.n == CHANNELS && b.net->nodes[2].neurons.theta[2] == 0.75f);
  size_t used;
  snn_activation_stats *stats = collect(b.net, 1, 0, &used);
  assert_true(stats[2].max[1] == 0.75f); /* the float network clips */
  assert_int_equal(set(b.net, stats, SNN_THRESHOLD_CLIP, SNN_PER_LAYER, 0, NULL), SNN_OK);
  assert_true(b.net->nodes[2].neurons.theta[0] == 0.75f && b.net->nodes[2].neurons.activation_max[0] == 0.75f);
  snn_activation_stats_free(b.net, stats);
  snn_network_free(b.net);
}

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
      cmocka_unit_test(test_percentiles_against_sorted),
      cmocka_unit_test(test_collection_does_not_depend_on_threads),
      cmocka_unit_test(test_extreme_activations),
      cmocka_unit_test(test_progress_and_cancelling),
      cmocka_unit_test(test_thresholds),
      cmocka_unit_test(test_dead_layer),
      cmocka_unit_test(test_clip_rule),
      cmocka_unit_test(test_conversion),
      cmocka_unit_test(test_clipped_conversion_without_pictures),
      cmocka_unit_test(test_conversion_refused),
  };
  return cmocka_run_group_tests_name("convert", tests, make_pictures, remove_pictures);
}
