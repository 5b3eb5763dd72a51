/* PNG bytes to 8-bit samples, through libpng's full API.
 *
 * Invariant: nothing is allocated in proportion to the picture before its header is within the limits and the bytes at
 * hand could fill it; a damaged file (any chunk's CRC, a missing IEND) gives an error, never half a picture. Only IHDR,
 * PLTE, tRNS, IDAT and IEND are read, every other ancillary chunk is skipped: no gamma, colour profile or text. Palette
 * indices beyond the palette are opaque black; bytes after IEND are ignored. */
#include <png.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "image/samples.h"

enum {
  SIGNATURE_BYTES = 8,
  HEADER_BYTES = SIGNATURE_BYTES + 4 + 4 + 13 + 4, /* the signature and a whole IHDR chunk */
  MAX_CHUNK_MALLOC = 1024 * 1024,                  /* no chunk that we read needs more than a palette */
  MAX_CHUNK_CACHE = 1,                             /* libpng's count starts at 1: keep none */
  MAX_EXPANSION = 1032                             /* deflate: 258 bytes from two bits at best */
};

typedef struct png_header {
  uint32_t width, height;
  uint32_t bits_per_pixel;
} png_header;

/* All that the setjmp frames touch lives here, outside of them, so that a longjmp loses and leaks nothing. */
typedef struct png_decoder {
  const uint8_t *next;
  size_t n_left;
  png_structp png;
  png_infop info;
  uint32_t width, height, channels;
  int passes; /* 1, or 7 when interlaced */
  uint8_t *pixels;
  bool truncated, no_memory;
  char message[128];
} png_decoder;

static uint32_t read_u32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Samples of a pixel by colour type, 0 for types that do not exist. */
static uint32_t samples_per_pixel(uint8_t color_type) {
  static const uint8_t samples[] = {1, 0, 3, 1, 2, 0, 4};
  return color_type < sizeof samples ? samples[color_type] : 0;
}

static bool depth_allowed(uint8_t color_type, uint8_t depth) {
  switch (depth) {
    case 1:
    case 2:
    case 4: return color_type == PNG_COLOR_TYPE_GRAY || color_type == PNG_COLOR_TYPE_PALETTE;
    case 8: return true;
    case 16: return color_type != PNG_COLOR_TYPE_PALETTE;
    default: return false;
  }
}

/* The signature and IHDR, checked by ourselves before libpng allocates anything (it checks IHDR's CRC later). */
static snn_status read_header(const uint8_t *p, size_t n_bytes, const snn_image_limits *limits, png_header *out,
                              snn_error *err) {
  static const uint8_t signature[SIGNATURE_BYTES] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
  size_t n_signature = n_bytes < SIGNATURE_BYTES ? n_bytes : SIGNATURE_BYTES;
  if (n_bytes == 0 || memcmp(p, signature, n_signature) != 0) return snn_fail(err, SNN_ERR_FORMAT, NULL, "not a PNG");
  if (n_bytes < HEADER_BYTES) return snn_fail(err, SNN_ERR_FORMAT, NULL, "truncated PNG");
  p += SIGNATURE_BYTES;
  if (read_u32(p) != 13 || memcmp(p + 4, "IHDR", 4) != 0)
    return snn_fail(err, SNN_ERR_FORMAT, NULL, "corrupt PNG: it does not start with its header");
  p += 8;
  uint32_t width = read_u32(p), height = read_u32(p + 4);
  uint8_t depth = p[8], color_type = p[9], compression = p[10], filter = p[11], interlace = p[12];
  uint32_t samples = samples_per_pixel(color_type);
  if (!width || !height || width > PNG_UINT_31_MAX || height > PNG_UINT_31_MAX || !samples ||
      !depth_allowed(color_type, depth) || compression != 0 || filter != 0 || interlace > 1)
    return snn_fail(err, SNN_ERR_FORMAT, NULL, "corrupt PNG: invalid header");
  uint32_t max_width = limits && limits->max_width ? limits->max_width : SNN_IMAGE_MAX_EXTENT;
  uint32_t max_height = limits && limits->max_height ? limits->max_height : SNN_IMAGE_MAX_EXTENT;
  uint64_t max_pixels = limits && limits->max_pixels ? limits->max_pixels : SNN_IMAGE_MAX_PIXELS;
  if (width > max_width || height > max_height || (uint64_t)width * height > max_pixels)
    return snn_fail(err, SNN_ERR_TOO_LARGE, NULL, "the picture is %ux%u, the limit is %ux%u and %llu pixels in all",
                    width, height, max_width, max_height, (unsigned long long)max_pixels);
  *out = (png_header){.width = width, .height = height, .bits_per_pixel = samples * depth};
  return SNN_OK;
}

snn_status snn_image_probe_png(const void *bytes, size_t n_bytes, const snn_image_limits *limits, uint32_t *width,
                               uint32_t *height, snn_error *err) {
  png_header header = {0};
  snn_status status = read_header(bytes, n_bytes, limits, &header, err);
  if (status != SNN_OK) return status;
  *width = header.width;
  *height = header.height;
  return SNN_OK;
}

/* libpng calls these back. on_error must not return; on_warning has nobody to talk to. */
static _Noreturn void on_error(png_structp png, png_const_charp message) {
  png_decoder *d = png_get_error_ptr(png);
  snprintf(d->message, sizeof d->message, "%s", message ? message : "unknown error");
  png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
  (void)png;
  (void)message;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t n_bytes) {
  png_decoder *d = png_get_mem_ptr(png);
  void *p = malloc(n_bytes);
  if (!p) d->no_memory = true;
  return p;
}

