/* Which layers' spikes meet. */
#ifndef SNN_CALIBRATE_MEET_H
#define SNN_CALIBRATE_MEET_H

#include "graph/graph.h"

/* meets[n_nodes]: true for neuron layers whose spikes reach, through synapses, pools, additions and concatenations,
 * some node together with spikes of another neuron layer. Errors: NO_MEMORY. */
snn_status snn_layers_that_meet(const snn_network *net, bool *meets, snn_error *err);

#endif
