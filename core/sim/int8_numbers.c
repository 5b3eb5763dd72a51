/* Numbers in units: how much fraction they get, and the numbers themselves. Invariant: every bound stated in
 * int8_model.h holds of what leaves here. */
#include "sim/int8_numbers.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"

enum {
  MOST_FRACTION = 10,
  STATIC_BITS = 17,      /* constant currents stay below 2^17 units: 2^29 in 4096 steps */
  THETA_BITS = 24,       /* thresholds */
  UNUSED_LEVEL = 1 << 30 /* of lanes that no neuron has */
};
#define CURRENT_BUDGET 1073741824.0 /* 2^30: what T steps of all other currents may add up to */

snn_status snn_int8_find_scales(const snn_network *net, const snn_int8_kind *kinds, const float *factors, float *scales,
                                snn_error *err) {
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    const snn_node *n = &net->nodes[i];
    scales[i] = n->kind == SNN_LAYER_NEURON && factors ? factors[i] : 1.0f;
    if (n->kind == SNN_LAYER_NEURON) continue;
    if (kinds[i] == SNN_INT8_STATIC) scales[i] = 0.0f;
    bool met = false;
    for (uint32_t k = 0; k < n->n_inputs; k++) {
      const float from = scales[n->inputs[k]];
      if (from == 0.0f) continue;
      if (met && from != scales[i])
        return snn_fail(err, SNN_ERR_UNSUPPORTED, "init",
                        "the table scales thresholds of layers whose spikes meet at '%s' differently, which the int8 "
                        "simulation does not take; float32 does",
                        n->name);
      met = true;
      scales[i] = from;
    }
  }
  return SNN_OK;
}

/* By how much a layer's units are scaled. */
static float scale_of(const snn_network *net, const float *scales, const snn_int8_layer *layer) {
  const uint32_t node = layer->node < net->n_nodes ? layer->node : net->n_nodes - 1;
  const float driven = scales[layer->fires ? net->nodes[node].inputs[0] : node];
  return driven > 0 ? driven : layer->fires ? scales[node] : 1.0f;
}

static float threshold(const snn_node *n, const float *of, float factor, uint32_t c) {
  return of[n->neurons.n == 1 ? 0 : c] * factor;
}

/* The node whose stage computes a current: a maximum passes it on. */
static uint32_t origin(const snn_network *net, uint32_t node) {
  while (net->nodes[node].kind == SNN_LAYER_MAXPOOL) node = net->nodes[node].inputs[0];
  return node;
}

/* The largest current a step may bring, in coarse units: all positive weights firing, or all negative ones. */
static double bound_of(const snn_int8_model *m, const snn_network *net, const float *scales,
                       const snn_int8_layer *layer, const double *bound) {
  const double scale = (double)scale_of(net, scales, layer);
  double most = 0, passed = 0;
  for (uint32_t c = 0; c < layer->channels; c++) {
    const double unit = (double)layer->coarse[c] * scale;
    double positive = 0, negative = 0, other = fabs((double)layer->exact_bias[c]) / unit;
    for (uint32_t t = 0; t < layer->n_terms; t++) {
      const snn_int8_term *term = &layer->terms[t];
      const double times = m->multiplicity[term->source];
      if (term->is_conv) {
        positive += times * term->positive[c];
        negative += times * term->negative[c];
      } else if (term->worth) {
        other += times * (double)term->worth[c] * (double)scales[term->source] / unit;
      }
    }
    double here = (positive > negative ? positive : negative) + other + 1;
    if (here > most) most = here;
  }
  for (uint32_t t = 0; t < layer->n_terms; t++)
    if (!layer->terms[t].is_conv && !layer->terms[t].worth) passed += bound[origin(net, layer->terms[t].source)];
  return most + passed;
}

static void find_bounds(const snn_int8_model *m, const snn_network *net, const float *scales, snn_int8_shares *to) {
  for (uint32_t s = 0; s < m->n_stages; s++) {
    const snn_int8_layer *layer = &m->layers[s];
    if (!layer->lanes) continue;
    const double scale = (double)scale_of(net, scales, layer), here = bound_of(m, net, scales, layer, to->bound);
    to->bound[layer->node] = here;
    to->most[layer->shared] = fmax(to->most[layer->shared], here);
    if (layer->n_statics) to->has_static[layer->shared] = true;
    const bool is_readout =
        layer->node == net->n_nodes; /* whose threshold, where known, tells how large currents are */
    for (uint32_t c = 0; is_readout && c < layer->channels; c++)
      to->theta_most[layer->shared] =
          fmax(to->theta_most[layer->shared], (double)net->output_threshold / ((double)layer->coarse[c] * scale));
    if (!layer->fires) continue;
    const snn_node *n = &net->nodes[layer->node];
    for (uint32_t c = 0; c < layer->channels; c++) {
      const float theta = threshold(n, n->neurons.theta, scales[layer->node], c),
                  fire = threshold(n, n->neurons.fire, scales[layer->node], c);
      const double units = (double)fmaxf(theta, fire) / ((double)layer->coarse[c] * scale);
      to->theta_most[layer->shared] = fmax(to->theta_most[layer->shared], units);
    }
  }
}

