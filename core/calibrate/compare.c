/* How well spikes stand for activations, layer by layer. A group of pictures goes through an observer and through the
 * float network; sums run over the pictures in order, so the figures do not depend on the number of threads. */
#include <math.h>
#include <omp.h>
#include <stdlib.h>

#include "base/error.h"
#include "calibrate/observe.h"
#include "sim/initial.h"
#include "sim/reference.h"

enum { GROUP = 8, MAX_COMPARE_THREADS = 1024 };

/* What is added up of one layer. */
typedef struct layer_sums {
  double residual, squared_error, n;
} layer_sums;

typedef struct comparison {
  const snn_network *net;
  const snn_run_options *run;
  const snn_neuron_model *neuron;
  uint32_t threads;
  snn_reference reference;
  float *workspaces;       /* [GROUP][reference.elements] */
  snn_potentials *initial; /* [n_nodes] */
  float *weights_init;     /* [n_nodes] */
  snn_weights_scratch scratch;
  const float *factors; /* [n_nodes], of the thresholds; NULL: all 1 */
  layer_sums *sums;     /* [n_nodes] */
} comparison;

static bool is_cancelled(const comparison *c) {
  return c->run->cancel && atomic_load_explicit(c->run->cancel, memory_order_relaxed);
}

/* Where the run starts each layer, as a session would. */
static snn_status set_initial(comparison *c, snn_error *err) {
  static const float zero = 0.0f, half = 0.5f;
  const snn_run_options *run = c->run;
  snn_table_choice choice = {0};
  bool from_table = snn_init_needs_table(run->init);
  if (from_table && !snn_run_table(c->net, run, &choice))
    return snn_fail(err, SNN_ERR_ARGUMENT, "init", "'%s' needs a table and there is none", snn_init_name(run->init));
  if (from_table && !snn_calibration_fits(choice.calibration, c->net))
    return snn_fail(err, SNN_ERR_ARGUMENT, "calibration", "it was made for another network");
  const bool decides = from_table && snn_calibration_shifts(choice.calibration, choice.table);
  for (uint32_t i = 0; i < c->net->n_nodes; i++) {
    if (c->net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    if (from_table) {
      c->initial[i].values = snn_calibration_potentials(choice.calibration, choice.table, i, &c->initial[i].n);
      c->initial[i].shift =
          decides ? snn_calibration_layer_shifts(choice.calibration, choice.table, i) : run->shift == 1;
      continue;
    }
    if (run->init == SNN_INIT_WEIGHTS)
      c->weights_init[i] = snn_weights_potential(c->net, i, run->timesteps, &c->scratch);
    c->initial[i] = (snn_potentials){run->init == SNN_INIT_ZERO   ? &zero
                                     : run->init == SNN_INIT_HALF ? &half
                                                                  : &c->weights_init[i],
                                     1, run->shift == 1};
  }
  c->factors = from_table ? snn_calibration_factors(choice.calibration, choice.table) : NULL;
  return SNN_OK;
}

static void run_reference(const comparison *c, const float *images, size_t n) {
  size_t size = snn_shape_size(c->net->nodes[0].shape);
#pragma omp parallel for num_threads((int)c->threads) schedule(dynamic)
  for (size_t i = 0; i < n; i++)
    snn_reference_run(&c->reference, snn_kernels_get(), (snn_team){.size = 1, .courtesy = c->run->courtesy},
                      images + i * size, c->workspaces + i * c->reference.elements);
}

/* One layer of one group, whose records the observer has: spikes first, then what is left. */
static void add_layer(comparison *c, uint32_t node, const float *spikes, const float *left, size_t n) {
  const snn_neurons *neurons = &c->net->nodes[node].neurons;
  snn_shape shape = c->net->nodes[node].shape;
  size_t count = snn_shape_size(shape);
  const double factor = c->factors ? (double)c->factors[node] : 1;
  layer_sums *s = &c->sums[node];
  for (size_t i = 0; i < n; i++) {
    snn_stand_back(c->run->courtesy);
    const float *activation = c->workspaces + i * c->reference.elements + c->reference.offsets[node];
    for (size_t k = 0; k < count; k++) {
      float amplitude = neurons->amplitude[neurons->n == 1 ? 0 : k % shape.c];
      float wanted = activation[k] < amplitude ? activation[k] / amplitude : 1.0f;
      double error = (double)spikes[i * count + k] * factor / c->run->timesteps - (double)wanted;
      s->squared_error += error * error;
      if (left) s->residual += (double)left[i * count + k];
    }
  }
  s->n += (double)(n * count);
}

static snn_status compare_group(comparison *c, const float *images, size_t n, snn_error *err) {
  snn_observer *o = NULL;
  snn_observer_options options = {.neuron = c->neuron,
                                  .tau = c->run->tau,
                                  .timesteps = c->run->timesteps,
                                  .threads = c->threads,
                                  .cancel = c->run->cancel,
                                  .courtesy = c->run->courtesy};
  snn_status status = snn_observer_create(c->net, images, n, &options, &o, err);
  if (status != SNN_OK) return status;
  if (c->factors) snn_observer_scale(o, c->factors);
  run_reference(c, images, n);
  const snn_plan *plan = snn_observer_plan(o);
  for (uint32_t s = 0; status == SNN_OK && s < plan->n_stages; s++) {
    const snn_stage *stage = &plan->stages[s];
    const float *spikes = NULL, *left = NULL;
    status = snn_observer_prepare(o, s, err);
    if (status == SNN_OK && stage->sink == SNN_SINK_SPIKES) {
      status = snn_observer_run_both(o, c->initial[stage->node], &spikes, &left, err);
      if (status == SNN_OK && !is_cancelled(c)) add_layer(c, stage->node, spikes, left, n);
    }
    if (status == SNN_OK && is_cancelled(c)) status = snn_fail(err, SNN_ERR_CANCELLED, NULL, "it was cancelled");
  }
  snn_observer_free(o);
  return status;
}

static void describe_layer(const comparison *c, uint32_t node, snn_layer_match *out) {
  snn_potentials p = c->initial[node];
  const layer_sums *s = &c->sums[node];
  double sum = 0;
  out->potential_min = out->potential_max = p.values[0];
  for (size_t i = 0; i < p.n; i++) {
    sum += (double)p.values[i];
    if (p.values[i] < out->potential_min) out->potential_min = p.values[i];
    if (p.values[i] > out->potential_max) out->potential_max = p.values[i];
  }
  out->potential_mean = (float)(sum / (double)p.n);
  out->residual = s->residual / s->n;
  out->error = sqrt(s->squared_error / s->n);
}

snn_status snn_layers_match(const snn_network *net, const float *images, size_t n, const snn_run_options *run,
                            uint32_t threads, snn_layer_match *out, snn_error *err) {
  comparison c = {.net = net, .run = run, .neuron = snn_neuron_model_get(run->neuron), .threads = threads};
  size_t floats;
  if (!c.neuron) return snn_fail(err, SNN_ERR_ARGUMENT, "neuron", "value %d does not exist", (int)run->neuron);
  if (run->timesteps < 1 || run->timesteps > SNN_MAX_TIMESTEPS)
    return snn_fail(err, SNN_ERR_ARGUMENT, "timesteps", "%u is out of range", run->timesteps);
  if (n == 0) return snn_fail(err, SNN_ERR_ARGUMENT, "images", "there are no pictures");
  if (c.threads == 0) c.threads = snn_thread_budget();
  if (c.threads > MAX_COMPARE_THREADS) c.threads = MAX_COMPARE_THREADS;
  snn_status status = snn_reference_create(net, &c.reference, err);
  if (status != SNN_OK) return status;
  c.workspaces = snn_mul(GROUP, c.reference.elements, &floats) ? snn_alloc_pages(floats, sizeof *c.workspaces) : NULL;
  c.initial = snn_alloc_array(net->n_nodes, sizeof *c.initial);
  c.weights_init = snn_alloc_array(net->n_nodes, sizeof *c.weights_init);
  c.sums = snn_alloc_array(net->n_nodes, sizeof *c.sums);
  status = c.workspaces && c.initial && c.weights_init && c.sums ? snn_weights_scratch_create(net, &c.scratch, err)
                                                                 : snn_fail_memory(err, "a comparison");
  if (status == SNN_OK) status = set_initial(&c, err);
  size_t size = snn_shape_size(net->nodes[0].shape);
  for (size_t first = 0; status == SNN_OK && first < n; first += GROUP)
    status = compare_group(&c, images + first * size, n - first < GROUP ? n - first : GROUP, err);
  for (uint32_t i = 0; status == SNN_OK && i < net->n_nodes; i++) {
    out[i] = (snn_layer_match){0};
    if (net->nodes[i].kind == SNN_LAYER_NEURON) describe_layer(&c, i, &out[i]);
  }
  snn_weights_scratch_free(&c.scratch);
  free(c.sums);
  free(c.weights_init);
  free(c.initial);
  snn_free_pages(c.workspaces);
  snn_reference_free(&c.reference);
  return status;
}
