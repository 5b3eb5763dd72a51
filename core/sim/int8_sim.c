/* What a session keeps for integer runs: where things lie in a lane, and the numbers that a run's options set. All
 * memory is allocated at creation. */
#include "sim/int8_choice.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/machine.h"

enum { MOST_START = 1 << 27 }; /* initial potentials, in units */

static snn_status too_large(snn_error *err) {
  return snn_fail(err, SNN_ERR_TOO_LARGE, NULL, "the int8 simulation of this network needs more than 64 GiB");
}

/* Reserve a * b * c * d bytes on a cache line. */
static bool reserve(snn_int8_layout *l, size_t a, size_t b, size_t c, size_t d, size_t *offset) {
  size_t bytes, end;
  if (!snn_mul(a, b, &bytes) || !snn_mul(bytes, c, &bytes) || !snn_mul(bytes, d, &bytes) ||
      !snn_add(bytes, 63, &bytes) || !snn_add(l->lane_bytes, bytes & ~(size_t)63, &end) || end > (size_t)1 << 36)
    return false;
  *offset = l->lane_bytes;
  l->lane_bytes = end;
  return true;
}

static bool place_node(const snn_int8_sim *s, snn_int8_layout *l, uint32_t i) {
  const snn_int8_model *m = s->model;
  const bool whole = l->kind == SNN_PLAN_WHOLE_RUN;
  const snn_shape shape = s->net->nodes[i].shape;
  const size_t positions = (size_t)shape.h * shape.w;
  snn_int8_kind kind = m->kinds[i];
  if (kind == SNN_INT8_STATIC || s->plan->edges[i].kind == SNN_EDGE_NONE ||
      (l->kind == SNN_PLAN_BINARY && m->looked_through[i]))
    return true;
  if (kind == SNN_INT8_GRADED || (!whole && kind == SNN_INT8_COUNTS))
    return reserve(l, positions, l->chunk, shape.c, sizeof(int32_t), &l->nodes[i].edge);
  if (s->net->nodes[i].kind == SNN_LAYER_NEURON &&
      !reserve(l, positions, snn_words(shape.c), sizeof(uint64_t), 1, &l->nodes[i].fired))
    return false;
  if (!whole)
    return reserve(l, positions * snn_int8_signs(l), l->chunk, snn_words(shape.c), sizeof(uint64_t), &l->nodes[i].edge);
  const snn_int8_map *map = &s->whole.maps[i];
  return reserve(l, (size_t)map->rows * map->pitch, snn_int8_padded(shape.c),
                 snn_int8_bytes((uint64_t)SNN_MAX_TIMESTEPS * m->multiplicity[i]), 1, &l->nodes[i].edge);
}

static bool place_stage(const snn_int8_sim *s, snn_int8_layout *l, uint32_t i) {
  const snn_stage *stage = &s->plan->stages[i];
  const snn_int8_layer *layer = &s->model->layers[i];
  snn_int8_place *to = &l->stages[i];
  const size_t positions = (size_t)stage->shape.h * stage->shape.w;
  if (stage->kind == SNN_LAYER_MAXPOOL) {
    const snn_window *w = &stage->pool->window;
    return reserve(l, positions, (size_t)w->kernel_h * w->kernel_w + 1, stage->shape.c, sizeof(int32_t), &to->state);
  }
  if (!layer->lanes) return true;
  const size_t sites = (size_t)stage->shape.h * layer->sites_w;
  if (layer->n_statics && !reserve(l, sites, layer->lanes, sizeof(int32_t), 1, &to->constant)) return false;
  if (stage->sink == SNN_SINK_SCORES)
    return reserve(l, layer->lanes, sizeof(int64_t), (size_t)l->chunk + 1, 1, &to->state);
  if (stage->sink != SNN_SINK_SPIKES) return true;
  if (!reserve(l, sites, layer->lanes, sizeof(int32_t), 1, &to->state)) return false;
  return l->kind != SNN_PLAN_SIGNED || reserve(l, sites, layer->lanes, sizeof(int32_t), 1, &to->balance);
}

