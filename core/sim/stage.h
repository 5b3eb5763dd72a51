/* Running one stage of a plan for one time chunk. */
#ifndef SNN_SIM_STAGE_H
#define SNN_SIM_STAGE_H

#include "neurons/neurons.h"
#include "neurons/potentials.h"
#include "sim/plan.h"
#include "sim/team.h"

/* Operations counted for one image, [n_nodes] each, or [steps][n_nodes]; shared by the team, added to atomically. */
typedef struct snn_counters {
  uint64_t *spikes, *synaptic_operations, *macs;
  snn_first_spikes *first_spikes; /* NULL: not counted */
} snn_counters;

/* What a stage runs with. `memory` is the lane's. */
typedef struct snn_stage_context {
  const snn_plan *plan;
  const snn_kernels *kernels;
  const snn_neuron_model *neuron;
  snn_counters counters;
  char *memory;
  snn_team team;
  uint32_t timesteps; /* T of the run */
  float tau;
  float shift;                   /* current that layers which shift gain at every step, in units of theta: 1 / 2T */
  const snn_potentials *initial; /* [plan->n_edges]: v(0) of neuron nodes, and whether they shift */
  uint32_t first_step;           /* of the chunk, from 0 on */
  bool counts_steps;             /* counters have a row for each step of the chunk */
  snn_encoding encoding;         /* of the image, in plans for encoded images */
  uint64_t image_seed;           /* of a random encoding */
  bool counts_out;               /* readout `count`: the last layer fires */
  float output_start;            /* v(0) of the last layer then, in units of its threshold */
  float *currents;   /* [steps of the pass][neurons] of a stage of neurons, of a pass from step 1 to T; NULL:
                        not kept */
  bool has_currents; /* take them from there and not from the stage's sources */
} snn_stage_context;

/* With a rule for stopping early chunks are this short, since what was simulated behind the last step counts for
 * nothing; counters then have a row a step. */
enum { SNN_STOP_CHUNK = 4 };

/* The position that an output position of a concatenation or slice shows; false where a slice has zeros. s may be NULL.
 */
bool snn_shown_position(const snn_slice *s, snn_shape in, snn_site site, size_t *position);

/* Put the state of this rank's share of a stage at its start. */
void snn_stage_reset(const snn_stage_context *ctx, const snn_stage *stage);

/* Scores after step k of the chunk run last, number `steps` of the run: [classes]. */
void snn_stage_scores(const snn_stage_context *ctx, const snn_stage *readout, uint32_t k, uint32_t steps, float *out);

/* Run this rank's share for n_steps <= chunk steps. No barrier inside: the caller synchronises between stages. */
void snn_stage_run(const snn_stage_context *ctx, const snn_stage *stage, uint32_t n_steps);

#endif
