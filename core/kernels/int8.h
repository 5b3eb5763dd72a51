/* Integer kernels: the inner loops of the int8 simulation, one table per instruction set.
 *
 * Work is done on groups of 64 lanes: output channels, or, in narrow layers, the channels of some neighbouring outputs.
 * A row of weights holds, for each group, 64 bytes: bytes 4i to 4i + 3 are lanes i plus 128, 32 + i, 16 + i plus 128
 * and 48 + i. So a register of bytes is also one of 16-bit lanes whose high byte is signed and whose low byte is not,
 * and in pairs of those, 32 bits wide, the lower ones are sixteen lanes side by side, as the upper ones are: what
 * multiplies and adds pairs widens them in order. Weights lie within +-127 (SNN_INT8_MOST). Sums of rows are formed in
 * 16 bits and widened after SNN_INT8_PIECE of them, before they can overflow; everything else is int32, and the caller
 * has proven that it fits. Integer arithmetic: every table gives the same bytes. int8_scalar.c is the reference. */
#ifndef SNN_KERNELS_INT8_H
#define SNN_KERNELS_INT8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
  SNN_LANES = 64,       /* of a group: one word of spikes */
  SNN_INT8_MOST = 127,  /* largest weight, either sign */
  SNN_INT8_PIECE = 256, /* rows a 16-bit lane holds: 256 * 127 = 32512, and 256 * 255 = 65280 without sign */
  SNN_INT8_GROUPS = 8,  /* groups a call handles at most */
  SNN_QUAD = 4,         /* rows that are added at a time */
  SNN_EVENT_SLACK = 64, /* elements that `list` and `join` may write, and the latter read, behind the last */
  SNN_TAU_BITS = 15     /* of the fixed-point share a leaking potential keeps */
};

/* Where lane `lane` of a group lies in its 64 bytes. */
static inline uint32_t snn_int8_byte(uint32_t lane) {
  return lane % 16 * 4 + lane / 16 % 2 * 2 + lane / 32;
}

/* Nearest whole number, ties to even, |x| < 2^22: by plain float arithmetic, which is alike on every machine. */
static inline int32_t snn_int8_nearest(float x) {
  float y = x + 12582912.0f; /* 1.5 * 2^23 */
  int32_t bits;
  memcpy(&bits, &y, sizeof bits);
  return bits - 0x4b400000;
}

/* The same within +-most, which no number that is none leaves either. */
static inline int32_t snn_int8_clamped(float x, float most) {
  x = x > -most ? x : -most;
  return snn_int8_nearest(x < most ? x : most);
}

/* Listed spikes of a row of a map: those before its column x end at ends[x] of `entries`. An entry is the number of a
 * row of weights once `first` is added. */
typedef struct snn_int8_span {
  const uint16_t *entries;
  const uint32_t *ends;
  uint32_t first;
} snn_int8_span;

/* What to join: of each of n cells the columns [begin[i], end[i]) of all spans, i * back taken off the numbers of rows;
 * row zero + i * pitch, of zeros, fills a cell up. */
typedef struct snn_int8_cells {
  const snn_int8_span *spans;
  const uint32_t *begin, *end;
  uint32_t n_spans, n, back, zero, pitch, row_bytes;
} snn_int8_cells;

/* Rows of one convolution: at step t those that lie at [from[t * stride], to[t * stride]) of `offsets`, in whole quads.
 */
typedef struct snn_int8_sum {
  const int8_t *weights;   /* [row][groups][64] */
  const uint32_t *offsets; /* of rows, in bytes, once `first` is added */
  const uint32_t *from, *to;
  int64_t first;
  size_t stride; /* of the ends, from step to step */
  bool negative; /* spikes of -1: rows are taken away */
} snn_int8_sum;

/* What is at offset 0 of a list. It need not lie in the array; the rows that are listed do. */
static inline const int8_t *snn_int8_origin(const snn_int8_sum *sum) {
  return (const int8_t *)((uintptr_t)sum->weights + (uintptr_t)sum->first);
}