static snn_status lay_out(snn_int8_sim *s, snn_plan_kind kind, uint32_t chunk, snn_error *err) {
  snn_int8_layout *l = &s->layouts[kind];
  *l = (snn_int8_layout){.kind = kind, .chunk = kind == SNN_PLAN_WHOLE_RUN ? 1 : chunk};
  l->nodes = snn_arena_alloc(&s->arena, s->net->n_nodes, sizeof *l->nodes);
  l->stages = snn_arena_alloc(&s->arena, s->plan->n_stages, sizeof *l->stages);
  if (!l->nodes || !l->stages) return snn_fail_memory(err, "a simulation session");
  bool fits = true;
  for (uint32_t i = 0; fits && i < s->net->n_nodes; i++) fits = place_node(s, l, i);
  for (uint32_t i = s->plan->n_static; fits && i < s->plan->n_stages; i++) fits = place_stage(s, l, i);
  return fits ? SNN_OK : too_large(err);
}

/* What lists and spans of all terms of a layer need. */
static bool measure_lists(const snn_int8_sim *s, const snn_int8_layer *layer, uint32_t chunk,
                          snn_int8_lists_size *most) {
  snn_int8_lists_size all = {0}, one;
  for (uint32_t t = 0; t < layer->n_terms; t++) {
    if (!layer->terms[t].is_conv || layer->terms[t].is_grouped) continue;
    if (!snn_int8_lists_measure(s->model, layer, &layer->terms[t], chunk, &one) ||
        !snn_add(all.held, one.held, &all.held) || !snn_add(all.entries, one.entries, &all.entries) ||
        !snn_add(all.ends, one.ends, &all.ends) || !snn_add(all.columns, one.columns, &all.columns) ||
        !snn_add(all.offsets, one.offsets, &all.offsets))
      return false;
    if (one.spans > most->spans) most->spans = one.spans;
  }
  if (all.held > most->held) most->held = all.held;
  if (all.entries > most->entries) most->entries = all.entries;
  if (all.ends > most->ends) most->ends = all.ends;
  if (all.columns > most->columns) most->columns = all.columns;
  if (all.offsets > most->offsets) most->offsets = all.offsets;
  return true;
}

/* The most that any layer asks of a thread's scratch. */
static snn_status make_scratch(snn_int8_sim *s, uint32_t threads, uint32_t chunk, snn_error *err) {
  size_t window = 1, ready = 1;
  snn_int8_lists_size lists = {1, 1, 1, 1, 1, 1};
  for (uint32_t i = 0; i < s->plan->n_stages; i++) {
    const snn_int8_layer *layer = &s->model->layers[i];
    if (!measure_lists(s, layer, chunk, &lists)) return too_large(err);
    for (uint32_t t = 0; t < layer->n_terms; t++) {
      const snn_int8_term *term = &layer->terms[t];
      if (!term->is_conv || term->is_grouped) continue;
      const size_t bytes = snn_int8_window_bytes(s->model, term);
      if (bytes > window) window = bytes;
      if (bytes && (size_t)layer->groups * SNN_LANES * chunk > ready) ready = (size_t)layer->groups * SNN_LANES * chunk;
    }
  }
  s->scratch = snn_arena_alloc(&s->arena, threads, sizeof *s->scratch);
  for (uint32_t i = 0; s->scratch && i < threads; i++) {
    snn_int8_scratch *x = &s->scratch[i];
    x->lists.spans = snn_arena_alloc(&s->arena, lists.spans, sizeof *x->lists.spans);
    x->lists.offsets = snn_arena_alloc(&s->arena, lists.offsets, sizeof *x->lists.offsets);
    x->lists.held = snn_arena_alloc(&s->arena, lists.held, sizeof *x->lists.held);
    x->lists.ends = snn_arena_alloc(&s->arena, lists.ends, sizeof *x->lists.ends);
    x->lists.columns = snn_arena_alloc(&s->arena, lists.columns, sizeof *x->lists.columns);
    x->lists.entries = snn_arena_alloc(&s->arena, lists.entries, sizeof *x->lists.entries);
    x->window = snn_arena_alloc(&s->arena, window, 1);
    x->ready = snn_arena_alloc(&s->arena, ready, sizeof *x->ready);
    if (!x->lists.spans || !x->lists.offsets || !x->lists.held || !x->lists.ends || !x->lists.columns ||
        !x->lists.entries || !x->window || !x->ready)
      return snn_fail_memory(err, "a simulation session");
  }
  return s->scratch ? SNN_OK : snn_fail_memory(err, "a simulation session");
}

