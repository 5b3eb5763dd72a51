/* Weights that stay as the file holds them until floats are wanted: the answers are those of a file of floats, whoever
 * asks first and however many at once; their bytes are given back once they are floats; what a file may not hold is
 * refused as ever. */
#include "graph/stored.h"

#include <pthread.h>
#include <unistd.h>

#include "run.h"

enum { IMAGES = 3, PATH_BYTES = 64 };

/* Two layers of more than 65,536 weights, one of them of no whole group of 64 channels, the other in two groups. */
static builder wide_network(void) {
  builder b = begin(5, 4, 4, 4);
  uint32_t at = add_neurons(&b, add_conv(&b, 0, 128, square(3, 1, 1), 1), 1, 0.3f, 0.5f);
  at = add_neurons(&b, add_conv(&b, at, 70, square(3, 1, 1), 1), 70, 1.0f, 2.0f);
  at = add_neurons(&b, add_conv(&b, at, 224, square(3, 1, 1), 2), 1, 1.0f, 2.0f);
  add_dense(&b, at, 5);
  finish(&b);
  return b;
}

typedef struct file {
  uint8_t *bytes;
  size_t n;
} file;

static file file_of(const snn_network *net, snn_weight_format format) {
  char path[PATH_BYTES] = "/tmp/test_stored.XXXXXX";
  int fd = mkstemp(path);
  assert_true(fd >= 0);
  close(fd);
  assert_int_equal(snn_network_save(net, path, format, NULL), SNN_OK);
  FILE *f = fopen(path, "rb");
  assert_non_null(f);
  fseek(f, 0, SEEK_END);
  file out = {.n = (size_t)ftell(f)};
  rewind(f);
  out.bytes = malloc(out.n);
  assert_int_equal(fread(out.bytes, 1, out.n, f), out.n);
  fclose(f);
  unlink(path);
  return out;
}

