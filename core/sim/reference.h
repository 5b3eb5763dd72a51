/* The float network, run by our own code: what the SNN is compared with, and what thresholds are taken from. */
#ifndef SNN_SIM_REFERENCE_H
#define SNN_SIM_REFERENCE_H

#include "graph/graph.h"
#include "kernels/kernels.h"
#include "sim/stage.h"

/* Where each node's activation [h][w][c] lies in a workspace of `elements` floats. */
typedef struct snn_reference {
  const snn_network *net;
  size_t *offsets; /* [n_nodes], in floats */
  size_t elements;
} snn_reference;

snn_status snn_reference_create(const snn_network *net, snn_reference *out, snn_error *err);
void snn_reference_free(snn_reference *r);

/* Run one image [c][h][w]; workspace: caller-owned, r->elements floats. Called by every member of the team, which meets
 * at barriers inside. Afterwards node i's activation is at workspace + offsets[i]. Neurons act as ReLU, or Clip where
 * the source had one. */
void snn_reference_run(const snn_reference *r, const snn_kernels *kernels, snn_team team, const float *image,
                       float *workspace);

/* One node of it, this rank's share, once all before are done; the team must meet before the next one. */
void snn_reference_node(const snn_reference *r, const snn_kernels *kernels, snn_team team, uint32_t node,
                        const float *image, float *workspace);

/* Image [c][h][w] to a map [h][w][c], this rank's share. */
void snn_channels_last(snn_team team, snn_shape shape, const float *image, float *map);

#endif
