/* Which kernel table runs on this machine. There is one so far: the scalar reference. */
#include "kernels/kernels.h"
#include "snn/session.h"

const snn_kernels *snn_kernels_get(void) {
  return &snn_kernels_scalar;
}

const char *snn_kernels_name(void) {
  return snn_kernels_get()->name;
}
