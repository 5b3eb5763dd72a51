/* Resampling and normalisation: hand-computed cases, and random ones against the definition by brute force. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "snn/image.h"

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

/* Resample and compare; the output buffer is exact, so that a sanitizer sees writing past it. */
static void check_resample(snn_image image, snn_shape shape, uint8_t background, const uint8_t *expected) {
  uint8_t *out = malloc(snn_shape_size(shape));
  assert_non_null(out);
  snn_error err = {0};
  if (snn_image_resample(&image, shape, background, out, &err) != SNN_OK) fail_msg("%s", err.text);
  assert_memory_equal(out, expected, snn_shape_size(shape));
  free(out);
}

static void test_resample_by_hand(void **state) {
  (void)state;
  uint8_t two[] = {1, 2, 3, 4}; /* the mean is 2.5: half goes up */
  check_resample((snn_image){2, 2, 1, two}, (snn_shape){1, 1, 1}, 0, (uint8_t[]){3});
  uint8_t one[] = {77};
  check_resample((snn_image){1, 1, 1, one}, (snn_shape){1, 2, 2}, 0, (uint8_t[]){77, 77, 77, 77});
  check_resample((snn_image){1, 1, 1, one}, (snn_shape){3, 1, 2}, 0, (uint8_t[]){77, 77, 77, 77, 77, 77});
  /* columns 0 30 60 90 to three: (3*0 + 1*30)/4 = 7.5, (2*30 + 2*60)/4 = 45, (1*60 + 3*90)/4 = 82.5 */
  uint8_t four[] = {0, 30, 60, 90, 0, 30, 60, 90, 0, 30, 60, 90, 0, 30, 60, 90};
  check_resample((snn_image){4, 4, 1, four}, (snn_shape){1, 3, 3}, 0, (uint8_t[]){8, 45, 83, 8, 45, 83, 8, 45, 83});
  uint8_t turned[] = {0, 0, 30, 30, 60, 60, 90, 90};
  check_resample((snn_image){2, 4, 1, turned}, (snn_shape){1, 3, 2}, 0, (uint8_t[]){8, 8, 45, 45, 83, 83});
  /* two columns to three: a, the mean of both, b */
  uint8_t pair[] = {10, 21};
  check_resample((snn_image){2, 1, 1, pair}, (snn_shape){1, 1, 3}, 0, (uint8_t[]){10, 16, 21});
}

static void test_resample_alpha_and_channels(void **state) {
  (void)state;
  uint8_t rgba[] = {255, 0, 100, 0, 255, 0, 100, 255, 255, 0, 100, 128};
  const snn_image image = {3, 1, 4, rgba};
  check_resample(image, (snn_shape){3, 1, 3}, 0, (uint8_t[]){0, 0, 0, 255, 0, 100, 128, 0, 50});
  check_resample(image, (snn_shape){3, 1, 3}, 255, (uint8_t[]){255, 255, 255, 255, 0, 100, 255, 127, 177});
  uint8_t gray_alpha[] = {200, 0, 200, 255, 200, 51};
  check_resample((snn_image){3, 1, 2, gray_alpha}, (snn_shape){1, 1, 3}, 0, (uint8_t[]){0, 200, 40});
  check_resample((snn_image){3, 1, 2, gray_alpha}, (snn_shape){3, 1, 1}, 255,
                 (uint8_t[]){233, 233, 233}); /* (255 + 200 + 244) / 3 */
  /* luma: pure red, green, blue, white, and grays that must stay as they are */
  uint8_t rgb[] = {255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255, 93, 93, 93};
  check_resample((snn_image){5, 1, 3, rgb}, (snn_shape){1, 1, 5}, 0, (uint8_t[]){76, 150, 29, 255, 93});
  uint8_t gray[] = {5, 250};
  check_resample((snn_image){2, 1, 1, gray}, (snn_shape){3, 1, 2}, 0, (uint8_t[]){5, 5, 5, 250, 250, 250});
}

