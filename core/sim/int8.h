/* The integer simulation: what a session adds to the shared integer network, and how it runs a stage.
 *
 * Memory of a lane, by node: spikes are bits [h][w][plane][chunk][words], so that all steps of a position lie together;
 * numbers of spikes int32 [h][w][chunk][c], in whole runs maps of bytes (int8_dense.h), least significant plane
 * first; currents int32 [h][w][chunk][c]. By stage: potentials int32 [site][lanes]. */
#ifndef SNN_SIM_INT8_H
#define SNN_SIM_INT8_H

#include "neurons/neurons.h"
#include "neurons/potentials.h"
#include "sim/drive.h"
#include "sim/int8_dense.h"
#include "sim/int8_numbers.h"
#include "sim/stage.h"

enum { SNN_INT8_MOST_CHUNK = 64 }; /* steps */

/* Where things lie in a lane's memory, in bytes. */
typedef struct snn_int8_place {
  size_t edge;  /* by node */
  size_t fired; /* by node of neurons: words of who has fired, [h][w][words] */
  size_t state; /* by stage: potentials, from chunk to chunk; readout: sums int64 [lanes], then those after each step of
                 * the chunk, [chunk][lanes]; maximum pools: see int8_wires.c */
  size_t balance;  /* by stage: of signed neurons, like potentials */
  size_t constant; /* by stage with constant currents: their sum and the bias, like potentials */
} snn_int8_place;

typedef struct snn_int8_layout {
  snn_plan_kind kind;
  uint32_t chunk;
  snn_int8_place *nodes, *stages;
  size_t lane_bytes;
} snn_int8_layout;

/* Where a thread lists spikes (int8_lists.h). */
typedef struct snn_int8_room {
  uint32_t *held, *ends, *columns, *offsets;
  uint16_t *entries;
  snn_int8_span *spans; /* shared by all lists */
} snn_int8_room;

/* What a thread works in. */
typedef struct snn_int8_scratch {
  snn_int8_room lists;
  uint8_t *window; /* what a dense sum reads (int8_choice.h) */
  int32_t *ready;  /* dense sums, [chunk][block] */
} snn_int8_scratch;

/* What a run sets for a stage; arrays have [lanes]. */
typedef struct snn_int8_numbers {
  int32_t *bias;  /* current of every step, or of the whole run */
  int32_t *start; /* potentials at first, unless there is one a neuron */
} snn_int8_numbers;

/* What whole runs need beside: maps of numbers of spikes by node, and what each dense term reads of them, by stage. */
typedef struct snn_int8_whole {
  const snn_dense_kernels *kernels;
  snn_int8_map *maps;
  snn_dense_runs **runs;
} snn_int8_whole;

/* How sums of single steps are formed; tests set it, answers do not depend on it. */
typedef enum snn_int8_choice { SNN_INT8_BEST, SNN_INT8_EVENTS, SNN_INT8_DENSE } snn_int8_choice;

typedef struct snn_int8_sim {
  const snn_network *net;
  const snn_plan *plan;        /* float, binary: stages, and where constant currents lie */
  const snn_int8_model *model; /* that of `scaled` */
  snn_int8_scaled *scaled;
  const snn_int8_kernels *kernels;
  snn_int8_choice choice;
  bool weights_stay; /* in a core's cache from picture to picture */
  snn_arena arena;
  snn_int8_whole whole;
  snn_int8_layout layouts[SNN_PLAN_KINDS];
  snn_int8_scratch *scratch; /* [threads] */
  snn_int8_numbers *numbers; /* [n_stages] */
} snn_int8_sim;

/* `plan` must outlive it; the integer network is made when this is the first session. Errors: UNSUPPORTED, NO_MEMORY,
 * TOO_LARGE. */
snn_status snn_int8_sim_create(const snn_network *net, const snn_plan *plan, uint32_t threads, uint32_t chunk,
                               snn_int8_sim *out, snn_error *err);
void snn_int8_sim_free(snn_int8_sim *s);

/* Bytes a lane needs, for any kind of run. */
size_t snn_int8_lane_bytes(const snn_int8_sim *s);

/* A run's numbers, before its images. `factors` of its table or NULL; snn_int8_takes has accepted the run. */
void snn_int8_begin(snn_int8_sim *s, const snn_run_options *run, const float *factors, const snn_potentials *initial);

/* Initial potential in units: `share` of theta, rounded and kept within 2^27. */
int32_t snn_int8_potential(float share, int32_t theta);

/* One member's view of a run: the context of snn_engine_int8. */
typedef struct snn_int8_context {
  const snn_int8_sim *sim;
  const snn_int8_layout *layout;
  snn_int8_reset reset;
  int32_t tau;
  bool half_level;
  snn_stage_context constant; /* for stages that are constant in time; holds counters and team as well */
  char *memory;               /* the lane's, of integers */
  const snn_int8_scratch *scratch;
  uint32_t timesteps;
  uint32_t first_step; /* of the chunk; at 0 state is set up before it is used */
} snn_int8_context;

static inline uint32_t snn_int8_signs(const snn_int8_layout *l) {
  return l->kind == SNN_PLAN_SIGNED ? 2 : 1;
}

/* Spikes of a node: all steps of a position and sign. */
static inline uint64_t *snn_int8_bits(const snn_int8_context *ctx, uint32_t node, size_t position, uint32_t sign) {
  uint32_t words = snn_words(ctx->sim->net->nodes[node].shape.c);
  return (uint64_t *)(void *)(ctx->memory + ctx->layout->nodes[node].edge) +
         (position * snn_int8_signs(ctx->layout) + sign) * ctx->layout->chunk * words;
}

