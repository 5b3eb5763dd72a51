/* The calibration methods. Each walks the stages in order and leaves one table of initial potentials for one T. What
 * the methods share, the running of pictures, is in observe.c. */
#include "snn/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "calibrate/float_activations.h"
#include "calibrate/meet.h"
#include "calibrate/observe.h"
#include "sim/initial.h"

/* Candidates for threshold factors, in steps of about a tenth. */
static const float ladder[] = {0.3f,  0.33f, 0.36f, 0.4f, 0.44f, 0.48f, 0.53f, 0.58f, 0.63f, 0.69f, 0.76f, 0.83f,
                               0.91f, 1,     1.1f,  1.2f, 1.32f, 1.45f, 1.6f,  1.75f, 1.9f,  2.1f,  2.3f};
enum { RUNGS = sizeof ladder / sizeof *ladder, RUNG_OF_ONE = 13 };

enum { DEFAULT_ROUNDS = 2, MAX_ROUNDS = 16, MAX_TABLES = 256, MAX_THREADS = 1024, PROGRESS_OF_TABLE = 1000 };

/* One table in the making. */
typedef struct maker {
  const snn_network *net;
  const snn_calibrate_options *opt;
  const snn_neuron_model *neuron;
  uint32_t timesteps;
  snn_calibration *calibration;
  snn_calibration_entry *entry;
  snn_observer *observer;
  snn_float_activations real; /* matched only */
  snn_observed *seen;         /* [neurons of the largest layer] */
  /* fitting thresholds */
  float *factors, *target; /* [n_nodes]; [neurons of the largest layer] */
  bool *meets;             /* [n_nodes] */
  uint32_t shared, rung;   /* of layers that meet; of the layer before, where the next one's search starts */
  bool shift;              /* of the layer being matched; the next one's search starts with it */
  bool is_trial;           /* this walk only tries `shared`, for all layers, and adds up their errors */
  double walked;           /* share of the table's work that is done, told as progress */
  double error;
  snn_weights_scratch scratch;
  snn_error *err;
} maker;

/* Values a layer has at the chosen granularity. */
static size_t grains(const maker *m, snn_shape shape) {
  if (m->opt->granularity == SNN_GRAIN_NEURON) return snn_shape_size(shape);
  return m->opt->granularity == SNN_GRAIN_CHANNEL ? shape.c : 1;
}

/* Sums and counts of the neurons of grain g of n. */
static snn_observed gather(const snn_observed *seen, snn_shape shape, size_t n, size_t g) {
  size_t neurons = snn_shape_size(shape), stride = n == 1 ? 1 : n; /* layer: all; channel: every c-th; neuron: itself */
  snn_observed all = {0};
  for (size_t k = g; k < neurons; k += stride) {
    all.sum += seen[k].sum;
    all.count += seen[k].count;
  }
  return all;
}

/* IC-SNN Algorithms 2 and 3: run from `start`, average what is left at T, add `extra`. */
static void from_residuals(maker *m, const snn_stage *stage, size_t n, float start, float extra, float *values) {
  snn_observer_run(m->observer, (snn_potentials){.values = &start, .n = 1}, SNN_OBSERVE_POTENTIAL, !m->opt->plain_mean,
                   m->seen);
  for (size_t g = 0; g < n; g++) {
    snn_observed left = gather(m->seen, stage->shape, n, g);
    values[g] = extra + (left.count ? (float)(left.sum / left.count) : 0.0f);
  }
}

/* Layer-wise matching: each spike that the mean run lacks of the mean float activation takes one theta more to start
 * with. */
