/* The vector tables' common body: the neurons of a whole run. A table's own file defines VECTOR_BYTES, then includes
 * this; only that file is compiled for its instruction set. */
#include <string.h>

#include "kernels/dense.h"

typedef int32_t ivec __attribute__((vector_size(VECTOR_BYTES)));
typedef float fvec __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t loose_ivec __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef uint8_t bytes __attribute__((vector_size(VECTOR_BYTES / 4)));

enum { STEP = VECTOR_BYTES / 4 };

static inline ivec load(const int32_t *p) {
  return *(const loose_ivec *)p;
}

/* Spikes of STEP neurons from lane i on: x / theta by a float estimate, which is off by one at most for quotients up to
 * T <= 4096, then put right. */
static inline ivec spikes_of(const snn_int8_neurons *p, uint32_t i, ivec most) {
  ivec theta = load(p->theta + i), x = load(p->constant + i) + load(p->v + i) + (theta - load(p->level + i));
  if (p->acc) x += load(p->acc + i) << (int32_t)p->fraction;
  if (p->more) x += load(p->more + i);
  x &= x > 0;
  fvec ratio = __builtin_convertvector(x, fvec) / __builtin_convertvector(theta, fvec);
  fvec limit = __builtin_convertvector(most, fvec);
  ivec over = (ivec)(ratio > limit);
  ivec n = __builtin_convertvector((fvec)(((ivec)ratio & ~over) | ((ivec)limit & over)), ivec);
  ivec rest = x - n * theta;
  n += rest < 0;
  n -= (rest >= theta) & (n < most);
  return n;
}

static uint64_t count(const snn_int8_neurons *p, uint32_t lanes, int32_t timesteps, uint8_t *const *planes,
                      uint32_t n_planes) {
  const ivec most = (ivec){0} + timesteps;
  ivec sum = {0};
  for (uint32_t i = 0; i < lanes; i += STEP) {
    ivec n = spikes_of(p, i, most);
    const uint32_t left = lanes - i < STEP ? lanes - i : STEP;
    if (left < STEP)
      for (uint32_t k = left; k < STEP; k++) n[k] = 0;
    sum += n;
    for (uint32_t k = 0; k < n_planes; k++) {
      const bytes low = __builtin_convertvector(n >> (int32_t)(8 * k) & 0xff, bytes);
      memcpy(planes[k] + i, &low, left == STEP ? STEP : left);
    }
  }
  uint64_t spikes = 0;
  for (uint32_t k = 0; k < STEP; k++) spikes += (uint64_t)(uint32_t)sum[k];
  return spikes;
}
