/* Kernels for AVX2: eight floats a vector. Empty on other machines. */
#ifdef __x86_64__
#include <immintrin.h>

#define VECTOR_BYTES 32
#define TABLE        snn_kernels_avx2
#define TABLE_NAME   "avx2"

static inline unsigned fires(__m256 v, __m256 level) {
  return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(v, level, _CMP_GE_OQ));
}

#include "kernels/vector.h"
#endif
