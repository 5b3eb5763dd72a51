/* What operator handlers see of a running import: values, the network under construction, and helpers.
 *
 * Every value of the ONNX graph is a constant or an activation. An activation is one layer of the network seen through
 * an ONNX shape (its view), so Flatten, Reshape, Dropout and the like cost nothing. Layers keep their [C,H,W] shape;
 * ONNX order (C, then H, then W) is what a view counts in. Internal to core/onnx. */
#ifndef SNN_ONNX_IMPORT_H
#define SNN_ONNX_IMPORT_H

#include "base/error.h"
#include "onnx/tensor.h"

enum {
  ONNX_NO_NODE = UINT32_MAX,
  ONNX_LABEL = 96,       /* bytes of a node's name in messages */
  ONNX_MAX_EXTERNAL = 16 /* external data files of one model */
};

typedef struct onnx_activation {
  uint32_t layer; /* in the network */
  bool shared;    /* something else reads this layer too, through another value */
  uint32_t rank;  /* of the view; dims[0] is ONNX_BATCH, the product of the others is the layer's size */
  int64_t dims[ONNX_MAX_RANK];
  double offset; /* what is added to every element of the layer; the next Conv or Gemm takes it in (ops_quantised.c) */
  uint32_t pad_top, pad_left, pad_bottom, pad_right; /* zeros around that sum which the next Conv or pooling takes in */
} onnx_activation;

typedef struct onnx_value {
  onnx_slice name;
  uint32_t producer;              /* node that makes it, or ONNX_NO_NODE */
  uint32_t n_uses;                /* reads by nodes that matter, and by the graph's output */
  uint32_t reader;                /* a node that reads it: the only one where n_uses is 1 and it is no output */
  bool needed, is_output;         /* the graph's output depends on it; it is the output */
  const onnx_tensor *initializer; /* or NULL */
  onnx_const *constant;           /* at most one of these two is set, once known */
  onnx_activation *activation;
} onnx_value;

/* Names given to layers, each with the next "_k" to try. Neurons and the others have a space each. */
typedef struct onnx_name {
  const char *text; /* NULL: free slot */
  bool neuron;
  uint32_t next;
} onnx_name;

struct onnx_import {
  snn_network *net;  /* under construction */
  snn_arena scratch; /* freed when the import ends */
  snn_error *err;
  onnx_model model;
  size_t budget;      /* bytes that folding and weights may still take */
  int64_t batch;      /* declared batch size; <= 0: dynamic */
  const char *folder; /* of external data; NULL: refused */
  onnx_value *values;
  uint32_t n_values;
  uint32_t *order; /* nodes in topological order, one entry each */
  bool *done;      /* by place in the file: it became part of an earlier node's layer, or is a constant known already */
  uint32_t *slots; /* hash table of value indices + 1, n_slots a power of two */
  uint32_t n_slots;
  onnx_name *names; /* hash table, n_names a power of two */
  uint32_t n_names;
  struct {
    onnx_slice location;
    snn_mapping mapping;
  } external[ONNX_MAX_EXTERNAL];
  uint32_t n_external;
};

/* Constants in, constant out: in[i] is NULL for an omitted input, there are node->n_inputs of them. */
typedef snn_status (*onnx_fold_fn)(onnx_import *im, const onnx_node *node, const onnx_const *const *in,
                                   onnx_const *out);
typedef snn_status (*onnx_apply_fn)(onnx_import *im, const onnx_node *node);

/* One line of the operator table (operators.c). */
typedef struct onnx_operator {
  const char *name;
  uint32_t min_inputs, max_inputs;
  onnx_apply_fn apply; /* at least one input is an activation; NULL: only constants are supported */
  onnx_fold_fn fold;   /* all inputs are constants; NULL: never folds */
  const char *needed;  /* where it is not supported: what would be needed */
} onnx_operator;

/* The table's line for an operator, or NULL. */
const onnx_operator *snn_onnx_operator(onnx_slice name);

