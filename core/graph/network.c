/* The read-only face of a network: accessors of network.h and the option names of session.h. Nothing here changes a
 * network. */
#include <math.h>
#include <string.h>

#include "graph/graph.h"
#include "snn/calibrate.h"

static const char *const layer_kinds[SNN_LAYER_KIND_COUNT] = {
    [SNN_LAYER_INPUT] = "input",     [SNN_LAYER_CONV] = "conv",     [SNN_LAYER_AVGPOOL] = "avgpool",
    [SNN_LAYER_MAXPOOL] = "maxpool", [SNN_LAYER_ADD] = "add",       [SNN_LAYER_CONCAT] = "concat",
    [SNN_LAYER_SLICE] = "slice",     [SNN_LAYER_NEURON] = "neuron", [SNN_LAYER_CONSTANT] = "constant",
};

const char *snn_layer_kind_name(snn_layer_kind kind) {
  return (unsigned)kind < SNN_LAYER_KIND_COUNT ? layer_kinds[kind] : "unknown";
}

const char *snn_network_name(const snn_network *net) {
  return net->name;
}
const char *snn_network_sha256(const snn_network *net) {
  return net->sha256;
}
const char *snn_network_identity(const snn_network *net) {
  return net->network_sha256;
}
snn_shape snn_network_input(const snn_network *net) {
  return net->nodes[0].shape;
}
const snn_preprocess *snn_network_preprocess(const snn_network *net) {
  return &net->preprocess;
}
size_t snn_network_classes(const snn_network *net) {
  return net->nodes[net->n_nodes - 1].shape.c;
}
float snn_network_output_threshold(const snn_network *net) {
  return net->output_threshold;
}
size_t snn_network_layers(const snn_network *net) {
  return net->n_nodes;
}
const char *snn_network_provenance(const snn_network *net) {
  return net->provenance;
}

const char *snn_network_label(const snn_network *net, size_t class_index) {
  return class_index < net->n_labels ? net->labels[class_index] : NULL;
}

static uint64_t conv_weights(const snn_network *net, const snn_node *node) {
  const snn_window *w = &node->conv.window;
  return (uint64_t)w->kernel_h * w->kernel_w * (net->nodes[node->inputs[0]].shape.c / node->conv.groups) *
         node->shape.c;
}

/* Outputs of one axis whose tap at `offset` (kernel index * dilation - pad) lies inside the input: those with
 * 0 <= o * stride + offset < in. */
static uint64_t outputs_reached(uint32_t in, uint32_t out, uint32_t stride, int64_t offset) {
  int64_t first = offset < 0 ? (-offset + stride - 1) / stride : 0;
  int64_t end = offset < (int64_t)in ? ((int64_t)in - offset + stride - 1) / stride : 0;
  if (end > (int64_t)out) end = out;
  return end > first ? (uint64_t)(end - first) : 0;
}

/* Pairs of output and kernel position of one axis that meet inside the input: padding costs nothing. */
static uint64_t taps_inside(uint32_t in, uint32_t out, uint32_t kernel, uint32_t stride, uint32_t dilation,
                            uint32_t pad) {
  uint64_t n = 0;
  for (uint32_t k = 0; k < kernel; k++) n += outputs_reached(in, out, stride, (int64_t)k * dilation - pad);
  return n;
}

static uint64_t conv_macs(const snn_network *net, const snn_node *node) {
  const snn_window *w = &node->conv.window;
  snn_shape in = net->nodes[node->inputs[0]].shape, out = node->shape;
  return taps_inside(in.h, out.h, w->kernel_h, w->stride_h, w->dilation_h, w->pad_top) *
         taps_inside(in.w, out.w, w->kernel_w, w->stride_w, w->dilation_w, w->pad_left) * (in.c / node->conv.groups) *
         out.c;
}

snn_layer_info snn_network_layer(const snn_network *net, size_t layer) {
  const snn_node *node = &net->nodes[layer];
  snn_layer_info info = {.name = node->name,
                         .kind = node->kind,
                         .shape = node->shape,
                         .inputs = node->inputs,
                         .n_inputs = node->n_inputs,
                         .clip = INFINITY};
  if (node->kind == SNN_LAYER_CONV) {
    info.parameters = conv_weights(net, node) + node->shape.c;
    info.macs = conv_macs(net, node);
  } else if (node->kind == SNN_LAYER_NEURON) {
    info.threshold = node->neurons.theta;
    info.n_threshold = node->neurons.n;
    info.clip = node->neurons.clip;
    info.levels = node->neurons.levels;
  } else if (node->kind == SNN_LAYER_CONSTANT) {
    info.parameters = snn_shape_size(node->shape);
  }
  return info;
}

uint64_t snn_network_neurons(const snn_network *net) {
  uint64_t n = 0;
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (net->nodes[i].kind == SNN_LAYER_NEURON) n += snn_shape_size(net->nodes[i].shape);
  return n;
}

uint64_t snn_network_macs(const snn_network *net) {
  uint64_t n = 0;
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (net->nodes[i].kind == SNN_LAYER_CONV) n += conv_macs(net, &net->nodes[i]);
  return n;
}
