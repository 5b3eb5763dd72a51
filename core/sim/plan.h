/* The plan: how a network is simulated. Compiled once a session from the graph, immutable afterwards.
 *
 * The graph's nodes become *stages*, run in order, each for all steps of a time chunk before the next one starts
 * (layer-major: a layer's weights stay in cache). A stage computes, for every position and step, the current I(t) =
 * bias + sum over terms (a convolution of a source, or the source itself) and gives it to its sink: neurons that
 * integrate and fire, a stored graded value, or the readout. Convolutions and additions with a single reader are terms
 * of that reader's stage and store nothing. Concatenations and slices copy spikes as spikes and counts as counts, which
 * costs no operation; where spikes meet graded values all become graded. What is constant in time (the image under
 * direct encoding, and whatever is linear in it alone) is computed once. What one stage leaves for another is an
 * *edge*, one per node. */
#ifndef SNN_SIM_PLAN_H
#define SNN_SIM_PLAN_H

#include "graph/graph.h"
#include "kernels/kernels.h"

typedef enum snn_edge_kind {
  SNN_EDGE_NONE,   /* inlined into its only reader */
  SNN_EDGE_STATIC, /* [h][w][c] float, constant in time */
  SNN_EDGE_SPIKES, /* [chunk][h][w][words] bits; a spike of channel c is worth amplitude[c] */
  SNN_EDGE_COUNTS, /* [chunk][h][w][c] float holding small whole numbers; one is worth amplitude[c] */
  SNN_EDGE_GRADED  /* [chunk][h][w][c] float */
} snn_edge_kind;

typedef struct snn_edge {
  snn_edge_kind kind;
  snn_shape shape;
  uint32_t words;    /* of one position, for spikes */
  float *amplitude;  /* [c], for spikes and counts; as snn_plan_scale left it */
  float *minus;      /* [c], -amplitude, for signed spikes; their plane lies step / 2 words behind the other */
  const float *rest; /* [h][w][c], for spikes and counts: value while there is no event; NULL: 0 */
  size_t offset;     /* bytes into the lane's memory */
  size_t step;       /* elements (floats or words) of one time step; 0 for static edges */
} snn_edge;

/* One addend of a stage's current. */
typedef struct snn_term {
  bool is_conv;       /* else the source itself, same shape */
  uint32_t source;    /* edge read */
  snn_conv_args conv; /* when is_conv */
} snn_term;

/* Channels [from, from + n) of an edge, which become channels [to, to + n) of a concatenation or slice. */
typedef struct snn_piece {
  uint32_t source, from, to, n;
} snn_piece;

/* What kind of simulation a plan is for. */
typedef enum snn_plan_kind {
  SNN_PLAN_BINARY,    /* spikes of 0 or 1, step by step */
  SNN_PLAN_SIGNED,    /* spikes of -1, 0 or 1: a spike edge has a second plane of bits, for -1, behind the first */
  SNN_PLAN_WHOLE_RUN, /* one pass: currents are totals over T, neurons leave counts */
  SNN_PLAN_KINDS
} snn_plan_kind;

/* How the image comes in. */
typedef enum snn_plan_input {
  SNN_PLAN_DIRECT,  /* as it is: constant in time */
  SNN_PLAN_ENCODED, /* as spikes: encodings `rate` and `regular` */
  SNN_PLAN_INPUTS
} snn_plan_input;

typedef enum snn_sink { SNN_SINK_SPIKES, SNN_SINK_GRADED, SNN_SINK_STATIC, SNN_SINK_SCORES } snn_sink;

typedef struct snn_stage {
  uint32_t node;       /* whose edge it fills */
  uint32_t charged;    /* layer its operations count for: the neurons its current arrives at, or the last layer */
  snn_layer_kind kind; /* INPUT (an encoded image), AVGPOOL, MAXPOOL, CONCAT, SLICE, CONSTANT, or else a sum of terms */
  snn_sink sink;       /* GRADED for whatever is stored as it comes, be it spikes */
  snn_shape shape;
  uint32_t blocks; /* of SNN_BLOCK channels; an item is one (position, block) */
  const snn_term *terms;
  uint32_t n_terms;
  const float *bias;               /* [c] */
  const float *bias_map;           /* [h][w][c]: bias and what sources are worth at rest; NULL: bias alone */
  float *fire, *half_fire, *theta; /* [c], neurons, as snn_plan_scale left them, and, where it has a threshold, the
                                      readout; half_fire is fire / 2 */
  const snn_pool *pool;            /* pools; they read terms[0].source */
  const snn_piece *pieces;         /* concatenations and slices */
  uint32_t n_pieces;
  const float *values;    /* constants: [h][w][c] */
  const snn_slice *slice; /* slices: which rows and columns; NULL: all */
  size_t state; /* bytes into the lane's memory: neurons' v [h][w][c] float, for signed ones their balance likewise
                 * behind it; the readout's likewise, for its own neurons; maxpool's cumulated inputs
                 * [h][w][taps][c] and last maximum [h][w][c] float; the image's levels [h][w][c] uint16 */
  size_t fired; /* likewise: who of the neurons has fired, a word [h][w][blocks]; used where a run asks for it */
  size_t sums;  /* the readout's sums [c] double, and behind them those after each step of the chunk, [chunk][c] */
} snn_stage;

typedef struct snn_plan {
  snn_arena arena;
  snn_plan_kind kind;
  snn_plan_input input;
  uint32_t chunk;
  uint32_t n_edges, n_stages;
  snn_edge *edges;   /* one per node */
  snn_stage *stages; /* those with static sinks first */
  uint32_t n_static; /* stages run once */
  size_t lane_bytes; /* memory of one lane */
  bool is_scaled;    /* some thresholds are not the network's own */
} snn_plan;

/* Compile. `net` must outlive the plan. Errors: NO_MEMORY, TOO_LARGE, UNSUPPORTED. On failure *out is empty. */
snn_status snn_plan_compile(const snn_network *net, snn_plan_kind kind, snn_plan_input input, uint32_t chunk,
                            snn_plan *out, snn_error *err);
void snn_plan_free(snn_plan *plan);

/* Scale theta, firing level and amplitude of each neuron layer by factors[its node], [n_nodes]; NULL: back to the
 * network's own. Costs a few operations a channel and allocates nothing; no run may use the plan meanwhile. */
void snn_plan_scale(snn_plan *plan, const snn_network *net, const float *factors);

/* A node's convolution as the kernels want it. */
snn_conv_args snn_conv_args_of(const snn_network *net, uint32_t node);

#endif
