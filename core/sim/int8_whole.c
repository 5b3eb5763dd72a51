/* Whole runs (asg): a layer is one convolution of numbers of spikes, on the dense kernels, and a closed form of what
 * its neurons make of the total. An item is a block of 64 output channels at a few positions in a row; which thread
 * does it changes nothing. Positions are those of the map, channels are lanes: layers' arrays of lanes begin with their
 * channels. */
#include <string.h>

#include "base/error.h"
#include "sim/int8.h"

/* Some positions of a block of channels. */
typedef struct part {
  uint32_t index, first, channels, vectors, n; /* stage; channels [first, first + channels) */
  size_t position;
  const snn_stage *stage;
  const snn_int8_layer *layer;
} part;

typedef struct sums {
  int32_t acc[SNN_DENSE_MOST * SNN_LANES]; /* [position][16 * vectors] */
  int32_t more[SNN_DENSE_MOST * SNN_LANES];
  bool has_acc, has_more;
} sums;

snn_status snn_int8_whole_create(const snn_network *net, const snn_int8_model *m, snn_arena *arena, snn_int8_whole *out,
                                 snn_error *err) {
  snn_int8_whole w = {.kernels = snn_dense_kernels_get()};
  w.maps = snn_arena_alloc(arena, net->n_nodes, sizeof *w.maps);
  w.runs = snn_arena_alloc(arena, m->n_stages, sizeof *w.runs);
  if (!w.maps || !w.runs) return snn_fail_memory(err, "a simulation session");
  for (uint32_t i = 0; i < net->n_nodes; i++)
    w.maps[i] = (snn_int8_map){.rows = net->nodes[i].shape.h, .pitch = net->nodes[i].shape.w};
  for (uint32_t s = 0; s < m->n_stages; s++)
    for (uint32_t t = 0; t < m->layers[s].n_terms; t++)
      if (m->layers[s].terms[t].dense)
        snn_int8_widen_map(&m->layers[s].terms[t].conv, &w.maps[m->layers[s].terms[t].source]);
  for (uint32_t s = 0; s < m->n_stages; s++) {
    const snn_int8_layer *layer = &m->layers[s];
    w.runs[s] = snn_arena_alloc(arena, layer->n_terms, sizeof **w.runs);
    if (!w.runs[s]) return snn_fail_memory(err, "a simulation session");
    for (uint32_t t = 0; t < layer->n_terms; t++) {
      if (!layer->terms[t].dense) continue;
      const snn_conv_args *a = &layer->terms[t].conv;
      size_t *offset = snn_arena_alloc(arena, snn_dense_count_runs(a), sizeof *offset);
      if (!offset) return snn_fail_memory(err, "a simulation session");
      snn_dense_find_runs(a, &w.maps[layer->terms[t].source], &w.runs[s][t], offset);
    }
  }
  *out = w;
  return SNN_OK;
}

void snn_int8_whole_begin(const snn_int8_context *ctx) {
  const snn_network *net = ctx->sim->net;
  for (uint32_t i = ctx->constant.team.rank; i < net->n_nodes; i += ctx->constant.team.size)
    if (snn_int8_is_event(ctx->sim->model->kinds[i]) && ctx->sim->plan->edges[i].kind != SNN_EDGE_NONE)
      memset(ctx->memory + ctx->layout->nodes[i].edge, 0,
             snn_int8_planes(ctx, i) * snn_int8_map_bytes(&ctx->sim->whole.maps[i], net->nodes[i].shape.c));
}

