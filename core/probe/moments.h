/* Sums over pairs (x, y) from which error and correlation follow. Kept as means and centred squares (Chan, Golub &
 * LeVeque 1983), so that adding up many pictures loses no digits. */
#ifndef SNN_PROBE_MOMENTS_H
#define SNN_PROBE_MOMENTS_H

typedef struct snn_moments {
  double n, mean_x, mean_y;
  double xx, yy, xy; /* sums of products of deviations from the means */
  double errors;     /* sum of (x - y)^2 */
} snn_moments;

/* The moments of two sets of pairs together. */
snn_moments snn_moments_join(const snn_moments *a, const snn_moments *b);

double snn_moments_correlation(const snn_moments *m); /* Pearson's; NAN where x or y does not vary, or n is 0 */
double snn_moments_mean_error(const snn_moments *m);  /* of x - y; NAN where n is 0, as below */
double snn_moments_rms_error(const snn_moments *m);
double snn_moments_rms_y(const snn_moments *m);

#endif
