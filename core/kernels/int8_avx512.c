/* Integer kernels for AVX-512 with BW, VBMI2 and VNNI (Ice Lake, Zen 4 and later). Empty on other machines. */
#ifdef __x86_64__
#include <immintrin.h>
#include <string.h>

#define VECTOR_BYTES 64
typedef __m512i native;

static inline unsigned at_least(__m512i v, __m512i level) {
  return _mm512_cmpge_epi32_mask(v, level);
}

#include "kernels/int8_vector.h"

enum { AHEAD = 8 }; /* rows fetched before they are added */

/* x where one of the lowest bits is set. */
static inline ivec chosen(ivec x, uint64_t bits) {
  return (ivec)_mm512_maskz_mov_epi32((__mmask16)bits, (native)x);
}

static inline ivec subtract_where_fired(ivec v, ivec level, ivec theta, unsigned *fired) {
  const __mmask16 fires = _mm512_cmpge_epi32_mask((native)v, (native)level);
  *fired = fires;
  return (ivec)_mm512_mask_sub_epi32((native)v, fires, (native)v, (native)theta);
}

static uint32_t list(const uint64_t *bits, size_t stride, uint32_t n, uint32_t words, uint32_t first, uint32_t width,
                     uint16_t *entries, uint32_t at, uint32_t *ends) {
  const __m512i numbers =
      _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40,
                      39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
                      15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  for (uint32_t i = 0; i < n; i++, bits += stride, first += width) {
    for (uint32_t w = 0; w < words; w++) {
      const uint32_t found = (uint32_t)__builtin_popcountll(bits[w]);
      const __m512i from = _mm512_set1_epi16((short)(uint16_t)(first + SNN_LANES * w));
      const __m512i packed = _mm512_maskz_compress_epi8(bits[w], numbers);
      _mm512_storeu_si512(entries + at, _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(packed)), from));
      if (found > 32)
        _mm512_storeu_si512(entries + at + 32,
                            _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(packed, 1)), from));
      at += found;
    }
    if (ends) ends[i] = at;
  }
  return at;
}

/* The rows of a sum's spans at a step, behind each other: 32 at a time, so that short spans need no loop. */
static inline uint32_t merge(const snn_int8_sum *sum, size_t at, uint32_t *rows) {
  uint32_t n = 0;
  for (uint32_t j = 0; j < sum->n_spans; j++) {
    const snn_int8_span *span = &sum->spans[j];
    const uint32_t from = span->from[at], found = span->to[at] - from;
    const uint16_t *entries = span->entries + from;
    const __m512i first = _mm512_set1_epi32((int)span->first);
    uint32_t i = 0;
    do {
      __m512i part = _mm512_loadu_si512(entries + i);
      _mm512_storeu_si512(rows + n + i, _mm512_add_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(part)), first));
      _mm512_storeu_si512(rows + n + i + 16,
                          _mm512_add_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(part, 1)), first));
      i += 32;
    } while (i < found);
    n += found;
  }
  return n;
}

/* Lanes 0..31 from `low`, 32..63 from `high`, 16 bits each, to int32. */
static inline void widen(int32_t *acc, __m512i low, __m512i high, put how) {
  __m512i part[4] = {
      _mm512_cvtepi16_epi32(_mm512_castsi512_si256(low)), _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(low, 1)),
      _mm512_cvtepi16_epi32(_mm512_castsi512_si256(high)), _mm512_cvtepi16_epi32(_mm512_extracti64x4_epi64(high, 1))};
  for (int k = 0; k < 4; k++) {
    if (how == ADD) part[k] = _mm512_add_epi32(_mm512_loadu_si512(acc + 16 * k), part[k]);
    if (how == TAKE) part[k] = _mm512_sub_epi32(_mm512_loadu_si512(acc + 16 * k), part[k]);
    _mm512_storeu_si512(acc + 16 * k, part[k]);
  }
}

/* Both bytes of a 16-bit lane at once: `both` gathers low + 256 * high modulo 2^16, `high` the high bytes alone, which
 * the low ones follow from: 3 operations for 64 synapses where widening every row first takes 4. Two rows at a time
 * halve the chains of additions; an odd last one is masked, which costs less than a branch that nobody can foresee. */