static void on_free(png_structp png, png_voidp p) {
  (void)png;
  free(p);
}

static void on_read(png_structp png, png_bytep out, size_t n_bytes) {
  png_decoder *d = png_get_io_ptr(png);
  if (n_bytes > d->n_left) {
    d->truncated = true;
    png_error(png, "truncated");
  }
  memcpy(out, d->next, n_bytes);
  d->next += n_bytes;
  d->n_left -= n_bytes;
}

/* Up to the first IDAT; sets channels and passes. A setjmp frame: nothing here but calls into libpng. */
static bool read_info(png_decoder *d) {
  if (setjmp(png_jmpbuf(d->png))) return false;
  png_set_read_fn(d->png, d, on_read);
  png_set_user_limits(d->png, d->width, d->height);
  png_set_chunk_malloc_max(d->png, MAX_CHUNK_MALLOC);
  png_set_chunk_cache_max(d->png, MAX_CHUNK_CACHE);
  /* -1: every chunk but IHDR, PLTE, tRNS, IDAT and IEND, known to libpng or not. A zTXt is never inflated. */
  png_set_keep_unknown_chunks(d->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
  png_set_crc_action(d->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
  png_read_info(d->png, d->info);
  png_set_expand(d->png); /* palette to RGB, 1, 2 and 4 bits to 8, tRNS to alpha (compared at 16 bits) */
  png_set_scale_16(d->png);
  d->passes = png_set_interlace_handling(d->png);
  png_read_update_info(d->png, d->info);
  d->channels = png_get_channels(d->png, d->info);
  return true;
}

/* All rows into d->pixels, then on to IEND. Passes of an interlaced picture refine the same rows. A setjmp frame. */
static bool read_rows(png_decoder *d) {
  if (setjmp(png_jmpbuf(d->png))) return false;
  const size_t stride = (size_t)d->width * d->channels;
  for (int pass = 0; pass < d->passes; pass++)
    for (uint32_t y = 0; y < d->height; y++) png_read_row(d->png, d->pixels + y * stride, NULL);
  png_read_end(d->png, NULL);
  return true;
}

/* Why libpng gave up, in our words: its sentences start with a capital, chunk names stay as they are. */
static snn_status decoder_error(png_decoder *d, snn_error *err) {
  if (d->no_memory) return snn_fail_memory(err, "decoding a picture");
  if (d->truncated) return snn_fail(err, SNN_ERR_FORMAT, NULL, "truncated PNG");
  char *m = d->message;
  if (m[0] >= 'A' && m[0] <= 'Z' && m[1] >= 'a' && m[1] <= 'z') m[0] = (char)(m[0] - 'A' + 'a');
  return snn_fail(err, SNN_ERR_FORMAT, NULL, "corrupt PNG: %s", m);
}

snn_status snn_image_decode_png(const void *bytes, size_t n_bytes, const snn_image_limits *limits, snn_image *out,
                                snn_error *err) {
  png_header header = {0};
  snn_status status = read_header(bytes, n_bytes, limits, &header, err);
  if (status != SNN_OK) return status;
  /* A hundred bytes that claim to be 16 Mpixel cost nothing: deflate cannot expand them so far. Divided before it is
   * multiplied: a caller's limits may be as large as they like. */
  uint64_t needed_bytes = (uint64_t)header.width * header.height / (8 * MAX_EXPANSION) * header.bits_per_pixel;
  if (needed_bytes > n_bytes) return snn_fail(err, SNN_ERR_FORMAT, NULL, "truncated PNG");

  png_decoder d = {.next = bytes, .n_left = n_bytes, .width = header.width, .height = header.height};
  size_t n_pixels = 0, n_samples = 0;
  d.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, &d, on_error, on_warning, &d, on_malloc, on_free);
  if (d.png) d.info = png_create_info_struct(d.png);
  if (!d.info) {
    status = snn_fail_memory(err, "decoding a picture");
    goto cleanup;
  }
  if (!read_info(&d)) {
    status = decoder_error(&d, err);
    goto cleanup;
  }
  if (d.channels < 1 || d.channels > 4 || png_get_bit_depth(d.png, d.info) != 8 ||
      png_get_rowbytes(d.png, d.info) != (size_t)d.width * d.channels) {
    status = snn_fail(err, SNN_ERR_INTERNAL, NULL, "libpng expanded a picture to an unexpected layout");
    goto cleanup;
  }
  if (snn_mul(d.width, d.height, &n_pixels) && snn_mul(n_pixels, d.channels, &n_samples))
    d.pixels = calloc(n_samples, 1); /* zeroed: the first pass of an interlaced picture leaves gaps */
  if (!d.pixels) {
    status = snn_fail_memory(err, "a decoded picture");
    goto cleanup;
  }
  if (!read_rows(&d)) {
    status = decoder_error(&d, err);
    goto cleanup;
  }
  *out = (snn_image){.width = d.width, .height = d.height, .channels = d.channels, .pixels = d.pixels};
  d.pixels = NULL;
cleanup:
  free(d.pixels);
  if (d.png) png_destroy_read_struct(&d.png, &d.info, NULL);
  return status;
}

void snn_image_free(snn_image *image) {
  if (!image) return;
  free(image->pixels);
  *image = (snn_image){0};
}
