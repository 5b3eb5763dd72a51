/* The driver. Invariants: what it returns does not depend on the chunk length, early stops included, since a stop is
 * decided step by step and what was counted behind it is dropped; a budget decides how many steps are run and nothing
 * else. Rank 0 decides, the others follow after a barrier. */
#include "sim/drive.h"

#include <math.h>
#include <string.h>

#include "sim/reference.h"

snn_status snn_should_stop(const snn_run_options *run) {
  if (run->cancel && atomic_load_explicit(run->cancel, memory_order_relaxed)) return SNN_ERR_CANCELLED;
  if (run->deadline_ns && snn_clock_ns() >= run->deadline_ns) return SNN_ERR_DEADLINE;
  return SNN_OK;
}

snn_status snn_meet(snn_pace *pace, snn_team team, const snn_run_options *run, uint32_t *meeting) {
  snn_status *slot = &pace->stops[(*meeting)++ % 2];
  if (team.rank == 0) *slot = snn_should_stop(run);
  snn_team_barrier(team);
  return *slot;
}

bool snn_drive_counts_steps(const snn_run_options *options) {
  return options->stop_patience > 0;
}

/* Scores and counters after `steps` steps, as checkpoint k. */
static void take_checkpoint(const snn_drive *d, const snn_job *job, size_t k, uint32_t steps, const float *scores) {
  const size_t classes = d->n_classes, nodes = d->n_nodes;
  memcpy(job->scores + k * classes, scores, classes * sizeof *scores);
  uint64_t *const to[] = {job->result.spikes, job->result.synaptic_operations, job->result.macs};
  const uint64_t *const from[] = {d->pace->totals.spikes, d->pace->totals.synaptic_operations, d->pace->totals.macs};
  for (int i = 0; i < 3; i++)
    if (to[i]) memcpy(to[i] + k * nodes, from[i], nodes * sizeof **to);
  if (job->result.first_spikes)
    memcpy(job->result.first_spikes + k * nodes, d->pace->totals.first_spikes,
           nodes * sizeof *job->result.first_spikes);
  if (d->watch) d->watch->checkpoint(d->watch->context, d->watched, k, steps, scores);
}

/* All counters of n nodes to 0; the arrays lie behind each other. */
static void clear(const snn_counters *c, size_t n) {
  memset(c->spikes, 0, 3 * n * sizeof *c->spikes);
  memset(c->first_spikes, 0, n * sizeof *c->first_spikes);
}

/* Rank 0's view of how far the image is. */
typedef struct progress {
  uint32_t done;       /* steps */
  size_t checkpoint;   /* the next one */
  size_t leader;       /* the top class of the last step */
  uint32_t led;        /* steps for which it has led by the margin */
  uint64_t started_ns; /* with a budget */
} progress;

/* How far ahead the best class's probability is of the second best one's, and which it is; -1 where a score is no
 * number. */
static double lead_of(const float *scores, size_t n, size_t *best) {
  double first = -INFINITY, second = -INFINITY, sum = 0;
  *best = 0;
  for (size_t i = 0; i < n; i++) {
    const double x = (double)scores[i];
    if (isnan(x)) return -1;
    if (x > first) {
      second = first;
      first = x;
      *best = i;
    } else if (x > second) {
      second = x;
    }
  }
  for (size_t i = 0; i < n; i++) sum += exp((double)scores[i] - first);
  return (1 - exp(second - first)) / sum;
}

/* May the image end at this step? */
static bool decided(const snn_run_options *o, const float *scores, size_t classes, progress *p) {
  size_t best;
  const bool leads = lead_of(scores, classes, &best) >= (double)o->stop_margin;
  p->led = !leads ? 0 : best == p->leader ? p->led + 1 : 1;
  p->leader = best;
  return p->led >= o->stop_patience;
}

/* One step's counters to the totals. */
static void add_step(const snn_drive *d, uint32_t k) {
  uint64_t *const to[] = {d->pace->totals.spikes, d->pace->totals.synaptic_operations, d->pace->totals.macs};
  const uint64_t *const from[] = {d->pace->steps.spikes, d->pace->steps.synaptic_operations, d->pace->steps.macs};
  for (int i = 0; i < 3; i++)
    for (uint32_t node = 0; node < d->n_nodes; node++) to[i][node] += from[i][(size_t)k * d->n_nodes + node];
  for (uint32_t node = 0; node < d->n_nodes; node++) {
    const snn_first_spikes *step = &d->pace->steps.first_spikes[(size_t)k * d->n_nodes + node];
    d->pace->totals.first_spikes[node].neurons += step->neurons;
    d->pace->totals.first_spikes[node].steps += step->steps;
  }
}

