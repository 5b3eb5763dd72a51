/* Compiling a network into a plan. Invariant: a stage reads only edges of stages before it, so running stages in order,
 * chunk by chunk, is the simulation. Decides what is inlined, what is static, and where everything lies in a lane's
 * memory; runs nothing. */
#include "sim/plan.h"

#include <string.h>

#include "base/error.h"
#include "sim/rest.h"

snn_conv_args snn_conv_args_of(const snn_network *net, uint32_t node) {
  const snn_node *n = &net->nodes[node];
  snn_shape in = net->nodes[n->inputs[0]].shape, out = n->shape;
  const snn_window *w = &n->conv.window;
  return (snn_conv_args){.in_h = in.h,
                         .in_w = in.w,
                         .in_c = in.c,
                         .out_h = out.h,
                         .out_w = out.w,
                         .out_c = out.c,
                         .kernel_h = w->kernel_h,
                         .kernel_w = w->kernel_w,
                         .stride_h = w->stride_h,
                         .stride_w = w->stride_w,
                         .dilation_h = w->dilation_h,
                         .dilation_w = w->dilation_w,
                         .pad_top = w->pad_top,
                         .pad_left = w->pad_left,
                         .group_in = in.c / n->conv.groups,
                         .group_out = out.c / n->conv.groups,
                         .weights = n->conv.weights};
}

/* What compilation knows about a node beside the graph. */
typedef struct node_facts {
  bool is_static;   /* constant in time */
  bool is_inlined;  /* a term of its only reader's stage */
  uint32_t charged; /* layer that the operations of its stage count for */
} node_facts;

typedef struct compiler {
  const snn_network *net;
  snn_plan *plan;
  node_facts *facts;
  snn_error *err;
} compiler;

static void gather_facts(compiler *c) {
  const snn_network *net = c->net;
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    const snn_node *n = &net->nodes[i];
    bool is_static = n->kind != SNN_LAYER_NEURON && !(i == 0 && c->plan->input == SNN_PLAN_ENCODED);
    for (uint32_t k = 0; k < n->n_inputs; k++) is_static = is_static && c->facts[n->inputs[k]].is_static;
    c->facts[i].is_static = is_static;
  }
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    const snn_node *n = &net->nodes[i];
    bool sums = n->kind == SNN_LAYER_NEURON || n->kind == SNN_LAYER_ADD;
    for (uint32_t k = 0; sums && k < n->n_inputs; k++) {
      uint32_t source = n->inputs[k];
      snn_layer_kind kind = net->nodes[source].kind;
      if (!c->facts[source].is_static && (kind == SNN_LAYER_CONV || kind == SNN_LAYER_ADD) &&
          net->nodes[source].n_readers == 1)
        c->facts[source].is_inlined = true;
    }
  }
  uint32_t last = net->n_nodes - 1; /* its reader is the readout */
  c->facts[last].is_inlined =
      !c->facts[last].is_static && (net->nodes[last].kind == SNN_LAYER_CONV || net->nodes[last].kind == SNN_LAYER_ADD);
}

/* Operations count for the neurons they arrive at, or for the last layer. A current that several layers read counts for
 * the first of them; a constant one arrives at no step in particular, so its operations stay where they are done. */
static void gather_charges(compiler *c) {
  const snn_network *net = c->net;
  for (uint32_t i = 0; i < net->n_nodes; i++) c->facts[i].charged = i;
  for (uint32_t i = net->n_nodes; i-- > 0;) { /* readers first: theirs are known, and the first one writes last */
    const snn_node *n = &net->nodes[i];
    for (uint32_t k = 0; k < n->n_inputs; k++) {
      uint32_t source = n->inputs[k];
      if (!c->facts[source].is_static && net->nodes[source].kind != SNN_LAYER_NEURON)
        c->facts[source].charged = c->facts[i].charged;
    }
  }
}

/* Reserve n elements in the lane's memory, on a cache line. */
static snn_status reserve(compiler *c, size_t n, size_t size, size_t *offset) {
  size_t bytes, end;
  if (!snn_mul(n, size, &bytes) || !snn_add(bytes, 63, &bytes) ||
      !snn_add(c->plan->lane_bytes, bytes & ~(size_t)63, &end) || end > (size_t)1 << 36)
    return snn_fail(c->err, SNN_ERR_TOO_LARGE, NULL, "the simulation of this network needs more than 64 GiB");
  *offset = c->plan->lane_bytes;
  c->plan->lane_bytes = end;
  return SNN_OK;
}

