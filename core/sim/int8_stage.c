/* Running the integer stages that sum terms. Work is shared out by block of lanes first, then by site, so that a thread
 * meets few blocks and their weights stay in its cache; all steps of a chunk are done at a site before the next. Which
 * thread does an item changes nothing: an item reads what earlier stages left and writes what is its alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/int8.h"

enum { BLOCK_LANES = SNN_INT8_GROUPS * SNN_LANES };

/* What an item is. */
typedef struct item {
  uint32_t index, block, y, x; /* stage; x: of the sites of a row */
  size_t site;
  const snn_stage *stage;
  const snn_int8_layer *layer;
} item;

static item item_of(const snn_int8_context *ctx, uint32_t index, size_t i) {
  item it = {.index = index, .stage = &ctx->sim->plan->stages[index], .layer = &ctx->sim->model->layers[index]};
  size_t sites = (size_t)it.stage->shape.h * it.layer->sites_w;
  it.block = (uint32_t)(i / sites);
  it.site = i % sites;
  it.y = (uint32_t)(it.site / it.layer->sites_w);
  it.x = (uint32_t)(it.site % it.layer->sites_w);
  return it;
}

static uint32_t lanes_of(const item *it) {
  return it->layer->groups * SNN_LANES;
}

static uint32_t first_lane(const item *it) {
  return it->block * lanes_of(it);
}

static int32_t *state_of(const snn_int8_context *ctx, const item *it, size_t offset) {
  return (int32_t *)(void *)(ctx->memory + offset) + it->site * it->layer->lanes + first_lane(it);
}

/* Calls for each output of the item's site and its channels in this block: lanes [*lane, + n) are channels [*channel, +
 * n) of `position`. Returns n, 0 behind the last. j counts from 0. */
static uint32_t output_of(const item *it, uint32_t j, uint32_t *lane, uint32_t *channel, size_t *position) {
  const uint32_t channels = it->stage->shape.c, x = it->x * it->layer->unroll + j;
  if (j >= it->layer->unroll || x >= it->stage->shape.w) return 0;
  *position = (size_t)it->y * it->stage->shape.w + x;
  *lane = j * channels;
  *channel = it->layer->unroll == 1 ? first_lane(it) : 0;
  if (*channel >= channels) return 0;
  uint32_t n = channels - *channel;
  return n < lanes_of(it) ? n : lanes_of(it);
}

/* Input rows or columns of tap k. */
static bool tap_inside(uint32_t out, uint32_t k, uint32_t stride, uint32_t dilation, uint32_t pad, uint32_t in,
                       uint32_t *at) {
  int64_t i = (int64_t)out * stride + (int64_t)k * dilation - pad;
  *at = (uint32_t)i;
  return i >= 0 && i < in;
}

static uint32_t pooled_taps(const snn_int8_context *ctx, const snn_int8_term *term, uint32_t y, uint32_t x,
                            uint32_t row, uint32_t n, snn_int8_tap *taps) {
  const snn_window *w = &term->pool->window;
  const snn_shape in = ctx->sim->net->nodes[term->pooled].shape;
  for (uint32_t ky = 0; ky < w->kernel_h; ky++)
    for (uint32_t kx = 0; kx < w->kernel_w; kx++) {
      uint32_t at_y, at_x;
      if (tap_inside(y, ky, w->stride_h, w->dilation_h, w->pad_top, in.h, &at_y) &&
          tap_inside(x, kx, w->stride_w, w->dilation_w, w->pad_left, in.w, &at_x))
        taps[n++] = (snn_int8_tap){snn_int8_bits(ctx, term->pooled, (size_t)at_y * in.w + at_x, 0), row};
    }
  return n;
}

