/* What an encoded image is worth where no spike comes, carried to where it is added: computed when a plan is made. */
#ifndef SNN_SIM_REST_H
#define SNN_SIM_REST_H

#include "sim/plan.h"

/* -mean / std of every channel, everywhere: [h][w][c]. */
void snn_rest_of_image(snn_shape shape, const snn_preprocess *pre, float *rest);

/* Averages over the windows of a pool that divides all by the same number. */
void snn_rest_of_average(const snn_pool *pool, const snn_edge *from, snn_shape shape, float *rest);

/* A piece of a concatenation, or with `slice` of a slice, of `shape`: writes its channels, where there is something. */
void snn_rest_of_piece(const snn_piece *piece, const snn_slice *slice, const snn_edge *from, snn_shape shape,
                       float *rest);

/* A stage's bias and what its sources bring at rest, [h][w][c]. */
void snn_rest_of_stage(const snn_plan *plan, const snn_stage *stage, float *map);

#endif
