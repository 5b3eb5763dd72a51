/* Graph rewriting. Invariant: after every pass inputs still precede their readers. Passes edit nodes in place and leave
 * holes (nodes nobody reads); the last step rebuilds the list through snn_graph_add, so the result has passed the same
 * gate as any other graph. */
#include "graph/passes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* Inputs lie in the network's own arena, made by snn_graph_add; passes may rewire them. */
static uint32_t *wires(const snn_node *n) {
  return (uint32_t *)(uintptr_t)n->inputs;
}

static bool is_affine(const snn_network *net, const snn_node *n) {
  if (n->kind != SNN_LAYER_CONV || n->conv.groups != n->shape.c) return false;
  snn_shape in = net->nodes[n->inputs[0]].shape;
  const snn_window *w = &n->conv.window;
  return in.c == n->shape.c && w->kernel_h == 1 && w->kernel_w == 1 && w->stride_h == 1 && w->stride_w == 1 &&
         !(w->pad_top | w->pad_left | w->pad_bottom | w->pad_right);
}

static size_t weight_count(const snn_network *net, const snn_node *n) {
  const snn_window *w = &n->conv.window;
  return (size_t)w->kernel_h * w->kernel_w * (net->nodes[n->inputs[0]].shape.c / n->conv.groups) * n->shape.c;
}

/* conv(x) * a + b: the same convolution with scaled weights. The products are rounded once, from double. */
static snn_status fold_affines(snn_network *net, snn_error *err) {
  for (uint32_t i = 1; i < net->n_nodes; i++) {
    snn_node *affine = &net->nodes[i], *conv = &net->nodes[affine->inputs[0]];
    if (!is_affine(net, affine) || conv->kind != SNN_LAYER_CONV || conv->n_readers != 1) continue;
    size_t n_weights = weight_count(net, conv), channels = conv->shape.c;
    float *weights = snn_arena_alloc(&net->arena, n_weights, sizeof *weights);
    float *bias = snn_arena_alloc(&net->arena, channels, sizeof *bias);
    if (!weights || !bias) return snn_fail_memory(err, "folded weights");
    for (size_t k = 0; k < n_weights; k++)
      weights[k] = (float)((double)conv->conv.weights[k] * (double)affine->conv.weights[k % channels]);
    for (size_t c = 0; c < channels; c++)
      bias[c] = (float)((double)conv->conv.bias[c] * (double)affine->conv.weights[c] + (double)affine->conv.bias[c]);
    /* The affine's place becomes the folded convolution; the old one is left without readers. */
    affine->inputs = conv->inputs;
    affine->name = conv->name;
    affine->conv = conv->conv;
    affine->conv.weights = weights;
    affine->conv.bias = bias;
    conv->n_inputs = 0;
  }
  return SNN_OK;
}

/* relu then maxpool becomes maxpool then relu, in the same two places of the list. */
static void pool_before_neurons(snn_network *net) {
  for (uint32_t i = 1; i < net->n_nodes; i++) {
    snn_node *pool = &net->nodes[i];
    if (pool->kind != SNN_LAYER_MAXPOOL) continue;
    uint32_t source = pool->inputs[0];
    snn_node *neurons = &net->nodes[source];
    if (neurons->kind != SNN_LAYER_NEURON || neurons->n_readers != 1) continue;
    snn_node was_pool = *pool, was_neurons = *neurons;
    *neurons = was_pool; /* earlier place: reads what the neurons read */
    neurons->inputs = was_neurons.inputs;
    *pool = was_neurons; /* later place: reads the earlier one, as the pool did */
    pool->inputs = was_pool.inputs;
    pool->shape = was_pool.shape;
    neurons->n_readers = 1;
    pool->n_readers = was_pool.n_readers;
  }
}

/* The name of what drives neurons: the convolution or addition behind any pools. */
static const char *driver_name(const snn_network *net, const snn_node *neurons) {
  const snn_node *nodes = net->nodes; /* not empty: inputs precede their readers */
  uint32_t i = neurons->inputs[0];
  while (nodes && (nodes[i].kind == SNN_LAYER_AVGPOOL || nodes[i].kind == SNN_LAYER_MAXPOOL)) i = nodes[i].inputs[0];
  return nodes ? nodes[i].name : neurons->name;
}

static bool neurons_named(const snn_network *net, const char *name) {
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (net->nodes[i].kind == SNN_LAYER_NEURON && strcmp(net->nodes[i].name, name) == 0) return true;
  return false;
}

/* A name for neurons that no neurons so far have: their driver's, else their own, else the driver's with a number.
 * Writes only the last into buf. */
static const char *neurons_name(const snn_network *net, const snn_node *neurons, char buf[SNN_MAX_NAME]) {
  const char *driver = driver_name(net, neurons);
  if (!neurons_named(net, driver)) return driver;
  if (!neurons_named(net, neurons->name)) return neurons->name;
  for (uint32_t k = 2;; k++) { /* at most SNN_MAX_NODES names are taken */
    snprintf(buf, SNN_MAX_NAME, "%.240s_%u", driver, k);
    if (!neurons_named(net, buf)) return buf;
  }
}

/* Rebuild the list with only what leads to the last node. Neurons are named after what drives them, where that is free:
 * folding has removed layers an importer may have named them after. */
static snn_status drop_dead(snn_network *net, snn_error *err) {
  uint32_t n = net->n_nodes;
  snn_node *old = net->nodes;
  uint32_t *place = snn_alloc_array(n, sizeof *place);
  bool *alive = snn_alloc_array(n, sizeof *alive);
  snn_status status = SNN_OK;
  if (!place || !alive) {
    status = snn_fail_memory(err, "graph rewriting");
    goto cleanup;
  }
  alive[0] = alive[n - 1] = true;
  for (uint32_t i = n; i-- > 0;)
    for (uint32_t k = 0; alive[i] && k < old[i].n_inputs; k++) alive[old[i].inputs[k]] = true;
  net->nodes = NULL;
  net->n_nodes = net->capacity = 0;
  for (uint32_t i = 0; status == SNN_OK && i < n; i++) {
    if (!alive[i]) continue;
    for (uint32_t k = 0; k < old[i].n_inputs; k++) wires(&old[i])[k] = place[old[i].inputs[k]];
    char buf[SNN_MAX_NAME];
    if (old[i].kind == SNN_LAYER_NEURON) old[i].name = neurons_name(net, &old[i], buf);
    status = snn_graph_add(net, &old[i], &place[i], err);
  }
  free(old);
cleanup:
  free(place);
  free(alive);
  return status;
}

snn_status snn_graph_rewrite(snn_network *net, snn_error *err) {
  if (net->n_nodes == 0) return snn_fail(err, SNN_ERR_FORMAT, NULL, "the graph is empty");
  snn_graph_forget_forms(net);
  snn_status status = fold_affines(net, err);
  if (status != SNN_OK) return status;
  pool_before_neurons(net);
  return drop_dead(net, err);
}
