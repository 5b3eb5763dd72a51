/* Making the integer form: which layers share units, how large a unit is. What counts in units, and the proof that it
 * fits, is int8_numbers.c; packing itself int8_pack.c. */
#include "sim/int8_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sim/int8_dense.h"
#include "sim/int8_numbers.h"
#include "sim/int8_pack.h"
#include "snn/calibrate.h"

typedef struct maker {
  const snn_network *net;
  snn_plan plan;
  snn_int8_model *m;
  uint32_t threads;
  snn_error *err;
  const float **amplitude; /* [n_nodes]: worth of one event, [c]; NULL: no events */
  uint32_t *class_of;      /* [n_nodes + 1]: layers that share units; the readout is n_nodes */
  float **coarse;          /* [n_nodes + 1], by class: coarse units, [c] */
} maker;

static snn_status unsupported(const snn_network *net, uint32_t node, snn_error *err, const char *why) {
  return snn_fail(err, SNN_ERR_UNSUPPORTED, net->nodes[node].name,
                  "%s, which the int8 simulation does not take; float32 does", why);
}

static bool gathers(const snn_node *n) {
  return n->kind == SNN_LAYER_CONCAT || n->kind == SNN_LAYER_SLICE;
}

static bool uniform_divisor(const snn_pool *pool) {
  const snn_window *w = &pool->window;
  return pool->count_include_pad || !(w->pad_top | w->pad_left | w->pad_bottom | w->pad_right);
}

/* What node i leaves, those before it being known. Static and inlined nodes are not asked for. */
static snn_status kind_of(const snn_network *net, const snn_int8_kind *kinds, uint32_t i, snn_int8_kind *out,
                          snn_error *err) {
  const snn_node *n = &net->nodes[i];
  snn_int8_kind from = n->n_inputs ? kinds[n->inputs[0]] : SNN_INT8_STATIC;
  *out = SNN_INT8_GRADED;
  if (n->kind == SNN_LAYER_NEURON) {
    *out = SNN_INT8_SPIKES;
  } else if (n->kind == SNN_LAYER_MAXPOOL) {
    if (from == SNN_INT8_COUNTS) return unsupported(net, i, err, "a maximum of averages");
    *out = from;
  } else if (n->kind == SNN_LAYER_AVGPOOL) {
    if (!snn_int8_is_event(from)) return unsupported(net, i, err, "an average of currents");
    if (!uniform_divisor(&n->pool)) return unsupported(net, i, err, "an average that leaves padding out");
    *out = SNN_INT8_COUNTS;
  } else if (gathers(n)) {
    *out = SNN_INT8_SPIKES;
    for (uint32_t k = 0; k < n->n_inputs; k++) {
      snn_int8_kind kind = kinds[n->inputs[k]];
      if (!snn_int8_is_event(kind)) return unsupported(net, i, err, "a concatenation or slice of currents");
      if (kind == SNN_INT8_COUNTS) *out = kind;
    }
  }
  return SNN_OK;
}

/* Fills kinds[n_nodes]; is_static and stored say which nodes are constant in time, and leave something. */
static snn_status find_kinds(const snn_network *net, snn_int8_kind *kinds, snn_error *err) {
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    const snn_node *n = &net->nodes[i];
    bool is_static = n->kind != SNN_LAYER_NEURON;
    for (uint32_t k = 0; k < n->n_inputs; k++) is_static = is_static && kinds[n->inputs[k]] == SNN_INT8_STATIC;
    kinds[i] = SNN_INT8_STATIC;
    if (is_static) continue;
    if (n->kind == SNN_LAYER_CONV && !snn_int8_is_event(kinds[n->inputs[0]]))
      return unsupported(net, i, err, "a convolution of values that are not spikes");
    snn_status status = kind_of(net, kinds, i, &kinds[i], err);
    if (status != SNN_OK) return status;
  }
  return SNN_OK;
}

/* Can the integer simulation take this network, with these threshold factors (NULL: none), at all? Cheap. */
static snn_status check(const snn_network *net, const float *factors, snn_error *err) {
  snn_int8_kind *kinds = snn_alloc_array(net->n_nodes, sizeof *kinds);
  float *scales = snn_alloc_array(net->n_nodes, sizeof *scales);
  snn_status status = kinds && scales ? SNN_OK : snn_fail_memory(err, "the int8 network");
  if (status == SNN_OK) status = find_kinds(net, kinds, err);
  if (status == SNN_OK) status = snn_int8_find_scales(net, kinds, factors, scales, err);
  free(kinds);
  free(scales);
  return status;
}