static float *channels_of(compiler *c, const snn_node *n) {
  return snn_arena_alloc(&c->plan->arena, n->shape.c, sizeof(float));
}

/* Per-channel copy of an array of 1 or c entries, each times `factor`. */
static void spread(float *to, const float *from, uint32_t n, uint32_t channels, float factor) {
  for (uint32_t i = 0; i < channels; i++) to[i] = from[n == 1 ? 0 : i] * factor;
}

/* Does every window of the pool divide by the same number? */
static bool uniform_divisor(const snn_pool *pool) {
  const snn_window *w = &pool->window;
  return pool->count_include_pad || !(w->pad_top | w->pad_left | w->pad_bottom | w->pad_right);
}

static bool gathers(const snn_node *n) {
  return n->kind == SNN_LAYER_CONCAT || n->kind == SNN_LAYER_SLICE;
}

/* What a concatenation or slice is put together from; returns how many pieces. */
static uint32_t pieces_of(const snn_network *net, const snn_node *n, snn_piece pieces[SNN_MAX_NODE_INPUTS]) {
  if (n->kind == SNN_LAYER_SLICE) {
    const snn_slice *s = &n->slice;
    uint32_t room = n->shape.c - s->pad[0], left = net->nodes[n->inputs[0]].shape.c - s->start[0];
    pieces[0] =
        (snn_piece){.source = n->inputs[0], .from = s->start[0], .to = s->pad[0], .n = left < room ? left : room};
    return 1;
  }
  uint32_t to = 0;
  for (uint32_t k = 0; k < n->n_inputs; k++) {
    pieces[k] = (snn_piece){.source = n->inputs[k], .to = to, .n = net->nodes[n->inputs[k]].shape.c};
    to += pieces[k].n;
  }
  return n->n_inputs;
}

/* Events stay events: spikes as long as all are, counts where counts or averages come in, else graded. */
static snn_edge_kind edge_kind(const compiler *c, uint32_t i) {
  const snn_node *n = &c->net->nodes[i];
  if (c->facts[i].is_inlined) return SNN_EDGE_NONE;
  if (c->facts[i].is_static) return SNN_EDGE_STATIC;
  if (n->kind == SNN_LAYER_NEURON || n->kind == SNN_LAYER_INPUT) /* an input that is not static is encoded */
    return c->plan->kind == SNN_PLAN_WHOLE_RUN ? SNN_EDGE_COUNTS : SNN_EDGE_SPIKES;
  if (!gathers(n) && !(n->kind == SNN_LAYER_AVGPOOL && uniform_divisor(&n->pool))) return SNN_EDGE_GRADED;
  bool all_spikes = gathers(n);
  for (uint32_t k = 0; k < n->n_inputs; k++) {
    snn_edge_kind from = c->plan->edges[n->inputs[k]].kind;
    if (from != SNN_EDGE_SPIKES && from != SNN_EDGE_COUNTS) return SNN_EDGE_GRADED;
    all_spikes = all_spikes && from == SNN_EDGE_SPIKES;
  }
  return all_spikes ? SNN_EDGE_SPIKES : SNN_EDGE_COUNTS;
}

/* What an event of each channel is worth, for edges of events; those it comes from are known. `factor` is that of the
 * node's neurons. */
static void set_amplitude(snn_plan *plan, const snn_network *net, uint32_t i, float factor) {
  const snn_node *n = &net->nodes[i];
  snn_edge *e = &plan->edges[i];
  if (n->kind == SNN_LAYER_INPUT) {
    for (uint32_t c = 0; c < n->shape.c; c++)
      e->amplitude[c] = c < SNN_MAX_CHANNELS_IN ? 1.0f / net->preprocess.std[c] : 1.0f;
  } else if (n->kind == SNN_LAYER_NEURON) {
    spread(e->amplitude, n->neurons.amplitude, n->neurons.n, n->shape.c, factor);
  } else if (n->kind == SNN_LAYER_AVGPOOL) { /* whole numbers stay whole: pool by adding */
    float share = 1.0f / (float)(n->pool.window.kernel_h * n->pool.window.kernel_w);
    spread(e->amplitude, plan->edges[n->inputs[0]].amplitude, n->shape.c, n->shape.c, share);
  } else {
    snn_piece pieces[SNN_MAX_NODE_INPUTS];
    uint32_t n_pieces = pieces_of(net, n, pieces);
    for (uint32_t k = 0; k < n_pieces; k++)
      memcpy(e->amplitude + pieces[k].to, plan->edges[pieces[k].source].amplitude + pieces[k].from,
             pieces[k].n * sizeof *e->amplitude);
  }
  for (uint32_t c = 0; c < n->shape.c; c++) e->minus[c] = -e->amplitude[c];
}