/* The largest threshold in units; a little more than that, since scaling rounds. */
static double theta_limit(const snn_int8_shares *s, uint32_t i) {
  return 1.0001 * (s->has_static[i] ? 1 << SNN_INT8_STATIC_THETA_BITS : 1 << THETA_BITS);
}

/* As much fraction as 32 bits leave room for at the largest T; where there is room for none, a smaller T. */
static uint32_t fraction_of(const snn_int8_shares *s, uint32_t i) {
  const double limit = theta_limit(s, i);
  uint32_t f = MOST_FRACTION;
  while (f &&
         (ldexp(s->most[i], (int)f) * SNN_MAX_TIMESTEPS > CURRENT_BUDGET || ldexp(s->theta_most[i], (int)f) > limit))
    f--;
  return f;
}

static bool make_shares(snn_arena *arena, uint32_t n_nodes, snn_int8_shares *s) {
  const size_t n = (size_t)n_nodes + 1;
  s->bound = snn_arena_alloc(arena, n, sizeof *s->bound);
  s->most = snn_arena_alloc(arena, n, sizeof *s->most);
  s->theta_most = snn_arena_alloc(arena, n, sizeof *s->theta_most);
  s->has_static = snn_arena_alloc(arena, n, sizeof *s->has_static);
  return s->bound && s->most && s->theta_most && s->has_static;
}

static snn_status most_timesteps(const snn_int8_model *m, const snn_network *net, const float *scales,
                                 snn_int8_shares *s, uint32_t *out, snn_error *err) {
  find_bounds(m, net, scales, s);
  double most = SNN_MAX_TIMESTEPS;
  for (uint32_t i = 0; i <= net->n_nodes; i++) {
    if (s->theta_most[i] > theta_limit(s, i))
      return snn_fail(err, SNN_ERR_UNSUPPORTED, "init", "the table's factors are too uneven for the int8 simulation");
    if (s->has_static[i] && !(s->theta_most[i] > 0))
      return snn_fail(err, SNN_ERR_UNSUPPORTED, NULL,
                      "constant currents of a size that no threshold tells, which the int8 simulation does not take; "
                      "float32 does");
    if (s->most[i] * most > CURRENT_BUDGET) most = CURRENT_BUDGET / s->most[i];
  }
  if (most < 1) return snn_fail(err, SNN_ERR_UNSUPPORTED, NULL, "its currents are too large for the int8 simulation");
  *out = (uint32_t)most;
  return SNN_OK;
}

snn_status snn_int8_most_timesteps(const snn_int8_model *m, const snn_network *net, const float *factors, uint32_t *out,
                                   snn_error *err) {
  snn_arena arena = {0};
  snn_int8_shares s = {0};
  float *scales = snn_arena_alloc(&arena, net->n_nodes, sizeof *scales);
  snn_status status = scales && make_shares(&arena, net->n_nodes, &s) ? SNN_OK : snn_fail_memory(err, "int8 bounds");
  if (status == SNN_OK) status = snn_int8_find_scales(net, m->kinds, factors, scales, err);
  if (status == SNN_OK) status = most_timesteps(m, net, scales, &s, out, err);
  snn_arena_free(&arena);
  return status;
}

/* An even number of units. */
static int32_t even(double x) {
  return 2 * (int32_t)fmax(1, rint(x / 2));
}

static void make_thresholds(const snn_network *net, float factor, snn_int8_layer *layer) {
  const snn_node *n = &net->nodes[layer->node];
  int32_t *fire = (int32_t *)(uintptr_t)layer->fire, *half = (int32_t *)(uintptr_t)layer->half_fire,
          *theta = (int32_t *)(uintptr_t)layer->theta;
  assert(layer->channels > 0); /* the graph refuses empty shapes */
  for (uint32_t lane = 0; lane < layer->lanes; lane++) {
    const uint32_t c = lane % layer->channels;
    fire[lane] = half[lane] = theta[lane] = UNUSED_LEVEL;
    if (!layer->fires || lane >= layer->unroll * layer->channels) continue;
    fire[lane] = even((double)threshold(n, n->neurons.fire, factor, c) / (double)layer->unit[c]);
    half[lane] = fire[lane] / 2;
    theta[lane] = even((double)threshold(n, n->neurons.theta, factor, c) / (double)layer->unit[c]);
  }
}

/* What follows from the units: thresholds, biases and the worth of what is added as it is. The arrays are the session's
 * own; the kernels and all else only read them. */
