/* Speed of the inner loops: every kernel table this machine can run, on layers as networks have them, at several firing
 * rates. Prints JSON lines, one a measurement: nanoseconds of the best of some repetitions of a whole layer's step, and
 * what that is for one accumulate. Knows the tables of core/kernels, so it is the one benchmark that looks inside. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/int8.h"
#include "kernels/kernels.h"
#include "snn/session.h"

enum { REPETITIONS = 7 };

typedef struct layer {
  const char *name;
  uint32_t side, in, out, kernel; /* square maps, stride 1, padded to the same size */
} layer;

static const layer layers[] = {
    {"3x3, 16 to 16 channels, 32x32", 32, 16, 16, 3},
    {"3x3, 64 to 64 channels, 16x16", 16, 64, 64, 3},
    {"3x3, 256 to 256 channels, 4x4", 4, 256, 256, 3},
    {"dense, 512 to 512", 1, 512, 512, 1},
};

static uint32_t draw(uint32_t *state) { /* xorshift32 (Marsaglia 2003) */
  *state ^= *state << 13;
  *state ^= *state >> 17;
  *state ^= *state << 5;
  return *state;
}

/* Everything a layer's step reads and writes. */
typedef struct arrays {
  snn_conv_args conv;
  float *weights, *amplitude, *map, *counts, *out, *theta, *v;
  uint64_t *spikes;
} arrays;

static bool allocate(const layer *l, arrays *a) {
  const size_t positions = (size_t)l->side * l->side, weights = (size_t)l->kernel * l->kernel * l->in * l->out;
  a->weights = malloc(weights * sizeof(float));
  a->amplitude = malloc(l->in * sizeof(float));
  a->map = malloc(positions * l->in * sizeof(float));
  a->counts = malloc(positions * l->in * sizeof(float));
  a->out = calloc(positions * l->out, sizeof(float));
  a->theta = malloc(l->out * sizeof(float));
  a->v = calloc(positions * l->out, sizeof(float));
  a->spikes = calloc(positions * snn_words(l->in), sizeof(uint64_t));
  if (!a->weights || !a->amplitude || !a->map || !a->counts || !a->out || !a->theta || !a->v || !a->spikes)
    return false;
  uint32_t state = 2463534242u;
  for (size_t i = 0; i < weights; i++) a->weights[i] = (float)(int32_t)draw(&state) * 1e-10f;
  for (size_t i = 0; i < l->in; i++) a->amplitude[i] = 1;
  for (size_t i = 0; i < positions * l->in; i++) a->map[i] = (float)draw(&state) * 1e-9f;
  for (size_t i = 0; i < l->out; i++) a->theta[i] = 1;
  a->conv = (snn_conv_args){.in_h = l->side,
                            .in_w = l->side,
                            .in_c = l->in,
                            .out_h = l->side,
                            .out_w = l->side,
                            .out_c = l->out,
                            .kernel_h = l->kernel,
                            .kernel_w = l->kernel,
                            .stride_h = 1,
                            .stride_w = 1,
                            .dilation_h = 1,
                            .dilation_w = 1,
                            .pad_top = l->kernel / 2,
                            .pad_left = l->kernel / 2,
                            .group_in = l->in,
                            .group_out = l->out,
                            .weights = a->weights};
  return true;
}

static void release(arrays *a) {
  float *const floats[] = {a->weights, a->amplitude, a->map, a->counts, a->out, a->theta, a->v};
  for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) free(floats[i]);
  free(a->spikes);
}

/* Spikes and counts of 0, 1 at a rate of percent / 100. */
static void fill(const layer *l, arrays *a, uint32_t percent) {
  uint32_t state = 97531;
  memset(a->spikes, 0, (size_t)l->side * l->side * snn_words(l->in) * sizeof(uint64_t));
  for (size_t p = 0; p < (size_t)l->side * l->side; p++)
    for (uint32_t c = 0; c < l->in; c++) {
      const bool fired = draw(&state) % 100 < percent;
      a->spikes[p * snn_words(l->in) + c / 64] |= (uint64_t)fired << c % 64;
      a->counts[p * l->in + c] = fired;
    }
}

typedef enum kernel { SPIKES, COUNTS, GRADED, FIRE, KERNELS } kernel;
static const char *const names[KERNELS] = {"conv_spikes", "conv_counts", "conv_graded", "integrate_fire"};

