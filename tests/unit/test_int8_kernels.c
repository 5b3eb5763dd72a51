/* Every integer kernel table of this machine against definitions written here, lane by lane: worst-case spikes and
 * weights included, around the widths of vectors and the number of additions that 16 bits hold. Arrays are as long as
 * the contract says, so that a sanitizer sees one step too far. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "kernels/int8.h"
#include "kernels/kernels.h"

static uint64_t seed;

static uint32_t draw(uint32_t n) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return (uint32_t)((seed >> 16) % n);
}

/* n elements on a cache line, as the library's own arrays are; bytes must be a multiple of 64. */
static void *exactly(size_t n, size_t size) {
  void *p = aligned_alloc(64, n * size);
  assert_non_null(p);
  return p;
}

#define FOR_TABLES(k)                                         \
  for (unsigned i_ = 0; snn_int8_kernels_available(i_); i_++) \
    for (const snn_int8_kernels *k = snn_int8_kernels_available(i_); k; k = NULL)

/* Weights [rows][lanes] to the kernels' bytes. */
static int8_t *pack(const int8_t *w, uint32_t rows, uint32_t groups) {
  int8_t *to = exactly((size_t)rows * groups * SNN_LANES, 1);
  for (uint32_t r = 0; r < rows * groups; r++)
    for (uint32_t lane = 0; lane < SNN_LANES; lane++)
      to[r * SNN_LANES + snn_int8_byte(lane)] =
          (int8_t)(lane < 32 ? w[r * SNN_LANES + lane] ^ 0x80 : w[r * SNN_LANES + lane]);
  return to;
}

typedef enum weights { RANDOM, MOST, LEAST, ALTERNATE, WEIGHTS } weights;

static int8_t draw_weight(weights kind, uint32_t lane) {
  switch (kind) {
    case MOST: return SNN_INT8_MOST;
    case LEAST: return -SNN_INT8_MOST;
    case ALTERNATE: return lane % 2 ? -SNN_INT8_MOST : SNN_INT8_MOST;
    default: return (int8_t)((int)draw(2 * SNN_INT8_MOST + 1) - SNN_INT8_MOST);
  }
}

static void check_rows(weights kind, uint32_t groups, uint32_t n) {
  enum { ROWS = 7 };
  const uint32_t lanes = groups * SNN_LANES;
  int8_t w[ROWS * SNN_INT8_GROUPS * SNN_LANES];
  for (uint32_t i = 0; i < ROWS * lanes; i++) w[i] = draw_weight(kind, i);
  int8_t *packed = pack(w, ROWS, groups);
  uint32_t *rows = malloc(n ? n * sizeof *rows : 1), *offsets = malloc(n ? n * sizeof *offsets : 1);
  int32_t *want = exactly(lanes, sizeof *want), *got = exactly(lanes, sizeof *got);
  for (uint32_t i = 0; i < n; i++) offsets[i] = (rows[i] = draw(ROWS)) * lanes;
  for (int add = 0; add < 2; add++) FOR_TABLES(k) {
      for (uint32_t l = 0; l < lanes; l++) want[l] = got[l] = (int32_t)draw(1000) - 500;
      for (uint32_t l = 0; l < lanes; l++) {
        if (!add) want[l] = 0;
        for (uint32_t i = 0; i < n; i++) want[l] += w[rows[i] * lanes + l];
      }
      k->add_rows(packed, groups, offsets, n, add == 1, got);
      if (memcmp(want, got, lanes * sizeof *got) != 0)
        fail_msg("%s: %u rows of %u groups, weights %d, add %d: another sum", k->name, n, groups, (int)kind, add);
    }
  free(packed);
  free(rows);
  free(offsets);
  free(want);
  free(got);
}

static void test_rows(void **state) {
  (void)state;
  static const uint32_t counts[] = {0, 4, 8, 12, 16, 20, 252, 256, 260, 508, 512, 516, 1500};
  seed = 1;
  for (uint32_t groups = 1; groups <= SNN_INT8_GROUPS; groups++)
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) check_rows(RANDOM, groups, counts[i]);
}

/* Nothing overflows, however many spikes of the largest weights come: the widening is what this would miss. */
static void test_rows_worst_case(void **state) {
  (void)state;
  static const uint32_t counts[] = {252, 256, 260, 264, 512, 4608, 25088};
  seed = 2;
  for (int kind = MOST; kind < WEIGHTS; kind++)
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) check_rows((weights)kind, 1 + draw(3), counts[i]);
}