/* The taps of a convolution at a site: their spikes, where it reads spikes, and their rows of weights. */
static uint32_t find_taps(const snn_int8_context *ctx, const snn_int8_term *term, const item *it, snn_int8_tap *taps) {
  const snn_conv_args *a = &term->conv;
  uint32_t n = 0, y, x;
  for (uint32_t ky = 0; ky < a->kernel_h; ky++) {
    if (!tap_inside(it->y, ky, a->stride_h, a->dilation_h, a->pad_top, a->in_h, &y)) continue;
    for (uint32_t kx = 0; kx < term->columns; kx++) {
      if (!tap_inside(it->x * it->layer->unroll, kx, a->stride_w, a->dilation_w, a->pad_left, a->in_w, &x)) continue;
      uint32_t row = (ky * term->columns + kx) * a->in_c;
      if (snn_int8_looks_through(ctx, term))
        n = pooled_taps(ctx, term, y, x, row, n, taps);
      else
        taps[n++] = (snn_int8_tap){snn_int8_bits(ctx, term->source, (size_t)y * a->in_w + x, 0), row};
    }
  }
  return n;
}

static const int8_t *weights_of(const snn_int8_term *term, const item *it) {
  size_t rows = (size_t)term->conv.kernel_h * term->columns * term->conv.in_c;
  return term->weights + it->block * rows * lanes_of(it);
}

/* Numbers of spikes: a row as often as its number says; for sign 1 the negative ones. Averages that nothing looks
 * through are rare. */
static uint32_t list_counts(const snn_int8_context *ctx, const snn_int8_term *term, const item *it, uint32_t t,
                            bool negative, uint32_t *rows) {
  const snn_conv_args *a = &term->conv;
  uint32_t n = 0, y, x;
  for (uint32_t ky = 0; ky < a->kernel_h; ky++)
    for (uint32_t kx = 0; kx < term->columns; kx++) {
      if (!tap_inside(it->y, ky, a->stride_h, a->dilation_h, a->pad_top, a->in_h, &y) ||
          !tap_inside(it->x * it->layer->unroll, kx, a->stride_w, a->dilation_w, a->pad_left, a->in_w, &x))
        continue;
      const int32_t *counts = snn_int8_values(ctx, term->source, (size_t)y * a->in_w + x, t);
      for (uint32_t c = 0; c < a->in_c; c++)
        for (int32_t k = negative ? -counts[c] : counts[c]; k > 0; k--)
          rows[n++] = (ky * term->columns + kx) * a->in_c + c;
    }
  return n;
}

/* acc += a convolution in groups of channels: plain code, lane = channel. */
static void add_grouped(const snn_int8_context *ctx, const snn_int8_term *term, const item *it, uint32_t t,
                        int32_t *acc) {
  const snn_conv_args *a = &term->conv;
  uint32_t first = first_lane(it), left = a->out_c > first ? a->out_c - first : 0, y, x;
  const uint32_t n = left < lanes_of(it) ? left : lanes_of(it);
  for (uint32_t ky = 0; ky < a->kernel_h; ky++)
    for (uint32_t kx = 0; kx < a->kernel_w; kx++) {
      if (!tap_inside(it->y, ky, a->stride_h, a->dilation_h, a->pad_top, a->in_h, &y) ||
          !tap_inside(it->x, kx, a->stride_w, a->dilation_w, a->pad_left, a->in_w, &x))
        continue;
      const int8_t *weights = term->weights + (size_t)(ky * a->kernel_w + kx) * a->group_in * a->out_c;
      for (uint32_t o = first; o < first + n; o++)
        for (uint32_t i = 0; i < a->group_in; i++) {
          int32_t value =
              snn_int8_value(ctx, term->source, (size_t)y * a->in_w + x, o / a->group_out * a->group_in + i, t);
          acc[o - first] += value * weights[(size_t)i * a->out_c + o];
        }
    }
}

/* Spikes of the lanes of group g of an item, from a node of the same shape. */
static uint64_t lanes_of_spikes(const snn_int8_context *ctx, uint32_t node, const item *it, uint32_t g, uint32_t sign,
                                uint32_t t) {
  const uint32_t channels = it->stage->shape.c, words = snn_words(channels);
  if (it->layer->unroll == 1) {
    const uint32_t w = it->block * it->layer->groups + g;
    return w < words ? snn_int8_bits(ctx, node, it->site, sign)[(size_t)t * words + w] : 0;
  }
  uint64_t bits = 0;
  uint32_t lane, channel;
  size_t position;
  for (uint32_t j = 0; output_of(it, j, &lane, &channel, &position) > 0; j++)
    bits |= snn_int8_bits(ctx, node, position, sign)[t] << lane;
  return bits;
}

