/* Kernels for AVX-512F: sixteen floats a vector. Empty on other machines. */
#ifdef __x86_64__
#include <immintrin.h>

#define VECTOR_BYTES 64
#define TABLE        snn_kernels_avx512
#define TABLE_NAME   "avx512"

static inline unsigned fires(__m512 v, __m512 level) {
  return _mm512_cmp_ps_mask(v, level, _CMP_GE_OQ);
}

#include "kernels/vector.h"
#endif
