/* Dense kernels for AVX-512 with VNNI. Empty on other machines. */
#ifdef __x86_64__
#include <immintrin.h>

#define VECTOR_BYTES 64
#include "kernels/dense_vector.h"

/* All sums stay in registers, 24 of them at most, from the first byte to the last: a quad costs a load for each vector
 * of weights, a broadcast for each position and an instruction of 64 multiply-adds for each pair of both. */
static inline __attribute__((always_inline)) void tile(const int8_t *weights, const int vectors,
                                                       const snn_dense_runs *runs, const uint8_t *const *x, const int n,
                                                       uint32_t shift, int32_t *acc) {
  __m512i sums[24];
  const __m128i by = _mm_cvtsi32_si128((int)shift);
  _Pragma("GCC unroll 24") for (int i = 0; i < n * vectors; i++) sums[i] =
      _mm512_sll_epi32(_mm512_loadu_si512(acc + i * SNN_DENSE_LANES), by);
  for (uint32_t k = 0; k < runs->n; k++) {
    const uint8_t *from[SNN_DENSE_MOST];
    _Pragma("GCC unroll 12") for (int i = 0; i < n; i++) from[i] = x[i] + runs->offset[k];
    for (uint32_t q = 0; q < runs->quads; q++, weights += vectors * 64) {
      __m512i w[SNN_DENSE_VECTORS];
      _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) w[v] = _mm512_loadu_si512(weights + v * 64);
      _Pragma("GCC unroll 12") for (int i = 0; i < n; i++) {
        int32_t four;
        memcpy(&four, from[i] + (size_t)q * 4, sizeof four);
        const __m512i in = _mm512_set1_epi32(four);
        _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) sums[i * vectors + v] =
            _mm512_dpbusd_epi32(sums[i * vectors + v], in, w[v]);
      }
    }
  }
  _Pragma("GCC unroll 24") for (int i = 0; i < n * vectors; i++)
      _mm512_storeu_si512(acc + i * SNN_DENSE_LANES, sums[i]);
}

#define TILE(vectors, n) tile(weights, vectors, runs, x, n, shift, acc)

/* Numbers of positions are rounded up to one of a few. */
static void sum(const int8_t *weights, uint32_t vectors, const snn_dense_runs *runs, const uint8_t *const *x,
                uint32_t n, uint32_t shift, int32_t *acc) {
  const int size = n <= 1 ? 1 : n <= 2 ? 2 : n <= 4 ? 4 : n <= 8 ? 8 : 12;
  switch (16 * vectors + (unsigned)size) {
    case 16 + 1: TILE(1, 1); break;
    case 16 + 2: TILE(1, 2); break;
    case 16 + 4: TILE(1, 4); break;
    case 16 + 8: TILE(1, 8); break;
    case 16 + 12: TILE(1, 12); break;
    case 32 + 1: TILE(2, 1); break;
    case 32 + 2: TILE(2, 2); break;
    case 32 + 4: TILE(2, 4); break;
    case 32 + 8: TILE(2, 8); break;
    case 32 + 12: TILE(2, 12); break;
    case 48 + 1: TILE(3, 1); break;
    case 48 + 2: TILE(3, 2); break;
    case 48 + 4: TILE(3, 4); break;
    case 48 + 8: TILE(3, 8); break;
    case 64 + 1: TILE(4, 1); break;
    case 64 + 2: TILE(4, 2); break;
    case 64 + 4: TILE(4, 4); break;
    default: TILE(4, 6); break;
  }
}

static uint64_t total(const uint8_t *x, size_t n) {
  __m512i all = _mm512_setzero_si512();
  size_t i = 0;
  for (; i + 64 <= n; i += 64)
    all = _mm512_add_epi64(all, _mm512_sad_epu8(_mm512_loadu_si512(x + i), _mm512_setzero_si512()));
  const __m512i rest = _mm512_maskz_loadu_epi8((1ull << (n - i)) - 1, x + i);
  all = _mm512_add_epi64(all, _mm512_sad_epu8(rest, _mm512_setzero_si512()));
  return (uint64_t)_mm512_reduce_add_epi64(all);
}

static void spread(const uint64_t *bits, uint32_t words, uint32_t n, bool add, uint8_t *to, size_t stride) {
  for (uint32_t t = 0; t < n; t++, to += stride)
    for (uint32_t w = 0; w < words; w++) {
      const __m512i ones = _mm512_maskz_set1_epi8(*bits++, 1);
      uint8_t *at = to + (size_t)w * SNN_LANES;
      _mm512_storeu_si512(at, add ? _mm512_add_epi8(_mm512_loadu_si512(at), ones) : ones);
    }
}

const snn_dense_kernels snn_dense_avx512 = {
    .name = "avx512", .sum = sum, .count = count, .spread = spread, .input_cost = 0.35f, .total = total};
#endif
