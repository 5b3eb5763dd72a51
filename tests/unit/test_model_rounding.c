/* Weights in fewer bits: every F16 there is, ties, carries, subnormals; BF16; I8 with its scales. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the headers above first */
#include <cmocka.h>

#include "kernels/kernels.h"
#include "model/rounding.h"

static void test_f16_rounding(void **state) {
  (void)state;
  static const struct {
    float value;
    uint16_t bits;
  } pairs[] = {
      {0, 0},
      {-0.0f, 0x8000},
      {1, 0x3c00},
      {-2, 0xc000},
      {1.0f / 3, 0x3555},
      {65504, 0x7bff},
      {65519.996f, 0x7bff},
      {1 + 0x1p-11f, 0x3c00},            /* a tie, to even below */
      {1 + 3 * 0x1p-11f, 0x3c02},        /* a tie, to even above */
      {1 + 0x1p-11f + 0x1p-20f, 0x3c01}, /* just over it */
      {1.9998779296875f, 0x4000},        /* carries into the exponent */
      {0x1p-14f, 0x0400},                /* smallest normal */
      {0x1p-14f - 0x1p-25f, 0x0400},     /* a tie between the largest subnormal and it */
      {0x1p-24f, 0x0001},
      {0x1p-25f, 0x0000},
      {3 * 0x1p-25f, 0x0002},
      {-5 * 0x1p-24f, 0x8005},
      {0x1p-149f, 0x0000},
  };
  uint16_t bits;
  for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
    assert_true(snn_round_f16(&pairs[i].value, 1, &bits));
    assert_int_equal(bits, pairs[i].bits);
  }
  static uint8_t bytes[2 * 0x10000 + 1]; /* all there are, from an odd address on */
  static float all[0x10000], same[0x10000];
  for (uint32_t h = 0; h < 0x10000; h++) {
    bytes[2 * h + 1] = (uint8_t)h;
    bytes[2 * h + 2] = (uint8_t)(h >> 8);
  }
  for (unsigned i = 0; snn_kernels_available(i); i++) {
    const snn_kernels *kernels = snn_kernels_available(i);
    kernels->expand_f16(bytes + 1, 0x10000, all);
    for (uint32_t h = 0, n; h < 0x10000; h += n) { /* in pieces of any size */
      n = 1 + h % 77 < 0x10000 - h ? 1 + h % 77 : 0x10000 - h;
      kernels->expand_f16(bytes + 1 + 2 * h, n, same + h);
    }
    assert_memory_equal(all, same, sizeof all);
    for (uint32_t h = 0; h < 0x10000; h++) {
      bool finite = (h & 0x7c00) != 0x7c00;
      assert_int_equal(isfinite(all[h]) != 0, finite);
      assert_int_equal(snn_round_f16(&all[h], 1, &bits), finite);
      if (finite) assert_int_equal(bits, h);
    }
  }
  static const float beyond[] = {65520, -65520, INFINITY, NAN};
  for (size_t i = 0; i < 4; i++) assert_false(snn_round_f16(&beyond[i], 1, &bits));
}

static void test_bf16_expansion(void **state) {
  (void)state;
  static const uint8_t bytes[] = {0x80, 0x3f, 0x00, 0xc0, 0x01, 0x00, 0x80, 0x7f, 0xc0, 0x7f};
  float x[5];
  snn_expand_bf16(bytes, 5, x);
  assert_true(x[0] == 1 && x[1] == -2 && x[2] == 0x1p-133f && isinf(x[3]) && isnan(x[4]));
}

static void test_i8_rounding(void **state) {
  (void)state;
  /* [4][3]: largest 127, all zero, and subnormal so that the scale underflows */
  static const float w[12] = {127, 0, 0x1p-149f, 0.5f, -0.0f, 0, -1.5f, 0, 0, 2.5f, 0, 0};
  static const int8_t expected[12] = {127, 0, 0, 0, 0, 0, -2, 0, 0, 2, 0, 0};
  float scale[3], back[12];
  int8_t q[12];
  snn_i8_scales(w, 12, 3, scale);
  assert_true(scale[0] == 1 && scale[1] == 1 && scale[2] == 1);
  snn_round_i8(w, 5, 0, scale, 3, q); /* in two pieces, the second starting inside a row */
  snn_round_i8(w + 5, 7, 5, scale, 3, q + 5);
  assert_memory_equal(q, expected, sizeof q);
  assert_true(snn_i8_is_symmetric((const uint8_t *)q, 12));
  for (unsigned i = 0; snn_kernels_available(i); i++) {
    for (size_t row = 0; row < 12; row += 3)
      snn_kernels_available(i)->expand_i8((const uint8_t *)q + row, scale, 3, back + row);
    assert_true(back[0] == 127 && back[6] == -2 && back[9] == 2);
  }
  static const float odd[4] = {0.3f, -0.1f, 7e-39f, -0.299f};
  snn_i8_scales(odd, 4, 2, scale);
  snn_round_i8(odd, 4, 0, scale, 2, q);
  assert_true(q[0] == 127 && q[3] == -127);
  q[1] = -128;
  assert_false(snn_i8_is_symmetric((const uint8_t *)q, 4));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_f16_rounding),
      cmocka_unit_test(test_bf16_expansion),
      cmocka_unit_test(test_i8_rounding),
  };
  return cmocka_run_group_tests_name("model rounding", tests, NULL, NULL);
}
