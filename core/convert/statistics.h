/* Activation statistics of the float network over a data set: what thresholds are set from. */
#ifndef SNN_CONVERT_STATISTICS_H
#define SNN_CONVERT_STATISTICS_H

#include "graph/graph.h"
#include "snn/convert.h"

/* Of one neuron layer, or of the last layer, counted per channel. */
typedef struct snn_activation_stats {
  uint32_t channels;
  float *max;           /* [channels], largest activation seen, >= 0 */
  uint64_t *histogram;  /* [channels][SNN_HISTOGRAM_BINS]; NULL for the last layer, which has a maximum only */
  uint64_t per_channel; /* activations counted in each channel */
} snn_activation_stats;

/* Bins grow with the value, 128 for each doubling between 2^-16 and 2^16; smaller values, zero included, fall into bin
 * 0. A quantile read from them is off by less than 0.8 %, and less still by interpolation. */
enum { SNN_HISTOGRAM_LOG2_MIN = -16, SNN_HISTOGRAM_LOG2_MAX = 16, SNN_HISTOGRAM_PER_OCTAVE = 128 };
enum { SNN_HISTOGRAM_BINS = (SNN_HISTOGRAM_LOG2_MAX - SNN_HISTOGRAM_LOG2_MIN) * SNN_HISTOGRAM_PER_OCTAVE + 1 };

/* Run the float network on at most `limit` pictures (0: all), evenly spaced. *out: [n_nodes], zero for nodes that are
 * neither neurons nor the last, owned by the caller (snn_activation_stats_free). *used: pictures run. Errors: ARGUMENT,
 * IO, FORMAT (naming the picture), CANCELLED, NO_MEMORY. */
snn_status snn_activation_stats_collect(const snn_network *net, const snn_convert_options *opt,
                                        snn_activation_stats **out, size_t *used, snn_error *err);
void snn_activation_stats_free(const snn_network *net, snn_activation_stats *stats);

/* The p-th percentile (0 < p <= 100) of channels [begin, end) together; 100 gives their largest value, and needs no
 * histogram. */
float snn_activation_percentile(const snn_activation_stats *s, uint32_t begin, uint32_t end, double p);

#endif