static void match(maker *m, const snn_stage *stage, size_t n, uint32_t rounds, float *values) {
  const snn_neurons *neurons = &m->net->nodes[stage->node].neurons;
  const float *target = m->real.means[stage->node];
  const float factor = m->factors ? m->factors[stage->node] : 1.0f;
  size_t count = snn_shape_size(stage->shape);
  if (m->factors) {
    snn_float_activations_clip(m->net, &m->real, stage->node, factor, m->target);
    snn_observer_scale(m->observer, m->factors);
    target = m->target;
  }
  /* half way to firing, or to get there by the end */
  for (size_t g = 0; g < n; g++) values[g] = (m->neuron->level_share < 1 ? 0.0f : 0.5f) - (m->shift ? 0.5f : 0.0f);
  for (uint32_t round = 0; round <= rounds; round++) { /* the last run only leaves its spikes to the next layer */
    snn_observer_run(m->observer, (snn_potentials){values, n, m->shift}, SNN_OBSERVE_SPIKES, false, m->seen);
    if (round == rounds) break;
    for (size_t k = 0; k < count; k++) { /* from spikes to spikes that are missing */
      double amplitude = (double)(neurons->amplitude[neurons->n == 1 ? 0 : k % stage->shape.c] * factor);
      m->seen[k].sum = (double)m->timesteps * (double)target[k] / amplitude - m->seen[k].sum / m->seen[k].count;
      m->seen[k].count = 1;
    }
    for (size_t g = 0; g < n; g++) {
      snn_stand_back(m->opt->courtesy);
      snn_observed missing = gather(m->seen, stage->shape, n, g);
      values[g] += (float)(missing.sum / missing.count);
    }
  }
}

/* Squared error of the layer's last run against the float network, in units of the float activations' squares. */
static double error_of(const maker *m, const snn_stage *stage) {
  const snn_neurons *neurons = &m->net->nodes[stage->node].neurons;
  const float *real = m->real.all[stage->node], *spikes = snn_observer_records(m->observer);
  const float factor = m->factors ? m->factors[stage->node] : 1.0f;
  size_t count = snn_shape_size(stage->shape), channels = neurons->n == 1 ? 1 : stage->shape.c;
  double error = 0, energy = 0;
  for (size_t picture = 0; picture < m->real.n; picture++, real += count, spikes += count) {
    snn_stand_back(m->opt->courtesy);
    for (size_t i = 0; i < count; i++) {
      float amplitude = neurons->amplitude[channels == 1 ? 0 : i % channels] * factor;
      double a = (double)real[i], d = a - (double)(spikes[i] * amplitude) / m->timesteps;
      error += d * d;
      energy += a * a;
    }
  }
  return energy > 0 ? error / energy : 0;
}

static double error_after_one(maker *m, const snn_stage *stage, size_t n, float *values) {
  match(m, stage, n, 1, values);
  return error_of(m, stage);
}

/* The error with the factor of a rung, after one round of matching. */
static double try_rung(maker *m, const snn_stage *stage, size_t n, uint32_t rung, float *values) {
  m->factors[stage->node] = ladder[rung];
  return error_after_one(m, stage, n, values);
}

/* Downhill along the ladder from where the layer before ended, to where both neighbours are worse. */
static void fit(maker *m, const snn_stage *stage, size_t n, float *values) {
  double least = try_rung(m, stage, n, m->rung, values);
  const uint32_t start = m->rung;
  for (int step = -1; step <= 1; step += 2) {
    for (uint32_t next; (next = m->rung + (uint32_t)step) < RUNGS; m->rung = next) { /* below 0 wraps round */
      double error = try_rung(m, stage, n, next, values);
      if (!(error < least)) break;
      least = error;
    }
    if (m->rung != start) break; /* downwards was better, so upwards is not */
  }
  m->factors[stage->node] = ladder[m->rung];
}

/* Let the layer shift, or not, whichever errs less at the factor it has. Its error; the last run is the choice's. */
static double choose_shift(maker *m, const snn_stage *stage, size_t n, float *values) {
  m->shift = !m->shift;
  double other = error_after_one(m, stage, n, values);
  m->shift = !m->shift;
  double same = error_after_one(m, stage, n, values);
  if (!(other < same)) return same;
  m->shift = !m->shift;
  return error_after_one(m, stage, n, values);
}