/* Against the definition: every output pixel is the mean of in_h x in_w cells of the grid both sizes divide. */
static void test_resample_against_the_definition(void **state) {
  (void)state;
  const uint32_t sizes[][4] = {{7, 5, 3, 4}, {3, 4, 7, 5}, {13, 1, 5, 6}, {1, 13, 6, 5},    {16, 16, 8, 4},
                               {9, 9, 9, 4}, {9, 9, 4, 9}, {5, 3, 10, 9}, {31, 33, 28, 28}, {11, 2, 1, 1}};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
    for (uint32_t c = 1; c <= 3; c += 2) {
      const uint32_t w = sizes[k][0], h = sizes[k][1];
      const snn_shape shape = {c, sizes[k][2], sizes[k][3]};
      snn_image image = sample_image(w, h, c);
      uint8_t *expected = malloc(snn_shape_size(shape));
      assert_non_null(expected);
      for (uint32_t y = 0; y < shape.h; y++)
        for (uint32_t x = 0; x < shape.w; x++)
          for (uint32_t ch = 0; ch < c; ch++) {
            uint64_t sum = 0;
            for (uint32_t gy = y * h; gy < (y + 1) * h; gy++)
              for (uint32_t gx = x * w; gx < (x + 1) * w; gx++)
                sum += image.pixels[((size_t)(gy / shape.h) * w + gx / shape.w) * c + ch];
            expected[((size_t)y * shape.w + x) * c + ch] = (uint8_t)(((double)sum / (w * h)) + 0.5);
          }
      check_resample(image, shape, 0, expected);
      free(expected);
      snn_image_free(&image);
    }
}

static void test_same_size_is_the_identity(void **state) {
  (void)state;
  for (uint32_t c = 1; c <= 3; c += 2) {
    snn_image image = sample_image(19, 23, c);
    check_resample(image, (snn_shape){c, 23, 19}, 0, image.pixels);
    snn_image_free(&image);
  }
}

static void test_resample_extremes_keep_constants(void **state) {
  (void)state;
  const uint32_t w = 4096, h = 1000;
  snn_image image = {w, h, 4, malloc((size_t)w * h * 4)};
  assert_non_null(image.pixels);
  memset(image.pixels, 255, (size_t)w * h * 4);
  uint8_t white[3 * 3 * 7];
  memset(white, 255, sizeof white);
  check_resample(image, (snn_shape){3, 3, 7}, 0, white);
  snn_image_free(&image);
}

static void test_resample_refuses(void **state) {
  (void)state;
  uint8_t pixels[8] = {0}, out[64];
  const snn_image good = {1, 1, 1, pixels};
  const struct {
    snn_image image;
    snn_shape shape;
    const char *where;
  } bad[] = {{good, {0, 1, 1}, "shape"},
             {good, {2, 1, 1}, "shape"},
             {good, {4, 1, 1}, "shape"},
             {good, {1, 0, 1}, "shape"},
             {good, {1, 1, 0}, "shape"},
             {{1, 1, 5, pixels}, {1, 1, 1}, "image"},
             {{1, 1, 0, pixels}, {1, 1, 1}, "image"},
             {{0, 1, 1, pixels}, {1, 1, 1}, "image"},
             {{1, 0, 1, pixels}, {1, 1, 1}, "image"},
             {{1, 1, 1, NULL}, {1, 1, 1}, "image"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    snn_error err = {0};
    assert_int_equal(snn_image_resample(&bad[i].image, bad[i].shape, 0, out, &err), SNN_ERR_ARGUMENT);
    assert_string_equal(err.where, bad[i].where);
  }
}

static void test_normalise(void **state) {
  (void)state;
  snn_preprocess pre = {.mean = {0.5f, 0.25f, 0.0f}, .std = {0.5f, 2.0f, 1.0f}};
  const uint8_t pixels[] = {0, 255, 51, 255, 0, 102}; /* two pixels, a row */
  float out[6];
  snn_image_normalise(pixels, (snn_shape){3, 1, 2}, &pre, out);
  const float expected[] = {-1.0f, 1.0f, 0.375f, -0.125f, 0.2f, 0.4f};
  for (int i = 0; i < 6; i++) assert_true(fabsf(out[i] - expected[i]) < 1e-6f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_resample_by_hand),
      cmocka_unit_test(test_resample_alpha_and_channels),
      cmocka_unit_test(test_resample_against_the_definition),
      cmocka_unit_test(test_same_size_is_the_identity),
      cmocka_unit_test(test_resample_extremes_keep_constants),
      cmocka_unit_test(test_resample_refuses),
      cmocka_unit_test(test_normalise),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
