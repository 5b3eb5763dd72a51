/* Every kernel table of this machine against the definition of a convolution, over random geometry: strides, asymmetric
 * pads, dilation, groups, channel counts around the 64 bits of a spike word. Accumulators must be the same bytes,
 * because kernels.h fixes the order of additions; the operations returned are counted here one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/kernels.h"

static uint64_t seed;

static uint32_t draw(uint32_t n) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (uint32_t)((seed >> 16) % n);
}

static float uniform(void) {
  return (float)draw(1 << 20) / (float)(1 << 19) - 1.0f;
}

/* A malloc of exactly n elements, so that a sanitizer sees one step too far. */
static void *exactly(size_t n, size_t size) {
  void *p = malloc(n * size);
  assert_non_null(p);
  return p;
}

/* One convolution with inputs of every sort. A spike is worth amplitude[c]; counts and graded values are sparse. */
typedef struct scene {
  snn_conv_args a;
  float *weights, *amplitude, *graded, *counts;
  uint64_t *spikes;
  unsigned char *fired; /* [in_h][in_w][in_c], the spikes one by one */
} scene;

static scene make_scene(uint32_t groups, uint32_t group_in, uint32_t group_out) {
  scene s = {0};
  snn_conv_args *a = &s.a;
  const uint32_t wide = draw(4) ? 5 : 16; /* so that many outputs see whole windows */
  *a = (snn_conv_args){.in_h = 1 + draw(5),
                       .in_w = 1 + draw(wide),
                       .in_c = groups * group_in,
                       .out_c = groups * group_out,
                       .kernel_h = 1 + draw(3),
                       .kernel_w = 1 + draw(3),
                       .stride_h = 1 + draw(3),
                       .stride_w = 1 + draw(3),
                       .dilation_h = 1 + draw(3),
                       .dilation_w = 1 + draw(3),
                       .pad_top = draw(4),
                       .pad_left = draw(4),
                       .group_in = group_in,
                       .group_out = group_out};
  a->out_h = 1 + draw(3); /* may reach past the lower right border, as pads there allow */
  a->out_w = 1 + draw(wide - 2);
  size_t n_weights = (size_t)a->kernel_h * a->kernel_w * group_in * a->out_c;
  size_t positions = (size_t)a->in_h * a->in_w, n = positions * a->in_c, words = snn_words(a->in_c);
  s.weights = exactly(n_weights, sizeof(float));
  s.amplitude = exactly(a->in_c, sizeof(float));
  s.graded = exactly(n, sizeof(float));
  s.counts = exactly(n, sizeof(float));
  s.fired = exactly(n, 1);
  s.spikes = exactly(positions * words, sizeof(uint64_t));
  memset(s.spikes, 0, positions * words * sizeof(uint64_t));
  for (size_t i = 0; i < n_weights; i++) s.weights[i] = uniform();
  for (uint32_t c = 0; c < a->in_c; c++) s.amplitude[c] = 0.1f + (float)draw(100) / 30.0f;
  for (size_t i = 0; i < n; i++) {
    s.graded[i] = draw(3) ? uniform() : 0.0f;
    s.counts[i] = draw(2) ? (float)draw(5) : 0.0f;
    s.fired[i] = draw(3) == 0;
    if (s.fired[i]) s.spikes[i / a->in_c * words + i % a->in_c / 64] |= 1ull << (i % a->in_c % 64);
  }
  a->weights = s.weights;
  return s;
}

static void free_scene(scene *s) {
  free(s->weights);
  free(s->amplitude);
  free(s->graded);
  free(s->counts);
  free(s->fired);
  free(s->spikes);
}

typedef enum source { SPIKES, COUNTS, GRADED, SOURCES } source;

/* One output channel by the definition: acc in, acc out; *operations counts what the kernel should. */
static float naive(const scene *s, source kind, uint32_t y, uint32_t x, uint32_t o, float acc, uint64_t *operations) {
  const snn_conv_args *a = &s->a;
  for (uint32_t ky = 0; ky < a->kernel_h; ky++)
    for (uint32_t kx = 0; kx < a->kernel_w; kx++) {
      int iy = (int)(y * a->stride_h + ky * a->dilation_h) - (int)a->pad_top;
      int ix = (int)(x * a->stride_w + kx * a->dilation_w) - (int)a->pad_left;
      if (iy < 0 || ix < 0 || iy >= (int)a->in_h || ix >= (int)a->in_w) continue;
      for (uint32_t i = 0; i < a->group_in; i++) {
        uint32_t c = o / a->group_out * a->group_in + i;
        size_t at = ((size_t)iy * a->in_w + (size_t)ix) * a->in_c + c;
        float w = s->weights[(((size_t)ky * a->kernel_w + kx) * a->group_in + i) * a->out_c + o], v;
        if (kind == SPIKES) {
          *operations += s->fired[at];
          v = s->fired[at] ? s->amplitude[c] : 0.0f;
        } else if (kind == COUNTS) {
          *operations += (uint64_t)s->counts[at];
          v = s->counts[at] * s->amplitude[c];
        } else {
          *operations += 1;
          v = s->graded[at];
        }
        float product = v * w;
        if (v != 0.0f) acc = acc + product;
      }
    }
  return acc;
}

