/* Weights in fewer bits. Every rounding is to nearest, ties to even, and a second rounding of an expanded F16 gives the
 * same bits. The way back from F16 and I8 is in the kernel tables (kernels/expand.h). Portable integer arithmetic: the
 * answer depends on no compiler or processor feature. */
#include "model/rounding.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static float float_of_bits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

void snn_expand_bf16(const uint8_t *bytes, size_t n, float *out) {
  for (size_t i = 0; i < n; i++)
    out[i] = float_of_bits((uint32_t)bytes[2 * i] << 16 | (uint32_t)bytes[2 * i + 1] << 24);
}

bool snn_i8_is_symmetric(const uint8_t *bytes, size_t n) {
  bool lowest = false;
  for (size_t i = 0; i < n; i++) lowest |= bytes[i] == 0x80;
  return !lowest;
}

/* value is finite and below the overflow threshold. */
static uint16_t round_half(float value) {
  float magnitude = fabsf(value);
  uint16_t sign = signbit(value) ? 0x8000u : 0;
  if (magnitude < 0x1p-14f) /* subnormal: units of 2^-24; 1024 of them is the smallest normal number's pattern */
    return (uint16_t)(sign | (uint16_t)rintf(magnitude * 0x1p24f));
  int exponent;
  float mantissa = frexpf(magnitude, &exponent);        /* [1/2, 1) */
  unsigned steps = (unsigned)rintf(mantissa * 2048.0f); /* 1024..2048; 2048 carries into the exponent by itself */
  return (uint16_t)(sign | (((unsigned)(exponent + 14) << 10) + (steps - 1024)));
}

bool snn_round_f16(const float *in, size_t n, uint16_t *out) {
  for (size_t i = 0; i < n; i++) {
    if (!(fabsf(in[i]) < 65520.0f)) return false; /* half way from 65504 to 65536, a tie that would round up */
    out[i] = round_half(in[i]);
  }
  return true;
}

void snn_i8_scales(const float *in, size_t n, size_t channels, float *scale) {
  assert(channels > 0);
  for (size_t c = 0; c < channels; c++) scale[c] = 0;
  for (size_t i = 0; i < n; i++) scale[i % channels] = fmaxf(scale[i % channels], fabsf(in[i]));
  for (size_t c = 0; c < channels; c++) {
    scale[c] /= (float)SNN_I8_LIMIT;
    if (scale[c] == 0) scale[c] = 1; /* zeros, or so small that the division left nothing */
  }
}

void snn_round_i8(const float *in, size_t n, size_t first, const float *scale, size_t channels, int8_t *out) {
  for (size_t i = 0; i < n; i++) {
    float q = rintf(in[i] / scale[(first + i) % channels]);
    out[i] = (int8_t)fminf(fmaxf(q, (float)-SNN_I8_LIMIT), (float)SNN_I8_LIMIT);
  }
}
