/* Running stages: for each item (an output position and a block of up to 64 channels) all steps of the chunk. An item's
 * state is touched by one thread only, and what it computes does not depend on which, so answers do not depend on the
 * thread count. */
#include "sim/stage.h"

#include <math.h>
#include <string.h>

#include "sim/encode.h"

/* Operations of one thread's share, gathered without sharing. */
typedef struct tally {
  uint64_t spikes, accumulates, macs;
} tally;

/* Steps that one pass stands for. */
static float steps_of_pass(const snn_stage_context *ctx) {
  return ctx->plan->kind == SNN_PLAN_WHOLE_RUN ? (float)ctx->timesteps : 1.0f;
}

static float *edge_floats(const snn_stage_context *ctx, const snn_edge *e, uint32_t t) {
  return (float *)(void *)(ctx->memory + e->offset) + e->step * t;
}

/* Planes of bits a spike edge has: +1, and in signed plans -1. */
static uint32_t planes(const snn_stage_context *ctx) {
  return ctx->plan->kind == SNN_PLAN_SIGNED ? 2 : 1;
}

static uint64_t *edge_plane(const snn_stage_context *ctx, const snn_edge *e, uint32_t t, uint32_t plane) {
  return (uint64_t *)(void *)(ctx->memory + e->offset) + e->step * t + (plane ? e->step / 2 : 0);
}

/* Site of item i of a stage. */
static snn_site site_of(const snn_stage *stage, size_t item) {
  uint32_t block = (uint32_t)(item % stage->blocks);
  size_t position = item / stage->blocks;
  uint32_t begin = block * SNN_BLOCK, left = stage->shape.c - begin;
  return (snn_site){.y = (uint32_t)(position / stage->shape.w),
                    .x = (uint32_t)(position % stage->shape.w),
                    .begin = begin,
                    .n = left < SNN_BLOCK ? left : SNN_BLOCK};
}

/* That of the next item. */
static void next_site(const snn_stage *stage, snn_site *site) {
  site->begin += SNN_BLOCK;
  if (site->begin >= stage->shape.c) {
    site->begin = 0;
    if (++site->x == stage->shape.w) {
      site->x = 0;
      site->y++;
    }
  }
  const uint32_t left = stage->shape.c - site->begin;
  site->n = left < SNN_BLOCK ? left : SNN_BLOCK;
}

static size_t items_of(const snn_stage *stage) {
  return (size_t)stage->shape.h * stage->shape.w * stage->blocks;
}

/* Index of a site's first channel in a map [h][w][c]. */
static size_t element_of(const snn_stage *stage, snn_site site) {
  return ((size_t)site.y * stage->shape.w + site.x) * stage->shape.c + site.begin;
}

/* The source itself as a current: acc += value of its channels at this site. Returns the accumulates done. */
static uint64_t add_identity(const snn_stage_context *ctx, const snn_edge *e, snn_site site, uint32_t t, float *acc) {
  size_t position = (size_t)site.y * e->shape.w + site.x;
  if (e->kind == SNN_EDGE_SPIKES) {
    uint64_t n = 0;
    for (uint32_t plane = 0; plane < planes(ctx); plane++) {
      uint64_t bits = edge_plane(ctx, e, t, plane)[position * e->words + site.begin / SNN_BLOCK];
      n += (uint64_t)__builtin_popcountll(bits);
      for (; bits; bits &= bits - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(bits);
        acc[i] += (plane ? e->minus : e->amplitude)[site.begin + i];
      }
    }
    return n;
  }
  const float *x = edge_floats(ctx, e, t) + position * e->shape.c + site.begin;
  if (e->kind != SNN_EDGE_COUNTS) {
    for (uint32_t i = 0; i < site.n; i++) acc[i] += x[i];
    return e->kind == SNN_EDGE_STATIC ? 0 : site.n; /* a constant current is a bias, not an event */
  }
  uint64_t n = 0;
  for (uint32_t i = 0; i < site.n; i++) {
    acc[i] += x[i] * e->amplitude[site.begin + i];
    n += (uint64_t)fabsf(x[i]);
  }
  return n;
}