/* Spikes that are added as they are, each worth an amount. */
typedef struct snn_int8_wire {
  const uint64_t *bits;  /* [steps][groups] */
  const int32_t *amount; /* [groups][64] */
  bool negative;
} snn_int8_wire;

/* Where the currents of some groups come from, step by step. */
typedef struct snn_int8_sources {
  uint32_t groups, n_sums, n_wires;
  const snn_int8_sum *sums;
  const snn_int8_wire *wires;
  const int32_t *ready; /* [steps][groups][64]: what the sums come to, made elsewhere; NULL: add rows */
} snn_int8_sources;

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

  /* List spikes of n positions whose words of bits lie `stride` words apart: for each set bit c of the i-th one's,
   * first + i * width + c, written from entries[at] on. Returns where the entries end; so does ends[i], unless NULL,
   * after position i. Where there are ends, c < width - 1. */
  uint32_t (*list)(const uint64_t *bits, size_t stride, uint32_t n, uint32_t words, uint32_t first, uint32_t width,
                   uint16_t *entries, uint32_t at, uint32_t *ends);

  /* What the spans hold of each cell, as offsets of rows modulo 2^32, each cell filled up to whole quads; the first
   * one's begin at offsets[at]. Returns where they end; so does ends[i] after cell i. */
  uint32_t (*join)(const snn_int8_cells *cells, uint32_t *offsets, uint32_t at, uint32_t *ends);

  /* acc[groups][64] = (add ? acc : 0) + the sum of the rows [groups][64] at n offsets, whole quads. groups <=
   * SNN_INT8_GROUPS. */
  void (*add_rows)(const int8_t *weights, uint32_t groups, const uint32_t *offsets, uint32_t n, bool add, int32_t *acc);

  /* acc[groups][64] = the sums of step t. There is one at least. */
  void (*currents)(const snn_int8_sources *from, uint32_t t, int32_t *acc);

  /* more[64] += amount[64] where a bit is set; -= with `negative`. */
  void (*add_spikes)(uint64_t bits, const int32_t *amount, bool negative, int32_t *more);

  /* x[i] += times * the nearest whole number of value[i] * per_unit[i], ties to even, kept within +-most. */
  void (*add_rounded)(const float *value, const float *per_unit, float most, int32_t times, uint32_t n, int32_t *x);

  /* One step of neurons: spikes to plus[groups], taken back ones to minus[groups] (signed models only). Returns the
   * spikes of either sign. `valid` masks the last group: no other lane of it spikes. */
  uint64_t (*fire)(snn_int8_reset model, const snn_int8_neurons *p, uint32_t groups, uint64_t valid, uint64_t *plus,
                   uint64_t *minus);

  /* Steps of neurons with currents from `from` instead of p->acc and p->more; plus and minus have [steps][groups].
   * Adds the spikes of step t to spikes[t]. */
  void (*steps)(snn_int8_reset model, const snn_int8_neurons *p, const snn_int8_sources *from, uint32_t n_steps,
                uint64_t valid, uint64_t *plus, uint64_t *minus, uint32_t *spikes);

  /* Set bits of n times `each` words, `stride` words apart. */
  uint64_t (*popcount)(const uint64_t *words, size_t stride, size_t n, size_t each);

  /* A row of 64 weights: w[lane] * worth * per_unit[lane], rounded to nearest, ties to even, within +-127, as the other
   * kernels read it. What it holds of either sign is added to positive[lane] and, without sign, negative[lane]. */
  void (*quantise)(const float *w, float worth, const float *per_unit, int8_t *row, int32_t *positive,
                   int32_t *negative);

  /* Rows as the dense kernels want them (dense.h), [n_rows / 4][64][4], without offset: n_rows of them, a multiple of
   * 4, `stride` bytes apart. */
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
