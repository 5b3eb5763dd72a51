/* Parity of a model file with its ONNX source. Three float networks see each picture: the file as it is imported, the
 * file after the rewriting passes, whose layers are those of the model, and the model. Maxima are what is kept, so the
 * order of pictures and threads does not matter. */
#include "snn/parity.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/passes.h"
#include "onnx/onnx.h"
#include "sim/reference.h"
#include "snn/session.h"

enum { IMPORTED, REWRITTEN, MODEL, NETWORKS };

typedef struct check {
  const snn_network *nets[NETWORKS];
  snn_reference references[NETWORKS];
  uint32_t threads;
  float **workspaces;    /* [threads * NETWORKS] */
  double *largest, *off; /* [layers of the model]: activation, difference */
  float *scores[NETWORKS];
} check;

/* Do two networks have the same layers, whatever their numbers are? */
static bool same_layers(const snn_network *a, const snn_network *b) {
  if (a->n_nodes != b->n_nodes) return false;
  for (uint32_t i = 0; i < a->n_nodes; i++) {
    const snn_node *x = &a->nodes[i], *y = &b->nodes[i];
    if (x->kind != y->kind || memcmp(&x->shape, &y->shape, sizeof x->shape) != 0 || x->n_inputs != y->n_inputs)
      return false;
    for (uint32_t k = 0; k < x->n_inputs; k++)
      if (x->inputs[k] != y->inputs[k]) return false;
  }
  return true;
}

static snn_status same_ends(const snn_network *onnx, const snn_network *model, snn_error *err) {
  const snn_shape a = onnx->nodes[0].shape, b = model->nodes[0].shape;
  const snn_shape x = onnx->nodes[onnx->n_nodes - 1].shape, y = model->nodes[model->n_nodes - 1].shape;
  if (a.c != b.c || a.h != b.h || a.w != b.w)
    return snn_fail(err, SNN_ERR_ARGUMENT, "input", "the ONNX file's is %ux%ux%u, the model's %ux%ux%u", a.c, a.h, a.w,
                    b.c, b.h, b.w);
  if (x.c != y.c || x.h != y.h || x.w != y.w)
    return snn_fail(err, SNN_ERR_ARGUMENT, "classes", "the ONNX file gives %u scores, the model %u", x.c, y.c);
  return SNN_OK;
}

static snn_status allocate(check *c, uint32_t layers, snn_error *err) {
  snn_status status = SNN_OK;
  for (int k = 0; status == SNN_OK && k < NETWORKS; k++)
    status = snn_reference_create(c->nets[k], &c->references[k], err);
  if (status != SNN_OK) return status;
  c->workspaces = snn_alloc_array((size_t)c->threads * NETWORKS, sizeof *c->workspaces);
  c->largest = snn_alloc_array(layers, sizeof *c->largest);
  c->off = snn_alloc_array(layers, sizeof *c->off);
  bool ok = c->workspaces && c->largest && c->off;
  for (size_t i = 0; ok && i < (size_t)c->threads * NETWORKS; i++)
    ok = (c->workspaces[i] = snn_alloc_array(c->references[i % NETWORKS].elements, sizeof(float))) != NULL;
  return ok ? SNN_OK : snn_fail_memory(err, "the float networks");
}

static void release(check *c) {
  for (size_t i = 0; c->workspaces && i < (size_t)c->threads * NETWORKS; i++) free(c->workspaces[i]);
  free(c->workspaces);
  free(c->largest);
  free(c->off);
  for (int k = 0; k < NETWORKS; k++) snn_reference_free(&c->references[k]);
}

/* The larger of a maximum so far and a value; NAN beats all. */
static double more(double most, double value) {
  return isnan(value) || value > most ? value : most;
}

static void compare_layer(check *c, uint32_t i, float *const workspaces[NETWORKS]) {
  const float *x = workspaces[REWRITTEN] + c->references[REWRITTEN].offsets[i];
  const float *y = workspaces[MODEL] + c->references[MODEL].offsets[i];
  double largest = 0, off = 0;
  for (size_t k = 0; k < snn_shape_size(c->nets[MODEL]->nodes[i].shape); k++) {
    largest = more(largest, fabs((double)x[k]));
    off = more(off, fabs((double)x[k] - (double)y[k]));
  }
#pragma omp critical
  {
    c->largest[i] = more(c->largest[i], largest);
    c->off[i] = more(c->off[i], off);
  }
}

static void run_pictures(check *c, const float *images, size_t n, bool layers) {
  const size_t pixels = snn_shape_size(c->nets[MODEL]->nodes[0].shape), classes = snn_network_classes(c->nets[MODEL]);
#pragma omp parallel for num_threads((int)c->threads) schedule(dynamic)
  for (size_t i = 0; i < n; i++) {
    float *const *workspaces = c->workspaces + (size_t)omp_get_thread_num() * NETWORKS;
    for (int k = 0; k < NETWORKS; k++) {
      snn_reference_run(&c->references[k], snn_kernels_get(), (snn_team){.size = 1}, images + i * pixels,
                        workspaces[k]);
      if (c->scores[k])
        memcpy(c->scores[k] + i * classes, workspaces[k] + c->references[k].offsets[c->nets[k]->n_nodes - 1],
               classes * sizeof(float));
    }
    for (uint32_t l = 0; layers && l < c->nets[MODEL]->n_nodes; l++) compare_layer(c, l, workspaces);
  }
}

snn_status snn_parity_check(const char *onnx_path, const snn_network *model, const float *images, size_t n,
                            double tolerance, uint32_t threads, float *onnx_scores, float *model_scores,
                            snn_parity *out, snn_error *err) {
  snn_network *imported = NULL, *rewritten = NULL;
  check c = {.threads = threads ? threads : snn_thread_budget(),
             .scores = {[IMPORTED] = onnx_scores, [MODEL] = model_scores}};
  snn_parity parity = {.layer = model->n_nodes};
  snn_status status = snn_onnx_import(onnx_path, &imported, err);
  if (status == SNN_OK) status = same_ends(imported, model, err);
  if (status == SNN_OK) status = snn_onnx_import(onnx_path, &rewritten, err);
  if (status == SNN_OK) status = snn_graph_rewrite(rewritten, err);
  if (status == SNN_OK) status = snn_graph_finish(rewritten, false, err);
  if (status != SNN_OK) goto cleanup;
  c.nets[IMPORTED] = imported;
  c.nets[REWRITTEN] = rewritten;
  c.nets[MODEL] = model;
  parity.comparable = same_layers(rewritten, model);
  status = allocate(&c, model->n_nodes, err);
  if (status != SNN_OK) goto cleanup;
  run_pictures(&c, images, n, parity.comparable);
  for (uint32_t i = 0; parity.comparable && i < model->n_nodes; i++) {
    double difference = c.off[i] > 0 ? c.off[i] / c.largest[i] : c.off[i];
    if (difference <= tolerance) continue;
    parity.layer = i;
    parity.difference = difference;
    break;
  }
  *out = parity;
cleanup:
  release(&c);
  snn_network_free(imported);
  snn_network_free(rewritten);
  return status;
}
