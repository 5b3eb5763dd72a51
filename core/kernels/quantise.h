/* Packing weights: the one body that every integer table compiles for its own instruction set. Plain float arithmetic
 * without branches, hence the same bytes everywhere. */
#ifndef SNN_KERNELS_QUANTISE_H
#define SNN_KERNELS_QUANTISE_H

#include <endian.h>

#include "kernels/int8.h"

static void quantise(const float *w, float worth, const float *per_unit, int8_t *row, int32_t *positive,
                     int32_t *negative) {
  int32_t q[SNN_LANES];
  uint16_t pairs[SNN_LANES / 2];
  for (uint32_t lane = 0; lane < SNN_LANES; lane++) {
    int32_t x = snn_int8_nearest(w[lane] * worth * per_unit[lane]);
    x = x < SNN_INT8_MOST ? x : SNN_INT8_MOST;
    x = x > -SNN_INT8_MOST ? x : -SNN_INT8_MOST;
    positive[lane] += x > 0 ? x : 0;
    negative[lane] -= x < 0 ? x : 0;
    q[lane] = x;
  }
  for (uint32_t i = 0; i < SNN_LANES / 2; i++) {
    const uint32_t lane = i / 2 + i % 2 * 16;
    pairs[i] = htole16((uint16_t)(((q[lane] + 128) & 0xff) | (int32_t)((uint32_t)q[lane + SNN_LANES / 2] << 8)));
  }
  memcpy(row, pairs, sizeof pairs);
}

#endif
