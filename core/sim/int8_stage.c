/* Running the integer stages that sum terms. Work is handed out by block of lanes first, then by row of sites, so that
 * a thread meets few blocks and their weights stay in its cache, and lists few rows; all steps of a chunk are done at a
 * site before the next. While it works at a block, a thread has the weights of the one after it fetched. Which thread
 * does an item changes nothing: an item reads what earlier stages left and writes what is its alone. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/int8_choice.h"

enum { BLOCK_LANES = SNN_INT8_GROUPS * SNN_LANES, MOST_STEPS = SNN_INT8_MOST_CHUNK, MOST_WIRES = 4 };

/* What an item is. */
typedef struct item {
  uint32_t index, block, y, x; /* stage; x: of the sites of a row */
  size_t site;
  const snn_stage *stage;
  const snn_int8_layer *layer;
} item;

/* A stage while it runs: what its items share; from `now` on, those of the row of sites and the block in work. */
typedef struct stage_run {
  const snn_int8_context *ctx;
  uint32_t n_steps, n_lists;
  snn_int8_lists lists[2 * SNN_MAX_NODE_INPUTS]; /* of its convolutions, but for grouped ones */
  bool by_kernel; /* nothing but such convolutions and spikes arrives, and neurons take it */
  bool in_place;  /* spikes lie in the map as kernels leave them */
  bool may_be_dense;
  uint32_t *spikes; /* [steps] */
  item now;
  bool is_dense;
  uint32_t n_sums;
  snn_int8_row_sum sums[4 * SNN_MAX_NODE_INPUTS];
  snn_int8_neurons neurons; /* of site 0 */
} stage_run;

/* Unit `unit` of a stage is a row of sites and a block: its first item. */
static item item_of(const snn_int8_context *ctx, uint32_t index, uint32_t unit) {
  item it = {.index = index, .stage = &ctx->sim->plan->stages[index], .layer = &ctx->sim->model->layers[index]};
  it.block = unit / it.stage->shape.h;
  it.y = unit % it.stage->shape.h;
  it.site = (size_t)it.y * it.layer->sites_w;
  return it;
}

/* Units of a stage, and this rank's share of them. */
static uint32_t units_of(const snn_int8_context *ctx, uint32_t index, size_t *begin, size_t *end) {
  const uint32_t units = ctx->sim->model->layers[index].blocks * ctx->sim->plan->stages[index].shape.h;
  snn_team_share(ctx->constant.team, units, begin, end);
  return units;
}

/* Where a block's weights begin, of the first convolution that has some in blocks; NULL: none has. */
static const int8_t *block_weights(const snn_int8_layer *layer, uint32_t block, size_t *bytes) {
  for (uint32_t k = 0; k < layer->n_terms; k++) {
    const snn_int8_term *term = &layer->terms[k];
    if (!term->is_conv || term->is_grouped) continue;
    *bytes = snn_int8_rows(term) * layer->groups * SNN_LANES;
    return term->weights + block * *bytes;
  }
  return NULL;
}

/* The weights that this rank uses after those of block `block`: the next one's, or those of the next stage's first. */
static const int8_t *weights_after(const snn_int8_context *ctx, uint32_t index, uint32_t block, size_t end,
                                   size_t *bytes) {
  const snn_plan *plan = ctx->sim->plan;
  if ((size_t)(block + 1) * plan->stages[index].shape.h < end)
    return block_weights(&ctx->sim->model->layers[index], block + 1, bytes);
  size_t begin = 0, behind = 0;
  do index++;
  while (index < plan->n_stages && !ctx->sim->model->layers[index].lanes);
  if (index < plan->n_stages) units_of(ctx, index, &begin, &behind);
  return begin < behind
             ? block_weights(&ctx->sim->model->layers[index], (uint32_t)(begin / plan->stages[index].shape.h), bytes)
             : NULL;
}

enum { LINE = 64 }; /* bytes of a cache line */

/* What is to be fetched while a unit is worked at, in cache lines: its part of the next weights. */
typedef struct ahead {
  const int8_t *weights;
  size_t n;
} ahead;