/* acc += one term at step t. */
static void add_term(const snn_stage_context *ctx, const snn_term *term, snn_site site, uint32_t t, float *acc,
                     tally *done) {
  const snn_edge *e = &ctx->plan->edges[term->source];
  if (!term->is_conv) {
    done->accumulates += add_identity(ctx, e, site, t, acc);
  } else if (e->kind == SNN_EDGE_SPIKES) {
    for (uint32_t plane = 0; plane < planes(ctx); plane++)
      done->accumulates += ctx->kernels->conv_spikes(&term->conv, site, edge_plane(ctx, e, t, plane),
                                                     plane ? e->minus : e->amplitude, acc);
  } else if (e->kind == SNN_EDGE_COUNTS) {
    done->accumulates += ctx->kernels->conv_counts(&term->conv, site, edge_floats(ctx, e, t), e->amplitude, acc);
  } else {
    done->macs += ctx->kernels->conv_graded(&term->conv, site, edge_floats(ctx, e, t), acc);
  }
}

/* Integrate the current of step t and fire; returns the number of spikes, of either sign. */
static uint64_t fire(const snn_stage_context *ctx, const snn_stage *stage, snn_site site, uint32_t t, float *current) {
  const snn_edge *e = &ctx->plan->edges[stage->node];
  size_t element = element_of(stage, site), position = (size_t)site.y * e->shape.w + site.x;
  float *v = (float *)(void *)(ctx->memory + stage->state) + element;
  snn_neuron_block block = {.level = (ctx->neuron->level_share < 1 ? stage->half_fire : stage->fire) + site.begin,
                            .theta = stage->theta + site.begin,
                            .tau = ctx->tau,
                            .v = v,
                            .balance = ctx->neuron->is_signed ? v + snn_shape_size(stage->shape) : NULL};
  if (ctx->initial[stage->node].shift)
    for (uint32_t i = 0; i < site.n; i++) current[i] += ctx->shift * block.theta[i];
  if (ctx->plan->kind == SNN_PLAN_WHOLE_RUN) {
    float *counts = edge_floats(ctx, e, t) + element;
    ctx->neuron->whole_run(&block, current, ctx->timesteps, counts, site.n);
    uint64_t spikes = 0;
    for (uint32_t i = 0; i < site.n; i++) spikes += (uint64_t)counts[i];
    return spikes;
  }
  snn_fired fired = ctx->neuron->step(ctx->kernels, &block, current, site.n);
  size_t word = position * e->words + site.begin / SNN_BLOCK;
  edge_plane(ctx, e, t, 0)[word] = fired.plus;
  if (ctx->plan->kind == SNN_PLAN_SIGNED) edge_plane(ctx, e, t, 1)[word] = fired.minus;
  return (uint64_t)(__builtin_popcountll(fired.plus) + __builtin_popcountll(fired.minus));
}

/* The readout's sums, and those after step k of the chunk. */
static double *sums_of(const snn_stage_context *ctx, const snn_stage *readout) {
  return (double *)(void *)(ctx->memory + readout->sums);
}

static double *sums_after(const snn_stage_context *ctx, const snn_stage *readout, uint32_t k) {
  return sums_of(ctx, readout) + (size_t)(k + 1) * readout->shape.c;
}

/* The last layer's neurons, for readout `count`: current[n] becomes the spikes of this step, or of all T. Returns how
 * many were fired, of either sign. */
static uint64_t fire_out(const snn_stage_context *ctx, const snn_stage *stage, snn_site site, float *current) {
  float *v = (float *)(void *)(ctx->memory + stage->state) + site.begin;
  snn_neuron_block block = {.level = (ctx->neuron->level_share < 1 ? stage->half_fire : stage->fire) + site.begin,
                            .theta = stage->theta + site.begin,
                            .tau = ctx->tau,
                            .v = v,
                            .balance = ctx->neuron->is_signed ? v + stage->shape.c : NULL};
  uint64_t fired = 0;
  if (ctx->plan->kind == SNN_PLAN_WHOLE_RUN) {
    float counts[SNN_BLOCK];
    ctx->neuron->whole_run(&block, current, ctx->timesteps, counts, site.n);
    for (uint32_t i = 0; i < site.n; i++) fired += (uint64_t)(current[i] = counts[i]);
    return fired;
  }
  snn_fired bits = ctx->neuron->step(ctx->kernels, &block, current, site.n);
  for (uint32_t i = 0; i < site.n; i++) current[i] = (float)(bits.plus >> i & 1) - (float)(bits.minus >> i & 1);
  return (uint64_t)(__builtin_popcountll(bits.plus) + __builtin_popcountll(bits.minus));
}

