/* Probes. Invariant: what a picture gives is computed by one thread in one order and joined in the order of the
 * pictures, so answers do not depend on the team. Memory is that of a lane's spike counts and of one batch's sums. */
#include "snn/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "probe/moments.h"
#include "sim/watch.h"

/* What one entry gathers at one checkpoint. */
typedef struct gathered {
  snn_moments activations;
  double quantisation, rectified, decisions; /* sums of squares; neurons times steps in them */
  uint64_t spikes;
  snn_first_spikes first;
} gathered;

/* What a lane remembers of its image: arrays over the neurons of all layers, one layer behind the other. */
typedef struct memory {
  float *spikes;                    /* fired so far, taken-back ones subtracted */
  double *quantisation, *rectified; /* srif-mpr: sums over steps */
} memory;

struct snn_probe {
  const snn_network *net;
  snn_session *session;
  snn_run_options run;
  uint32_t *timesteps; /* [n_rows] */
  size_t n_rows, n_entries, neurons;
  size_t batch;      /* pictures of one call: one a thread */
  uint32_t *layers;  /* [n_entries]: nodes */
  size_t *offsets;   /* [n_nodes] into the arrays of a memory */
  uint32_t *numbers; /* [batch]: of the pictures of a call */
  memory *lanes;     /* [batch] */
  gathered *sums;    /* [n_rows][n_entries] */
  gathered *parts;   /* [batch][n_rows][n_entries]: of a call */
  float *scores;     /* [batch][n_rows][classes] */
  uint64_t *spikes;  /* [batch][n_rows][n_nodes] */
  snn_first_spikes *first_spikes;
  uint64_t pictures;
  size_t row; /* that checkpoint 0 of the run belongs to */
  bool rectifies;
  snn_watch watch;
};

static void begin(void *context, const snn_watched *w) {
  const snn_probe *p = context;
  const memory *m = &p->lanes[w->lane];
  memset(m->spikes, 0, p->neurons * sizeof *m->spikes);
  if (!p->rectifies) return;
  memset(m->quantisation, 0, p->neurons * sizeof *m->quantisation);
  memset(m->rectified, 0, p->neurons * sizeof *m->rectified);
}

static double square(double x) {
  return x * x;
}

/* The spikes of one position and block at one step, added to its neurons' counts. */
static void add_bits(const uint64_t *word, size_t minus, float *counts) {
  for (uint64_t bits = word[0]; bits; bits &= bits - 1) counts[__builtin_ctzll(bits)] += 1;
  for (uint64_t bits = minus ? word[minus] : 0; bits; bits &= bits - 1) counts[__builtin_ctzll(bits)] -= 1;
}

/* eq. 9 for n neurons after their one step: u = v + s, in units of theta, is what was presented to the threshold. */
static void add_quantisation(const float *v, const float *theta, uint64_t spikes, uint32_t n, double *quantisation,
                             double *rectified) {
  for (uint32_t i = 0; i < n; i++) {
    float s = (float)(spikes >> i & 1), u = v[i] / theta[i] + s;
    quantisation[i] += square((double)u - (double)s);
    rectified[i] += square((double)snn_mpr(u) - (double)s);
  }
}

