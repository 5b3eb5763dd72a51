/* Fuzzing the way of a picture: probe, decode, resample to the shapes of the two models we ship, encode again.
 *
 * Every input runs twice: as it is, and with its chunks' CRCs put right, for mutated pixels would hardly ever get past
 * them. Traps when probe and decode disagree, or when what we encode does not decode to the same samples. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snn/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIGNATURE_BYTES = 8, CHUNK_OVERHEAD = 12 };

static const snn_image_limits limits = {.max_width = 512, .max_height = 512, .max_pixels = 128 * 1024};

static uint32_t crc_of(const uint8_t *p, size_t n) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < n; i++) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
  }
  return ~crc;
}

/* Walk the chunks that lie whole within the bytes. */
static void repair_crcs(uint8_t *bytes, size_t n) {
  size_t at = SIGNATURE_BYTES;
  while (at < n && n - at >= CHUNK_OVERHEAD) {
    uint8_t *p = bytes + at;
    const size_t n_data = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n_data > n - at - CHUNK_OVERHEAD) return;
    const uint32_t crc = crc_of(p + 4, n_data + 4);
    for (int i = 0; i < 4; i++) p[8 + n_data + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    at += n_data + CHUNK_OVERHEAD;
  }
}

static void check_encoder(const snn_image *image) {
  uint8_t *bytes = NULL;
  size_t n = 0;
  snn_image again = {0};
  if (snn_image_encode_png(image, &bytes, &n, NULL) != SNN_OK ||
      snn_image_decode_png(bytes, n, NULL, &again, NULL) != SNN_OK || again.width != image->width ||
      again.height != image->height || again.channels != image->channels ||
      memcmp(again.pixels, image->pixels, (size_t)image->width * image->height * image->channels) != 0)
    __builtin_trap();
  snn_image_free(&again);
  free(bytes);
}

static void run(const uint8_t *data, size_t size) {
  snn_image image = {0};
  snn_error err = {0};
  uint32_t width = 0, height = 0;
  const snn_status probed = snn_image_probe_png(data, size, &limits, &width, &height, NULL);
  const snn_status decoded = snn_image_decode_png(data, size, &limits, &image, &err);
  if (decoded != SNN_OK) {
    if (err.status != decoded || !err.text[0] || image.pixels || decoded == SNN_ERR_INTERNAL ||
        (probed != SNN_OK && probed != decoded))
      __builtin_trap();
    return;
  }
  if (probed != SNN_OK || image.width != width || image.height != height) __builtin_trap();
  static const snn_shape shapes[] = {{1, 28, 28}, {3, 32, 32}};
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    uint8_t out[3 * 32 * 32];
    if (snn_image_resample(&image, shapes[i], (uint8_t)(size & 255), out, NULL) != SNN_OK) __builtin_trap();
  }
  check_encoder(&image);
  snn_image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  run(data, size);
  uint8_t *copy = malloc(size ? size : 1);
  if (!copy) return 0;
  if (size) memcpy(copy, data, size);
  repair_crcs(copy, size);
  run(copy, size);
  free(copy);
  return 0;
}
