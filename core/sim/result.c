/* Ranking, probabilities and energy of an answer. Pure functions. */
#include "snn/result.h"

#include <math.h>

/* Is class a to be listed before class b? What is no number comes last, so that the order is one whatever is in it. */
static bool before(const float *scores, size_t a, size_t b) {
  bool a_is_nan = isnan(scores[a]), b_is_nan = isnan(scores[b]);
  if (a_is_nan != b_is_nan) return b_is_nan;
  return scores[a] > scores[b] || (!(scores[b] > scores[a]) && a < b);
}

size_t snn_argmax(const float *scores, size_t classes) {
  size_t best = 0;
  for (size_t i = 1; i < classes; i++)
    if (before(scores, i, best)) best = i;
  return best;
}

void snn_rank(const float *scores, size_t classes, snn_ranked *out, size_t k) {
  const float top = scores[snn_argmax(scores, classes)];
  double sum = 0;
  for (size_t i = 0; i < classes; i++) sum += exp((double)scores[i] - (double)top);
  size_t n = 0; /* insertion into the k best so far: k is small */
  for (size_t i = 0; i < classes; i++) {
    size_t at = n;
    while (at > 0 && before(scores, i, out[at - 1].index)) at--;
    if (at >= k) continue;
    for (size_t j = n < k ? n : k - 1; j > at; j--) out[j] = out[j - 1];
    out[at] = (snn_ranked){i, scores[i], (float)(exp((double)scores[i] - (double)top) / sum)};
    if (n < k) n++;
  }
}

double snn_energy_nj(uint64_t accumulates, uint64_t macs) {
  return (0.9 * (double)accumulates + 4.6 * (double)macs) / 1000.0;
}

const char *snn_energy_basis(void) {
  return "45 nm: 0.9 pJ per AC, 4.6 pJ per MAC (Horowitz 2014)";
}