static uint64_t call(const snn_kernels *k, const scene *s, source kind, snn_site site, float *acc) {
  if (kind == SPIKES) return k->conv_spikes(&s->a, site, s->spikes, s->amplitude, acc);
  if (kind == COUNTS) return k->conv_counts(&s->a, site, s->counts, s->amplitude, acc);
  return k->conv_graded(&s->a, site, s->graded, acc);
}

/* All blocks of one output position, and a block that starts and ends in the middle. */
static void check_position(const snn_kernels *k, const scene *s, uint32_t y, uint32_t x) {
  static const char *const names[SOURCES] = {"spikes", "counts", "graded"};
  const snn_conv_args *a = &s->a;
  for (uint32_t begin = 0; begin < a->out_c; begin += 1 + draw(SNN_BLOCK)) {
    uint32_t left = a->out_c - begin, n = left < SNN_BLOCK ? left : SNN_BLOCK;
    if (draw(2)) n = 1 + draw(n);
    for (int kind = 0; kind < SOURCES; kind++) {
      float want[SNN_BLOCK], *got = exactly(n, sizeof *got);
      uint64_t operations = 0;
      for (uint32_t i = 0; i < n; i++) {
        got[i] = uniform(); /* kernels add to what is there */
        want[i] = naive(s, (source)kind, y, x, begin + i, got[i], &operations);
      }
      uint64_t returned = call(k, s, (source)kind, (snn_site){y, x, begin, n}, got);
      if (memcmp(want, got, n * sizeof *got) != 0 || returned != operations)
        fail_msg(
            "%s, %s: in %ux%ux%u, out %u, %u channels a group, kernel %ux%u at (%u, %u), channels %u..%u: %llu "
            "operations, not %llu, or another sum",
            k->name, names[kind], a->in_c, a->in_h, a->in_w, a->out_c, a->group_in, a->kernel_h, a->kernel_w, y, x,
            begin, begin + n, (unsigned long long)returned, (unsigned long long)operations);
      free(got);
    }
  }
}

/* Outputs of a row from one on, some channels of them, at once. */
static void check_row(const snn_kernels *k, const scene *s, uint32_t y) {
  const snn_conv_args *a = &s->a;
  const uint32_t x = draw(a->out_w), outputs = a->out_w - x, begin = draw(2) ? draw(a->out_c) : 0;
  const uint32_t left = a->out_c - begin, n = left < SNN_BLOCK ? left : SNN_BLOCK;
  float *want = exactly((size_t)outputs * n, sizeof *want), *got = exactly((size_t)outputs * n, sizeof *got);
  uint64_t operations = 0;
  for (uint32_t i = 0; i < outputs * n; i++) {
    got[i] = uniform();
    want[i] = naive(s, GRADED, y, x + i / n, begin + i % n, got[i], &operations);
  }
  assert_int_equal(k->conv_graded_row(a, (snn_site){y, x, begin, n}, outputs, s->graded, got), operations);
  assert_memory_equal(got, want, (size_t)outputs * n * sizeof *got);
  free(got);
  free(want);
}

static void check_geometry(uint32_t groups, uint32_t group_in, uint32_t group_out) {
  scene s = make_scene(groups, group_in, group_out);
  for (uint32_t y = 0; y < s.a.out_h; y++)
    for (uint32_t x = 0; x < s.a.out_w; x++)
      for (unsigned k = 0; snn_kernels_available(k); k++) check_position(snn_kernels_available(k), &s, y, x);
  for (uint32_t y = 0; y < s.a.out_h; y++)
    for (unsigned k = 0; snn_kernels_available(k); k++) check_row(snn_kernels_available(k), &s, y);
  free_scene(&s);
}

