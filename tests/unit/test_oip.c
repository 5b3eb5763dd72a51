/* Inference requests when memory runs out: whatever allocation is refused, the answer is "busy", nothing is leaked and
 * the ledger is balanced. The Makefile wraps the allocators of this test for that. */
#include <zlib.h>

#include "build.h"
#include "server/oip.h"

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static long countdown = -1; /* allocations until one is refused; negative: none is */
static bool for_good;       /* all that follow are refused too */
static unsigned refused;

static bool refuse(void) {
  if (countdown < 0 || countdown-- > 0) return false;
  if (for_good) countdown = 0;
  refused++;
  return true;
}
void *__wrap_malloc(size_t n) {
  return refuse() ? NULL : __real_malloc(n);
}
void *__wrap_calloc(size_t n, size_t size) {
  return refuse() ? NULL : __real_calloc(n, size);
}
void *__wrap_realloc(void *p, size_t n) {
  return refuse() ? NULL : __real_realloc(p, n);
}

static model_entry *entry; /* of one pixel, one neuron */

static int make_entry(void **state) {
  (void)state;
  builder b = one_neuron(1);
  b.net->preprocess.std[0] = 0.5f;
  entry = registry_new_entry("pixel");
  assert_non_null(entry);
  entry->network = b.net;
  return 0;
}

static int drop_entry(void **state) {
  (void)state;
  registry_release(entry);
  return 0;
}

/* Decode a body with the k-th allocation refused. True: it was decoded all the same. */
static bool decode(const uint8_t *body, size_t n, size_t n_json, compression content, long k) {
  ledger l;
  ledger_init(&l, 1, 1 << 20);
  option_limits limits = {.max_timesteps = 100};
  inference *inf = inference_create(registry_hold(entry), &limits, &l);
  assert_non_null(inf);
  inf->kind = BODY_OIP;
  inf->oip = calloc(1, sizeof *inf->oip);
  assert_non_null(inf->oip);
  inf->oip->n_json = n_json;
  inf->oip->content = content;
  inf->oip->max_bytes = 1 << 16;
  options_init(&inf->options, &entry->memo, entry->network, &limits);
  assert_true(inference_append(inf, body, n));
  refused = 0;
  countdown = k;
  bool ok = oip_decode(inf);
  countdown = -1;
  assert_int_equal(inf->problem.kind, ok ? PROBLEM_NONE : PROBLEM_BUSY);
  if (ok) assert_int_equal(inf->n_images, 2);
  inference_destroy(inf);
  assert_int_equal(l.bytes, 0);
  ledger_destroy(&l);
  return ok;
}

/* Refuse every allocation in turn, once and for good, until there are no more. */
static void survive(const void *body, size_t n, size_t n_json, compression content) {
  assert_true(decode(body, n, n_json, content, -1));
  for (int mode = 0; mode < 2; mode++) {
    for_good = mode == 1;
    long k = 0;
    do assert_true(k < 1000);
    while (!decode(body, n, n_json, content, k++) || refused > 0);
    assert_true(k > 3); /* there was something to refuse */
  }
}

#define NUMBERS                                                                                                       \
  "{\"id\": \"caf\\u00e9 \\n\", \"inputs\": [{\"name\": \"image\", \"shape\": [2, 1, 1, 1], \"datatype\": \"FP32\", " \
  "\"data\": [[0.5], [1e-1]]}], \"parameters\": {\"timesteps\": 4}, \"more\": [[[{}]]]}"

static void numbers(void **state) {
  (void)state;
  survive(NUMBERS, sizeof NUMBERS - 1, OIP_WHOLE_JSON, COMPRESSION_NONE);
}

static void pixels_behind_the_json(void **state) {
  (void)state;
  static const char body[] =
      "{\"inputs\": [{\"name\": \"image\", \"shape\": [2, 1, 1, 1], \"datatype\": \"UINT8\", "
      "\"parameters\": {\"binary_data_size\": 2}}]}ab";
  survive(body, sizeof body - 1, sizeof body - 3, COMPRESSION_NONE);
}

static void pictures_as_base64(void **state) {
  (void)state;
  /* 1 x 1 grey pixel */
#define PIXEL "\"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==\""
  static const char body[] =
      "{\"inputs\": [{\"name\": \"image\", \"shape\": [2], \"datatype\": \"BYTES\", \"data\": [" PIXEL ", " PIXEL
      "]}]}";
  survive(body, sizeof body - 1, OIP_WHOLE_JSON, COMPRESSION_NONE);
}

static void compressed(void **state) {
  (void)state;
  uint8_t packed[512];
  uLongf n = sizeof packed;
  assert_int_equal(compress(packed, &n, (const Bytef *)NUMBERS, sizeof NUMBERS - 1), Z_OK);
  survive(packed, n, OIP_WHOLE_JSON, COMPRESSION_DEFLATE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers),
      cmocka_unit_test(pixels_behind_the_json),
      cmocka_unit_test(pictures_as_base64),
      cmocka_unit_test(compressed),
  };
  return cmocka_run_group_tests(tests, make_entry, drop_entry);
}
