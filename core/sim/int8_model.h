/* The integer form of a network: its weights, thresholds and biases as small integers, packed for the kernels. Made
 * once a network, shared by all its sessions, immutable.
 *
 * Every channel of a layer has its unit, a float: one unit of current or potential there. Weights count in multiples of
 * 2^fraction units ("coarse"), so that the largest is 127; what the spike of an input channel is worth is folded into
 * them. Biases, thresholds and constant currents count in units. Thresholds and firing levels are even, so that half of
 * one is exact. Layers whose currents meet share their units: branches of an addition, a maximum pool and its source.
 *
 * A table may scale thresholds and spikes by a factor a layer. Where all spikes that reach a layer have one factor, its
 * units are scaled by it: weights stay as they are packed, all else that counts in units is derived anew, by a session
 * for its own copy of the layers (int8_numbers.h). A layer that only constant currents drive is scaled by its own
 * factor.
 *
 * Proven, for any input, any factors and T up to SNN_MAX_TIMESTEPS or `most_timesteps`: no potential, total or current
 * leaves 32 bits. With |current| <= C a step, |v| <= |v(0)| + T C + theta < 2^31; `fraction` is what C leaves room for.
 */
#ifndef SNN_SIM_INT8_MODEL_H
#define SNN_SIM_INT8_MODEL_H

#include "kernels/int8.h"
#include "sim/plan.h"

/* What a node leaves for its readers in the integer simulation. */
typedef enum snn_int8_kind {
  SNN_INT8_NONE,   /* nothing: inlined, or a pool that its readers look through */
  SNN_INT8_STATIC, /* float, constant in time, as in the float simulation */
  SNN_INT8_SPIKES, /* bits */
  SNN_INT8_COUNTS, /* numbers of spikes */
  SNN_INT8_GRADED  /* int32 currents, in units */
} snn_int8_kind;

static inline bool snn_int8_is_event(snn_int8_kind kind) {
  return kind == SNN_INT8_SPIKES || kind == SNN_INT8_COUNTS;
}

/* One addend of a stage's current. */
typedef struct snn_int8_term {
  bool is_conv, is_grouped;
  uint32_t source;       /* node read */
  const snn_pool *pool;  /* convolutions of an average pool of spikes: the pool; runs of binary spikes then read what it
                            pools, node `pooled`, and the pool leaves nothing */
  uint32_t pooled;       /* = source without a pool */
  snn_conv_args conv;    /* geometry; its float weights are not used */
  uint32_t columns;      /* of the kernel, once `unroll` outputs side by side are computed together */
  const int8_t *weights; /* [block][kernel_h][columns][in_c + 1][groups][64], see kernels/int8.h, the last row of a tap
                            all zeros; grouped convolutions: plain [kernel_h][kernel_w][group_in][out_c] */
  const int8_t *dense;   /* the same for the dense kernels, see int8_dense.h; NULL where plain code does */
  const int32_t *positive, *negative; /* [out_c]: sums of a channel's weights of either sign, without theirs */
  const uint32_t *reach_h, *reach_w;  /* [in_h], [in_w]: outputs that a row or column of the source reaches */
  const uint32_t *pooled_reach_h, *pooled_reach_w; /* the same of the map behind the pool */
  const float *worth;    /* what is added as it is, spikes or counts: worth of one, [c]; NULL: currents */
  const int32_t *amount; /* the same in units, [lanes]; of a session */
} snn_int8_term;

/* A stage that sums terms; beside the float plan's stage of the same index. */
typedef struct snn_int8_layer {
  uint32_t unroll;  /* outputs side by side in a row that are computed together, so that narrow layers fill a group */
  uint32_t sites_w; /* of a row: ceil(w / unroll) */
  uint32_t lanes;   /* of a site: 64 * groups * blocks; lane unroll_index * c + channel, the rest unused */
  uint32_t groups;  /* of a block */
  uint32_t blocks;
  uint32_t node;   /* whose current it is; the readout: n_nodes */
  uint32_t shared; /* layers of one number share their units */
  uint32_t channels;
  bool fires;
  const float *coarse;     /* [c]: of spikes as the network has them */
  const float *exact_bias; /* [c], no units */
  /* What counts in units: a session's own, for the factors of its run's table. */
  uint32_t fraction;                       /* coarse = 2^fraction units */
  const float *unit;                       /* [c] */
  const float *per_unit;                   /* [lanes]: 1 / unit */
  const int32_t *bias;                     /* [lanes] */
  const int32_t *fire, *half_fire, *theta; /* [lanes], neurons; unused lanes never fire */
  const snn_int8_term *terms;              /* those that are not constant in time */
  uint32_t n_terms;
  const uint32_t *statics; /* nodes whose constant currents are added */
  uint32_t n_statics;
  float most_static; /* constant currents are clamped to this many units */
} snn_int8_layer;

/* Rows of weights of a tap: one an input channel, and zeros, which fill lists up to whole quads. */
static inline uint32_t snn_int8_tap_rows(const snn_int8_term *term) {
  return term->conv.in_c + 1;
}

/* Those of a block. */
static inline size_t snn_int8_rows(const snn_int8_term *term) {
  return (size_t)term->conv.kernel_h * term->columns * snn_int8_tap_rows(term);
}

typedef struct snn_int8_model {
  snn_arena arena;
  snn_int8_kind *kinds;   /* [n_nodes], step modes; a whole run has COUNTS for SPIKES, and pools that leave theirs */
  uint32_t *multiplicity; /* [n_nodes]: spikes that one element may stand for at a step */
  bool *looked_through;   /* [n_nodes]: average pools that runs of binary spikes skip */
  snn_int8_layer *layers; /* [n_stages]; zero for stages that do not sum; what counts in units is a session's to fill */
  uint32_t n_stages;
  uint32_t most_timesteps; /* without factors */
  size_t bytes;            /* of packed weights */
} snn_int8_model;

/* The integer form, made at the first call and kept by the network; the caller must not free it. Errors: UNSUPPORTED,
 * NO_MEMORY, TOO_LARGE. */
snn_status snn_int8_prepare(const snn_network *net, uint32_t threads, const snn_int8_model **out, snn_error *err);

#endif