static void ran(void *context, const snn_watched *w, const snn_stage_context *ctx, const snn_stage *stage,
                uint32_t n_steps) {
  const snn_probe *p = context;
  const snn_edge *e = &ctx->plan->edges[stage->node];
  const memory *m = &p->lanes[w->lane];
  const size_t first = p->offsets[stage->node], minus = ctx->plan->kind == SNN_PLAN_SIGNED ? e->step / 2 : 0;
  const char *edge = ctx->memory + e->offset;
  size_t begin_item, end;
  snn_team_share(ctx->team, (size_t)stage->shape.h * stage->shape.w * stage->blocks, &begin_item, &end);
  for (size_t item = begin_item; item < end; item++) {
    const uint32_t channel = (uint32_t)(item % stage->blocks) * SNN_BLOCK, left = stage->shape.c - channel;
    const uint32_t n = left < SNN_BLOCK ? left : SNN_BLOCK;
    const size_t element = item / stage->blocks * stage->shape.c + channel;
    float *counts = m->spikes + first + element;
    if (e->kind == SNN_EDGE_COUNTS) {
      memcpy(counts, (const float *)(const void *)edge + element, n * sizeof *counts);
      continue;
    }
    for (uint32_t t = 0; t < n_steps; t++) {
      const uint64_t *word = (const uint64_t *)(const void *)edge + e->step * t + item;
      add_bits(word, minus, counts);
      if (p->rectifies)
        add_quantisation((const float *)(const void *)(ctx->memory + stage->state) + element, stage->theta + channel,
                         *word, n, m->quantisation + first + element, m->rectified + first + element);
    }
  }
}

/* Moments of n pairs: x[i] times what a spike of its channel is worth (NULL: 1), and y[i]. */
static snn_moments moments_of(const float *x, const float *worth, uint32_t channels, double divisor, const float *y,
                              size_t n) {
  snn_moments m = {.n = (double)n};
  for (int pass = 0; pass < 2; pass++) { /* means first, then deviations from them */
    for (size_t i = 0; i < n; i++) {
      double a = (double)x[i] * (worth ? (double)worth[i % channels] : 1.0) / divisor, b = (double)y[i];
      if (pass == 0) {
        m.mean_x += a;
        m.mean_y += b;
        m.errors += square(a - b);
      } else {
        m.xx += square(a - m.mean_x);
        m.yy += square(b - m.mean_y);
        m.xy += (a - m.mean_x) * (b - m.mean_y);
      }
    }
    if (pass) break;
    m.mean_x /= (double)n;
    m.mean_y /= (double)n;
  }
  return m;
}

static void checkpoint(void *context, const snn_watched *w, size_t k, uint32_t steps, const float *scores) {
  const snn_probe *p = context;
  const memory *m = &p->lanes[w->lane];
  gathered *to = p->parts + (w->image * p->n_rows + p->row + k) * p->n_entries;
  for (size_t i = 0; i < p->n_entries; i++) {
    const uint32_t node = p->layers[i];
    const snn_shape shape = p->net->nodes[node].shape;
    const float *real = w->activations + w->reference->offsets[node];
    const size_t n = snn_shape_size(shape), first = p->offsets[node];
    to[i] = (gathered){0};
    if (i + 1 == p->n_entries) {
      to[i].activations = moments_of(scores, NULL, shape.c, 1, real, n);
      break;
    }
    to[i].activations = moments_of(m->spikes + first, w->plan->edges[node].amplitude, shape.c, steps, real, n);
    if (!p->rectifies) continue;
    to[i].decisions = (double)n * steps;
    for (size_t j = first; j < first + n; j++) {
      to[i].quantisation += m->quantisation[j];
      to[i].rectified += m->rectified[j];
    }
  }
}

