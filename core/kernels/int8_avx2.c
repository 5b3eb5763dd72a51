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

static uint32_t join(const snn_int8_cells *cells, uint32_t *offsets, uint32_t at, uint32_t *ends) {
  for (uint32_t i = 0; i < cells->n; i++) {
    const uint32_t begin = cells->begin[i], end = cells->end[i], back = i * cells->back;
    for (uint32_t j = 0; j < cells->n_spans; j++) {
      const snn_int8_span *span = &cells->spans[j];
      const uint32_t from = span->ends[begin], found = span->ends[end] - from;
      const uint16_t *entries = span->entries + from;
      const __m256i first = _mm256_set1_epi32((int)(span->first - back)),
                    each = _mm256_set1_epi32((int)cells->row_bytes);
      for (uint32_t k = 0; k < found; k += 8) {
        const __m128i part = _mm_loadu_si128((const __m128i *)(const void *)(entries + k));
        _mm256_storeu_si256((__m256i *)(void *)(offsets + at + k),
                            _mm256_mullo_epi32(_mm256_add_epi32(_mm256_cvtepu16_epi32(part), first), each));
      }
      at += found;
    }
    const uint32_t zero = (cells->zero + i * cells->pitch) * cells->row_bytes;
    _mm_storeu_si128((__m128i *)(void *)(offsets + at), _mm_set1_epi32((int)zero));
    at = (at + SNN_QUAD - 1) / SNN_QUAD * SNN_QUAD;
    ends[i] = at;
  }
  return at;
}

/* Sixteen 16-bit lanes to int32: the lower ones of pairs to acc[0..8), the upper ones to acc[16..24). */
static inline void widen(int32_t *acc, __m256i x, put how) {
  __m256i part[2] = {_mm256_madd_epi16(x, _mm256_set1_epi32(1)), _mm256_madd_epi16(x, _mm256_set1_epi32(1 << 16))};
  for (int k = 0; k < 2; k++) {
    __m256i *to = (__m256i *)(void *)(acc + 16 * k);
    if (how == ADD) part[k] = _mm256_add_epi32(_mm256_loadu_si256(to), part[k]);
    if (how == TAKE) part[k] = _mm256_sub_epi32(_mm256_loadu_si256(to), part[k]);
    _mm256_storeu_si256(to, part[k]);
  }
}

/* Some groups of wider rows, as in int8_avx512.c; a group is two registers of bytes. */
static inline __attribute__((always_inline)) void sum_rows(const int8_t *weights, const int groups,
                                                           const uint32_t *offsets, uint32_t n, put how, int32_t *acc) {
  do {
    const uint32_t piece = n < SNN_INT8_PIECE ? n : SNN_INT8_PIECE;
    __m256i both[4], high[4];
    _Pragma("GCC unroll 4") for (int h = 0; h < 2 * groups; h++) both[h] = high[h] = _mm256_setzero_si256();
    for (uint32_t i = 0; i < piece; i++) {
      const int8_t *row = weights + offsets[i];
      _Pragma("GCC unroll 4") for (int h = 0; h < 2 * groups; h++) {
        __m256i raw = _mm256_loadu_si256((const __m256i *)(const void *)(row + 32 * h));
        both[h] = _mm256_add_epi16(both[h], raw);
        high[h] = _mm256_add_epi16(high[h], _mm256_srai_epi16(raw, 8));
      }
    }
    const __m256i offset = _mm256_set1_epi16((short)(uint16_t)(128 * piece));
    _Pragma("GCC unroll 4") for (int h = 0; h < 2 * groups; h++) { /* half h % 2 of group h / 2 */
      int32_t *to = acc + h / 2 * SNN_LANES + h % 2 * 8;
      widen(to, _mm256_sub_epi16(_mm256_sub_epi16(both[h], _mm256_slli_epi16(high[h], 8)), offset), how);
      widen(to + 32, high[h], how);
    }
    how = how == SET ? ADD : how;
    offsets += piece;
    n -= piece;
  } while (n);
}

static inline void put_rows(const int8_t *weights, uint32_t groups, const uint32_t *offsets, uint32_t n, put how,
                            int32_t *acc) {
  uint32_t g = 0;
  for (; g + 2 <= groups; g += 2) sum_rows(weights + g * SNN_LANES, 2, offsets, n, how, acc + g * SNN_LANES);
  if (g < groups) sum_rows(weights + g * SNN_LANES, 1, offsets, n, how, acc + g * SNN_LANES);
}

static void currents(const snn_int8_sources *from, uint32_t t, int32_t *acc);

/* The number of groups is a constant where this is inlined. */
static inline __attribute__((always_inline)) void soft_steps_of(const snn_int8_neurons *p, const snn_int8_sources *from,
                                                                const uint32_t groups, uint32_t n_steps, uint64_t valid,
                                                                uint64_t *plus, uint32_t *spikes) {
  _Alignas(64) int32_t acc[SNN_INT8_GROUPS * SNN_LANES];
  for (uint32_t t = 0; t < n_steps; t++, plus += groups) {
    const int32_t *in = from->ready ? from->ready + (size_t)t * groups * SNN_LANES : acc;
    if (from->n_sums && !from->ready) currents(from, t, acc);
    for (uint32_t g = 0; g < groups; g++) {
      uint64_t fired = 0;
      for (uint32_t lane = 0; lane < SNN_LANES; lane += STEP) {
        const uint32_t i = g * SNN_LANES + lane;
        ivec v = load(p->v + i) + load(p->constant + i);
        if (from->n_sums) v += load(in + i) << (int32_t)p->fraction;
        for (uint32_t k = 0; k < from->n_wires; k++) {
          const snn_int8_wire *wire = &from->wires[k];
          const ivec amount = chosen(load(wire->amount + i), wire->bits[(size_t)t * groups + g] >> lane);
          v = wire->negative ? v - amount : v + amount;
        }
        const ivec level = load(p->level + i);
        store(p->v + i, v - (load(p->theta + i) & (v >= level)));
        fired |= (uint64_t)at_least((native)v, (native)level) << lane;
      }
      plus[g] = g + 1 == groups ? fired & valid : fired;
      spikes[t] += (uint32_t)__builtin_popcountll(plus[g]);
    }
  }
}

static void soft_steps(const snn_int8_neurons *p, const snn_int8_sources *from, uint32_t n_steps, uint64_t valid,
                       uint64_t *plus, uint32_t *spikes) {
  switch (from->groups) {
    case 1: soft_steps_of(p, from, 1, n_steps, valid, plus, spikes); return;
    case 2: soft_steps_of(p, from, 2, n_steps, valid, plus, spikes); return;
    case 4: soft_steps_of(p, from, 4, n_steps, valid, plus, spikes); return;
    default: soft_steps_of(p, from, from->groups, n_steps, valid, plus, spikes); return;
  }
}

#include "kernels/int8_steps.h"

static void interleave(const int8_t *rows, size_t stride, uint32_t n_rows, int8_t *to) {
  snn_int8_scalar.interleave(rows, stride, n_rows, to);
}

const snn_int8_kernels snn_int8_avx2 = {.name = "avx2",
                                        .list = list,
                                        .join = join,
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
