/* The observer. Invariant: a picture's result depends on nothing but the picture, and means are summed in the order of
 * the pictures, so tables are the same bytes for any number of threads. */
#include "calibrate/observe.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/stored.h"
#include "sim/reference.h"

struct snn_observer {
  const snn_network *net;
  const float *images;
  size_t n;
  snn_observer_options opt;
  snn_plan plan;
  uint32_t *last_reader;   /* [n_edges]: stage after which an edge is not needed */
  void **edges;            /* [n_edges][n]: contents of an edge for a picture, NULL when absent */
  size_t *edge_bytes;      /* [n_edges] */
  char **memory;           /* [threads]: lanes */
  uint64_t *counters;      /* [threads][3][n_edges] */
  snn_potentials *initial; /* [n_edges] */
  float *records;          /* [n][neurons of the largest layer] */
  float *left;             /* the same; NULL before snn_observer_run_both */
  uint32_t stage;          /* prepared last */
  float *currents; /* [n][steps][neurons] of that stage, which every run of it is given; NULL: too many to keep */
  bool has_currents;
  float *room; /* for currents, of the largest stage so far: new pages at every stage would cost more than it saves */
  size_t n_room;
};

enum { TILE = 256 }; /* neurons whose pictures are added up together: they lie side by side */

/* Currents kept at most, so that a stage's sources are gone through once however often it is run. */
static const size_t most_currents = (size_t)1 << 29;

static size_t bytes_of(const snn_plan *plan, const snn_edge *e) {
  switch (e->kind) {
    case SNN_EDGE_STATIC: return snn_shape_size(e->shape) * sizeof(float);
    case SNN_EDGE_SPIKES: return e->step * plan->chunk * sizeof(uint64_t);
    case SNN_EDGE_COUNTS:
    case SNN_EDGE_GRADED: return e->step * plan->chunk * sizeof(float);
    default: return 0;
  }
}

static size_t largest_layer(const snn_network *net) {
  size_t most = 1;
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (net->nodes[i].kind == SNN_LAYER_NEURON && snn_shape_size(net->nodes[i].shape) > most)
      most = snn_shape_size(net->nodes[i].shape);
  return most;
}

static bool allocate(snn_observer *o) {
  uint32_t edges = o->plan.n_edges;
  size_t slots, floats;
  if (!snn_mul(edges, o->n ? o->n : 1, &slots) || !snn_mul(largest_layer(o->net), o->n ? o->n : 1, &floats))
    return false;
  o->last_reader = snn_alloc_array(edges, sizeof *o->last_reader);
  o->edges = snn_alloc_array(slots, sizeof *o->edges);
  o->edge_bytes = snn_alloc_array(edges, sizeof *o->edge_bytes);
  o->memory = snn_alloc_array(o->opt.threads, sizeof *o->memory);
  o->counters = snn_alloc_array((size_t)o->opt.threads * 3 * edges, sizeof *o->counters);
  o->initial = snn_alloc_array(edges, sizeof *o->initial);
  o->records = snn_alloc_pages(floats, sizeof *o->records);
  if (!o->last_reader || !o->edges || !o->edge_bytes || !o->memory || !o->counters || !o->initial || !o->records)
    return false;
  for (uint32_t i = 0; i < o->opt.threads; i++)
    if (!(o->memory[i] = snn_alloc_array(o->plan.lane_bytes, 1))) return false;
  return true;
}

/* Edges a stage reads: its terms' sources, then its pieces'. */
static uint32_t n_sources(const snn_stage *stage) {
  return stage->n_terms + stage->n_pieces;
}

static uint32_t source_of(const snn_stage *stage, uint32_t k) {
  return k < stage->n_terms ? stage->terms[k].source : stage->pieces[k - stage->n_terms].source;
}

/* A lane's view of the run. */
static snn_stage_context context(const snn_observer *o, uint32_t thread) {
  uint32_t edges = o->plan.n_edges;
  uint64_t *counters = o->counters + (size_t)thread * 3 * edges;
  return (snn_stage_context){
      .plan = &o->plan,
      .kernels = snn_kernels_get(),
      .neuron = o->opt.neuron,
      .counters = {.spikes = counters, .synaptic_operations = counters + edges, .macs = counters + 2 * (size_t)edges},
      .memory = o->memory[thread],
      .team = {.size = 1, .courtesy = o->opt.courtesy},
      .timesteps = o->opt.timesteps,
      .tau = o->opt.tau,
      .shift = o->opt.neuron->whole_run ? 0.5f : 0.5f / (float)o->opt.timesteps,
      .initial = o->initial};
}