/* more += what is added as it is: spikes or numbers of them, each worth an amount, or currents. */
static void add_wire(const snn_int8_context *ctx, const snn_int8_term *term, const item *it, uint32_t t,
                     int32_t *more) {
  if (snn_int8_kind_of(ctx, term->source) == SNN_INT8_SPIKES) {
    for (uint32_t g = 0; g < it->layer->groups; g++)
      for (uint32_t sign = 0; sign < snn_int8_signs(ctx->layout); sign++) {
        uint64_t bits = lanes_of_spikes(ctx, term->source, it, g, sign, t);
        if (bits)
          ctx->sim->kernels->add_spikes(bits, term->amount + first_lane(it) + g * SNN_LANES, sign == 1,
                                        more + g * SNN_LANES);
      }
    return;
  }
  uint32_t lane, channel;
  size_t position;
  for (uint32_t j = 0, n; (n = output_of(it, j, &lane, &channel, &position)) > 0; j++)
    for (uint32_t i = 0; i < n; i++) {
      int32_t x = snn_int8_value(ctx, term->source, position, channel + i, t);
      more[lane + i] += term->amount ? x * term->amount[channel + i] : x;
    }
}

/* Currents of one step at one item. */
typedef struct currents {
  int32_t acc[BLOCK_LANES], more[BLOCK_LANES];
  bool has_acc, has_more;
} currents;

static void gather_currents(const snn_int8_context *ctx, const item *it, const uint32_t *n_taps,
                            const snn_int8_tap *const *taps, uint32_t t, currents *sum) {
  const snn_int8_kernels *kernels = ctx->sim->kernels;
  const uint32_t lanes = lanes_of(it);
  sum->has_acc = sum->has_more = false;
  for (uint32_t k = 0; k < it->layer->n_terms; k++) {
    const snn_int8_term *term = &it->layer->terms[k];
    if (!term->is_conv) {
      if (!sum->has_more) memset(sum->more, 0, lanes * sizeof *sum->more);
      add_wire(ctx, term, it, t, sum->more);
      sum->has_more = true;
      continue;
    }
    const snn_int8_kind kind =
        snn_int8_looks_through(ctx, term) ? SNN_INT8_SPIKES : snn_int8_kind_of(ctx, term->source);
    if (term->is_grouped) {
      if (!sum->has_acc) memset(sum->acc, 0, lanes * sizeof *sum->acc);
      add_grouped(ctx, term, it, t, sum->acc);
    } else {
      uint32_t *rows = ctx->scratch->rows, words = snn_words(term->conv.in_c);
      const size_t plane = (size_t)ctx->layout->chunk * words;
      for (uint32_t sign = 0; sign < snn_int8_signs(ctx->layout); sign++) {
        /* The caller found the taps of every term. NOLINTBEGIN(clang-analyzer-core.CallAndMessage) */
        uint32_t n = kind == SNN_INT8_SPIKES
                         ? kernels->list(taps[k], n_taps[k], words, sign * plane + (size_t)t * words, rows)
                         : list_counts(ctx, term, it, t, sign == 1, rows);
        /* NOLINTEND(clang-analyzer-core.CallAndMessage) */
        if (sign == 0) {
          kernels->add_rows(weights_of(term, it), it->layer->groups, rows, n, sum->has_acc, sum->acc);
        } else {
          int32_t taken[BLOCK_LANES];
          kernels->add_rows(weights_of(term, it), it->layer->groups, rows, n, false, taken);
          for (uint32_t i = 0; i < lanes; i++) sum->acc[i] -= taken[i];
        }
      }
    }
    sum->has_acc = true;
  }
}

/* Currents that do not change, with the bias: computed at an image's first chunk. */
static const int32_t *constant_of(const snn_int8_context *ctx, const item *it) {
  const snn_int8_layer *layer = it->layer;
  const int32_t *bias = ctx->sim->numbers[it->index].bias + first_lane(it);
  if (!layer->n_statics) return bias;
  int32_t *constant = state_of(ctx, it, ctx->layout->stages[it->index].constant);
  if (ctx->first_step) return constant;
  const int32_t times = ctx->layout->kind == SNN_PLAN_WHOLE_RUN ? (int32_t)ctx->timesteps : 1;
  memcpy(constant, bias, lanes_of(it) * sizeof *constant);
  uint32_t lane, channel;
  size_t position;
  for (uint32_t j = 0, n; (n = output_of(it, j, &lane, &channel, &position)) > 0; j++)
    for (uint32_t i = 0; i < n; i++) {
      float sum = 0;
      for (uint32_t k = 0; k < layer->n_statics; k++)
        sum += ((const float *)(const void *)(ctx->constant.memory +
                                              ctx->sim->plan->edges[layer->statics[k]]
                                                  .offset))[position * it->stage->shape.c + channel + i];
      constant[lane + i] += times * snn_int8_clamped(sum * layer->per_unit[channel + i], layer->most_static);
    }
  return constant;
}