/* What an edge of events is worth at rest, [h][w][c]; *out stays NULL where that is 0. */
static snn_status make_rest(compiler *c, uint32_t i, const float **out) {
  const snn_node *n = &c->net->nodes[i];
  if (n->kind == SNN_LAYER_NEURON) return SNN_OK;
  bool any = n->kind == SNN_LAYER_INPUT;
  for (uint32_t k = 0; k < n->n_inputs; k++) any = any || c->plan->edges[n->inputs[k]].rest;
  if (!any) return SNN_OK;
  float *rest = snn_arena_alloc(&c->plan->arena, snn_shape_size(n->shape), sizeof *rest);
  if (!rest) return snn_fail_memory(c->err, "the plan");
  if (n->kind == SNN_LAYER_INPUT) {
    snn_rest_of_image(n->shape, &c->net->preprocess, rest);
  } else if (n->kind == SNN_LAYER_AVGPOOL) {
    snn_rest_of_average(&n->pool, &c->plan->edges[n->inputs[0]], n->shape, rest);
  } else {
    snn_piece pieces[SNN_MAX_NODE_INPUTS];
    uint32_t n_pieces = pieces_of(c->net, n, pieces);
    const snn_slice *slice = n->kind == SNN_LAYER_SLICE ? &n->slice : NULL;
    for (uint32_t k = 0; k < n_pieces; k++)
      snn_rest_of_piece(&pieces[k], slice, &c->plan->edges[pieces[k].source], n->shape, rest);
  }
  *out = rest;
  return SNN_OK;
}

static snn_status make_edge(compiler *c, uint32_t i) {
  const snn_node *n = &c->net->nodes[i];
  snn_edge *e = &c->plan->edges[i];
  size_t positions = (size_t)n->shape.h * n->shape.w;
  *e = (snn_edge){.kind = edge_kind(c, i), .shape = n->shape, .words = snn_words(n->shape.c)};
  if (e->kind == SNN_EDGE_NONE) return SNN_OK;
  if (e->kind == SNN_EDGE_STATIC) return reserve(c, positions * n->shape.c, sizeof(float), &e->offset);
  bool spikes = e->kind == SNN_EDGE_SPIKES;
  size_t planes = c->plan->kind == SNN_PLAN_SIGNED ? 2 : 1;
  e->step = positions * (spikes ? planes * e->words : n->shape.c);
  if (e->kind != SNN_EDGE_GRADED) {
    e->amplitude = channels_of(c, n);
    e->minus = channels_of(c, n);
    if (!e->amplitude || !e->minus) return snn_fail_memory(c->err, "the plan");
    snn_status status = make_rest(c, i, &e->rest);
    if (status != SNN_OK) return status;
  }
  return reserve(c, e->step * c->plan->chunk, spikes ? sizeof(uint64_t) : sizeof(float), &e->offset);
}

/* Room for a concatenation's or slice's pieces. */
static snn_status make_pieces(compiler *c, const snn_node *n, snn_stage *stage) {
  snn_piece pieces[SNN_MAX_NODE_INPUTS];
  stage->n_pieces = pieces_of(c->net, n, pieces);
  snn_piece *kept = snn_arena_alloc(&c->plan->arena, stage->n_pieces, sizeof *kept);
  if (!kept) return snn_fail_memory(c->err, "the plan");
  memcpy(kept, pieces, stage->n_pieces * sizeof *kept);
  stage->pieces = kept;
  stage->slice = n->kind == SNN_LAYER_SLICE ? &n->slice : NULL;
  return SNN_OK;
}

/* Terms that node i brings to a stage: its edge when it has one (unless it is the stage's own node), else what it is
 * made of. With terms NULL only counts; bias (may be NULL) collects the biases of the convolutions met. */
static uint32_t collect_terms(const compiler *c, uint32_t i, bool is_own, snn_term *terms, float *bias) {
  const snn_node *n = &c->net->nodes[i];
  if (!is_own && !c->facts[i].is_inlined) {
    if (terms) *terms = (snn_term){.source = i};
    return 1;
  }
  if (n->kind == SNN_LAYER_CONV) {
    if (terms) *terms = (snn_term){.is_conv = true, .source = n->inputs[0], .conv = snn_conv_args_of(c->net, i)};
    for (uint32_t k = 0; bias && k < n->shape.c; k++) bias[k] += n->conv.bias[k];
    return 1;
  }
  uint32_t count = 0;
  for (uint32_t k = 0; k < n->n_inputs; k++)
    count += collect_terms(c, n->inputs[k], false, terms ? terms + count : NULL, bias);
  return count;
}

