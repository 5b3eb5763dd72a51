/* Sessions: lanes of memory, the OpenMP team, chunks of time, checkpoints, cancellation.
 *
 * Invariant: all memory is allocated at creation; a run touches only its lanes. A batch of at least as many images as
 * threads runs an image a thread, each in its own lane; a smaller one runs image by image with the whole team in lane
 * 0. */
#include "snn/calibrate.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sim/first_spikes.h"
#include "sim/initial.h"
#include "sim/plan.h"
#include "sim/reference.h"
#include "sim/stage.h"

enum { DEFAULT_CHUNK = 16, MAX_CHUNK = 64, MAX_THREADS = 1024 };

/* What one image at a time runs in. */
typedef struct lane {
  char *memory;     /* plan.lane_bytes */
  float *reference; /* reference.elements */
  snn_counters counters;
  snn_first_spikes *first_spikes; /* [n_nodes] */
  snn_status stops[2]; /* set by rank 0 before barrier k in slot k % 2, read by all after it: two slots, so that it is
                        * never overwritten while a slow thread still reads */
} lane;

struct snn_session {
  const snn_network *net;
  snn_plan plans[SNN_PLAN_KINDS];
  snn_reference reference;
  const snn_kernels *kernels;
  uint32_t threads;
  lane *lanes;             /* [threads] */
  snn_potentials *initial; /* [n_nodes], of the current run */
  float *weights_init;     /* [n_nodes], the init `weights` for weights_timesteps; computed when that changes */
  uint32_t weights_timesteps;
  snn_weights_scratch weights_scratch;
};

static snn_status create_lane(const snn_session *s, lane *l, snn_error *err) {
  size_t bytes = 0;
  for (int k = 0; k < SNN_PLAN_KINDS; k++)
    if (s->plans[k].lane_bytes > bytes) bytes = s->plans[k].lane_bytes;
  l->memory = snn_alloc_array(bytes, 1);
  l->reference = snn_alloc_array(s->reference.elements, sizeof *l->reference);
  uint64_t *counters = snn_alloc_array((size_t)3 * s->net->n_nodes, sizeof *counters);
  l->counters = (snn_counters){.spikes = counters};
  l->first_spikes = snn_alloc_array(s->net->n_nodes, sizeof *l->first_spikes);
  if (!l->memory || !l->reference || !counters || !l->first_spikes) return snn_fail_memory(err, "a simulation session");
  l->counters.synaptic_operations = counters + s->net->n_nodes;
  l->counters.macs = counters + 2 * (size_t)s->net->n_nodes;
  return SNN_OK;
}

/* Let the team's threads start now, not inside the first request. */
static void start_team(uint32_t threads) {
  uint32_t started = 0;
#pragma omp parallel num_threads((int)threads) reduction(+ : started)
  started++;
  (void)started;
}

snn_status snn_session_create(const snn_network *net, const snn_session_options *opt, snn_session **out,
                              snn_error *err) {
  snn_session_options o = opt ? *opt : (snn_session_options){0};
  if (o.threads > MAX_THREADS)
    return snn_fail(err, SNN_ERR_ARGUMENT, "threads", "%u is out of range; at most %d are supported", o.threads,
                    MAX_THREADS);
  if (o.chunk > MAX_CHUNK)
    return snn_fail(err, SNN_ERR_ARGUMENT, "chunk", "%u is out of range; 1 to %d steps are supported", o.chunk,
                    MAX_CHUNK);
  snn_session *s = calloc(1, sizeof *s);
  if (!s) return snn_fail_memory(err, "a simulation session");
  s->net = net;
  s->kernels = snn_kernels_get();
  s->threads = o.threads ? o.threads : snn_thread_budget();
  snn_status status = SNN_OK;
  for (int k = 0; status == SNN_OK && k < SNN_PLAN_KINDS; k++)
    status = snn_plan_compile(net, (snn_plan_kind)k, o.chunk ? o.chunk : DEFAULT_CHUNK, &s->plans[k], err);
  if (status == SNN_OK) status = snn_reference_create(net, &s->reference, err);
  if (status == SNN_OK) status = snn_weights_scratch_create(net, &s->weights_scratch, err);
  if (status == SNN_OK) {
    s->lanes = calloc(s->threads, sizeof *s->lanes);
    s->initial = calloc(net->n_nodes, sizeof *s->initial);
    s->weights_init = calloc(net->n_nodes, sizeof *s->weights_init);
    if (!s->lanes || !s->initial || !s->weights_init) status = snn_fail_memory(err, "a simulation session");
  }
  for (uint32_t i = 0; status == SNN_OK && s->lanes && i < s->threads; i++) status = create_lane(s, &s->lanes[i], err);
  if (status != SNN_OK) {
    snn_session_free(s);
    return status;
  }
  start_team(s->threads);
  *out = s;
  return SNN_OK;
}

