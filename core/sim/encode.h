/* Images as spikes. A pixel p in [0, 1] before normalisation is a level of 16 bits, round(65535 p), which holds every
 * k / 255 exactly; with it everything is whole numbers, the same on every machine.
 *
 * rate     a spike with probability p at every step, independently (Bernoulli)
 * regular  spikes as evenly as whole steps allow: after t steps round(t p), halves up. So the first spike of p comes at
 *          the first step t with t p >= 1/2, and the others every 1 / p steps
 *
 * Random numbers are a function of (seed, image number, step, element) alone, so neither threads, chunks nor batches
 * change them. */
#ifndef SNN_SIM_ENCODE_H
#define SNN_SIM_ENCODE_H

#include "sim/stage.h"

enum { SNN_LEVEL_MAX = 65535 };

/* Level of a normalised input x: x std + mean clamped to [0, 1]; 0 for what is no number. */
uint16_t snn_encode_level(float x, float mean, float std);

/* A random encoding's seed for one image of a run. */
uint64_t snn_encode_seed(uint32_t seed, uint32_t image_number);

/* The 32 random bits of element `i`, its place in [C][H][W], of n at step t (from 0): SplitMix64's output number
 * t n + i + 1 from this seed (Steele, Lea & Flood 2014), its upper half. */
uint32_t snn_encode_random(uint64_t image_seed, size_t n, size_t i, uint32_t t);

/* Spikes of a regular encoding in steps 0 .. t - 1. */
static inline uint32_t snn_encode_regular(uint16_t level, uint32_t t) {
  return (2u * t * level + SNN_LEVEL_MAX) / (2u * SNN_LEVEL_MAX); /* at most 2 * 4096 * 65535 + 65535 < 2^32 */
}

/* Image [c][h][w] to levels [h][w][c]: this rank's share, which is that of the encoding stage. */
void snn_encode_image(const snn_stage_context *ctx, const snn_stage *stage, const snn_preprocess *pre,
                      const float *image);

/* The encoding stage for n_steps steps from ctx->first_step on, items [begin, end): spikes, or counts over all T. */
void snn_encode_run(const snn_stage_context *ctx, const snn_stage *stage, size_t begin, size_t end, uint32_t n_steps);

#endif
