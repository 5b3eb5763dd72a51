/* The readable reference of the integer kernels: plain C, a lane at a time. */
#include <string.h>

#include "kernels/int8.h"
#include "kernels/quantise.h"

static uint32_t list(const uint64_t *bits, size_t stride, uint32_t n, uint32_t words, uint32_t first, uint32_t width,
                     uint16_t *entries, uint32_t at, uint32_t *ends) {
  for (uint32_t i = 0; i < n; i++) {
    for (uint32_t w = 0; w < words; w++)
      for (uint64_t left = bits[i * stride + w]; left; left &= left - 1)
        entries[at++] = (uint16_t)(first + i * width + SNN_LANES * w + (uint32_t)__builtin_ctzll(left));
    if (ends) ends[i] = at;
  }
  return at;
}

static uint32_t join(const snn_int8_cells *cells, uint32_t *offsets, uint32_t at, uint32_t *ends) {
  for (uint32_t i = 0; i < cells->n; i++) {
    for (uint32_t j = 0; j < cells->n_spans; j++) {
      const snn_int8_span *span = &cells->spans[j];
      for (uint32_t k = span->ends[cells->begin[i]]; k < span->ends[cells->end[i]]; k++)
        offsets[at++] = (span->first + span->entries[k] - i * cells->back) * cells->row_bytes;
    }
    while (at % SNN_QUAD) offsets[at++] = (cells->zero + i * cells->pitch) * cells->row_bytes;
    ends[i] = at;
  }
  return at;
}

static int32_t weight(const int8_t *group, uint32_t lane) {
  int8_t byte = group[snn_int8_byte(lane)];
  return lane < 32 ? (uint8_t)byte - 128 : byte;
}

static void add_rows(const int8_t *weights, uint32_t groups, const uint32_t *offsets, uint32_t n, bool add,
                     int32_t *acc) {
  if (!add) memset(acc, 0, (size_t)groups * SNN_LANES * sizeof *acc);
  for (uint32_t i = 0; i < n; i++)
    for (uint32_t g = 0; g < groups; g++)
      for (uint32_t lane = 0; lane < SNN_LANES; lane++)
        acc[g * SNN_LANES + lane] += weight(weights + offsets[i] + g * SNN_LANES, lane);
}

static void currents(const snn_int8_sources *from, uint32_t t, int32_t *acc) {
  const uint32_t lanes = from->groups * SNN_LANES;
  memset(acc, 0, lanes * sizeof *acc);
  if (from->ready) memcpy(acc, from->ready + (size_t)t * lanes, lanes * sizeof *acc);
  for (uint32_t k = 0; !from->ready && k < from->n_sums; k++) {
    const snn_int8_sum *sum = &from->sums[k];
    const uint32_t begin = sum->from[t * sum->stride], end = sum->to[t * sum->stride];
    int32_t part[SNN_INT8_GROUPS * SNN_LANES];
    add_rows(snn_int8_origin(sum), from->groups, sum->offsets + begin, end - begin, false, part);
    for (uint32_t i = 0; i < lanes; i++) acc[i] += sum->negative ? -part[i] : part[i];
  }
}

static void add_spikes(uint64_t bits, const int32_t *amount, bool negative, int32_t *more) {
  for (; bits; bits &= bits - 1) {
    int lane = __builtin_ctzll(bits);
    more[lane] += negative ? -amount[lane] : amount[lane];
  }
}

static void add_rounded(const float *value, const float *per_unit, float most, int32_t times, uint32_t n, int32_t *x) {
  for (uint32_t i = 0; i < n; i++) x[i] += times * snn_int8_clamped(value[i] * per_unit[i], most);
}

static int32_t current(const snn_int8_neurons *p, uint32_t i) {
  int32_t sum = p->constant[i];
  if (p->acc) sum += p->acc[i] * (1 << p->fraction);
  if (p->more) sum += p->more[i];
  return sum;
}

