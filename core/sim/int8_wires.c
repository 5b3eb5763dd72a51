/* The integer simulation's pools, concatenations and slices, element by element, and the count of operations. What only
 * passes spikes on costs little beside the convolutions, so this is plain code. */
#include <stdlib.h>
#include <string.h>

#include "sim/int8.h"

int32_t snn_int8_value(const snn_int8_context *ctx, uint32_t node, size_t position, uint32_t channel, uint32_t t) {
  snn_int8_kind kind = snn_int8_kind_of(ctx, node);
  if (kind == SNN_INT8_SPIKES) {
    uint32_t words = snn_words(ctx->sim->net->nodes[node].shape.c);
    size_t word = (size_t)t * words + channel / SNN_LANES;
    int32_t x = (int32_t)(snn_int8_bits(ctx, node, position, 0)[word] >> (channel % SNN_LANES) & 1);
    if (snn_int8_signs(ctx->layout) == 2)
      x -= (int32_t)(snn_int8_bits(ctx, node, position, 1)[word] >> (channel % SNN_LANES) & 1);
    return x;
  }
  if (kind == SNN_INT8_COUNTS && ctx->layout->kind == SNN_PLAN_WHOLE_RUN) {
    uint32_t x = 0;
    for (uint32_t plane = snn_int8_planes(ctx, node); plane-- > 0;)
      x = x << 8 | snn_int8_plane(ctx, node, plane, position)[channel];
    return (int32_t)x;
  }
  return snn_int8_values(ctx, node, position, t)[channel];
}

void snn_int8_store(const snn_int8_context *ctx, uint32_t node, size_t position, uint32_t channel, uint32_t n,
                    uint32_t t, const int32_t *values) {
  snn_int8_kind kind = snn_int8_kind_of(ctx, node);
  if (kind == SNN_INT8_SPIKES) { /* from the start of a word */
    uint64_t plus = 0, minus = 0;
    for (uint32_t i = 0; i < n; i++) {
      plus |= (uint64_t)(values[i] > 0) << i;
      minus |= (uint64_t)(values[i] < 0) << i;
    }
    size_t word = (size_t)t * snn_words(ctx->sim->net->nodes[node].shape.c) + channel / SNN_LANES;
    snn_int8_bits(ctx, node, position, 0)[word] = plus;
    if (snn_int8_signs(ctx->layout) == 2) snn_int8_bits(ctx, node, position, 1)[word] = minus;
  } else if (kind == SNN_INT8_COUNTS && ctx->layout->kind == SNN_PLAN_WHOLE_RUN) {
    for (uint32_t plane = snn_int8_planes(ctx, node); plane-- > 0;)
      for (uint32_t i = 0; i < n; i++)
        snn_int8_plane(ctx, node, plane, position)[channel + i] = (uint8_t)((uint32_t)values[i] >> (8 * plane));
  } else {
    memcpy(snn_int8_values(ctx, node, position, t) + channel, values, n * sizeof *values);
  }
}

/* Input coordinates of a window's taps along one axis: first, those inside from it on, how many. */
static uint32_t taps_inside(uint32_t out, uint32_t kernel, uint32_t stride, uint32_t dilation, uint32_t pad,
                            uint32_t in, uint32_t *first) {
  uint32_t n = 0;
  for (uint32_t k = 0; k < kernel; k++) {
    int64_t at = (int64_t)out * stride + (int64_t)k * dilation - pad;
    if (at < 0 || at >= in) continue;
    if (!n++) *first = (uint32_t)at;
  }
  return n;
}

/* An average keeps the sum, a maximum what the largest cumulated value grew by: state [taps][c] sums, [c] last, of each
 * output position. */
static void run_pool(const snn_int8_context *ctx, const snn_stage *stage, size_t position, uint32_t n_steps) {
  const snn_window *w = &stage->pool->window;
  const uint32_t source = stage->terms[0].source, channels = stage->shape.c;
  const snn_shape in = ctx->sim->net->nodes[source].shape;
  const bool averages = stage->kind == SNN_LAYER_AVGPOOL;
  uint32_t x0 = 0, y0 = 0;
  const uint32_t y = (uint32_t)(position / stage->shape.w), x = (uint32_t)(position % stage->shape.w);
  const uint32_t rows = taps_inside(y, w->kernel_h, w->stride_h, w->dilation_h, w->pad_top, in.h, &y0);
  const uint32_t columns = taps_inside(x, w->kernel_w, w->stride_w, w->dilation_w, w->pad_left, in.w, &x0);
  const size_t taps = (size_t)w->kernel_h * w->kernel_w;
  int32_t *state = (int32_t *)(void *)(ctx->memory + ctx->layout->stages[stage - ctx->sim->plan->stages].state) +
                   position * (taps + 1) * channels;
  if (!ctx->first_step && !averages) memset(state, 0, (taps + 1) * channels * sizeof *state);
  for (uint32_t t = 0; t < n_steps; t++)
    for (uint32_t begin = 0; begin < channels; begin += SNN_LANES) {
      const uint32_t n = channels - begin < SNN_LANES ? channels - begin : SNN_LANES;
      int32_t out[SNN_LANES], *last = state + taps * channels + begin;
      for (uint32_t i = 0; i < n; i++) {
        int32_t sum = 0, best = INT32_MIN, *cumulated = state + begin + i;
        for (uint32_t r = 0; r < rows; r++)
          for (uint32_t c = 0; c < columns; c++, cumulated += channels) {
            size_t from = (size_t)(y0 + r * w->dilation_h) * in.w + x0 + c * w->dilation_w;
            int32_t value = snn_int8_value(ctx, source, from, begin + i, t);
            sum += value;
            if (averages) continue;
            *cumulated += value;
            if (*cumulated > best) best = *cumulated;
          }
        out[i] = averages ? sum : best - last[i];
        if (!averages) last[i] = best;
      }
      snn_int8_store(ctx, stage->node, position, begin, n, t, out);
    }
}