static void make_numbers(const snn_int8_scaled *s, const snn_network *net, snn_int8_layer *layer) {
  float *unit = (float *)(uintptr_t)layer->unit, *per_unit = (float *)(uintptr_t)layer->per_unit;
  int32_t *bias = (int32_t *)(uintptr_t)layer->bias;
  const float scale = scale_of(net, s->scales, layer);
  layer->fraction = fraction_of(&s->shares, layer->shared);
  layer->most_static = (float)(1 << STATIC_BITS);
  for (uint32_t c = 0; c < layer->channels; c++) unit[c] = ldexpf(layer->coarse[c] * scale, -(int)layer->fraction);
  for (uint32_t lane = 0; lane < layer->unroll * layer->channels; lane++) {
    const uint32_t c = lane % layer->channels;
    per_unit[lane] = 1.0f / unit[c];
    bias[lane] = (int32_t)rint((double)layer->exact_bias[c] / (double)unit[c]);
  }
  make_thresholds(net, s->scales[layer->fires ? layer->node : 0], layer);
  for (uint32_t t = 0; t < layer->n_terms; t++) {
    const snn_int8_term *term = &layer->terms[t];
    int32_t *amount = (int32_t *)(uintptr_t)term->amount;
    for (uint32_t lane = 0; term->worth && lane < layer->unroll * layer->channels; lane++) {
      const uint32_t c = lane % layer->channels;
      amount[lane] = (int32_t)rint((double)(term->worth[c] * s->scales[term->source]) / (double)unit[c]);
    }
  }
}

bool snn_int8_is_scaled_by(const snn_int8_scaled *s, const snn_network *net, const float *factors) {
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (s->factors[i] != (factors ? factors[i] : 1.0f)) return false;
  return true;
}

void snn_int8_scale(snn_int8_scaled *s, const snn_network *net, const float *factors) {
  if (snn_int8_is_scaled_by(s, net, factors)) return;
  for (uint32_t i = 0; i < net->n_nodes; i++) s->factors[i] = factors ? factors[i] : 1.0f;
  const size_t n = (size_t)net->n_nodes + 1;
  memset(s->shares.most, 0, n * sizeof *s->shares.most);
  memset(s->shares.theta_most, 0, n * sizeof *s->shares.theta_most);
  snn_status status = snn_int8_find_scales(net, s->model.kinds, s->factors, s->scales, NULL);
  if (status == SNN_OK) status = most_timesteps(&s->model, net, s->scales, &s->shares, &s->model.most_timesteps, NULL);
  assert(status == SNN_OK); /* the caller has asked */
  (void)status;
  for (uint32_t i = 0; i < s->model.n_stages; i++)
    if (s->model.layers[i].lanes) make_numbers(s, net, &s->model.layers[i]);
}

/* Arrays of a layer's own. */
static bool own(snn_arena *arena, snn_int8_layer *layer) {
  snn_int8_term *terms = snn_arena_alloc(arena, layer->n_terms, sizeof *terms);
  layer->unit = snn_arena_alloc(arena, layer->channels, sizeof *layer->unit);
  layer->per_unit = snn_arena_alloc(arena, layer->lanes, sizeof *layer->per_unit);
  layer->bias = snn_arena_alloc(arena, layer->lanes, sizeof *layer->bias);
  layer->fire = snn_arena_alloc(arena, layer->lanes, sizeof *layer->fire);
  layer->half_fire = snn_arena_alloc(arena, layer->lanes, sizeof *layer->half_fire);
  layer->theta = snn_arena_alloc(arena, layer->lanes, sizeof *layer->theta);
  if (!terms || !layer->unit || !layer->per_unit || !layer->bias || !layer->fire || !layer->half_fire || !layer->theta)
    return false;
  for (uint32_t t = 0; t < layer->n_terms; t++) {
    terms[t] = layer->terms[t];
    if (terms[t].worth && !(terms[t].amount = snn_arena_alloc(arena, layer->lanes, sizeof *terms[t].amount)))
      return false;
  }
  layer->terms = terms;
  return true;
}

snn_status snn_int8_scaled_create(const snn_int8_model *m, const snn_network *net, snn_int8_scaled *out,
                                  snn_error *err) {
  snn_int8_scaled s = {.model = *m};
  s.factors = snn_arena_alloc(&s.arena, net->n_nodes, sizeof *s.factors);
  s.scales = snn_arena_alloc(&s.arena, net->n_nodes, sizeof *s.scales);
  s.model.layers = snn_arena_alloc(&s.arena, m->n_stages, sizeof *s.model.layers);
  bool made = s.factors && s.scales && s.model.layers && make_shares(&s.arena, net->n_nodes, &s.shares);
  for (uint32_t i = 0; made && i < m->n_stages; i++) {
    s.model.layers[i] = m->layers[i];
    made = !m->layers[i].lanes || own(&s.arena, &s.model.layers[i]);
  }
  if (!made) {
    snn_arena_free(&s.arena);
    return snn_fail_memory(err, "a simulation session");
  }
  snn_int8_scale(&s, net, NULL); /* from factors of 0 */
  *out = s;
  return SNN_OK;
}

void snn_int8_scaled_free(snn_int8_scaled *s) {
  snn_arena_free(&s->arena);
  *s = (snn_int8_scaled){0};
}