static void **slot(const snn_observer *o, uint32_t edge, size_t picture) {
  return &o->edges[(size_t)edge * o->n + picture];
}

/* The image itself is edge 0, multiplied by T for plans of totals. */
static bool store_images(snn_observer *o) {
  snn_shape shape = o->net->nodes[0].shape;
  size_t size = snn_shape_size(shape);
  float times = o->plan.kind == SNN_PLAN_WHOLE_RUN ? (float)o->opt.timesteps : 1.0f;
  for (size_t i = 0; i < o->n; i++) {
    float *map = malloc(size * sizeof *map);
    *slot(o, 0, i) = map;
    if (!map) return false;
    snn_channels_last((snn_team){.size = 1}, shape, o->images + i * size, map);
    for (size_t k = 0; k < size; k++) map[k] *= times;
  }
  return true;
}

snn_status snn_observer_create(const snn_network *net, const float *images, size_t n, const snn_observer_options *opt,
                               snn_observer **out, snn_error *err) {
  snn_observer *o = calloc(1, sizeof *o);
  if (!o) return snn_fail_memory(err, "calibration");
  o->net = net;
  o->images = images;
  o->n = n;
  o->opt = *opt;
  snn_graph_want_floats(net, 1);
  snn_plan_kind kind = opt->neuron->whole_run   ? SNN_PLAN_WHOLE_RUN
                       : opt->neuron->is_signed ? SNN_PLAN_SIGNED
                                                : SNN_PLAN_BINARY;
  snn_status status = snn_plan_compile(net, kind, SNN_PLAN_DIRECT, opt->timesteps, &o->plan, err);
  if (status == SNN_OK && !allocate(o)) status = snn_fail_memory(err, "calibration");
  if (status == SNN_OK) {
    for (uint32_t i = 0; i < o->plan.n_edges; i++) o->edge_bytes[i] = bytes_of(&o->plan, &o->plan.edges[i]);
    for (uint32_t s = 0; s < o->plan.n_stages; s++)
      for (uint32_t k = 0; k < n_sources(&o->plan.stages[s]); k++) o->last_reader[source_of(&o->plan.stages[s], k)] = s;
    if (!store_images(o)) status = snn_fail_memory(err, "calibration pictures");
  }
  if (status == SNN_OK)
    *out = o;
  else
    snn_observer_free(o);
  return status;
}

void snn_observer_free(snn_observer *o) {
  if (!o) return;
  for (size_t i = 0; o->edges && i < (size_t)o->plan.n_edges * o->n; i++) free(o->edges[i]);
  for (uint32_t i = 0; o->memory && i < o->opt.threads; i++) free(o->memory[i]);
  free(o->last_reader);
  free(o->edges);
  free(o->edge_bytes);
  free(o->memory);
  free(o->counters);
  free(o->initial);
  snn_free_pages(o->records);
  snn_free_pages(o->room);
  snn_free_pages(o->left);
  snn_plan_free(&o->plan);
  free(o);
}

const snn_plan *snn_observer_plan(const snn_observer *o) {
  return &o->plan;
}

void snn_observer_scale(snn_observer *o, const float *factors) {
  snn_plan_scale(&o->plan, o->net, factors);
}

const float *snn_observer_records(const snn_observer *o) {
  return o->records;
}

static uint32_t steps_of(const snn_observer *o, const snn_stage *stage) {
  return o->plan.kind == SNN_PLAN_WHOLE_RUN || stage->sink == SNN_SINK_STATIC ? 1 : o->opt.timesteps;
}

static bool is_cancelled(const snn_observer *o) {
  return o->opt.cancel && atomic_load_explicit(o->opt.cancel, memory_order_relaxed);
}

