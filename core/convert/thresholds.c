/* Threshold rules. A converted neuron has theta for its firing level, its reset and its spike's value alike. */
#include "convert/thresholds.h"

#include <math.h>

#include "base/error.h"

/* The rule's threshold for channels [begin, end); 0 when they never fired. */
static float rule_value(const snn_activation_stats *s, const snn_convert_options *opt, uint32_t begin, uint32_t end) {
  return snn_activation_percentile(s, begin, end, opt->threshold == SNN_THRESHOLD_MAX ? 100.0 : opt->percentile);
}

static bool usable(float theta) {
  return isfinite(theta) && theta >= 1e-12f;
}

uint32_t snn_quantised_levels(const snn_network *net) {
  uint32_t most = 0;
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    if (net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    if (net->nodes[i].neurons.levels == 0) return 0;
    if (net->nodes[i].neurons.levels > most) most = net->nodes[i].neurons.levels;
  }
  return most;
}

/* The threshold of the rule `clip`. At T = `levels` steps a spike then stands for one step of the activation. */
static float clip_value(const snn_neurons *neurons, uint32_t levels) {
  return neurons->levels == levels || levels == 0 ? neurons->clip
                                                  : neurons->clip / (float)neurons->levels * (float)levels;
}

static snn_status set_layer(snn_network *net, snn_node *node, const snn_activation_stats *s,
                            const snn_convert_options *opt, snn_error *err) {
  uint32_t channels = node->shape.c, n = opt->scope == SNN_PER_CHANNEL ? channels : 1;
  if (opt->threshold == SNN_THRESHOLD_CLIP && !isfinite(node->neurons.clip))
    return snn_fail(
        err, SNN_ERR_ARGUMENT, node->name,
        "it is a plain ReLU without a bound, so it has no clip value to take as threshold; use max or percentile");
  float *theta = snn_arena_alloc(&net->arena, n, sizeof *theta);
  float *max = s ? snn_arena_alloc(&net->arena, n, sizeof *max) : NULL;
  if (!theta || (s && !max)) return snn_fail_memory(err, "thresholds");
  float layer = 0;
  if (opt->threshold != SNN_THRESHOLD_CLIP) layer = rule_value(s, opt, 0, channels);
  if (s && !usable(layer))
    layer = snn_activation_percentile(s, 0, channels, 100); /* so sparse that the percentile is 0 */
  if (!usable(layer)) layer = 1.0f;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t begin = n == 1 ? 0 : i, end = n == 1 ? channels : i + 1;
    theta[i] = opt->threshold == SNN_THRESHOLD_CLIP ? clip_value(&node->neurons, snn_quantised_levels(net))
               : n == 1                             ? layer
                                                    : rule_value(s, opt, begin, end);
    if (!usable(theta[i])) theta[i] = layer;
    if (s) max[i] = snn_activation_percentile(s, begin, end, 100);
  }
  node->neurons.n = n;
  node->neurons.theta = node->neurons.fire = node->neurons.amplitude = theta;
  node->neurons.activation_max = max;
  return SNN_OK;
}

snn_status snn_thresholds_set(snn_network *net, const snn_activation_stats *stats, const snn_convert_options *opt,
                              snn_error *err) {
  snn_status status = SNN_OK;
  for (uint32_t i = 0; status == SNN_OK && i < net->n_nodes; i++)
    if (net->nodes[i].kind == SNN_LAYER_NEURON && opt->threshold != SNN_THRESHOLD_GIVEN)
      status = set_layer(net, &net->nodes[i], stats ? &stats[i] : NULL, opt, err);
  if (status != SNN_OK || !stats) return status;
  const float largest = snn_activation_percentile(&stats[net->n_nodes - 1], 0, (uint32_t)snn_network_classes(net), 100);
  net->output_threshold = usable(largest) ? largest : 1.0f;
  return SNN_OK;
}
