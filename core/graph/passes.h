/* Rewriting an imported graph before it is given thresholds. Each pass keeps the float network's answer. */
#ifndef SNN_GRAPH_PASSES_H
#define SNN_GRAPH_PASSES_H

#include "graph/graph.h"

/* Run all passes in their order, then drop what the output does not need:
 *  - a per-channel affine (a depthwise 1x1 convolution, as BatchNormalization is imported) behind a convolution is
 * folded into it;
 *  - a MaxPool behind neurons that nothing else reads moves before them (maximum and ReLU commute), where it pools the
 *    cumulated current;
 *  - layers that no path leads from to the output vanish.
 * The network must not be finished yet. Errors: NO_MEMORY, FORMAT (from snn_graph_add). */
snn_status snn_graph_rewrite(snn_network *net, snn_error *err);

#endif