/* Bring a picture's sources of a stage into the lane, run the stage, take what it leaves out again. */
static void run_picture(const snn_observer *o, snn_stage_context *ctx, const snn_stage *stage, size_t picture) {
  uint32_t steps = steps_of(o, stage);
  ctx->currents = o->currents && stage->sink == SNN_SINK_SPIKES
                      ? o->currents + picture * steps * snn_shape_size(stage->shape)
                      : NULL;
  ctx->has_currents = ctx->currents && o->has_currents;
  for (uint32_t k = 0; !ctx->has_currents && k < n_sources(stage); k++) {
    uint32_t source = source_of(stage, k);
    memcpy(ctx->memory + o->plan.edges[source].offset, *slot(o, source, picture), o->edge_bytes[source]);
  }
  snn_stage_reset(ctx, stage);
  snn_stage_run(ctx, stage, steps);
  memcpy(*slot(o, stage->node, picture), ctx->memory + o->plan.edges[stage->node].offset, o->edge_bytes[stage->node]);
}

static void release_read(snn_observer *o, uint32_t before_stage) {
  for (uint32_t e = 0; e < o->plan.n_edges; e++)
    for (size_t i = 0; o->last_reader[e] < before_stage && i < o->n; i++) {
      free(*slot(o, e, i));
      *slot(o, e, i) = NULL;
    }
}

/* Room for that many currents, NULL: there is none. */
static float *make_room(snn_observer *o, size_t floats) {
  if (floats <= o->n_room) return o->room;
  snn_free_pages(o->room);
  o->room = snn_alloc_pages(floats, sizeof *o->room);
  o->n_room = o->room ? floats : 0;
  return o->room;
}

snn_status snn_observer_prepare(snn_observer *o, uint32_t s, snn_error *err) {
  const snn_stage *stage = &o->plan.stages[s];
  o->stage = s;
  release_read(o, s);
  if (stage->sink == SNN_SINK_SCORES) return SNN_OK; /* nothing is calibrated behind the last neurons */
  for (size_t i = 0; i < o->n; i++)
    if (!(*slot(o, stage->node, i) = malloc(o->edge_bytes[stage->node]))) return snn_fail_memory(err, "calibration");
  if (stage->sink == SNN_SINK_SPIKES) {
    size_t floats;
    o->has_currents = false;
    if (!snn_mul(snn_shape_size(stage->shape), (size_t)steps_of(o, stage) * o->n, &floats)) floats = SIZE_MAX;
    o->currents = floats <= most_currents ? make_room(o, floats) : NULL;
    return SNN_OK;
  }
#pragma omp parallel num_threads((int)o->opt.threads)
  {
    snn_stage_context ctx = context(o, (uint32_t)omp_get_thread_num());
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < o->n; i++)
      if (!is_cancelled(o)) run_picture(o, &ctx, stage, i);
  }
  return SNN_OK;
}

/* Spikes of every neuron of a stage in the lane, taken-back ones subtracted. */
static void record_spikes(const snn_observer *o, const snn_stage_context *ctx, const snn_stage *stage, float *record) {
  const snn_edge *e = &o->plan.edges[stage->node];
  size_t positions = (size_t)e->shape.h * e->shape.w, neurons = positions * e->shape.c;
  if (e->kind == SNN_EDGE_COUNTS) {
    memcpy(record, ctx->memory + e->offset, neurons * sizeof *record);
    return;
  }
  const uint64_t *words = (const uint64_t *)(const void *)(ctx->memory + e->offset);
  uint32_t planes = o->plan.kind == SNN_PLAN_SIGNED ? 2 : 1;
  memset(record, 0, neurons * sizeof *record);
  for (uint32_t t = 0; t < o->opt.timesteps; t++)
    for (uint32_t plane = 0; plane < planes; plane++)
      for (size_t p = 0; p < positions; p++)
        for (uint32_t w = 0; w < e->words; w++, words++)
          for (uint64_t bits = *words; bits; bits &= bits - 1)
            record[p * e->shape.c + w * SNN_BLOCK + (uint32_t)__builtin_ctzll(bits)] += plane ? -1.0f : 1.0f;
}

static void record_potentials(const snn_stage_context *ctx, const snn_stage *stage, float *record) {
  const float *v = (const float *)(const void *)(ctx->memory + stage->state);
  size_t neurons = snn_shape_size(stage->shape);
  for (size_t i = 0; i < neurons; i++) record[i] = v[i] / stage->theta[i % stage->shape.c];
}

