/* Integer kernels: the inner loops of the int8 simulation, one table per instruction set.
 *
 * Work is done on groups of 64 lanes: output channels, or, in narrow layers, the channels of some neighbouring outputs.
 * A row of weights holds, for each group, 64 bytes: byte 2i is lane i plus 128, byte 2i + 1 is lane 32 + i, so that a
 * register of bytes is also one of 16-bit lanes whose high byte is signed and whose low byte is not. Weights lie within
 * +-127 (SNN_INT8_MOST). Sums of rows are formed in 16 bits and widened after SNN_INT8_PIECE of them, before they can
 * overflow; everything else is int32, and the caller has proven that it fits. Integer arithmetic: every table gives the
 * same bytes. int8_scalar.c is the reference. */
#ifndef SNN_KERNELS_INT8_H
#define SNN_KERNELS_INT8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  SNN_LANES = 64,         /* of a group: one word of spikes */
  SNN_INT8_MOST = 127,    /* largest weight, either sign */
  SNN_INT8_PIECE = 256,   /* rows a 16-bit lane holds: 256 * 127 = 32512, and 256 * 255 = 65280 without sign */
  SNN_INT8_GROUPS = 8,    /* groups a call handles at most */
  SNN_EVENT_SLACK = 64,   /* entries that `list` may write behind the last */
  SNN_TAU_BITS = 15,      /* of the fixed-point share a leaking potential keeps */
  SNN_DENSE_POSITIONS = 6 /* input positions `dense` handles at most */
};

/* Where lane `lane` of a group lies in its 64 bytes. */
static inline uint32_t snn_int8_byte(uint32_t lane) {
  return lane < 32 ? 2 * lane : 2 * (lane - 32) + 1;
}

/* Spikes of one tap of a receptive field: words of bits, and the row of its first channel. */
typedef struct snn_int8_tap {
  const uint64_t *bits;
  uint32_t row;
} snn_int8_tap;

/* What happens at a step to a potential v with current I:  v = keep * v + I;  a spike where v >= level. */
typedef enum snn_int8_reset {
  SNN_INT8_SOFT,       /* keep = 1; a spike subtracts theta */
  SNN_INT8_HARD,       /* keep = 1; a spike sets v to 0 */
  SNN_INT8_LEAKY_SOFT, /* keep = tau / 2^15, rounded towards minus infinity */
  SNN_INT8_LEAKY_HARD,
  SNN_INT8_SIGNED /* soft; where v <= -level and balance > 0 a spike of -1, which adds theta */
} snn_int8_reset;

/* Neurons of some groups, arrays of [groups][64]. I = (acc << fraction) + constant + more. */
typedef struct snn_int8_neurons {
  uint32_t fraction;
  const int32_t *acc;      /* NULL: 0 */
  const int32_t *constant; /* current of every step */
  const int32_t *more;     /* current of this step; NULL: 0 */
  const int32_t *level, *theta;
  int32_t *v;
  int32_t *balance; /* signed ones: spikes sent and not taken back */
  int32_t tau;      /* of 2^15 */
} snn_int8_neurons;

typedef struct snn_int8_kernels {
  const char *name;

  /* The rows of all spikes of the taps: for each set bit c of words bits[offset .. offset + words), row + c, in this
   * order. Returns how many. */
  uint32_t (*list)(const snn_int8_tap *taps, uint32_t n_taps, uint32_t words, size_t offset, uint32_t *rows);

  /* acc[groups][64] = (add ? acc : 0) + the sum of n rows of weights[..][groups][64]. groups <= SNN_INT8_GROUPS. */
  void (*add_rows)(const int8_t *weights, uint32_t groups, const uint32_t *rows, uint32_t n, bool add, int32_t *acc);

  /* more[64] += amount[64] where a bit is set; -= with `negative`. */
  void (*add_spikes)(uint64_t bits, const int32_t *amount, bool negative, int32_t *more);

  /* One step of neurons: spikes to plus[groups], taken back ones to minus[groups] (signed models only). Returns the
   * spikes of either sign. `valid` masks the last group: no other lane of it spikes. */
  uint64_t (*fire)(snn_int8_reset model, const snn_int8_neurons *p, uint32_t groups, uint64_t valid, uint64_t *plus,
                   uint64_t *minus);

  /* All T steps at once, acc being totals: counts = clamp(floor((I + v + theta - level) / theta), 0, T). Returns their
   * sum over the lanes, the last group's masked. */
  uint64_t (*count)(const snn_int8_neurons *p, uint32_t groups, uint64_t valid, int32_t timesteps, int32_t *counts);

  /* Set bits of n words. */
  uint64_t (*popcount)(const uint64_t *words, size_t n);

  /* acc[i][64] += sum over c < 4 * quads of x[i][c] * w[c], for n <= SNN_DENSE_POSITIONS inputs of unsigned bytes;
   * w: [quads][64][4], in lane order and without offset (snn_int8_kernels.interleave makes it). */
  void (*dense)(const int8_t *weights, uint32_t quads, const uint8_t *const *x, uint32_t n, int32_t (*acc)[SNN_LANES]);

  /* Weights for `dense` from n_rows rows (a multiple of 4), `stride` bytes apart. */
  void (*interleave)(const int8_t *rows, size_t stride, uint32_t n_rows, int8_t *to);
} snn_int8_kernels;

extern const snn_int8_kernels snn_int8_scalar;
#ifdef __x86_64__
extern const snn_int8_kernels snn_int8_avx2, snn_int8_avx512;
#endif

/* Like snn_kernels_available and snn_kernels_get. */
const snn_int8_kernels *snn_int8_kernels_available(unsigned i);
const snn_int8_kernels *snn_int8_kernels_get(void);

#endif
