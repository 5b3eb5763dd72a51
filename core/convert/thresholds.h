/* Thresholds of converted neurons. */
#ifndef SNN_CONVERT_THRESHOLDS_H
#define SNN_CONVERT_THRESHOLDS_H

#include "convert/statistics.h"

/* The most levels of any layer, where every activation is quantised; 0 otherwise. */
uint32_t snn_quantised_levels(const snn_network *net);

/* Give every neuron layer of an unfinished network its threshold by opt's rule and scope. stats: [n_nodes], NULL only
 * for SNN_THRESHOLD_CLIP. The last layer, which fires under readout `count` only, gets the largest score seen, whatever
 * the rule: a lower one would make the best classes equal. None without statistics. A channel that never fired takes
 * its layer's threshold; a layer that never fired takes 1. Given thresholds stay.
 * Errors: ARGUMENT (a rule that the layer cannot follow,
 * naming it), NO_MEMORY. */
snn_status snn_thresholds_set(snn_network *net, const snn_activation_stats *stats, const snn_convert_options *opt,
                              snn_error *err);

#endif