/* Spikes of some positions, `stride` words apart, each with garbage behind what is asked for. */
static void test_list(void **state) {
  (void)state;
  seed = 3;
  static const uint32_t channels[] = {1, 10, 16, 17, 32, 33, 63, 64, 128, 192};
  for (size_t shape = 0; shape < sizeof channels / sizeof *channels; shape++)
    for (uint32_t density = 0; density < 12; density++) {
      enum { POSITIONS = 7, STRIDE = 4 };
      uint64_t bits[POSITIONS * STRIDE] = {0};
      uint16_t want[7 + POSITIONS * 3 * 64];
      const uint32_t words = (channels[shape] + 63) / 64, first = draw(1 << 16); /* entries are modulo 2^16 */
      const uint32_t width = channels[shape] + 1 + draw(2) * draw(100);
      uint32_t n = 7, ends[POSITIONS], got_ends[POSITIONS];
      for (uint32_t i = 0; i < POSITIONS; i++) {
        for (uint32_t w = 0; w < STRIDE; w++) bits[i * STRIDE + w] = w >= words ? ~0ull : 0;
        for (uint32_t c = 0; c < channels[shape]; c++) {
          if (density == 11 || draw(10) < density) bits[i * STRIDE + c / 64] |= 1ull << (c % 64);
          if (bits[i * STRIDE + c / 64] >> (c % 64) & 1) want[n++] = (uint16_t)(first + i * width + c);
        }
        ends[i] = n;
      }
      FOR_TABLES(k) {
        uint16_t *entries = malloc((n + SNN_EVENT_SLACK) * sizeof *entries);
        assert_int_equal(k->list(bits, STRIDE, POSITIONS, words, first, width, entries, 7, got_ends), n);
        assert_memory_equal(entries + 7, want + 7, (n - 7) * sizeof *want);
        assert_memory_equal(got_ends, ends, sizeof ends);
        assert_int_equal(k->list(bits, STRIDE, 0, words, 0, width, entries, 9, NULL), 9);
        free(entries);
      }
    }
}

/* Cells of some spans, at borders and overlapping too: what is joined, filled up with zeros. Spans hold what their
 * density says, so that cells are shorter and longer than what a table takes at a time. */
static void check_join(uint32_t density, uint32_t reach, uint32_t row_bytes) {
  enum { COLUMNS = 6, SPANS = 3, CHANNELS = 80 };
  uint32_t ends[SPANS][COLUMNS + 1], begin[COLUMNS], end[COLUMNS], n = 0, want_ends[COLUMNS], got_ends[COLUMNS];
  uint16_t *entries = malloc((SPANS * COLUMNS * CHANNELS + SNN_EVENT_SLACK) * sizeof *entries);
  uint32_t *want = malloc((SPANS * COLUMNS * COLUMNS * CHANNELS + 4 * COLUMNS + SNN_EVENT_SLACK) * sizeof *want),
           at = 12;
  snn_int8_span spans[SPANS];
  for (uint32_t j = 0; j < SPANS; j++) {
    spans[j] = (snn_int8_span){entries, ends[j], draw(1 << 20) - (1 << 19)}; /* below 0 as well */
    ends[j][0] = n;
    for (uint32_t x = 0; x < COLUMNS; x++) {
      for (uint32_t c = 0; c < CHANNELS; c++)
        if (draw(100) < density) entries[n++] = (uint16_t)draw(1 << 16);
      ends[j][x + 1] = n;
    }
  }
  for (uint32_t i = 0; i < COLUMNS; i++) {
    begin[i] = i;
    end[i] = i + reach < COLUMNS ? i + reach : COLUMNS;
  }
  const snn_int8_cells cells = {spans, begin, end, draw(SPANS + 1), COLUMNS, draw(40), draw(90), draw(90), row_bytes};
  for (uint32_t i = 0; i < COLUMNS; i++) {
    for (uint32_t j = 0; j < cells.n_spans; j++)
      for (uint32_t k = ends[j][begin[i]]; k < ends[j][end[i]]; k++)
        want[at++] = (spans[j].first + entries[k] - i * cells.back) * row_bytes;
    for (; at % 4; at++) want[at] = (cells.zero + i * cells.pitch) * row_bytes;
    want_ends[i] = at;
  }
  FOR_TABLES(k) {
    uint32_t *got = malloc((at + SNN_EVENT_SLACK) * sizeof *got);
    if (k->join(&cells, got, 12, got_ends) != at || memcmp(got_ends, want_ends, sizeof want_ends) != 0 ||
        memcmp(got + 12, want + 12, (at - 12) * sizeof *want) != 0)
      fail_msg("%s: density %u, %u columns a cell, rows of %u bytes: joined otherwise", k->name, density, reach,
               row_bytes);
    free(got);
  }
  free(entries);
  free(want);
}

