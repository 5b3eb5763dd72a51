/* The vector tables' common body: neurons, which need no more than what the compiler's vectors offer. A table's own
 * file defines VECTOR_BYTES, `native` and at_least(), then includes this; only that file is compiled for its
 * instruction set. */
#include <stddef.h>

#include "kernels/int8.h"
#include "kernels/quantise.h"

typedef int32_t ivec __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t loose_ivec __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));

enum { STEP = VECTOR_BYTES / 4 };

/* What becomes of a sum. */
typedef enum put { SET, ADD, TAKE } put;

static inline ivec load(const int32_t *p) {
  return *(const loose_ivec *)p;
}
static inline void store(int32_t *p, ivec x) {
  *(loose_ivec *)p = x;
}

static void add_spikes(uint64_t bits, const int32_t *amount, bool negative, int32_t *more) {
  ivec place = {0};
  for (int k = 0; k < STEP; k++) place[k] = 1 << k;
  for (uint32_t lane = 0; lane < SNN_LANES; lane += STEP) {
    ivec x = load(amount + lane) & ((place & (int32_t)(bits >> lane & ((1u << STEP) - 1))) != 0);
    store(more + lane, negative ? load(more + lane) - x : load(more + lane) + x);
  }
}

static void add_rounded(const float *value, const float *per_unit, float most, int32_t times, uint32_t n, int32_t *x) {
  for (uint32_t i = 0; i < n; i++) x[i] += times * snn_int8_clamped(value[i] * per_unit[i], most);
}

static inline ivec current(const snn_int8_neurons *p, uint32_t i) {
  ivec sum = load(p->constant + i);
  if (p->acc) sum += load(p->acc + i) << (int32_t)p->fraction;
  if (p->more) sum += load(p->more + i);
  return sum;
}

/* One group; the model is a constant where this is inlined. Returns +1 spikes, and -1 ones in *down. */
static inline __attribute__((always_inline)) uint64_t fire_group(snn_int8_reset model, const snn_int8_neurons *p,
                                                                 uint32_t begin, uint64_t *down) {
  uint64_t up = 0, taken = 0;
  for (uint32_t lane = 0; lane < SNN_LANES; lane += STEP) {
    uint32_t i = begin + lane;
    ivec v = load(p->v + i), level = load(p->level + i), theta = load(p->theta + i);
    if (model == SNN_INT8_LEAKY_SOFT || model == SNN_INT8_LEAKY_HARD)
      v = (v >> SNN_TAU_BITS) * p->tau + ((v & ((1 << SNN_TAU_BITS) - 1)) * p->tau >> SNN_TAU_BITS);
    v += current(p, i);
    ivec fires = v >= level;
    up |= (uint64_t)at_least((native)v, (native)level) << lane;
    if (model == SNN_INT8_SIGNED) {
      ivec balance = load(p->balance + i), back = (-level >= v) & (balance > 0) & ~fires;
      taken |= (uint64_t)at_least((native)(back & 1), (native)((ivec){0} + 1)) << lane;
      store(p->balance + i, balance - fires + back);
      v += theta & back;
    }
    if (model == SNN_INT8_HARD || model == SNN_INT8_LEAKY_HARD)
      v &= ~fires;
    else
      v -= theta & fires;
    store(p->v + i, v);
  }
  *down = taken;
  return up;
}

#define FIRE_CASE(model) \
  case model: up = fire_group(model, p, g * SNN_LANES, &down); break

static uint64_t fire(snn_int8_reset model, const snn_int8_neurons *p, uint32_t groups, uint64_t valid, uint64_t *plus,
                     uint64_t *minus) {
  uint64_t spikes = 0;
  for (uint32_t g = 0; g < groups; g++) {
    uint64_t up = 0, down = 0, mask = g + 1 == groups ? valid : ~0ull;
    switch (model) {
      FIRE_CASE(SNN_INT8_SOFT);
      FIRE_CASE(SNN_INT8_HARD);
      FIRE_CASE(SNN_INT8_LEAKY_SOFT);
      FIRE_CASE(SNN_INT8_LEAKY_HARD);
      FIRE_CASE(SNN_INT8_SIGNED);
    }
    plus[g] = up & mask;
    if (model == SNN_INT8_SIGNED) minus[g] = down & mask;
    spikes += (uint64_t)__builtin_popcountll((up | down) & mask);
  }
  return spikes;
}

static uint64_t popcount(const uint64_t *words, size_t stride, size_t n, size_t each) {
  uint64_t sum = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t w = 0; w < each; w++) sum += (uint64_t)__builtin_popcountll(words[i * stride + w]);
  return sum;
}
