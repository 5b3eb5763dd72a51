/* How a stage of single steps forms the sums of its convolutions: from lists of events (int8_lists.h), or by the dense
 * kernels, with the steps of a chunk where whole runs have positions. Both give the same sums; which is cheaper is
 * reckoned for each row of outputs from the events listed for it, so before any sum is made. */
#ifndef SNN_SIM_INT8_CHOICE_H
#define SNN_SIM_INT8_CHOICE_H

#include "sim/int8_lists.h"

/* Some outputs side by side: what an item computes. */
typedef struct snn_int8_site {
  const snn_int8_layer *layer;
  uint32_t block, y, x; /* x: of the outputs, the first */
  uint32_t outputs;     /* layer->unroll, fewer at the end of a row */
} snn_int8_site;

/* Bytes a thread needs for what the window of a term sees; 0: its sums are never dense. */
size_t snn_int8_window_bytes(const snn_int8_model *model, const snn_int8_term *term);

/* Do all convolutions of a layer have dense weights, and bytes for their inputs? Never for spikes with signs. */
bool snn_int8_may_be_dense(const snn_int8_context *ctx, const snn_int8_layer *layer);

/* Whether the session's choice, or else the events listed for output row y, speak for dense sums. */
bool snn_int8_prefers_dense(const snn_int8_context *ctx, const snn_int8_layer *layer, snn_int8_lists *lists,
                            uint32_t n_lists, uint32_t y, uint32_t n_steps);

/* acc[steps][groups][64] = the sums of the layer's convolutions at a site. */
void snn_int8_dense_sums(const snn_int8_context *ctx, const snn_int8_site *site, uint32_t n_steps, int32_t *acc);

#endif