/* Potentials at their start, at an image's first chunk. */
static void reset(const snn_int8_context *ctx, const item *it, int32_t *v, int32_t *balance) {
  const snn_potentials from = ctx->constant.initial[it->stage->node];
  const uint32_t channels = it->stage->shape.c;
  if (balance) memset(balance, 0, lanes_of(it) * sizeof *balance);
  memcpy(v, ctx->sim->numbers[it->index].start + first_lane(it), lanes_of(it) * sizeof *v);
  if (from.n == 1 || from.n == channels) return;
  uint32_t lane, channel;
  size_t position;
  for (uint32_t j = 0, n; (n = output_of(it, j, &lane, &channel, &position)) > 0; j++)
    for (uint32_t i = 0; i < n; i++)
      v[lane + i] = snn_int8_potential(from.values[position * channels + channel + i], it->layer->theta[channel + i]);
}

/* Lanes of the last group that belong to neurons. */
static uint64_t valid_lanes(const item *it) {
  uint32_t left = it->stage->shape.w - it->x * it->layer->unroll;
  if (it->layer->unroll == 1 || left * it->stage->shape.c >= SNN_LANES) return ~0ull;
  return (1ull << (left * it->stage->shape.c)) - 1;
}

/* Spikes of a group or block of lanes to the node's bits. */
static void store_spikes(const snn_int8_context *ctx, const item *it, uint32_t sign, uint32_t t, const uint64_t *bits) {
  const uint32_t node = it->stage->node, channels = it->stage->shape.c, words = snn_words(channels);
  if (it->layer->unroll == 1) {
    uint64_t *to = snn_int8_bits(ctx, node, it->site, sign) + (size_t)t * words;
    for (uint32_t g = 0, w = it->block * it->layer->groups; g < it->layer->groups && w < words; g++, w++)
      to[w] = bits[g];
    return;
  }
  uint32_t lane, channel;
  size_t position;
  for (uint32_t j = 0, n; (n = output_of(it, j, &lane, &channel, &position)) > 0; j++)
    snn_int8_bits(ctx, node, position, sign)[t] = bits[0] >> lane & ((1ull << n) - 1);
}

/* Currents of a step to the sink of a stage that does not fire. */
static void store_currents(const snn_int8_context *ctx, const item *it, uint32_t t, const int32_t *constant,
                           const currents *sum) {
  int32_t total[BLOCK_LANES];
  for (uint32_t i = 0; i < lanes_of(it); i++) {
    total[i] = constant[i];
    if (sum->has_acc) total[i] += sum->acc[i] * (1 << it->layer->fraction);
    if (sum->has_more) total[i] += sum->more[i];
  }
  if (it->stage->sink == SNN_SINK_SCORES) {
    const uint32_t lanes = it->layer->lanes;
    int64_t *sums = (int64_t *)(void *)(ctx->memory + ctx->layout->stages[it->index].state) + first_lane(it);
    if (!ctx->first_step && t == 0) memset(sums, 0, lanes_of(it) * sizeof *sums);
    for (uint32_t i = 0; i < lanes_of(it); i++) sums[i] += total[i];
    memcpy(sums + (size_t)(t + 1) * lanes, sums, lanes_of(it) * sizeof *sums);
    return;
  }
  uint32_t lane, channel;
  size_t position;
  for (uint32_t j = 0, n; (n = output_of(it, j, &lane, &channel, &position)) > 0; j++)
    memcpy(snn_int8_values(ctx, it->stage->node, position, t) + channel, total + lane, n * sizeof *total);
}