/* Steps that the rest of the budget pays for, going by what the steps so far took. */
static uint32_t affordable(const snn_job *job, const progress *p, uint32_t most) {
  if (!job->out_of_time_ns) return most;
  if (!p->done) return 1;
  const uint64_t now = snn_clock_ns();
  if (now >= job->out_of_time_ns) return 0;
  const double a_step = (double)(now - p->started_ns) / p->done, left = (double)(job->out_of_time_ns - now);
  return left >= a_step * most ? most : (uint32_t)(left / a_step);
}

/* Steps of the next chunk, 0: enough. */
static uint32_t next_chunk(const snn_drive *d, const snn_job *job, const progress *p) {
  if (p->done == d->options->timesteps) return 0;
  if (d->whole_run) return 1;
  uint32_t n =
      d->options->checkpoints[p->checkpoint] - p->done; /* chunks end at checkpoints: counters are exact there */
  if (n > d->chunk) n = d->chunk;
  if (snn_drive_counts_steps(d->options) && n > SNN_STOP_CHUNK) n = SNN_STOP_CHUNK;
  return affordable(job, p, n);
}

/* Take in a chunk of n steps and decide about the next one. */
static void look(const snn_drive *d, const snn_job *job, uint32_t n, progress *p) {
  const snn_run_options *o = d->options;
  const bool steps_count = snn_drive_counts_steps(o);
  float *row = d->pace->row;
  bool ended = false;
  for (uint32_t k = 0; k < n && !ended; k++) {
    p->done += d->whole_run ? o->timesteps : 1;
    if (steps_count) add_step(d, k);
    if (!steps_count && !job->step_scores && k + 1 < n) continue;
    d->engine->scores(d->self, k, p->done, row);
    if (job->step_scores)
      memcpy(job->step_scores + (size_t)(p->done - 1) * d->n_classes, row, d->n_classes * sizeof *row);
    ended = steps_count && decided(o, row, d->n_classes, p);
  }
  if (steps_count) clear(&d->pace->steps, (size_t)SNN_STOP_CHUNK * d->n_nodes);
  d->pace->next = ended ? 0 : next_chunk(d, job, p);
  if (d->pace->next && p->done < o->checkpoints[p->checkpoint]) return;
  take_checkpoint(d, job, p->checkpoint++, p->done, row);
  if (job->timesteps_used) *job->timesteps_used = p->done;
  if (!ended && p->checkpoint < o->n_checkpoints) d->pace->next = next_chunk(d, job, p);
}

/* Where an image is, as every member of the team knows it. */
typedef struct course {
  progress p;        /* rank 0's */
  uint32_t first, n; /* the next chunk; no steps: it has ended */
} course;

static void begin(const snn_drive *d, const snn_job *job, course *c) {
  *c = (course){0};
  c->n = next_chunk(d, job, &c->p);
  if (d->team.rank == 0) {
    clear(&d->pace->totals, d->n_nodes);
    clear(&d->pace->steps, (size_t)SNN_STOP_CHUNK * d->n_nodes);
    if (job->out_of_time_ns) c->p.started_ns = snn_clock_ns();
  }
  d->engine->begin(d->self, job);
}

/* One chunk of every image that has not ended, and what becomes of it. */
static snn_status run_chunk(const snn_drive *drives, const snn_job *jobs, course *c, size_t n, uint32_t *meeting) {
  const snn_drive *d = drives;
  for (uint32_t i = d->n_static; i < d->n_stages; i++) {
    for (size_t k = 0; k < n; k++)
      if (c[k].n) drives[k].engine->run_stage(drives[k].self, i, c[k].first, c[k].n);
    snn_status status = snn_meet(d->pace, d->team, d->options, meeting);
    if (status != SNN_OK) return status;
  }
  for (size_t k = 0; d->team.rank == 0 && k < n; k++)
    if (c[k].n) look(&drives[k], &jobs[k], c[k].n, &c[k].p);
  snn_team_barrier(d->team); /* nobody adds to the counters while they are read; `next` is known to all */
  for (size_t k = 0; k < n; k++) {
    c[k].first += c[k].n;
    if (c[k].n) c[k].n = drives[k].pace->next;
  }
  return SNN_OK;
}

static bool any_left(const course *c, size_t n) {
  for (size_t k = 0; k < n; k++)
    if (c[k].n) return true;
  return false;
}

snn_status snn_drive_images(const snn_drive *drives, const snn_job *jobs, size_t n) {
  const snn_drive *d = drives;
  course courses[SNN_MOST_TOGETHER];
  uint32_t meeting = 0;
  for (size_t k = 0; k < n; k++) begin(&drives[k], &jobs[k], &courses[k]);
  snn_status status = snn_meet(d->pace, d->team, d->options, &meeting);
  for (uint32_t i = 0; status == SNN_OK && i < d->n_static; i++) {
    for (size_t k = 0; k < n; k++) drives[k].engine->run_stage(drives[k].self, i, 0, 1);
    status = snn_meet(d->pace, d->team, d->options, &meeting);
  }
  while (status == SNN_OK && any_left(courses, n)) status = run_chunk(drives, jobs, courses, n, &meeting);
  return status;
}
