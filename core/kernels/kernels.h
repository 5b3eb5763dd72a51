/* Kernels: the inner loops of the simulation, one table per instruction set.
 *
 * Contracts every table keeps, so that answers are the same bytes on every machine and at every thread count: an output
 * channel's terms are added in the order (kernel row, kernel column, input channel), one rounding per product and per
 * sum (no fused multiply-add); kernels never allocate, fail, or open a parallel region. Activations are channel-last,
 * [h][w][c]; spikes are bits, [h][w][words] with channel c in bit c % 64 of word c / 64; weights are HWIO. scalar.c is
 * the reference. */
#ifndef SNN_KERNELS_KERNELS_H
#define SNN_KERNELS_KERNELS_H

#include <stddef.h>
#include <stdint.h>

enum { SNN_BLOCK = 64 }; /* output channels a kernel call handles at most; one word of spike bits */

static inline uint32_t snn_words(uint32_t channels) {
  return (channels + SNN_BLOCK - 1) / SNN_BLOCK;
}

/* One convolution, from a map [in_h][in_w][in_c] to [out_h][out_w][out_c]. */
typedef struct snn_conv_args {
  uint32_t in_h, in_w, in_c;
  uint32_t out_h, out_w, out_c;
  uint32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
  uint32_t group_in, group_out; /* channels of one group */
  const float *weights;         /* [kernel_h][kernel_w][group_in][out_c] */
} snn_conv_args;

/* Which output a call computes: position (y, x), channels [begin, begin + n), n <= SNN_BLOCK. */
typedef struct snn_site {
  uint32_t y, x, begin, n;
} snn_site;

typedef struct snn_kernels {
  const char *name;

  /* acc[0..n) += sum over spikes of amplitude[c] * w: the currents of binary spikes [in_h][in_w][words]. Returns the
   * accumulates done: spikes met times the outputs each reached. */
  uint64_t (*conv_spikes)(const snn_conv_args *a, snn_site site, const uint64_t *spikes, const float *amplitude,
                          float *acc);

  /* The same for spike counts (average-pooled spikes, negative where spikes were taken back) [in_h][in_w][in_c]: acc +=
   * count * amplitude[c] * w, in this order. Returns counts met times the outputs each reached. */
  uint64_t (*conv_counts)(const snn_conv_args *a, snn_site site, const float *counts, const float *amplitude,
                          float *acc);

  /* The same for graded values [in_h][in_w][in_c]: acc += x * w. Returns multiply-accumulates: taps inside the map,
   * zeros included. */
  uint64_t (*conv_graded)(const snn_conv_args *a, snn_site site, const float *x, float *acc);

  /* The same for n outputs side by side, from `site` on: acc[n][site.n], of which no element may be -0, since a value
   * of 0 may be added or not. */
  uint64_t (*conv_graded_row)(const snn_conv_args *a, snn_site site, uint32_t n, const float *x, float *acc);

  /* n <= SNN_BLOCK neurons: v += current; where v >= fire: v -= theta and a spike. Returns the spikes, neuron i in bit
   * i. */
  uint64_t (*integrate_fire)(float *v, const float *current, const float *fire, const float *theta, uint32_t n);

  /* n weights of fewer bits, at any alignment, to floats: F16, little-endian, exactly, infinities and NaN staying what
   * they are; and out[i] = bytes[i] * scale[i]. */
  void (*expand_f16)(const uint8_t *bytes, size_t n, float *out);
  void (*expand_i8)(const uint8_t *bytes, const float *scale, size_t n, float *out);
} snn_kernels;

extern const snn_kernels snn_kernels_scalar;
#ifdef __x86_64__
extern const snn_kernels snn_kernels_avx2, snn_kernels_avx512;
#endif

/* Table i of those this processor can run, the fastest first, scalar last; NULL behind the last. */
const snn_kernels *snn_kernels_available(unsigned i);

/* The table in use: the fastest, or the one the environment variable SPIKED_KERNELS names, where it can run (a way for
 * tests to compare). Chosen once. */
const snn_kernels *snn_kernels_get(void);

#endif
