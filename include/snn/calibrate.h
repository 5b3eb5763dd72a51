/* Calibration: initial potentials from pictures, and the tables that hold them.
 *
 * A calibration is a set of tables for one network, each made for one neuron model, one init and one T: initial
 * potentials per layer, channel or neuron, in units of the threshold, and a factor for the threshold of each layer. It
 * is immutable, may be shared by any number of threads and sessions, and is freed by its owner after the last run that
 * uses it. A model file may carry tables of its own (snn_network_calibration); snn_run_table says which a run takes. */
#ifndef SNN_CALIBRATE_H
#define SNN_CALIBRATE_H

#include "snn/convert.h"
#include "snn/session.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum snn_granularity { SNN_GRAIN_LAYER, SNN_GRAIN_CHANNEL, SNN_GRAIN_NEURON } snn_granularity;

/* Which layers' neurons shift (Deng & Gu) in runs from a table. */
typedef enum snn_shift { SNN_SHIFT_NONE, SNN_SHIFT_ALL, SNN_SHIFT_FIT /* those that err less so */ } snn_shift;

typedef struct snn_calibrate_options {
  snn_init method;           /* weights, data, compensated or matched */
  snn_neuron neuron;         /* matched: soft reset without leak only */
  float tau;                 /* for neurons that leak */
  const uint32_t *timesteps; /* [n_timesteps], each 1..SNN_MAX_TIMESTEPS, none twice */
  size_t n_timesteps;
  snn_granularity granularity;
  bool plain_mean;     /* data: average all residual potentials, as IC-SNN's Algorithm 2 is printed; mostly worse */
  uint32_t rounds;     /* matched: times a layer is corrected, 1..16; 0: 2 */
  bool fit_thresholds; /* matched: find a threshold factor for each layer */
  snn_shift shift;     /* matched: layers that gain theta / 2T at every step, and start that much lower */
  uint32_t threads;    /* 0: the machine's */
  snn_progress_fn progress; /* NULL: none; called between layers */
  void *progress_context;
  const atomic_bool *cancel;    /* NULL: none; checked between pictures */
  const snn_courtesy *courtesy; /* NULL: stands back for nobody */
} snn_calibrate_options;

/* Would snn_calibrate take these options, given pictures? Errors: ARGUMENT (`where` names the option). */
snn_status snn_calibrate_check(const snn_calibrate_options *opt, snn_error *err);

/* Make a calibration from pictures: images [n][C,H,W] normalised, borrowed for the call.
 *
 *   weights      IC-SNN, Algorithm 1; needs no pictures (n may be 0); per layer. A run computes the same by itself
 *   data         IC-SNN, Algorithm 2: the SNN runs from v(0) = 0; the table is the mean of the potentials left at T,
 *                over all pictures and neurons of a grain that ended at 0 or above, 0 where none did. (Most neurons are
 *                driven below 0 and run far off; IC-SNN's derivation assumes a residual in [0, theta], and the plain
 *                mean destroys the network.)
 *   compensated  IC-SNN, Algorithm 3: `data` from v(0) = theta / 2T, then theta / 2T more
 *   matched      layer by layer, with the layers before already matched: v(0) = theta / 2 + T * mean(a_float -
 *                a_spiking), a_float the float activation clipped to theta, a_spiking the spike rate times theta of a
 *                run from theta / 2; repeated from there, `rounds` times in all (cf. Li et al. 2021, SNN Calibration).
 *                With `fit_thresholds` the layer's theta is scaled by the factor, of a ladder from 0.3 to 2.3, at which
 *                the matched layer's mean squared error (a_float - rate * theta)^2 over pictures and neurons is least:
 *                few steps want low thresholds, since theta / T is what one spike rounds to, many want high ones, since
 *                what lies above theta is cut off. Layers whose spikes meet before some neurons get one factor, that
 *                of the least sum over all layers of the error relative to the mean square of a_float. Layers with a
 *                `shift` start from 0 instead of theta / 2 before they are matched and gain theta / 2T at every step:
 *                they fire later, when more of their input has come, and so fewer spikes that cannot be taken back,
 *                but they also pass on later what came evenly. SNN_SHIFT_FIT lets those shift whose mean squared error
 *                after one round of matching is the less for it. Makes no difference to asg
 *
 * Answers do not depend on the number of threads, to the last bit. Errors: ARGUMENT (`where` names the option),
 * CANCELLED, NO_MEMORY, TOO_LARGE. */
snn_status snn_calibrate(const snn_network *net, const float *images, size_t n, const snn_calibrate_options *opt,
                         snn_calibration **out, snn_error *err);

void snn_calibration_free(snn_calibration *c);

/* How the spikes of a neuron layer stand for the float network's activations, over some pictures; all 0 for others. */
typedef struct snn_layer_match {
  float potential_min, potential_mean, potential_max; /* v(0), in units of theta */
  double residual; /* mean potential left at T, in units of theta; 0 for neurons that keep none (asg) */
  double error;    /* root mean square, over neurons and pictures, of the rate minus the activation clipped to theta and
                      in units of it: 0 were every activation expressed exactly */
} snn_layer_match;

/* Run pictures, images [n][C,H,W] normalised, through both networks and compare them layer by layer. Of `run` neuron,
 * tau, timesteps, init, calibration, cancel and courtesy count. threads 0: the machine's. out: [snn_network_layers],
 * caller-owned. Does not depend on the number of threads, to the last bit. Errors: ARGUMENT, CANCELLED, NO_MEMORY,
 * TOO_LARGE. */
snn_status snn_layers_match(const snn_network *net, const float *images, size_t n, const snn_run_options *run,
                            uint32_t threads, snn_layer_match *out, snn_error *err);

