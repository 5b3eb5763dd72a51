/* Walking a receptive field: shared by all kernel tables, so that they add in the same order. Only for core/kernels. */
#ifndef SNN_KERNELS_WALK_H
#define SNN_KERNELS_WALK_H

#include <stdbool.h>

#include "kernels/kernels.h"

/* Walks the kernel taps of one output position that lie inside the map, rows first, then columns. */
typedef struct tap_walk {
  const snn_conv_args *a;
  uint32_t row, column, first_column; /* the tap to look at next; the first inside the map */
  int64_t y, x, first_x;              /* where it reads */
  size_t position;                    /* of the tap's input, y * in_w + x */
  const float *weights;               /* of the tap, [group_in][out_c] */
} tap_walk;

static inline tap_walk walk_of(const snn_conv_args *a, snn_site site) {
  tap_walk walk = {
      .a = a, .y = (int64_t)site.y * a->stride_h - a->pad_top, .first_x = (int64_t)site.x * a->stride_w - a->pad_left};
  for (; walk.y < 0 && walk.row < a->kernel_h; walk.y += a->dilation_h) walk.row++;
  for (; walk.first_x < 0 && walk.first_column < a->kernel_w; walk.first_x += a->dilation_w) walk.first_column++;
  walk.column = walk.first_column;
  walk.x = walk.first_x;
  return walk;
}

static inline bool next_tap(tap_walk *walk) {
  const snn_conv_args *a = walk->a;
  while (walk->row < a->kernel_h && walk->y < a->in_h) {
    if (walk->column < a->kernel_w && walk->x < a->in_w) {
      walk->position = (size_t)walk->y * a->in_w + (size_t)walk->x;
      walk->weights = a->weights + ((size_t)walk->row * a->kernel_w + walk->column) * a->group_in * a->out_c;
      walk->column++;
      walk->x += a->dilation_w;
      return true;
    }
    walk->column = walk->first_column;
    walk->x = walk->first_x;
    walk->row++;
    walk->y += a->dilation_h;
  }
  return false;
}

/* Output channels [begin, end) of a site that lie in one group, and the first input channel of that group. */
typedef struct segment {
  uint32_t begin, end, in_begin;
} segment;

static inline segment first_segment(const snn_conv_args *a, snn_site site, uint32_t begin) {
  uint32_t group = begin / a->group_out, end = (group + 1) * a->group_out, last = site.begin + site.n;
  return (segment){begin, end < last ? end : last, group * a->group_in};
}

/* The spikes of input channels [begin, begin + 64) that lie below `end`, as bits from `begin` upwards. */
static inline uint64_t spikes_from(const uint64_t *words, uint32_t begin, uint32_t end) {
  uint32_t w = begin / SNN_BLOCK, shift = begin % SNN_BLOCK;
  uint64_t bits = words[w] >> shift;
  if (shift && end > (w + 1) * SNN_BLOCK) bits |= words[w + 1] << (SNN_BLOCK - shift);
  return end - begin < SNN_BLOCK ? bits & ((1ull << (end - begin)) - 1) : bits;
}

#endif
