/* ONNX messages as structs: what of ModelProto, GraphProto, NodeProto, TensorProto and AttributeProto an importer
 * reads.
 *
 * Invariant: every slice is borrowed from the file's bytes; arrays lie in the caller's arena and are counted against
 * the limits below before they are allocated. Says nothing about what operators mean. */
#ifndef SNN_ONNX_PROTO_H
#define SNN_ONNX_PROTO_H

#include "base/memory.h"
#include "graph/graph.h"
#include "onnx/wire.h"

enum {
  ONNX_MAX_RANK = 8,
  ONNX_MAX_NODES = 4 * SNN_MAX_NODES, /* many ONNX nodes are constants and shape arithmetic */

  ONNX_MAX_PROPERTIES = 4096,
  ONNX_MAX_NODE_VALUES = SNN_MAX_NODE_INPUTS /* inputs, and outputs, of one node */
};

/* TensorProto.DataType; the ones constants may have. */
typedef enum onnx_type {
  ONNX_FLOAT = 1,
  ONNX_UINT8 = 2,
  ONNX_INT8 = 3,
  ONNX_INT32 = 6,
  ONNX_INT64 = 7,
  ONNX_BOOL = 9,
  ONNX_FLOAT16 = 10,
  ONNX_DOUBLE = 11
} onnx_type;

/* AttributeProto.AttributeType */
typedef enum onnx_attribute_type {
  ONNX_ATTRIBUTE_FLOAT = 1,
  ONNX_ATTRIBUTE_INT = 2,
  ONNX_ATTRIBUTE_STRING = 3,
  ONNX_ATTRIBUTE_TENSOR = 4,
  ONNX_ATTRIBUTE_FLOATS = 6,
  ONNX_ATTRIBUTE_INTS = 7
} onnx_attribute_type;

typedef struct onnx_tensor {
  onnx_slice message; /* the whole TensorProto: typed data fields are read from here on demand */
  onnx_slice name;
  int64_t type;
  uint32_t rank;
  int64_t dims[ONNX_MAX_RANK]; /* >= 0 */
  bool has_raw;
  onnx_slice raw;
  bool external;
} onnx_tensor;

typedef struct onnx_attribute {
  onnx_slice message; /* the whole AttributeProto */
  onnx_slice name;
  int64_t type; /* 0 when the writer left it out */
  int64_t i;
  float f;
  onnx_slice text, tensor;
} onnx_attribute;

typedef struct onnx_node {
  onnx_slice message; /* the whole NodeProto: attributes are read from here on demand */
  onnx_slice name, op, domain;
  uint32_t index; /* place in the file */
  uint32_t n_inputs, n_outputs;
  onnx_slice *inputs, *outputs; /* names; an empty one is an omitted optional value */
} onnx_node;

/* A graph input or output. */
typedef struct onnx_port {
  onnx_slice name;
  int64_t type;                /* of its elements; 0 when not given */
  bool has_shape;              /* rank and dims are known */
  uint32_t rank;               /* may exceed ONNX_MAX_RANK; only that many dims are kept */
  int64_t dims[ONNX_MAX_RANK]; /* <= 0: dynamic */
} onnx_port;

typedef struct onnx_graph {
  uint32_t n_nodes, n_tensors, n_inputs, n_outputs;
  onnx_node *nodes;
  onnx_tensor *tensors; /* initializers */
  onnx_port *inputs, *outputs;
} onnx_graph;

/* An entry of metadata_props. */
typedef struct onnx_property {
  onnx_slice key, value;
} onnx_property;

typedef struct onnx_model {
  int64_t opset; /* of the default domain; 0 when the file names none */
  onnx_graph graph;
  uint32_t n_properties;
  onnx_property *properties;
} onnx_model;

/* Parse a model; arrays go to `arena`. Errors: FORMAT, TOO_LARGE, UNSUPPORTED (sparse initializers), NO_MEMORY. */
snn_status snn_onnx_parse_model(onnx_slice bytes, snn_arena *arena, onnx_model *out, snn_error *err);

/* Parse one TensorProto (an initializer, or a Constant's value) without its data. Errors: FORMAT. */
snn_status snn_onnx_parse_tensor(onnx_slice message, onnx_tensor *out, snn_error *err);

/* The attribute of that name; false when the node has none or it is malformed (malformed ones were refused by
 * snn_onnx_parse_model). */
bool snn_onnx_find_attribute(const onnx_node *node, const char *name, onnx_attribute *out);

/* Numbers of an INTS or FLOATS attribute: at most `max` are stored, *n is how many there are. false when malformed. */
bool snn_onnx_attribute_ints(const onnx_attribute *a, int64_t *out, size_t max, size_t *n);
bool snn_onnx_attribute_floats(const onnx_attribute *a, float *out, size_t max, size_t *n);

/* Value of a key of TensorProto.external_data ("location", "offset", "length"); an empty slice when it is absent. */
onnx_slice snn_onnx_external_entry(const onnx_tensor *t, const char *key);

#endif
