/* PNG reading and writing: what decodes to what, and what is refused.
 *
 * PNGs are made here, by libpng where our encoder does not write the kind, and by hand around single chunks. */
#include <png.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "snn/image.h"

/* A growing byte string. */
typedef struct buffer {
  uint8_t *bytes;
  size_t n, capacity;
} buffer;

static void append(buffer *b, const void *bytes, size_t n) {
  if (b->n + n >= b->capacity) {
    b->capacity = 2 * (b->n + n) + 64;
    b->bytes = realloc(b->bytes, b->capacity);
    assert_non_null(b->bytes);
  }
  if (n) memcpy(b->bytes + b->n, bytes, n);
  b->n += n;
}

static uint32_t crc_of(const uint8_t *p, size_t n) {
  uint32_t crc = 0xffffffffu;
  for (size_t i = 0; i < n; i++) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? crc >> 1 ^ 0xedb88320u : crc >> 1;
  }
  return ~crc;
}

static void append_u32(buffer *b, uint32_t v) {
  const uint8_t be[] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
  append(b, be, 4);
}

static void append_chunk(buffer *b, const char *type, const void *data, size_t n) {
  append_u32(b, (uint32_t)n);
  const size_t start = b->n;
  append(b, type, 4);
  append(b, data, n);
  append_u32(b, crc_of(b->bytes + start, b->n - start));
}

static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};

static void append_header(buffer *b, uint32_t w, uint32_t h, uint8_t depth, uint8_t color, uint8_t interlace) {
  buffer ihdr = {0};
  append_u32(&ihdr, w);
  append_u32(&ihdr, h);
  append(&ihdr, (uint8_t[]){depth, color, 0, 0, interlace}, 5);
  append(b, signature, 8);
  append_chunk(b, "IHDR", ihdr.bytes, ihdr.n);
  free(ihdr.bytes);
}

enum { AFTER_HEADER = 33 };

/* `png` with `n` bytes of chunks put in after IHDR. */
static buffer with_chunks(buffer png, const uint8_t *chunks, size_t n) {
  buffer b = {0};
  append(&b, png.bytes, AFTER_HEADER);
  append(&b, chunks, n);
  append(&b, png.bytes + AFTER_HEADER, png.n - AFTER_HEADER);
  return b;
}

/* A description of a PNG for libpng to write; rows are packed as the file has them. */
typedef struct recipe {
  uint32_t w, h;
  int depth, color, interlace;
  const uint8_t *rows; /* packed, stride bytes each */
  size_t stride;
  const png_color *palette;
  int n_palette;
  const uint8_t *trans_alpha;
  int n_trans;
  const png_color_16 *trans_color;
} recipe;

static void on_write(png_structp png, png_bytep bytes, size_t n) {
  append(png_get_io_ptr(png), bytes, n);
}
static void on_flush(png_structp png) {
  (void)png;
}

static buffer write_png(const recipe *r) {
  buffer b = {0};
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
  png_infop info = png_create_info_struct(png);
  png_bytep *rows = calloc(r->h, sizeof *rows);
  assert_non_null(rows);
  for (uint32_t y = 0; y < r->h; y++) rows[y] = (png_bytep)(uintptr_t)(r->rows + y * r->stride);
  png_set_write_fn(png, &b, on_write, on_flush);
  png_set_IHDR(png, info, r->w, r->h, r->depth, r->color, r->interlace, 0, 0);
  if (r->palette) png_set_PLTE(png, info, r->palette, r->n_palette);
  if (r->trans_alpha || r->trans_color) png_set_tRNS(png, info, r->trans_alpha, r->n_trans, r->trans_color);
  png_write_info(png, info);
  png_write_image(png, rows);
  png_write_end(png, info);
  png_destroy_write_struct(&png, &info);
  free(rows);
  return b;
}

static snn_image decode(buffer b) {
  snn_image image = {0};
  snn_error err = {0};
  const snn_status status = snn_image_decode_png(b.bytes, b.n, NULL, &image, &err);
  if (status != SNN_OK) fail_msg("%s", err.text);
  return image;
}

/* Decode a recipe and compare the samples. */
static void check_recipe(const recipe *r, uint32_t channels, const uint8_t *expected) {
  buffer b = write_png(r);
  snn_image image = decode(b);
  assert_int_equal(image.width, r->w);
  assert_int_equal(image.height, r->h);
  assert_int_equal(image.channels, channels);
  assert_memory_equal(image.pixels, expected, (size_t)r->w * r->h * channels);
  snn_image_free(&image);
  free(b.bytes);
}

