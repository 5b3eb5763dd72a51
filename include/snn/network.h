/* A network: an immutable graph of synapses and neurons with its weights, thresholds and metadata.
 *
 * An snn_network is created by loading a model file (snn_network_load) or by conversion (convert.h). It never changes
 * afterwards, so any number of threads and sessions may read it at the same time. The one who created it frees it,
 * after every session made from it is gone. Strings and arrays returned here are *borrowed*: they live as long as the
 * network. */
#ifndef SNN_NETWORK_H
#define SNN_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct snn_network snn_network;

/* Channels, rows, columns. A vector is {n, 1, 1}. */
typedef struct snn_shape {
  uint32_t c, h, w;
} snn_shape;

/* Elements of a shape; validated networks keep it below 2^31. */
static inline size_t snn_shape_size(snn_shape s) {
  return (size_t)s.c * s.h * s.w;
}

enum { SNN_MAX_CHANNELS_IN = 64 }; /* channels an input image may have */

/* How pixels become the network's input: x = (pixel / 255 - mean[c]) / std[c]. Other picture sizes are resampled by
 * area to H x W; transparent pixels lie over `background` (0 black .. 255 white). See image.h. */
typedef struct snn_preprocess {
  float mean[SNN_MAX_CHANNELS_IN];
  float std[SNN_MAX_CHANNELS_IN];
  uint8_t background;
} snn_preprocess;

typedef enum snn_layer_kind {
  SNN_LAYER_INPUT,   /* the image */
  SNN_LAYER_CONV,    /* convolution or fully connected synapses (a fully connected layer is a convolution over the whole
                        map) */
  SNN_LAYER_AVGPOOL, /* linear: averages */
  SNN_LAYER_MAXPOOL, /* maximum of the cumulated current */
  SNN_LAYER_ADD,     /* currents of several branches add */
  SNN_LAYER_CONCAT,  /* channels of several layers side by side, in the order of the inputs */
  SNN_LAYER_SLICE,   /* a piece of a layer: some channels, every so many rows and columns, zeros around */
  SNN_LAYER_NEURON,  /* spiking neurons (a ReLU or Clip of the source network) */
  SNN_LAYER_CONSTANT, /* a map of numbers that reads nothing, such as a bias that depends on the position */
  SNN_LAYER_KIND_COUNT
} snn_layer_kind;

/* One layer as inspection shows it. */
typedef struct snn_layer_info {
  const char *name; /* borrowed; unique among neuron layers and among the others */
  snn_layer_kind kind;
  snn_shape shape;        /* of its output */
  const uint32_t *inputs; /* borrowed; indices of the layers it reads, all smaller than its own */
  size_t n_inputs;
  uint64_t parameters;    /* weights and biases */
  uint64_t macs;          /* multiply-accumulates of one float pass (or of one time step, were every input to fire) */
  const float *threshold; /* neurons: theta, in units of the source network's activation; NULL for others */
  size_t n_threshold;     /* 1 (per layer) or shape.c (per channel) */
  float clip;             /* neurons: upper bound of the source activation, INFINITY for a plain ReLU */
  uint32_t levels;        /* neurons: steps of a quantised source activation between 0 and clip; 0: continuous */
} snn_layer_info;

/* Load a model file (core/model/README.md describes it). The file is mapped read-only and its F32 tensors are used in
 * place; it must not be changed in place while the network lives (replace it by rename). Errors: IO, FORMAT,
 * UNSUPPORTED (a future format version), TOO_LARGE, NO_MEMORY. Peak memory stays below twice the file's size plus a
 * constant. */
snn_status snn_network_load(const char *path, snn_network **out, snn_error *err);

/* The same from bytes in memory, which are *borrowed*: they must outlive the network and be aligned to 8 bytes. */
snn_status snn_network_load_memory(const void *bytes, size_t n_bytes, snn_network **out, snn_error *err);

/* Calls `drop` for each range of a loaded network's bytes that it has in another form (weights that were not stored as
 * F32) and will not read again: at once, and later, from whichever thread, when more weights have become floats. */
void snn_network_spare(const snn_network *net, void (*drop)(const void *bytes, size_t n_bytes));

/* How weights are stored in a file. F16 and I8 (with one scale per output channel) round them; thresholds and biases
 * stay F32. */
typedef enum snn_weight_format { SNN_WEIGHTS_F32, SNN_WEIGHTS_F16, SNN_WEIGHTS_I8 } snn_weight_format;

/* Write a model file: to a temporary name beside `path`, flushed, then renamed over it, so a reader sees the old file
 * or the new one whole. Nothing is left behind on failure. Errors: IO, NO_MEMORY. */
snn_status snn_network_save(const snn_network *net, const char *path, snn_weight_format weights, snn_error *err);

/* Free a network; NULL is allowed. No session made from it may be alive. */
void snn_network_free(snn_network *net);

const char *snn_network_name(const snn_network *net);   /* given at conversion; "" when there is none */
const char *snn_network_sha256(const snn_network *net); /* 64 hex digits of the model file; "" before it was saved */
snn_shape snn_network_input(const snn_network *net);    /* C, H, W of one image */
const snn_preprocess *snn_network_preprocess(const snn_network *net);
size_t snn_network_classes(const snn_network *net);                        /* scores per image */
const char *snn_network_label(const snn_network *net, size_t class_index); /* NULL when the model has no labels */
float snn_network_output_threshold(const snn_network *net); /* theta of the last layer's neurons under readout `count`;
                                                               0: none, the readout is not to be had */
size_t snn_network_layers(const snn_network *net);          /* layers in topological order; layer 0 is the input */
snn_layer_info snn_network_layer(const snn_network *net, size_t layer); /* layer < snn_network_layers */
uint64_t snn_network_neurons(const snn_network *net);                   /* spiking neurons in all layers */
uint64_t snn_network_macs(const snn_network *net);                      /* multiply-accumulates of one float pass */
const char *snn_network_provenance(
    const snn_network *net); /* how it was made: a JSON object as text; "{}" when unknown */

const char *snn_layer_kind_name(snn_layer_kind kind); /* "conv", "neuron", ...; static */

#ifdef __cplusplus
}
#endif
#endif