/* The position that an output position of a concatenation or slice shows; false where a slice has zeros. */
static bool shown_position(const snn_slice *s, snn_shape in, uint32_t y, uint32_t x, size_t *position) {
  uint64_t from_y = y, from_x = x;
  if (s) {
    if (y < s->pad[1] || x < s->pad[2]) return false;
    from_y = s->start[1] + (uint64_t)(y - s->pad[1]) * s->step[0];
    from_x = s->start[2] + (uint64_t)(x - s->pad[2]) * s->step[1];
    if (from_y >= in.h || from_x >= in.w) return false;
  }
  *position = (size_t)(from_y * in.w + from_x);
  return true;
}

static void run_gather(const snn_int8_context *ctx, const snn_stage *stage, size_t position, uint32_t n_steps) {
  const uint32_t channels = stage->shape.c;
  const uint32_t y = (uint32_t)(position / stage->shape.w), x = (uint32_t)(position % stage->shape.w);
  for (uint32_t t = 0; t < n_steps; t++)
    for (uint32_t begin = 0; begin < channels; begin += SNN_LANES) {
      const uint32_t end = channels - begin < SNN_LANES ? channels : begin + SNN_LANES;
      int32_t out[SNN_LANES] = {0};
      for (uint32_t k = 0; k < stage->n_pieces; k++) {
        const snn_piece *p = &stage->pieces[k];
        size_t from = 0;
        const uint32_t first = p->to > begin ? p->to : begin, last = p->to + p->n < end ? p->to + p->n : end;
        if (first >= last || !shown_position(stage->slice, ctx->sim->net->nodes[p->source].shape, y, x, &from))
          continue;
        for (uint32_t c = first; c < last; c++)
          out[c - begin] = snn_int8_value(ctx, p->source, from, p->from + (c - p->to), t);
      }
      snn_int8_store(ctx, stage->node, position, begin, end - begin, t, out);
    }
}

void snn_int8_run_wires(const snn_int8_context *ctx, const snn_stage *stage, uint32_t n_steps) {
  size_t begin, end;
  if (stage->kind == SNN_LAYER_AVGPOOL && ctx->layout->kind == SNN_PLAN_WHOLE_RUN) {
    snn_int8_whole_average(ctx, stage);
    return;
  }
  snn_team_share(ctx->constant.team, (size_t)stage->shape.h * stage->shape.w, &begin, &end);
  for (size_t position = begin; position < end; position++) {
    snn_stand_back(ctx->constant.team.courtesy);
    if (stage->pieces)
      run_gather(ctx, stage, position, n_steps);
    else
      run_pool(ctx, stage, position, n_steps);
  }
}

/* Spikes, of either sign, that left n positions side by side in n_steps steps from t on. */
static uint64_t spikes_at(const snn_int8_context *ctx, uint32_t node, size_t position, size_t n, uint32_t t,
                          uint32_t n_steps) {
  uint64_t sum = 0;
  const uint32_t channels = ctx->sim->net->nodes[node].shape.c, words = snn_words(channels);
  const uint32_t signs = snn_int8_signs(ctx->layout);
  if (snn_int8_kind_of(ctx, node) == SNN_INT8_SPIKES) {
    for (uint32_t sign = 0; sign < signs; sign++)
      sum += ctx->sim->kernels->popcount(snn_int8_bits(ctx, node, position, sign) + (size_t)t * words,
                                         (size_t)signs * ctx->layout->chunk * words, n, (size_t)n_steps * words);
    return sum;
  }
  for (; n > 0; n--, position++) {
    if (ctx->layout->kind == SNN_PLAN_WHOLE_RUN) {
      for (uint32_t plane = 0; plane < snn_int8_planes(ctx, node); plane++) {
        const uint8_t *x = snn_int8_plane(ctx, node, plane, position);
        uint32_t part = 0;
        for (uint32_t c = 0; c < channels; c++) part += x[c];
        sum += (uint64_t)part << (8 * plane);
      }
      continue;
    }
    for (uint32_t k = t; k < t + n_steps; k++)
      for (uint32_t c = 0; c < channels; c++) sum += (uint64_t)abs(snn_int8_values(ctx, node, position, k)[c]);
  }
  return sum;
}

