/* 8-bit samples to PNG bytes in memory.
 *
 * Invariant: the same picture gives the same bytes every time (fixed level and filters, no time stamp). Writes no
 * ancillary chunk, no interlace, no other depth than 8. */
#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "image/samples.h"

enum { FIRST_CAPACITY = 4096, COMPRESSION_LEVEL = 6, MAX_EXTENT = 1000000 }; /* libpng writes no larger extent */

/* Lives outside the setjmp frame, like the decoder's. */
typedef struct png_encoder {
  const snn_image *image;
  png_structp png;
  png_infop info;
  uint8_t *bytes;
  size_t n_bytes, capacity;
} png_encoder;

static _Noreturn void on_error(png_structp png, png_const_charp message) {
  (void)message; /* the picture was checked, so only memory can fail */
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

static void on_write(png_structp png, png_bytep bytes, size_t n_bytes) {
  png_encoder *e = png_get_io_ptr(png);
  size_t needed, capacity = e->capacity ? e->capacity : FIRST_CAPACITY;
  if (!snn_add(e->n_bytes, n_bytes, &needed)) png_error(png, "too large");
  while (capacity < needed)
    if (!snn_mul(capacity, 2, &capacity)) png_error(png, "too large");
  if (capacity != e->capacity) {
    uint8_t *grown = realloc(e->bytes, capacity);
    if (!grown) png_error(png, "out of memory");
    e->bytes = grown;
    e->capacity = capacity;
  }
  memcpy(e->bytes + e->n_bytes, bytes, n_bytes);
  e->n_bytes = needed;
}

static void on_flush(png_structp png) {
  (void)png;
}

/* The setjmp frame: nothing here but calls into libpng. */
static bool write_all(png_encoder *e, int color_type) {
  if (setjmp(png_jmpbuf(e->png))) return false;
  const snn_image *image = e->image;
  const size_t stride = (size_t)image->width * image->channels;
  png_set_write_fn(e->png, e, on_write, on_flush);
  png_set_compression_level(e->png, COMPRESSION_LEVEL);
  png_set_IHDR(e->png, e->info, image->width, image->height, 8, color_type, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(e->png, e->info);
  for (uint32_t y = 0; y < image->height; y++) png_write_row(e->png, image->pixels + y * stride);
  png_write_end(e->png, NULL);
  return true;
}

snn_status snn_image_encode_png(const snn_image *image, uint8_t **out, size_t *n_out, snn_error *err) {
  static const int color_types[] = {PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                    PNG_COLOR_TYPE_RGB_ALPHA};
  if (!image->pixels || !image->width || !image->height || image->width > MAX_EXTENT || image->height > MAX_EXTENT)
    return snn_fail(err, SNN_ERR_ARGUMENT, "image", "a picture of %ux%u pixels cannot be written", image->width,
                    image->height);
  if (image->channels < 1 || image->channels > 4)
    return snn_fail(err, SNN_ERR_ARGUMENT, "image", "%u channels, 1 to 4 are expected", image->channels);
  snn_status status = SNN_OK;
  png_encoder e = {.image = image};
  e.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, on_error, on_warning);
  if (e.png) e.info = png_create_info_struct(e.png);
  if (!e.info || !write_all(&e, color_types[image->channels - 1])) {
    status = snn_fail_memory(err, "encoding a picture");
    goto cleanup;
  }
  *out = e.bytes;
  *n_out = e.n_bytes;
  e.bytes = NULL;
cleanup:
  free(e.bytes);
  if (e.png) png_destroy_write_struct(&e.png, &e.info);
  return status;
}
