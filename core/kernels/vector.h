/* The vector kernels' common body. A table's own file defines VECTOR_BYTES, fires() and TABLE, then includes this; only
 * that file is compiled for its instruction set.
 *
 * An output block's accumulators stay in registers while the events of its receptive field are walked: per event one
 * load, one multiplication and one addition a vector. Blocks that are no whole number of vectors, and grouped
 * convolutions, go to the scalar table. Same order of additions and same roundings as there, hence the same bytes. */
#include <stddef.h>

#include "kernels/expand.h"
#include "kernels/walk.h"

typedef float vec __attribute__((vector_size(VECTOR_BYTES)));
typedef int lane_mask __attribute__((vector_size(VECTOR_BYTES)));
typedef float loose_vec __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));

enum { LANES = VECTOR_BYTES / 4, VECTORS = SNN_BLOCK / LANES };

static inline vec load(const float *p) {
  return *(const loose_vec *)p;
}
static inline void store(float *p, vec x) {
  *(loose_vec *)p = x;
}

/* acc[k] += x * w for `vectors` vectors; with `vectors` constant the loop unrolls and acc stays in registers. */
#define ADD_ROW(acc, vectors, x, w)                                                                           \
  do {                                                                                                        \
    const float *row_ = (w);                                                                                  \
    const float x_ = (x);                                                                                     \
    _Pragma("GCC unroll 16") for (int k_ = 0; k_ < (vectors); k_++)(acc)[k_] += x_ * load(row_ + k_ * LANES); \
  } while (0)

#define LOAD_ACC(from, vectors) \
  vec local[VECTORS];           \
  _Pragma("GCC unroll 16") for (int k_ = 0; k_ < (vectors); k_++) local[k_] = load((from) + k_ * LANES)

#define STORE_ACC(to, vectors) \
  _Pragma("GCC unroll 16") for (int k_ = 0; k_ < (vectors); k_++) store((to) + k_ * LANES, local[k_])

typedef enum input_kind { SPIKES, COUNTS, GRADED } input_kind;

/* One site whose block is `vectors` whole vectors; kind and vectors are constants where this is inlined. */
static inline __attribute__((always_inline)) uint64_t walk_site(const snn_conv_args *a, snn_site site,
                                                                const void *input, const float *amplitude, float *acc,
                                                                input_kind kind, int vectors) {
  uint64_t operations = 0;
  const uint32_t words = snn_words(a->in_c);
  LOAD_ACC(acc, vectors);
  for (tap_walk tap = walk_of(a, site); next_tap(&tap);) {
    const float *weights = tap.weights + site.begin;
    if (kind == SPIKES) {
      const uint64_t *spikes = (const uint64_t *)input + tap.position * words;
      for (uint32_t w = 0; w < words; w++) {
        uint64_t bits = spikes[w];
        operations += (uint64_t)__builtin_popcountll(bits);
        for (; bits; bits &= bits - 1) {
          uint32_t c = w * SNN_BLOCK + (uint32_t)__builtin_ctzll(bits);
          ADD_ROW(local, vectors, amplitude[c], weights + (size_t)c * a->out_c);
        }
      }
    } else {
      const float *in = (const float *)input + tap.position * a->in_c;
      if (kind == GRADED) operations += a->in_c;
      for (uint32_t c = 0; c < a->in_c; c++)
        if (in[c] != 0.0f) {
          float x = kind == COUNTS ? in[c] * amplitude[c] : in[c];
          if (kind == COUNTS) operations += (uint64_t)__builtin_fabsf(in[c]);
          ADD_ROW(local, vectors, x, weights + (size_t)c * a->out_c);
        }
    }
  }
  STORE_ACC(acc, vectors);
  return operations * site.n;
}

/* One kernel: `vectors` made a constant, the rest left to the scalar table. */
#define SITE_CASE(kind, k) \
  case k:                  \
    return walk_site(a, site, input, amplitude, acc, kind, (k) < VECTORS ? (k) : VECTORS)
#define DISPATCH(kind, otherwise)                                      \
  if (a->group_in != a->in_c || site.n % LANES != 0) return otherwise; \
  switch (site.n / LANES) {                                            \
    SITE_CASE(kind, 1);                                                \
    SITE_CASE(kind, 2);                                                \
    SITE_CASE(kind, 3);                                                \
    SITE_CASE(kind, 4);                                                \
    SITE_CASE(kind, 5);                                                \
    SITE_CASE(kind, 6);                                                \
    SITE_CASE(kind, 7);                                                \
    SITE_CASE(kind, 8);                                                \
    default: return otherwise;                                         \
  }

static uint64_t conv_spikes(const snn_conv_args *a, snn_site site, const uint64_t *input, const float *amplitude,
                            float *acc) {
  DISPATCH(SPIKES, snn_kernels_scalar.conv_spikes(a, site, input, amplitude, acc))
}