void snn_session_free(snn_session *s) {
  if (!s) return;
  for (uint32_t i = 0; s->lanes && i < s->threads; i++) {
    free(s->lanes[i].memory);
    free(s->lanes[i].reference);
    free(s->lanes[i].counters.spikes);
    free(s->lanes[i].first_spikes);
  }
  free(s->lanes);
  free(s->initial);
  free(s->weights_init);
  snn_weights_scratch_free(&s->weights_scratch);
  snn_reference_free(&s->reference);
  for (int k = 0; k < SNN_PLAN_KINDS; k++) snn_plan_free(&s->plans[k]);
  free(s);
}

uint32_t snn_session_threads(const snn_session *s) {
  return s->threads;
}

/* One image's share of the caller's arrays. */
typedef struct image_job {
  const float *image;             /* [c][h][w] */
  float *scores;                  /* [checkpoints][classes] */
  snn_counters result;            /* [checkpoints][nodes] each, entries may be NULL */
  snn_first_spikes *first_spikes; /* likewise; NULL: not counted */
} image_job;

static snn_status should_stop(const snn_run_options *run) {
  if (run->cancel && atomic_load_explicit(run->cancel, memory_order_relaxed)) return SNN_ERR_CANCELLED;
  if (run->deadline_ns && snn_clock_ns() >= run->deadline_ns) return SNN_ERR_DEADLINE;
  return SNN_OK;
}

/* Meet the team; rank 0 looks at the deadline and the cancellation flag. Returns the same status to all. */
static snn_status meet(lane *l, snn_team team, const snn_run_options *run, uint32_t *meeting) {
  snn_status *slot = &l->stops[(*meeting)++ % 2];
  if (team.rank == 0) *slot = should_stop(run);
  snn_team_barrier(team);
  return *slot;
}

/* Scores and counters after `steps` steps, written by rank 0. */
static void take_checkpoint(const snn_session *s, const snn_plan *plan, const lane *l, const image_job *job, size_t k,
                            uint32_t steps) {
  const snn_stage *readout = &plan->stages[plan->n_stages - 1];
  const double *sums = (const double *)(const void *)(l->memory + readout->state);
  size_t classes = readout->shape.c, nodes = s->net->n_nodes;
  for (size_t c = 0; c < classes; c++) job->scores[k * classes + c] = (float)(sums[c] / steps);
  uint64_t *const to[] = {job->result.spikes, job->result.synaptic_operations, job->result.macs};
  const uint64_t *const from[] = {l->counters.spikes, l->counters.synaptic_operations, l->counters.macs};
  for (int i = 0; i < 3; i++)
    if (to[i]) memcpy(to[i] + k * nodes, from[i], nodes * sizeof **to);
  if (job->first_spikes) memcpy(job->first_spikes + k * nodes, l->first_spikes, nodes * sizeof *l->first_spikes);
}

/* What all images of a run share. */
typedef struct run_setup {
  const snn_run_options *options; /* with checkpoints set */
  const snn_neuron_model *neuron;
  const snn_plan *plan;
} run_setup;