static void test_join(void **state) {
  (void)state;
  seed = 11;
  for (uint32_t density = 0; density <= 100; density += 10)
    for (uint32_t reach = 1; reach <= 4; reach++) check_join(density, reach, SNN_LANES * (1 + draw(SNN_INT8_GROUPS)));
}

/* Listed spikes of a convolution over some steps, offsets that count from before the weights among them. */
enum { STEPS = 4, ROWS = 40 };

typedef struct listed {
  uint32_t *offsets, ends[STEPS][2], rows;
  int64_t first;
  int8_t *w, *packed; /* [ROWS][lanes] */
} listed;

static void make_listed(listed *l, uint32_t groups, uint32_t most, weights kind) {
  const uint32_t lanes = groups * SNN_LANES, back = draw(100);
  l->w = malloc((size_t)ROWS * lanes);
  for (uint32_t i = 0; i < ROWS * lanes; i++) l->w[i] = draw_weight(kind, i);
  l->packed = pack(l->w, ROWS, groups);
  l->offsets = malloc((STEPS * (most + 1)) * sizeof *l->offsets);
  l->first = -(int64_t)back * lanes;
  l->rows = back;
  uint32_t n = 0;
  for (uint32_t t = 0; t < STEPS; t++) {
    l->ends[t][0] = n;
    for (uint32_t i = (draw(2) ? draw(most + 1) : most) / SNN_QUAD * SNN_QUAD; i > 0; i--)
      l->offsets[n++] = (back + draw(ROWS)) * lanes;
    l->ends[t][1] = n;
  }
}

static snn_int8_sum sum_of(const listed *l, bool negative) {
  return (snn_int8_sum){l->packed, l->offsets, &l->ends[0][0], &l->ends[0][1], l->first, 2, negative};
}

static void free_listed(listed *l) {
  free(l->offsets);
  free(l->w);
  free(l->packed);
}

static int32_t naive_current(const listed *l, const snn_int8_sum *sum, uint32_t lanes, uint32_t lane, uint32_t t) {
  int32_t total = 0;
  for (uint32_t i = l->ends[t][0]; i < l->ends[t][1]; i++)
    total += l->w[(size_t)(l->offsets[i] / lanes - l->rows) * lanes + lane];
  return sum->negative ? -total : total;
}

/* Two convolutions, of which one takes its rows away. */
static void check_currents(uint32_t groups, uint32_t most, weights kind) {
  listed l[2];
  snn_int8_sum sums[2];
  const uint32_t lanes = groups * SNN_LANES;
  for (uint32_t k = 0; k < 2; k++) {
    make_listed(&l[k], groups, most, kind);
    sums[k] = sum_of(&l[k], k == 1);
  }
  int32_t *got = exactly(lanes, sizeof *got);
  for (uint32_t which = 0; which < 3; which++) { /* one, the other, both */
    snn_int8_sources from = {.groups = groups, .n_sums = 1 + (which == 2), .sums = sums + (which == 1)};
    for (uint32_t t = 0; t < STEPS; t++) FOR_TABLES(k) {
        memset(got, 0x55, lanes * sizeof *got);
        k->currents(&from, t, got);
        for (uint32_t i = 0; i < lanes; i++) {
          int32_t want = 0;
          if (which != 1) want += naive_current(&l[0], &sums[0], lanes, i, t);
          if (which != 0) want += naive_current(&l[1], &sums[1], lanes, i, t);
          if (got[i] != want) fail_msg("%s: %u groups, step %u: another current", k->name, groups, t);
        }
      }
  }
  free_listed(&l[0]);
  free_listed(&l[1]);
  free(got);
}

