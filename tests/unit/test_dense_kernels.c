/* Every dense kernel table of this machine against the definitions: worst-case bytes and weights included, around the
 * widths of vectors, tiles of positions and runs. Arrays are as long as the contract says, so that a sanitizer sees one
 * step too far. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/dense.h"
#include "kernels/kernels.h"
#include "sim/int8_dense.h"

static uint64_t seed;

static uint32_t draw(uint32_t n) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (uint32_t)((seed >> 16) % n);
}

static void *exactly(size_t n, size_t size) {
  void *p = malloc(n * size);
  assert_non_null(p);
  return p;
}

#define FOR_TABLES(k)                                          \
  for (unsigned i_ = 0; snn_dense_kernels_available(i_); i_++) \
    for (const snn_dense_kernels *k = snn_dense_kernels_available(i_); k; k = NULL)

typedef enum extreme { RANDOM, MOST, LEAST, EXTREMES } extreme;

static int8_t draw_weight(extreme kind) {
  if (kind == RANDOM) return (int8_t)((int)draw(2 * SNN_INT8_MOST + 1) - SNN_INT8_MOST);
  return kind == MOST ? SNN_INT8_MOST : -SNN_INT8_MOST;
}

static void check_sum(extreme kind, uint32_t vectors, uint32_t n, uint32_t n_runs, uint32_t quads, uint32_t shift) {
  enum { APART = 11 }; /* bytes between positions, and behind each run */
  const uint32_t lanes = vectors * SNN_DENSE_LANES;
  const size_t bytes = (size_t)n_runs * (4 * quads + APART), rows = (size_t)n_runs * quads * 4;
  uint8_t *x = exactly(bytes + (size_t)n * APART, 1);
  int8_t *weights = exactly(rows * lanes, 1);
  size_t *offset = exactly(n_runs, sizeof *offset);
  int32_t *start = exactly((size_t)SNN_DENSE_MOST * lanes, sizeof *start), *want, *got;
  want = exactly((size_t)SNN_DENSE_MOST * lanes, sizeof *want);
  got = exactly((size_t)SNN_DENSE_MOST * lanes, sizeof *got);
  for (size_t i = 0; i < bytes + (size_t)n * APART; i++) x[i] = kind == RANDOM ? (uint8_t)draw(256) : 255;
  for (size_t i = 0; i < rows * lanes; i++) weights[i] = draw_weight(kind);
  for (uint32_t k = 0; k < n_runs; k++) offset[k] = (size_t)(n_runs - 1 - k) * (4 * quads + APART);
  for (uint32_t i = 0; i < SNN_DENSE_MOST * lanes; i++) start[i] = (int32_t)draw(2001) - 1000;
  const uint8_t *from[SNN_DENSE_MOST];
  for (uint32_t i = 0; i < SNN_DENSE_MOST; i++) from[i] = x + (size_t)(i < n ? i : n - 1) * APART;
  for (uint32_t i = 0; i < n * lanes; i++) {
    int64_t sum = (int64_t)start[i] * (1 << shift);
    for (uint32_t k = 0; k < n_runs; k++)
      for (uint32_t c = 0; c < 4 * quads; c++)
        sum += from[i / lanes][offset[k] + c] * weights[(((size_t)k * quads + c / 4) * lanes + i % lanes) * 4 + c % 4];
    assert_true(sum >= INT32_MIN && sum <= INT32_MAX);
    want[i] = (int32_t)sum;
  }
  const snn_dense_runs runs = {.offset = offset, .n = n_runs, .quads = quads};
  FOR_TABLES(k) {
    memcpy(got, start, (size_t)SNN_DENSE_MOST * lanes * sizeof *got);
    k->sum(weights, vectors, &runs, from, n, shift, got);
    for (uint32_t i = 0; i < n * lanes; i++)
      if (got[i] != want[i])
        fail_msg("%s: %u vectors, %u positions, %u runs of %u: lane %u is %d, not %d", k->name, vectors, n, n_runs,
                 quads, i, got[i], want[i]);
  }
  free(x);
  free(weights);
  free(offset);
  free(start);
  free(want);
  free(got);
}

static void test_sum(void **state) {
  (void)state;
  seed = 11;
  for (uint32_t vectors = 1; vectors <= SNN_DENSE_VECTORS; vectors++)
    for (uint32_t n = 1; n <= snn_dense_tile(vectors); n++)
      for (int kind = RANDOM; kind < EXTREMES; kind++) {
        check_sum((extreme)kind, vectors, n, 1 + draw(4), 1 + draw(9), 8 * draw(2));
        check_sum((extreme)kind, vectors, n, 1, 1, 0);
      }
  for (int kind = RANDOM; kind < EXTREMES; kind++) check_sum((extreme)kind, 4, 6, 3, 384, 0); /* 3x3 of 512 channels */
}

