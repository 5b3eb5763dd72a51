/* Means of the float network's activations. Pictures run a thread each; then the threads share the neurons and add the
 * pictures in order, so the means do not depend on the number of threads. */
#include "calibrate/float_activations.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sim/reference.h"

enum { TILE = 256 }; /* neurons whose pictures are added up together: they lie side by side */

void snn_float_activations_free(const snn_network *net, snn_float_activations *f) {
  for (uint32_t i = 0; f->means && i < net->n_nodes; i++) free(f->means[i]);
  for (uint32_t i = 0; f->all && i < net->n_nodes; i++) snn_free_pages(f->all[i]);
  free(f->means);
  free(f->all);
  *f = (snn_float_activations){0};
}

static float clipped(const snn_neurons *neurons, size_t channel, float factor, float x) {
  float most = neurons->amplitude[neurons->n == 1 ? 0 : channel] * factor;
  return x < most ? x : most;
}

/* Add the pictures of one group, whose activations lie in `workspaces`, to the sums of this thread's share of every
 * layer. */
static void add_group(const snn_reference *r, const float *workspaces, size_t first, size_t group, snn_team team,
                      double **sums, float **all) {
  for (uint32_t node = 0; node < r->net->n_nodes; node++) {
    const snn_node *n = &r->net->nodes[node];
    size_t begin, end;
    if (!sums[node]) continue;
    snn_team_share(team, snn_shape_size(n->shape), &begin, &end);
    for (size_t i = 0; i < group; i++) {
      snn_stand_back(team.courtesy);
      const float *activation = workspaces + i * r->elements + r->offsets[node];
      if (all)
        memcpy(all[node] + (first + i) * snn_shape_size(n->shape) + begin, activation + begin,
               (end - begin) * sizeof **all);
      for (size_t k = begin; k < end; k++)
        sums[node][k] += (double)clipped(&n->neurons, k % n->shape.c, 1, activation[k]);
    }
  }
}

static void sum_all(const snn_reference *r, const float *images, size_t n, const snn_float_options *opt,
                    float *workspaces, double **sums, float **all) {
  const size_t size = snn_shape_size(r->net->nodes[0].shape), threads = opt->threads;
#pragma omp parallel num_threads((int)opt->threads)
  {
    const snn_team alone = {.size = 1, .courtesy = opt->courtesy};
    const snn_team team = {
        .rank = (uint32_t)omp_get_thread_num(), .size = (uint32_t)omp_get_num_threads(), .courtesy = opt->courtesy};
    for (size_t first = 0; first < n; first += threads) {
      size_t group = n - first < threads ? n - first : threads;
      for (size_t i = team.rank; i < group; i += team.size)
        if (!opt->cancel || !atomic_load_explicit(opt->cancel, memory_order_relaxed))
          snn_reference_run(r, snn_kernels_get(), alone, images + (first + i) * size, workspaces + i * r->elements);
#pragma omp barrier
      add_group(r, workspaces, first, group, team, sums, all);
#pragma omp barrier
    }
  }
}

snn_status snn_float_activations_create(const snn_network *net, const float *images, size_t n,
                                        const snn_float_options *opt, snn_float_activations *out, snn_error *err) {
  snn_reference r = {0};
  snn_status status = snn_reference_create(net, &r, err);
  if (status != SNN_OK) return status;
  size_t floats;
  float *workspaces = snn_mul(opt->threads, r.elements, &floats) ? snn_alloc_pages(floats, sizeof *workspaces) : NULL;
  double **sums = snn_alloc_array(net->n_nodes, sizeof *sums);
  snn_float_activations f = {.n = n, .opt = *opt, .means = snn_alloc_array(net->n_nodes, sizeof *f.means)};
  if (opt->keep_all) f.all = snn_alloc_array(net->n_nodes, sizeof *f.all);
  bool complete = workspaces && sums && f.means && (f.all || !opt->keep_all);
  for (uint32_t i = 0; complete && i < net->n_nodes; i++) {
    if (net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    size_t neurons = snn_shape_size(net->nodes[i].shape), maps = 0;
    sums[i] = snn_alloc_array(neurons, sizeof *sums[i]);
    f.means[i] = snn_alloc_array(neurons, sizeof *f.means[i]);
    complete = sums[i] && f.means[i] && snn_mul(neurons, n, &maps);
    if (complete && opt->keep_all) complete = (f.all[i] = snn_alloc_pages(maps, sizeof *f.all[i])) != NULL;
  }
  if (complete) {
    sum_all(&r, images, n, opt, workspaces, sums, f.all);
    for (uint32_t i = 0; i < net->n_nodes; i++)
      for (size_t k = 0; f.means[i] && k < snn_shape_size(net->nodes[i].shape); k++)
        f.means[i][k] = (float)(sums[i][k] / (double)n);
  } else {
    status = snn_fail_memory(
        err, opt->keep_all ? "the float network's activations; fewer pictures need less" : "the float network's means");
  }
  for (uint32_t i = 0; sums && i < net->n_nodes; i++) free(sums[i]);
  free(sums);
  snn_free_pages(workspaces);
  snn_reference_free(&r);
  if (status == SNN_OK)
    *out = f;
  else
    snn_float_activations_free(net, &f);
  return status;
}

void snn_float_activations_clip(const snn_network *net, const snn_float_activations *f, uint32_t node, float factor,
                                float *means) {
  const snn_node *n = &net->nodes[node];
  size_t neurons = snn_shape_size(n->shape);
#pragma omp parallel for num_threads((int)f->opt.threads) schedule(static)
  for (size_t begin = 0; begin < neurons; begin += TILE) {
    const size_t end = begin + TILE < neurons ? begin + TILE : neurons;
    double sums[TILE] = {0};
    snn_stand_back(f->opt.courtesy);
    for (size_t i = 0; i < f->n; i++)
      for (size_t k = begin; k < end; k++)
        sums[k - begin] += (double)clipped(&n->neurons, k % n->shape.c, factor, f->all[node][i * neurons + k]);
    for (size_t k = begin; k < end; k++) means[k] = (float)(sums[k - begin] / (double)f->n);
  }
}
