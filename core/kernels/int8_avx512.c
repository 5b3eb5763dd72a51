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

/* What `numbers` has at the set bits, as entries; returns where they end. */
static inline uint32_t put_entries(uint64_t bits, __m512i numbers, uint32_t first, uint16_t *entries, uint32_t at) {
  const uint32_t found = (uint32_t)__builtin_popcountll(bits);
  const __m512i from = _mm512_set1_epi16((short)(uint16_t)first), packed = _mm512_maskz_compress_epi8(bits, numbers);
  _mm512_storeu_si512(entries + at, _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_castsi512_si256(packed)), from));
  if (found > 32)
    _mm512_storeu_si512(entries + at + 32,
                        _mm512_add_epi16(_mm512_cvtepu8_epi16(_mm512_extracti64x4_epi64(packed, 1)), from));
  return at + found;
}

/* Positions of few channels, `each` bits of which hold them all, together. Returns how many positions are left. */
static inline __attribute__((always_inline)) uint32_t list_narrow(const uint64_t *bits, size_t stride, uint32_t n,
                                                                  const uint32_t each, uint32_t first, uint32_t width,
                                                                  __m512i numbers, uint16_t *entries, uint32_t *at,
                                                                  uint32_t *ends) {
  const uint32_t together = SNN_LANES / each;
  for (uint32_t k = 1; k < together; k++) /* number k * each + c becomes k * width + c */
    numbers = _mm512_mask_add_epi8(numbers, ~0ull << (k * each), numbers, _mm512_set1_epi8((char)(width - each)));
  for (; n >= together; n -= together, bits += together * stride, ends += together, first += together * width) {
    uint64_t all = 0;
    _Pragma("GCC unroll 4") for (uint32_t k = 0; k < together; k++) {
      all |= bits[k * stride] << (k * each);
      ends[k] = *at + (uint32_t)__builtin_popcountll(all);
    }
    *at = put_entries(all, numbers, first, entries, *at);
  }
  return n;
}