static snn_network *load(const file *f) {
  snn_network *net = NULL;
  snn_error err = {0};
  if (snn_network_load_memory(f->bytes, f->n, &net, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return net;
}

static bool has_floats(const snn_network *net) {
  return atomic_load(&net->shared->has_floats);
}

/* The same network in a file of the other's weights as floats. */
static file as_floats(const file *stored) {
  snn_network *net = load(stored);
  file floats = file_of(net, SNN_WEIGHTS_F32);
  assert_true(has_floats(net));
  snn_network_free(net);
  return floats;
}

static size_t dropped;

static void overwrite(const void *bytes, size_t n_bytes) {
  memset((void *)(uintptr_t)bytes, 0x3c, n_bytes);
  dropped += n_bytes;
}

static void assert_same_runs(const snn_network *net, const snn_network *floats, const float *images,
                             snn_precision precision) {
  for (int k = 0; k < 2; k++) {
    const snn_run_options o = {
        .timesteps = 6, .neuron = k ? SNN_NEURON_ASG : SNN_NEURON_IF, .init = SNN_INIT_HALF, .precision = precision};
    snn_session *s = session(net, 2, 4), *t = session(floats, 1, 4);
    answers got = run(net, s, images, IMAGES, &o), want = run(floats, t, images, IMAGES, &o);
    assert_same(&got, &want);
    free_answers(&got);
    free_answers(&want);
    snn_session_free(s);
    snn_session_free(t);
  }
}

static void test_answers(void **state) {
  (void)state;
  builder b = wide_network();
  float *images = random_images(&b, IMAGES);
  for (int format = SNN_WEIGHTS_F16; format <= SNN_WEIGHTS_I8; format++) {
    file stored = file_of(b.net, (snn_weight_format)format), floats = as_floats(&stored);
    snn_network *net = load(&stored), *same = load(&floats);
    snn_network_spare(net, overwrite);
    assert_same_runs(net, same, images, SNN_PRECISION_INT8);
    assert_false(has_floats(net));
    dropped = 0;
    assert_same_runs(net, same, images, SNN_PRECISION_FLOAT32);
    assert_true(has_floats(net));
    const size_t large = (3 * 3 * 128 * 70 + 3 * 3 * 35 * 224) * (format == SNN_WEIGHTS_F16 ? 2u : 1u);
    assert_int_equal(dropped, large);
    assert_same_runs(net, same, images, SNN_PRECISION_INT8);
    snn_network_free(net);
    net = load(&stored); /* which still has what was not given back; the rest is overwritten */
    snn_network_free(net);
    snn_network_free(same);
    free(stored.bytes);
    free(floats.bytes);
  }
  snn_network_free(b.net);
}

/* What else reads weights: the float network, the init that follows from them, and files written again. */
static void test_readers(void **state) {
  (void)state;
  builder b = wide_network();
  float *images = random_images(&b, IMAGES), want[IMAGES * 5], got[IMAGES * 5];
  file stored = file_of(b.net, SNN_WEIGHTS_F16), floats = as_floats(&stored);
  snn_network *same = load(&floats);
  for (int k = 0; k < 2; k++) {
    snn_network *net = load(&stored);
    snn_session *s = session(net, 2, 4), *t = session(same, 2, 4);
    snn_run_options o = {.timesteps = 3, .init = SNN_INIT_WEIGHTS, .precision = SNN_PRECISION_INT8};
    assert_false(has_floats(net));
    snn_status status = k ? snn_session_run(s, images, IMAGES, &o, got, NULL, NULL)
                          : snn_session_reference(s, images, IMAGES, NULL, got, NULL);
    snn_status other = k ? snn_session_run(t, images, IMAGES, &o, want, NULL, NULL)
                         : snn_session_reference(t, images, IMAGES, NULL, want, NULL);
    assert_true(status == SNN_OK && other == SNN_OK && has_floats(net));
    assert_memory_equal(got, want, sizeof got);
    snn_session_free(s);
    snn_session_free(t);
    snn_network_free(net);
  }
  snn_network *net = load(&stored);
  file again = file_of(net, SNN_WEIGHTS_F16);
  assert_int_equal(again.n, stored.n);
  assert_memory_equal(again.bytes, stored.bytes, stored.n);
  snn_network_free(net);
  snn_network_free(same);
  snn_network_free(b.net);
  free(again.bytes);
  free(stored.bytes);
  free(floats.bytes);
}

typedef struct caller {
  const snn_network *net;
  const float *images;
  snn_precision precision;
  float scores[IMAGES * 5];
} caller;

static void *call(void *context) {
  caller *c = context;
  const snn_run_options o = {.timesteps = 4, .init = SNN_INIT_HALF, .precision = c->precision};
  snn_session *s = session(c->net, 1, 4);
  assert_int_equal(snn_session_run(s, c->images, IMAGES, &o, c->scores, NULL, NULL), SNN_OK);
  snn_session_free(s);
  return NULL;
}

static void test_many_at_once(void **state) {
  (void)state;
  enum { CALLERS = 4 };
  builder b = wide_network();
  float *images = random_images(&b, IMAGES);
  file stored = file_of(b.net, SNN_WEIGHTS_I8), floats = as_floats(&stored);
  snn_network *net = load(&stored), *same = load(&floats);
  caller callers[CALLERS], want[2];
  pthread_t threads[CALLERS];
  for (int k = 0; k < 2; k++) {
    want[k] = (caller){.net = same, .images = images, .precision = k ? SNN_PRECISION_INT8 : SNN_PRECISION_FLOAT32};
    call(&want[k]);
  }
  snn_network_spare(net, overwrite);
  for (int k = 0; k < CALLERS; k++) {
    callers[k] = want[k % 2];
    callers[k].net = net;
    assert_int_equal(pthread_create(&threads[k], NULL, call, &callers[k]), 0);
  }
  for (int k = 0; k < CALLERS; k++) {
    pthread_join(threads[k], NULL);
    assert_memory_equal(callers[k].scores, want[k % 2].scores, sizeof want->scores);
  }
  snn_network_free(net);
  snn_network_free(same);
  snn_network_free(b.net);
  free(stored.bytes);
  free(floats.bytes);
}

/* Where the second layer's weights lie in a file: behind some bytes that occur nowhere else. */
static uint8_t *place_of(const file *f, const void *bytes, size_t n) {
  uint8_t *at = memmem(f->bytes, f->n, bytes, n);
  assert_non_null(at);
  return at;
}

static snn_status try_to_load(const file *f) {
  snn_network *net = NULL;
  snn_error err = {0};
  snn_status status = snn_network_load_memory(f->bytes, f->n, &net, &err);
  if (status == SNN_OK) snn_network_free(net);
  return status;
}

static void test_refusals(void **state) {
  (void)state;
  builder b = wide_network();
  file half = file_of(b.net, SNN_WEIGHTS_F16), byte = file_of(b.net, SNN_WEIGHTS_I8);
  snn_network *net = load(&half);
  const snn_stored *s = net->stored;
  uint8_t *last = place_of(&half, s->bytes, snn_stored_bytes(s)) + snn_stored_bytes(s) - 1;
  snn_network_free(net);
  const uint8_t kept = *last;
  *last = 0x7c; /* infinity, or no number */
  assert_int_equal(try_to_load(&half), SNN_ERR_FORMAT);
  *last = kept;
  assert_int_equal(try_to_load(&half), SNN_OK);
  net = load(&byte);
  s = net->stored;
  last = place_of(&byte, s->bytes, snn_stored_bytes(s)) + snn_stored_bytes(s) - 1;
  uint8_t *scale = byte.bytes + ((const uint8_t *)s->scale - byte.bytes);
  snn_network_free(net);
  const uint8_t before = *last;
  *last = 0x80; /* -128 */
  assert_int_equal(try_to_load(&byte), SNN_ERR_FORMAT);
  *last = before;
  float huge = 2.67e36f; /* times 128 beyond the largest float, times 127 not quite: looked at one by one */
  memcpy(scale, &huge, sizeof huge);
  assert_int_equal(try_to_load(&byte), SNN_OK);
  huge = 1e38f;
  memcpy(scale, &huge, sizeof huge);
  assert_int_equal(try_to_load(&byte), SNN_ERR_FORMAT);
  snn_network_free(b.net);
  free(half.bytes);
  free(byte.bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_answers),
      cmocka_unit_test(test_readers),
      cmocka_unit_test(test_many_at_once),
      cmocka_unit_test(test_refusals),
  };
  return cmocka_run_group_tests_name("stored weights", tests, NULL, NULL);
}
