/* The readable reference of the dense kernels: plain C, a lane at a time. */
#include "kernels/dense.h"

static void sum(const int8_t *weights, uint32_t vectors, const snn_dense_runs *runs, const uint8_t *const *x,
                uint32_t n, uint32_t shift, int32_t *acc) {
  const uint32_t lanes = vectors * SNN_DENSE_LANES;
  for (uint32_t i = 0; i < n * lanes; i++) acc[i] *= 1 << shift;
  for (uint32_t k = 0; k < runs->n; k++)
    for (uint32_t q = 0; q < runs->quads; q++, weights += (size_t)lanes * 4)
      for (uint32_t i = 0; i < n; i++) {
        const uint8_t *in = x[i] + runs->offset[k] + (size_t)q * 4;
        for (uint32_t lane = 0; lane < lanes; lane++)
          for (uint32_t j = 0; j < 4; j++) acc[i * lanes + lane] += in[j] * weights[lane * 4 + j];
      }
}

static uint64_t count(const snn_int8_neurons *p, uint32_t lanes, int32_t timesteps, uint8_t *const *planes,
                      uint32_t n_planes) {
  uint64_t spikes = 0;
  for (uint32_t i = 0; i < lanes; i++) {
    int32_t x = p->constant[i] + p->v[i] + (p->theta[i] - p->level[i]);
    if (p->acc) x += p->acc[i] * (1 << p->fraction);
    if (p->more) x += p->more[i];
    int32_t n = x < 0 ? 0 : x / p->theta[i];
    if (n > timesteps) n = timesteps;
    for (uint32_t k = 0; k < n_planes; k++) planes[k][i] = (uint8_t)((uint32_t)n >> (8 * k));
    spikes += (uint64_t)n;
  }
  return spikes;
}

static uint64_t total(const uint8_t *x, size_t n) {
  uint64_t all = 0;
  for (size_t i = 0; i < n; i++) all += x[i];
  return all;
}

static void spread(const uint64_t *bits, uint32_t words, uint32_t n, bool add, uint8_t *to, size_t stride) {
  for (uint32_t t = 0; t < n; t++, bits += words, to += stride)
    for (uint32_t c = 0; c < words * SNN_LANES; c++)
      to[c] = (uint8_t)((add ? to[c] : 0) + (bits[c / SNN_LANES] >> (c % SNN_LANES) & 1));
}

const snn_dense_kernels snn_dense_scalar = {
    .name = "scalar", .sum = sum, .count = count, .spread = spread, .total = total};