static void *lend(maker *k, size_t n, size_t size) {
  return snn_arena_alloc(&k->plan.arena, n, size); /* for the time of making only */
}

/* Concatenations and slices: their pieces are in the plan's stages. */
static void gather_amplitudes(const maker *k, uint32_t node, float *worth) {
  for (uint32_t s = 0; s < k->plan.n_stages; s++) {
    const snn_stage *stage = &k->plan.stages[s];
    if (stage->node != node || !stage->pieces) continue;
    for (uint32_t p = 0; p < stage->n_pieces; p++)
      memcpy(worth + stage->pieces[p].to, k->amplitude[stage->pieces[p].source] + stage->pieces[p].from,
             stage->pieces[p].n * sizeof *worth);
  }
}

/* Worth of one event of every node that sends some, and how many one element may stand for. */
static bool find_amplitudes(maker *k) {
  for (uint32_t i = 0; i < k->net->n_nodes; i++) {
    const snn_node *n = &k->net->nodes[i];
    if (!snn_int8_is_event(k->m->kinds[i])) continue;
    float *worth = lend(k, n->shape.c, sizeof *worth);
    if (!worth) return false;
    k->amplitude[i] = worth;
    k->m->multiplicity[i] = 1;
    if (n->kind == SNN_LAYER_NEURON) {
      for (uint32_t c = 0; c < n->shape.c; c++) worth[c] = n->neurons.amplitude[n->neurons.n == 1 ? 0 : c];
      continue;
    }
    for (uint32_t p = 0; p < n->n_inputs; p++)
      if (k->m->multiplicity[n->inputs[p]] > k->m->multiplicity[i])
        k->m->multiplicity[i] = k->m->multiplicity[n->inputs[p]];
    const float *from = k->amplitude[n->inputs[0]];
    if (n->kind == SNN_LAYER_AVGPOOL) {
      size_t area = (size_t)n->pool.window.kernel_h * n->pool.window.kernel_w, most;
      if (!snn_mul(area, k->m->multiplicity[i], &most) || most > 1 << 16) return false;
      k->m->multiplicity[i] = (uint32_t)most;
      for (uint32_t c = 0; c < n->shape.c; c++) worth[c] = from[c] / (float)area;
    } else if (n->kind == SNN_LAYER_MAXPOOL) {
      memcpy(worth, from, n->shape.c * sizeof *worth);
    } else {
      gather_amplitudes(k, i, worth);
    }
  }
  return true;
}

static bool sums(const snn_stage *stage) {
  return stage->kind != SNN_LAYER_AVGPOOL && stage->kind != SNN_LAYER_MAXPOOL && !stage->pieces;
}

static uint32_t key_of(const maker *k, const snn_stage *stage) {
  return stage->sink == SNN_SINK_SCORES ? k->net->n_nodes : stage->node;
}

static uint32_t root(const maker *k, uint32_t i) {
  while (k->class_of[i] != i) i = k->class_of[i];
  return i;
}

static void find_classes(maker *k) {
  for (uint32_t i = 0; i <= k->net->n_nodes; i++) k->class_of[i] = i;
  for (uint32_t s = k->plan.n_static; s < k->plan.n_stages; s++) {
    const snn_stage *stage = &k->plan.stages[s];
    for (uint32_t t = 0; t < stage->n_terms; t++)
      if (!stage->terms[t].is_conv && k->m->kinds[stage->terms[t].source] == SNN_INT8_GRADED &&
          stage->kind != SNN_LAYER_AVGPOOL)
        k->class_of[root(k, key_of(k, stage))] = root(k, stage->terms[t].source);
  }
}

