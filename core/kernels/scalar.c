/* The readable reference: plain C, one output position at a time, walking its receptive field. Every other table must
 * give the same bytes. Event-driven: a synapse costs only when its input fired. */
#include "kernels/expand.h"
#include "kernels/walk.h"

/* acc += x * w for the outputs of one segment; acc[0] belongs to output channel site_begin. */
static void add_row(float *acc, uint32_t site_begin, segment s, float x, const float *row) {
  float *out = acc + (s.begin - site_begin);
  const float *w = row + s.begin;
  for (uint32_t i = 0; i < s.end - s.begin; i++) out[i] += x * w[i];
}

static uint64_t conv_spikes(const snn_conv_args *a, snn_site site, const uint64_t *spikes, const float *amplitude,
                            float *acc) {
  uint64_t accumulates = 0;
  uint32_t words = snn_words(a->in_c);
  for (tap_walk tap = walk_of(a, site); next_tap(&tap);)
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
  for (tap_walk tap = walk_of(a, site); next_tap(&tap);)
    for (uint32_t o = site.begin; o < site.begin + site.n;) {
      segment s = first_segment(a, site, o);
      const float *in = counts + tap.position * a->in_c + s.in_begin;
      for (uint32_t c = 0; c < a->group_in; c++)
        if (in[c] != 0.0f) {
          accumulates += (uint64_t)__builtin_fabsf(in[c]) * (s.end - s.begin);
          add_row(acc, site.begin, s, in[c] * amplitude[s.in_begin + c], tap.weights + (size_t)c * a->out_c);
        }
      o = s.end;
    }
  return accumulates;
}

static uint64_t conv_graded(const snn_conv_args *a, snn_site site, const float *x, float *acc) {
  uint64_t macs = 0;
  for (tap_walk tap = walk_of(a, site); next_tap(&tap);)
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

static uint64_t conv_graded_row(const snn_conv_args *a, snn_site site, uint32_t n, const float *x, float *acc) {
  uint64_t macs = 0;
  for (; n > 0; n--, site.x++, acc += site.n) macs += conv_graded(a, site, x, acc);
  return macs;
}

static uint64_t integrate_fire(float *v, const float *current, const float *fire, const float *theta, uint32_t n) {
  uint64_t spikes = 0;
  for (uint32_t i = 0; i < n; i++) {
    v[i] += current[i];
    if (v[i] >= fire[i]) {
      v[i] -= theta[i];
      spikes |= 1ull << i;
    }
  }
  return spikes;
}

const snn_kernels snn_kernels_scalar = {
    .name = "scalar",
    .conv_spikes = conv_spikes,
    .conv_counts = conv_counts,
    .conv_graded = conv_graded,
    .conv_graded_row = conv_graded_row,
    .integrate_fire = integrate_fire,
    .expand_f16 = expand_f16,
    .expand_i8 = expand_i8,
};
