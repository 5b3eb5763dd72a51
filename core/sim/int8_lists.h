/* Lists of the spikes that a convolution reads, made in two steps by the thread that first needs them in a stage. Row
 * by row of the input map, every spike is listed once, not once a tap: at every step those of a row of positions lie
 * behind each other. For a row of outputs these are joined: column by column the spikes of all kernel rows, so that a
 * receptive field is one run of a list, whichever block of channels reads it. What narrow layers compute together is
 * joined by itself, since columns of few channels would be many short cells.
 *
 * An entry of a row is x * (in_c + 1) + channel where that fits into 16 bits and taps are neighbours; else the channel
 * alone, in cells of one position, or of 2^16 channels of one, and receptive fields are joined by themselves too. */
#ifndef SNN_SIM_INT8_LISTS_H
#define SNN_SIM_INT8_LISTS_H

#include "sim/int8.h"

/* Some rows of a map, each in the slot of its number modulo `slots`. */
typedef struct snn_int8_slots {
  uint32_t slots;
  uint32_t *held; /* [slots]: which row */
  uint32_t *ends; /* [slots][sign][steps][cells + 1] */
  uint32_t cells; /* of a row */
  size_t entries; /* of a slot */
} snn_int8_slots;

typedef struct snn_int8_lists {
  const snn_int8_term *term;
  uint32_t unroll, row_bytes; /* outputs of a site; of its weights */
  bool joined;                /* entries are numbered along a row */
  bool shared;           /* columns are joined, each for all receptive fields that meet there; else receptive fields */
  uint32_t pieces;       /* of a position */
  uint32_t sites;        /* of a row of outputs */
  uint32_t *begin, *end; /* [sites]: columns of the input that each reads */
  uint32_t *column;      /* 0, 1, 2 .. */
  snn_int8_slots in;     /* rows of the input */
  snn_int8_slots out;    /* of outputs */
  uint16_t *in_entries;  /* [slots][in.entries] */
  uint32_t *offsets;     /* [slots][out.entries] */
  snn_int8_span *spans;  /* [kernel_h], or as many as a receptive field has cells */
} snn_int8_lists;

/* What lists of a term need at most. */
typedef struct snn_int8_lists_size {
  size_t held, ends, columns, entries, offsets, spans;
} snn_int8_lists_size;

/* False where that is too large to say. */
bool snn_int8_lists_measure(const snn_int8_model *model, const snn_int8_layer *layer, const snn_int8_term *term,
                            uint32_t chunk, snn_int8_lists_size *size);

/* Empty lists in `room`, which moves on behind them. */
snn_int8_lists snn_int8_lists_begin(const snn_int8_context *ctx, const snn_int8_layer *layer, const snn_int8_term *term,
                                    snn_int8_room *room);

/* Sums of all sites of a row of outputs: that of site x lies between ends[begin[x]] and ends[end[x]], and `step` less
 * far on than the one before. */
typedef struct snn_int8_row_sum {
  snn_int8_sum sum; /* of no site yet; `weights` are the caller's */
  const uint32_t *ends, *begin, *end;
  int64_t first, step; /* bytes */
} snn_int8_row_sum;

/* What the outputs at row y add up in n_steps steps. */
snn_int8_row_sum snn_int8_lists_row(const snn_int8_context *ctx, snn_int8_lists *l, uint32_t y, uint32_t sign,
                                    uint32_t n_steps);

static inline snn_int8_sum snn_int8_sum_at(const snn_int8_row_sum *row, uint32_t x) {
  snn_int8_sum sum = row->sum;
  sum.first = row->first - x * row->step;
  sum.from = row->ends + row->begin[x];
  sum.to = row->ends + row->end[x];
  return sum;
}

/* Rows that a site of output row y adds on average, over n_steps steps; without signs. */
double snn_int8_lists_rows(const snn_int8_context *ctx, snn_int8_lists *l, uint32_t y, uint32_t n_steps);

#endif
