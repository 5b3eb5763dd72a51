/* Dense kernels for AVX2. Empty on other machines. */
#ifdef __x86_64__
#include <immintrin.h>

#define VECTOR_BYTES 32
#include "kernels/dense_vector.h"

enum { TOGETHER = 2 }; /* positions whose sums fit into registers beside the weights */

/* One vector of channels at some positions. Bytes are widened to 16 bits first, so that nothing saturates: 255 * 127 <
 * 2^15, and vpmaddwd adds pairs in 32. A register of sums has two partial ones of four channels. */
static inline __attribute__((always_inline)) void tile(const int8_t *weights, size_t stride, const snn_dense_runs *runs,
                                                       const uint8_t *const *x, const int n, __m256i *sums) {
  _Pragma("GCC unroll 8") for (int i = 0; i < 4 * n; i++) sums[i] = _mm256_setzero_si256();
  for (uint32_t k = 0; k < runs->n; k++)
    for (uint32_t q = 0; q < runs->quads; q++, weights += stride) {
      __m256i in[TOGETHER];
      _Pragma("GCC unroll 2") for (int i = 0; i < n; i++) {
        int32_t four;
        memcpy(&four, x[i] + runs->offset[k] + (size_t)q * 4, sizeof four);
        in[i] = _mm256_cvtepu8_epi16(_mm_set1_epi32(four));
      }
      _Pragma("GCC unroll 4") for (int part = 0; part < 4; part++) {
        const __m256i w = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(weights + 16 * part)));
        _Pragma("GCC unroll 2") for (int i = 0; i < n; i++) sums[4 * i + part] =
            _mm256_add_epi32(sums[4 * i + part], _mm256_madd_epi16(in[i], w));
      }
    }
}

/* Partial sums of 16 channels to acc. */
static inline void put(const __m256i *sums, uint32_t shift, int32_t *acc) {
  const __m128i by = _mm_cvtsi32_si128((int)shift);
  for (int half = 0; half < 2; half++) {
    __m256i *to = (__m256i *)(void *)(acc + 8 * half);
    const __m256i lanes =
        _mm256_permute4x64_epi64(_mm256_hadd_epi32(sums[2 * half], sums[2 * half + 1]), _MM_SHUFFLE(3, 1, 2, 0));
    _mm256_storeu_si256(to, _mm256_add_epi32(_mm256_sll_epi32(_mm256_loadu_si256(to), by), lanes));
  }
}

static void sum(const int8_t *weights, uint32_t vectors, const snn_dense_runs *runs, const uint8_t *const *x,
                uint32_t n, uint32_t shift, int32_t *acc) {
  const uint32_t lanes = vectors * SNN_DENSE_LANES;
  __m256i sums[4 * TOGETHER];
  for (uint32_t v = 0; v < vectors; v++)
    for (uint32_t i = 0; i < n; i += TOGETHER) {
      const uint32_t here = n - i < TOGETHER ? n - i : TOGETHER;
      if (here == TOGETHER)
        tile(weights + (size_t)v * 64, (size_t)lanes * 4, runs, x + i, TOGETHER, sums);
      else
        tile(weights + (size_t)v * 64, (size_t)lanes * 4, runs, x + i, 1, sums);
      for (uint32_t k = 0; k < here; k++) put(sums + 4 * k, shift, acc + (i + k) * lanes + v * SNN_DENSE_LANES);
    }
}

static uint64_t total(const uint8_t *x, size_t n) {
  __m256i all = _mm256_setzero_si256();
  size_t i = 0;
  for (; i + 32 <= n; i += 32)
    all = _mm256_add_epi64(
        all, _mm256_sad_epu8(_mm256_loadu_si256((const __m256i *)(const void *)(x + i)), _mm256_setzero_si256()));
  uint64_t parts[4], rest = 0;
  _mm256_storeu_si256((__m256i *)(void *)parts, all);
  for (; i < n; i++) rest += x[i];
  return parts[0] + parts[1] + parts[2] + parts[3] + rest;
}

static void spread(const uint64_t *bits, uint32_t words, uint32_t n, bool add, uint8_t *to, size_t stride) {
  const __m256i each = _mm256_set1_epi64x((long long)0x8040201008040201u), one = _mm256_set1_epi8(1);
  const __m256i place =
      _mm256_setr_epi8(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3);
  for (uint32_t t = 0; t < n; t++, bits += words, to += stride)
    for (uint32_t i = 0; i < 2 * words; i++) {
      const __m256i half = _mm256_set1_epi32((int)(uint32_t)(bits[i / 2] >> (i % 2 * 32)));
      const __m256i set = _mm256_and_si256(_mm256_shuffle_epi8(half, place), each);
      __m256i ones = _mm256_and_si256(_mm256_cmpeq_epi8(set, each), one);
      __m256i *at = (__m256i *)(void *)(to + (size_t)i * 32);
      if (add) ones = _mm256_add_epi8(_mm256_loadu_si256(at), ones);
      _mm256_storeu_si256(at, ones);
    }
}

const snn_dense_kernels snn_dense_avx2 = {
    .name = "avx2", .sum = sum, .count = count, .spread = spread, .input_cost = 1.3f, .total = total};
#endif
