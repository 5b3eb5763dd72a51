/* Fuzzing the ONNX importer: any bytes must give a network or a clean error, within memory bounded by their number.
 * External data is out of reach (no folder). */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "onnx/onnx.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  snn_network *net = NULL;
  snn_error err = {SNN_OK, "", ""};
  snn_status status = snn_onnx_import_memory(data, size, NULL, &net, &err);
  if ((status == SNN_OK) != (net != NULL) || status != err.status || status == SNN_ERR_INTERNAL) abort();
  snn_network_free(net);
  return 0;
}
