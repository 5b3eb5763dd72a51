/* Weights that a model file holds in fewer bits. As floats they take four bytes each, which most networks never need:
 * int8 weights are made from the stored ones. So large ones become floats when someone first wants them; until then a
 * convolution's `weights` point to memory that nobody may read. */
#ifndef SNN_GRAPH_STORED_H
#define SNN_GRAPH_STORED_H

#include "graph/graph.h"

typedef enum snn_stored_kind { SNN_STORED_F16, SNN_STORED_I8 } snn_stored_kind;

struct snn_stored {
  snn_stored_kind kind;
  const uint8_t *bytes; /* [rows][channels], as they lie in the file, at any alignment */
  const float *scale;   /* I8: [channels] */
  size_t rows, channels;
  float *weights; /* where they become floats */
  struct snn_stored *next;
};

static inline size_t snn_stored_bytes(const snn_stored *s) {
  return s->rows * s->channels * (s->kind == SNN_STORED_F16 ? 2 : 1);
}

/* Row `row`, channels [first, first + n), to floats. */
void snn_stored_expand(const snn_stored *s, size_t row, size_t first, size_t n, float *out);

/* All rows to where they belong. */
void snn_stored_expand_all(const snn_stored *s);

/* Would all of them be finite? False where that takes a closer look. */
bool snn_stored_is_finite(const snn_stored *s);

/* The stored form of the weights at this place; NULL: they are floats. Called while the network is being read, or with
 * net->shared->lock held. */
const snn_stored *snn_graph_stored(const snn_network *net, const float *weights);

/* Make floats of all weights, once a network, with that many threads: whoever reads weights calls this before. Cheap
 * when it is done. */
void snn_graph_want_floats(const snn_network *net, uint32_t threads);

#endif