/* Numbers of spikes, or currents, of a node at a position and step; step modes, and currents of whole runs. */
static inline int32_t *snn_int8_values(const snn_int8_context *ctx, uint32_t node, size_t position, uint32_t t) {
  return (int32_t *)(void *)(ctx->memory + ctx->layout->nodes[node].edge) +
         (position * ctx->layout->chunk + t) * ctx->sim->net->nodes[node].shape.c;
}

/* Bytes that hold any number up to n. */
static inline uint32_t snn_int8_bytes(uint64_t n) {
  uint32_t bytes = 1;
  while (n >>= 8) bytes++;
  return bytes;
}

/* Whole runs: one byte of the numbers of spikes of a position. */
static inline uint8_t *snn_int8_plane(const snn_int8_context *ctx, uint32_t node, uint32_t plane, size_t position) {
  snn_shape s = ctx->sim->net->nodes[node].shape;
  const snn_int8_map *m = &ctx->sim->whole.maps[node];
  const size_t at = ((size_t)plane * m->rows + m->top + position / s.w) * m->pitch + m->left + position % s.w;
  return (uint8_t *)ctx->memory + ctx->layout->nodes[node].edge + at * snn_int8_padded(s.c);
}

static inline snn_int8_kind snn_int8_kind_of(const snn_int8_context *ctx, uint32_t node) {
  snn_int8_kind kind = ctx->sim->model->kinds[node];
  return kind == SNN_INT8_SPIKES && ctx->layout->kind == SNN_PLAN_WHOLE_RUN ? SNN_INT8_COUNTS : kind;
}

/* Does a run read what a pool pools instead of the pool? Not of signed spikes, which may cancel each other there. */
static inline bool snn_int8_looks_through(const snn_int8_context *ctx, const snn_int8_term *term) {
  return term->pool && ctx->layout->kind == SNN_PLAN_BINARY;
}

/* Bytes of a whole run's numbers of spikes. */
static inline uint32_t snn_int8_planes(const snn_int8_context *ctx, uint32_t node) {
  return snn_int8_bytes((uint64_t)ctx->timesteps * ctx->sim->model->multiplicity[node]);
}

/* One element of a node's spikes or currents: -1, 0, 1, a number of spikes, or a current. */
int32_t snn_int8_value(const snn_int8_context *ctx, uint32_t node, size_t position, uint32_t channel, uint32_t t);

/* Store n elements from `channel` on; spikes must be -1, 0 or 1. */
void snn_int8_store(const snn_int8_context *ctx, uint32_t node, size_t position, uint32_t channel, uint32_t n,
                    uint32_t t, const int32_t *values);

/* Which input row or column tap k of an output meets; false: none, but padding. */
static inline bool snn_int8_tap(uint32_t out, uint32_t k, uint32_t stride, uint32_t dilation, uint32_t pad, uint32_t in,
                                uint32_t *at) {
  const int64_t i = (int64_t)out * stride + (int64_t)k * dilation - pad;
  *at = (uint32_t)i;
  return i >= 0 && i < in;
}

/* Pools and what only passes spikes on (int8_wires.c): this rank's share. */
void snn_int8_run_wires(const snn_int8_context *ctx, const snn_stage *stage, uint32_t n_steps);

/* Operations of a stage's terms, this rank's share (int8_wires.c). */
void snn_int8_count_operations(const snn_int8_context *ctx, const snn_stage *stage, const snn_int8_layer *layer,
                               uint32_t n_steps);

/* Neurons of a stage that fired for the first time, this rank's share of positions; after a barrier (int8_wires.c). */
void snn_int8_count_first(const snn_int8_context *ctx, const snn_stage *stage, uint32_t n_steps);

/* Whole runs (int8_whole.c). */
snn_status snn_int8_whole_create(const snn_network *net, const snn_int8_model *m, snn_arena *arena, snn_int8_whole *out,
                                 snn_error *err);

/* Before an image: margins to zero. */
void snn_int8_whole_begin(const snn_int8_context *ctx);

/* This rank's share of a stage that sums terms, and of an average. */
void snn_int8_whole_run(const snn_int8_context *ctx, uint32_t index);
void snn_int8_whole_average(const snn_int8_context *ctx, const snn_stage *stage);

/* The outputs that a node's spikes reach, summed over all of them; this rank's share. */
uint64_t snn_int8_whole_reached(const snn_int8_context *ctx, uint32_t node, const uint32_t *reach_h,
                                const uint32_t *reach_w);

/* Run this rank's share of stage `index` for n_steps <= chunk steps (whole runs: 1, which stands for all T). */
void snn_int8_stage_run(const snn_int8_context *ctx, uint32_t index, uint32_t n_steps);

/* Add to a counter of step t of the chunk. */
static inline void snn_int8_add(const snn_int8_context *ctx, uint64_t *counter, uint32_t node, uint32_t t, uint64_t n) {
  size_t row = ctx->constant.counts_steps ? t : 0;
  if (n) __atomic_fetch_add(&counter[row * ctx->sim->net->n_nodes + node], n, __ATOMIC_RELAXED);
}

extern const snn_engine snn_engine_int8;

/* A session's integer simulation, for tests and measurements. */
snn_int8_sim *snn_session_int8(snn_session *s);

#endif