/* The bytes must be refused with this status and a text that holds `text`, and leave the result alone. */
static void check_refused(const void *bytes, size_t n, const snn_image_limits *limits, snn_status expected,
                          const char *text) {
  /* a copy of exactly n bytes: an address sanitizer sees reading past them */
  uint8_t *copy = malloc(n ? n : 1);
  assert_non_null(copy);
  if (n) memcpy(copy, bytes, n);
  snn_image image = {7, 7, 7, NULL};
  snn_error err = {0};
  assert_int_equal(snn_image_decode_png(copy, n, limits, &image, &err), expected);
  assert_int_equal(err.status, expected);
  if (!strstr(err.text, text)) fail_msg("\"%s\" does not hold \"%s\"", err.text, text);
  assert_int_equal(image.width, 7);
  assert_null(image.pixels);
  free(copy);
}

static snn_image sample_image(uint32_t w, uint32_t h, uint32_t channels) {
  snn_image image = {.width = w, .height = h, .channels = channels, .pixels = malloc((size_t)w * h * channels)};
  assert_non_null(image.pixels);
  uint32_t state = w * 31 + h * 7 + channels;
  for (size_t i = 0; i < (size_t)w * h * channels; i++) {
    state = state * 1664525u + 1013904223u;
    image.pixels[i] = (uint8_t)(state >> 24);
  }
  return image;
}

static buffer encode(const snn_image *image) {
  buffer b = {0};
  snn_error err = {0};
  if (snn_image_encode_png(image, &b.bytes, &b.n, &err) != SNN_OK) fail_msg("%s", err.text);
  return b;
}

static buffer small_png(void) {
  snn_image image = sample_image(5, 4, 3);
  buffer b = encode(&image);
  snn_image_free(&image);
  return b;
}

static void test_encode_decode_round_trip(void **state) {
  (void)state;
  const uint32_t sizes[][2] = {{1, 1}, {3, 2}, {17, 5}, {64, 64}, {1, 300}, {300, 1}};
  for (uint32_t channels = 1; channels <= 4; channels++)
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
      snn_image in = sample_image(sizes[k][0], sizes[k][1], channels);
      buffer b = encode(&in), again = encode(&in);
      assert_int_equal(b.n, again.n);
      assert_memory_equal(b.bytes, again.bytes, b.n);
      uint32_t w = 0, h = 0;
      assert_int_equal(snn_image_probe_png(b.bytes, b.n, NULL, &w, &h, NULL), SNN_OK);
      assert_int_equal(w, in.width);
      assert_int_equal(h, in.height);
      snn_image out = decode(b);
      assert_int_equal(out.channels, channels);
      assert_memory_equal(out.pixels, in.pixels, (size_t)w * h * channels);
      snn_image_free(&in);
      snn_image_free(&out);
      free(b.bytes);
      free(again.bytes);
    }
}

static void test_encode_refuses_nonsense(void **state) {
  (void)state;
  uint8_t pixel[5] = {0}, *out = NULL;
  size_t n = 0;
  const snn_image bad[] = {{0, 1, 1, pixel}, {1, 0, 1, pixel}, {1, 1, 0, pixel}, {1, 1, 5, pixel}, {1, 1, 1, NULL}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    snn_error err = {0};
    assert_int_equal(snn_image_encode_png(&bad[i], &out, &n, &err), SNN_ERR_ARGUMENT);
    assert_null(out);
  }
}

static void test_low_depths_expand(void **state) {
  (void)state;
  const uint8_t one[] = {0xa0}, two[] = {0x1b}, four[] = {0x0f, 0x80};
  check_recipe(&(recipe){.w = 4, .h = 1, .depth = 1, .rows = one, .stride = 1}, 1, (uint8_t[]){255, 0, 255, 0});
  check_recipe(&(recipe){.w = 4, .h = 1, .depth = 2, .rows = two, .stride = 1}, 1, (uint8_t[]){0, 85, 170, 255});
  check_recipe(&(recipe){.w = 3, .h = 1, .depth = 4, .rows = four, .stride = 2}, 1, (uint8_t[]){0, 255, 136});
}

static void test_sixteen_bits_scale_to_nearest(void **state) {
  (void)state;
  const uint8_t rows[] = {0, 0, 0xff, 0xff, 0x80, 0x80, 0x00, 0x80, 0x00, 0x81, 0x01, 0x81, 0x01, 0x82};
  check_recipe(&(recipe){.w = 7, .h = 1, .depth = 16, .rows = rows, .stride = 14}, 1,
               (uint8_t[]){0, 255, 128, 0, 1, 1, 2});
}

