/* The model file: round trips in every weight format, use in place, determinism, damage, and writes that fail.
 *
 * Works in a fresh temporary folder, which must be empty at the end. */
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

#include "base/error.h"
#include "graph/graph.h"
#include "model/safetensors.h"

enum { PATH_BYTES = 512 };

static char folder[] = "/tmp/test_model.XXXXXX";

static const char *in_folder(const char *name, char *buffer) {
  snprintf(buffer, PATH_BYTES, "%s/%s", folder, name);
  return buffer;
}

/* Entries of a directory, `.` and `..` not counted. */
static int entries(const char *path) {
  DIR *d = opendir(path);
  assert_non_null(d);
  int n = -2;
  while (readdir(d)) n++;
  closedir(d);
  return n;
}

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

/* ---- a network with every kind of layer ---- */

/* n different values, some of both signs, in the network's arena. */
static float *numbers(snn_network *net, size_t n, float scale) {
  float *x = snn_arena_alloc(&net->arena, n, sizeof *x);
  assert_non_null(x);
  for (size_t i = 0; i < n; i++) x[i] = scale * sinf((float)(i + 1) * 1.7f) / 3.0f;
  return x;
}

static float *positive(snn_network *net, size_t n, float first) {
  float *x = snn_arena_alloc(&net->arena, n, sizeof *x);
  assert_non_null(x);
  for (size_t i = 0; i < n; i++) x[i] = first + (float)i / 7.0f;
  return x;
}