/* The currents of a run of `if` add up to v(T) - v(0) + theta * spikes, from which asg's count follows (asg.c). */
static void record_shortfall(const snn_observer *o, const snn_stage_context *ctx, const snn_stage *stage,
                             float *record) {
  const float *v = (const float *)(const void *)(ctx->memory + stage->state);
  const float *amplitude = o->plan.edges[stage->node].amplitude;
  const snn_potentials from = o->initial[stage->node];
  const uint32_t channels = stage->shape.c;
  record_spikes(o, ctx, stage, record);
  for (size_t i = 0; i < snn_shape_size(stage->shape); i++) {
    uint32_t c = (uint32_t)(i % channels);
    float start = from.values[from.n == 1 ? 0 : from.n == channels ? c : i];
    float total = v[i] - start * stage->theta[c] + record[i] * stage->theta[c], most = (float)o->opt.timesteps;
    float spikes = floorf((total + start * amplitude[c]) / amplitude[c]);
    record[i] = (spikes < 0 ? 0 : spikes > most ? most : spikes) - record[i];
  }
}

void snn_observer_set_thresholds(snn_observer *o, const float *theta) {
  const snn_stage *stage = &o->plan.stages[o->stage];
  for (uint32_t c = 0; c < stage->shape.c; c++) {
    stage->theta[c] = stage->fire[c] = theta[c];
    stage->half_fire[c] = theta[c] / 2;
  }
}

/* What all pictures recorded of neurons [begin, end), in the order of the pictures. */
static void add_up(const snn_observer *o, size_t neurons, size_t begin, size_t end, bool at_zero_or_above,
                   snn_observed *out) {
  for (size_t k = begin; k < end; k++) out[k] = (snn_observed){0};
  for (size_t i = 0; i < o->n; i++)
    for (size_t k = begin; k < end; k++) {
      float x = o->records[i * neurons + k];
      if (at_zero_or_above && x < 0) continue;
      out[k].sum += (double)x;
      out[k].count++;
    }
}

void snn_observer_run(snn_observer *o, snn_potentials from, snn_observation what, bool at_zero_or_above,
                      snn_observed *out) {
  const snn_stage *stage = &o->plan.stages[o->stage];
  size_t neurons = snn_shape_size(stage->shape);
  o->initial[stage->node] = from;
#pragma omp parallel num_threads((int)o->opt.threads)
  {
    snn_stage_context ctx = context(o, (uint32_t)omp_get_thread_num());
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < o->n; i++) {
      if (is_cancelled(o)) continue;
      run_picture(o, &ctx, stage, i);
      if (what == SNN_OBSERVE_SPIKES)
        record_spikes(o, &ctx, stage, o->records + i * neurons);
      else if (what == SNN_OBSERVE_SHORTFALL)
        record_shortfall(o, &ctx, stage, o->records + i * neurons);
      else
        record_potentials(&ctx, stage, o->records + i * neurons);
    }
#pragma omp for schedule(static)
    for (size_t first = 0; first < neurons; first += TILE) {
      snn_stand_back(o->opt.courtesy);
      add_up(o, neurons, first, first + TILE < neurons ? first + TILE : neurons, at_zero_or_above, out);
    }
  }
  o->has_currents = o->currents != NULL;
}

snn_status snn_observer_run_both(snn_observer *o, snn_potentials from, const float **spikes, const float **left,
                                 snn_error *err) {
  const snn_stage *stage = &o->plan.stages[o->stage];
  const bool keeps = o->plan.kind != SNN_PLAN_WHOLE_RUN;
  size_t neurons = snn_shape_size(stage->shape), floats;
  if (keeps && !o->left)
    o->left = snn_mul(largest_layer(o->net), o->n, &floats) ? snn_alloc_pages(floats, sizeof *o->left) : NULL;
  if (keeps && !o->left) return snn_fail_memory(err, "calibration");
  o->initial[stage->node] = from;
#pragma omp parallel num_threads((int)o->opt.threads)
  {
    snn_stage_context ctx = context(o, (uint32_t)omp_get_thread_num());
#pragma omp for schedule(dynamic)
    for (size_t i = 0; i < o->n; i++) {
      if (is_cancelled(o)) continue;
      run_picture(o, &ctx, stage, i);
      record_spikes(o, &ctx, stage, o->records + i * neurons);
      if (keeps) record_potentials(&ctx, stage, o->left + i * neurons);
    }
  }
  *spikes = o->records;
  *left = keeps ? o->left : NULL;
  return SNN_OK;
}
