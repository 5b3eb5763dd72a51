/* The words of the model file format, shared by its reader and its writer; README.md says what they mean. */
#ifndef SNN_MODEL_FORMAT_H
#define SNN_MODEL_FORMAT_H

#include "graph/graph.h"
#include "model/json.h"
#include "model/safetensors.h"

/* The newest version this build reads. What it writes has version 1 where a program of that version would read it
 * rightly, and 2 where the file carries tables or recommends a shift. */
enum { SNN_MODEL_VERSION = 2 };

/* A larger file is refused before it is mapped. */
#define SNN_MAX_MODEL_BYTES ((size_t)1 << 32)

/* keys of __metadata__ */
#define SNN_KEY_VERSION     "spiked.format_version"
#define SNN_KEY_NAME        "spiked.name"
#define SNN_KEY_GRAPH       "spiked.graph"
#define SNN_KEY_PREPROCESS  "spiked.preprocess"
#define SNN_KEY_LABELS      "spiked.labels"
#define SNN_KEY_RECOMMENDED "spiked.recommended"
#define SNN_KEY_READOUT     "spiked.readout"
#define SNN_KEY_PROVENANCE  "spiked.provenance"
#define SNN_KEY_IDENTITY    "spiked.network_sha256"
#define SNN_KEY_CALIBRATION "spiked.calibration" /* in calibration files too */

/* what follows a layer's name in a tensor's name */
#define SNN_TENSOR_WEIGHT         ".weight"
#define SNN_TENSOR_SCALE          ".weight.scale"
#define SNN_TENSOR_BIAS           ".bias"
#define SNN_TENSOR_THRESHOLD      ".threshold"
#define SNN_TENSOR_FIRE           ".fire"
#define SNN_TENSOR_AMPLITUDE      ".amplitude"
#define SNN_TENSOR_ACTIVATION_MAX ".activation_max"
#define SNN_TENSOR_VALUE          ".value"

enum { SNN_MAX_TENSOR_NAME = SNN_MAX_NAME + 32 }; /* a layer's name and the longest ending */

/* Channels that `preprocess` lists: those of an image; a long input vector has more, which are left as they come. The
 * network has its input layer. */
static inline uint32_t snn_preprocess_channels(const snn_network *net) {
  uint32_t c = net->nodes[0].shape.c;
  return c < SNN_MAX_CHANNELS_IN ? c : SNN_MAX_CHANNELS_IN;
}

/* Add the layers of `spiked.graph`, the JSON array `graph`, at least one, to an empty network whose tensors are in
 * `file`; F32 tensors are used where they lie. Errors: FORMAT and UNSUPPORTED (`where` names the layer or tensor),
 * TOO_LARGE, NO_MEMORY; the network is then fit for freeing only. */
snn_status snn_model_read_graph(snn_network *net, const snn_safetensors *file, const json_t *graph, snn_error *err);

#endif