static uint32_t add(snn_network *net, const snn_node *node) {
  snn_error err = {.status = SNN_OK};
  uint32_t index = 0;
  if (snn_graph_add(net, node, &index, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return index;
}

static snn_network *make_network(void) {
  snn_network *net = snn_network_new();
  assert_non_null(net);
  static const uint32_t from[11][2] = {{0}, {0}, {1}, {2}, {3}, {4}, {3, 5}, {6}, {7}, {8, 7}, {9}};
  const snn_window same = {3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
  const snn_window dilated = {.kernel_h = 3,
                              .kernel_w = 2,
                              .stride_h = 1,
                              .stride_w = 1,
                              .pad_top = 2,
                              .pad_left = 1,
                              .pad_bottom = 2,
                              .pad_right = 2,
                              .dilation_h = 2,
                              .dilation_w = 3};
  const snn_window halve = {2, 2, 2, 2, 0, 0, 0, 0, 1, 1}, all = {3, 3, 3, 3, 1, 1, 1, 1, 1, 1};
  const snn_window point = {1, 1, 1, 1, 0, 0, 0, 0, 1, 1};
  snn_neurons a = {.clip = 6.1f, .n = 4, .theta = positive(net, 4, 0.3f), .activation_max = positive(net, 4, 2)};
  a.fire = a.amplitude = a.theta;
  const snn_neurons b = {.clip = INFINITY,
                         .n = 1,
                         .theta = positive(net, 1, 1.25f),
                         .fire = positive(net, 1, 1.5f),
                         .amplitude = positive(net, 1, 0.1f)};
  add(net, &(snn_node){.name = "image", .kind = SNN_LAYER_INPUT, .shape = {2, 6, 6}});
  snn_node node = {.name = "c1", .kind = SNN_LAYER_CONV, .n_inputs = 1, .inputs = from[1], .shape = {.c = 4}};
  node.conv = (snn_conv){same, 1, numbers(net, 3 * 3 * 2 * 4, 1), numbers(net, 4, 2)};
  add(net, &node);
  add(net, &(snn_node){.name = "c1", .kind = SNN_LAYER_NEURON, .n_inputs = 1, .inputs = from[2], .neurons = a});
  add(net,
      &(snn_node){.name = "p", .kind = SNN_LAYER_MAXPOOL, .n_inputs = 1, .inputs = from[3], .pool = {halve, false}});
  node = (snn_node){.name = "größe", .kind = SNN_LAYER_CONV, .n_inputs = 1, .inputs = from[4], .shape = {.c = 4}};
  node.conv = (snn_conv){dilated, 4, numbers(net, 3 * 2 * 4, 3), numbers(net, 4, 1)};
  add(net, &node);
  add(net, &(snn_node){.name = "größe", .kind = SNN_LAYER_NEURON, .n_inputs = 1, .inputs = from[5], .neurons = b});
  add(net, &(snn_node){.name = "sum", .kind = SNN_LAYER_ADD, .n_inputs = 2, .inputs = from[6]});
  add(net,
      &(snn_node){.name = "avg", .kind = SNN_LAYER_AVGPOOL, .n_inputs = 1, .inputs = from[7], .pool = {all, true}});
  add(net, &(snn_node){.name = "piece",
                       .kind = SNN_LAYER_SLICE,
                       .n_inputs = 1,
                       .inputs = from[8],
                       .shape = {7, 1, 1},
                       .slice = {.start = {1, 0, 0}, .pad = {4, 0, 0}, .step = {2, 3}}});
  add(net, &(snn_node){.name = "joined", .kind = SNN_LAYER_CONCAT, .n_inputs = 2, .inputs = from[9]});
  node = (snn_node){.name = "out", .kind = SNN_LAYER_CONV, .n_inputs = 1, .inputs = from[10], .shape = {.c = 3}};
  node.conv = (snn_conv){point, 1, numbers(net, 11 * 3, 1), numbers(net, 3, 1)};
  add(net, &node);

  static char label0[] = "cat", label1[] = "d\"o\\g", label2[] = "\xe7\x8c\xab";
  static const char provenance[] = "{\"source\":\"here\",\"pi\":3.14}";
  net->labels = snn_arena_alloc(&net->arena, 3, sizeof *net->labels);
  assert_non_null(net->labels);
  net->labels[0] = label0;
  net->labels[1] = label1;
  net->labels[2] = label2;
  net->n_labels = 3;
  net->name = snn_arena_text(&net->arena, "tiny", 4);
  net->provenance = snn_arena_text(&net->arena, provenance, sizeof provenance - 1);
  net->preprocess.mean[0] = 0.4914f;
  net->preprocess.mean[1] = -1.0f / 3.0f;
  net->preprocess.std[0] = 0.1f;
  net->preprocess.std[1] = 1e-30f;
  net->preprocess.background = 200;
  net->output_threshold = 17.6727371f;
  net->recommended = (snn_recommended){.timesteps = 77, .init = SNN_INIT_ZERO, .neuron = SNN_NEURON_SRIF, .tau = 0.9f};
  snn_error err = {.status = SNN_OK};
  if (snn_graph_finish(net, true, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return net;
}

static size_t n_weights(const snn_network *net, const snn_node *node) {
  const snn_window *w = &node->conv.window;
  return (size_t)w->kernel_h * w->kernel_w * (net->nodes[node->inputs[0]].shape.c / node->conv.groups) * node->shape.c;
}

static snn_network *load(const char *path) {
  snn_network *net = NULL;
  snn_error err = {.status = SNN_OK};
  if (snn_network_load(path, &net, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return net;
}

static void save(const snn_network *net, const char *path, snn_weight_format format) {
  snn_error err = {.status = SNN_OK};
  if (snn_network_save(net, path, format, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
}

static void assert_same_neurons(const snn_neurons *a, const snn_neurons *b) {
  assert_true(a->clip == b->clip);
  assert_int_equal(a->n, b->n);
  assert_memory_equal(a->theta, b->theta, a->n * sizeof(float));
  assert_memory_equal(a->fire, b->fire, a->n * sizeof(float));
  assert_memory_equal(a->amplitude, b->amplitude, a->n * sizeof(float));
  assert_int_equal(a->activation_max != NULL, b->activation_max != NULL);
  if (a->activation_max) assert_memory_equal(a->activation_max, b->activation_max, a->n * sizeof(float));
}

/* Everything but the weights, which formats round. */
static void assert_same(const snn_network *a, const snn_network *b) {
  assert_string_equal(a->name, b->name);
  assert_string_equal(a->provenance, b->provenance);
  assert_memory_equal(&a->preprocess, &b->preprocess, sizeof a->preprocess);
  assert_int_equal(a->recommended.timesteps, b->recommended.timesteps);
  assert_true(a->output_threshold == b->output_threshold);
  assert_int_equal(a->recommended.init, b->recommended.init);
  assert_int_equal(a->recommended.neuron, b->recommended.neuron);
  assert_true(a->recommended.tau == b->recommended.tau);
  assert_int_equal(a->n_labels, b->n_labels);
  for (size_t i = 0; i < a->n_labels; i++) assert_string_equal(a->labels[i], b->labels[i]);
  assert_int_equal(a->n_nodes, b->n_nodes);
  for (uint32_t i = 0; i < a->n_nodes; i++) {
    const snn_node *x = &a->nodes[i], *y = &b->nodes[i];
    assert_string_equal(x->name, y->name);
    assert_int_equal(x->kind, y->kind);
    assert_memory_equal(&x->shape, &y->shape, sizeof x->shape);
    assert_int_equal(x->n_inputs, y->n_inputs);
    if (x->n_inputs) assert_memory_equal(x->inputs, y->inputs, x->n_inputs * sizeof *x->inputs);
    if (x->kind == SNN_LAYER_CONV) {
      assert_memory_equal(&x->conv.window, &y->conv.window, sizeof x->conv.window);
      assert_int_equal(x->conv.groups, y->conv.groups);
      assert_memory_equal(x->conv.bias, y->conv.bias, x->shape.c * sizeof(float));
    } else if (x->kind == SNN_LAYER_AVGPOOL || x->kind == SNN_LAYER_MAXPOOL) {
      assert_memory_equal(&x->pool.window, &y->pool.window, sizeof x->pool.window);
      assert_int_equal(x->pool.count_include_pad, y->pool.count_include_pad);
    } else if (x->kind == SNN_LAYER_SLICE) {
      assert_memory_equal(&x->slice, &y->slice, sizeof x->slice);
    } else if (x->kind == SNN_LAYER_NEURON) {
      assert_same_neurons(&x->neurons, &y->neurons);
    }
  }
}

/* What a format may change a weight by. */
static float tolerance(const snn_network *net, const snn_node *node, size_t i, snn_weight_format format) {
  if (format == SNN_WEIGHTS_F16) return fabsf(node->conv.weights[i]) * 0x1p-11f + 0x1p-25f;
  if (format == SNN_WEIGHTS_F32) return 0;
  float most = 0;
  for (size_t k = i % node->shape.c; k < n_weights(net, node); k += node->shape.c)
    most = fmaxf(most, fabsf(node->conv.weights[k]));
  return most / 127 * 0.50001f;
}

static void test_round_trip(void **state) {
  (void)state;
  static const snn_weight_format formats[] = {SNN_WEIGHTS_F32, SNN_WEIGHTS_F16, SNN_WEIGHTS_I8};
  char path[PATH_BYTES];
  in_folder("round.safetensors", path);
  snn_network *net = make_network();
  for (size_t f = 0; f < 3; f++) {
    save(net, path, formats[f]);
    snn_network *back = load(path);
    assert_same(net, back);
    bool changed = false;
    for (uint32_t i = 0; i < net->n_nodes; i++) {
      const snn_node *x = &net->nodes[i], *y = &back->nodes[i];
      for (size_t k = 0; x->kind == SNN_LAYER_CONV && k < n_weights(net, x); k++) {
        float difference = fabsf(x->conv.weights[k] - y->conv.weights[k]);
        changed |= difference > 0;
        assert_true(difference <= tolerance(net, x, k, formats[f]));
      }
    }
    assert_int_equal(changed, formats[f] != SNN_WEIGHTS_F32);
    if (formats[f] == SNN_WEIGHTS_F16) { /* rounded weights are not rounded again */
      char again[PATH_BYTES];
      size_t n1, n2;
      save(back, in_folder("again.safetensors", again), SNN_WEIGHTS_F16);
      uint8_t *b1 = slurp(path, &n1), *b2 = slurp(again, &n2);
      assert_int_equal(n1, n2);
      assert_memory_equal(b1, b2, n1);
      free(b1);
      free(b2);
      unlink(again);
    }
    snn_network_free(back);
  }
  snn_network_free(net);
  unlink(path);
}

static bool inside(const void *p, const snn_mapping *m) {
  return (uintptr_t)p >= (uintptr_t)m->bytes && (uintptr_t)p < (uintptr_t)m->bytes + m->n_bytes;
}

static void test_f32_is_used_in_place(void **state) {
  (void)state;
  char path[PATH_BYTES];
  snn_network *net = make_network();
  save(net, in_folder("place.safetensors", path), SNN_WEIGHTS_F32);
  snn_network *back = load(path);
  unlink(path); /* the mapping outlives the name */
  for (uint32_t i = 0; i < back->n_nodes; i++) {
    const snn_node *x = &back->nodes[i];
    if (x->kind == SNN_LAYER_CONV)
      assert_true(inside(x->conv.weights, &back->mapping) && inside(x->conv.bias, &back->mapping));
    if (x->kind == SNN_LAYER_NEURON)
      assert_true(inside(x->neurons.theta, &back->mapping) && inside(x->neurons.amplitude, &back->mapping));
  }
  assert_int_equal((uintptr_t)back->nodes[1].conv.weights % SNN_TENSOR_ALIGNMENT, 0);
  snn_network_free(back);
  snn_network_free(net);
}

/* A header of any length is legal, so tensors may lie at any address. */
static void test_unaligned_tensors(void **state) {
  (void)state;
  char path[PATH_BYTES];
  size_t n;
  snn_network *net = make_network();
  save(net, in_folder("unaligned.safetensors", path), SNN_WEIGHTS_F32);
  uint8_t *bytes = slurp(path, &n);
  uint64_t n_header;
  memcpy(&n_header, bytes, 8);
  for (size_t extra = 0; extra < 5; extra++) {
    uint8_t *moved = malloc(n + extra);
    assert_non_null(moved);
    uint64_t longer = n_header + extra;
    memcpy(moved, &longer, 8);
    memcpy(moved + 8, bytes + 8, n_header);
    memset(moved + 8 + n_header, ' ', extra);
    memcpy(moved + 8 + n_header + extra, bytes + 8 + n_header, n - 8 - n_header);
    snn_network *back = NULL;
    snn_error err = {.status = SNN_OK};
    assert_int_equal(snn_network_load_memory(moved, n + extra, &back, &err), SNN_OK);
    assert_same(net, back);
    for (uint32_t i = 0; i < net->n_nodes; i++)
      if (net->nodes[i].kind == SNN_LAYER_CONV)
        assert_memory_equal(net->nodes[i].conv.weights, back->nodes[i].conv.weights,
                            n_weights(net, &net->nodes[i]) * sizeof(float));
    const snn_mapping all = {moved, n + extra};
    assert_int_equal(inside(back->nodes[1].conv.weights, &all), extra % 4 == 0);
    snn_network_free(back);
    free(moved);
  }
  free(bytes);
  snn_network_free(net);
  unlink(path);
}

static size_t dropped;

static void overwrite(const void *bytes, size_t n_bytes) {
  memset((void *)(uintptr_t)bytes, 0xff, n_bytes);
  dropped += n_bytes;
}

/* What a network spares of its bytes is all of its weights in fewer bits, and nothing that it reads again. */
static void test_spared_bytes(void **state) {
  (void)state;
  char path[PATH_BYTES];
  for (int format = SNN_WEIGHTS_F32; format <= SNN_WEIGHTS_I8; format++) {
    size_t n, weights = 0;
    snn_network *net = make_network(), *back = NULL;
    save(net, in_folder("spared.safetensors", path), (snn_weight_format)format);
    snn_network *whole = load(path);
    uint8_t *bytes = slurp(path, &n);
    assert_int_equal(snn_network_load_memory(bytes, n, &back, NULL), SNN_OK);
    dropped = 0;
    snn_network_spare(back, overwrite);
    assert_same(whole, back);
    for (uint32_t i = 0; i < net->n_nodes; i++) {
      if (net->nodes[i].kind != SNN_LAYER_CONV) continue;
      weights += n_weights(net, &net->nodes[i]);
      assert_memory_equal(whole->nodes[i].conv.weights, back->nodes[i].conv.weights,
                          n_weights(net, &net->nodes[i]) * sizeof(float));
    }
    assert_int_equal(dropped, format == SNN_WEIGHTS_F32 ? 0 : format == SNN_WEIGHTS_F16 ? 2 * weights : weights);
    snn_network_free(whole);
    snn_network_free(back);
    snn_network_free(net);
    free(bytes);
    unlink(path);
  }
}

static void test_saving_is_deterministic(void **state) {
  (void)state;
  char first[PATH_BYTES], second[PATH_BYTES], hex[SNN_SHA256_HEX];
  size_t n1, n2;
  for (int format = SNN_WEIGHTS_F32; format <= SNN_WEIGHTS_I8; format++) {
    snn_network *a = make_network(), *b = make_network();
    save(a, in_folder("first.safetensors", first), (snn_weight_format)format);
    save(b, in_folder("second.safetensors", second), (snn_weight_format)format);
    uint8_t *x = slurp(first, &n1), *y = slurp(second, &n2);
    assert_int_equal(n1, n2);
    assert_memory_equal(x, y, n1);
    snn_network_free(b);
    b = load(first);
    snn_sha256_hex(x, n1, hex);
    assert_string_equal(snn_network_sha256(b), hex);
    assert_string_equal(snn_network_sha256(a), "");
    if (format == SNN_WEIGHTS_F32) { /* and a loaded network saves as what it was loaded from, even onto its own file */
      save(b, first, SNN_WEIGHTS_F32);
      free(y);
      y = slurp(first, &n2);
      assert_int_equal(n1, n2);
      assert_memory_equal(x, y, n1);
    }
    free(x);
    free(y);
    snn_network_free(a);
    snn_network_free(b);
    unlink(first);
    unlink(second);
  }
}

static void test_every_truncation_is_refused(void **state) {
  (void)state;
  char path[PATH_BYTES];
  size_t n;
  snn_network *net = make_network();
  save(net, in_folder("whole.safetensors", path), SNN_WEIGHTS_I8);
  uint8_t *bytes = slurp(path, &n);
  for (size_t shorter = 0; shorter < n; shorter++) {
    uint8_t *part = malloc(shorter ? shorter : 1); /* exactly as long, for the address sanitizer */
    assert_non_null(part);
    memcpy(part, bytes, shorter);
    snn_network *out = NULL;
    snn_error err = {.status = SNN_OK};
    assert_int_equal(snn_network_load_memory(part, shorter, &out, &err), SNN_ERR_FORMAT);
    assert_null(out);
    assert_true(err.text[0] != 0);
    free(part);
  }
  free(bytes);
  snn_network_free(net);
  unlink(path);
}

/* Every byte of a small file set to a few values: an error with a text, or a network that can be used. */
static void test_mutations_never_crash(void **state) {
  (void)state;
  static const uint8_t values[] = {0, 1, '"', ',', '9', '-', '[', ']', '{', 0x7f, 0x80, 0xff};
  char path[PATH_BYTES];
  size_t n, refused = 0;
  snn_network *net = make_network();
  save(net, in_folder("mutant.safetensors", path), SNN_WEIGHTS_F16);
  uint8_t *bytes = slurp(path, &n);
  for (size_t i = 0; i < n; i++) {
    uint8_t before = bytes[i];
    for (size_t k = 0; k < sizeof values; k++) {
      snn_network *out = NULL;
      snn_error err = {.status = SNN_OK};
      bytes[i] = values[k];
      snn_status status = snn_network_load_memory(bytes, n, &out, &err);
      assert_int_equal(status == SNN_OK, out != NULL);
      assert_int_equal(status, err.status);
      assert_int_equal(status == SNN_OK, err.text[0] == 0);
      refused += status != SNN_OK;
      snn_network_free(out);
    }
    bytes[i] = before;
  }
  assert_true(refused > n); /* most of the file is a header, where little may change */
  free(bytes);
  snn_network_free(net);
  unlink(path);
}

/* ---- failing writes ---- */

static void assert_save_refused(const snn_network *net, const char *path, snn_weight_format format, snn_status status) {
  int before = entries(folder);
  snn_error err = {.status = SNN_OK};
  assert_int_equal(snn_network_save(net, path, format, &err), status);
  assert_true(err.text[0] != 0);
  assert_int_equal(entries(folder), before);
}

static void test_failed_saves_leave_nothing(void **state) {
  (void)state;
  char path[PATH_BYTES];
  snn_network *net = make_network();
  assert_save_refused(net, in_folder("no/such/folder.safetensors", path), SNN_WEIGHTS_F32, SNN_ERR_IO);

  in_folder("a-folder", path); /* a folder in the way lets everything but the last rename succeed */
  assert_int_equal(mkdir(path, 0777), 0);
  assert_save_refused(net, path, SNN_WEIGHTS_F32, SNN_ERR_IO);
  assert_int_equal(rmdir(path), 0);

  struct rlimit limit, small;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
  small = (struct rlimit){2048, limit.rlim_max}; /* a disk that is full after the header */
  signal(SIGXFSZ, SIG_IGN);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
  assert_save_refused(net, in_folder("full.safetensors", path), SNN_WEIGHTS_F32, SNN_ERR_IO);
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);

  assert_save_refused(net, path, (snn_weight_format)9, SNN_ERR_ARGUMENT);
  static char not_utf8[] = "\xff";
  net->labels[1] = not_utf8;
  assert_save_refused(net, path, SNN_WEIGHTS_F32, SNN_ERR_ARGUMENT);
  net->labels[1] = net->labels[0];
  net->name = not_utf8;
  assert_save_refused(net, path, SNN_WEIGHTS_F32, SNN_ERR_ARGUMENT);
  snn_network_free(net);

  net = make_network();
  float *beyond = numbers(net, 33, 1);
  beyond[32] = -65520.0f;
  net->nodes[net->n_nodes - 1].conv.weights = beyond;
  assert_save_refused(net, path, SNN_WEIGHTS_F16, SNN_ERR_ARGUMENT);
  net->nodes[2].neurons.n = 0;
  assert_save_refused(net, path, SNN_WEIGHTS_F32, SNN_ERR_ARGUMENT);
  snn_network_free(net);
}

static void test_read_only_folder(void **state) {
  (void)state;
  char path[PATH_BYTES], inner[PATH_BYTES];
  in_folder("locked", path);
  in_folder("locked/model.safetensors", inner);
  assert_int_equal(mkdir(path, 0755), 0);
  assert_int_equal(chmod(folder, 0755), 0);
  snn_network *net = make_network();
  save(net, inner, SNN_WEIGHTS_F32);
  size_t n1, n2;
  uint8_t *before = slurp(inner, &n1);
  assert_int_equal(chmod(path, 0555), 0);
  bool root = geteuid() == 0; /* whom a read-only folder does not stop */
  if (root && seteuid(65534) != 0) {
    print_message("skipped: root, and not allowed to be somebody else\n");
  } else {
    snn_error err = {.status = SNN_OK};
    snn_status status = snn_network_save(net, inner, SNN_WEIGHTS_I8, &err);
    if (root) assert_int_equal(seteuid(0), 0);
    assert_int_equal(status, SNN_ERR_IO);
    uint8_t *after = slurp(inner, &n2);
    assert_int_equal(n1, n2);
    assert_memory_equal(before, after, n1);
    assert_int_equal(entries(path), 1);
    free(after);
  }
  assert_int_equal(chmod(path, 0755), 0);
  unlink(inner);
  assert_int_equal(rmdir(path), 0);
  free(before);
  snn_network_free(net);
}

/* ---- memory that runs out inside jansson ---- */

static size_t allocations_left;

static void *scarce_malloc(size_t n) {
  if (allocations_left == 0) return NULL;
  allocations_left--;
  return malloc(n);
}

/* jansson reports memory that its tokenizer lacked as a syntax error; nothing else may come out. */
static bool is_memory_failure(snn_status status, const snn_error *err) {
  return status == SNN_ERR_NO_MEMORY || (status == SNN_ERR_FORMAT && strstr(err->text, "not valid JSON"));
}

static void test_out_of_memory(void **state) {
  (void)state;
  char path[PATH_BYTES];
  snn_network *net = make_network();
  in_folder("memory.safetensors", path);
  json_set_alloc_funcs(scarce_malloc, free);
  snn_status status = SNN_ERR_NO_MEMORY;
  size_t n_save, n_load;
  for (n_save = 0; status != SNN_OK; n_save++) {
    snn_error err = {.status = SNN_OK};
    allocations_left = n_save;
    status = snn_network_save(net, path, SNN_WEIGHTS_I8, &err);
    if (status != SNN_OK && !is_memory_failure(status, &err)) fail_msg("%zu: %s: %s", n_save, err.where, err.text);
    if (status != SNN_OK) assert_int_equal(access(path, F_OK), -1);
  }
  status = SNN_ERR_NO_MEMORY;
  for (n_load = 0; status != SNN_OK; n_load++) {
    snn_network *out = NULL;
    snn_error err = {.status = SNN_OK};
    allocations_left = n_load;
    status = snn_network_load(path, &out, &err);
    if (status != SNN_OK && !is_memory_failure(status, &err)) fail_msg("%zu: %s: %s", n_load, err.where, err.text);
    assert_int_equal(status == SNN_OK, out != NULL);
    snn_network_free(out);
  }
  json_set_alloc_funcs(malloc, free);
  assert_true(n_save > 100 && n_load > 100);
  snn_network_free(net);
  unlink(path);
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  return rmdir(folder); /* fails when a test left a file behind */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_f32_is_used_in_place),
      cmocka_unit_test(test_unaligned_tensors),
      cmocka_unit_test(test_spared_bytes),
      cmocka_unit_test(test_saving_is_deterministic),
      cmocka_unit_test(test_every_truncation_is_refused),
      cmocka_unit_test(test_mutations_never_crash),
      cmocka_unit_test(test_failed_saves_leave_nothing),
      cmocka_unit_test(test_read_only_folder),
      cmocka_unit_test(test_out_of_memory),
  };
  return cmocka_run_group_tests_name("model", tests, make_folder, remove_folder);
}
