/* Sessions: lanes of memory, the OpenMP team, the options of a run. How an image goes through time is drive.c's, how a
 * step is computed an engine's.
 *
 * Invariant: all memory is allocated at creation; a run touches only its lanes. In a batch of at least as many images
 * as threads every thread simulates images of its own, in its own lanes: one after the other or, where the packed
 * weights exceed a core's cache, some side by side. A smaller batch runs image by image with the whole team in lane 0.
 */
#include "snn/calibrate.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/machine.h"
#include "graph/stored.h"
#include "sim/drive.h"
#include "sim/encode.h"
#include "sim/float_engine.h"
#include "sim/initial.h"
#include "sim/int8.h"
#include "sim/reference.h"
#include "sim/run_check.h"

enum { DEFAULT_CHUNK = 16, DEFAULT_INT8_CHUNK = 32, MAX_CHUNK = SNN_INT8_MOST_CHUNK, MAX_THREADS = 1024 };
enum { BEST_TOGETHER = 4 }; /* images, where weights come from beyond a core's cache */

/* What one image at a time runs in. */
typedef struct lane {
  char *memory;       /* plan.lane_bytes */
  char *int8_memory;  /* NULL where the network is none for int8 */
  float *reference;   /* reference.elements */
  uint64_t *counters; /* [5][nodes] of the image, then [5][SNN_STOP_CHUNK][nodes] of its last steps */
  snn_pace pace;
} lane;

struct snn_session {
  const snn_network *net;
  snn_plan plans[SNN_PLAN_KINDS][SNN_PLAN_INPUTS];
  snn_int8_sim int8; /* int8.model is NULL where the network is none for int8 */
  snn_reference reference;
  const snn_kernels *kernels;
  uint32_t threads;
  uint32_t together;       /* images that a thread may simulate side by side */
  snn_meeting meeting;     /* of all threads */
  lane *lanes;             /* [together][threads] */
  snn_potentials *initial; /* [n_nodes], of the current run */
  float *weights_init;     /* [n_nodes], the init `weights` for weights_timesteps; computed when that changes */
  uint32_t weights_timesteps;
  snn_weights_scratch weights_scratch;
  const snn_watch *watch; /* NULL: nobody looks */
};

/* Counters of n entries in memory [5][n] that begins at `from`. */
static snn_counters counters_at(uint64_t *from, size_t n) {
  return (snn_counters){.spikes = from,
                        .synaptic_operations = from + n,
                        .macs = from + 2 * n,
                        .first_spikes = (snn_first_spikes *)(void *)(from + 3 * n)};
}

static snn_status create_lane(const snn_session *s, lane *l, snn_error *err) {
  const size_t nodes = s->net->n_nodes;
  size_t bytes = 0;
  for (int k = 0; k < SNN_PLAN_KINDS; k++)
    for (int i = 0; i < SNN_PLAN_INPUTS; i++)
      if (s->plans[k][i].lane_bytes > bytes) bytes = s->plans[k][i].lane_bytes;
  l->memory = snn_alloc_pages(bytes, 1);
  if (s->int8.model && !(l->int8_memory = snn_alloc_pages(snn_int8_lane_bytes(&s->int8), 1)))
    return snn_fail_memory(err, "a simulation session");
  l->reference = snn_alloc_pages(s->reference.elements, sizeof *l->reference);
  l->counters = snn_alloc_array(5 * nodes * (1 + SNN_STOP_CHUNK), sizeof *l->counters);
  l->pace.row = snn_alloc_array(snn_network_classes(s->net), sizeof *l->pace.row);
  if (!l->memory || !l->reference || !l->counters || !l->pace.row) return snn_fail_memory(err, "a simulation session");
  l->pace.totals = counters_at(l->counters, nodes);
  l->pace.steps = counters_at(l->counters + 5 * nodes, SNN_STOP_CHUNK * nodes);
  return SNN_OK;
}