static void test_currents(void **state) {
  (void)state;
  static const uint32_t most[] = {0, 4, 8, 16, 64, 252, 256, 260, 600};
  seed = 8;
  for (size_t i = 0; i < sizeof most / sizeof *most; i++)
    for (uint32_t groups = 1; groups <= SNN_INT8_GROUPS; groups += 1 + groups / 4)
      check_currents(groups, most[i], (weights)draw(WEIGHTS));
}

static void test_rounding(void **state) {
  (void)state;
  float value[67], per_unit[67];
  seed = 9;
  for (uint32_t n = 0; n <= 67; n += 1 + n / 8) {
    int32_t got[67];
    for (uint32_t i = 0; i < n; i++) {
      per_unit[i] = i % 3 ? 0.5f : 8;
      value[i] = (float)draw(4001) - 2000 + (i % 2 ? 0.5f : 0);
    }
    if (n > 60) value[60] = NAN, value[61 % n] = INFINITY, value[62 % n] = -INFINITY;
    FOR_TABLES(k) {
      for (uint32_t i = 0; i < n; i++) got[i] = (int32_t)i;
      k->add_rounded(value, per_unit, 1000, 3, n, got);
      for (uint32_t i = 0; i < n; i++) {
        const float x = value[i] * per_unit[i], kept = isnan(x) || x < -1000 ? -1000 : x > 1000 ? 1000 : x;
        assert_int_equal(got[i], (int32_t)i + 3 * (int32_t)rintf(kept));
      }
    }
  }
}

static void test_spikes(void **state) {
  (void)state;
  seed = 4;
  for (int round = 0; round < 200; round++) {
    int32_t amount[SNN_LANES], before[SNN_LANES];
    uint64_t bits = round == 0 ? 0 : round == 1 ? ~0ull : ((uint64_t)draw(1u << 31) << 33) ^ draw(1u << 31);
    for (int i = 0; i < SNN_LANES; i++) {
      amount[i] = (int32_t)draw(1 << 20);
      before[i] = (int32_t)draw(1 << 20) - (1 << 19);
    }
    for (int negative = 0; negative < 2; negative++) FOR_TABLES(k) {
        int32_t got[SNN_LANES];
        memcpy(got, before, sizeof got);
        k->add_spikes(bits, amount, negative == 1, got);
        for (int i = 0; i < SNN_LANES; i++) {
          int32_t x = bits >> i & 1 ? amount[i] : 0;
          assert_int_equal(got[i], before[i] + (negative ? -x : x));
        }
      }
  }
}

/* Neurons of `groups` groups, potentials and levels drawn so that many are just at the level. */
typedef struct layer {
  uint32_t lanes;
  snn_int8_neurons p;
  int32_t *v, *balance; /* as drawn */
} layer;

static layer make_layer(uint32_t groups) {
  layer l = {.lanes = groups * SNN_LANES};
  int32_t *arrays[8];
  for (int i = 0; i < 8; i++) arrays[i] = exactly(l.lanes, sizeof(int32_t));
  l.p = (snn_int8_neurons){.fraction = draw(9),
                           .constant = arrays[0],
                           .acc = draw(4) ? arrays[1] : NULL,
                           .more = draw(2) ? arrays[2] : NULL,
                           .level = arrays[3],
                           .theta = arrays[4],
                           .v = arrays[5],
                           .balance = arrays[6],
                           .tau = (int32_t)draw((1 << SNN_TAU_BITS) + 1)};
  l.v = arrays[7];
  l.balance = exactly(l.lanes, sizeof(int32_t));
  if (!l.p.acc) free(arrays[1]);
  if (!l.p.more) free(arrays[2]);
  for (uint32_t i = 0; i < l.lanes; i++) {
    arrays[0][i] = (int32_t)draw(2000) - 1000;
    if (l.p.acc) arrays[1][i] = (int32_t)draw(200) - 100;
    if (l.p.more) arrays[2][i] = (int32_t)draw(2000) - 1000;
    arrays[4][i] = 2 + 2 * (int32_t)draw(3000);
    l.v[i] = draw(20) ? (int32_t)draw(8000) - 4000 : (int32_t)draw(1u << 31) - (1 << 30);
    l.balance[i] = (int32_t)draw(3);
    int32_t v =
        l.v[i] + arrays[0][i] + (l.p.acc ? arrays[1][i] * (1 << l.p.fraction) : 0) + (l.p.more ? arrays[2][i] : 0);
    arrays[3][i] = draw(4) ? 1 + (int32_t)draw(6000) : v + (int32_t)draw(3) - 1; /* just at it */
    if (draw(8) == 0) arrays[3][i] = -v;
    if (arrays[3][i] <= 0) arrays[3][i] = 1;
  }
  return l;
}

