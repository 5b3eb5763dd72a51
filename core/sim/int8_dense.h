/* Layers on the dense kernels: their weights in that order, and maps of numbers of spikes with margins of zeros, so
 * that what a window reads is a few runs of bytes whose places do not depend on the position. */
#ifndef SNN_SIM_INT8_DENSE_H
#define SNN_SIM_INT8_DENSE_H

#include "kernels/dense.h"
#include "sim/int8_model.h"

/* A node's numbers of spikes: bytes [plane][rows][pitch][c rounded up to 4], the node's own map beginning at row `top`,
 * column `left`; zeros around it. */
typedef struct snn_int8_map {
  uint32_t top, left, rows, pitch;
} snn_int8_map;

/* Channels of a map, filled up. */
static inline uint32_t snn_int8_padded(uint32_t channels) {
  return (channels + 3) & ~3u;
}

/* Channels of a block of outputs, and vectors of them. */
static inline uint32_t snn_dense_vectors(uint32_t channels, uint32_t first) {
  const uint32_t left = channels - first;
  return left < SNN_LANES ? (left + SNN_DENSE_LANES - 1) / SNN_DENSE_LANES : SNN_DENSE_VECTORS;
}

/* Bytes of one plane of a map. */
static inline size_t snn_int8_map_bytes(const snn_int8_map *m, uint32_t channels) {
  return (size_t)m->rows * m->pitch * snn_int8_padded(channels);
}

/* Would margins that this convolution needs be small beside the map? Others run in plain code. */
bool snn_int8_is_dense(const snn_conv_args *a);

/* Widen a map by the margins that a convolution of it needs. */
void snn_int8_widen_map(const snn_conv_args *a, snn_int8_map *map);

/* Bytes that one position reads for a convolution, zeros of filled up channels included. */
size_t snn_dense_row(const snn_conv_args *a);

/* Runs of a convolution, and where they begin in a map of its source. */
uint32_t snn_dense_count_runs(const snn_conv_args *a);
void snn_dense_find_runs(const snn_conv_args *a, const snn_int8_map *map, snn_dense_runs *runs, size_t *offset);

/* Weights for the dense kernels, [snn_dense_row][out_c rounded up to 16] bytes, from those of a term that is packed. */
void snn_dense_pack(const snn_int8_layer *layer, const snn_int8_term *term, uint32_t threads, int8_t *to);

/* A weight of a packed term that is not grouped: of tap (ky, kx), input channel c, output channel o. */
int32_t snn_int8_weight(const snn_int8_layer *layer, const snn_int8_term *term, uint32_t ky, uint32_t kx, uint32_t c,
                        uint32_t o);

#endif
