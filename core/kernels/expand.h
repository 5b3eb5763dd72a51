/* Weights of fewer bits to floats: the one body that every table compiles for its own instruction set. Plain arithmetic
 * without branches, so that compilers make vectors of it; every result is exact or one rounding, hence the same bytes
 * everywhere. */
#ifndef SNN_KERNELS_EXPAND_H
#define SNN_KERNELS_EXPAND_H

#include <endian.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline float float_of_bits(uint32_t bits) {
  float f;
  memcpy(&f, &bits, sizeof f);
  return f;
}

/* With the exponent's bits where float has its own, the value is 2^-112 of what it should be, subnormals included, and
 * a power of two is exact; infinities and NaNs keep their fraction. */
static inline float expand_half(uint16_t h) {
  uint32_t magnitude = (uint32_t)(h & 0x7fffu) << 13, bits;
  const float value = float_of_bits(magnitude) * 0x1p112f;
  memcpy(&bits, &value, sizeof bits);
  const uint32_t special = magnitude >= 31u << 23 ? 0x7f800000u : 0;
  return float_of_bits(bits | special | (uint32_t)(h & 0x8000u) << 16);
}

static void expand_f16(const uint8_t *bytes, size_t n, float *out) {
  enum { PIECE = 64 };
  uint16_t halves[PIECE];
  for (; n >= PIECE; n -= PIECE, bytes += 2 * PIECE, out += PIECE) {
    memcpy(halves, bytes, sizeof halves); /* which may lie at an odd address */
    for (size_t i = 0; i < PIECE; i++) out[i] = expand_half(le16toh(halves[i]));
  }
  memcpy(halves, bytes, 2 * n);
  for (size_t i = 0; i < n; i++) out[i] = expand_half(le16toh(halves[i]));
}

static void expand_i8(const uint8_t *bytes, const float *scale, size_t n, float *out) {
  for (size_t i = 0; i < n; i++) out[i] = (float)(int8_t)bytes[i] * scale[i];
}

#endif