static snn_status allocate(snn_probe *p, snn_error *err) {
  const size_t nodes = p->net->n_nodes, classes = snn_network_classes(p->net);
  size_t rows, cells, counts, scores;
  if (!snn_mul(p->batch, p->n_rows, &rows) || !snn_mul(rows, p->n_entries, &cells) || !snn_mul(rows, nodes, &counts) ||
      !snn_mul(rows, classes, &scores))
    return snn_fail_memory(err, "a probe");
  p->sums = snn_alloc_array(p->n_rows * p->n_entries, sizeof *p->sums);
  p->parts = snn_alloc_array(cells, sizeof *p->parts);
  p->scores = snn_alloc_array(scores, sizeof *p->scores);
  p->spikes = snn_alloc_array(counts, sizeof *p->spikes);
  p->first_spikes = snn_alloc_array(counts, sizeof *p->first_spikes);
  p->lanes = snn_alloc_array(p->batch, sizeof *p->lanes);
  p->numbers = snn_alloc_array(p->batch, sizeof *p->numbers);
  bool ok = p->sums && p->parts && p->scores && p->spikes && p->first_spikes && p->lanes && p->numbers;
  for (size_t i = 0; ok && i < p->batch; i++) {
    memory *m = &p->lanes[i];
    m->spikes = snn_alloc_array(p->neurons + 1, sizeof *m->spikes);
    ok = m->spikes != NULL;
    if (!p->rectifies) continue;
    m->quantisation = snn_alloc_array(p->neurons + 1, sizeof *m->quantisation);
    m->rectified = snn_alloc_array(p->neurons + 1, sizeof *m->rectified);
    ok = ok && m->quantisation && m->rectified;
  }
  return ok ? SNN_OK : snn_fail_memory(err, "a probe");
}

/* The nodes to look at, and where their neurons lie. */
static snn_status list_layers(snn_probe *p, snn_error *err) {
  const snn_network *net = p->net;
  p->layers = snn_alloc_array((size_t)net->n_nodes + 1, sizeof *p->layers);
  p->offsets = snn_alloc_array(net->n_nodes, sizeof *p->offsets);
  if (!p->layers || !p->offsets) return snn_fail_memory(err, "a probe");
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    p->offsets[i] = p->neurons;
    if (net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    p->layers[p->n_entries++] = i;
    p->neurons += snn_shape_size(net->nodes[i].shape); /* at most 4096 layers of 2^28: no overflow */
  }
  p->layers[p->n_entries++] = net->n_nodes - 1;
  return SNN_OK;
}

snn_status snn_probe_create(const snn_network *net, const snn_session_options *opt, const snn_run_options *run,
                            snn_probe **out, snn_error *err) {
  snn_session_options session = opt ? *opt : (snn_session_options){0};
  snn_probe *p = calloc(1, sizeof *p);
  if (!p) return snn_fail_memory(err, "a probe");
  p->net = net;
  p->run = *run;
  p->run.stop_patience = 0; /* every picture counts for all of T */
  p->run.budget_ns = 0;
  p->rectifies = run->neuron == SNN_NEURON_SRIF_MPR;
  if (p->rectifies) session.chunk = 1; /* so that every step's potentials are seen */
  snn_status status = snn_session_create(net, &session, &p->session, err);
  if (status == SNN_OK) {
    p->batch = snn_session_threads(p->session);
    p->n_rows = run->checkpoints ? run->n_checkpoints : 1;
    p->timesteps = snn_alloc_array(p->n_rows + 1, sizeof *p->timesteps);
    if (!p->timesteps) status = snn_fail_memory(err, "a probe");
  }
  if (status == SNN_OK) {
    memcpy(p->timesteps, run->checkpoints ? run->checkpoints : &run->timesteps, p->n_rows * sizeof *p->timesteps);
    p->run.checkpoints = p->timesteps;
    p->run.n_checkpoints = p->n_rows;
    status = list_layers(p, err);
  }
  if (status == SNN_OK) status = allocate(p, err);
  if (status != SNN_OK) {
    snn_probe_free(p);
    return status;
  }
  p->watch = (snn_watch){p, begin, ran, checkpoint};
  snn_session_watch(p->session, &p->watch);
  *out = p;
  return SNN_OK;
}

void snn_probe_free(snn_probe *p) {
  if (!p) return;
  for (size_t i = 0; p->lanes && i < p->batch; i++) {
    free(p->lanes[i].spikes);
    free(p->lanes[i].quantisation);
    free(p->lanes[i].rectified);
  }
  free(p->lanes);
  free(p->timesteps);
  free(p->numbers);
  free(p->layers);
  free(p->offsets);
  free(p->sums);
  free(p->parts);
  free(p->scores);
  free(p->spikes);
  free(p->first_spikes);
  snn_session_free(p->session);
  free(p);
}