static void free_layer(layer *l) {
  const void *arrays[] = {l->p.constant, l->p.acc,     l->p.more, l->p.level, l->p.theta,
                          l->p.v,        l->p.balance, l->v,      l->balance};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free((void *)(uintptr_t)arrays[i]);
}

static int64_t current_of(const layer *l, uint32_t i) {
  return (int64_t)l->p.constant[i] + (l->p.acc ? (int64_t)l->p.acc[i] * (1 << l->p.fraction) : 0) +
         (l->p.more ? l->p.more[i] : 0);
}

static int64_t floor_divide(int64_t a, int64_t b) {
  return a >= 0 ? a / b : -((-a + b - 1) / b);
}

/* What a lane does, in 64 bits; returns -1, 0 or 1. */
static int naive_fire(const layer *l, snn_int8_reset model, uint32_t i, int32_t *v_out, int32_t *balance) {
  int64_t v = l->v[i];
  *balance = l->balance[i];
  if (model == SNN_INT8_LEAKY_SOFT || model == SNN_INT8_LEAKY_HARD) v = floor_divide(v * l->p.tau, 1 << SNN_TAU_BITS);
  v += current_of(l, i);
  int spike = v >= l->p.level[i];
  if (model == SNN_INT8_SIGNED && !spike && v <= -(int64_t)l->p.level[i] && *balance > 0) spike = -1;
  v = spike && (model == SNN_INT8_HARD || model == SNN_INT8_LEAKY_HARD) ? 0 : v - spike * (int64_t)l->p.theta[i];
  if (model == SNN_INT8_SIGNED) *balance += spike;
  *v_out = (int32_t)v;
  return spike;
}

static void check_fire(const snn_int8_kernels *k, const layer *l, snn_int8_reset model, uint64_t valid) {
  const uint32_t groups = l->lanes / SNN_LANES;
  uint64_t plus[SNN_INT8_GROUPS], minus[SNN_INT8_GROUPS] = {0}, total = 0;
  memcpy(l->p.v, l->v, l->lanes * sizeof *l->v);
  memcpy(l->p.balance, l->balance, l->lanes * sizeof *l->v);
  uint64_t returned = k->fire(model, &l->p, groups, valid, plus, minus);
  for (uint32_t i = 0; i < l->lanes; i++) {
    int32_t v, balance;
    int spike = naive_fire(l, model, i, &v, &balance);
    bool counts = i / SNN_LANES + 1 < groups || (valid >> (i % SNN_LANES) & 1);
    if (l->p.v[i] != v || l->p.balance[i] != balance || (plus[i / 64] >> (i % 64) & 1) != (counts && spike == 1) ||
        (model == SNN_INT8_SIGNED && (minus[i / 64] >> (i % 64) & 1) != (counts && spike == -1)))
      fail_msg("%s: model %d, lane %u of %u: v %d, not %d; spike %d", k->name, (int)model, i, l->lanes, l->p.v[i], v,
               spike);
    total += counts && spike;
  }
  assert_true(returned == total);
}

static void test_fire(void **state) {
  (void)state;
  seed = 5;
  for (int round = 0; round < 100; round++) {
    layer l = make_layer(1 + draw(SNN_INT8_GROUPS));
    uint64_t valid = draw(2) ? ~0ull : (1ull << draw(64)) - 1;
    for (int model = SNN_INT8_SOFT; model <= SNN_INT8_SIGNED; model++)
      FOR_TABLES(k) check_fire(k, &l, (snn_int8_reset)model, valid);
    free_layer(&l);
  }
}

