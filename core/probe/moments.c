/* Moments of pairs. Pure functions. */
#include "probe/moments.h"

#include <math.h>

snn_moments snn_moments_join(const snn_moments *a, const snn_moments *b) {
  if (a->n == 0 || b->n == 0) return a->n == 0 ? *b : *a;
  const double n = a->n + b->n, dx = b->mean_x - a->mean_x, dy = b->mean_y - a->mean_y, weight = a->n * b->n / n;
  return (snn_moments){.n = n,
                       .mean_x = a->mean_x + dx * b->n / n,
                       .mean_y = a->mean_y + dy * b->n / n,
                       .xx = a->xx + b->xx + dx * dx * weight,
                       .yy = a->yy + b->yy + dy * dy * weight,
                       .xy = a->xy + b->xy + dx * dy * weight,
                       .errors = a->errors + b->errors};
}

double snn_moments_correlation(const snn_moments *m) {
  return m->xx > 0 && m->yy > 0 ? fmax(-1, fmin(1, m->xy / sqrt(m->xx) / sqrt(m->yy))) : NAN;
}

double snn_moments_mean_error(const snn_moments *m) {
  return m->n > 0 ? m->mean_x - m->mean_y : NAN;
}

double snn_moments_rms_error(const snn_moments *m) {
  return m->n > 0 ? sqrt(m->errors / m->n) : NAN;
}

double snn_moments_rms_y(const snn_moments *m) {
  return m->n > 0 ? sqrt(m->yy / m->n + m->mean_y * m->mean_y) : NAN;
}