static void match_layer(maker *m, const snn_stage *stage, size_t n, float *values) {
  const bool shares = m->is_trial || (m->factors && m->meets[stage->node]), before = m->shift;
  double error = 0;
  if (shares)
    m->factors[stage->node] = ladder[m->shared];
  else if (m->factors)
    fit(m, stage, n, values);
  if (m->opt->shift == SNN_SHIFT_FIT)
    error = choose_shift(m, stage, n, values);
  else if (m->is_trial)
    error = error_after_one(m, stage, n, values);
  m->error += error; /* which only trials look at */
  if (m->is_trial) return;
  if (m->shift != before && m->factors && !shares) fit(m, stage, n, values);
  match(m, stage, n, m->opt->rounds ? m->opt->rounds : DEFAULT_ROUNDS, values);
}

static snn_status make_layer(maker *m, uint32_t s) {
  const snn_stage *stage = &snn_observer_plan(m->observer)->stages[s];
  snn_status status = m->opt->method == SNN_INIT_WEIGHTS ? SNN_OK : snn_observer_prepare(m->observer, s, m->err);
  if (status != SNN_OK || stage->sink != SNN_SINK_SPIKES) return status;
  size_t n = m->opt->method == SNN_INIT_WEIGHTS ? 1 : grains(m, stage->shape);
  float *values = (float *)(uintptr_t)m->entry->layers[stage->node].values; /* of a trial, or none yet */
  if (!values) values = snn_arena_alloc(&m->calibration->arena, n, sizeof *values);
  if (!values) return snn_fail_memory(m->err, "a calibration table");
  const float compensation = 0.5f / (float)m->timesteps;
  switch (m->opt->method) {
    case SNN_INIT_WEIGHTS: values[0] = snn_weights_potential(m->net, stage->node, m->timesteps, &m->scratch); break;
    case SNN_INIT_DATA: from_residuals(m, stage, n, 0, 0, values); break;
    case SNN_INIT_COMPENSATED: from_residuals(m, stage, n, compensation, compensation, values); break;
    default: match_layer(m, stage, n, values); break;
  }
  m->entry->layers[stage->node] = (snn_potentials){values, n, m->shift};
  return SNN_OK;
}

static snn_status stopped(snn_error *err) {
  return snn_fail(err, SNN_ERR_CANCELLED, NULL, "calibration was cancelled");
}

static bool is_cancelled(const snn_calibrate_options *opt) {
  return opt->cancel && atomic_load_explicit(opt->cancel, memory_order_relaxed);
}

/* Of a table's work when `s` of so many stages of this walk are done. How many trials will come is not known: each
 * counts as a fifth of what is left, the walk that makes the table as the rest. */
static double share_done(const maker *m, uint32_t s, uint32_t stages) {
  return m->walked + (1 - m->walked) * (m->is_trial ? 0.2 : 1) * s / stages;
}

/* Carry all pictures through all layers once. */
static snn_status walk(maker *m, const float *images, size_t n, size_t index) {
  uint32_t threads = m->opt->threads ? m->opt->threads : snn_thread_budget();
  snn_observer_options o = {.neuron = m->neuron,
                            .tau = m->opt->tau,
                            .timesteps = m->timesteps,
                            .threads = threads,
                            .cancel = m->opt->cancel,
                            .courtesy = m->opt->courtesy};
  snn_status status = snn_observer_create(m->net, images, n, &o, &m->observer, m->err);
  if (status != SNN_OK) return status;
  m->shift = m->opt->shift != SNN_SHIFT_NONE;
  uint32_t stages = snn_observer_plan(m->observer)->n_stages;
  for (uint32_t s = 0; status == SNN_OK && s < stages; s++) {
    if (m->opt->progress &&
        !m->opt->progress(m->opt->progress_context, "calibrating",
                          index * PROGRESS_OF_TABLE + (size_t)(share_done(m, s, stages) * PROGRESS_OF_TABLE),
                          m->opt->n_timesteps * PROGRESS_OF_TABLE))
      status = stopped(m->err);
    else
      status = make_layer(m, s);
    if (status == SNN_OK && is_cancelled(m->opt)) status = stopped(m->err); /* the layer saw only some pictures */
  }
  m->walked = share_done(m, stages, stages);
  snn_observer_free(m->observer);
  m->observer = NULL;
  return status;
}