snn_status snn_int8_sim_create(const snn_network *net, const snn_plan *plan, uint32_t threads, uint32_t chunk,
                               snn_int8_sim *out, snn_error *err) {
  snn_int8_sim s = {.net = net, .plan = plan, .kernels = snn_int8_kernels_get()};
  const snn_int8_model *shared = NULL;
  snn_status status = snn_int8_prepare(net, threads, &shared, err);
  if (status == SNN_OK && !(s.scaled = snn_arena_alloc(&s.arena, 1, sizeof *s.scaled)))
    status = snn_fail_memory(err, "a simulation session");
  if (status == SNN_OK) status = snn_int8_scaled_create(shared, net, s.scaled, err);
  if (status == SNN_OK) {
    s.model = &s.scaled->model;
    s.weights_stay = s.model->bytes / 2 <= snn_core_cache(); /* one form of two is read */
  }
  if (status == SNN_OK) status = snn_int8_whole_create(net, s.model, &s.arena, &s.whole, err);
  for (int k = 0; status == SNN_OK && k < SNN_PLAN_KINDS; k++) status = lay_out(&s, (snn_plan_kind)k, chunk, err);
  if (status == SNN_OK) status = make_scratch(&s, threads, chunk, err);
  if (status == SNN_OK) {
    s.numbers = snn_arena_alloc(&s.arena, plan->n_stages, sizeof *s.numbers);
    if (!s.numbers) status = snn_fail_memory(err, "a simulation session");
  }
  for (uint32_t i = 0; status == SNN_OK && i < plan->n_stages; i++) {
    if (!s.model->layers[i].lanes) continue;
    s.numbers[i].bias = snn_arena_alloc(&s.arena, s.model->layers[i].lanes, sizeof(int32_t));
    s.numbers[i].start = snn_arena_alloc(&s.arena, s.model->layers[i].lanes, sizeof(int32_t));
    if (!s.numbers[i].bias || !s.numbers[i].start) status = snn_fail_memory(err, "a simulation session");
  }
  if (status == SNN_OK)
    *out = s;
  else
    snn_int8_sim_free(&s);
  return status;
}

void snn_int8_sim_free(snn_int8_sim *s) {
  if (s->scaled) snn_int8_scaled_free(s->scaled);
  snn_arena_free(&s->arena);
  *s = (snn_int8_sim){0};
}

size_t snn_int8_lane_bytes(const snn_int8_sim *s) {
  size_t most = 0;
  for (int k = 0; k < SNN_PLAN_KINDS; k++)
    if (s->layouts[k].lane_bytes > most) most = s->layouts[k].lane_bytes;
  return most;
}

int32_t snn_int8_potential(float share, int32_t theta) {
  double v = rint((double)share * theta);
  return v > MOST_START ? MOST_START : v > -MOST_START ? (int32_t)v : -MOST_START;
}

void snn_int8_begin(snn_int8_sim *s, const snn_run_options *run, const float *factors, const snn_potentials *initial) {
  snn_int8_scale(s->scaled, s->net, factors);
  const bool whole = snn_neuron_model_get(run->neuron)->whole_run != NULL;
  const int64_t times = whole ? run->timesteps : 1;
  for (uint32_t i = s->plan->n_static; i < s->plan->n_stages; i++) {
    const snn_stage *stage = &s->plan->stages[i];
    const snn_int8_layer *layer = &s->model->layers[i];
    for (uint32_t lane = 0; lane < layer->lanes; lane++)
      s->numbers[i].bias[lane] = (int32_t)(times * layer->bias[lane]);
    if (stage->sink != SNN_SINK_SPIKES) continue;
    const snn_potentials from = initial[stage->node];
    for (uint32_t lane = 0; lane < layer->unroll * stage->shape.c; lane++) {
      uint32_t c = lane % stage->shape.c;
      if (from.n == 1 || from.n == stage->shape.c)
        s->numbers[i].start[lane] = snn_int8_potential(from.values[from.n == 1 ? 0 : c], layer->theta[lane]);
      if (from.shift)
        s->numbers[i].bias[lane] +=
            whole ? layer->theta[lane] / 2 : (int32_t)rint(layer->theta[lane] / (2.0 * run->timesteps));
    }
  }
}
