/* Fuzzing the readers of .npy and text: any bytes give an array whose size is the product of its dimensions or an error
 * with a text, never a crash, a leak or a read outside. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "snn/array.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  void *bytes = malloc(n ? n : 1); /* of exactly n bytes, so that a read past the end is seen */
  if (!bytes) return 0;
  memcpy(bytes, data, n);
  snn_array a = {0};
  snn_error err = {.status = SNN_OK};
  snn_status status = snn_array_read_memory(bytes, n, &a, &err);
  if (status != err.status || (status != SNN_OK && (!err.text[0] || a.values))) abort();
  if (status == SNN_OK) {
    size_t product = 1;
    float last = 0;
    for (size_t i = 0; i < a.n_dims; i++) product *= a.dims[i];
    if (a.n_dims < 1 || a.n_dims > SNN_ARRAY_DIMS || product != a.n || a.n > n) abort();
    for (size_t i = 0; i < a.n; i++) last = a.values[i];
    (void)last;
  }
  snn_array_free(&a);
  free(bytes);
  return 0;
}
