/* Lists of the spikes that a convolution reads, row by row of its input map: at every step the spikes of a row of
 * positions lie behind each other, so that those of a receptive field are one span a kernel row, and each spike is
 * listed once, not once a tap. A thread lists a row when it first meets it in a stage and keeps it while there is room.
 *
 * An entry is x * in_c + channel where that fits into 16 bits and taps are neighbours; else the channel alone, in cells
 * of one position, or of 2^16 channels of one, and a span is a cell. */
#ifndef SNN_SIM_INT8_LISTS_H
#define SNN_SIM_INT8_LISTS_H

#include "sim/int8.h"

typedef struct snn_int8_lists {
  const snn_int8_term *term;
  bool joined;                            /* one span a kernel row */
  uint32_t pieces, cells;                 /* of a position; of a row */
  uint32_t slots;                         /* rows kept */
  uint32_t *held;                         /* [slots]: which row */
  uint16_t *entries;                      /* [slots][slot_entries] */
  uint32_t *ends;                         /* [slots][sign][steps][cells + 1] */
  size_t slot_entries, slot_ends, stride; /* stride: of ends, from step to step */
} snn_int8_lists;

/* What lists of a term need at most. */
typedef struct snn_int8_lists_size {
  size_t held, entries, ends, spans;
} snn_int8_lists_size;

/* False where that is too large to say. */
bool snn_int8_lists_measure(const snn_int8_model *model, const snn_int8_term *term, uint32_t chunk,
                            snn_int8_lists_size *size);

/* Empty lists in `room`, which moves on behind them. */
snn_int8_lists snn_int8_lists_begin(const snn_int8_context *ctx, const snn_int8_term *term, snn_int8_room *room);

/* The spans of output row y from column x on (a layer's unrolled neighbours share them), of n_steps steps. Returns how
 * many. */
uint32_t snn_int8_lists_spans(const snn_int8_context *ctx, snn_int8_lists *l, uint32_t y, uint32_t x, uint32_t sign,
                              uint32_t n_steps, snn_int8_span *spans);

/* Events listed in the rows that output row y reads, of n_steps steps; without signs. */
uint64_t snn_int8_lists_events(const snn_int8_context *ctx, snn_int8_lists *l, uint32_t y, uint32_t n_steps);

#endif
