/* Fuzzing the calibration file reader: any bytes give a calibration of a small network or an error with a text, never a
 * crash, a leak or a read outside. What comes out is asked for everything, and one run starts from it. The network was
 * never saved, so files with an empty digest are its own. */
#include <stdlib.h>
#include <string.h>

#include "graph/graph.h"
#include "snn/calibrate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The network of tests/invalid/calibration: an image of 1x2x2, a convolution, two neurons `c`, three classes. */
static snn_network *make_network(void) {
  static const float weights[8] = {0, 0.125f, 0.25f, 0.375f, 0.5f, 0.625f, 0.75f, 0.875f}, bias[3], theta[1] = {1.5f};
  snn_node nodes[4] = {{.name = "image", .kind = SNN_LAYER_INPUT, .shape = {1, 2, 2}},
                       {.name = "c", .kind = SNN_LAYER_CONV, .shape = {2, 0, 0}},
                       {.name = "c", .kind = SNN_LAYER_NEURON},
                       {.name = "out", .kind = SNN_LAYER_CONV, .shape = {3, 0, 0}}};
  nodes[1].conv = (snn_conv){.window = {2, 2, 1, 1, 0, 0, 0, 0, 1, 1}, .groups = 1, .weights = weights, .bias = bias};
  nodes[2].neurons = (snn_neurons){.clip = 1e30f, .n = 1, .theta = theta, .fire = theta, .amplitude = theta};
  nodes[3].conv = (snn_conv){.window = {1, 1, 1, 1, 0, 0, 0, 0, 1, 1}, .groups = 1, .weights = weights, .bias = bias};
  snn_network *net = snn_network_new();
  if (!net) abort();
  for (uint32_t i = 0; i < 4; i++) {
    nodes[i].n_inputs = i > 0;
    nodes[i].inputs = &(uint32_t){i - 1};
    if (snn_graph_add(net, &nodes[i], NULL, NULL) != SNN_OK) abort();
  }
  if (snn_graph_finish(net, true, NULL) != SNN_OK) abort();
  return net;
}

static void check_calibration(const snn_calibration *c, const snn_network *net) {
  if (snn_calibration_tables(c) == 0 || !snn_calibration_fits(c, net)) abort();
  snn_session *s = NULL;
  if (snn_session_create(net, &(snn_session_options){.threads = 1}, &s, NULL) != SNN_OK) abort();
  for (size_t t = 0; t < snn_calibration_tables(c); t++) {
    snn_calibration_table key = snn_calibration_table_at(c, t);
    size_t n = 0, found = 0;
    const float *values = snn_calibration_potentials(c, t, 2, &n);
    if (!values || n < 1 || n > 2 || values[0] - values[0] != 0 || values[n - 1] - values[n - 1] != 0) abort();
    if (!snn_calibration_find(c, key.neuron, key.init, key.timesteps, &found) || found != t) abort();
    if (t > 0) continue;
    const float image[4] = {1, 0.5f, 0.25f, 1};
    float scores[3];
    snn_run_options o = {.timesteps = 2, .neuron = key.neuron, .tau = 0.5f, .init = key.init, .calibration = c};
    if (snn_session_run(s, image, 1, &o, scores, NULL, NULL) != SNN_OK) abort();
  }
  snn_session_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  static snn_network *net;
  if (!net) net = make_network();
  void *bytes = malloc(n ? n : 1); /* of exactly n bytes, so that a read past the end is seen */
  if (!bytes) return 0;
  memcpy(bytes, data, n);
  snn_calibration *c = NULL;
  snn_error err = {.status = SNN_OK};
  snn_status status = snn_calibration_load_memory(bytes, n, net, &c, &err);
  if ((status == SNN_OK) != (c != NULL) || status != err.status || (!c && !err.text[0])) abort();
  if (c) check_calibration(c, net);
  snn_calibration_free(c);
  free(bytes);
  return 0;
}
