/* Fuzzing a picture as a request brings it: any bytes give finite inputs and a preview that decodes to the same inputs,
 * or a problem that is the client's (413, 422). The first byte chooses gray or RGB. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../server/decode.h"
#include "../../server/encoding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_preview(const char *preview, snn_shape shape, const snn_preprocess *pre, const float *inputs) {
  size_t n_text = strlen(preview), n = 0, bad = 0;
  float again[3 * 8 * 8];
  uint64_t pixels_left = 64;
  problem p = {0};
  uint8_t *png = malloc(base64_decoded_bound(n_text));
  if (!png || !base64_decode(preview, n_text, png, &n, &bad)) abort();
  if (!decode_picture(png, n, shape, pre, &pixels_left, "preview", again, NULL, &p)) abort();
  if (pixels_left != 0 || memcmp(again, inputs, snn_shape_size(shape) * sizeof *inputs) != 0) abort();
  free(png);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  if (n == 0) return 0;
  snn_shape shape = {.c = data[0] % 2 ? 3 : 1, .h = 8, .w = 8};
  snn_preprocess pre = {.mean = {0.5F, 0.25F, 0.125F}, .std = {0.5F, 0.25F, 1.0F}, .background = 9};
  float inputs[3 * 8 * 8];
  char *preview = NULL;
  uint64_t pixels_left = 1 << 16; /* small, so that time goes into parsing */
  problem p = {0};
  uint8_t *png = malloc(n - 1 ? n - 1 : 1); /* of exactly n - 1 bytes, so that a read past the end is seen */
  if (!png) return 0;
  memcpy(png, data + 1, n - 1);
  bool ok = decode_picture(png, n - 1, shape, &pre, &pixels_left, "image", inputs, &preview, &p);
  free(png);
  if (!ok) {
    unsigned status = problem_describe(p.kind)->http_status;
    if (preview || !p.detail[0] || (status != 413 && status != 422)) abort();
    return 0;
  }
  for (size_t i = 0; i < snn_shape_size(shape); i++)
    if (!isfinite(inputs[i])) abort();
  check_preview(preview, shape, &pre, inputs);
  free(preview);
  return 0;
}