/* What a leak leaves of v: floor(v * tau / 2^15), without leaving 32 bits. */
static int32_t kept(int32_t v, int32_t tau) {
  return (v >> SNN_TAU_BITS) * tau + ((v & ((1 << SNN_TAU_BITS) - 1)) * tau >> SNN_TAU_BITS);
}

static uint64_t fire(snn_int8_reset model, const snn_int8_neurons *p, uint32_t groups, uint64_t valid, uint64_t *plus,
                     uint64_t *minus) {
  uint64_t spikes = 0;
  for (uint32_t g = 0; g < groups; g++) {
    uint64_t up = 0, down = 0, mask = g + 1 == groups ? valid : ~0ull;
    for (uint32_t lane = 0; lane < SNN_LANES; lane++) {
      uint32_t i = g * SNN_LANES + lane;
      int32_t v = p->v[i];
      if (model == SNN_INT8_LEAKY_SOFT || model == SNN_INT8_LEAKY_HARD) v = kept(v, p->tau);
      v += current(p, i);
      if (v >= p->level[i]) {
        v = model == SNN_INT8_HARD || model == SNN_INT8_LEAKY_HARD ? 0 : v - p->theta[i];
        up |= 1ull << lane;
        if (model == SNN_INT8_SIGNED) p->balance[i]++;
      } else if (model == SNN_INT8_SIGNED && v <= -p->level[i] && p->balance[i] > 0) {
        v += p->theta[i];
        down |= 1ull << lane;
        p->balance[i]--;
      }
      p->v[i] = v;
    }
    plus[g] = up & mask;
    if (model == SNN_INT8_SIGNED) minus[g] = down & mask;
    spikes += (uint64_t)__builtin_popcountll((up | down) & mask);
  }
  return spikes;
}

static void steps(snn_int8_reset model, const snn_int8_neurons *p, const snn_int8_sources *from, uint32_t n_steps,
                  uint64_t valid, uint64_t *plus, uint64_t *minus, uint32_t *spikes) {
  int32_t acc[SNN_INT8_GROUPS * SNN_LANES], more[SNN_INT8_GROUPS * SNN_LANES];
  snn_int8_neurons now = *p;
  now.acc = from->n_sums ? acc : NULL;
  now.more = from->n_wires ? more : NULL;
  for (uint32_t t = 0; t < n_steps; t++, plus += from->groups, minus += from->groups) {
    if (from->n_sums) currents(from, t, acc);
    memset(more, 0, sizeof more);
    for (uint32_t k = 0; k < from->n_wires; k++)
      for (uint32_t g = 0; g < from->groups; g++)
        add_spikes(from->wires[k].bits[(size_t)t * from->groups + g], from->wires[k].amount + g * SNN_LANES,
                   from->wires[k].negative, more + g * SNN_LANES);
    spikes[t] += (uint32_t)fire(model, &now, from->groups, valid, plus, minus);
  }
}

static uint64_t popcount(const uint64_t *words, size_t stride, size_t n, size_t each) {
  uint64_t sum = 0;
  for (size_t i = 0; i < n; i++)
    for (size_t w = 0; w < each; w++) sum += (uint64_t)__builtin_popcountll(words[i * stride + w]);
  return sum;
}

static void interleave(const int8_t *rows, size_t stride, uint32_t n_rows, int8_t *to) {
  for (uint32_t c = 0; c < n_rows; c++)
    for (uint32_t lane = 0; lane < SNN_LANES; lane++)
      to[(size_t)(c / 4) * 4 * SNN_LANES + 4 * lane + c % 4] = (int8_t)weight(rows + c * stride, lane);
}

const snn_int8_kernels snn_int8_scalar = {.name = "scalar",
                                          .list = list,
                                          .join = join,
                                          .add_rows = add_rows,
                                          .currents = currents,
                                          .add_spikes = add_spikes,
                                          .add_rounded = add_rounded,
                                          .fire = fire,
                                          .steps = steps,
                                          .popcount = popcount,
                                          .interleave = interleave,
                                          .quantise = quantise};