/* Give the current of step t to the sink; returns the spikes fired. */
static uint64_t sink(const snn_stage_context *ctx, const snn_stage *stage, snn_site site, uint32_t t, float *acc) {
  if (stage->sink == SNN_SINK_SPIKES) return fire(ctx, stage, site, t, acc);
  if (stage->sink == SNN_SINK_SCORES) {
    uint64_t fired = ctx->counts_out ? fire_out(ctx, stage, site, acc) : 0;
    double *sum = sums_of(ctx, stage) + site.begin, *after = sums_after(ctx, stage, t) + site.begin;
    for (uint32_t i = 0; i < site.n; i++) after[i] = sum[i] += (double)acc[i];
    return fired;
  }
  memcpy(edge_floats(ctx, &ctx->plan->edges[stage->node], t) + element_of(stage, site), acc, site.n * sizeof *acc);
  return 0;
}

/* A stage that sums terms: neurons, stored currents, the readout. In a whole-run plan the one step stands for all T, so
 * the bias counts T times; the image was multiplied by T when it came in. done: [steps of the chunk] where steps are
 * told apart, else one. */
static void run_sum(const snn_stage_context *ctx, const snn_stage *stage, size_t begin, size_t end, uint32_t n_steps,
                    tally *done) {
  const float times = steps_of_pass(ctx);
  snn_site site = site_of(stage, begin);
  for (size_t item = begin; item < end; item++, next_site(stage, &site)) {
    snn_stand_back(ctx->team.courtesy);
    const float *bias = stage->bias_map ? stage->bias_map + element_of(stage, site) : stage->bias + site.begin;
    for (uint32_t t = 0; t < n_steps; t++) {
      float acc[SNN_BLOCK];
      tally *step = &done[ctx->counts_steps ? t : 0];
      float *kept = ctx->currents ? ctx->currents + t * snn_shape_size(stage->shape) + element_of(stage, site) : NULL;
      if (kept && ctx->has_currents) {
        memcpy(acc, kept, site.n * sizeof *acc);
      } else {
        for (uint32_t i = 0; i < site.n; i++) acc[i] = bias[i] * times;
        for (uint32_t k = 0; k < stage->n_terms; k++) add_term(ctx, &stage->terms[k], site, t, acc, step);
        if (kept) memcpy(kept, acc, site.n * sizeof *acc);
      }
      step->spikes += sink(ctx, stage, site, t, acc);
    }
  }
}

/* Does a stage store what one convolution makes of a map of values that do not change, all channels in one block? */
static bool is_constant_conv(const snn_stage_context *ctx, const snn_stage *stage) {
  return stage->sink == SNN_SINK_STATIC && stage->kind != SNN_LAYER_MAXPOOL && stage->n_terms == 1 &&
         stage->blocks == 1 && stage->terms[0].is_conv && !ctx->currents &&
         ctx->plan->edges[stage->terms[0].source].kind == SNN_EDGE_STATIC;
}

/* Such a one, row by row. A bias of -0 becomes 0, as the kernel wants it. */
static void run_constant_conv(const snn_stage_context *ctx, const snn_stage *stage, size_t begin, size_t end,
                              tally *done) {
  const float times = steps_of_pass(ctx), *in = edge_floats(ctx, &ctx->plan->edges[stage->terms[0].source], 0);
  float *out = edge_floats(ctx, &ctx->plan->edges[stage->node], 0);
  for (size_t item = begin; item < end;) {
    snn_stand_back(ctx->team.courtesy);
    const snn_site site = site_of(stage, item);
    const size_t left = stage->shape.w - site.x, n = left < end - item ? left : end - item,
                 at = element_of(stage, site);
    for (size_t i = 0; i < n; i++) {
      const float *bias = stage->bias_map ? stage->bias_map + at + i * site.n : stage->bias;
      for (uint32_t c = 0; c < site.n; c++) out[at + i * site.n + c] = bias[c] * times + 0.0f;
    }
    done->macs += ctx->kernels->conv_graded_row(&stage->terms[0].conv, site, (uint32_t)n, in, out + at);
    item += n;
  }
}

/* The part of a pooling window that lies inside the map: rows [y0, y1), columns [x0, x1) in steps of the dilation. */
typedef struct pool_area {
  int64_t y0, y1, x0, x1;
  uint32_t divisor; /* of an average */
} pool_area;