/* Coarse units: the largest weight is 127, and a threshold no more than 2^16 (2^14 beside constant currents). */
static bool find_units(maker *k) {
  for (uint32_t s = k->plan.n_static; s < k->plan.n_stages; s++) {
    const snn_stage *stage = &k->plan.stages[s];
    if (!sums(stage)) continue;
    uint32_t class = root(k, key_of(k, stage)), channels = stage->shape.c;
    if (!k->coarse[class] && !(k->coarse[class] = lend(k, channels, sizeof(float)))) return false;
    for (uint32_t t = 0; t < stage->n_terms; t++)
      if (stage->terms[t].is_conv)
        snn_int8_widest(&stage->terms[t].conv, snn_graph_stored(k->net, stage->terms[t].conv.weights),
                        k->amplitude[stage->terms[t].source], k->threads, k->coarse[class]);
  }
  for (uint32_t s = k->plan.n_static; s < k->plan.n_stages; s++) {
    const snn_stage *stage = &k->plan.stages[s];
    if (!sums(stage)) continue;
    float *unit = k->coarse[root(k, key_of(k, stage))];
    bool has_static = false;
    for (uint32_t t = 0; t < stage->n_terms; t++)
      has_static = has_static || k->m->kinds[stage->terms[t].source] == SNN_INT8_STATIC;
    for (uint32_t c = 0; c < stage->shape.c; c++) {
      float least = 0;
      if (stage->theta)
        least = fmaxf(stage->theta[c], stage->fire[c]) / (has_static ? 1 << SNN_INT8_STATIC_THETA_BITS : 1 << 16);
      for (uint32_t t = 0; unit[c] == 0 && t < stage->n_terms; t++) /* no weights: what is added as it is */
        if (!stage->terms[t].is_conv && k->amplitude[stage->terms[t].source])
          least = fmaxf(least, k->amplitude[stage->terms[t].source][c] / 128);
      least = fmaxf(least, fabsf(stage->bias[c]) / (1 << 16));
      unit[c] = fmaxf(unit[c], least);
    }
  }
  for (uint32_t i = 0; i <= k->net->n_nodes; i++)
    for (uint32_t c = 0; k->coarse[i] && c < k->net->nodes[i < k->net->n_nodes ? i : i - 1].shape.c; c++)
      if (!(k->coarse[i][c] > 1e-30f)) k->coarse[i][c] = 1.0f; /* nothing ever arrives there */
  return true;
}

/* An average pool that a convolution may look through: its taps are then those of the pool's windows. */
static const snn_pool *pool_behind(const maker *k, const snn_term *term) {
  const snn_node *n = &k->net->nodes[term->source];
  bool plain = term->conv.group_in == term->conv.in_c;
  return plain && n->kind == SNN_LAYER_AVGPOOL && k->m->kinds[n->inputs[0]] == SNN_INT8_SPIKES ? &n->pool : NULL;
}

static void find_looked_through(maker *k) {
  for (uint32_t i = 0; i < k->net->n_nodes; i++) k->m->looked_through[i] = k->net->nodes[i].kind == SNN_LAYER_AVGPOOL;
  for (uint32_t s = k->plan.n_static; s < k->plan.n_stages; s++) {
    const snn_stage *stage = &k->plan.stages[s];
    for (uint32_t t = 0; t < stage->n_terms; t++)
      if (!stage->terms[t].is_conv || !pool_behind(k, &stage->terms[t]))
        k->m->looked_through[stage->terms[t].source] = false;
    for (uint32_t p = 0; p < stage->n_pieces; p++) k->m->looked_through[stage->pieces[p].source] = false;
  }
}

/* Narrow layers compute neighbours of a row together, as many as fill a group of lanes. */
static uint32_t unroll_of(const snn_stage *stage) {
  uint32_t n = SNN_LANES / stage->shape.c;
  for (uint32_t t = 0; t < stage->n_terms; t++) {
    const snn_term *term = &stage->terms[t];
    if (term->is_conv && (term->conv.group_in != term->conv.in_c || term->conv.dilation_w != 1)) return 1;
  }
  if (n > stage->shape.w) n = stage->shape.w;
  return n ? n : 1;
}

/* Pairs of output and tap of one axis that meet at each of `in` inputs, times what each output weighs (NULL: 1). */
static uint32_t *reach_of(maker *k, uint32_t in, uint32_t out, uint32_t kernel, uint32_t stride, uint32_t dilation,
                          uint32_t pad, const uint32_t *weight) {
  uint32_t *reach = snn_arena_alloc(&k->m->arena, in, sizeof *reach);
  for (uint32_t o = 0; reach && o < out; o++)
    for (uint32_t tap = 0; tap < kernel; tap++) {
      int64_t at = (int64_t)o * stride + (int64_t)tap * dilation - pad;
      if (at >= 0 && at < in) reach[at] += weight ? weight[o] : 1;
    }
  return reach;
}