static inline __attribute__((always_inline)) void sum_rows(const int8_t *weights, const int groups,
                                                           const uint32_t *rows, uint32_t n, put how, int32_t *acc) {
  do {
    const uint32_t piece = n < SNN_INT8_PIECE ? n : SNN_INT8_PIECE;
    __m512i both[SNN_INT8_GROUPS], high[SNN_INT8_GROUPS];
    uint32_t i = 0;
    _Pragma("GCC unroll 8") for (int g = 0; g < groups; g++) both[g] = high[g] = _mm512_setzero_si512();
    for (; i + 2 <= piece; i += 2) {
      const int8_t *row = weights + (size_t)rows[i] * (unsigned)groups * SNN_LANES,
                   *next = weights + (size_t)rows[i + 1] * (unsigned)groups * SNN_LANES;
      if (groups == SNN_INT8_GROUPS) { /* such layers' weights seldom fit into a core's caches */
        const uint32_t *soon = rows + (i + AHEAD + 1 < n ? i + AHEAD : i);
        _Pragma("GCC unroll 8") for (int g = 0; g < groups; g++) {
          _mm_prefetch(weights + ((size_t)soon[0] * (unsigned)groups + (unsigned)g) * SNN_LANES, _MM_HINT_T0);
          _mm_prefetch(weights + ((size_t)soon[1] * (unsigned)groups + (unsigned)g) * SNN_LANES, _MM_HINT_T0);
        }
      }
      _Pragma("GCC unroll 8") for (int g = 0; g < groups; g++) {
        const __m512i a = _mm512_load_si512(row + g * SNN_LANES), b = _mm512_load_si512(next + g * SNN_LANES);
        both[g] = _mm512_add_epi16(both[g], _mm512_add_epi16(a, b));
        high[g] = _mm512_add_epi16(high[g], _mm512_add_epi16(_mm512_srai_epi16(a, 8), _mm512_srai_epi16(b, 8)));
      }
    }
    const __mmask32 odd = 0u - (piece & 1);
    const int8_t *row = weights + (size_t)(odd ? rows[i] : 0) * (unsigned)groups * SNN_LANES;
    _Pragma("GCC unroll 8") for (int g = 0; g < groups; g++) {
      const __m512i raw = _mm512_maskz_loadu_epi16(odd, row + g * SNN_LANES);
      both[g] = _mm512_add_epi16(both[g], raw);
      high[g] = _mm512_add_epi16(high[g], _mm512_srai_epi16(raw, 8));
    }
    const __m512i offset = _mm512_set1_epi16((short)(uint16_t)(128 * piece));
    _Pragma("GCC unroll 8") for (int g = 0; g < groups; g++) {
      __m512i low = _mm512_sub_epi16(_mm512_sub_epi16(both[g], _mm512_slli_epi16(high[g], 8)), offset);
      widen(acc + g * SNN_LANES, low, high[g], how);
    }
    how = how == SET ? ADD : how;
    rows += piece;
    n -= piece;
  } while (n);
}

static void put_rows(const int8_t *weights, uint32_t groups, const uint32_t *rows, uint32_t n, put how, int32_t *acc) {
  switch (groups) {
    case 1: sum_rows(weights, 1, rows, n, how, acc); break;
    case 2: sum_rows(weights, 2, rows, n, how, acc); break;
    case 3: sum_rows(weights, 3, rows, n, how, acc); break;
    case 4: sum_rows(weights, 4, rows, n, how, acc); break;
    case 5: sum_rows(weights, 5, rows, n, how, acc); break;
    case 6: sum_rows(weights, 6, rows, n, how, acc); break;
    case 7: sum_rows(weights, 7, rows, n, how, acc); break;
    default: sum_rows(weights, 8, rows, n, how, acc); break;
  }
}

/* The same where the number of groups is known. */
static inline __attribute__((always_inline)) void sum_rows_of(const int8_t *weights, const uint32_t groups,
                                                              const uint32_t *rows, uint32_t n, int32_t *acc) {
  if (groups == 1)
    sum_rows(weights, 1, rows, n, SET, acc);
  else if (groups == 2)
    sum_rows(weights, 2, rows, n, SET, acc);
  else if (groups == 4)
    sum_rows(weights, 4, rows, n, SET, acc);
  else
    put_rows(weights, groups, rows, n, SET, acc);
}

#include "kernels/int8_steps.h"

/* Low bytes are lanes 0..31, high bytes 32..63: split, then four rows are zipped to [lane][4]. */
static void interleave(const int8_t *rows, size_t stride, uint32_t n_rows, int8_t *to) {
  const __m512i split =
      _mm512_set_epi8(63, 61, 59, 57, 55, 53, 51, 49, 47, 45, 43, 41, 39, 37, 35, 33, 31, 29, 27, 25, 23, 21, 19, 17,
                      15, 13, 11, 9, 7, 5, 3, 1, 62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28,
                      26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
  const __m512i offset = _mm512_inserti64x4(_mm512_setzero_si512(), _mm256_set1_epi8(-128), 0);
  const __m512i zip_low = _mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0),
                zip_high = _mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4);
  for (uint32_t c = 0; c < n_rows; c += 4, to += (size_t)4 * SNN_LANES) {
    __m512i r[4];
    for (uint32_t k = 0; k < 4; k++)
      r[k] =
          _mm512_xor_si512(_mm512_permutexvar_epi8(split, _mm512_loadu_si512(rows + (size_t)(c + k) * stride)), offset);
    /* within 128-bit quarters: lanes 16q .. 16q + 15 */
    __m512i a = _mm512_unpacklo_epi8(r[0], r[1]), b = _mm512_unpackhi_epi8(r[0], r[1]),
            d = _mm512_unpacklo_epi8(r[2], r[3]), e = _mm512_unpackhi_epi8(r[2], r[3]);
    __m512i w0 = _mm512_unpacklo_epi16(a, d), w1 = _mm512_unpackhi_epi16(a, d), w2 = _mm512_unpacklo_epi16(b, e),
            w3 = _mm512_unpackhi_epi16(b, e); /* quarter q of wk: lanes 16q + 4k .. + 3 */
    __m512i p0 = _mm512_permutex2var_epi64(w0, zip_low, w1), p1 = _mm512_permutex2var_epi64(w2, zip_low, w3),
            p2 = _mm512_permutex2var_epi64(w0, zip_high, w1), p3 = _mm512_permutex2var_epi64(w2, zip_high, w3);
    /* p0: quarters 0 of w0, w1, then quarters 1 of them; p1 the same of w2, w3 */
    _mm512_storeu_si512(to, _mm512_shuffle_i64x2(p0, p1, 0x44));
    _mm512_storeu_si512(to + 64, _mm512_shuffle_i64x2(p0, p1, 0xee));
    _mm512_storeu_si512(to + 128, _mm512_shuffle_i64x2(p2, p3, 0x44));
    _mm512_storeu_si512(to + 192, _mm512_shuffle_i64x2(p2, p3, 0xee));
  }
}

const snn_int8_kernels snn_int8_avx512 = {.name = "avx512",
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