/* Join what a run left for n pictures at `rows` checkpoints from p->row on. */
static void join(snn_probe *p, size_t n, size_t rows) {
  const size_t nodes = p->net->n_nodes;
  for (size_t image = 0; image < n; image++)
    for (size_t k = 0; k < rows; k++)
      for (size_t i = 0; i < p->n_entries; i++) {
        const size_t row = p->row + k, count = (image * rows + k) * nodes + p->layers[i];
        const gathered *part = &p->parts[(image * p->n_rows + row) * p->n_entries + i];
        gathered *sum = &p->sums[row * p->n_entries + i];
        sum->activations = snn_moments_join(&sum->activations, &part->activations);
        sum->quantisation += part->quantisation;
        sum->rectified += part->rectified;
        sum->decisions += part->decisions;
        sum->spikes += p->spikes[count];
        sum->first.neurons += p->first_spikes[count].neurons;
        sum->first.steps += p->first_spikes[count].steps;
      }
}

/* Run n <= batch pictures. */
static snn_status run_batch(snn_probe *p, const float *images, const uint32_t *numbers, size_t n, snn_error *err) {
  const bool cumulative = snn_run_is_cumulative(&p->run);
  const snn_run_stats stats = {.spikes = p->spikes, .first_spikes = p->first_spikes};
  const size_t rows = cumulative ? p->n_rows : 1;
  for (p->row = 0; p->row < p->n_rows; p->row += rows) {
    snn_run_options run = p->run;
    run.image_numbers = numbers;
    if (!cumulative) {
      run.timesteps = p->timesteps[p->row];
      run.checkpoints = NULL;
    }
    snn_status status = snn_session_run(p->session, images, n, &run, p->scores, &stats, err);
    if (status != SNN_OK) return status;
    join(p, n, rows);
  }
  return SNN_OK;
}

snn_status snn_probe_run(snn_probe *p, const float *images, const uint32_t *numbers, size_t n, snn_error *err) {
  const size_t pixels = snn_shape_size(snn_network_input(p->net));
  for (size_t done = 0; done < n;) {
    const size_t some = n - done < p->batch ? n - done : p->batch;
    for (size_t i = 0; i < some; i++) p->numbers[i] = numbers ? numbers[done + i] : (uint32_t)p->pictures + (uint32_t)i;
    snn_status status = run_batch(p, images + done * pixels, p->numbers, some, err);
    if (status != SNN_OK) return status;
    done += some;
    p->pictures += some;
  }
  return SNN_OK;
}

size_t snn_probe_entries(const snn_probe *p) {
  return p->n_entries;
}

snn_probed snn_probe_read(const snn_probe *p, size_t row, size_t entry) {
  const gathered *g = &p->sums[row * p->n_entries + entry];
  const snn_moments *m = &g->activations;
  const double neurons = m->n, steps = p->timesteps[row];
  snn_probed out = {.layer = p->layers[entry],
                    .is_readout = entry + 1 == p->n_entries,
                    .timesteps = p->timesteps[row],
                    .pictures = p->pictures,
                    .correlation = snn_moments_correlation(m),
                    .mean_error = snn_moments_mean_error(m),
                    .rms_error = snn_moments_rms_error(m),
                    .float_rms = snn_moments_rms_y(m),
                    .rate = NAN,
                    .first_spike = NAN,
                    .silent = NAN,
                    .quantisation = NAN,
                    .rectified = NAN};
  if (out.is_readout || neurons == 0) return out;
  out.rate = (double)g->spikes / neurons / steps;
  if (g->first.steps > 0) out.first_spike = (double)g->first.steps / (double)g->first.neurons;
  out.silent = 1 - (double)g->first.neurons / neurons;
  if (g->decisions > 0) {
    out.quantisation = g->quantisation / g->decisions;
    out.rectified = g->rectified / g->decisions;
  }
  return out;
}