static pool_area area_of(const snn_pool *pool, snn_site site, snn_shape in) {
  const snn_window *w = &pool->window;
  pool_area a = {.y0 = (int64_t)site.y * w->stride_h - w->pad_top, .x0 = (int64_t)site.x * w->stride_w - w->pad_left};
  a.y1 = a.y0 + (int64_t)(w->kernel_h - 1) * w->dilation_h + 1;
  a.x1 = a.x0 + (int64_t)(w->kernel_w - 1) * w->dilation_w + 1;
  while (a.y0 < 0) a.y0 += w->dilation_h;
  while (a.x0 < 0) a.x0 += w->dilation_w;
  if (a.y1 > in.h) a.y1 = in.h;
  if (a.x1 > in.w) a.x1 = in.w;
  uint32_t rows = a.y1 > a.y0 ? (uint32_t)((a.y1 - a.y0 + w->dilation_h - 1) / w->dilation_h) : 0;
  uint32_t columns = a.x1 > a.x0 ? (uint32_t)((a.x1 - a.x0 + w->dilation_w - 1) / w->dilation_w) : 0;
  a.divisor = pool->count_include_pad ? w->kernel_h * w->kernel_w : rows * columns;
  return a;
}

/* What one channel of a source is worth at a position, in the unit the pool works in: whole numbers of events where
 * `whole`, else with what it is worth at rest. */
static float source_value(const snn_stage_context *ctx, const snn_edge *e, size_t position, uint32_t channel,
                          uint32_t t, bool whole) {
  const float rest = e->rest && !whole ? e->rest[position * e->shape.c + channel] * steps_of_pass(ctx) : 0.0f;
  if (e->kind == SNN_EDGE_SPIKES) {
    float spike = 0;
    for (uint32_t plane = 0; plane < planes(ctx); plane++) {
      uint64_t word = edge_plane(ctx, e, t, plane)[position * e->words + channel / SNN_BLOCK];
      spike += (float)(word >> (channel % SNN_BLOCK) & 1) * (plane ? -1.0f : 1.0f);
    }
    return whole ? spike : spike * e->amplitude[channel] + rest;
  }
  float x = edge_floats(ctx, e, t)[position * e->shape.c + channel];
  return e->kind == SNN_EDGE_COUNTS && !whole ? x * e->amplitude[channel] + rest : x;
}

static void run_average(const snn_stage_context *ctx, const snn_stage *stage, size_t begin, size_t end,
                        uint32_t n_steps) {
  const snn_edge *from = &ctx->plan->edges[stage->terms[0].source], *to = &ctx->plan->edges[stage->node];
  const snn_window *w = &stage->pool->window;
  bool whole = to->kind == SNN_EDGE_COUNTS;
  for (size_t item = begin; item < end; item++) {
    snn_stand_back(ctx->team.courtesy);
    snn_site site = site_of(stage, item);
    pool_area area = area_of(stage->pool, site, from->shape);
    for (uint32_t t = 0; t < n_steps; t++) {
      float *out = edge_floats(ctx, to, t) + element_of(stage, site);
      memset(out, 0, site.n * sizeof *out);
      for (int64_t y = area.y0; y < area.y1; y += w->dilation_h)
        for (int64_t x = area.x0; x < area.x1; x += w->dilation_w)
          for (uint32_t i = 0; i < site.n; i++)
            out[i] += source_value(ctx, from, (size_t)y * from->shape.w + (size_t)x, site.begin + i, t, whole);
      for (uint32_t i = 0; !whole && i < site.n; i++) out[i] /= (float)area.divisor;
    }
  }
}

/* The maximum of the cumulated current: with J(t) = max over the window of the sum of x(1..t), the output is J(t) -
 * J(t-1), which in the rate limit is the maximum of the rates. A source that is constant gives a constant maximum.
 * State of an output position: [taps][c] cumulated inputs, then [c] last J; each position keeps its own, so overlapping
 * windows need no order. */
static void run_maximum(const snn_stage_context *ctx, const snn_stage *stage, size_t begin, size_t end,
                        uint32_t n_steps) {
  const snn_edge *from = &ctx->plan->edges[stage->terms[0].source], *to = &ctx->plan->edges[stage->node];
  const snn_window *w = &stage->pool->window;
  size_t taps = (size_t)w->kernel_h * w->kernel_w, channels = stage->shape.c;
  bool constant = stage->sink == SNN_SINK_STATIC;
  for (size_t item = begin; item < end; item++) {
    snn_stand_back(ctx->team.courtesy);
    snn_site site = site_of(stage, item);
    pool_area area = area_of(stage->pool, site, from->shape);
    size_t position = (size_t)site.y * stage->shape.w + site.x;
    float *state = (float *)(void *)(ctx->memory + stage->state) + position * (taps + 1) * channels + site.begin;
    for (uint32_t t = 0; t < n_steps; t++) {
      float best[SNN_BLOCK], *sum = state, *last = state + taps * channels;
      for (uint32_t i = 0; i < site.n; i++) best[i] = -INFINITY;
      for (int64_t y = area.y0; y < area.y1; y += w->dilation_h)
        for (int64_t x = area.x0; x < area.x1; x += w->dilation_w, sum += channels)
          for (uint32_t i = 0; i < site.n; i++) {
            float j = source_value(ctx, from, (size_t)y * from->shape.w + (size_t)x, site.begin + i, t, false);
            if (!constant) j = sum[i] += j;
            if (j > best[i]) best[i] = j;
          }
      float *out = edge_floats(ctx, to, t) + element_of(stage, site);
      for (uint32_t i = 0; i < site.n; i++) {
        out[i] = constant ? best[i] : best[i] - last[i];
        if (!constant) last[i] = best[i];
      }
    }
  }
}