static ahead ahead_of(const snn_int8_context *ctx, uint32_t index, uint32_t unit) {
  const uint32_t height = ctx->sim->plan->stages[index].shape.h, block = unit / height;
  size_t begin, end, bytes = 0;
  units_of(ctx, index, &begin, &end);
  if (ctx->sim->weights_stay || unit < begin || unit >= end) return (ahead){0}; /* the latter: somebody else's */
  const int8_t *weights = weights_after(ctx, index, block, end, &bytes);
  if (!weights) return (ahead){0};
  const size_t first = (size_t)block * height > begin ? (size_t)block * height : begin,
               last = (size_t)(block + 1) * height < end ? (size_t)(block + 1) * height : end;
  const size_t from = bytes / LINE * (unit - first) / (last - first),
               to = bytes / LINE * (unit + 1 - first) / (last - first);
  return (ahead){weights + from * LINE, to - from};
}

/* The next n of them. */
static inline void fetch(ahead *a, size_t n) {
  enum { SECOND_CACHE = 2 };
  for (; n && a->n; n--, a->n--, a->weights += LINE) __builtin_prefetch(a->weights, 0, SECOND_CACHE);
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

/* acc += a convolution in groups of channels: plain code, lane = channel. */
static void add_grouped(const snn_int8_context *ctx, const snn_int8_term *term, const item *it, uint32_t t,
                        int32_t *acc) {
  const snn_conv_args *a = &term->conv;
  uint32_t first = first_lane(it), left = a->out_c > first ? a->out_c - first : 0, y, x;
  const uint32_t n = left < lanes_of(it) ? left : lanes_of(it);
  for (uint32_t ky = 0; ky < a->kernel_h; ky++)
    for (uint32_t kx = 0; kx < a->kernel_w; kx++) {
      if (!snn_int8_tap(it->y, ky, a->stride_h, a->dilation_h, a->pad_top, a->in_h, &y) ||
          !snn_int8_tap(it->x, kx, a->stride_w, a->dilation_w, a->pad_left, a->in_w, &x))
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

/* Spikes of the lanes of an item from a node of the same shape, of n_steps steps from t on: [steps][groups]. */
static void lanes_of_spikes(const snn_int8_context *ctx, uint32_t node, const item *it, uint32_t sign, uint32_t t,
                            uint32_t n_steps, uint64_t *bits) {
  const uint32_t channels = it->stage->shape.c, words = snn_words(channels), groups = it->layer->groups;
  if (it->layer->unroll == 1) {
    const uint32_t first = it->block * groups;
    const uint64_t *from = snn_int8_bits(ctx, node, it->site, sign) + (size_t)t * words + first;
    for (uint32_t k = 0; k < n_steps; k++, from += words, bits += groups)
      for (uint32_t g = 0; g < groups; g++) bits[g] = first + g < words ? from[g] : 0;
    return;
  }
  memset(bits, 0, n_steps * sizeof *bits);
  uint32_t lane, channel;
  size_t position;
  for (uint32_t j = 0; output_of(it, j, &lane, &channel, &position) > 0; j++) {
    const uint64_t *from = snn_int8_bits(ctx, node, position, sign) + t;
    for (uint32_t k = 0; k < n_steps; k++) bits[k] |= from[k] << lane;
  }
}

/* more += what is added as it is: spikes or numbers of them, each worth an amount, or currents. */
static void add_wire(const snn_int8_context *ctx, const snn_int8_term *term, const item *it, uint32_t t,
                     int32_t *more) {
  if (snn_int8_kind_of(ctx, term->source) == SNN_INT8_SPIKES) {
    for (uint32_t sign = 0; sign < snn_int8_signs(ctx->layout); sign++) {
      uint64_t bits[SNN_INT8_GROUPS];
      lanes_of_spikes(ctx, term->source, it, sign, t, 1, bits);
      for (uint32_t g = 0; g < it->layer->groups; g++)
        ctx->sim->kernels->add_spikes(bits[g], term->amount + first_lane(it) + g * SNN_LANES, sign == 1,
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

static void gather_currents(const snn_int8_context *ctx, const item *it, const snn_int8_sources *from, uint32_t t,
                            currents *sum) {
  const uint32_t lanes = lanes_of(it);
  sum->has_more = false;
  sum->has_acc = from->n_sums > 0;
  if (sum->has_acc) ctx->sim->kernels->currents(from, t, sum->acc);
  for (uint32_t k = 0; k < it->layer->n_terms; k++) {
    const snn_int8_term *term = &it->layer->terms[k];
    if (!term->is_conv) {
      if (!sum->has_more) memset(sum->more, 0, lanes * sizeof *sum->more);
      add_wire(ctx, term, it, t, sum->more);
      sum->has_more = true;
    } else if (term->is_grouped) {
      if (!sum->has_acc) memset(sum->acc, 0, lanes * sizeof *sum->acc);
      add_grouped(ctx, term, it, t, sum->acc);
      sum->has_acc = true;
    }
  }
}

static const float *static_of(const snn_int8_context *ctx, uint32_t node) {
  return (const float *)(const void *)(ctx->constant.memory + ctx->sim->plan->edges[node].offset);
}

/* Currents that do not change, with the bias: computed at an image's first chunk. */
static const int32_t *constant_of(const snn_int8_context *ctx, const item *it, int32_t *room) {
  const snn_int8_layer *layer = it->layer;
  const int32_t *bias = ctx->sim->numbers[it->index].bias + first_lane(it);
  if (!layer->n_statics) return bias;
  int32_t *constant = room ? room : state_of(ctx, it, ctx->layout->stages[it->index].constant);
  if (ctx->first_step) return constant;
  const int32_t times = ctx->layout->kind == SNN_PLAN_WHOLE_RUN ? (int32_t)ctx->timesteps : 1;
  memcpy(constant, bias, lanes_of(it) * sizeof *constant);
  if (layer->n_statics == 1 && layer->unroll > 1) { /* outputs side by side lie so in both */
    const uint32_t first = it->x * layer->unroll, left = it->stage->shape.w - first;
    const uint32_t n = (left < layer->unroll ? left : layer->unroll) * it->stage->shape.c;
    const float *sum =
        static_of(ctx, layer->statics[0]) + ((size_t)it->y * it->stage->shape.w + first) * it->stage->shape.c;
    ctx->sim->kernels->add_rounded(sum, layer->per_unit, layer->most_static, times, n, constant);
    return constant;
  }
  uint32_t lane, channel;
  size_t position;
  for (uint32_t j = 0, n; (n = output_of(it, j, &lane, &channel, &position)) > 0; j++) {
    float total[BLOCK_LANES];
    const float *sum = static_of(ctx, layer->statics[0]) + position * it->stage->shape.c + channel;
    for (uint32_t k = 1; k < layer->n_statics; k++, sum = total) {
      const float *other = static_of(ctx, layer->statics[k]) + position * it->stage->shape.c + channel;
      for (uint32_t i = 0; i < n; i++) total[i] = sum[i] + other[i];
    }
    ctx->sim->kernels->add_rounded(sum, layer->per_unit + channel, layer->most_static, times, n, constant + lane);
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

/* Spikes of all steps, [steps][groups], to the node's bits. */
static void store_spikes(const snn_int8_context *ctx, const item *it, uint32_t sign, uint32_t n_steps,
                         const uint64_t *bits) {
  const uint32_t node = it->stage->node, channels = it->stage->shape.c, words = snn_words(channels),
                 groups = it->layer->groups;
  if (it->layer->unroll == 1) {
    const uint32_t first = it->block * groups, n = words - first < groups ? words - first : groups;
    uint64_t *to = snn_int8_bits(ctx, node, it->site, sign) + first;
    for (uint32_t t = 0; t < n_steps; t++, to += words, bits += groups)
      for (uint32_t g = 0; g < n; g++) to[g] = bits[g];
    return;
  }
  uint32_t lane, channel;
  size_t position;
  for (uint32_t j = 0, n; (n = output_of(it, j, &lane, &channel, &position)) > 0; j++) {
    const uint64_t mask = (1ull << n) - 1;
    uint64_t *to = snn_int8_bits(ctx, node, position, sign);
    for (uint32_t t = 0; t < n_steps; t++) to[t] = bits[t] >> lane & mask;
  }
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

/* What neurons of site 0 need beside their currents. */
static snn_int8_neurons neurons_of(const snn_int8_context *ctx, const item *it) {
  const snn_int8_layer *layer = it->layer;
  const snn_int8_place *place = &ctx->layout->stages[it->index];
  snn_int8_neurons p = {.fraction = layer->fraction,
                        .level = (ctx->half_level ? layer->half_fire : layer->fire) + first_lane(it),
                        .theta = layer->theta + first_lane(it),
                        .tau = ctx->tau};
  if (it->stage->sink != SNN_SINK_SPIKES) return p;
  p.v = state_of(ctx, it, place->state);
  if (ctx->layout->kind == SNN_PLAN_SIGNED) p.balance = state_of(ctx, it, place->balance);
  return p;
}

/* The sums of a row and block: a convolution's spikes of either sign. */
static void find_sums(stage_run *run) {
  const item *it = &run->now;
  run->n_sums = 0;
  for (uint32_t k = 0; k < run->n_lists; k++)
    for (uint32_t sign = 0; sign < snn_int8_signs(run->ctx->layout); sign++) {
      const snn_int8_term *term = run->lists[k].term;
      snn_int8_row_sum *row = &run->sums[run->n_sums++];
      *row = snn_int8_lists_row(run->ctx, &run->lists[k], it->y, sign, run->n_steps);
      row->sum.weights = term->weights + it->block * snn_int8_rows(term) * lanes_of(it);
    }
}

/* Spikes that are added as they are, all steps of them: [wire][steps][groups] of `bits`. */
static uint32_t find_wires(const stage_run *run, const item *it, uint64_t *bits, snn_int8_wire *wires) {
  uint32_t n = 0;
  for (uint32_t k = 0; k < it->layer->n_terms; k++) {
    const snn_int8_term *term = &it->layer->terms[k];
    for (uint32_t sign = 0; !term->is_conv && sign < snn_int8_signs(run->ctx->layout); sign++) {
      wires[n++] = (snn_int8_wire){bits, term->amount + first_lane(it), sign == 1};
      lanes_of_spikes(run->ctx, term->source, it, sign, 0, run->n_steps, bits);
      bits += (size_t)run->n_steps * it->layer->groups;
    }
  }
  return n;
}

/* Dense sums of all steps of an item. */
static const int32_t *dense_sums(const stage_run *run) {
  const item *it = &run->now;
  const uint32_t x = it->x * it->layer->unroll, left = it->stage->shape.w - x;
  const snn_int8_site site = {it->layer, it->block, it->y, x, left < it->layer->unroll ? left : it->layer->unroll};
  snn_int8_dense_sums(run->ctx, &site, run->n_steps, run->ctx->scratch->ready);
  return run->ctx->scratch->ready;
}

/* Before the items of a row and block. */
static void begin_row(stage_run *run, uint32_t index, uint32_t unit) {
  run->now = item_of(run->ctx, index, unit);
  run->neurons = neurons_of(run->ctx, &run->now);
  run->is_dense = run->may_be_dense &&
                  snn_int8_prefers_dense(run->ctx, run->now.layer, run->lists, run->n_lists, run->now.y, run->n_steps);
  run->n_sums = run->n_lists;
  if (!run->is_dense) find_sums(run);
}

/* All steps of one item. */
static void run_item(stage_run *run) {
  const snn_int8_context *ctx = run->ctx;
  const item *it = &run->now;
  const snn_int8_kernels *kernels = ctx->sim->kernels;
  snn_int8_sum sums[4 * SNN_MAX_NODE_INPUTS];
  snn_int8_wire wires[MOST_WIRES];
  uint64_t arriving[MOST_WIRES * MOST_STEPS * SNN_INT8_GROUPS];
  uint64_t room[MOST_STEPS * SNN_INT8_GROUPS], minus[MOST_STEPS * SNN_INT8_GROUPS];
  uint64_t *plus = run->in_place ? snn_int8_bits(ctx, it->stage->node, it->site, 0) : room;
  snn_int8_sources from = {.groups = it->layer->groups, .n_sums = run->n_sums, .sums = sums, .wires = wires};
  if (run->is_dense)
    from.ready = dense_sums(run);
  else
    for (uint32_t k = 0; k < run->n_sums; k++) sums[k] = snn_int8_sum_at(&run->sums[k], it->x);
  const uint32_t groups = it->layer->groups;
  snn_int8_neurons p = run->neurons;
  _Alignas(64) int32_t v[BLOCK_LANES], balance[BLOCK_LANES], constant[BLOCK_LANES];
  const bool fires = it->stage->sink == SNN_SINK_SPIKES;
  const bool one = !ctx->first_step && run->n_steps == ctx->timesteps;
  p.constant = constant_of(ctx, it, one ? constant : NULL);
  if (p.v) p.v = one ? v : p.v + (size_t)it->x * it->layer->lanes;
  if (p.balance) p.balance = one ? balance : p.balance + (size_t)it->x * it->layer->lanes;
  if (p.v && !ctx->first_step) reset(ctx, it, p.v, p.balance);
  if (run->by_kernel) {
    from.n_wires = find_wires(run, it, arriving, wires);
    kernels->steps(ctx->reset, &p, &from, run->n_steps, valid_lanes(it), plus, minus, run->spikes);
  }
  for (uint32_t t = 0; !run->by_kernel && t < run->n_steps; t++) {
    currents sum;
    gather_currents(ctx, it, &from, t, &sum);
    if (!fires) {
      store_currents(ctx, it, t, p.constant, &sum);
      continue;
    }
    p.acc = sum.has_acc ? sum.acc : NULL;
    p.more = sum.has_more ? sum.more : NULL;
    run->spikes[t] += (uint32_t)kernels->fire(ctx->reset, &p, groups, valid_lanes(it), plus + (size_t)t * groups,
                                              minus + (size_t)t * groups);
  }
  if (!fires || run->in_place) return;
  store_spikes(ctx, it, 0, run->n_steps, plus);
  if (ctx->layout->kind == SNN_PLAN_SIGNED) store_spikes(ctx, it, 1, run->n_steps, minus);
}

/* Empty lists for the stage's convolutions, and what its items have to do. */
static void begin_stage(stage_run *run, uint32_t index) {
  const snn_stage *stage = &run->ctx->sim->plan->stages[index];
  const snn_int8_layer *layer = &run->ctx->sim->model->layers[index];
  const uint32_t signs = snn_int8_signs(run->ctx->layout);
  uint32_t wires = 0;
  snn_int8_room room = run->ctx->scratch->lists;
  run->by_kernel = stage->sink == SNN_SINK_SPIKES;
  for (uint32_t k = 0; k < layer->n_terms; k++) {
    const snn_int8_term *term = &layer->terms[k];
    if (term->is_conv && !term->is_grouped)
      run->lists[run->n_lists++] = snn_int8_lists_begin(run->ctx, layer, term, &room);
    else if (term->is_conv || snn_int8_kind_of(run->ctx, term->source) != SNN_INT8_SPIKES)
      run->by_kernel = false;
    else
      wires += signs;
  }
  if (wires > MOST_WIRES) run->by_kernel = false;
  run->may_be_dense = snn_int8_may_be_dense(run->ctx, layer);
  run->in_place = run->ctx->layout->kind == SNN_PLAN_BINARY && stage->sink == SNN_SINK_SPIKES && layer->unroll == 1 &&
                  layer->groups == snn_words(stage->shape.c);
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
  const uint32_t sites = layer->sites_w;
  assert(sites > 0); /* the graph refuses empty shapes */
  size_t begin, end;
  uint32_t unit, spikes[MOST_STEPS] = {0};
  uint64_t total = 0;
  stage_run run = {.ctx = ctx, .n_steps = n_steps, .spikes = spikes};
  begin_stage(&run, index);
  snn_work work = snn_team_work(ctx->constant.team, units_of(ctx, index, &begin, &end));
  while (snn_team_take(&work, &unit)) {
    ahead next = ahead_of(ctx, index, unit);
    const size_t lines = (next.n + sites - 1) / sites; /* an item */
    begin_row(&run, index, unit);
    for (uint32_t x = 0; x < sites; x++, run.now.x++, run.now.site++) {
      snn_stand_back(ctx->constant.team.courtesy);
      fetch(&next, lines);
      run_item(&run);
    }
  }
  for (uint32_t t = 0; t < n_steps; t++)
    if (ctx->constant.counts_steps)
      snn_int8_add(ctx, ctx->constant.counters.spikes, stage->node, t, spikes[t]);
    else
      total += spikes[t];
  snn_int8_add(ctx, ctx->constant.counters.spikes, stage->node, 0, total);
  snn_int8_count_operations(ctx, stage, layer, n_steps);
}
