/* Which kernel table runs on this machine. Decided once; asks the processor and one environment variable, nothing else.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/dense.h"
#include "kernels/int8.h"
#include "kernels/kernels.h"
#include "snn/session.h"

const snn_kernels *snn_kernels_available(unsigned i) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f") && i-- == 0) return &snn_kernels_avx512;
  if (__builtin_cpu_supports("avx2") && i-- == 0) return &snn_kernels_avx2;
#endif
  return i == 0 ? &snn_kernels_scalar : NULL;
}

const snn_int8_kernels *snn_int8_kernels_available(unsigned i) {
#ifdef __x86_64__
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi") &&
      __builtin_cpu_supports("avx512vbmi2") && __builtin_cpu_supports("avx512vnni") &&
      __builtin_cpu_supports("popcnt") && i-- == 0)
    return &snn_int8_avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("popcnt") && i-- == 0)
    return &snn_int8_avx2;
#endif
  return i == 0 ? &snn_int8_scalar : NULL;
}

/* With the same conditions as those above: an instruction set has a table of each kind, or none. */
const snn_dense_kernels *snn_dense_kernels_available(unsigned i) {
  const snn_int8_kernels *same = snn_int8_kernels_available(i);
#ifdef __x86_64__
  if (same == &snn_int8_avx512) return &snn_dense_avx512;
  if (same == &snn_int8_avx2) return &snn_dense_avx2;
#endif
  return same ? &snn_dense_scalar : NULL;
}

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const snn_kernels *chosen;
static const snn_int8_kernels *chosen_int8;
static const snn_dense_kernels *chosen_dense;

static void choose(void) {
  const char *wanted = getenv("SPIKED_KERNELS");
  chosen = snn_kernels_available(0);
  for (unsigned i = 0; wanted && snn_kernels_available(i); i++)
    if (strcmp(snn_kernels_available(i)->name, wanted) == 0) chosen = snn_kernels_available(i);
  chosen_int8 = snn_int8_kernels_available(0);
  chosen_dense = snn_dense_kernels_available(0);
  for (unsigned i = 0; wanted && snn_int8_kernels_available(i); i++) {
    if (strcmp(snn_int8_kernels_available(i)->name, wanted) != 0) continue;
    chosen_int8 = snn_int8_kernels_available(i);
    chosen_dense = snn_dense_kernels_available(i);
  }
}

const snn_kernels *snn_kernels_get(void) {
  pthread_once(&once, choose);
  return chosen;
}

const snn_int8_kernels *snn_int8_kernels_get(void) {
  pthread_once(&once, choose);
  return chosen_int8;
}

const snn_dense_kernels *snn_dense_kernels_get(void) {
  pthread_once(&once, choose);
  return chosen_dense;
}

const char *snn_kernels_name(void) {
  return snn_kernels_get()->name;
}

const char *snn_int8_kernels_name(void) {
  return snn_int8_kernels_get()->name;
}