/* Channels [begin, begin + n), n <= 64, of one position's spikes, as bits from 0 upwards. */
static uint64_t spike_bits(const uint64_t *words, uint32_t begin, uint32_t n) {
  uint32_t w = begin / SNN_BLOCK, shift = begin % SNN_BLOCK;
  uint64_t bits = words[w] >> shift;
  if (shift + n > SNN_BLOCK) bits |= words[w + 1] << (SNN_BLOCK - shift);
  return n < SNN_BLOCK ? bits & ((1ull << n) - 1) : bits;
}

bool snn_shown_position(const snn_slice *s, snn_shape in, snn_site site, size_t *position) {
  uint64_t y = site.y, x = site.x;
  if (s) {
    if (site.y < s->pad[1] || site.x < s->pad[2]) return false;
    y = s->start[1] + (uint64_t)(site.y - s->pad[1]) * s->step[0];
    x = s->start[2] + (uint64_t)(site.x - s->pad[2]) * s->step[1];
    if (y >= in.h || x >= in.w) return false;
  }
  *position = (size_t)(y * in.w + x);
  return true;
}

/* A concatenation or slice: channels of other edges, copied as they are. Costs no operation, like any wire. */
static void run_gather(const snn_stage_context *ctx, const snn_stage *stage, size_t begin, size_t end,
                       uint32_t n_steps) {
  const snn_edge *to = &ctx->plan->edges[stage->node];
  bool whole = to->kind == SNN_EDGE_COUNTS;
  for (size_t item = begin; item < end; item++) {
    snn_stand_back(ctx->team.courtesy);
    snn_site site = site_of(stage, item);
    size_t position = (size_t)site.y * to->shape.w + site.x, from_position = 0;
    for (uint32_t t = 0; t < n_steps; t++) {
      uint64_t words[2] = {0, 0}; /* one a plane */
      float values[SNN_BLOCK] = {0};
      for (uint32_t k = 0; k < stage->n_pieces; k++) {
        const snn_piece *p = &stage->pieces[k];
        const snn_edge *from = &ctx->plan->edges[p->source];
        uint32_t first = p->to > site.begin ? p->to : site.begin, last = p->to + p->n;
        if (last > site.begin + site.n) last = site.begin + site.n;
        if (first >= last || !snn_shown_position(stage->slice, from->shape, site, &from_position)) continue;
        uint32_t channel = p->from + (first - p->to), at = first - site.begin;
        if (to->kind == SNN_EDGE_SPIKES)
          for (uint32_t plane = 0; plane < planes(ctx); plane++)
            words[plane] |=
                spike_bits(edge_plane(ctx, from, t, plane) + from_position * from->words, channel, last - first) << at;
        else
          for (uint32_t i = 0; i < last - first; i++)
            values[at + i] = source_value(ctx, from, from_position, channel + i, t, whole);
      }
      if (to->kind == SNN_EDGE_SPIKES)
        for (uint32_t plane = 0; plane < planes(ctx); plane++)
          edge_plane(ctx, to, t, plane)[position * to->words + site.begin / SNN_BLOCK] = words[plane];
      else
        memcpy(edge_floats(ctx, to, t) + element_of(stage, site), values, site.n * sizeof *values);
    }
  }
}

/* A constant map, for the whole run at once where the plan is one of totals. */
static void run_constant(const snn_stage_context *ctx, const snn_stage *stage, size_t begin, size_t end) {
  const float times = ctx->plan->kind == SNN_PLAN_WHOLE_RUN ? (float)ctx->timesteps : 1.0f;
  float *out = edge_floats(ctx, &ctx->plan->edges[stage->node], 0);
  for (size_t item = begin; item < end; item++) {
    snn_stand_back(ctx->team.courtesy);
    snn_site site = site_of(stage, item);
    size_t element = element_of(stage, site);
    for (uint32_t i = 0; i < site.n; i++) out[element + i] = stage->values[element + i] * times;
  }
}