/* Room for a stage's terms and bias, filled from node i (see collect_terms). */
static snn_status make_terms(compiler *c, uint32_t i, bool is_own, snn_stage *stage) {
  uint32_t channels = c->net->nodes[i].shape.c;
  stage->n_terms = collect_terms(c, i, is_own, NULL, NULL);
  snn_term *terms = snn_arena_alloc(&c->plan->arena, stage->n_terms, sizeof *terms);
  float *bias = snn_arena_alloc(&c->plan->arena, channels, sizeof *bias);
  if (!terms || !bias) return snn_fail_memory(c->err, "the plan");
  collect_terms(c, i, is_own, terms, bias);
  stage->terms = terms;
  stage->bias = bias;
  bool rests = false;
  for (uint32_t k = 0; k < stage->n_terms; k++) rests = rests || c->plan->edges[terms[k].source].rest;
  if (!rests) return SNN_OK;
  float *map = snn_arena_alloc(&c->plan->arena, snn_shape_size(stage->shape), sizeof *map);
  if (!map) return snn_fail_memory(c->err, "the plan");
  snn_rest_of_stage(c->plan, stage, map);
  stage->bias_map = map;
  return SNN_OK;
}

/* The image as spikes: the first stage of plans for encoded images. */
static snn_status make_encoder(compiler *c, snn_stage *stage) {
  snn_shape shape = c->net->nodes[0].shape;
  *stage = (snn_stage){.kind = SNN_LAYER_INPUT, .sink = SNN_SINK_SPIKES, .shape = shape, .blocks = snn_words(shape.c)};
  return reserve(c, snn_shape_size(shape), sizeof(uint16_t), &stage->state);
}

static snn_status make_stage(compiler *c, uint32_t i, snn_stage *stage) {
  const snn_node *n = &c->net->nodes[i];
  uint32_t channels = n->shape.c;
  size_t positions = (size_t)n->shape.h * n->shape.w;
  *stage = (snn_stage){.node = i, .kind = n->kind, .shape = n->shape, .blocks = snn_words(channels)};
  stage->charged = c->facts[i].charged;
  stage->sink = c->facts[i].is_static ? SNN_SINK_STATIC : SNN_SINK_GRADED;
  if (gathers(n)) return make_pieces(c, n, stage);
  if (n->kind == SNN_LAYER_CONSTANT) {
    stage->values = n->values;
    return SNN_OK;
  }
  if (n->kind == SNN_LAYER_AVGPOOL || n->kind == SNN_LAYER_MAXPOOL) {
    snn_term *source = snn_arena_alloc(&c->plan->arena, 1, sizeof *source);
    if (!source) return snn_fail_memory(c->err, "the plan");
    *source = (snn_term){.source = n->inputs[0]};
    stage->terms = source;
    stage->n_terms = 1;
    stage->pool = &n->pool;
    if (n->kind == SNN_LAYER_AVGPOOL || c->facts[i].is_static) return SNN_OK;
    size_t taps = (size_t)n->pool.window.kernel_h * n->pool.window.kernel_w;
    return reserve(c, positions * channels, (taps + 1) * sizeof(float), &stage->state);
  }
  snn_status status = make_terms(c, i, true, stage);
  if (status != SNN_OK || n->kind != SNN_LAYER_NEURON) return status;
  stage->sink = SNN_SINK_SPIKES;
  stage->fire = channels_of(c, n);
  stage->half_fire = channels_of(c, n);
  stage->theta = channels_of(c, n);
  if (!stage->fire || !stage->half_fire || !stage->theta) return snn_fail_memory(c->err, "the plan");
  size_t states = c->plan->kind == SNN_PLAN_SIGNED ? 2 : 1;
  status = reserve(c, positions * stage->blocks, sizeof(uint64_t), &stage->fired);
  return status == SNN_OK ? reserve(c, positions * channels, states * sizeof(float), &stage->state) : status;
}

