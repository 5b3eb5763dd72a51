/* What of an integer network counts in units: thresholds, biases, worths of spikes. They follow from the threshold
 * factors of the table that a run starts from, so a session keeps its own copy of the layers. */
#ifndef SNN_SIM_INT8_NUMBERS_H
#define SNN_SIM_INT8_NUMBERS_H

#include "sim/int8_model.h"

/* Bits of a threshold where there are constant currents, so that these may be 8 thresholds. */
enum { SNN_INT8_STATIC_THETA_BITS = 14 };

/* By how much the table's factors ([n_nodes] or NULL) scale what each node leaves: scales[n_nodes], of neurons' spikes
 * their factor, of currents that of the spikes they come from, 0 of what is constant in time. Errors: UNSUPPORTED where
 * spikes of different factors meet. */
snn_status snn_int8_find_scales(const snn_network *net, const snn_int8_kind *kinds, const float *factors, float *scales,
                                snn_error *err);

/* The largest T that fits into 32 bits with these factors. Errors: UNSUPPORTED, NO_MEMORY. */
snn_status snn_int8_most_timesteps(const snn_int8_model *m, const snn_network *net, const float *factors, uint32_t *out,
                                   snn_error *err);

/* What layers that share units have in common, by their number, [n_nodes + 1]. */
typedef struct snn_int8_shares {
  double *bound;      /* by node: largest current of a step, in coarse units, constant ones aside */
  double *most;       /* the largest bound of any layer */
  double *theta_most; /* the largest threshold, in coarse units */
  bool *has_static;
} snn_int8_shares;

/* A session's view of an integer network: the same weights, layers with numbers of their own. */
typedef struct snn_int8_scaled {
  snn_int8_model model;
  snn_arena arena;
  snn_int8_shares shares;
  float *factors, *scales; /* [n_nodes] */
} snn_int8_scaled;

/* As without factors. Errors: NO_MEMORY. */
snn_status snn_int8_scaled_create(const snn_int8_model *m, const snn_network *net, snn_int8_scaled *out,
                                  snn_error *err);
void snn_int8_scaled_free(snn_int8_scaled *s);

/* Are these the factors it has? */
bool snn_int8_is_scaled_by(const snn_int8_scaled *s, const snn_network *net, const float *factors);

/* Derive all numbers for other factors, NULL: none; nothing is done for those it has. snn_int8_most_timesteps must have
 * accepted them. Allocates nothing. */
void snn_int8_scale(snn_int8_scaled *s, const snn_network *net, const float *factors);

#endif