static uint64_t conv_counts(const snn_conv_args *a, snn_site site, const float *input, const float *amplitude,
                            float *acc) {
  DISPATCH(COUNTS, snn_kernels_scalar.conv_counts(a, site, input, amplitude, acc))
}

static uint64_t conv_graded(const snn_conv_args *a, snn_site site, const float *input, float *acc) {
  const float *amplitude = NULL;
  DISPATCH(GRADED, snn_kernels_scalar.conv_graded(a, site, input, acc))
}

/* Outputs that are computed together, so that a weight is loaded once for all of them and additions do not wait for
 * each other: as many as find room in registers. */
static inline int outputs_together(int vectors) {
  const int registers = VECTOR_BYTES == 64 ? 16 : 8, most = registers / vectors;
  return most < 1 ? 1 : most > 4 ? 4 : most;
}

/* `outputs` of them whose columns all lie inside the map; both numbers are constants where this is inlined. Returns the
 * taps walked. */
static inline __attribute__((always_inline)) uint32_t walk_together(const snn_conv_args *a, snn_site site,
                                                                    const float *x, float *acc, int vectors,
                                                                    int outputs) {
  const size_t step = (size_t)a->stride_w * a->in_c;
  uint32_t taps = 0;
  vec local[16];
  _Pragma("GCC unroll 16") for (int i = 0; i < outputs * vectors; i++) local[i] = load(acc + i * LANES);
  for (tap_walk tap = walk_of(a, site); next_tap(&tap); taps++) {
    const float *in = x + tap.position * a->in_c, *w = tap.weights + site.begin;
    for (uint32_t c = 0; c < a->in_c; c++, w += a->out_c) _Pragma("GCC unroll 8") for (int k = 0; k < vectors; k++) {
        const vec weight = load(w + k * LANES);
        _Pragma("GCC unroll 4") for (int o = 0; o < outputs; o++) local[o * vectors + k] +=
            in[(size_t)o * step + c] * weight;
      }
  }
  _Pragma("GCC unroll 16") for (int i = 0; i < outputs * vectors; i++) store(acc + i * LANES, local[i]);
  return taps;
}

#define TOGETHER_CASE(k) \
  case k: taps = walk_together(a, site, x, acc, k, outputs_together(k)); break

static uint64_t conv_graded_row(const snn_conv_args *a, snn_site site, uint32_t n, const float *x, float *acc) {
  const int vectors = (int)(site.n / LANES);
  if (a->group_in != a->in_c || site.n % LANES != 0 || vectors > VECTORS)
    return snn_kernels_scalar.conv_graded_row(a, site, n, x, acc);
  const uint32_t together = (uint32_t)outputs_together(vectors);
  const int64_t reach = (int64_t)(a->kernel_w - 1) * a->dilation_w;
  uint64_t macs = 0;
  while (n > 0) {
    const int64_t left = (int64_t)site.x * a->stride_w - a->pad_left;
    if (n < together || left < 0 || left + (together - 1) * (int64_t)a->stride_w + reach >= a->in_w) {
      macs += conv_graded(a, site, x, acc);
      n--, site.x++, acc += site.n;
      continue;
    }
    uint32_t taps = 0;
    switch (vectors) {
      TOGETHER_CASE(1);
      TOGETHER_CASE(2);
      TOGETHER_CASE(3);
      TOGETHER_CASE(4);
#if VECTOR_BYTES < 64
      TOGETHER_CASE(5);
      TOGETHER_CASE(6);
      TOGETHER_CASE(7);
      TOGETHER_CASE(8);
#endif
    }
    macs += (uint64_t)taps * a->in_c * site.n * together;
    n -= together, site.x += together, acc += together * site.n;
  }
  return macs;
}

static uint64_t integrate_fire(float *v, const float *current, const float *fire, const float *theta, uint32_t n) {
  uint64_t spikes = 0;
  uint32_t i = 0;
  for (; i + LANES <= n; i += LANES) {
    vec u = load(v + i) + load(current + i), level = load(fire + i);
    spikes |= (uint64_t)fires(u, level) << i;
    store(v + i, u - (vec)((lane_mask)(u >= level) & (lane_mask)load(theta + i)));
  }
  if (i < n) spikes |= snn_kernels_scalar.integrate_fire(v + i, current + i, fire + i, theta + i, n - i) << i;
  return spikes;
}

const snn_kernels TABLE = {
    .name = TABLE_NAME,
    .conv_spikes = conv_spikes,
    .conv_counts = conv_counts,
    .conv_graded = conv_graded,
    .conv_graded_row = conv_graded_row,
    .integrate_fire = integrate_fire,
    .expand_f16 = expand_f16,
    .expand_i8 = expand_i8,
};