/* The last stage: adds up the currents of the last node. */
static snn_status make_readout(compiler *c, snn_stage *stage) {
  uint32_t last = c->net->n_nodes - 1;
  snn_shape shape = c->net->nodes[last].shape;
  *stage = (snn_stage){.node = last,
                       .charged = last,
                       .kind = SNN_LAYER_ADD,
                       .sink = SNN_SINK_SCORES,
                       .shape = shape,
                       .blocks = snn_words(shape.c)};
  snn_status status = make_terms(c, last, false, stage);
  if (status == SNN_OK) status = reserve(c, (size_t)shape.c * (c->plan->chunk + 1), sizeof(double), &stage->sums);
  if (status == SNN_OK) status = reserve(c, shape.c, 2 * sizeof(float), &stage->state);
  const float theta = c->net->output_threshold;
  if (status != SNN_OK || theta <= 0) return status;
  stage->fire = stage->theta = snn_arena_alloc(&c->plan->arena, shape.c, sizeof *stage->theta);
  stage->half_fire = snn_arena_alloc(&c->plan->arena, shape.c, sizeof *stage->half_fire);
  if (!stage->theta || !stage->half_fire) return snn_fail_memory(c->err, "the plan");
  spread(stage->theta, &theta, 1, shape.c, 1.0f);
  spread(stage->half_fire, &theta, 1, shape.c, 0.5f);
  return SNN_OK;
}

static snn_status compile(compiler *c) {
  const snn_network *net = c->net;
  snn_plan *plan = c->plan;
  c->facts = snn_arena_alloc(&plan->arena, net->n_nodes, sizeof *c->facts);
  plan->edges = snn_arena_alloc(&plan->arena, net->n_nodes, sizeof *plan->edges);
  plan->stages = snn_arena_alloc(&plan->arena, (size_t)net->n_nodes + 2, sizeof *plan->stages);
  if (!c->facts || !plan->edges || !plan->stages) return snn_fail_memory(c->err, "the plan");
  plan->n_edges = net->n_nodes;
  gather_facts(c);
  gather_charges(c);
  snn_status status = SNN_OK;
  for (uint32_t i = 0; status == SNN_OK && i < net->n_nodes; i++) status = make_edge(c, i);
  if (status == SNN_OK && plan->input == SNN_PLAN_ENCODED) status = make_encoder(c, &plan->stages[plan->n_stages++]);
  for (int once = 1; once >= 0; once--) { /* static stages first: nothing static reads what is not */
    for (uint32_t i = 1; status == SNN_OK && i < net->n_nodes; i++)
      if (c->facts[i].is_static == (once == 1) && !c->facts[i].is_inlined)
        status = make_stage(c, i, &plan->stages[plan->n_stages++]);
    if (once) plan->n_static = plan->input == SNN_PLAN_ENCODED ? 0 : plan->n_stages; /* encoded, nothing is static */
  }
  if (status == SNN_OK) status = make_readout(c, &plan->stages[plan->n_stages++]);
  return status;
}

void snn_plan_scale(snn_plan *plan, const snn_network *net, const float *factors) {
  for (uint32_t i = 0; i < plan->n_edges; i++)
    if (plan->edges[i].amplitude) set_amplitude(plan, net, i, factors ? factors[i] : 1.0f);
  for (uint32_t s = 0; s < plan->n_stages; s++) {
    snn_stage *stage = &plan->stages[s];
    if (net->nodes[stage->node].kind != SNN_LAYER_NEURON) continue;
    const snn_neurons *n = &net->nodes[stage->node].neurons;
    const float factor = factors ? factors[stage->node] : 1.0f;
    spread(stage->fire, n->fire, n->n, stage->shape.c, factor);
    spread(stage->half_fire, n->fire, n->n, stage->shape.c, 0.5f * factor);
    spread(stage->theta, n->theta, n->n, stage->shape.c, factor);
  }
  plan->is_scaled = factors != NULL;
}

snn_status snn_plan_compile(const snn_network *net, snn_plan_kind kind, snn_plan_input input, uint32_t chunk,
                            snn_plan *out, snn_error *err) {
  snn_plan plan = {.kind = kind, .input = input, .chunk = kind == SNN_PLAN_WHOLE_RUN ? 1 : chunk};
  compiler c = {.net = net, .plan = &plan, .err = err};
  snn_status status = compile(&c);
  if (status != SNN_OK) {
    snn_arena_free(&plan.arena);
    return status;
  }
  snn_plan_scale(&plan, net, NULL);
  *out = plan;
  return SNN_OK;
}

void snn_plan_free(snn_plan *plan) {
  snn_arena_free(&plan->arena);
  *plan = (snn_plan){0};
}