static void test_palette_and_transparency(void **state) {
  (void)state;
  const png_color palette[] = {{1, 2, 3}, {40, 50, 60}, {255, 0, 9}};
  const uint8_t rows[] = {0, 1, 2}, alpha[] = {0, 128};
  recipe r = {.w = 3, .h = 1, .depth = 8, .color = PNG_COLOR_TYPE_PALETTE, .rows = rows, .stride = 3};
  r.palette = palette;
  r.n_palette = 3;
  check_recipe(&r, 3, (uint8_t[]){1, 2, 3, 40, 50, 60, 255, 0, 9});
  r.trans_alpha = alpha; /* shorter than the palette: the rest is opaque */
  r.n_trans = 2;
  check_recipe(&r, 4, (uint8_t[]){1, 2, 3, 0, 40, 50, 60, 128, 255, 0, 9, 255});

  const uint8_t gray16[] = {0x12, 0x34, 0x12, 0x35}; /* only the exact 16-bit value is transparent */
  const png_color_16 key = {.gray = 0x1234};
  recipe g = {.w = 2, .h = 1, .depth = 16, .rows = gray16, .stride = 4, .trans_color = &key};
  check_recipe(&g, 2, (uint8_t[]){18, 0, 18, 255});

  const uint8_t rgb[] = {9, 8, 7, 9, 8, 6};
  const png_color_16 rgb_key = {.red = 9, .green = 8, .blue = 7};
  recipe c = {.w = 2, .h = 1, .depth = 8, .color = PNG_COLOR_TYPE_RGB, .rows = rgb, .stride = 6};
  c.trans_color = &rgb_key;
  check_recipe(&c, 4, (uint8_t[]){9, 8, 7, 0, 9, 8, 6, 255});
}

static void test_palette_index_out_of_range_is_black(void **state) {
  (void)state;
  buffer b = {0};
  append_header(&b, 1, 1, 8, PNG_COLOR_TYPE_PALETTE, 0);
  append_chunk(&b, "PLTE", (uint8_t[]){7, 7, 7}, 3);
  /* one stored deflate block: filter 0, index 200 */
  append_chunk(&b, "IDAT", (uint8_t[]){0x78, 0x01, 1, 2, 0, 0xfd, 0xff, 0, 200, 0, 202, 0, 201}, 13);
  append_chunk(&b, "IEND", "", 0);
  snn_image image = decode(b);
  assert_int_equal(image.channels, 3);
  assert_memory_equal(image.pixels, ((uint8_t[]){0, 0, 0}), 3);
  snn_image_free(&image);
  free(b.bytes);
}

static void test_interlaced_equals_plain(void **state) {
  (void)state;
  const struct {
    int color, depth;
    uint32_t channels;
  } kinds[] = {{PNG_COLOR_TYPE_GRAY, 1, 1}, {PNG_COLOR_TYPE_GRAY, 8, 1},       {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 2},
               {PNG_COLOR_TYPE_RGB, 8, 3},  {PNG_COLOR_TYPE_RGB_ALPHA, 16, 4}, {PNG_COLOR_TYPE_GRAY, 16, 1}};
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
    for (uint32_t w = 1; w <= 9; w++)
      for (uint32_t h = 1; h <= 9; h += 2) {
        snn_image noise = sample_image(w * 2, h, kinds[k].channels);
        recipe r = {.w = w, .h = h, .depth = kinds[k].depth, .color = kinds[k].color, .rows = noise.pixels};
        r.stride = (size_t)w * 2 * kinds[k].channels;
        buffer plain = write_png(&r);
        r.interlace = PNG_INTERLACE_ADAM7;
        buffer interlaced = write_png(&r);
        snn_image a = decode(plain), b = decode(interlaced);
        assert_int_equal(a.channels, kinds[k].channels);
        assert_int_equal(b.channels, a.channels);
        assert_memory_equal(a.pixels, b.pixels, (size_t)w * h * a.channels);
        snn_image_free(&a);
        snn_image_free(&b);
        snn_image_free(&noise);
        free(plain.bytes);
        free(interlaced.bytes);
      }
}

static void test_every_truncation_is_refused(void **state) {
  (void)state;
  buffer b = small_png();
  check_refused("", 0, NULL, SNN_ERR_FORMAT, "not a PNG");
  check_refused("GIF89a..................................", 40, NULL, SNN_ERR_FORMAT, "not a PNG");
  for (size_t n = 1; n < b.n; n++) check_refused(b.bytes, n, NULL, SNN_ERR_FORMAT, "truncated PNG");
  append(&b, "trailing bytes", 14);
  snn_image image = decode(b);
  snn_image_free(&image);
  free(b.bytes);
}