/* Find the rung of layers that meet, as fit() does for one layer, but with whole walks. */
static snn_status find_shared(maker *m, const float *images, size_t n, size_t index) {
  double least = INFINITY;
  const uint32_t start = m->shared;
  snn_status status = SNN_OK;
  m->is_trial = true;
  for (int step = 0; status == SNN_OK && step <= 2; step++) { /* where it is, down, up */
    bool better = true;
    for (uint32_t at = m->shared; status == SNN_OK && better; at = m->shared) {
      uint32_t next = step == 0 ? at : step == 1 ? at - 1 : at + 1;
      if (next >= RUNGS) break;
      m->error = 0;
      m->shared = next;
      status = walk(m, images, n, index);
      better = m->error < least;
      if (better)
        least = m->error;
      else
        m->shared = at;
      if (step == 0) break;
    }
    if (step == 1 && m->shared != start) break;
  }
  m->is_trial = false;
  return status;
}

static snn_status make_table(maker *m, const float *images, size_t n, size_t index) {
  bool shares = false;
  m->walked = 0;
  for (uint32_t i = 0; m->factors && i < m->net->n_nodes; i++) {
    m->factors[i] = 1;
    shares = shares || m->meets[i];
  }
  snn_status status = shares ? find_shared(m, images, n, index) : SNN_OK;
  if (status == SNN_OK) status = walk(m, images, n, index);
  if (status != SNN_OK || !m->factors) return status;
  float *factors = snn_arena_alloc(&m->calibration->arena, m->net->n_nodes, sizeof *factors);
  if (!factors) return snn_fail_memory(m->err, "a calibration table");
  memcpy(factors, m->factors, m->net->n_nodes * sizeof *factors);
  m->entry->factors = factors;
  return SNN_OK;
}

snn_status snn_calibrate_check(const snn_calibrate_options *opt, snn_error *err) {
  const snn_neuron_model *neuron = snn_neuron_model_get(opt->neuron);
  if (!neuron) return snn_fail(err, SNN_ERR_ARGUMENT, "neuron", "value %d does not exist", (int)opt->neuron);
  if (opt->method < SNN_INIT_WEIGHTS || opt->method >= SNN_INIT_COUNT)
    return snn_fail(err, SNN_ERR_ARGUMENT, "method", "it must be weights, data, compensated or matched");
  if (opt->method == SNN_INIT_MATCHED && !neuron->resets_exactly)
    return snn_fail(err, SNN_ERR_ARGUMENT, "method",
                    "matched needs neurons with soft reset and without leak, which %s is not", neuron->name);
  if (opt->method != SNN_INIT_MATCHED && opt->method != SNN_INIT_WEIGHTS && neuron->whole_run)
    return snn_fail(err, SNN_ERR_ARGUMENT, "method",
                    "%s keeps no potential to the end of the run; use matched or weights", neuron->name);
  if (neuron->leaks && !(opt->tau > 0 && opt->tau <= 1))
    return snn_fail(err, SNN_ERR_ARGUMENT, "tau", "%g is out of range; above 0 and at most 1", (double)opt->tau);
  if (opt->n_timesteps < 1 || opt->n_timesteps > MAX_TABLES)
    return snn_fail(err, SNN_ERR_ARGUMENT, "timesteps", "%zu values; 1 to %d would do", opt->n_timesteps, MAX_TABLES);
  for (size_t i = 0; i < opt->n_timesteps; i++) {
    uint32_t t = opt->timesteps[i];
    if (t < 1 || t > SNN_MAX_TIMESTEPS)
      return snn_fail(err, SNN_ERR_ARGUMENT, "timesteps", "%u is out of range; 1 to %d", t, SNN_MAX_TIMESTEPS);
    for (size_t k = 0; k < i; k++)
      if (opt->timesteps[k] == t) return snn_fail(err, SNN_ERR_ARGUMENT, "timesteps", "%u is listed twice", t);
  }
  if ((unsigned)opt->granularity > SNN_GRAIN_NEURON)
    return snn_fail(err, SNN_ERR_ARGUMENT, "granularity", "value %d does not exist", (int)opt->granularity);
  if (opt->threads > MAX_THREADS)
    return snn_fail(err, SNN_ERR_ARGUMENT, "threads", "%u is out of range; at most %d are supported", opt->threads,
                    MAX_THREADS);
  if (opt->rounds > MAX_ROUNDS)
    return snn_fail(err, SNN_ERR_ARGUMENT, "rounds", "%u is out of range; at most %d", opt->rounds, MAX_ROUNDS);
  if ((unsigned)opt->shift > SNN_SHIFT_FIT)
    return snn_fail(err, SNN_ERR_ARGUMENT, "shift", "value %d does not exist", (int)opt->shift);
  if (opt->shift && opt->method != SNN_INIT_MATCHED)
    return snn_fail(err, SNN_ERR_ARGUMENT, "shift", "tables of the method matched only bring a shift along");
  if (opt->fit_thresholds && opt->method != SNN_INIT_MATCHED)
    return snn_fail(err, SNN_ERR_ARGUMENT, "fit_thresholds", "thresholds are fitted with the method matched only");
  return SNN_OK;
}