/* How it was made, a JSON object as text that files carry along; "{}" when unknown. Setting copies the text; it is for
 * the owner of a calibration just made, that nobody else uses yet. Errors: NO_MEMORY. */
snn_status snn_calibration_set_provenance(snn_calibration *c, const char *json, snn_error *err);
const char *snn_calibration_provenance(const snn_calibration *c);

/* Write a calibration file (core/model/README.md describes it), as snn_network_save does: whole or not at all, the same
 * bytes for the same tables. Errors: ARGUMENT (`where` is "model": its network was never saved, so nothing could bind
 * the file to it), TOO_LARGE, IO, NO_MEMORY. */
snn_status snn_calibration_save(const snn_calibration *c, const char *path, snn_error *err);

/* Load a calibration file for `net`; its values are used in place, so it must not be changed in place while the
 * calibration lives. The network is needed for the call only. Errors: ARGUMENT (`where` is "model": it was made for
 * another network, see snn_network_identity), IO, NOT_FOUND, FORMAT, UNSUPPORTED (a future version, an unknown
 * neuron or init), TOO_LARGE, NO_MEMORY. */
snn_status snn_calibration_load(const char *path, const snn_network *net, snn_calibration **out, snn_error *err);

/* The same from bytes in memory, which are *borrowed*: they must outlive the calibration and be aligned to 8 bytes. */
snn_status snn_calibration_load_memory(const void *bytes, size_t n_bytes, const snn_network *net, snn_calibration **out,
                                       snn_error *err);

/* What a model file is to recommend from now on; NULL and 0 leave what it recommends. */
typedef struct snn_embed_options {
  const snn_init
      *init; /* one that needs a table needs one for the recommended neuron among those the file then carries */
  uint32_t timesteps;
} snn_embed_options;

/* Write the model file `model` again as `output`, which may be the same, with the tables of `c` beside those it
 * carries; of two for the same neuron, init and T the new one stays. Everything else is copied byte for byte, so the
 * network stays the one that `c` and other calibrations were made for (snn_network_identity). Whole or not at all; the
 * same bytes for the same arguments. Errors: ARGUMENT (`where` is "model": another network; "init"), FORMAT, TOO_LARGE,
 * IO, NOT_FOUND, NO_MEMORY. */
snn_status snn_calibration_embed(const snn_calibration *c, const char *model, const char *output,
                                 const snn_embed_options *opt, snn_error *err);

/* 64 hex digits of the file it was loaded from; "" for one that was made. Borrowed. */
const char *snn_calibration_sha256(const snn_calibration *c);

/* The tables that a model file carries; borrowed from the network, NULL when there are none. */
const snn_calibration *snn_network_calibration(const snn_network *net);

/* What calibrations are bound to, 64 hex digits: the SHA-256 of the model file, or of the one that it was before tables
 * were embedded. "" before it was saved; borrowed. */
const char *snn_network_identity(const snn_network *net);

/* Was it made for this network (by SHA-256; unsaved networks are told apart by their layers)? A run checks it. */
bool snn_calibration_fits(const snn_calibration *c, const snn_network *net);

/* The tables of a calibration. */
typedef struct snn_calibration_table {
  snn_neuron neuron;
  snn_init init;
  uint32_t timesteps; /* T it was made for */
} snn_calibration_table;

size_t snn_calibration_tables(const snn_calibration *c);
snn_calibration_table snn_calibration_table_at(const snn_calibration *c, size_t i);

/* The table a run of (neuron, init, T) uses: that of the same neuron and init whose T is nearest on a logarithmic
 * scale, the smaller of two equally near. *table is its index. False when there is none. */
bool snn_calibration_find(const snn_calibration *c, snn_neuron neuron, snn_init init, uint32_t timesteps,
                          size_t *table);

/* The table that a run of these options starts from. */
typedef struct snn_table_choice {
  const snn_calibration *calibration;
  size_t table;
  snn_calibration_table key;
  bool is_embedded; /* of the model file */
} snn_table_choice;

/* Of the tables for its neuron and init, in its calibration and in the model file, a run takes the one whose T is
 * nearest on a logarithmic scale; of two equally near that of the calibration. So a calibration changes nothing at a T
 * for which the model has the better table. False where the init needs no table, or needs one and there is none. */
bool snn_run_table(const snn_network *net, const snn_run_options *run, snn_table_choice *out);

/* Threshold factors of a table, [layers of the network]: a run from it scales theta, the firing level and the amplitude
 * of neuron layer l by factor l, which costs nothing at run time; 1 for other layers. NULL when all are 1. With x_l the
 * factor of layer l and one factor x for all layers whose spikes meet before some neurons, that is the same as dividing
 * their currents by x: threshold x_l / x, bias and constant currents times 1 / x, weights as they are, and the
 * potentials, being in units of the scaled theta, stay. Borrowed. */
const float *snn_calibration_factors(const snn_calibration *c, size_t table);

/* Do any, or does this layer's, neurons shift (snn_run_options) in a run from this table, whether it asks for it or
 * not? A table in which any do decides for all layers. */
bool snn_calibration_shifts(const snn_calibration *c, size_t table);
bool snn_calibration_layer_shifts(const snn_calibration *c, size_t table, size_t layer);

/* Initial potentials of a neuron layer in a table, in units of the scaled theta: *n = 1 (layer), its channels, or its
 * neurons in [h][w][c] order. NULL for layers that are no neurons. Borrowed from the calibration. */
const float *snn_calibration_potentials(const snn_calibration *c, size_t table, size_t layer, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