void snn_stage_reset(const snn_stage_context *ctx, const snn_stage *stage) {
  size_t begin, end;
  snn_team_share(ctx->team, items_of(stage), &begin, &end);
  for (size_t item = begin; item < end; item++) {
    snn_stand_back(ctx->team.courtesy);
    snn_site site = site_of(stage, item);
    char *state = ctx->memory + stage->state;
    if (stage->kind == SNN_LAYER_INPUT) return; /* the levels came with the image */
    if (stage->sink == SNN_SINK_SPIKES) {
      size_t element = element_of(stage, site);
      float *v = (float *)(void *)state + element;
      snn_potentials from = ctx->initial[stage->node];
      for (uint32_t i = 0; i < site.n; i++) {
        size_t k = from.n == 1 ? 0 : from.n == stage->shape.c ? site.begin + i : element + i;
        v[i] = from.values[k] * stage->theta[site.begin + i];
        if (ctx->plan->kind == SNN_PLAN_SIGNED) v[snn_shape_size(stage->shape) + i] = 0;
      }
    } else if (stage->sink == SNN_SINK_SCORES) {
      float *v = (float *)(void *)state + site.begin;
      memset(sums_of(ctx, stage) + site.begin, 0, site.n * sizeof(double));
      for (uint32_t i = 0; ctx->counts_out && i < site.n; i++) {
        v[i] = ctx->output_start * stage->theta[site.begin + i];
        v[stage->shape.c + i] = 0;
      }
    } else if (stage->kind == SNN_LAYER_MAXPOOL && stage->sink == SNN_SINK_GRADED) {
      const snn_window *w = &stage->pool->window;
      size_t taps = (size_t)w->kernel_h * w->kernel_w, position = (size_t)site.y * stage->shape.w + site.x;
      float *sums = (float *)(void *)state + position * (taps + 1) * stage->shape.c + site.begin;
      for (size_t k = 0; k <= taps; k++) memset(sums + k * stage->shape.c, 0, site.n * sizeof *sums);
    }
  }
}

void snn_stage_scores(const snn_stage_context *ctx, const snn_stage *readout, uint32_t k, uint32_t steps, float *out) {
  const double *sums = sums_after(ctx, readout, k);
  for (uint32_t c = 0; c < readout->shape.c; c++)
    out[c] = (float)((ctx->counts_out ? sums[c] * (double)readout->theta[c] : sums[c]) / steps);
}

/* Add what one step, or the chunk, cost. */
static void charge(const snn_stage_context *ctx, const snn_stage *stage, size_t row, const tally *done) {
  const size_t at = row * ctx->plan->n_edges;
  uint64_t *const counters[] = {&ctx->counters.spikes[at + stage->node],
                                &ctx->counters.synaptic_operations[at + stage->charged],
                                &ctx->counters.macs[at + stage->charged]};
  const uint64_t counts[] = {done->spikes, done->accumulates, done->macs};
  for (int i = 0; i < 3; i++)
    if (counts[i]) __atomic_fetch_add(counters[i], counts[i], __ATOMIC_RELAXED);
}

void snn_stage_run(const snn_stage_context *ctx, const snn_stage *stage, uint32_t n_steps) {
  size_t begin, end;
  tally done[SNN_STOP_CHUNK] = {0};
  snn_team_share(ctx->team, items_of(stage), &begin, &end);
  if (stage->kind == SNN_LAYER_INPUT)
    snn_encode_run(ctx, stage, begin, end, n_steps);
  else if (stage->kind == SNN_LAYER_AVGPOOL)
    run_average(ctx, stage, begin, end, n_steps);
  else if (stage->kind == SNN_LAYER_MAXPOOL)
    run_maximum(ctx, stage, begin, end, n_steps);
  else if (stage->values)
    run_constant(ctx, stage, begin, end);
  else if (stage->pieces)
    run_gather(ctx, stage, begin, end, n_steps);
  else if (is_constant_conv(ctx, stage))
    run_constant_conv(ctx, stage, begin, end, done);
  else
    run_sum(ctx, stage, begin, end, n_steps, done);
  for (uint32_t row = 0; row < (ctx->counts_steps ? n_steps : 1); row++) charge(ctx, stage, row, &done[row]);
}