snn_status snn_calibrate(const snn_network *net, const float *images, size_t n, const snn_calibrate_options *opt,
                         snn_calibration **out, snn_error *err) {
  snn_status status = snn_calibrate_check(opt, err);
  if (status != SNN_OK) return status;
  if (n == 0 && opt->method != SNN_INIT_WEIGHTS)
    return snn_fail(err, SNN_ERR_ARGUMENT, "images", "there are no pictures");
  uint32_t threads = opt->threads ? opt->threads : snn_thread_budget();
  size_t largest = 1;
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (snn_shape_size(net->nodes[i].shape) > largest) largest = snn_shape_size(net->nodes[i].shape);
  maker m = {.net = net,
             .opt = opt,
             .neuron = snn_neuron_model_get(opt->neuron),
             .shared = RUNG_OF_ONE,
             .rung = RUNG_OF_ONE,
             .err = err};
  m.calibration = snn_calibration_new(net, opt->n_timesteps);
  m.seen = snn_alloc_array(largest, sizeof *m.seen);
  status = m.calibration && m.seen ? snn_weights_scratch_create(net, &m.scratch, err)
                                   : snn_fail_memory(err, "a calibration");
  if (status == SNN_OK && opt->method == SNN_INIT_MATCHED)
    status = snn_float_activations_create(
        net, images, n,
        &(snn_float_options){.keep_all = opt->fit_thresholds || opt->shift == SNN_SHIFT_FIT,
                             .threads = threads,
                             .cancel = opt->cancel,
                             .courtesy = opt->courtesy},
        &m.real, err);
  if (status == SNN_OK && is_cancelled(opt)) status = stopped(err);
  if (status == SNN_OK && opt->fit_thresholds) {
    m.factors = snn_alloc_array(net->n_nodes, sizeof *m.factors);
    m.target = snn_alloc_array(largest, sizeof *m.target);
    m.meets = snn_alloc_array(net->n_nodes, sizeof *m.meets);
    status = m.factors && m.target && m.meets ? snn_layers_that_meet(net, m.meets, err)
                                              : snn_fail_memory(err, "threshold factors");
  }
  for (size_t k = 0; status == SNN_OK && m.calibration && k < opt->n_timesteps; k++) {
    m.timesteps = opt->timesteps[k];
    m.entry = &m.calibration->entries[k];
    m.entry->key = (snn_calibration_table){opt->neuron, opt->method, m.timesteps};
    status = make_table(&m, images, n, k);
  }
  if (status == SNN_OK && opt->progress) opt->progress(opt->progress_context, "calibrating", 1, 1);
  snn_float_activations_free(net, &m.real);
  free(m.factors);
  free(m.target);
  free(m.meets);
  snn_weights_scratch_free(&m.scratch);
  free(m.seen);
  if (status == SNN_OK)
    *out = m.calibration;
  else
    snn_calibration_free(m.calibration);
  return status;
}
