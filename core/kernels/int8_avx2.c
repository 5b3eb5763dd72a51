/* Integer kernels for AVX2. Empty on other machines. */
#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define VECTOR_BYTES 32
typedef __m256i native;

static inline unsigned at_least(__m256i v, __m256i level) {
  return ~(unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(level, v))) & 0xff;
}

#include "kernels/int8_vector.h"

/* x where one of the lowest bits is set. */
static inline ivec chosen(ivec x, uint64_t bits) {
  const ivec place = {1, 2, 4, 8, 16, 32, 64, 128};
  return x & ((place & (int32_t)(bits & 255)) != 0);
}

static inline ivec subtract_where_fired(ivec v, ivec level, ivec theta, unsigned *fired) {
  *fired = at_least((native)v, (native)level);
  return v - (theta & (v >= level));
}

static uint32_t list(const uint64_t *bits, size_t stride, uint32_t n, uint32_t words, uint32_t first, uint32_t width,
                     uint16_t *entries, uint32_t at, uint32_t *ends) {
  for (uint32_t i = 0; i < n; i++, bits += stride, first += width) {
    for (uint32_t w = 0; w < words; w++) {
      uint64_t left = bits[w];
      uint16_t *to = entries + at;
      const uint32_t from = first + SNN_LANES * w, found = (uint32_t)__builtin_popcountll(left);
      for (uint32_t k = 0; k < found; k += 4) /* four at a time, so that the loop's end is seldom a surprise */
        for (uint32_t j = 0; j < 4; j++, left = _blsr_u64(left))
          to[k + j] = (uint16_t)(from + (uint32_t)_tzcnt_u64(left));
      at += found;
    }
    if (ends) ends[i] = at;
  }
  return at;
}

/* The rows of a sum's spans at a step, behind each other: 16 at a time, so that short spans need no loop. */
static inline uint32_t merge(const snn_int8_sum *sum, size_t at, uint32_t *rows) {
  uint32_t n = 0;
  for (uint32_t j = 0; j < sum->n_spans; j++) {
    const snn_int8_span *span = &sum->spans[j];
    const uint32_t from = span->from[at], found = span->to[at] - from;
    const uint16_t *entries = span->entries + from;
    const __m256i first = _mm256_set1_epi32((int)span->first);
    uint32_t i = 0;
    do {
      for (uint32_t k = 0; k < 16; k += 8) {
        __m128i part = _mm_loadu_si128((const __m128i *)(const void *)(entries + i + k));
        _mm256_storeu_si256((__m256i *)(void *)(rows + n + i + k),
                            _mm256_add_epi32(_mm256_cvtepu16_epi32(part), first));
      }
      i += 16;
    } while (i < found);
    n += found;
  }
  return n;
}

/* Sixteen 16-bit lanes to int32. */
static inline void widen(int32_t *acc, __m256i x, put how) {
  __m256i part[2] = {_mm256_cvtepi16_epi32(_mm256_castsi256_si128(x)),
                     _mm256_cvtepi16_epi32(_mm256_extracti128_si256(x, 1))};
  for (int k = 0; k < 2; k++) {
    __m256i *to = (__m256i *)(void *)(acc + 8 * k);
    if (how == ADD) part[k] = _mm256_add_epi32(_mm256_loadu_si256(to), part[k]);
    if (how == TAKE) part[k] = _mm256_sub_epi32(_mm256_loadu_si256(to), part[k]);
    _mm256_storeu_si256(to, part[k]);
  }
}

/* Some groups of wider rows, as in int8_avx512.c; a group is two registers of bytes. */
static inline __attribute__((always_inline)) void sum_rows(const int8_t *weights, size_t stride, const int groups,
                                                           const uint32_t *rows, uint32_t n, put how, int32_t *acc) {
  do {
    const uint32_t piece = n < SNN_INT8_PIECE ? n : SNN_INT8_PIECE;
    __m256i both[4], high[4];
    _Pragma("GCC unroll 4") for (int h = 0; h < 2 * groups; h++) both[h] = high[h] = _mm256_setzero_si256();
    for (uint32_t i = 0; i < piece; i++) {
      const int8_t *row = weights + rows[i] * stride;
      _Pragma("GCC unroll 4") for (int h = 0; h < 2 * groups; h++) {
        __m256i raw = _mm256_loadu_si256((const __m256i *)(const void *)(row + 32 * h));
        both[h] = _mm256_add_epi16(both[h], raw);
        high[h] = _mm256_add_epi16(high[h], _mm256_srai_epi16(raw, 8));
      }
    }
    const __m256i offset = _mm256_set1_epi16((short)(uint16_t)(128 * piece));
    _Pragma("GCC unroll 4") for (int h = 0; h < 2 * groups; h++) { /* half h % 2 of group h / 2 */
      int32_t *to = acc + h / 2 * SNN_LANES + h % 2 * 16;
      widen(to, _mm256_sub_epi16(_mm256_sub_epi16(both[h], _mm256_slli_epi16(high[h], 8)), offset), how);
      widen(to + 32, high[h], how);
    }
    how = how == SET ? ADD : how;
    rows += piece;
    n -= piece;
  } while (n);
}

static inline void put_rows(const int8_t *weights, uint32_t groups, const uint32_t *rows, uint32_t n, put how,
                            int32_t *acc) {
  const size_t stride = (size_t)groups * SNN_LANES;
  uint32_t g = 0;
  for (; g + 2 <= groups; g += 2) sum_rows(weights + g * SNN_LANES, stride, 2, rows, n, how, acc + g * SNN_LANES);
  if (g < groups) sum_rows(weights + g * SNN_LANES, stride, 1, rows, n, how, acc + g * SNN_LANES);
}

static inline void sum_rows_of(const int8_t *weights, uint32_t groups, const uint32_t *rows, uint32_t n, int32_t *acc) {
  put_rows(weights, groups, rows, n, SET, acc);
}

#include "kernels/int8_steps.h"

static void interleave(const int8_t *rows, size_t stride, uint32_t n_rows, int8_t *to) {
  snn_int8_scalar.interleave(rows, stride, n_rows, to);
}

const snn_int8_kernels snn_int8_avx2 = {.name = "avx2",
                                        .list = list,
                                        .add_rows = add_rows,
                                        .currents = currents,
                                        .add_spikes = add_spikes,
                                        .add_rounded = add_rounded,
                                        .fire = fire,
                                        .steps = steps,
                                        .popcount = popcount,
                                        .interleave = interleave,
                                        .quantise = quantise};
#endif
