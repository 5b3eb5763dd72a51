/* The readable reference: plain C, one output position at a time, walking its receptive field. Every other table must
 * give the same bytes. Event-driven: a synapse costs only when its input fired. */
#include <stdbool.h>

#include "kernels/kernels.h"

/* Walks the kernel taps of one output position that lie inside the map, rows first, then columns. */
typedef struct tap_walk {
  const snn_conv_args *a;
  snn_site site;
  uint32_t row, column; /* the tap to look at next */
  size_t position;      /* of the tap's input, y * in_w + x */
  const float *weights; /* of the tap, [group_in][out_c] */
} tap_walk;

static bool next_tap(tap_walk *walk) {
  const snn_conv_args *a = walk->a;
  for (; walk->row < a->kernel_h; walk->row++, walk->column = 0) {
    int64_t y = (int64_t)walk->site.y * a->stride_h + (int64_t)walk->row * a->dilation_h - a->pad_top;
    if (y < 0 || y >= a->in_h) continue;
    while (walk->column < a->kernel_w) {
      uint32_t column = walk->column++;
      int64_t x = (int64_t)walk->site.x * a->stride_w + (int64_t)column * a->dilation_w - a->pad_left;
      if (x < 0 || x >= a->in_w) continue;
      walk->position = (size_t)y * a->in_w + (size_t)x;
      walk->weights = a->weights + ((size_t)walk->row * a->kernel_w + column) * a->group_in * a->out_c;
      return true;
    }
  }
  return false;
}

/* Output channels [begin, end) of a site that lie in one group, and the first input channel of that group. */
typedef struct segment {
  uint32_t begin, end, in_begin;
} segment;

static segment first_segment(const snn_conv_args *a, snn_site site, uint32_t begin) {
  uint32_t group = begin / a->group_out, end = (group + 1) * a->group_out, last = site.begin + site.n;
  return (segment){begin, end < last ? end : last, group * a->group_in};
}

/* acc += x * w for the outputs of one segment; acc[0] belongs to output channel site_begin. */
static void add_row(float *acc, uint32_t site_begin, segment s, float x, const float *row) {
  float *out = acc + (s.begin - site_begin);
  const float *w = row + s.begin;
  for (uint32_t i = 0; i < s.end - s.begin; i++) out[i] += x * w[i];
}

/* The spikes of input channels [begin, begin + 64) that lie below `end`, as bits from `begin` upwards. */
static uint64_t spikes_from(const uint64_t *words, uint32_t begin, uint32_t end) {
  uint32_t w = begin / SNN_BLOCK, shift = begin % SNN_BLOCK;
  uint64_t bits = words[w] >> shift;
  if (shift && end > (w + 1) * SNN_BLOCK) bits |= words[w + 1] << (SNN_BLOCK - shift);
  return end - begin < SNN_BLOCK ? bits & ((1ull << (end - begin)) - 1) : bits;
}

static uint64_t conv_spikes(const snn_conv_args *a, snn_site site, const uint64_t *spikes, const float *amplitude,
                            float *acc) {
  uint64_t accumulates = 0;
  uint32_t words = snn_words(a->in_c);
  for (tap_walk tap = {.a = a, .site = site}; next_tap(&tap);)
    for (uint32_t o = site.begin; o < site.begin + site.n;) {
      segment s = first_segment(a, site, o);
      for (uint32_t i = 0; i < a->group_in; i += SNN_BLOCK) {
        uint64_t bits = spikes_from(spikes + tap.position * words, s.in_begin + i, s.in_begin + a->group_in);
        accumulates += (uint64_t)__builtin_popcountll(bits) * (s.end - s.begin);
        for (; bits; bits &= bits - 1) {
          uint32_t c = i + (uint32_t)__builtin_ctzll(bits);
          add_row(acc, site.begin, s, amplitude[s.in_begin + c], tap.weights + (size_t)c * a->out_c);
        }
      }
      o = s.end;
    }
  return accumulates;
}

static uint64_t conv_counts(const snn_conv_args *a, snn_site site, const float *counts, const float *amplitude,
                            float *acc) {
  uint64_t accumulates = 0;
  for (tap_walk tap = {.a = a, .site = site}; next_tap(&tap);)
    for (uint32_t o = site.begin; o < site.begin + site.n;) {
      segment s = first_segment(a, site, o);
      const float *in = counts + tap.position * a->in_c + s.in_begin;
      for (uint32_t c = 0; c < a->group_in; c++)
        if (in[c] != 0.0f) {
          accumulates += (uint64_t)in[c] * (s.end - s.begin);
          add_row(acc, site.begin, s, in[c] * amplitude[s.in_begin + c], tap.weights + (size_t)c * a->out_c);
        }
      o = s.end;
    }
  return accumulates;
}

static uint64_t conv_graded(const snn_conv_args *a, snn_site site, const float *x, float *acc) {
  uint64_t macs = 0;
  for (tap_walk tap = {.a = a, .site = site}; next_tap(&tap);)
    for (uint32_t o = site.begin; o < site.begin + site.n;) {
      segment s = first_segment(a, site, o);
      const float *in = x + tap.position * a->in_c + s.in_begin;
      macs += (uint64_t)a->group_in * (s.end - s.begin);
      for (uint32_t c = 0; c < a->group_in; c++)
        if (in[c] != 0.0f) add_row(acc, site.begin, s, in[c], tap.weights + (size_t)c * a->out_c);
      o = s.end;
    }
  return macs;
}

const snn_kernels snn_kernels_scalar = {
    .name = "scalar",
    .conv_spikes = conv_spikes,
    .conv_counts = conv_counts,
    .conv_graded = conv_graded,
};