static bool find_reach(maker *k, snn_int8_term *term) {
  const snn_conv_args *a = &term->conv;
  term->reach_h = reach_of(k, a->in_h, a->out_h, a->kernel_h, a->stride_h, a->dilation_h, a->pad_top, NULL);
  term->reach_w = reach_of(k, a->in_w, a->out_w, a->kernel_w, a->stride_w, a->dilation_w, a->pad_left, NULL);
  if (!term->reach_h || !term->reach_w || !term->pool) return term->reach_h && term->reach_w;
  const snn_window *w = &term->pool->window;
  snn_shape s = k->net->nodes[term->pooled].shape;
  term->pooled_reach_h = reach_of(k, s.h, a->in_h, w->kernel_h, w->stride_h, w->dilation_h, w->pad_top, term->reach_h);
  term->pooled_reach_w = reach_of(k, s.w, a->in_w, w->kernel_w, w->stride_w, w->dilation_w, w->pad_left, term->reach_w);
  return term->pooled_reach_h && term->pooled_reach_w;
}

/* Groups of a block: as many as a call takes, but no more weights than stay in a core's second cache beside the next
 * block's, which are fetched while these are used. */
static uint32_t block_groups(const snn_stage *stage) {
  enum { BLOCK_BYTES = 640 << 10 };
  uint32_t groups = SNN_INT8_GROUPS;
  for (uint32_t t = 0; t < stage->n_terms; t++) {
    const snn_conv_args *a = &stage->terms[t].conv;
    if (!stage->terms[t].is_conv) continue;
    while (groups > 1 && (size_t)a->kernel_h * a->kernel_w * a->in_c * groups * SNN_LANES > BLOCK_BYTES) groups /= 2;
  }
  return groups;
}

static snn_status make_conv(maker *k, const snn_stage *stage, const snn_int8_layer *layer, const snn_term *from,
                            snn_int8_term *to) {
  const snn_conv_args *a = &from->conv;
  *to = (snn_int8_term){.is_conv = true, .source = from->source, .pooled = from->source, .conv = *a};
  to->is_grouped = a->group_in != a->in_c;
  to->pool = pool_behind(k, from);
  if (to->pool) to->pooled = k->net->nodes[from->source].inputs[0];
  to->columns = (layer->unroll - 1) * a->stride_w + (a->kernel_w - 1) * a->dilation_w + 1;
  if (layer->unroll == 1) to->columns = a->kernel_w;
  size_t rows = snn_int8_rows(to), bytes;
  if (to->is_grouped) {
    rows = (size_t)a->kernel_h * a->kernel_w * a->group_in;
    bytes = rows * a->out_c;
  } else if (rows >= UINT32_MAX - 4 || !snn_mul(rows + 4, layer->lanes, &bytes)) { /* `dense` reads whole quads */
    return snn_fail(k->err, SNN_ERR_TOO_LARGE, NULL, "the int8 weights are too many");
  }
  int8_t *weights = snn_arena_alloc(&k->m->arena, bytes, 1);
  int32_t *positive = snn_arena_alloc(&k->m->arena, a->out_c, sizeof *positive),
          *negative = snn_arena_alloc(&k->m->arena, a->out_c, sizeof *negative);
  if (!weights || !positive || !negative || !find_reach(k, to)) return snn_fail_memory(k->err, "the int8 network");
  snn_int8_packing packing = {.conv = a,
                              .stored = snn_graph_stored(k->net, a->weights),
                              .amplitude = k->amplitude[from->source],
                              .unit = k->coarse[root(k, key_of(k, stage))],
                              .unroll = layer->unroll,
                              .columns = to->columns,
                              .groups = layer->groups,
                              .blocks = layer->blocks,
                              .threads = k->threads,
                              .positive = positive,
                              .negative = negative};
  if (to->is_grouped)
    snn_int8_round_plain(&packing, weights);
  else
    snn_int8_pack(&packing, weights);
  k->m->bytes += bytes;
  to->weights = weights;
  if (snn_int8_is_dense(a)) {
    const size_t row = snn_dense_row(a), lanes = (a->out_c + SNN_DENSE_LANES - 1) / SNN_DENSE_LANES * SNN_DENSE_LANES;
    int8_t *dense = snn_arena_alloc(&k->m->arena, row, lanes);
    if (!dense) return snn_fail_memory(k->err, "the int8 network");
    snn_dense_pack(layer, to, k->threads, dense);
    k->m->bytes += row * lanes;
    to->dense = dense;
  }
  to->positive = positive;
  to->negative = negative;
  return SNN_OK;
}