/* All positions and channels of one step; returns the accumulates, or the neurons. */
static uint64_t step(const snn_kernels *k, kernel which, const layer *l, const arrays *a) {
  uint64_t done = 0;
  for (uint32_t y = 0; y < l->side; y++)
    for (uint32_t x = 0; x < l->side; x++)
      for (uint32_t begin = 0; begin < l->out; begin += SNN_BLOCK) {
        const uint32_t left = l->out - begin;
        const snn_site site = {.y = y, .x = x, .begin = begin, .n = left < SNN_BLOCK ? left : SNN_BLOCK};
        float *out = a->out + ((size_t)y * l->side + x) * l->out + begin;
        float *v = a->v + ((size_t)y * l->side + x) * l->out + begin;
        switch (which) {
          case SPIKES: done += k->conv_spikes(&a->conv, site, a->spikes, a->amplitude, out); break;
          case COUNTS: done += k->conv_counts(&a->conv, site, a->counts, a->amplitude, out); break;
          case GRADED: done += k->conv_graded(&a->conv, site, a->map, out); break;
          default: k->integrate_fire(v, out, a->theta + begin, a->theta + begin, site.n); done += site.n;
        }
      }
  return done;
}

static void print(const char *table, const char *name, const layer *l, uint32_t percent, uint64_t ns, uint64_t done) {
  printf(
      "{\"table\": \"%s\", \"kernel\": \"%s\", \"layer\": \"%s\", \"rate\": %g, \"ns\": %llu, \"ps_per_operation\": "
      "%.1f}\n",
      table, name, l->name, percent / 100.0, (unsigned long long)ns, done ? 1000.0 * (double)ns / (double)done : 0.0);
}

static void measure(const snn_kernels *k, kernel which, const layer *l, const arrays *a, uint32_t percent) {
  uint64_t best = UINT64_MAX, done = 0;
  for (int r = 0; r <= REPETITIONS; r++) { /* the first warms the caches */
    memset(a->out, 0, (size_t)l->side * l->side * l->out * sizeof(float));
    const uint64_t begin = snn_clock_ns();
    done = step(k, which, l, a);
    const uint64_t ns = snn_clock_ns() - begin;
    if (r && ns < best) best = ns;
  }
  print(k->name, names[which], l, percent, best, done);
}

/* Rows of int8 weights, as many a position as spikes fall into its receptive field; accumulates count all lanes. */
static bool measure_int8(const snn_int8_kernels *k, const layer *l, uint32_t percent) {
  const uint32_t n_rows = l->kernel * l->kernel * l->in, n = n_rows * percent / 100 / SNN_QUAD * SNN_QUAD;
  const uint32_t all = snn_words(l->out), groups = all < SNN_INT8_GROUPS ? all : SNN_INT8_GROUPS;
  const size_t lanes = (size_t)groups * SNN_LANES, bytes = n_rows * lanes, positions = (size_t)l->side * l->side;
  int8_t *weights = aligned_alloc(64, bytes);
  int32_t *acc = aligned_alloc(64, lanes * sizeof *acc);
  uint32_t *offsets = malloc((positions * n + 1) * sizeof *offsets), state = 97531;
  uint64_t best = UINT64_MAX;
  if (!weights || !acc || !offsets) return false;
  for (size_t i = 0; i < bytes; i++) weights[i] = (int8_t)draw(&state);
  for (size_t i = 0; i < positions * n; i++) /* ascending, as they are listed */
    offsets[i] = (uint32_t)lanes * ((uint32_t)(i % n) * (n_rows / n) + draw(&state) % (n_rows / n));
  for (int r = 0; r <= REPETITIONS; r++) {
    const uint64_t begin = snn_clock_ns();
    for (uint32_t block = 0; block < all; block += groups)
      for (size_t p = 0; p < positions; p++) k->add_rows(weights, groups, offsets + p * n, n, false, acc);
    const uint64_t ns = snn_clock_ns() - begin;
    if (r && ns < best) best = ns;
  }
  print(k->name, "int8_rows", l, percent, best, positions * n * ((all + groups - 1) / groups) * lanes);
  free(weights);
  free(acc);
  free(offsets);
  return true;
}

int main(void) {
  static const uint32_t rates[] = {5, 10, 30};
  for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
    arrays a = {0};
    if (!allocate(&layers[i], &a)) return 1;
    for (unsigned t = 0; snn_kernels_available(t); t++)
      for (kernel which = SPIKES; which < KERNELS; which++)
        for (size_t r = 0; r < (which <= COUNTS ? sizeof rates / sizeof *rates : 1); r++) {
          fill(&layers[i], &a, rates[r]);
          measure(snn_kernels_available(t), which, &layers[i], &a, which <= COUNTS ? rates[r] : 100);
        }
    release(&a);
    for (unsigned t = 0; snn_int8_kernels_available(t); t++)
      for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
        if (!measure_int8(snn_int8_kernels_available(t), &layers[i], rates[r])) return 1;
  }
  return 0;
}
