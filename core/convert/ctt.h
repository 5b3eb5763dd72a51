/* Channel-wise threshold training. */
#ifndef SNN_CONVERT_CTT_H
#define SNN_CONVERT_CTT_H

#include "graph/graph.h"
#include "snn/convert.h"

/* Train one threshold a channel (Yan, Zhou & Wong, Algorithm 2), for runs of `if` over opt's recommended timesteps (or
 * the network's) from its recommended init, on at most SNN_CTT_PICTURES of opt's pictures. The network has thresholds
 * by another rule, which stay what a spike is worth; its potentials then fire at, and are reset by, the trained ones.
 * Errors: IO, FORMAT (naming the picture), CANCELLED, TOO_LARGE, NO_MEMORY. */
snn_status snn_ctt_train(snn_network *net, const snn_convert_options *opt, snn_error *err);

enum { SNN_CTT_PICTURES = 200, SNN_CTT_ROUNDS = 8 };

/* One step of the training. A channel fired `fired` spikes where the averaging neuron fired `wanted`: theta - rate *
 * (wanted - fired), with a rate of theta / wanted and halved, within a quarter and four times `base`. */
float snn_ctt_step(float theta, float base, double fired, double wanted);

#endif
