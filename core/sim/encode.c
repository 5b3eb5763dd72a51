/* Encoding images. Invariant: whole numbers from the level on; see encode.h for what each encoding sends. */
#include "sim/encode.h"

#include <math.h>

uint16_t snn_encode_level(float x, float mean, float std) {
  const float p = x * std + mean;
  if (!(p > 0)) return 0;
  return p < 1 ? (uint16_t)lroundf(p * (float)SNN_LEVEL_MAX) : SNN_LEVEL_MAX;
}

static uint64_t mix(uint64_t z) {
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static const uint64_t GOLDEN = 0x9e3779b97f4a7c15u;

uint64_t snn_encode_seed(uint32_t seed, uint32_t image_number) {
  return mix(GOLDEN * (((uint64_t)seed << 32 | image_number) + 1));
}

uint32_t snn_encode_random(uint64_t image_seed, size_t n, size_t i, uint32_t t) {
  return (uint32_t)(mix(image_seed + GOLDEN * (t * (uint64_t)n + i + 1)) >> 32);
}

static uint16_t *levels_of(const snn_stage_context *ctx, const snn_stage *stage) {
  return (uint16_t *)(void *)(ctx->memory + stage->state);
}

void snn_encode_image(const snn_stage_context *ctx, const snn_stage *stage, const snn_preprocess *pre,
                      const float *image) {
  const size_t positions = (size_t)stage->shape.h * stage->shape.w, channels = stage->shape.c;
  uint16_t *levels = levels_of(ctx, stage);
  size_t begin, end;
  snn_team_share(ctx->team, positions * stage->blocks, &begin, &end);
  for (size_t item = begin; item < end; item++) {
    const size_t p = item / stage->blocks, first = item % stage->blocks * SNN_BLOCK;
    for (size_t c = first; c < channels && c < first + SNN_BLOCK; c++) {
      const bool listed = c < SNN_MAX_CHANNELS_IN;
      levels[p * channels + c] =
          snn_encode_level(image[c * positions + p], listed ? pre->mean[c] : 0.0f, listed ? pre->std[c] : 1.0f);
    }
  }
}

/* Does the element fire at step t? */
static bool fires(const snn_stage_context *ctx, size_t n, size_t i, uint16_t level, uint32_t t) {
  if (ctx->encoding == SNN_ENCODING_REGULAR) return snn_encode_regular(level, t + 1) > snn_encode_regular(level, t);
  const uint64_t drawn = (uint64_t)snn_encode_random(ctx->image_seed, n, i, t) * SNN_LEVEL_MAX >> 32;
  return drawn < level; /* drawn evenly from the 65535 numbers below SNN_LEVEL_MAX */
}

static uint32_t count(const snn_stage_context *ctx, size_t n, size_t i, uint16_t level) {
  if (ctx->encoding == SNN_ENCODING_REGULAR) return snn_encode_regular(level, ctx->timesteps);
  uint32_t spikes = 0;
  for (uint32_t t = 0; level && t < ctx->timesteps; t++) spikes += fires(ctx, n, i, level, t);
  return spikes;
}

void snn_encode_run(const snn_stage_context *ctx, const snn_stage *stage, size_t begin, size_t end, uint32_t n_steps) {
  const snn_edge *e = &ctx->plan->edges[stage->node];
  const size_t positions = (size_t)stage->shape.h * stage->shape.w, channels = stage->shape.c;
  const uint16_t *levels = levels_of(ctx, stage);
  char *out = ctx->memory + e->offset;
  for (size_t item = begin; item < end; item++) {
    const size_t p = item / stage->blocks, block = item % stage->blocks, first = block * SNN_BLOCK;
    const size_t n = channels - first < SNN_BLOCK ? channels - first : SNN_BLOCK;
    for (size_t c = first; e->kind == SNN_EDGE_COUNTS && c < first + n; c++)
      ((float *)(void *)out)[p * channels + c] =
          (float)count(ctx, positions * channels, c * positions + p, levels[p * channels + c]);
    for (uint32_t t = 0; e->kind == SNN_EDGE_SPIKES && t < n_steps; t++) {
      uint64_t bits = 0, *word = (uint64_t *)(void *)out + e->step * t + p * e->words + block;
      for (size_t k = 0; k < n; k++) {
        const uint16_t level = levels[p * channels + first + k];
        const bool fired =
            level && fires(ctx, positions * channels, (first + k) * positions + p, level, ctx->first_step + t);
        bits |= (uint64_t)fired << k;
      }
      *word = bits;
      if (ctx->plan->kind == SNN_PLAN_SIGNED) word[e->step / 2] = 0; /* a pixel takes nothing back */
    }
  }
}