static void test_every_bit_flip_is_refused(void **state) {
  (void)state;
  buffer b = small_png();
  for (size_t bit = 0; bit < 8 * b.n; bit++) {
    b.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
    snn_image image = {0};
    const snn_status status = snn_image_decode_png(b.bytes, b.n, NULL, &image, NULL);
    if (status != SNN_ERR_FORMAT && status != SNN_ERR_TOO_LARGE) fail_msg("bit %zu gives %d", bit, (int)status);
    b.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
  }
  free(b.bytes);
}

/* Header, then nothing: a bomb must be refused before anything is allocated for it. */
static void test_limits(void **state) {
  (void)state;
  const snn_image_limits narrow = {.max_width = 10}, low = {.max_height = 10}, few = {.max_pixels = 99};
  const snn_image_limits huge = {UINT32_MAX, UINT32_MAX, UINT64_MAX};
  const struct {
    uint32_t w, h;
    const snn_image_limits *limits;
    snn_status status;
  } cases[] = {{4097, 1, NULL, SNN_ERR_TOO_LARGE},     {1, 4097, NULL, SNN_ERR_TOO_LARGE},
               {4096, 4096, NULL, SNN_ERR_FORMAT},     {0x7fffffff, 0x7fffffff, NULL, SNN_ERR_TOO_LARGE},
               {11, 1, &narrow, SNN_ERR_TOO_LARGE},    {10, 1, &narrow, SNN_ERR_FORMAT},
               {1, 11, &low, SNN_ERR_TOO_LARGE},       {1, 10, &low, SNN_ERR_FORMAT},
               {10, 10, &few, SNN_ERR_TOO_LARGE},      {11, 9, &few, SNN_ERR_FORMAT},
               {0, 5, NULL, SNN_ERR_FORMAT},           {5, 0, NULL, SNN_ERR_FORMAT},
               {0x80000000, 5, &huge, SNN_ERR_FORMAT}, {0x7fffffff, 0x7fffffff, &huge, SNN_ERR_FORMAT}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    buffer b = {0};
    append_header(&b, cases[i].w, cases[i].h, 16, PNG_COLOR_TYPE_RGB_ALPHA, 0);
    check_refused(b.bytes, b.n, cases[i].limits, cases[i].status, "");
    uint32_t w = 99, h = 99;
    const snn_status status = snn_image_probe_png(b.bytes, b.n, cases[i].limits, &w, &h, NULL);
    if (cases[i].status == SNN_ERR_TOO_LARGE) assert_int_equal(status, SNN_ERR_TOO_LARGE);
    if (status != SNN_OK) assert_int_equal(w, 99);
    free(b.bytes);
  }
}

static void test_invalid_headers(void **state) {
  (void)state;
  const uint8_t bad[][2] = {{8, 1}, {8, 5}, {8, 7}, {3, 0}, {0, 0}, {32, 0}, {16, 3}, {4, 2}, {1, 6}, {2, 4}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    buffer b = {0};
    append_header(&b, 4, 4, bad[i][0], bad[i][1], 0);
    check_refused(b.bytes, b.n, NULL, SNN_ERR_FORMAT, "invalid header");
    free(b.bytes);
  }
  buffer b = {0};
  append_header(&b, 4, 4, 8, 0, 2);
  check_refused(b.bytes, b.n, NULL, SNN_ERR_FORMAT, "invalid header");
  memcpy(b.bytes + 12, "IDAT", 4);
  check_refused(b.bytes, b.n, NULL, SNN_ERR_FORMAT, "header");
  free(b.bytes);
}

/* Chunks that are not pixels change nothing, however strange or large they are. */
static void test_ancillary_chunks_are_skipped(void **state) {
  (void)state;
  const size_t n_large = 3 * 1024 * 1024;
  uint8_t *large = calloc(n_large, 1);
  assert_non_null(large);
  buffer png = small_png(), extra = {0};
  append_chunk(&extra, "gAMA", (uint8_t[]){0, 0, 0, 1}, 4);
  append_chunk(&extra, "iCCP", "x\0\0not zlib", 11);
  append_chunk(&extra, "sBIT", "too long", 8);
  append_chunk(&extra, "zTXt", "k\0\0not zlib either", 18);
  append_chunk(&extra, "tEXt", large, n_large);
  append_chunk(&extra, "abCd", large, n_large);
  for (int i = 0; i < 20000; i++) append_chunk(&extra, "iTXt", "k", 1);
  buffer b = with_chunks(png, extra.bytes, extra.n);
  snn_image expected = decode(png), image = decode(b);
  assert_memory_equal(image.pixels, expected.pixels, 5 * 4 * 3);
  snn_image_free(&image);

  b.bytes[AFTER_HEADER + 9] ^= 1; /* the gAMA chunk no longer fits its CRC */
  check_refused(b.bytes, b.n, NULL, SNN_ERR_FORMAT, "CRC error");
  free(b.bytes);
  extra.n = 0;
  append_chunk(&extra, "ABCD", "critical and unknown", 20);
  b = with_chunks(png, extra.bytes, extra.n);
  check_refused(b.bytes, b.n, NULL, SNN_ERR_FORMAT, "ABCD");
  snn_image_free(&expected);
  free(b.bytes);
  free(extra.bytes);
  free(png.bytes);
  free(large);
}