/* The image as the first edge: [h][w][c], for a whole-run plan the total over T. */
static void load_image(const snn_session *s, const run_setup *run, const lane *l, snn_team team, const float *image) {
  snn_shape shape = s->net->nodes[0].shape;
  float *map = (float *)(void *)(l->memory + run->plan->edges[0].offset);
  size_t begin, end;
  snn_channels_last(team, shape, image, map);
  if (run->plan->kind != SNN_PLAN_WHOLE_RUN) return;
  snn_team_share(team, (size_t)shape.h * shape.w, &begin, &end); /* the share of positions snn_channels_last wrote */
  for (size_t i = begin * shape.c; i < end * shape.c; i++) map[i] *= (float)run->options->timesteps;
}

/* Simulate one image; called by every member of the team. */
static snn_status run_image(const snn_session *s, lane *l, snn_team team, const run_setup *run, const image_job *job) {
  const snn_plan *plan = run->plan;
  const snn_run_options *options = run->options;
  const bool whole_run = plan->kind == SNN_PLAN_WHOLE_RUN;
  snn_stage_context ctx = {.plan = plan,
                           .kernels = s->kernels,
                           .neuron = run->neuron,
                           .counters = l->counters,
                           .memory = l->memory,
                           .team = team,
                           .timesteps = options->timesteps,
                           .tau = options->tau,
                           .initial = s->initial};
  if (options->shift) ctx.shift = whole_run ? 0.5f : 0.5f / (float)options->timesteps;
  uint32_t meeting = 0;
  snn_status status;
  if (team.rank == 0) memset(l->counters.spikes, 0, 3 * (size_t)s->net->n_nodes * sizeof(uint64_t));
  load_image(s, run, l, team, job->image);
  if (team.rank == 0) memset(l->first_spikes, 0, s->net->n_nodes * sizeof *l->first_spikes);
  for (uint32_t i = 0; i < plan->n_stages; i++) {
    snn_stage_reset(&ctx, &plan->stages[i]);
    if (job->first_spikes && plan->stages[i].sink == SNN_SINK_SPIKES) snn_first_spikes_reset(&ctx, &plan->stages[i]);
  }
  if ((status = meet(l, team, options, &meeting)) != SNN_OK) return status;
  for (uint32_t i = 0; i < plan->n_static; i++) {
    snn_stage_run(&ctx, &plan->stages[i], 1);
    if ((status = meet(l, team, options, &meeting)) != SNN_OK) return status;
  }
  uint32_t done = 0;
  for (size_t k = 0; k < options->n_checkpoints; k++) {
    while (done < options->checkpoints[k]) { /* chunks end at checkpoints, where counters are exact */
      uint32_t left = options->checkpoints[k] - done, steps = left < plan->chunk ? left : plan->chunk;
      for (uint32_t i = plan->n_static; i < plan->n_stages; i++) {
        const snn_stage *stage = &plan->stages[i];
        snn_stage_run(&ctx, stage, steps);
        if (job->first_spikes && stage->sink == SNN_SINK_SPIKES)
          snn_first_spikes_count(&ctx, stage, done, steps, &l->first_spikes[stage->node]);
        if ((status = meet(l, team, options, &meeting)) != SNN_OK) return status;
      }
      done += whole_run ? options->timesteps : steps;
    }
    if (team.rank == 0) take_checkpoint(s, plan, l, job, k, done);
    snn_team_barrier(team); /* nobody adds to the counters while they are copied */
  }
  return SNN_OK;
}