/* The operations of one term in n_steps steps from t on, this rank's share. What the float simulation passes on as
 * currents (the growth of a maximum) costs multiply-accumulates, zeros included. Neighbours that reach as many outputs
 * are counted together. */
static uint64_t operations_of(const snn_int8_context *ctx, const snn_int8_term *term, bool graded, uint32_t t,
                              uint32_t n_steps) {
  const bool through = snn_int8_looks_through(ctx, term);
  const uint32_t node = through ? term->pooled : term->source;
  const uint32_t *reach_h = through ? term->pooled_reach_h : term->reach_h;
  const uint32_t *reach_w = through ? term->pooled_reach_w : term->reach_w;
  const snn_shape shape = ctx->sim->net->nodes[node].shape;
  uint64_t operations = 0;
  size_t begin, end;
  if (ctx->layout->kind == SNN_PLAN_WHOLE_RUN && term->is_conv && !graded)
    return term->conv.group_out * snn_int8_whole_reached(ctx, node, reach_h, reach_w);
  snn_team_share(ctx->constant.team, (size_t)shape.h * shape.w, &begin, &end);
  for (size_t position = begin, next; position < end; position = next) {
    const size_t x = position % shape.w, most = end - position < shape.w - x ? end - position : shape.w - x;
    size_t n = most;
    uint64_t reached = 1;
    if (term->is_conv) {
      reached = (uint64_t)reach_h[position / shape.w] * reach_w[x] * term->conv.group_out;
      for (n = 1; n < most && reach_w[x + n] == reach_w[x];) n++;
    }
    next = position + n;
    operations += reached * (graded ? (uint64_t)n * n_steps * shape.c : spikes_at(ctx, node, position, n, t, n_steps));
  }
  return operations;
}

void snn_int8_count_operations(const snn_int8_context *ctx, const snn_stage *stage, const snn_int8_layer *layer,
                               uint32_t n_steps) {
  const snn_counters *c = &ctx->constant.counters;
  const uint32_t at_once = ctx->constant.counts_steps ? 1 : n_steps;
  for (uint32_t k = 0; k < layer->n_terms; k++) {
    const snn_int8_term *term = &layer->terms[k];
    const bool graded = ctx->sim->plan->edges[term->source].kind == SNN_EDGE_GRADED;
    uint64_t *counter = graded && term->is_conv ? c->macs : c->synaptic_operations;
    for (uint32_t t = 0; t < n_steps; t += at_once)
      snn_int8_add(ctx, counter, stage->charged, t, operations_of(ctx, term, graded, t, at_once));
  }
}

void snn_int8_count_first(const snn_int8_context *ctx, const snn_stage *stage, uint32_t n_steps) {
  const bool whole = ctx->layout->kind == SNN_PLAN_WHOLE_RUN;
  const uint32_t words = snn_words(stage->shape.c);
  snn_first_spikes done[SNN_STOP_CHUNK] = {{0}};
  size_t begin, end;
  snn_team_share(ctx->constant.team, (size_t)stage->shape.h * stage->shape.w, &begin, &end);
  for (size_t position = begin; position < end; position++)
    for (uint32_t w = 0; w < words; w++) {
      uint64_t *fired =
          (uint64_t *)(void *)(ctx->memory + ctx->layout->nodes[stage->node].fired) + position * words + w;
      if (!ctx->first_step) *fired = 0;
      for (uint32_t t = 0; t < n_steps; t++) {
        uint64_t spikes = 0;
        if (whole)
          for (uint32_t i = 0; i < SNN_LANES && w * SNN_LANES + i < stage->shape.c; i++)
            spikes |= (uint64_t)(snn_int8_value(ctx, stage->node, position, w * SNN_LANES + i, 0) > 0) << i;
        else
          spikes = snn_int8_bits(ctx, stage->node, position, 0)[(size_t)t * words + w];
        const uint64_t fresh = spikes & ~*fired, n = (uint64_t)__builtin_popcountll(fresh);
        snn_first_spikes *step = &done[ctx->constant.counts_steps ? t : 0];
        *fired |= fresh;
        step->neurons += n;
        step->steps += whole ? 0 : n * (ctx->first_step + t + 1);
      }
    }
  for (uint32_t row = 0; row < (ctx->constant.counts_steps ? n_steps : 1); row++) {
    snn_first_spikes *counts = &ctx->constant.counters.first_spikes[row * ctx->sim->net->n_nodes + stage->node];
    __atomic_fetch_add(&counts->neurons, done[row].neurons, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counts->steps, done[row].steps, __ATOMIC_RELAXED);
  }
}