static void add_dense(const snn_int8_context *ctx, const part *it, uint32_t t, sums *to) {
  const snn_int8_term *term = &it->layer->terms[t];
  const snn_conv_args *a = &term->conv;
  const snn_int8_map *map = &ctx->sim->whole.maps[term->source];
  const uint32_t padded = snn_int8_padded(a->in_c);
  const size_t plane = snn_int8_map_bytes(map, a->in_c);
  const uint8_t *base = (const uint8_t *)ctx->memory + ctx->layout->nodes[term->source].edge, *x[SNN_DENSE_MOST],
                *last = base;
  uint32_t row = (uint32_t)(it->position / a->out_w), column = (uint32_t)(it->position % a->out_w);
  for (uint32_t i = 0; i < SNN_DENSE_MOST; i++) {
    const size_t at = (size_t)(row * a->stride_h + map->top - a->pad_top) * map->pitch + column * a->stride_w +
                      map->left - a->pad_left;
    if (i < it->n) last = base + at * padded; /* positions behind the part's are its last once more */
    x[i] = last;
    if (++column == a->out_w) column = 0, row++;
  }
  int32_t other[SNN_DENSE_MOST * SNN_LANES], *acc = to->has_acc ? other : to->acc;
  const uint32_t lanes = it->n * it->vectors * SNN_DENSE_LANES;
  memset(acc, 0, (size_t)snn_dense_tile(it->vectors) * it->vectors * SNN_DENSE_LANES * sizeof *acc);
  /* the most significant bytes first: what they add up to is worth 256 times as much after each further one */
  for (uint32_t k = snn_int8_planes(ctx, term->source), shift = 0; k-- > 0; shift = 8) {
    const uint8_t *of_plane[SNN_DENSE_MOST];
    for (uint32_t i = 0; i < SNN_DENSE_MOST; i++) of_plane[i] = x[i] + k * plane;
    ctx->sim->whole.kernels->sum(term->dense + it->first * snn_dense_row(a), it->vectors,
                                 &ctx->sim->whole.runs[it->index][t], of_plane, it->n, shift, acc);
  }
  for (uint32_t i = 0; acc != to->acc && i < lanes; i++) to->acc[i] += acc[i];
  to->has_acc = true;
}

/* Convolutions in groups, and those whose margins would be large: plain code. */
static void add_plain(const snn_int8_context *ctx, const part *it, const snn_int8_term *term, sums *to) {
  const snn_conv_args *a = &term->conv;
  if (!to->has_acc) memset(to->acc, 0, sizeof to->acc);
  to->has_acc = true;
  for (uint32_t i = 0; i < it->n; i++) {
    const uint32_t row = (uint32_t)((it->position + i) / a->out_w), column = (uint32_t)((it->position + i) % a->out_w);
    int32_t *acc = to->acc + i * it->vectors * SNN_DENSE_LANES;
    uint32_t y, x;
    for (uint32_t ky = 0; ky < a->kernel_h; ky++)
      for (uint32_t kx = 0; kx < a->kernel_w; kx++) {
        if (!snn_int8_tap(row, ky, a->stride_h, a->dilation_h, a->pad_top, a->in_h, &y) ||
            !snn_int8_tap(column, kx, a->stride_w, a->dilation_w, a->pad_left, a->in_w, &x))
          continue;
        for (uint32_t lane = 0; lane < it->channels; lane++)
          for (uint32_t c = 0; c < a->group_in; c++) {
            const uint32_t o = it->first + lane;
            const int32_t weight =
                term->is_grouped ? term->weights[((size_t)(ky * a->kernel_w + kx) * a->group_in + c) * a->out_c + o]
                                 : snn_int8_weight(it->layer, term, ky, kx, c, o);
            acc[lane] += weight * snn_int8_value(ctx, term->source, (size_t)y * a->in_w + x,
                                                 o / a->group_out * a->group_in + c, 0);
          }
      }
  }
}

/* What is added as it is. */
static void add_wire(const snn_int8_context *ctx, const part *it, const snn_int8_term *term, sums *to) {
  if (!to->has_more) memset(to->more, 0, sizeof to->more);
  to->has_more = true;
  for (uint32_t i = 0; i < it->n; i++)
    for (uint32_t lane = 0; lane < it->channels; lane++) {
      const int32_t x = snn_int8_value(ctx, term->source, it->position + i, it->first + lane, 0);
      to->more[i * it->vectors * SNN_DENSE_LANES + lane] += term->amount ? x * term->amount[it->first + lane] : x;
    }
}