/* Steps in one call are those of `currents`, `add_spikes` and `fire` of the reference; with sums made before, too. */
static void check_steps(snn_int8_reset model, uint32_t groups, uint32_t n_sums, uint32_t n_wires) {
  const uint32_t lanes = groups * SNN_LANES, most = draw(8) ? 20 : 600;
  layer n = make_layer(groups);
  listed l;
  make_listed(&l, groups, most, RANDOM);
  int32_t *ready = exactly((size_t)STEPS * lanes, sizeof *ready);
  int32_t *amount = exactly(lanes, sizeof *amount), *acc = exactly(lanes, sizeof *acc),
          *more = exactly(lanes, sizeof *more), *v = exactly(lanes, sizeof *v), *balance = exactly(lanes, sizeof *v);
  uint64_t bits[2][STEPS * SNN_INT8_GROUPS];
  for (uint32_t i = 0; i < lanes; i++) amount[i] = (int32_t)draw(500);
  for (uint32_t i = 0; i < 2 * STEPS * SNN_INT8_GROUPS; i++) bits[i % 2][i / 2] = (uint64_t)draw(1u << 31) << draw(33);
  const bool negative = draw(2);
  const snn_int8_sum sums[2] = {sum_of(&l, negative), sum_of(&l, !negative)};
  const snn_int8_wire wires[2] = {{bits[0], amount, false}, {bits[1], amount, true}};
  const snn_int8_sources from = {groups, n_sums, n_wires, sums, wires, NULL};
  const uint64_t valid = draw(2) ? ~0ull : (1ull << draw(64)) - 1;
  uint64_t plus[STEPS * SNN_INT8_GROUPS], minus[STEPS * SNN_INT8_GROUPS];
  uint64_t want_plus[STEPS * SNN_INT8_GROUPS], want_minus[STEPS * SNN_INT8_GROUPS];
  uint32_t spikes[STEPS], want_spikes[STEPS];
  memcpy(n.p.v, n.v, lanes * sizeof *v);
  memcpy(n.p.balance, n.balance, lanes * sizeof *v);
  for (uint32_t t = 0; t < STEPS; t++) {
    snn_int8_neurons now = n.p;
    memset(acc, 0, lanes * sizeof *acc);
    if (n_sums) snn_int8_scalar.currents(&from, t, acc);
    memcpy(ready + t * lanes, acc, lanes * sizeof *acc);
    memset(more, 0, lanes * sizeof *more);
    for (uint32_t w = 0; w < n_wires; w++)
      for (uint32_t g = 0; g < groups; g++)
        snn_int8_scalar.add_spikes(bits[w][t * groups + g], amount + g * SNN_LANES, w == 1, more + g * SNN_LANES);
    now.acc = acc;
    now.more = more;
    want_spikes[t] =
        5 + (uint32_t)snn_int8_scalar.fire(model, &now, groups, valid, want_plus + t * groups, want_minus + t * groups);
  }
  memcpy(v, n.p.v, lanes * sizeof *v);
  memcpy(balance, n.p.balance, lanes * sizeof *v);
  const snn_int8_sources made = {groups, n_sums, n_wires, NULL, wires, ready};
  for (uint32_t way = 0; way < 1 + (n_sums > 0); way++) FOR_TABLES(k) {
      memcpy(n.p.v, n.v, lanes * sizeof *v);
      memcpy(n.p.balance, n.balance, lanes * sizeof *v);
      for (uint32_t t = 0; t < STEPS; t++) spikes[t] = 5;
      k->steps(model, &n.p, way ? &made : &from, STEPS, valid, plus, minus, spikes);
      if (memcmp(n.p.v, v, lanes * sizeof *v) != 0 || memcmp(n.p.balance, balance, lanes * sizeof *v) != 0 ||
          memcmp(plus, want_plus, STEPS * groups * sizeof *plus) != 0 ||
          (model == SNN_INT8_SIGNED && memcmp(minus, want_minus, STEPS * groups * sizeof *minus) != 0) ||
          memcmp(spikes, want_spikes, sizeof spikes) != 0)
        fail_msg("%s%s: model %d, %u groups, %u sums, %u wires: other steps", k->name, way ? ", sums made before" : "",
                 (int)model, groups, n_sums, n_wires);
    }
  void *const arrays[] = {ready, amount, acc, more, v, balance};
  for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
  free_listed(&l);
  free_layer(&n);
}

static void test_steps(void **state) {
  (void)state;
  seed = 10;
  for (uint32_t groups = 1; groups <= SNN_INT8_GROUPS; groups++)
    for (int model = SNN_INT8_SOFT; model <= SNN_INT8_SIGNED; model++)
      for (uint32_t n = 0; n < 9; n++) check_steps((snn_int8_reset)model, groups, n % 3, n / 3);
}

static void test_popcount(void **state) {
  (void)state;
  const uint64_t words[4] = {~0ull, 0, 1ull << 63 | 1, 0x5555555555555555ull};
  FOR_TABLES(k) {
    assert_int_equal(k->popcount(words, 4, 1, 4), 64 + 2 + 32);
    assert_int_equal(k->popcount(words, 2, 2, 1), 64 + 2);
    assert_int_equal(k->popcount(words, 1, 0, 4), 0);
  }
}