static snn_status check_options(const snn_run_options *run, snn_error *err) {
  if (run->timesteps < 1 || run->timesteps > SNN_MAX_TIMESTEPS)
    return snn_fail(err, SNN_ERR_ARGUMENT, "timesteps", "%u is out of range; 1 to %d", run->timesteps,
                    SNN_MAX_TIMESTEPS);
  const struct {
    const char *field;
    unsigned value, count;
  } choices[] = {{"neuron", run->neuron, SNN_NEURON_COUNT},
                 {"init", run->init, SNN_INIT_COUNT},
                 {"encoding", run->encoding, SNN_ENCODING_COUNT},
                 {"readout", run->readout, SNN_READOUT_COUNT},
                 {"precision", run->precision, SNN_PRECISION_COUNT}};
  for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
    if (choices[i].value >= choices[i].count)
      return snn_fail(err, SNN_ERR_ARGUMENT, choices[i].field, "value %u does not exist", choices[i].value);
  if (snn_neuron_model_get(run->neuron)->leaks && !(run->tau > 0 && run->tau <= 1))
    return snn_fail(err, SNN_ERR_ARGUMENT, "tau", "%g is out of range; above 0 and at most 1", (double)run->tau);
  if (run->shift > 1) return snn_fail(err, SNN_ERR_ARGUMENT, "shift", "%u is out of range; 0 or 1", run->shift);
  for (size_t k = 0; run->checkpoints && k < run->n_checkpoints; k++)
    if (run->checkpoints[k] <= (k ? run->checkpoints[k - 1] : 0))
      return snn_fail(err, SNN_ERR_ARGUMENT, "checkpoints", "they must be ascending, from 1");
  if (run->checkpoints && (!run->n_checkpoints || run->checkpoints[run->n_checkpoints - 1] != run->timesteps))
    return snn_fail(err, SNN_ERR_ARGUMENT, "checkpoints", "the last one must be %u, the timesteps", run->timesteps);
  if (run->checkpoints && run->n_checkpoints > 1 && snn_neuron_model_get(run->neuron)->whole_run)
    return snn_fail(err, SNN_ERR_ARGUMENT, "checkpoints",
                    "neuron %s runs all timesteps at once and has no steps between", snn_neuron_name(run->neuron));
  return SNN_OK;
}

/* The table's potentials, which must be this network's, and its threshold factors. */
static snn_status from_table(snn_session *s, const snn_run_options *run, const float **factors, snn_error *err) {
  const snn_network *net = s->net;
  snn_table_choice choice;
  if (!snn_run_table(net, run, &choice))
    return snn_fail(err, SNN_ERR_ARGUMENT, "init",
                    "'%s' needs a calibration with a table for neuron '%s'; there is none", snn_init_name(run->init),
                    snn_neuron_name(run->neuron));
  if (!snn_calibration_fits(choice.calibration, net))
    return snn_fail(err, SNN_ERR_ARGUMENT, "calibration", "it was made for another network");
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (net->nodes[i].kind == SNN_LAYER_NEURON)
      s->initial[i].values = snn_calibration_potentials(choice.calibration, choice.table, i, &s->initial[i].n);
  *factors = snn_calibration_factors(choice.calibration, choice.table);
  return SNN_OK;
}