/* Constant currents of the whole run, with the bias. */
static void constant_at(const snn_int8_context *ctx, const part *it, size_t position, int32_t *constant) {
  const snn_int8_layer *layer = it->layer;
  const int32_t *bias = ctx->sim->numbers[it->index].bias + it->first;
  const float *per_unit = layer->per_unit + it->first, most = layer->most_static;
  memcpy(constant, bias, it->channels * sizeof *constant);
  if (!layer->n_statics) return;
  float sum[SNN_LANES] = {0};
  for (uint32_t k = 0; k < layer->n_statics; k++) {
    const char *map = ctx->constant.memory + ctx->sim->plan->edges[layer->statics[k]].offset;
    const float *x = (const float *)(const void *)map + position * it->stage->shape.c + it->first;
    for (uint32_t lane = 0; lane < it->channels; lane++) sum[lane] += x[lane];
  }
  for (uint32_t lane = 0; lane < it->channels; lane++)
    constant[lane] += (int32_t)ctx->timesteps * snn_int8_clamped(sum[lane] * per_unit[lane], most);
}

static const int32_t *start_at(const snn_int8_context *ctx, const part *it, size_t position, int32_t *own) {
  const snn_potentials from = ctx->constant.initial[it->stage->node];
  const uint32_t channels = it->stage->shape.c;
  if (from.n == 1 || from.n == channels) return ctx->sim->numbers[it->index].start + it->first;
  for (uint32_t lane = 0; lane < it->channels; lane++)
    own[lane] =
        snn_int8_potential(from.values[position * channels + it->first + lane], it->layer->theta[it->first + lane]);
  return own;
}

static void store_currents(const snn_int8_context *ctx, const part *it, size_t position, const int32_t *constant,
                           const int32_t *acc, const int32_t *more) {
  int32_t total[SNN_LANES];
  for (uint32_t lane = 0; lane < it->channels; lane++) {
    total[lane] = constant[lane];
    if (acc) total[lane] += acc[lane] * (1 << it->layer->fraction);
    if (more) total[lane] += more[lane];
  }
  if (it->stage->sink != SNN_SINK_SCORES) {
    memcpy(snn_int8_values(ctx, it->stage->node, position, 0) + it->first, total, it->channels * sizeof *total);
    return;
  }
  int64_t *sum = (int64_t *)(void *)(ctx->memory + ctx->layout->stages[it->index].state) + it->layer->lanes + it->first;
  for (uint32_t lane = 0; lane < it->channels; lane++) sum[lane] = total[lane];
}

/* Returns the spikes. */
static uint64_t run_part(const snn_int8_context *ctx, const part *it) {
  sums sum;
  sum.has_acc = sum.has_more = false;
  for (uint32_t t = 0; t < it->layer->n_terms; t++) {
    const snn_int8_term *term = &it->layer->terms[t];
    if (!term->is_conv)
      add_wire(ctx, it, term, &sum);
    else if (term->dense)
      add_dense(ctx, it, t, &sum);
    else
      add_plain(ctx, it, term, &sum);
  }
  const snn_int8_layer *layer = it->layer;
  const bool fires = it->stage->sink == SNN_SINK_SPIKES;
  uint64_t spikes = 0;
  for (uint32_t i = 0; i < it->n; i++) {
    int32_t constant[SNN_LANES], own[SNN_LANES];
    const int32_t *acc = sum.has_acc ? sum.acc + i * it->vectors * SNN_DENSE_LANES : NULL;
    const int32_t *more = sum.has_more ? sum.more + i * it->vectors * SNN_DENSE_LANES : NULL;
    const size_t position = it->position + i;
    constant_at(ctx, it, position, constant);
    if (!fires) {
      store_currents(ctx, it, position, constant, acc, more);
      continue;
    }
    const snn_int8_neurons p = {.fraction = layer->fraction,
                                .acc = acc,
                                .constant = constant,
                                .more = more,
                                .level = (ctx->half_level ? layer->half_fire : layer->fire) + it->first,
                                .theta = layer->theta + it->first,
                                .v = (int32_t *)(uintptr_t)start_at(ctx, it, position, own)};
    uint8_t *planes[SNN_DENSE_PLANES];
    const uint32_t n_planes = snn_int8_planes(ctx, it->stage->node);
    for (uint32_t k = 0; k < n_planes; k++) planes[k] = snn_int8_plane(ctx, it->stage->node, k, position) + it->first;
    spikes += ctx->sim->whole.kernels->count(&p, it->channels, (int32_t)ctx->timesteps, planes, n_planes);
  }
  return spikes;
}