static uint32_t list(const uint64_t *bits, size_t stride, uint32_t n, uint32_t words, uint32_t first, uint32_t width,
                     uint16_t *entries, uint32_t at, uint32_t *ends) {
  enum { HALF = SNN_LANES / 2, QUARTER = SNN_LANES / 4 };
  const __m512i numbers =
      _mm512_set_epi8(63, 62, 61, 60, 59, 58, 57, 56, 55, 54, 53, 52, 51, 50, 49, 48, 47, 46, 45, 44, 43, 42, 41, 40,
                      39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
                      15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
  if (words == 1 && ends && width <= HALF + 1) {
    const uint32_t left = width <= QUARTER + 1
                              ? list_narrow(bits, stride, n, QUARTER, first, width, numbers, entries, &at, ends)
                              : list_narrow(bits, stride, n, HALF, first, width, numbers, entries, &at, ends);
    const uint32_t done = n - left;
    bits += done * stride;
    first += done * width;
    ends += done;
    n = left;
  }
  for (uint32_t i = 0; i < n; i++, bits += stride, first += width) {
    for (uint32_t w = 0; w < words; w++) at = put_entries(bits[w], numbers, first + SNN_LANES * w, entries, at);
    if (ends) ends[i] = at;
  }
  return at;
}

static inline void put_offsets(__m256i entries, __m512i first, __m512i each, uint32_t *to) {
  _mm512_storeu_si512(to, _mm512_mullo_epi32(_mm512_add_epi32(_mm512_cvtepu16_epi32(entries), first), each));
}

/* `most` entries at a time, 16 or 32, so that most cells need no loop. */
static inline __attribute__((always_inline)) uint32_t join_by(const snn_int8_cells *cells, const uint32_t most,
                                                              uint32_t *offsets, uint32_t at, uint32_t *ends) {
  const __m512i each = _mm512_set1_epi32((int)cells->row_bytes);
  for (uint32_t i = 0; i < cells->n; i++) {
    const uint32_t begin = cells->begin[i], end = cells->end[i], back = i * cells->back;
    for (uint32_t j = 0; j < cells->n_spans; j++) {
      const snn_int8_span *span = &cells->spans[j];
      const uint32_t from = span->ends[begin], found = span->ends[end] - from;
      const __m512i first = _mm512_set1_epi32((int)(span->first - back));
      uint32_t k = 0;
      do {
        const __m512i part = _mm512_loadu_si512(span->entries + from + k);
        put_offsets(_mm512_castsi512_si256(part), first, each, offsets + at + k);
        if (most > 16) put_offsets(_mm512_extracti64x4_epi64(part, 1), first, each, offsets + at + k + 16);
        k += most;
      } while (k < found);
      at += found;
    }
    const uint32_t zero = (cells->zero + i * cells->pitch) * cells->row_bytes;
    _mm_storeu_si128((__m128i *)(void *)(offsets + at), _mm_set1_epi32((int)zero));
    at = (at + SNN_QUAD - 1) / SNN_QUAD * SNN_QUAD;
    ends[i] = at;
  }
  return at;
}

static uint32_t join(const snn_int8_cells *cells, uint32_t *offsets, uint32_t at, uint32_t *ends) {
  enum { FEW_ENTRIES = 9 };
  const uint32_t middle = cells->n / 2, begin = cells->begin[middle], end = cells->end[middle];
  uint32_t found = 0; /* in a cell that may stand for all */
  for (uint32_t j = 0; j < cells->n_spans; j++) found += cells->spans[j].ends[end] - cells->spans[j].ends[begin];
  return found > FEW_ENTRIES * cells->n_spans ? join_by(cells, 32, offsets, at, ends)
                                              : join_by(cells, 16, offsets, at, ends);
}

/* Half a row, read once: left to itself the compiler reads it twice, and loads are what is short. */
static inline __m512i read_once(const int8_t *p) {
  __m512i x;
  __asm__("vmovdqa64 %1, %0" : "=v"(x) : "m"(*(const __m512i *)(const void *)p));
  return x;
}

/* Both bytes of a 16-bit lane at once: `both` gathers low + 256 * high modulo 2^16, `high` the high bytes alone, which
 * the low ones follow from: 3 operations for 64 synapses where widening every row first takes 4. Four rows at a time
 * shorten the chains of additions. n <= SNN_INT8_PIECE, whole quads. */
static inline __attribute__((always_inline)) void sum_piece(const int8_t *weights, const uint32_t groups,
                                                            const uint32_t *offsets, uint32_t n, __m512i *low,
                                                            __m512i *high) {
  __m512i both[SNN_INT8_GROUPS];
  _Pragma("GCC unroll 8") for (uint32_t g = 0; g < groups; g++) both[g] = high[g] = _mm512_setzero_si512();
  for (uint32_t i = 0; i < n; i += SNN_QUAD) {
    uint64_t pair[2]; /* two loads instead of four */
    memcpy(pair, offsets + i, sizeof pair);
    const int8_t *row[SNN_QUAD] = {weights + (uint32_t)pair[0], weights + (pair[0] >> 32), weights + (uint32_t)pair[1],
                                   weights + (pair[1] >> 32)};
    _Pragma("GCC unroll 8") for (uint32_t g = 0; g < groups; g++) {
      __m512i a = read_once(row[0] + g * SNN_LANES), b = read_once(row[1] + g * SNN_LANES),
              c = read_once(row[2] + g * SNN_LANES), d = read_once(row[3] + g * SNN_LANES);
      both[g] = _mm512_add_epi16(both[g], _mm512_add_epi16(_mm512_add_epi16(a, b), _mm512_add_epi16(c, d)));
      a = _mm512_add_epi16(_mm512_srai_epi16(a, 8), _mm512_srai_epi16(b, 8));
      c = _mm512_add_epi16(_mm512_srai_epi16(c, 8), _mm512_srai_epi16(d, 8));
      high[g] = _mm512_add_epi16(high[g], _mm512_add_epi16(a, c));
      if (groups > 1) __asm__("" : "+v"(both[g]), "+v"(high[g])); /* the compiler would keep them on the stack */
    }
  }
  const __m512i offset = _mm512_set1_epi16((short)(uint16_t)(128 * n));
  _Pragma("GCC unroll 8") for (uint32_t g = 0; g < groups; g++) low[g] =
      _mm512_sub_epi16(_mm512_sub_epi16(both[g], _mm512_slli_epi16(high[g], 8)), offset);
}

/* A factor of 16 bits for the lower (k even) or the upper ones of pairs of 16-bit lanes, and 0 for the others. */
static inline __m512i times_of(int32_t times, uint32_t k) {
  return _mm512_set1_epi32(k % 2 ? (int32_t)((uint32_t)times << 16) : times & 0xffff);
}

/* v + times * lanes [16 k, 16 k + 16) of a group's sums: widened, multiplied and added in one. */
static inline __m512i add_widened(__m512i v, __m512i low, __m512i high, uint32_t k, __m512i times) {
  return _mm512_dpwssd_epi32(v, k < 2 ? low : high, times);
}

enum {
  PARTS = SNN_LANES / STEP,
  FEW = 2 /* groups whose potentials and sums find room in registers together */
};

static inline __attribute__((always_inline)) void sum_rows(const int8_t *weights, const uint32_t groups,
                                                           const uint32_t *offsets, uint32_t n, put how, int32_t *acc) {
  do {
    const uint32_t piece = n < SNN_INT8_PIECE ? n : SNN_INT8_PIECE;
    __m512i low[SNN_INT8_GROUPS], high[SNN_INT8_GROUPS];
    sum_piece(weights, groups, offsets, piece, low, high);
    for (uint32_t i = 0; i < PARTS * groups; i++) {
      int32_t *to = acc + STEP * i;
      const __m512i before = how == SET ? _mm512_setzero_si512() : _mm512_loadu_si512(to);
      const __m512i times = times_of(how == TAKE ? -1 : 1, i % PARTS);
      _mm512_storeu_si512(to, add_widened(before, low[i / PARTS], high[i / PARTS], i % PARTS, times));
    }
    how = how == SET ? ADD : how;
    offsets += piece;
    n -= piece;
  } while (n);
}

#define FOR_GROUPS(groups, call) \
  switch (groups) {              \
    case 1: call(1); break;      \
    case 2: call(2); break;      \
    case 3: call(3); break;      \
    case 4: call(4); break;      \
    case 5: call(5); break;      \
    case 6: call(6); break;      \
    case 7: call(7); break;      \
    default: call(8); break;     \
  }

static void put_rows(const int8_t *weights, uint32_t groups, const uint32_t *offsets, uint32_t n, put how,
                     int32_t *acc) {
#define SUM_ROWS(g) sum_rows(weights, g, offsets, n, how, acc)
  FOR_GROUPS(groups, SUM_ROWS)
}

/* The number of groups is a constant where this is inlined. Potentials stay in registers from step to step. */
static inline __attribute__((always_inline)) void soft_steps_of(const snn_int8_neurons *p, const snn_int8_sources *from,
                                                                const uint32_t groups, uint32_t n_steps, uint64_t valid,
                                                                uint64_t *plus, uint32_t *spikes) {
  const snn_int8_sources s = *from; /* so that no store changes them */
  const int32_t *constant = p->constant, *level = p->level, *theta = p->theta;
  const __m128i fraction = _mm_cvtsi32_si128((int)p->fraction);
  __m512i v[PARTS * SNN_INT8_GROUPS];
  _Pragma("GCC unroll 8") for (uint32_t i = 0; i < PARTS * groups; i++) v[i] = _mm512_loadu_si512(p->v + STEP * i);
  for (uint32_t t = 0; t < n_steps; t++, plus += groups) {
    for (uint32_t i = 0; i < PARTS * groups; i++)
      v[i] = _mm512_add_epi32(v[i], _mm512_loadu_si512(constant + STEP * i));
    for (uint32_t k = 0; k < s.n_sums && !s.ready; k++) {
      const snn_int8_sum *sum = &s.sums[k];
      const uint32_t *at = sum->offsets + sum->from[t * sum->stride], *end = sum->offsets + sum->to[t * sum->stride];
      const int8_t *weights = snn_int8_origin(sum);
      while (at < end) {
        const uint32_t left = (uint32_t)(end - at), n = left < SNN_INT8_PIECE ? left : SNN_INT8_PIECE;
        __m512i low[SNN_INT8_GROUPS], high[SNN_INT8_GROUPS];
        if (groups > FEW) __asm__("" : "+m"(v)); /* potentials give up their registers while rows are added */
        sum_piece(weights, groups, at, n, low, high);
        const int32_t times = sum->negative ? -(1 << p->fraction) : 1 << p->fraction;
        const __m512i lower = times_of(times, 0), upper = times_of(times, 1);
        for (uint32_t i = 0; i < PARTS * groups; i++)
          v[i] = add_widened(v[i], low[i / PARTS], high[i / PARTS], i % PARTS, i % 2 ? upper : lower);
        at += n;
      }
    }
    for (uint32_t i = 0; s.ready && i < PARTS * groups; i++) {
      const __m512i x = _mm512_loadu_si512(s.ready + t * groups * SNN_LANES + STEP * i);
      v[i] = _mm512_add_epi32(v[i], _mm512_sll_epi32(x, fraction));
    }
    for (uint32_t k = 0; k < s.n_wires; k++) {
      const snn_int8_wire *wire = &s.wires[k];
      for (uint32_t i = 0; i < PARTS * groups; i++) {
        const __mmask16 here = (__mmask16)(wire->bits[t * groups + i / PARTS] >> (STEP * (i % PARTS)));
        const __m512i amount = _mm512_loadu_si512(wire->amount + STEP * i);
        v[i] = wire->negative ? _mm512_mask_sub_epi32(v[i], here, v[i], amount)
                              : _mm512_mask_add_epi32(v[i], here, v[i], amount);
      }
    }
    uint32_t found = 0;
    for (uint32_t g = 0; g < groups; g++) {
      uint64_t fired = 0;
      for (uint32_t k = 0; k < PARTS; k++) {
        const uint32_t i = PARTS * g + k;
        const __mmask16 fires = _mm512_cmpge_epi32_mask(v[i], _mm512_loadu_si512(level + STEP * i));
        v[i] = _mm512_mask_sub_epi32(v[i], fires, v[i], _mm512_loadu_si512(theta + STEP * i));
        fired |= (uint64_t)fires << (STEP * k);
      }
      plus[g] = g + 1 == groups ? fired & valid : fired;
      found += (uint32_t)__builtin_popcountll(plus[g]);
    }
    spikes[t] += found;
  }
  _Pragma("GCC unroll 8") for (uint32_t i = 0; i < PARTS * groups; i++) _mm512_storeu_si512(p->v + STEP * i, v[i]);
}

static void soft_steps(const snn_int8_neurons *p, const snn_int8_sources *from, uint32_t n_steps, uint64_t valid,
                       uint64_t *plus, uint32_t *spikes) {
#define SOFT_STEPS(g) soft_steps_of(p, from, g, n_steps, valid, plus, spikes)
  FOR_GROUPS(from->groups, SOFT_STEPS)
}

#include "kernels/int8_steps.h"

/* Split into lanes (snn_int8_byte), then four rows are zipped to [lane][4]. */
static void interleave(const int8_t *rows, size_t stride, uint32_t n_rows, int8_t *to) {
  const __m512i split =
      _mm512_set_epi8(63, 59, 55, 51, 47, 43, 39, 35, 31, 27, 23, 19, 15, 11, 7, 3, 61, 57, 53, 49, 45, 41, 37, 33, 29,
                      25, 21, 17, 13, 9, 5, 1, 62, 58, 54, 50, 46, 42, 38, 34, 30, 26, 22, 18, 14, 10, 6, 2, 60, 56, 52,
                      48, 44, 40, 36, 32, 28, 24, 20, 16, 12, 8, 4, 0);
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