/* Four rows together, lane by lane, without their offset. */
static void test_interleave(void **state) {
  (void)state;
  static const uint32_t quads[] = {1, 2, 3, 16, 17, 128};
  seed = 7;
  for (size_t i = 0; i < sizeof quads / sizeof *quads; i++)
    for (int kind = RANDOM; kind < WEIGHTS; kind++) {
      const uint32_t n = quads[i] * 4 * SNN_LANES;
      int8_t *w = exactly(n, 1), *zipped = exactly(n, 1);
      for (uint32_t k = 0; k < n; k++) w[k] = draw_weight((weights)kind, k);
      int8_t *packed = pack(w, quads[i] * 4, 1);
      FOR_TABLES(k) {
        memset(zipped, 0x55, n);
        k->interleave(packed, SNN_LANES, quads[i] * 4, zipped);
        for (uint32_t c = 0; c < quads[i] * 4; c++)
          for (uint32_t lane = 0; lane < SNN_LANES; lane++)
            if (zipped[(c / 4 * SNN_LANES + lane) * 4 + c % 4] != w[c * SNN_LANES + lane])
              fail_msg("%s: %u quads: row %u, lane %u is another", k->name, quads[i], c, lane);
      }
      free(w);
      free(packed);
      free(zipped);
    }
}

/* Rows of weights of any size, ties and what lies beyond 127 among them: as by the readable table. */
static void test_quantise(void **state) {
  (void)state;
  float w[SNN_LANES], per_unit[SNN_LANES];
  seed = 9;
  for (int round = 0; round < 200; round++) {
    const float worth = round % 3 ? 1.0f : 0.37f;
    for (uint32_t lane = 0; lane < SNN_LANES; lane++) {
      w[lane] = ((float)draw(2048) - 1024) / (round % 2 ? 8.0f : 2.0f);
      per_unit[lane] = lane % 5 ? 1.0f : (float)draw(100) / 7.0f;
      if (draw(100) == 0) w[lane] = draw(2) ? 1e30f : -1e30f;
    }
    int8_t want[SNN_LANES], got[SNN_LANES];
    int32_t plus[2][SNN_LANES], minus[2][SNN_LANES];
    memset(plus, 1, sizeof plus);
    memset(minus, 2, sizeof minus);
    snn_int8_scalar.quantise(w, worth, per_unit, want, plus[0], minus[0]);
    for (uint32_t lane = 0; lane < SNN_LANES; lane++) {
      const double x = (double)(w[lane] * worth * per_unit[lane]), y = x > 127 ? 127 : x < -127 ? -127 : rint(x);
      const int8_t q = want[snn_int8_byte(lane)];
      if (fabs(x) < 1 << 22) assert_int_equal(lane < 32 ? (uint8_t)q - 128 : q, (int)y);
    }
    FOR_TABLES(k) {
      memset(plus[1], 1, sizeof plus[1]);
      memset(minus[1], 2, sizeof minus[1]);
      k->quantise(w, worth, per_unit, got, plus[1], minus[1]);
      assert_memory_equal(got, want, sizeof want);
      assert_memory_equal(plus[1], plus[0], sizeof plus[0]);
      assert_memory_equal(minus[1], minus[0], sizeof minus[0]);
    }
  }
}

static void test_tables(void **state) {
  (void)state;
  unsigned n = 0;
  while (snn_int8_kernels_available(n)) n++;
  assert_true(n >= 1 && snn_int8_kernels_available(n - 1) == &snn_int8_scalar);
  assert_non_null(snn_int8_kernels_get());
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows),     cmocka_unit_test(test_rows_worst_case),
      cmocka_unit_test(test_list),     cmocka_unit_test(test_spikes),
      cmocka_unit_test(test_fire),     cmocka_unit_test(test_interleave),
      cmocka_unit_test(test_quantise), cmocka_unit_test(test_popcount),
      cmocka_unit_test(test_tables),   cmocka_unit_test(test_currents),
      cmocka_unit_test(test_rounding), cmocka_unit_test(test_steps),
      cmocka_unit_test(test_join),
  };
  return cmocka_run_group_tests_name("int8_kernels", tests, NULL, NULL);
}
