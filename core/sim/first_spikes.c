/* First spikes, counted from the bits a stage leaves. Invariant: sums of whole numbers, so the same for any team and
 * any chunk. A spike of -1 takes one back that was fired, so it is never a neuron's first. */
#include "sim/first_spikes.h"

/* Bits of the neurons of item `item` that have fired. */
static uint64_t *fired_word(const snn_stage_context *ctx, const snn_stage *stage, size_t item) {
  return (uint64_t *)(void *)(ctx->memory + stage->fired) + item;
}

static void share(const snn_stage_context *ctx, const snn_stage *stage, size_t *begin, size_t *end) {
  snn_team_share(ctx->team, (size_t)stage->shape.h * stage->shape.w * stage->blocks, begin, end);
}

void snn_first_spikes_reset(const snn_stage_context *ctx, const snn_stage *stage) {
  size_t begin, end;
  share(ctx, stage, &begin, &end);
  for (size_t item = begin; item < end; item++) *fired_word(ctx, stage, item) = 0;
}

/* Bits of an item at step t of the chunk; items and words of an edge come in the same order. */
static uint64_t spikes_of(const snn_stage_context *ctx, const snn_stage *stage, size_t item, uint32_t t) {
  const snn_edge *e = &ctx->plan->edges[stage->node];
  if (e->kind == SNN_EDGE_SPIKES)
    return ((const uint64_t *)(const void *)(ctx->memory + e->offset))[e->step * t + item];
  const float *counts = (const float *)(const void *)(ctx->memory + e->offset);
  uint32_t block = (uint32_t)(item % stage->blocks), left = stage->shape.c - block * SNN_BLOCK;
  uint64_t bits = 0;
  counts += item / stage->blocks * stage->shape.c + (size_t)block * SNN_BLOCK;
  for (uint32_t i = 0; i < left && i < SNN_BLOCK; i++) bits |= (uint64_t)(counts[i] > 0) << i;
  return bits;
}

void snn_first_spikes_count(const snn_stage_context *ctx, const snn_stage *stage, uint32_t n_steps) {
  const bool whole_run = ctx->plan->kind == SNN_PLAN_WHOLE_RUN;
  snn_first_spikes done[SNN_STOP_CHUNK] = {{0}};
  size_t begin, end;
  share(ctx, stage, &begin, &end);
  for (size_t item = begin; item < end; item++) {
    uint64_t *fired = fired_word(ctx, stage, item);
    for (uint32_t t = 0; t < n_steps; t++) {
      uint64_t fresh = spikes_of(ctx, stage, item, t) & ~*fired, n = (uint64_t)__builtin_popcountll(fresh);
      snn_first_spikes *step = &done[ctx->counts_steps ? t : 0];
      *fired |= fresh;
      step->neurons += n;
      step->steps += whole_run ? 0 : n * (ctx->first_step + t + 1);
    }
  }
  for (uint32_t row = 0; row < (ctx->counts_steps ? n_steps : 1); row++) {
    snn_first_spikes *counts = &ctx->counters.first_spikes[row * ctx->plan->n_edges + stage->node];
    __atomic_fetch_add(&counts->neurons, done[row].neurons, __ATOMIC_RELAXED);
    __atomic_fetch_add(&counts->steps, done[row].steps, __ATOMIC_RELAXED);
  }
}
