/* Probes: what every layer of neurons does in a run, beside the float network on the same pictures.
 *
 * A probe belongs to one network and is used by one thread at a time; it runs a session of its own. It keeps sums and
 * no activations: memory does not grow with the pictures. Answers do not depend on threads, to the last bit, nor on how
 * the pictures are dealt out to calls as long as their order is the same. */
#ifndef SNN_PROBE_H
#define SNN_PROBE_H

#include "snn/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct snn_probe snn_probe;

/* One layer after so many steps, over all its neurons on all pictures so far. The activation x of a spiking neuron is
 * its rate (spikes / steps, taken-back ones subtracted) times what a spike is worth (theta, in converted networks); y
 * is the float network's, which is not clipped at theta. NAN stands for what is not known. */
typedef struct snn_probed {
  size_t layer;    /* index in the network */
  bool is_readout; /* the last entry: x and y are the scores; all that is about spikes is NAN */
  uint32_t timesteps;
  uint64_t pictures;
  double correlation;  /* Pearson's, of x and y; NAN where one of them does not vary */
  double mean_error;   /* of x - y */
  double rms_error;    /* of x - y */
  double float_rms;    /* of y: the unit in which errors of different layers compare */
  double rate;         /* spikes of either sign a neuron and step */
  double first_spike;  /* mean step of the first spike of those neurons that fired (IC-SNN, Fig. 6); NAN for asg */
  double silent;       /* share of the neurons that did not fire */
  double quantisation; /* srif-mpr: mean over neurons and steps of (u - s)^2, u the potential presented to the threshold
                          and s the spike, in units of theta, for u as it is (InfLoR-SNN eq. 9, Table 3) ... */
  double rectified;    /* ... and as the rectifier presents it; NAN for other neurons */
} snn_probed;

/* Make a probe for runs like `run`, whose checkpoints (NULL: its timesteps alone) are the steps to look at; where a run
 * does not go through the others' answers (snn_run_is_cumulative), each has a run of its own. `net` and the run's
 * calibration are borrowed until snn_probe_free; `opt` as for snn_session_create. Errors: ARGUMENT, NO_MEMORY,
 * TOO_LARGE. */
snn_status snn_probe_create(const snn_network *net, const snn_session_options *opt, const snn_run_options *run,
                            snn_probe **out, snn_error *err);
void snn_probe_free(snn_probe *p);

/* Run n more pictures [n][C,H,W]; numbers [n]: what tells them apart for a random encoding, NULL: their place among all
 * pictures. A run's early stop and budget do not count: every picture has all its steps. Errors: as snn_session_run;
 * after one only snn_probe_free may follow. */
snn_status snn_probe_run(snn_probe *p, const float *images, const uint32_t *numbers, size_t n, snn_error *err);

/* Entries a checkpoint has: the layers of neurons in their order, then the readout. */
size_t snn_probe_entries(const snn_probe *p);

/* Entry `entry` after checkpoint `row`. */
snn_probed snn_probe_read(const snn_probe *p, size_t row, size_t entry);

#ifdef __cplusplus
}
#endif
#endif
