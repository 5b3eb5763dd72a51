/* Weights to int8. Rounds to nearest, ties to even, by adding 1.5 * 2^23, which plain float arithmetic does alike on
 * every machine. Threads share the output channels, so sums and maxima are formed in one fixed order. */
#include "sim/int8_pack.h"

#include <math.h>
#include <string.h>

static int32_t rounded(float x) {
  int32_t q = snn_int8_nearest(x);
  return q > SNN_INT8_MOST ? SNN_INT8_MOST : q < -SNN_INT8_MOST ? -SNN_INT8_MOST : q;
}

/* Output channels a thread takes at a time. */
enum { CHANNELS = SNN_LANES };

/* Weights of output channels [begin, begin + n) in a row: where they lie, or expanded into `room`. */
static const float *weights_of(const snn_conv_args *a, const snn_stored *stored, size_t row, uint32_t begin, uint32_t n,
                               float *room) {
  if (!stored) return a->weights + row * a->out_c + begin;
  snn_stored_expand(stored, row, begin, n, room);
  return room;
}

/* Worth of the spikes that row (tap, i) weighs for output channel o: the input channel depends on o's group. */
static float worth(const snn_conv_args *a, const float *amplitude, size_t row, uint32_t o) {
  return amplitude[o / a->group_out * a->group_in + (uint32_t)(row % a->group_in)];
}

void snn_int8_widest(const snn_conv_args *a, const snn_stored *stored, const float *amplitude, uint32_t threads,
                     float *unit) {
  const size_t rows = (size_t)a->kernel_h * a->kernel_w * a->group_in;
  const bool one_group = a->group_in == a->in_c;
#pragma omp parallel for num_threads((int)threads) schedule(static)
  for (uint32_t begin = 0; begin < a->out_c; begin += CHANNELS) {
    const uint32_t n = a->out_c - begin < CHANNELS ? a->out_c - begin : CHANNELS;
    float most[CHANNELS] = {0}, room[CHANNELS];
    for (size_t row = 0; row < rows; row++) {
      const float *w = weights_of(a, stored, row, begin, n, room);
      const float shared = worth(a, amplitude, row, begin);
      for (uint32_t o = 0; o < n; o++) {
        float x = fabsf(w[o] * (one_group ? shared : worth(a, amplitude, row, begin + o)));
        most[o] = x > most[o] ? x : most[o];
      }
    }
    for (uint32_t o = 0; o < n; o++) unit[begin + o] = fmaxf(unit[begin + o], most[o] / SNN_INT8_MOST);
  }
}

static void put(int8_t *row, uint32_t lane, int32_t q) {
  row[lane / SNN_LANES * SNN_LANES + snn_int8_byte(lane % SNN_LANES)] =
      (int8_t)(lane % SNN_LANES < 32 ? (q ^ 0x80) : q); /* q + 128 modulo 256 */
}

/* A layer of its own width: one row of 64 outputs at a time. */
static void pack_group(const snn_int8_packing *p, uint32_t group, int8_t *to) {
  const snn_conv_args *a = p->conv;
  const snn_int8_kernels *kernels = snn_int8_kernels_get();
  const size_t taps = (size_t)a->kernel_h * a->kernel_w, stride = (size_t)p->groups * SNN_LANES;
  const uint32_t begin = group * SNN_LANES, left = begin < a->out_c ? a->out_c - begin : 0;
  const uint32_t n = left < SNN_LANES ? left : SNN_LANES;
  float per_unit[SNN_LANES] = {0}, room[SNN_LANES], row_of_64[SNN_LANES] = {0}, zeros[SNN_LANES] = {0};
  int32_t positive[SNN_LANES] = {0}, negative[SNN_LANES] = {0};
  for (uint32_t o = 0; o < n; o++) per_unit[o] = 1.0f / p->unit[begin + o];
  to += group / p->groups * taps * (a->in_c + 1) * stride + group % p->groups * SNN_LANES;
  for (size_t tap = 0; tap < taps; tap++) {
    for (uint32_t i = 0; i < a->in_c; i++, to += stride) {
      const float *w = n ? weights_of(a, p->stored, tap * a->in_c + i, begin, n, room) : zeros;
      if (n < SNN_LANES && n) w = memcpy(row_of_64, w, n * sizeof *w);
      kernels->quantise(w, p->amplitude[i], per_unit, to, positive, negative);
    }
    kernels->quantise(zeros, 0, per_unit, to, positive, negative);
    to += stride;
  }
  for (uint32_t o = 0; o < n; o++) {
    p->positive[begin + o] = positive[o];
    p->negative[begin + o] = negative[o];
  }
}

/* A narrow layer: `unroll` outputs side by side in one group. */
static void pack_unrolled(const snn_int8_packing *p, int8_t *to) {
  const snn_conv_args *a = p->conv;
  float room[SNN_LANES]; /* unrolled outputs share a group */
  for (uint32_t ky = 0; ky < a->kernel_h; ky++)
    for (uint32_t x = 0; x < p->columns; x++)
      for (uint32_t i = 0; i <= a->in_c; i++, to += SNN_LANES) {
        for (uint32_t lane = 0; lane < SNN_LANES; lane++) put(to, lane, 0);
        for (uint32_t j = 0; i < a->in_c && j < p->unroll && j * a->stride_w <= x; j++) {
          uint32_t kx = x - j * a->stride_w;
          if (kx >= a->kernel_w) continue;
          const size_t row = ((size_t)ky * a->kernel_w + kx) * a->in_c + i;
          const float *w = weights_of(a, p->stored, row, 0, a->out_c, room);
          for (uint32_t o = 0; o < a->out_c; o++) {
            int32_t q = rounded(w[o] * p->amplitude[i] * (1.0f / p->unit[o]));
            put(to, j * a->out_c + o, q);
            if (j == 0) p->positive[o] += q > 0 ? q : 0;
            if (j == 0) p->negative[o] -= q < 0 ? q : 0;
          }
        }
      }
}

void snn_int8_pack(const snn_int8_packing *p, int8_t *to) {
  if (p->unroll > 1) {
    pack_unrolled(p, to);
    return;
  }
#pragma omp parallel for num_threads((int)p->threads) schedule(static)
  for (uint32_t group = 0; group < p->groups * p->blocks; group++) pack_group(p, group, to);
}

void snn_int8_round_plain(const snn_int8_packing *p, int8_t *to) {
  const snn_conv_args *a = p->conv;
  const size_t rows = (size_t)a->kernel_h * a->kernel_w * a->group_in;
  for (size_t row = 0; row < rows; row++)
    for (uint32_t begin = 0; begin < a->out_c; begin += CHANNELS) {
      const uint32_t n = a->out_c - begin < CHANNELS ? a->out_c - begin : CHANNELS;
      float room[CHANNELS];
      const float *w = weights_of(a, p->stored, row, begin, n, room);
      for (uint32_t i = 0; i < n; i++) {
        const uint32_t o = begin + i;
        int32_t q = rounded(w[i] * worth(a, p->amplitude, row, o) * (1.0f / p->unit[o]));
        to[row * a->out_c + o] = (int8_t)q;
        p->positive[o] += q > 0 ? q : 0;
        p->negative[o] -= q < 0 ? q : 0;
      }
    }
}