/* What neurons need beside their currents. */
static snn_int8_neurons neurons_of(const snn_int8_context *ctx, const item *it, const int32_t *constant) {
  const snn_int8_layer *layer = it->layer;
  const snn_int8_place *place = &ctx->layout->stages[it->index];
  snn_int8_neurons p = {.fraction = layer->fraction,
                        .constant = constant,
                        .level = (ctx->half_level ? layer->half_fire : layer->fire) + first_lane(it),
                        .theta = layer->theta + first_lane(it),
                        .tau = ctx->tau};
  if (it->stage->sink != SNN_SINK_SPIKES) return p;
  p.v = state_of(ctx, it, place->state);
  if (ctx->layout->kind == SNN_PLAN_SIGNED) p.balance = state_of(ctx, it, place->balance);
  if (!ctx->first_step) reset(ctx, it, p.v, p.balance);
  return p;
}

/* All steps of one item; spikes go to the tally of their step. */
static void run_item(const snn_int8_context *ctx, const item *it, uint32_t n_steps, uint64_t tally[SNN_STOP_CHUNK]) {
  const snn_int8_tap *taps[SNN_MAX_NODE_INPUTS * 2];
  uint32_t n_taps[SNN_MAX_NODE_INPUTS * 2];
  snn_int8_tap *to = ctx->scratch->taps;
  for (uint32_t k = 0; k < it->layer->n_terms; k++) {
    const snn_int8_term *term = &it->layer->terms[k];
    if (!term->is_conv || term->is_grouped) continue;
    taps[k] = to;
    n_taps[k] = 0;
    if (snn_int8_looks_through(ctx, term) || snn_int8_kind_of(ctx, term->source) == SNN_INT8_SPIKES)
      n_taps[k] = find_taps(ctx, term, it, to);
    to += n_taps[k];
  }
  const int32_t *constant = constant_of(ctx, it);
  const bool fires = it->stage->sink == SNN_SINK_SPIKES;
  snn_int8_neurons p = neurons_of(ctx, it, constant);
  const uint64_t valid = valid_lanes(it);
  for (uint32_t t = 0; t < n_steps; t++) {
    currents sum;
    uint64_t plus[SNN_INT8_GROUPS], minus[SNN_INT8_GROUPS];
    gather_currents(ctx, it, n_taps, taps, t, &sum);
    if (!fires) {
      store_currents(ctx, it, t, constant, &sum);
      continue;
    }
    p.acc = sum.has_acc ? sum.acc : NULL;
    p.more = sum.has_more ? sum.more : NULL;
    tally[ctx->constant.counts_steps ? t : 0] +=
        ctx->sim->kernels->fire(ctx->reset, &p, it->layer->groups, valid, plus, minus);
    store_spikes(ctx, it, 0, t, plus);
    if (ctx->layout->kind == SNN_PLAN_SIGNED) store_spikes(ctx, it, 1, t, minus);
  }
}

void snn_int8_stage_run(const snn_int8_context *ctx, uint32_t index, uint32_t n_steps) {
  const snn_stage *stage = &ctx->sim->plan->stages[index];
  const snn_int8_layer *layer = &ctx->sim->model->layers[index];
  if (!layer->lanes) {
    if (ctx->layout->kind != SNN_PLAN_BINARY || !ctx->sim->model->looked_through[stage->node])
      snn_int8_run_wires(ctx, stage, n_steps);
    return;
  }
  if (ctx->layout->kind == SNN_PLAN_WHOLE_RUN) {
    snn_int8_whole_run(ctx, index);
    snn_int8_count_operations(ctx, stage, layer, n_steps);
    return;
  }
  size_t begin, end;
  uint64_t tally[SNN_STOP_CHUNK] = {0};
  snn_team_share(ctx->constant.team, (size_t)layer->blocks * stage->shape.h * layer->sites_w, &begin, &end);
  for (size_t i = begin; i < end; i++) {
    const item it = item_of(ctx, index, i);
    run_item(ctx, &it, n_steps, tally);
  }
  for (uint32_t t = 0; t < SNN_STOP_CHUNK; t++)
    snn_int8_add(ctx, ctx->constant.counters.spikes, stage->node, t, tally[t]);
  snn_int8_count_operations(ctx, stage, layer, n_steps);
}