static void test_many_empty_idat_chunks(void **state) {
  (void)state;
  buffer png = small_png(), extra = {0};
  for (int i = 0; i < 20000; i++) append_chunk(&extra, "IDAT", "", 0);
  buffer b = with_chunks(png, extra.bytes, extra.n);
  snn_image expected = decode(png), image = decode(b);
  assert_memory_equal(image.pixels, expected.pixels, 5 * 4 * 3);
  snn_image_free(&expected);
  snn_image_free(&image);
  free(b.bytes);
  free(extra.bytes);
  free(png.bytes);
}

/* Some writers put all pixels into one chunk, larger than any chunk that we would keep. */
static void test_one_large_idat_chunk(void **state) {
  (void)state;
  snn_image noise = sample_image(1200, 900, 3);
  buffer png = encode(&noise), data = {0}, b = {0};
  for (size_t at = AFTER_HEADER; at < png.n;) {
    const uint8_t *p = png.bytes + at;
    const size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (memcmp(p + 4, "IDAT", 4) == 0) append(&data, p + 8, n);
    at += n + 12;
  }
  assert_true(data.n > 2 * 1024 * 1024);
  append(&b, png.bytes, AFTER_HEADER);
  append_chunk(&b, "IDAT", data.bytes, data.n);
  append_chunk(&b, "IEND", "", 0);
  snn_image image = decode(b);
  assert_memory_equal(image.pixels, noise.pixels, (size_t)1200 * 900 * 3);
  snn_image_free(&image);
  snn_image_free(&noise);
  free(png.bytes);
  free(data.bytes);
  free(b.bytes);
}

/* More picture data than rows: not an error of libpng's, and nothing is written past the picture. */
static void test_too_few_and_too_many_rows(void **state) {
  (void)state;
  const uint8_t stored[] = {0x78, 0x01, 1, 4, 0, 0xfb, 0xff, 0, 200, 0, 100, 0x02, 0xc0, 0x01, 0x2d};
  for (uint32_t h = 1; h <= 3; h++) {
    buffer b = {0};
    append_header(&b, 1, h, 8, PNG_COLOR_TYPE_GRAY, 0);
    append_chunk(&b, "IDAT", stored, sizeof stored);
    append_chunk(&b, "IEND", "", 0);
    if (h == 3)
      check_refused(b.bytes, b.n, NULL, SNN_ERR_FORMAT, "not enough image data");
    else {
      snn_image image = decode(b);
      assert_memory_equal(image.pixels, ((uint8_t[]){200, 100}), h);
      snn_image_free(&image);
    }
    free(b.bytes);
  }
}

static void test_free_is_forgiving(void **state) {
  (void)state;
  snn_image_free(NULL);
  snn_image image = sample_image(2, 2, 1);
  snn_image_free(&image);
  assert_null(image.pixels);
  snn_image_free(&image);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_encode_decode_round_trip),  cmocka_unit_test(test_encode_refuses_nonsense),
      cmocka_unit_test(test_low_depths_expand),         cmocka_unit_test(test_sixteen_bits_scale_to_nearest),
      cmocka_unit_test(test_palette_and_transparency),  cmocka_unit_test(test_palette_index_out_of_range_is_black),
      cmocka_unit_test(test_interlaced_equals_plain),   cmocka_unit_test(test_every_truncation_is_refused),
      cmocka_unit_test(test_every_bit_flip_is_refused), cmocka_unit_test(test_limits),
      cmocka_unit_test(test_invalid_headers),           cmocka_unit_test(test_ancillary_chunks_are_skipped),
      cmocka_unit_test(test_many_empty_idat_chunks),    cmocka_unit_test(test_one_large_idat_chunk),
      cmocka_unit_test(test_too_few_and_too_many_rows), cmocka_unit_test(test_free_is_forgiving),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
