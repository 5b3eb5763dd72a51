/* Initial potentials that follow from the weights alone. Reads the graph and not the plan, whose stages part what is
 * constant in time, or pooled, from the neurons it drives. A node is met once however many ways lead to it. */
#include "sim/initial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/stored.h"

snn_status snn_weights_scratch_create(const snn_network *net, snn_weights_scratch *out, snn_error *err) {
  uint32_t channels = 1;
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (net->nodes[i].shape.c > channels) channels = net->nodes[i].shape.c;
  snn_weights_scratch s = {.reached = snn_alloc_array(net->n_nodes, sizeof *s.reached),
                           .bias = snn_alloc_array(channels, sizeof *s.bias)};
  if (!s.reached || !s.bias) {
    snn_weights_scratch_free(&s);
    return snn_fail_memory(err, "initial potentials");
  }
  *out = s;
  return SNN_OK;
}

void snn_weights_scratch_free(snn_weights_scratch *s) {
  free(s->reached);
  free(s->bias);
  *s = (snn_weights_scratch){0};
}

/* What one spike of a convolution's source is worth: the amplitude of the neurons it comes from, through pools; 1 for
 * whatever is no spike. */
static double worth(const snn_network *net, uint32_t source, uint32_t channel) {
  while (net->nodes[source].kind == SNN_LAYER_AVGPOOL || net->nodes[source].kind == SNN_LAYER_MAXPOOL)
    source = net->nodes[source].inputs[0];
  const snn_node *n = &net->nodes[source];
  return n->kind == SNN_LAYER_NEURON ? (double)n->neurons.amplitude[n->neurons.n == 1 ? 0 : channel] : 1.0;
}

/* Sum over the weights of one convolution, in units of the neurons' theta. */
static double conv_sum(const snn_network *net, const snn_node *n, const snn_neurons *neurons, uint32_t timesteps,
                       const double *bias) {
  const uint32_t group_in = net->nodes[n->inputs[0]].shape.c / n->conv.groups, channels = n->shape.c;
  const uint32_t group_out = channels / n->conv.groups, taps = n->conv.window.kernel_h * n->conv.window.kernel_w;
  const float *w = n->conv.weights;
  double sum = 0;
  for (uint32_t tap = 0; tap < taps; tap++)
    for (uint32_t i = 0; i < group_in; i++)
      for (uint32_t o = 0; o < channels; o++, w++) {
        double spike = worth(net, n->inputs[0], o / group_out * group_in + i);
        double u = ((double)*w * spike * timesteps + bias[o]) / (double)neurons->theta[neurons->n == 1 ? 0 : o];
        sum += u - floor(u);
      }
  return sum;
}

float snn_weights_potential(const snn_network *net, uint32_t node, uint32_t timesteps, const snn_weights_scratch *s) {
  double sum = 0, count = 0;
  snn_graph_want_floats(net, 1);
  memset(s->reached, 0, net->n_nodes * sizeof *s->reached);
  memset(s->bias, 0, net->nodes[node].shape.c * sizeof *s->bias);
  s->reached[node] = true;
  for (uint32_t i = node + 1; i-- > 0;) { /* readers come before what they read */
    const snn_node *n = &net->nodes[i];
    bool passes = i == node || n->kind == SNN_LAYER_ADD || n->kind == SNN_LAYER_AVGPOOL || n->kind == SNN_LAYER_MAXPOOL;
    if (!s->reached[i]) continue;
    for (uint32_t k = 0; passes && k < n->n_inputs; k++) s->reached[n->inputs[k]] = true;
    for (uint32_t c = 0; n->kind == SNN_LAYER_CONV && c < n->shape.c; c++) s->bias[c] += (double)n->conv.bias[c];
  }
  for (uint32_t i = 0; i < node; i++) {
    const snn_node *n = &net->nodes[i];
    if (!s->reached[i] || n->kind != SNN_LAYER_CONV) continue;
    sum += conv_sum(net, n, &net->nodes[node].neurons, timesteps, s->bias);
    const uint32_t group_in = net->nodes[n->inputs[0]].shape.c / n->conv.groups;
    count += (double)n->conv.window.kernel_h * n->conv.window.kernel_w * group_in * n->shape.c;
  }
  return count > 0 ? (float)(sum / count) : 0.5f;
}
