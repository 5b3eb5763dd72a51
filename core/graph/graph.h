/* The network inside the library: nodes in topological order, with their weights and metadata.
 *
 * Built by one of two writers (the ONNX importer, the model file reader), both through snn_graph_add, which validates a
 * node and infers its shape: nothing else checks a graph, and nothing reads one that was not checked. After
 * snn_graph_finish it never changes. All tensors are channel-last: an activation is [h][w][c], convolution weights are
 * HWIO. */
#ifndef SNN_GRAPH_GRAPH_H
#define SNN_GRAPH_GRAPH_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/digest.h"
#include "base/file.h"
#include "base/memory.h"
#include "snn/network.h"
#include "snn/session.h"

enum {
  SNN_MAX_NODES = 4096,
  SNN_MAX_NODE_INPUTS = 64,
  SNN_MAX_NAME = 256,        /* bytes of a layer's or label's name */
  SNN_MAX_DIMENSION = 65536, /* channels, rows or columns of one layer; kernel extents, strides, pads */
  SNN_MAX_CLASSES = 65536
};
#define SNN_MAX_LAYER_ELEMENTS ((size_t)1 << 28) /* activations of one layer, and weights of one layer */

/* Extents shared by convolution and pooling. */
typedef struct snn_window {
  uint32_t kernel_h, kernel_w;
  uint32_t stride_h, stride_w;
  uint32_t pad_top, pad_left, pad_bottom, pad_right;
  uint32_t dilation_h, dilation_w;
} snn_window;

typedef struct snn_conv {
  snn_window window;
  uint32_t groups;
  const float *weights; /* HWIO: [kernel_h][kernel_w][in channels / groups][out channels] */
  const float *bias;    /* [out channels], never NULL */
} snn_conv;

typedef struct snn_pool {
  snn_window window;
  bool count_include_pad; /* average: padding counts in the divisor */
} snn_pool;

/* A piece of another layer. Along each axis element i is 0 for i < pad, then input element start + (i - pad) * step,
 * and 0 again where that lies behind the input. How far it goes is the node's shape, which is given. */
typedef struct snn_slice {
  uint32_t start[3], pad[3]; /* channels, rows, columns; start lies in the input, pad in the output */
  uint32_t step[2];          /* rows, columns; channels are taken one after the other */
} snn_slice;

/* Spiking neurons, and the activation of the float network they stand for: min(max(x, 0), clip), or with levels L > 0
 * and step = clip / L its quantised form  step * min(max(floor(x / step + rounding), 0), L). Arrays have n entries, 1
 * (per layer) or the layer's channels. Before thresholds are known n is 0. */
typedef struct snn_neurons {
  float clip;      /* upper bound of the source activation; INFINITY for a plain ReLU */
  uint32_t levels; /* steps of a quantised source activation; 0: continuous */
  float rounding;  /* in steps, [0, 1): 0 rounds down, 1/2 to the nearest; 0 without levels */
  uint32_t n;
  const float *theta;     /* amount subtracted at a soft reset; the unit of potentials */
  const float *fire;      /* level that fires; = theta unless the file says otherwise (may be the same pointer) */
  const float *amplitude; /* what a spike sends on; = theta unless the file says otherwise (may be the same pointer) */
  const float *activation_max; /* largest source activation seen at conversion, [n]; NULL when not recorded */
} snn_neurons;

typedef struct snn_node {
  const char *name;
  snn_layer_kind kind;
  uint32_t n_inputs;
  const uint32_t *inputs;
  uint32_t n_readers; /* inputs of later nodes that are this one; kept by snn_graph_add */
  snn_shape shape;    /* inferred by snn_graph_add; given for the input node, a constant, a slice,
                               and a convolution's channels */
  union {
    snn_conv conv;       /* SNN_LAYER_CONV */
    snn_pool pool;       /* SNN_LAYER_AVGPOOL, SNN_LAYER_MAXPOOL */
    snn_slice slice;     /* SNN_LAYER_SLICE */
    snn_neurons neurons; /* SNN_LAYER_NEURON */
    const float *values; /* SNN_LAYER_CONSTANT: [h][w][c] */
  };
} snn_node;

/* What a model file recommends to a user who sets nothing. */
typedef struct snn_recommended {
  uint32_t timesteps;
  snn_init init;
  snn_neuron neuron;
  float tau;
  uint32_t shift;
} snn_recommended;

/* What sessions make of a network once and share; made and freed by those who know what it is. */
typedef struct snn_shared {
  pthread_mutex_t lock;
  void *value; /* NULL until it is made */
  void (*free)(void *value);
  snn_error refusal;      /* why it cannot be made: UNSUPPORTED once that is known, else OK */
  atomic_bool has_floats; /* weights that the file holds in fewer bits are floats by now (stored.h) */
  void (*drop)(const void *bytes, size_t n_bytes); /* what to do with their bytes then; may be NULL */
} snn_shared;

typedef struct snn_stored snn_stored; /* stored.h */

/* Bytes of a model file that the network has in another form. */
typedef struct snn_spare {
  const uint8_t *bytes;
  size_t n_bytes;
  struct snn_spare *next;
} snn_spare;

struct snn_network {
  snn_arena arena;     /* owns all that nodes and metadata point to, unless it lies in the mapping */
  snn_mapping mapping; /* of the model file, when loaded from one */
  char *name;
  char sha256[SNN_SHA256_HEX];         /* of the model file */
  char network_sha256[SNN_SHA256_HEX]; /* of the model file before tables were embedded: what calibrations are bound to
                                        */
  snn_calibration *calibration;        /* tables embedded in the model file; NULL: none */
  snn_preprocess preprocess;
  char **labels; /* [n_labels] or NULL */
  size_t n_labels;
  char *provenance; /* JSON object */
  snn_recommended recommended;
  float output_threshold; /* theta of the last layer, where it is to fire (readout `count`); 0: none */
  snn_node *nodes;
  uint32_t n_nodes, capacity;
  snn_spare *spares;
  snn_stored *stored;
  snn_shared *shared; /* its own: changes behind its lock while the network does not */
};

/* A new empty network with default metadata (mean 0, std 1, T 32, init half, provenance {}); NULL when out of memory.
 */
snn_network *snn_network_new(void);

/* Append a node: check its kind, inputs, extents and (where set) tensors, infer its shape, copy the struct with its
 * name and input list into the arena. Tensors stay where they are: they must live in the network's arena or mapping.
 * Names are made unique by nobody: a duplicate is an error. Weights and bias must be finite, theta finite and > 0.
 * *index (may be NULL) receives its place. Errors: FORMAT (`where` is the node's name), TOO_LARGE, NO_MEMORY. */
snn_status snn_graph_add(snn_network *net, const snn_node *node, uint32_t *index, snn_error *err);

/* Check the whole: one input node at 0, every node used, the last node the only output, of shape {classes,1,1} and not
 * a neuron; labels fit; with `need_thresholds` every neuron layer has them. Errors: FORMAT. */
snn_status snn_graph_finish(snn_network *net, bool need_thresholds, snn_error *err);

/* Forget what sessions have made of the network, none of which may be left, because it changes: snn_graph_finish and
 * snn_graph_rewrite do. */
void snn_graph_forget_forms(snn_network *net);

/* Output extent of a window over an input extent; false when the window does not fit. */
bool snn_window_output(const snn_window *w, uint32_t in_h, uint32_t in_w, uint32_t *out_h, uint32_t *out_w);

#endif