void snn_int8_whole_run(const snn_int8_context *ctx, uint32_t index) {
  part it = {.index = index, .stage = &ctx->sim->plan->stages[index], .layer = &ctx->sim->model->layers[index]};
  const uint32_t channels = it.stage->shape.c, tile = snn_dense_tile(snn_dense_vectors(channels, 0));
  const size_t positions = (size_t)it.stage->shape.h * it.stage->shape.w, tiles = (positions + tile - 1) / tile;
  size_t begin, end;
  uint64_t spikes = 0;
  snn_team_share(ctx->constant.team, snn_words(channels) * tiles, &begin, &end);
  for (size_t i = begin; i < end; i++) {
    snn_stand_back(ctx->constant.team.courtesy);
    it.first = (uint32_t)(i / tiles) * SNN_LANES;
    it.channels = channels - it.first < SNN_LANES ? channels - it.first : SNN_LANES;
    it.vectors = snn_dense_vectors(channels, it.first);
    it.position = i % tiles * tile;
    it.n = positions - it.position < tile ? (uint32_t)(positions - it.position) : tile;
    spikes += run_part(ctx, &it);
  }
  snn_int8_add(ctx, ctx->constant.counters.spikes, it.stage->node, 0, spikes);
}

void snn_int8_whole_average(const snn_int8_context *ctx, const snn_stage *stage) {
  const snn_window *w = &stage->pool->window;
  const uint32_t source = stage->terms[0].source, channels = stage->shape.c;
  const snn_shape in = ctx->sim->net->nodes[source].shape;
  const uint32_t from_planes = snn_int8_planes(ctx, source), to_planes = snn_int8_planes(ctx, stage->node);
  size_t begin, end;
  snn_team_share(ctx->constant.team, (size_t)stage->shape.h * stage->shape.w, &begin, &end);
  for (size_t position = begin; position < end; position++)
    for (uint32_t first = 0; first < channels; first += SNN_LANES) {
      const uint32_t n = channels - first < SNN_LANES ? channels - first : SNN_LANES;
      uint32_t sum[SNN_LANES] = {0}, y, x;
      for (uint32_t ky = 0; ky < w->kernel_h; ky++)
        for (uint32_t kx = 0; kx < w->kernel_w; kx++) {
          if (!snn_int8_tap((uint32_t)(position / stage->shape.w), ky, w->stride_h, w->dilation_h, w->pad_top, in.h,
                            &y) ||
              !snn_int8_tap((uint32_t)(position % stage->shape.w), kx, w->stride_w, w->dilation_w, w->pad_left, in.w,
                            &x))
            continue;
          for (uint32_t k = 0; k < from_planes; k++) {
            const uint8_t *from = snn_int8_plane(ctx, source, k, (size_t)y * in.w + x) + first;
            for (uint32_t c = 0; c < n; c++) sum[c] += (uint32_t)from[c] << (8 * k);
          }
        }
      for (uint32_t k = 0; k < to_planes; k++) {
        uint8_t *to = snn_int8_plane(ctx, stage->node, k, position) + first;
        for (uint32_t c = 0; c < n; c++) to[c] = (uint8_t)(sum[c] >> (8 * k));
      }
    }
}

uint64_t snn_int8_whole_reached(const snn_int8_context *ctx, uint32_t node, const uint32_t *reach_h,
                                const uint32_t *reach_w) {
  const snn_shape shape = ctx->sim->net->nodes[node].shape;
  const uint32_t padded = snn_int8_padded(shape.c);
  uint64_t sum = 0;
  size_t begin, end;
  snn_team_share(ctx->constant.team, shape.h, &begin, &end);
  for (size_t y = begin; y < end; y++)
    for (uint32_t x = 0, n; x < shape.w; x += n) { /* neighbours that reach as many outputs together */
      for (n = 1; x + n < shape.w && reach_w[x + n] == reach_w[x]; n++) {
      }
      uint64_t spikes = 0;
      for (uint32_t k = 0; k < snn_int8_planes(ctx, node); k++)
        spikes += ctx->sim->whole.kernels->total(snn_int8_plane(ctx, node, k, y * shape.w + x), (size_t)n * padded)
                  << (8 * k);
      sum += spikes * reach_h[y] * reach_w[x];
    }
  return sum;
}