/* Packed weights beyond what a core's cache holds come from memory once for all images side by side. */
static uint32_t best_together(const snn_session *s) {
  return s->int8.model && s->int8.model->bytes / 2 > snn_core_cache() ? BEST_TOGETHER : 1; /* one form of two is read */
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
  if (o.together > SNN_MOST_TOGETHER)
    return snn_fail(err, SNN_ERR_ARGUMENT, "together", "%u is out of range; 1 to %d images are supported", o.together,
                    SNN_MOST_TOGETHER);
  snn_session *s = calloc(1, sizeof *s);
  if (!s) return snn_fail_memory(err, "a simulation session");
  s->net = net;
  s->kernels = snn_kernels_get();
  s->threads = o.threads ? o.threads : snn_thread_budget();
  snn_status status = SNN_OK;
  for (int k = 0; k < SNN_PLAN_KINDS; k++)
    for (int i = 0; status == SNN_OK && i < SNN_PLAN_INPUTS; i++)
      status = snn_plan_compile(net, (snn_plan_kind)k, (snn_plan_input)i, o.chunk ? o.chunk : DEFAULT_CHUNK,
                                &s->plans[k][i], err);
  if (status == SNN_OK) {
    snn_error why = {0};
    status = snn_int8_sim_create(net, &s->plans[SNN_PLAN_BINARY][SNN_PLAN_DIRECT], s->threads,
                                 o.chunk ? o.chunk : DEFAULT_INT8_CHUNK, &s->int8, &why);
    if (status == SNN_ERR_UNSUPPORTED)
      status = SNN_OK; /* a run that asks for int8 is told why */
    else if (status != SNN_OK && err)
      *err = why;
  }
  if (status == SNN_OK) status = snn_reference_create(net, &s->reference, err);
  if (status == SNN_OK) status = snn_weights_scratch_create(net, &s->weights_scratch, err);
  if (status == SNN_OK) {
    s->together = o.together ? o.together : best_together(s);
    s->lanes = calloc((size_t)s->together * s->threads, sizeof *s->lanes);
    s->meeting.shares = calloc(s->threads, sizeof *s->meeting.shares);
    s->initial = calloc(net->n_nodes, sizeof *s->initial);
    s->weights_init = calloc(net->n_nodes, sizeof *s->weights_init);
    if (!s->lanes || !s->meeting.shares || !s->initial || !s->weights_init)
      status = snn_fail_memory(err, "a simulation session");
  }
  for (uint32_t i = 0; status == SNN_OK && s->lanes && i < s->together * s->threads; i++)
    status = create_lane(s, &s->lanes[i], err);
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
  for (uint32_t i = 0; s->lanes && i < s->together * s->threads; i++) {
    snn_free_pages(s->lanes[i].memory);
    snn_free_pages(s->lanes[i].int8_memory);
    snn_free_pages(s->lanes[i].reference);
    free(s->lanes[i].counters);
    free(s->lanes[i].pace.row);
  }
  free(s->lanes);
  free(s->meeting.shares);
  free(s->initial);
  free(s->weights_init);
  snn_weights_scratch_free(&s->weights_scratch);
  snn_reference_free(&s->reference);
  snn_int8_sim_free(&s->int8);
  for (int k = 0; k < SNN_PLAN_KINDS; k++)
    for (int i = 0; i < SNN_PLAN_INPUTS; i++) snn_plan_free(&s->plans[k][i]);
  free(s);
}

void snn_session_watch(snn_session *s, const snn_watch *watch) {
  s->watch = watch;
}

uint32_t snn_session_threads(const snn_session *s) {
  return s->threads;
}

/* A session without an integer network is told the reason again. */
static snn_status check_int8(const snn_session *s, const snn_run_options *run, snn_error *err) {
  const snn_int8_model *model = s->int8.model;
  snn_error why = {0};
  if (s->watch) return snn_fail(err, SNN_ERR_ARGUMENT, "precision", "int8: a look into layers takes float32");
  snn_table_choice choice;
  const float *factors = snn_init_needs_table(run->init) && snn_run_table(s->net, run, &choice)
                             ? snn_calibration_factors(choice.calibration, choice.table)
                             : NULL;
  if (model && run->encoding == SNN_ENCODING_DIRECT && run->readout == SNN_READOUT_POTENTIAL &&
      run->timesteps <= model->most_timesteps && snn_int8_is_scaled_by(s->int8.scaled, s->net, factors))
    return SNN_OK; /* as the last run, which costs no memory */
  snn_status status = snn_int8_takes(s->net, run, &why);
  if (status == SNN_OK && !model) status = snn_int8_prepare(s->net, 1, &model, &why);
  if (status == SNN_OK) return SNN_OK;
  if (status == SNN_ERR_UNSUPPORTED) status = SNN_ERR_ARGUMENT;
  return snn_fail(err, status, "precision", "int8: %.90s%s%.200s", why.where, *why.where ? ": " : "", why.text);
}