static void check_count(uint32_t lanes, int32_t timesteps, uint32_t n_planes, bool has_more) {
  const uint32_t room = (lanes + 15) & ~15u;
  int32_t *arrays[6];
  for (int i = 0; i < 6; i++) {
    arrays[i] = exactly(room, sizeof *arrays[i]);
    for (uint32_t lane = 0; lane < room; lane++)
      arrays[i][lane] = (int32_t)draw(1u << (8 + draw(18))) - (int32_t)draw(1u << (8 + draw(18)));
  }
  for (uint32_t lane = 0; lane < room; lane++) {
    arrays[4][lane] = 2 * (1 + (int32_t)draw(1u << (1 + draw(22))));
    arrays[5][lane] = draw(2) ? arrays[4][lane] : arrays[4][lane] / 2;
    if (draw(4) == 0) arrays[1][lane] = arrays[4][lane] * (int32_t)draw(9) - arrays[0][lane] * 4; /* just so many */
  }
  const snn_int8_neurons p = {.fraction = 2,
                              .acc = arrays[0],
                              .constant = arrays[1],
                              .more = has_more ? arrays[2] : NULL,
                              .v = arrays[3],
                              .theta = arrays[4],
                              .level = arrays[5]};
  FOR_TABLES(k) {
    uint8_t *planes[SNN_DENSE_PLANES];
    for (uint32_t i = 0; i < n_planes; i++) planes[i] = exactly(lanes, 1);
    uint64_t all = k->count(&p, lanes, timesteps, planes, n_planes), sum = 0;
    for (uint32_t lane = 0; lane < lanes; lane++) {
      int64_t x = (int64_t)p.acc[lane] * 4 + p.constant[lane] + p.v[lane] + p.theta[lane] - p.level[lane];
      if (has_more) x += p.more[lane];
      int64_t want = x < 0 ? 0 : x / p.theta[lane], got = 0;
      if (want > timesteps) want = timesteps;
      for (uint32_t i = 0; i < n_planes; i++) got += (int64_t)planes[i][lane] << (8 * i);
      if (got != want) fail_msg("%s: lane %u: %d spikes, not %d", k->name, lane, (int)got, (int)want);
      sum += (uint64_t)want;
    }
    assert_true(all == sum);
    for (uint32_t i = 0; i < n_planes; i++) free(planes[i]);
  }
  for (int i = 0; i < 6; i++) free(arrays[i]);
}

static void test_count(void **state) {
  (void)state;
  seed = 12;
  for (uint32_t lanes = 1; lanes <= SNN_LANES; lanes++) {
    check_count(lanes, 1 + (int32_t)draw(255), 1, draw(2));
    check_count(lanes, 1 + (int32_t)draw(4096), 2, draw(2));
  }
}

static void test_total(void **state) {
  (void)state;
  for (size_t n = 0; n < 300; n++) {
    uint8_t *x = exactly(n + 1, 1);
    uint64_t want = 0;
    for (size_t i = 0; i < n; i++) want += x[i] = (uint8_t)(n % 3 ? 255 : draw(256));
    FOR_TABLES(k) assert_true(k->total(x, n) == want);
    free(x);
  }
}

/* Bits to bytes, set or added; what lies between steps stays. */
static void test_spread(void **state) {
  (void)state;
  seed = 14;
  for (uint32_t words = 1; words < 4; words++)
    for (uint32_t n = 1; n < 5; n++)
      for (uint32_t add = 0; add < 2; add++) {
        const size_t stride = words * SNN_LANES + draw(3), bytes = (n - 1) * stride + words * SNN_LANES;
        uint64_t *bits = exactly((size_t)n * words, sizeof *bits);
        uint8_t *start = exactly(bytes, 1), *got = exactly(bytes, 1);
        for (uint32_t i = 0; i < n * words; i++)
          bits[i] = draw(5) ? (uint64_t)draw(UINT32_MAX) << 32 | draw(UINT32_MAX) : ~0ull;
        for (size_t i = 0; i < bytes; i++) start[i] = (uint8_t)draw(255);
        FOR_TABLES(k) {
          memcpy(got, start, bytes);
          k->spread(bits, words, n, add, got, stride);
          for (size_t i = 0; i < bytes; i++) {
            const size_t t = i / stride, c = i % stride;
            uint32_t want = start[i];
            if (c < (size_t)words * SNN_LANES)
              want = (add ? want : 0) + (uint32_t)(bits[t * words + c / SNN_LANES] >> (c % SNN_LANES) & 1);
            if (got[i] != want) fail_msg("%s: %u words, %u steps: byte %zu is %u", k->name, words, n, i, got[i]);
          }
        }
        free(bits);
        free(start);
        free(got);
      }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sum),
      cmocka_unit_test(test_count),
      cmocka_unit_test(test_total),
      cmocka_unit_test(test_spread),
  };
  return cmocka_run_group_tests_name("dense_kernels", tests, NULL, NULL);
}