static const float *keep(maker *k, const float *from, size_t n) {
  float *to = snn_arena_alloc(&k->m->arena, n, sizeof *to);
  if (to) memcpy(to, from, n * sizeof *to);
  return to;
}

/* Sites, groups and blocks of a stage, its convolutions, and what its numbers are made from. */
static snn_status make_layer(maker *k, const snn_stage *stage, snn_int8_layer *layer) {
  layer->node = key_of(k, stage);
  layer->shared = root(k, layer->node);
  layer->channels = stage->shape.c;
  layer->fires = stage->sink == SNN_SINK_SPIKES;
  layer->unroll = unroll_of(stage);
  layer->sites_w = (stage->shape.w + layer->unroll - 1) / layer->unroll;
  uint32_t groups = snn_words(layer->unroll * stage->shape.c);
  const uint32_t most = block_groups(stage);
  layer->blocks = (groups + most - 1) / most;
  layer->groups = (groups + layer->blocks - 1) / layer->blocks;
  layer->lanes = layer->blocks * layer->groups * SNN_LANES;
  snn_int8_term *terms = snn_arena_alloc(&k->m->arena, stage->n_terms, sizeof *terms);
  uint32_t *statics = snn_arena_alloc(&k->m->arena, stage->n_terms, sizeof *statics);
  if (!terms || !statics) return snn_fail_memory(k->err, "the int8 network");
  snn_status status = SNN_OK;
  for (uint32_t t = 0; status == SNN_OK && t < stage->n_terms; t++) {
    const snn_term *from = &stage->terms[t];
    if (k->m->kinds[from->source] == SNN_INT8_STATIC)
      statics[layer->n_statics++] = from->source;
    else if (from->is_conv)
      status = make_conv(k, stage, layer, from, &terms[layer->n_terms++]);
    else
      terms[layer->n_terms++] = (snn_int8_term){.source = from->source, .pooled = from->source};
  }
  layer->terms = terms;
  layer->statics = statics;
  layer->coarse = keep(k, k->coarse[layer->shared], layer->channels);
  layer->exact_bias = keep(k, stage->bias, layer->channels);
  if (status == SNN_OK && (!layer->coarse || !layer->exact_bias)) return snn_fail_memory(k->err, "the int8 network");
  for (uint32_t t = 0; status == SNN_OK && t < layer->n_terms; t++) {
    const float *worth = k->amplitude[terms[t].source];
    if (terms[t].is_conv || !worth) continue;
    if (!(terms[t].worth = keep(k, worth, layer->channels))) return snn_fail_memory(k->err, "the int8 network");
  }
  return status;
}

/* What packing all convolutions both ways takes, about: narrow layers take more. */
static size_t packed_bytes(const snn_network *net) {
  size_t n = 0;
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (net->nodes[i].kind == SNN_LAYER_CONV) {
      const snn_conv_args a = snn_conv_args_of(net, i);
      n += 2 * ((size_t)a.kernel_h * a.kernel_w * a.group_in + 4) * a.out_c; /* at most 2^29 each */
    }
  return n;
}