/* The table's potentials, which must be this network's, its threshold factors and its shift. */
static snn_status from_table(snn_session *s, snn_run_options *run, const float **factors, snn_error *err) {
  const snn_network *net = s->net;
  snn_table_choice choice;
  if (!snn_run_table(net, run, &choice))
    return snn_fail(err, SNN_ERR_ARGUMENT, "init",
                    "'%s' needs a calibration with a table for neuron '%s'; there is none", snn_init_name(run->init),
                    snn_neuron_name(run->neuron));
  if (!snn_calibration_fits(choice.calibration, net))
    return snn_fail(err, SNN_ERR_ARGUMENT, "calibration", "it was made for another network");
  const bool decides = snn_calibration_shifts(choice.calibration, choice.table); /* it says which layers do */
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    if (net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    s->initial[i].values = snn_calibration_potentials(choice.calibration, choice.table, i, &s->initial[i].n);
    s->initial[i].shift = decides ? snn_calibration_layer_shifts(choice.calibration, choice.table, i) : run->shift == 1;
  }
  *factors = snn_calibration_factors(choice.calibration, choice.table);
  if (decides) run->shift = 1;
  return SNN_OK;
}

/* Fill s->initial; *factors of the thresholds are NULL where all are 1; the run's table may bring a shift along. */
static snn_status set_initial(snn_session *s, snn_run_options *run, const float **factors, snn_error *err) {
  static const float zero = 0.0f, half = 0.5f;
  if (snn_init_needs_table(run->init)) return from_table(s, run, factors, err);
  for (uint32_t i = 0; i < s->net->n_nodes; i++) {
    if (s->net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    if (run->init == SNN_INIT_WEIGHTS && s->weights_timesteps != run->timesteps)
      s->weights_init[i] = snn_weights_potential(s->net, i, run->timesteps, &s->weights_scratch);
    const float *value = run->init == SNN_INIT_ZERO ? &zero : run->init == SNN_INIT_HALF ? &half : &s->weights_init[i];
    s->initial[i] = (snn_potentials){value, 1, run->shift == 1};
  }
  if (run->init == SNN_INIT_WEIGHTS) s->weights_timesteps = run->timesteps;
  return SNN_OK;
}

static snn_status stopped_error(snn_status why, snn_error *err) {
  if (why == SNN_ERR_CANCELLED) return snn_fail(err, SNN_ERR_CANCELLED, NULL, "the run was cancelled");
  if (why == SNN_ERR_DEADLINE)
    return snn_fail(err, SNN_ERR_DEADLINE, NULL, "the deadline passed before the answer was ready");
  return SNN_OK;
}

/* What all images of a run share. */
typedef struct run_setup {
  const snn_session *session;
  const snn_run_options *options; /* with checkpoints set */
  const snn_neuron_model *neuron;
  const snn_plan *plan;
  uint64_t began_ns; /* with a budget */
} run_setup;

static snn_plan_kind plan_kind(const snn_neuron_model *neuron) {
  return neuron->whole_run ? SNN_PLAN_WHOLE_RUN : neuron->is_signed ? SNN_PLAN_SIGNED : SNN_PLAN_BINARY;
}

/* Simulate one image in float32; called by every member of the team. */
static snn_status run_float(const run_setup *run, lane *l, snn_team team, const snn_job *job) {
  const snn_session *s = run->session;
  const snn_plan *plan = run->plan;
  const snn_run_options *o = run->options;
  const bool whole_run = plan->kind == SNN_PLAN_WHOLE_RUN, counts_steps = snn_drive_counts_steps(o);
  const snn_watched watched = {(uint32_t)(l - s->lanes), job->index, plan, &s->reference, l->reference};
  snn_float_run engine = {.net = s->net,
                          .watch = s->watch,
                          .watched = &watched,
                          .stage = {.plan = plan,
                                    .kernels = s->kernels,
                                    .neuron = run->neuron,
                                    .counters = counts_steps ? l->pace.steps : l->pace.totals,
                                    .counts_steps = counts_steps,
                                    .memory = l->memory,
                                    .team = team,
                                    .timesteps = o->timesteps,
                                    .tau = o->tau,
                                    .shift = whole_run ? 0.5f : 0.5f / (float)o->timesteps,
                                    .initial = s->initial,
                                    .encoding = o->encoding,
                                    .image_seed = snn_encode_seed(o->seed, job->number),
                                    .counts_out = o->readout == SNN_READOUT_COUNT,
                                    .output_start = o->init == SNN_INIT_ZERO ? 0.0f : 0.5f}};
  if (!job->result.first_spikes) engine.stage.counters.first_spikes = NULL;
  const snn_drive drive = {.engine = &snn_engine_float,
                           .self = &engine,
                           .n_static = plan->n_static,
                           .n_stages = plan->n_stages,
                           .chunk = plan->chunk,
                           .whole_run = whole_run,
                           .n_nodes = s->net->n_nodes,
                           .n_classes = (uint32_t)snn_network_classes(s->net),
                           .options = o,
                           .team = team,
                           .pace = &l->pace,
                           .watch = s->watch,
                           .watched = &watched};
  if (s->watch) {
    snn_reference_run(&s->reference, s->kernels, team, job->image, l->reference);
    if (team.rank == 0) s->watch->begin(s->watch->context, &watched);
  }
  return snn_drive_images(&drive, job, 1);
}

static snn_int8_reset reset_of(snn_neuron neuron) {
  switch (neuron) {
    case SNN_NEURON_IF_HARD: return SNN_INT8_HARD;
    case SNN_NEURON_LIF: return SNN_INT8_LEAKY_HARD;
    case SNN_NEURON_LIF_SOFT: return SNN_INT8_LEAKY_SOFT;
    case SNN_NEURON_IF_SIGNED: return SNN_INT8_SIGNED;
    default: return SNN_INT8_SOFT;
  }
}

/* The same in int8 for n images side by side, in lanes `lanes`, `threads` apart; thread: whose scratch to work in. */
static snn_status run_int8(const run_setup *run, lane *lanes, snn_team team, size_t thread, const snn_job *jobs,
                           size_t n) {
  const snn_session *s = run->session;
  const snn_run_options *o = run->options;
  const bool counts_steps = snn_drive_counts_steps(o);
  snn_int8_layout layout = s->int8.layouts[plan_kind(run->neuron)];
  snn_int8_context engines[SNN_MOST_TOGETHER];
  snn_drive drives[SNN_MOST_TOGETHER];
  if (layout.chunk > o->timesteps) layout.chunk = o->timesteps; /* the steps of a position lie close together */
  for (size_t k = 0; k < n; k++) {
    lane *l = &lanes[k * s->threads];
    engines[k] = (snn_int8_context){.sim = &s->int8,
                                    .layout = &layout,
                                    .reset = reset_of(o->neuron),
                                    .tau = snn_int8_nearest(o->tau * (1 << SNN_TAU_BITS)),
                                    .half_level = run->neuron->level_share < 1,
                                    .constant = {.plan = s->int8.plan,
                                                 .kernels = s->kernels,
                                                 .neuron = run->neuron,
                                                 .counters = counts_steps ? l->pace.steps : l->pace.totals,
                                                 .counts_steps = counts_steps,
                                                 .memory = l->memory,
                                                 .team = team,
                                                 .timesteps = o->timesteps,
                                                 .initial = s->initial},
                                    .memory = l->int8_memory,
                                    .scratch = &s->int8.scratch[thread],
                                    .timesteps = o->timesteps};
    if (!jobs[k].result.first_spikes) engines[k].constant.counters.first_spikes = NULL;
    drives[k] = (snn_drive){.engine = &snn_engine_int8,
                            .self = &engines[k],
                            .n_static = s->int8.plan->n_static,
                            .n_stages = s->int8.plan->n_stages,
                            .chunk = layout.chunk,
                            .whole_run = layout.kind == SNN_PLAN_WHOLE_RUN,
                            .n_nodes = s->net->n_nodes,
                            .n_classes = (uint32_t)snn_network_classes(s->net),
                            .options = o,
                            .team = team,
                            .pace = &l->pace};
  }
  return snn_drive_images(drives, jobs, n);
}

/* Image i's share of the caller's arrays. */
static snn_job job_of(const run_setup *run, const float *images, size_t i, float *scores, const snn_run_stats *stats) {
  const snn_session *s = run->session;
  const snn_run_options *o = run->options;
  const size_t classes = snn_network_classes(s->net), counts = o->n_checkpoints * s->net->n_nodes;
  snn_job job = {.index = i,
                 .image = images + i * snn_shape_size(s->net->nodes[0].shape),
                 .number = o->image_numbers ? o->image_numbers[i] : (uint32_t)i,
                 .scores = scores + i * o->n_checkpoints * classes};
  if (!stats) return job;
  if (stats->spikes) job.result.spikes = stats->spikes + i * counts;
  if (stats->synaptic_operations) job.result.synaptic_operations = stats->synaptic_operations + i * counts;
  if (stats->macs) job.result.macs = stats->macs + i * counts;
  if (stats->first_spikes) job.result.first_spikes = stats->first_spikes + i * counts;
  if (stats->timesteps_used) job.timesteps_used = stats->timesteps_used + i;
  if (stats->step_scores) job.step_scores = stats->step_scores + i * o->timesteps * classes;
  return job;
}

/* The k-th of n images that a team simulates one after the other gets the k-th share of the budget, and what those
 * before it left over. */
static uint64_t out_of_time(const run_setup *run, size_t k, size_t n) {
  return run->options->budget_ns ? run->began_ns + run->options->budget_ns / n * (k + 1) : 0;
}

/* Images to simulate side by side next, of `left`: groups of nearly one size. A budget is for one image at a time. */
static size_t together(const run_setup *run, bool image_a_thread, size_t left) {
  const snn_run_options *o = run->options;
  const size_t most =
      image_a_thread && o->precision == SNN_PRECISION_INT8 && !o->budget_ns ? run->session->together : 1;
  const size_t groups = (left + most - 1) / most;
  return (left + groups - 1) / groups;
}

/* Check the options and bring the session into the state that they ask for; *run: the options in force. */
static snn_status set_up(snn_session *s, const snn_run_options *options, const snn_run_stats *stats,
                         snn_run_options *run, run_setup *setup, snn_error *err) {
  const float *factors = NULL;
  snn_status status = snn_run_check(s->net, options, stats, err);
  if (status == SNN_OK && options->precision == SNN_PRECISION_INT8) status = check_int8(s, options, err);
  *run = *options;
  if (status == SNN_OK) status = set_initial(s, run, &factors, err);
  if (status != SNN_OK) return status;
  if (!run->checkpoints) {
    run->checkpoints = &options->timesteps;
    run->n_checkpoints = 1;
  }
  if (run->precision == SNN_PRECISION_FLOAT32) snn_graph_want_floats(s->net, s->threads);
  if (run->precision == SNN_PRECISION_INT8) snn_int8_begin(&s->int8, run, factors, s->initial);
  const snn_neuron_model *neuron = snn_neuron_model_get(run->neuron);
  const snn_plan_input input = run->encoding == SNN_ENCODING_DIRECT ? SNN_PLAN_DIRECT : SNN_PLAN_ENCODED;
  snn_plan *plan = &s->plans[plan_kind(neuron)][input];
  if (run->precision == SNN_PRECISION_FLOAT32 && (factors || plan->is_scaled)) snn_plan_scale(plan, s->net, factors);
  *setup = (run_setup){
      .session = s, .options = run, .neuron = neuron, .plan = plan, .began_ns = run->budget_ns ? snn_clock_ns() : 0};
  return SNN_OK;
}

static snn_status simulate(const run_setup *run, lane *l, snn_team team, size_t thread, const snn_job *jobs, size_t n) {
  return run->options->precision == SNN_PRECISION_INT8 ? run_int8(run, l, team, thread, jobs, n)
                                                       : run_float(run, l, team, jobs);
}

snn_status snn_session_run(snn_session *s, const float *images, size_t batch, const snn_run_options *options,
                           float *scores, const snn_run_stats *stats, snn_error *err) {
  snn_run_options run;
  run_setup setup;
  snn_status status = set_up(s, options, stats, &run, &setup, err);
  if (status != SNN_OK) return status;
  const bool image_a_thread = batch >= s->threads;
  int stopped = SNN_OK; /* of any image; an int, for the atomic write below */
#pragma omp parallel num_threads((int)s->threads)
  {
    const size_t rank = (size_t)omp_get_thread_num(), size = (size_t)omp_get_num_threads();
    snn_team team = {.size = 1, .courtesy = run.courtesy};
    if (!image_a_thread) team = (snn_team){(uint32_t)rank, (uint32_t)size, &s->meeting, run.courtesy};
    const size_t first = image_a_thread ? rank : 0, stride = image_a_thread ? size : 1;
    const size_t mine = (batch - first + stride - 1) / stride; /* images of this team: every stride-th */
    lane *l = &s->lanes[first];
    snn_job jobs[SNN_MOST_TOGETHER];
    for (size_t k = 0, n; k < mine; k += n) {
      n = together(&setup, image_a_thread, mine - k);
      for (size_t j = 0; j < n; j++) {
        jobs[j] = job_of(&setup, images, first + (k + j) * stride, scores, stats);
        jobs[j].out_of_time_ns = out_of_time(&setup, k, mine);
      }
      snn_status ended = simulate(&setup, l, team, rank, jobs, n);
      if (ended != SNN_OK) {
#pragma omp atomic write
        stopped = (int)ended;
        break;
      }
    }
  }
  return stopped_error((snn_status)stopped, err);
}

/* A handful as jobs, with its own end. */
static snn_status simulate_handful(const run_setup *run, uint32_t thread, const snn_handful *h) {
  snn_job jobs[SNN_HANDFUL_MOST] = {0};
  snn_run_options options = *run->options;
  run_setup own = *run;
  options.cancel = h->cancel;
  options.deadline_ns = h->deadline_ns;
  own.options = &options;
  for (size_t k = 0; k < h->n; k++) {
    jobs[k] = job_of(&own, h->images[k].pixels, 0, h->images[k].scores, &h->images[k].stats);
    jobs[k].number = h->images[k].number;
  }
  const snn_team alone = {.size = 1, .courtesy = options.courtesy};
  return simulate(&own, &run->session->lanes[thread], alone, thread, jobs, h->n);
}

snn_status snn_session_feed(snn_session *s, const snn_feed *feed, const snn_run_options *options, snn_error *err) {
  snn_run_options run;
  run_setup setup;
  if (options->budget_ns) return snn_fail(err, SNN_ERR_ARGUMENT, "budget_ms", "images that are fed have none");
  snn_status status = set_up(s, options, NULL, &run, &setup, err);
  if (status != SNN_OK) return status;
  const size_t most = run.precision == SNN_PRECISION_INT8 ? s->together : 1;
#pragma omp parallel num_threads((int)s->threads)
  {
    const uint32_t thread = (uint32_t)omp_get_thread_num();
    snn_handful h;
    while (feed->take(feed->context, thread, most, &h))
      feed->ended(feed->context, thread, &h, simulate_handful(&setup, thread, &h));
  }
  return SNN_OK;
}

snn_status snn_session_reference(snn_session *s, const float *images, size_t batch, const snn_run_options *run,
                                 float *scores, snn_error *err) {
  static const snn_run_options patient = {0};
  const size_t pixels = snn_shape_size(s->net->nodes[0].shape), classes = snn_network_classes(s->net);
  const size_t last = s->reference.offsets[s->net->n_nodes - 1];
  const bool image_a_thread = batch >= s->threads;
  int stopped = SNN_OK;
  if (!run) run = &patient;
  snn_graph_want_floats(s->net, s->threads);
#pragma omp parallel num_threads((int)s->threads)
  {
    const uint32_t rank = (uint32_t)omp_get_thread_num(), size = (uint32_t)omp_get_num_threads();
    snn_team team = {.size = 1, .courtesy = run->courtesy};
    if (!image_a_thread) team = (snn_team){rank, size, &s->meeting, run->courtesy};
    lane *l = &s->lanes[image_a_thread ? rank : 0];
    uint32_t meeting = 0;
    snn_status ended = SNN_OK;
    for (size_t i = image_a_thread ? rank : 0; ended == SNN_OK && i < batch; i += image_a_thread ? size : 1) {
      for (uint32_t node = 0; ended == SNN_OK && node < s->net->n_nodes; node++) {
        snn_reference_node(&s->reference, s->kernels, team, node, images + i * pixels, l->reference);
        ended = snn_meet(&l->pace, team, run, &meeting);
      }
      if (ended == SNN_OK && team.rank == 0)
        memcpy(scores + i * classes, l->reference + last, classes * sizeof *scores);
      snn_team_barrier(team); /* the next image overwrites the workspace */
    }
    if (ended != SNN_OK) {
#pragma omp atomic write
      stopped = (int)ended;
    }
  }
  return stopped_error((snn_status)stopped, err);
}

snn_int8_sim *snn_session_int8(snn_session *s) {
  return &s->int8;
}
