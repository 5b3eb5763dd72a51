/* Reading an answer: ranking of classes, probabilities, energy. */
#ifndef SNN_RESULT_H
#define SNN_RESULT_H

#include "snn/network.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One class of an answer. */
typedef struct snn_ranked {
  size_t index;
  float score;
  float probability; /* softmax over all scores */
} snn_ranked;

/* The k <= classes best classes, best first; equal scores in order of their index. out: [k], caller-owned. */
void snn_rank(const float *scores, size_t classes, snn_ranked *out, size_t k);

/* Index of the largest score, the first of equals. */
size_t snn_argmax(const float *scores, size_t classes);

/* Energy as the field counts it, in nanojoule: 0.9 pJ an accumulate, 4.6 pJ a multiply-accumulate (32-bit float at 45
 * nm; Horowitz, ISSCC 2014). Arithmetic only: no memory traffic, no static power. */
double snn_energy_nj(uint64_t accumulates, uint64_t macs);

/* The sentence that goes with such numbers. Static. */
const char *snn_energy_basis(void);

#ifdef __cplusplus
}
#endif
#endif