/* ---- errors: `where` is the node's name, "Conv #3" when it has none ---- */
void snn_onnx_label(const onnx_node *node, char out[ONNX_LABEL]);
snn_status snn_onnx_fail(onnx_import *im, const onnx_node *node, snn_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* UNSUPPORTED: "operator X (opset N) is not supported <format>". */
snn_status snn_onnx_unsupported(onnx_import *im, const onnx_node *node, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A slice as printable text in buf, for messages. */
const char *snn_onnx_text(onnx_slice s, char *buf, size_t n_buf);

/* Take bytes off the import's budget, which grows with the file: a small file cannot ask for much memory. */
snn_status snn_onnx_spend(onnx_import *im, const onnx_node *node, size_t bytes);

/* ---- reading a node's inputs ---- */
onnx_value *snn_onnx_input(onnx_import *im, const onnx_node *node, uint32_t i); /* NULL: omitted */
/* The constant at input i; *out = NULL when it is omitted. Errors: UNSUPPORTED when it is computed at run time. */
snn_status snn_onnx_constant(onnx_import *im, const onnx_node *node, uint32_t i, const onnx_const **out);
/* What a caller takes in itself of what waits on an activation; the rest becomes layers of its own. */
enum { ONNX_PADS = 1, ONNX_OFFSET = 2 };
/* The activation at input i. */
snn_status snn_onnx_get_activation(onnx_import *im, const onnx_node *node, uint32_t i, unsigned takes,
                                   const onnx_activation **out);
/* The same, which must be seen as the map it is: [N,C,H,W]. */
snn_status snn_onnx_get_map(onnx_import *im, const onnx_node *node, uint32_t i, unsigned takes,
                            const onnx_activation **out);
/* Output 0 is read by what the graph's output depends on. */
bool snn_onnx_wanted(onnx_import *im, const onnx_node *node);
/* Output 0 is the graph's output and nothing else reads it. */
bool snn_onnx_is_last(onnx_import *im, const onnx_node *node);
/* What output 0 has become; NULL before that. */
const onnx_activation *snn_onnx_result(onnx_import *im, const onnx_node *node);
bool snn_onnx_is_constant(onnx_import *im, const onnx_node *node, uint32_t i);
/* Nothing but input i of this node reads the layer behind it. */
bool snn_onnx_exclusive(onnx_import *im, const onnx_node *node, uint32_t i, const onnx_activation *a);
snn_shape snn_onnx_shape(const onnx_import *im, const onnx_activation *a); /* of its layer */
const snn_node *snn_onnx_layer(const onnx_import *im, const onnx_activation *a);

/* ---- attributes; absent ones give the default ---- */
snn_status snn_onnx_get_int(onnx_import *im, const onnx_node *node, const char *name, int64_t absent, int64_t *out);
snn_status snn_onnx_get_float(onnx_import *im, const onnx_node *node, const char *name, float absent, float *out);
snn_status snn_onnx_get_text(onnx_import *im, const onnx_node *node, const char *name, onnx_slice *out);
/* INTS of at most ONNX_MAX_RANK entries; *given says whether the attribute is there. */
snn_status snn_onnx_get_ints(onnx_import *im, const onnx_node *node, const char *name, int64_t out[ONNX_MAX_RANK],
                             uint32_t *n, bool *given);
/* Axes and the like, an attribute in old opsets and a constant input in new ones: input i wins where the node has one.
 */
snn_status snn_onnx_get_list(onnx_import *im, const onnx_node *node, const char *name, uint32_t i,
                             int64_t out[ONNX_MAX_RANK], uint32_t *n, bool *given);

/* ---- producing output 0 ---- */
/* Append a layer (its name is chosen here, `weight` may be empty) and make it the node's output, seen as `view`; a NULL
 * view is the layer's own map. */
snn_status snn_onnx_emit(onnx_import *im, const onnx_node *node, snn_node *layer, onnx_slice weight,
                         const onnx_activation *view);
/* Output 0 is input i, possibly seen differently. */
snn_status snn_onnx_alias(onnx_import *im, const onnx_node *node, uint32_t i, const onnx_activation *seen);
/* Output 0, which is a layer by now, has this offset. */
void snn_onnx_set_offset(onnx_import *im, const onnx_node *node, double offset);
snn_status snn_onnx_set_constant(onnx_import *im, const onnx_node *node, const onnx_const *c);
/* Floats in the network's arena, charged to the budget. */
snn_status snn_onnx_floats(onnx_import *im, const onnx_node *node, size_t n, float **out);
/* Doubles for the import only, zeros, charged likewise. */
snn_status snn_onnx_numbers(onnx_import *im, const onnx_node *node, uint32_t n, double **out);
/* Name of the next layer, unique in its space; written to buf. In names.c. */
snn_status snn_onnx_name_layer(onnx_import *im, const onnx_node *node, const snn_node *layer, onnx_slice weight,
                               char buf[SNN_MAX_NAME]);

/* ---- shared by operators ---- */
/* axis in [-rank, rank) to [0, rank). */
bool snn_onnx_axis(int64_t axis, uint32_t rank, uint32_t *out);
/* New shape of Squeeze and Unsqueeze; `axes` may be NULL for a Squeeze of every 1. In fold.c. */
snn_status snn_onnx_squeeze_dims(onnx_import *im, const onnx_node *node, const int64_t *axes, uint32_t n_axes,
                                 uint32_t *rank, int64_t dims[ONNX_MAX_RANK]);
snn_status snn_onnx_unsqueeze_dims(onnx_import *im, const onnx_node *node, const int64_t *axes, uint32_t n_axes,
                                   uint32_t *rank, int64_t dims[ONNX_MAX_RANK]);
/* first, first + step, ... of one dimension, count of them, all within it. */
typedef struct onnx_range {
  int64_t first, count, step;
} onnx_range;
/* What a Slice takes of each of `rank` dimensions, as ONNX clamps it; steps are not 0. In fold_index.c. */
snn_status snn_onnx_slice_ranges(onnx_import *im, const onnx_node *node, uint32_t rank, const int64_t *dims,
                                 onnx_range ranges[ONNX_MAX_RANK]);
/* Turn the zeros that wait around a value into a layer; its activation is that layer then. In ops_piece.c. */
snn_status snn_onnx_settle_pads(onnx_import *im, onnx_value *value);
/* A depthwise 1x1 convolution: y[c] = scale[c] * x[c] + bias[c], seen as `a` is. scale, bias: [C] in the network's
 * arena. In ops_linear.c. */
snn_status snn_onnx_emit_affine(onnx_import *im, const onnx_node *node, const onnx_activation *a, const float *scale,
                                const float *bias, onnx_slice weight);

/* Add a bias by channel to input i, which becomes output 0: into the convolution that makes it, if nothing else reads
 * that. In ops_elementwise.c, like the bounds of a Clip. */
snn_status snn_onnx_add_bias(onnx_import *im, const onnx_node *node, uint32_t i, const onnx_activation *a,
                             const double *bias);
snn_status snn_onnx_clip_bounds(onnx_import *im, const onnx_node *node, double *low, double *high);
/* A run of nodes from `head` on that quantises an activation becomes a layer: *taken, with all of them done. In
 * ops_quantised.c, like the next two. Errors: UNSUPPORTED (a rounding without bounds). */
snn_status snn_onnx_quantised(onnx_import *im, const onnx_node *head, bool *taken);
/* Turn the offset that waits on a value into a layer; its activation is that layer then. */
snn_status snn_onnx_settle_offset(onnx_import *im, onnx_value *value);
/* Output 0 is a convolution, just emitted, of a layer with this offset: take it into its bias, or, where zeros lie
 * around that layer, into a constant map beside it. */
snn_status snn_onnx_absorb_offset(onnx_import *im, const onnx_node *node, double offset);

/* What the file's metadata says of the neurons and how to run them. The network is complete. In metadata.c. Errors:
 * FORMAT, UNSUPPORTED (`where` is the key). */
snn_status snn_onnx_apply_metadata(onnx_import *im);

/* ---- handlers, by file ---- */
/* ops_linear.c */
snn_status snn_onnx_conv(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_gemm(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_matmul(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_batch_norm(onnx_import *im, const onnx_node *node);
/* ops_pool.c */
snn_status snn_onnx_average_pool(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_max_pool(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_global_average_pool(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_global_max_pool(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_reduce_mean(onnx_import *im, const onnx_node *node);
/* The window of a Conv or a pooling over `a`: strides, pads (pending ones of `a` included) and dilations. */
snn_status snn_onnx_window(onnx_import *im, const onnx_node *node, const onnx_activation *a, uint32_t kernel_h,
                           uint32_t kernel_w, snn_window *out);
/* ops_shape.c */
snn_status snn_onnx_flatten(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_reshape(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_squeeze(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_unsqueeze(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_shape_of(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_transpose(onnx_import *im, const onnx_node *node);
/* ops_piece.c */
snn_status snn_onnx_concat(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_slice(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_split(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_pad(onnx_import *im, const onnx_node *node);
/* ops_elementwise.c */
snn_status snn_onnx_relu(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_clip(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_identity(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_dropout(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_cast(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_softmax(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_sum(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_sub(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_mul(onnx_import *im, const onnx_node *node);
snn_status snn_onnx_div(onnx_import *im, const onnx_node *node);
/* fold.c, fold_index.c */
/* Inputs 0..n-1 are there. Errors: FORMAT. */
snn_status snn_onnx_need_constants(onnx_import *, const onnx_node *, const onnx_const *const *, uint32_t n);
snn_status snn_onnx_fold_constant(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_fill(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_shape(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_identity(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_cast(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_reshape(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_flatten(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_squeeze(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_unsqueeze(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_arithmetic(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_gather(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_slice(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_concat(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);
snn_status snn_onnx_fold_transpose(onnx_import *, const onnx_node *, const onnx_const *const *, onnx_const *);

#endif
