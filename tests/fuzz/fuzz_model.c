/* Fuzzing the model file reader: any bytes give a network or an error with a text, never a crash, a leak or a read
 * outside. A network that comes out is asked everything that inspection asks. */
#include <stdlib.h>
#include <string.h>

#include "snn/calibrate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Every table has finite values for every neuron layer, of a size that fits, and is found under its own key. */
static void check_tables(const snn_network *net) {
  const snn_calibration *c = snn_network_calibration(net);
  for (size_t t = 0; c && t < snn_calibration_tables(c); t++) {
    snn_calibration_table key = snn_calibration_table_at(c, t);
    const float *factors = snn_calibration_factors(c, t);
    size_t n = 0, found = 0;
    if (!snn_calibration_find(c, key.neuron, key.init, key.timesteps, &found) || found != t) abort();
    for (size_t i = 0; i < snn_network_layers(net); i++) {
      snn_layer_info layer = snn_network_layer(net, i);
      const float *values = snn_calibration_potentials(c, t, i, &n);
      if ((layer.kind == SNN_LAYER_NEURON) != (values != NULL)) abort();
      if (factors && !(factors[i] > 0)) abort();
      if (!values) continue;
      if (n != 1 && n != layer.shape.c && n != snn_shape_size(layer.shape)) abort();
      for (size_t k = 0; k < n; k++)
        if (values[k] - values[k] != 0) abort();
    }
  }
}

/* Read everything that a network lends out, and hold it to what its header promises. */
static void check_network(const snn_network *net) {
  size_t n_labels = 0;
  for (size_t i = 0; i < snn_network_layers(net); i++) {
    snn_layer_info layer = snn_network_layer(net, i);
    if (!layer.name[0] || snn_shape_size(layer.shape) == 0) abort();
    for (size_t k = 0; k < layer.n_inputs; k++)
      if (layer.inputs[k] >= i) abort();
    for (size_t k = 0; k < layer.n_threshold; k++)
      if (!(layer.threshold[k] > 0)) abort();
  }
  for (size_t i = 0; i < snn_network_classes(net); i++) n_labels += snn_network_label(net, i) != NULL;
  if (n_labels != 0 && n_labels != snn_network_classes(net)) abort();
  if (strlen(snn_network_sha256(net)) != 64 || snn_network_provenance(net)[0] == 0) abort();
  if (strlen(snn_network_identity(net)) != 64) abort();
  check_tables(net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  void *bytes = malloc(n ? n : 1); /* of exactly n bytes, so that a read past the end is seen */
  if (!bytes) return 0;
  memcpy(bytes, data, n);
  snn_network *net = NULL;
  snn_error err = {.status = SNN_OK};
  snn_status status = snn_network_load_memory(bytes, n, &net, &err);
  if ((status == SNN_OK) != (net != NULL) || status != err.status || (!net && !err.text[0])) abort();
  if (net) check_network(net);
  snn_network_free(net);
  free(bytes);
  return 0;
}