/* Fill s->initial; *factors of the thresholds are NULL where all are 1. */
static snn_status set_initial(snn_session *s, const snn_run_options *run, const float **factors, snn_error *err) {
  static const float zero = 0.0f, half = 0.5f;
  if (snn_init_needs_table(run->init)) return from_table(s, run, factors, err);
  for (uint32_t i = 0; i < s->net->n_nodes; i++) {
    if (s->net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    if (run->init == SNN_INIT_WEIGHTS && s->weights_timesteps != run->timesteps)
      s->weights_init[i] = snn_weights_potential(s->net, i, run->timesteps, &s->weights_scratch);
    const float *value = run->init == SNN_INIT_ZERO ? &zero : run->init == SNN_INIT_HALF ? &half : &s->weights_init[i];
    s->initial[i] = (snn_potentials){value, 1};
  }
  if (run->init == SNN_INIT_WEIGHTS) s->weights_timesteps = run->timesteps;
  return SNN_OK;
}

snn_status snn_session_run(snn_session *s, const float *images, size_t batch, const snn_run_options *options,
                           float *scores, const snn_run_stats *stats, snn_error *err) {
  const float *factors = NULL;
  snn_status status = check_options(options, err);
  if (status == SNN_OK) status = set_initial(s, options, &factors, err);
  if (status != SNN_OK) return status;
  snn_run_options run = *options;
  if (!run.checkpoints) {
    run.checkpoints = &options->timesteps;
    run.n_checkpoints = 1;
  }
  const snn_neuron_model *neuron = snn_neuron_model_get(run.neuron);
  const snn_plan_kind kind = neuron->whole_run   ? SNN_PLAN_WHOLE_RUN
                             : neuron->is_signed ? SNN_PLAN_SIGNED
                                                 : SNN_PLAN_BINARY;
  if (factors || s->plans[kind].is_scaled) snn_plan_scale(&s->plans[kind], s->net, factors);
  const run_setup setup = {.options = &run, .neuron = neuron, .plan = &s->plans[kind]};
  const size_t pixels = snn_shape_size(s->net->nodes[0].shape), classes = snn_network_classes(s->net);
  const size_t counts = run.n_checkpoints * s->net->n_nodes;
  const bool image_a_thread = batch >= s->threads;
  int stopped = SNN_OK; /* of any image; an int, for the atomic write below */
#pragma omp parallel num_threads((int)s->threads)
  {
    const uint32_t rank = (uint32_t)omp_get_thread_num(), size = (uint32_t)omp_get_num_threads();
    const snn_team team = image_a_thread ? (snn_team){0, 1} : (snn_team){rank, size};
    lane *l = &s->lanes[image_a_thread ? rank : 0];
    for (size_t i = image_a_thread ? rank : 0; i < batch; i += image_a_thread ? size : 1) {
      image_job job = {.image = images + i * pixels, .scores = scores + i * run.n_checkpoints * classes};
      if (stats && stats->spikes) job.result.spikes = stats->spikes + i * counts;
      if (stats && stats->synaptic_operations) job.result.synaptic_operations = stats->synaptic_operations + i * counts;
      if (stats && stats->macs) job.result.macs = stats->macs + i * counts;
      if (stats && stats->first_spikes) job.first_spikes = stats->first_spikes + i * counts;
      snn_status ended = run_image(s, l, team, &setup, &job);
      if (ended != SNN_OK) {
#pragma omp atomic write
        stopped = (int)ended;
        break;
      }
    }
  }
  if (stopped == SNN_ERR_CANCELLED) return snn_fail(err, SNN_ERR_CANCELLED, NULL, "the run was cancelled");
  if (stopped == SNN_ERR_DEADLINE)
    return snn_fail(err, SNN_ERR_DEADLINE, NULL, "the deadline passed before the answer was ready");
  return SNN_OK;
}

snn_status snn_session_reference(snn_session *s, const float *images, size_t batch, float *scores, snn_error *err) {
  (void)err;
  const size_t pixels = snn_shape_size(s->net->nodes[0].shape), classes = snn_network_classes(s->net);
  const size_t last = s->reference.offsets[s->net->n_nodes - 1];
  const bool image_a_thread = batch >= s->threads;
#pragma omp parallel num_threads((int)s->threads)
  {
    const uint32_t rank = (uint32_t)omp_get_thread_num(), size = (uint32_t)omp_get_num_threads();
    const snn_team team = image_a_thread ? (snn_team){0, 1} : (snn_team){rank, size};
    lane *l = &s->lanes[image_a_thread ? rank : 0];
    for (size_t i = image_a_thread ? rank : 0; i < batch; i += image_a_thread ? size : 1) {
      snn_reference_run(&s->reference, s->kernels, team, images + i * pixels, l->reference);
      if (team.rank == 0) memcpy(scores + i * classes, l->reference + last, classes * sizeof *scores);
      snn_team_barrier(team); /* the next image overwrites the workspace */
    }
  }
  return SNN_OK;
}