static snn_status make(maker *k) {
  uint32_t n = k->net->n_nodes;
  snn_int8_model *m = k->m;
  m->n_stages = k->plan.n_stages;
  m->kinds = snn_arena_alloc(&m->arena, n, sizeof *m->kinds);
  m->looked_through = snn_arena_alloc(&m->arena, n, sizeof *m->looked_through);
  m->layers = snn_arena_alloc(&m->arena, m->n_stages, sizeof *m->layers);
  k->amplitude = lend(k, n, sizeof *k->amplitude);
  m->multiplicity = snn_arena_alloc(&m->arena, n, sizeof *m->multiplicity);
  k->class_of = lend(k, (size_t)n + 1, sizeof *k->class_of);
  k->coarse = lend(k, (size_t)n + 1, sizeof *k->coarse);
  if (!m->kinds || !m->looked_through || !m->layers || !k->amplitude || !m->multiplicity || !k->class_of || !k->coarse)
    return snn_fail_memory(k->err, "the int8 network");
  snn_status status = find_kinds(k->net, m->kinds, k->err);
  if (status != SNN_OK) return status;
  if (!find_amplitudes(k)) return snn_fail_memory(k->err, "the int8 network");
  find_classes(k);
  if (!find_units(k)) return snn_fail_memory(k->err, "the int8 network");
  find_looked_through(k);
  snn_arena_expect(&m->arena, packed_bytes(k->net));
  for (uint32_t s = k->plan.n_static; status == SNN_OK && s < m->n_stages; s++)
    if (sums(&k->plan.stages[s])) status = make_layer(k, &k->plan.stages[s], &m->layers[s]);
  if (status == SNN_OK) status = snn_int8_most_timesteps(m, k->net, NULL, &m->most_timesteps, k->err);
  return status;
}

static void free_model(void *model) {
  snn_int8_model *m = model;
  snn_arena_free(&m->arena);
  free(m);
}

static snn_status make_model(const snn_network *net, uint32_t threads, snn_int8_model **out, snn_error *err) {
  snn_int8_model *m = calloc(1, sizeof *m);
  if (!m) return snn_fail_memory(err, "the int8 network");
  maker k = {.net = net, .m = m, .threads = threads, .err = err};
  snn_status status = snn_plan_compile(net, SNN_PLAN_BINARY, SNN_PLAN_DIRECT, 1, &k.plan, err);
  if (status == SNN_OK) status = make(&k);
  snn_plan_free(&k.plan);
  if (status == SNN_OK)
    *out = m;
  else
    free_model(m);
  return status;
}

snn_status snn_int8_prepare(const snn_network *net, uint32_t threads, const snn_int8_model **out, snn_error *err) {
  snn_shared *shared = net->shared;
  snn_status status = SNN_OK;
  pthread_mutex_lock(&shared->lock);
  if (!shared->value && shared->refusal.status == SNN_OK) {
    snn_int8_model *made = NULL;
    snn_error why = {0};
    status = make_model(net, threads, &made, &why);
    if (status == SNN_ERR_UNSUPPORTED) shared->refusal = why; /* it will always be so */
    if (status != SNN_OK && err) *err = why;
    shared->value = made;
    shared->free = free_model;
  } else if (!shared->value) {
    status = shared->refusal.status;
    if (err) *err = shared->refusal;
  }
  if (status == SNN_OK) *out = shared->value;
  pthread_mutex_unlock(&shared->lock);
  return status;
}

snn_status snn_int8_takes(const snn_network *net, const snn_run_options *run, snn_error *err) {
  if (run->encoding != SNN_ENCODING_DIRECT)
    return snn_fail(err, SNN_ERR_UNSUPPORTED, "encoding", "'%s' runs in float32 only",
                    snn_encoding_name(run->encoding));
  if (run->readout != SNN_READOUT_POTENTIAL)
    return snn_fail(err, SNN_ERR_UNSUPPORTED, "readout", "'%s' runs in float32 only", snn_readout_name(run->readout));
  snn_table_choice choice;
  const float *factors = NULL;
  if (snn_init_needs_table(run->init) && snn_run_table(net, run, &choice))
    factors = snn_calibration_factors(choice.calibration, choice.table);
  snn_shared *shared = net->shared;
  pthread_mutex_lock(&shared->lock);
  const snn_int8_model *m = shared->value; /* which nobody changes any more */
  const snn_error refusal = shared->refusal;
  pthread_mutex_unlock(&shared->lock);
  if (refusal.status != SNN_OK) {
    if (err) *err = refusal;
    return refusal.status;
  }
  if (!m) return check(net, factors, err);
  uint32_t most = m->most_timesteps;
  snn_status status = factors ? snn_int8_most_timesteps(m, net, factors, &most, err) : SNN_OK;
  if (status == SNN_OK && run->timesteps > most)
    return snn_fail(err, SNN_ERR_UNSUPPORTED, "timesteps",
                    "%u is out of range for this network in int8; 1 to %u, or precision float32", run->timesteps, most);
  return status;
}