static void test_channel_counts(void **state) {
  (void)state;
  static const uint32_t counts[] = {1, 2, 63, 64, 65, 127, 128, 130};
  const size_t n = sizeof counts / sizeof *counts;
  seed = 20240501;
  for (int round = 0; round < 3; round++)
    for (size_t i = 0; i < n; i++)
      for (size_t o = 0; o < n; o++) check_geometry(1, counts[i], counts[o]);
}

static void test_groups(void **state) {
  (void)state;
  static const struct {
    uint32_t groups, in, out;
  } cases[] = {{2, 1, 1},  {2, 40, 36}, {3, 21, 22}, {65, 1, 1},  {130, 1, 1}, {64, 1, 2}, {33, 2, 1},
               {2, 65, 3}, {2, 64, 64}, {3, 63, 1},  {5, 13, 26}, {2, 3, 65},  {7, 10, 1}, {1, 70, 70}};
  seed = 77;
  for (int round = 0; round < 6; round++)
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
      check_geometry(cases[i].groups, cases[i].in, cases[i].out);
}

static void test_random_geometry(void **state) {
  (void)state;
  seed = 4711;
  for (int i = 0; i < 400; i++) check_geometry(1 + draw(4), 1 + draw(20), 1 + draw(20));
}

/* A kernel position outside the map costs nothing and adds nothing. */
static void test_padding_only(void **state) {
  (void)state;
  const float weight = 1, one = 1;
  const uint64_t spike = 1;
  snn_conv_args a = {.in_h = 1,
                     .in_w = 1,
                     .in_c = 1,
                     .out_h = 5,
                     .out_w = 5,
                     .out_c = 1,
                     .kernel_h = 1,
                     .kernel_w = 1,
                     .stride_h = 1,
                     .stride_w = 1,
                     .dilation_h = 1,
                     .dilation_w = 1,
                     .pad_top = 2,
                     .pad_left = 2,
                     .group_in = 1,
                     .group_out = 1,
                     .weights = &weight};
  for (unsigned table = 0; snn_kernels_available(table); table++)
    for (uint32_t at = 0; at < 25; at++) {
      const snn_kernels *k = snn_kernels_available(table);
      float acc = 0.5f;
      uint64_t hit = at == 12;
      snn_site site = {at / 5, at % 5, 0, 1};
      assert_int_equal(k->conv_spikes(&a, site, &spike, &one, &acc), hit);
      assert_int_equal(k->conv_graded(&a, site, &one, &acc), hit);
      assert_int_equal(k->conv_counts(&a, site, &one, &one, &acc), hit);
      assert_true(acc == 0.5f + 3.0f * (float)hit);
    }
}

/* Neurons: every number of them up to a block, drives around the firing level, exactly at it too. */
static void test_integrate_fire(void **state) {
  (void)state;
  seed = 99;
  for (unsigned table = 0; snn_kernels_available(table); table++)
    for (uint32_t n = 1; n <= SNN_BLOCK; n++) {
      const snn_kernels *k = snn_kernels_available(table);
      float *v = exactly(n, sizeof *v), *current = exactly(n, sizeof *v), *fire = exactly(n, sizeof *v),
            *theta = exactly(n, sizeof *v), want[SNN_BLOCK];
      uint64_t spikes = 0;
      for (uint32_t i = 0; i < n; i++) {
        v[i] = uniform();
        current[i] = uniform();
        fire[i] = draw(3) ? 0.1f + (float)draw(10) / 7 : v[i] + current[i]; /* exactly at the level */
        theta[i] = 0.1f + (float)draw(10) / 9;
        want[i] = v[i] + current[i];
        if (want[i] >= fire[i]) {
          spikes |= 1ull << i;
          want[i] = want[i] - theta[i];
        }
      }
      assert_true(k->integrate_fire(v, current, fire, theta, n) == spikes);
      assert_memory_equal(v, want, n * sizeof *v);
      free(v);
      free(current);
      free(fire);
      free(theta);
    }
}

static void test_tables(void **state) {
  (void)state;
  unsigned n = 0;
  while (snn_kernels_available(n)) n++;
  assert_true(n >= 1 && snn_kernels_available(n - 1) == &snn_kernels_scalar);
  assert_ptr_equal(snn_kernels_get(), snn_kernels_get());
  assert_non_null(snn_kernels_get());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_channel_counts),  cmocka_unit_test(test_groups),
      cmocka_unit_test(test_random_geometry), cmocka_unit_test(test_padding_only),
      cmocka_unit_test(test_integrate_fire),  cmocka_unit_test(test_tables),
  };
  return cmocka_run_group_tests_name("kernels", tests, NULL, NULL);
}
