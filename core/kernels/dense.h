/* Kernels of whole numbers that are not sparse: sums of products of unsigned bytes (numbers of spikes) and weights, and
 * what neurons make of the sum of a whole run; one table per instruction set.
 *
 * Weights of up to 64 output channels lie as [run][quad][16 * vectors][4]: four inputs of each channel together, as a
 * dot-product instruction wants them. Integer arithmetic: every table gives the same bytes. dense_scalar.c is the
 * reference. */
#ifndef SNN_KERNELS_DENSE_H
#define SNN_KERNELS_DENSE_H

#include "kernels/int8.h"

enum {
  SNN_DENSE_LANES = 16,  /* of a vector of channels */
  SNN_DENSE_VECTORS = 4, /* that a call handles at most */
  SNN_DENSE_MOST = 12,   /* likewise */
  SNN_DENSE_PLANES = 4   /* bytes of a number of spikes */
};

/* Positions that fill the registers beside so many vectors. */
static inline uint32_t snn_dense_tile(uint32_t vectors) {
  return vectors == 4 ? 6 : vectors == 3 ? 8 : SNN_DENSE_MOST;
}

/* What a position reads: runs of 4 * quads bytes, the k-th from x + offset[k] on. */
typedef struct snn_dense_runs {
  const size_t *offset;
  uint32_t n, quads;
} snn_dense_runs;

typedef struct snn_dense_kernels {
  const char *name;

  /* acc[i][lane] = (acc[i][lane] << shift) + the sum over what x[i] reads of byte times weight, for i < n <=
   * snn_dense_tile(vectors) and lane < 16 * vectors. All SNN_DENSE_MOST pointers must be valid and acc have room
   * for as many positions: those from n on may be computed too. */
  void (*sum)(const int8_t *weights, uint32_t vectors, const snn_dense_runs *runs, const uint8_t *const *x, uint32_t n,
              uint32_t shift, int32_t *acc);

  /* All T steps at once of `lanes` neurons, acc being totals: clamp(floor((I + v + theta - level) / theta), 0, T)
   * spikes each, whose byte k goes to planes[k]. Returns the spikes of all. p's arrays are readable up to the next 16
   * lanes. */
  uint64_t (*count)(const snn_int8_neurons *p, uint32_t lanes, int32_t timesteps, uint8_t *const *planes,
                    uint32_t n_planes);

  /* Bits to bytes, of n steps whose `words` words lie behind each other: to[t * stride + c] = bit c, 1 or 0, for c < 64
   * * words; with `add` += instead. */
  void (*spread)(const uint64_t *bits, uint32_t words, uint32_t n, bool add, uint8_t *to, size_t stride);

  /* What `sum` takes for an input and 64 channels, of what the integer table of the same name takes to add a row: as
   * measured (tests/bench/SPEED.md). 0: not known, and steps are not summed by this table. */
  float input_cost;

  /* The sum of n bytes. */
  uint64_t (*total)(const uint8_t *x, size_t n);
} snn_dense_kernels;

extern const snn_dense_kernels snn_dense_scalar;
#ifdef __x86_64__
extern const snn_dense_kernels snn_dense_avx2, snn_dense_avx512;
#endif

/* Like snn_int8_kernels_available and snn_int8_kernels_get, with the same choice. */
const snn_dense_kernels *snn_dense_kernels_available(unsigned i);
const snn_dense_kernels *snn_dense_kernels_get(void);

#endif
