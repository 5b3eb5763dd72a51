/* Parsing ONNX messages. Two passes over a message that holds arrays: count within limits, allocate, fill. Invariant:
 * whatever is returned has only slices of the input in it, and every nested message that later code walks again on
 * demand (attributes, tensor data) was found well formed once. Unknown fields are skipped, as protobuf asks. */
#include "onnx/proto.h"

#include <string.h>

#include "base/error.h"

/* Field numbers of onnx.proto (IR version 3 and later). */
enum { MODEL_GRAPH = 7, MODEL_OPSET = 8, MODEL_METADATA = 14 };
enum { OPSET_DOMAIN = 1, OPSET_VERSION = 2 };
enum { GRAPH_NODE = 1, GRAPH_TENSOR = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12, GRAPH_SPARSE = 15 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_NAME = 3, NODE_OP = 4, NODE_ATTRIBUTE = 5, NODE_DOMAIN = 7 };
enum { ATTR_NAME = 1, ATTR_F = 2, ATTR_I = 3, ATTR_S = 4, ATTR_T = 5, ATTR_FLOATS = 7, ATTR_INTS = 8, ATTR_TYPE = 20 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_RAW = 9, TENSOR_EXTERNAL = 13, TENSOR_LOCATION = 14 };
enum { ENTRY_KEY = 1, ENTRY_VALUE = 2 };
enum { PORT_NAME = 1, PORT_TYPE = 2, TYPE_TENSOR = 1, TENSOR_TYPE_ELEMENT = 1, TENSOR_TYPE_SHAPE = 2 };
enum { SHAPE_DIM = 1, DIM_VALUE = 1 };

static snn_status malformed(snn_error *err, const char *what) {
  return snn_fail(err, SNN_ERR_FORMAT, NULL, "not a valid ONNX file: its %s is truncated or malformed", what);
}

static bool get_bytes(const onnx_field *f, onnx_slice *out) {
  if (f->type != ONNX_WIRE_BYTES) return false;
  *out = f->bytes;
  return true;
}

static bool get_int(const onnx_field *f, int64_t *out) {
  if (f->type != ONNX_WIRE_VARINT) return false;
  *out = (int64_t)f->value;
  return true;
}

/* dims come packed or not, so one field may hold any number of them. */
static snn_status parse_dims(onnx_field *f, onnx_tensor *out, snn_error *err) {
  uint64_t d;
  while (snn_wire_element(f, ONNX_WIRE_VARINT, &d)) {
    if (out->rank == ONNX_MAX_RANK)
      return snn_fail(err, SNN_ERR_TOO_LARGE, NULL, "a tensor has more than %d dimensions", ONNX_MAX_RANK);
    if ((int64_t)d < 0) return snn_fail(err, SNN_ERR_FORMAT, NULL, "a tensor has a negative dimension");
    out->dims[out->rank++] = (int64_t)d;
  }
  return f->malformed ? malformed(err, "tensor shape") : SNN_OK;
}

snn_status snn_onnx_parse_tensor(onnx_slice message, onnx_tensor *out, snn_error *err) {
  onnx_tensor t = {.message = message};
  onnx_reader r = snn_wire_open(message);
  onnx_field f;
  while (snn_wire_next(&r, &f)) {
    bool ok = true;
    int64_t location = 0;
    switch (f.number) {
      case TENSOR_DIMS: {
        snn_status status = parse_dims(&f, &t, err);
        if (status != SNN_OK) return status;
        break;
      }
      case TENSOR_TYPE: ok = get_int(&f, &t.type); break;
      case TENSOR_NAME: ok = get_bytes(&f, &t.name); break;
      case TENSOR_RAW:
        ok = get_bytes(&f, &t.raw);
        t.has_raw = true;
        break;
      case TENSOR_LOCATION:
        ok = get_int(&f, &location);
        t.external = location == 1;
        break;
      default: break;
    }
    if (!ok) return malformed(err, "tensor");
  }
  if (r.malformed) return malformed(err, "tensor");
  *out = t;
  return SNN_OK;
}

onnx_slice snn_onnx_external_entry(const onnx_tensor *t, const char *key) {
  onnx_reader r = snn_wire_open(t->message);
  onnx_field f;
  while (snn_wire_next(&r, &f)) {
    if (f.number != TENSOR_EXTERNAL || f.type != ONNX_WIRE_BYTES) continue;
    onnx_reader entry = snn_wire_open(f.bytes);
    onnx_slice found_key = {NULL, 0}, found_value = {NULL, 0};
    while (snn_wire_next(&entry, &f)) {
      if (f.number == ENTRY_KEY) (void)get_bytes(&f, &found_key);
      if (f.number == ENTRY_VALUE) (void)get_bytes(&f, &found_value);
    }
    if (snn_slice_is(found_key, key)) return found_value;
  }
  return (onnx_slice){NULL, 0};
}

static bool parse_attribute(onnx_slice message, onnx_attribute *out) {
  onnx_attribute a = {.message = message};
  onnx_reader r = snn_wire_open(message);
  onnx_field f;
  while (snn_wire_next(&r, &f)) {
    bool ok = true;
    uint64_t ignored;
    switch (f.number) {
      case ATTR_NAME: ok = get_bytes(&f, &a.name); break;
      case ATTR_TYPE: ok = get_int(&f, &a.type); break;
      case ATTR_I: ok = get_int(&f, &a.i); break;
      case ATTR_F:
        ok = f.type == ONNX_WIRE_FIXED32;
        a.f = snn_wire_float((uint32_t)f.value);
        break;
      case ATTR_S: ok = get_bytes(&f, &a.text); break;
      case ATTR_T: ok = get_bytes(&f, &a.tensor); break;
      case ATTR_FLOATS:
      case ATTR_INTS:
        while (snn_wire_element(&f, f.number == ATTR_INTS ? ONNX_WIRE_VARINT : ONNX_WIRE_FIXED32, &ignored)) continue;
        ok = !f.malformed;
        break;
      default: break;
    }
    if (!ok) return false;
  }
  *out = a;
  return !r.malformed;
}

bool snn_onnx_find_attribute(const onnx_node *node, const char *name, onnx_attribute *out) {
  onnx_reader r = snn_wire_open(node->message);
  onnx_field f;
  onnx_attribute a;
  while (snn_wire_next(&r, &f)) {
    if (f.number != NODE_ATTRIBUTE || !parse_attribute(f.bytes, &a) || !snn_slice_is(a.name, name)) continue;
    *out = a;
    return true;
  }
  return false;
}

bool snn_onnx_attribute_ints(const onnx_attribute *a, int64_t *out, size_t max, size_t *n) {
  onnx_reader r = snn_wire_open(a->message);
  onnx_field f;
  uint64_t value;
  *n = 0;
  while (snn_wire_next(&r, &f)) {
    if (f.number != ATTR_INTS) continue;
    for (; snn_wire_element(&f, ONNX_WIRE_VARINT, &value); ++*n)
      if (*n < max) out[*n] = (int64_t)value;
    if (f.malformed) return false;
  }
  return !r.malformed;
}

bool snn_onnx_attribute_floats(const onnx_attribute *a, float *out, size_t max, size_t *n) {
  onnx_reader r = snn_wire_open(a->message);
  onnx_field f;
  uint64_t value;
  *n = 0;
  while (snn_wire_next(&r, &f)) {
    if (f.number != ATTR_FLOATS) continue;
    for (; snn_wire_element(&f, ONNX_WIRE_FIXED32, &value); ++*n)
      if (*n < max) out[*n] = snn_wire_float((uint32_t)value);
    if (f.malformed) return false;
  }
  return !r.malformed;
}

/* Names and lists of a node; attributes are only checked here. */
static snn_status parse_node(onnx_slice message, snn_arena *arena, onnx_node *out, snn_error *err) {
  onnx_node node = {.message = message, .index = out->index};
  onnx_reader r = snn_wire_open(message);
  onnx_field f;
  onnx_attribute attribute;
  while (snn_wire_next(&r, &f)) {
    bool ok = true;
    switch (f.number) {
      case NODE_INPUT:
        node.n_inputs++;
        ok = f.type == ONNX_WIRE_BYTES;
        break;
      case NODE_OUTPUT:
        node.n_outputs++;
        ok = f.type == ONNX_WIRE_BYTES;
        break;
      case NODE_NAME: ok = get_bytes(&f, &node.name); break;
      case NODE_OP: ok = get_bytes(&f, &node.op); break;
      case NODE_DOMAIN: ok = get_bytes(&f, &node.domain); break;
      case NODE_ATTRIBUTE: ok = f.type == ONNX_WIRE_BYTES && parse_attribute(f.bytes, &attribute); break;
      default: break;
    }
    if (!ok) return malformed(err, "node");
  }
  if (r.malformed) return malformed(err, "node");
  if (node.n_inputs > ONNX_MAX_NODE_VALUES || node.n_outputs > ONNX_MAX_NODE_VALUES)
    return snn_fail(err, SNN_ERR_TOO_LARGE, NULL, "node %u has more than %d inputs or outputs", node.index,
                    ONNX_MAX_NODE_VALUES);
  node.inputs = snn_arena_alloc(arena, (size_t)node.n_inputs + node.n_outputs, sizeof *node.inputs);
  if (!node.inputs) return snn_fail_memory(err, "a node");
  node.outputs = node.inputs + node.n_inputs;
  uint32_t input = 0, output = 0;
  for (r = snn_wire_open(message); snn_wire_next(&r, &f);) {
    if (f.number == NODE_INPUT) node.inputs[input++] = f.bytes;
    if (f.number == NODE_OUTPUT) node.outputs[output++] = f.bytes;
  }
  *out = node;
  return SNN_OK;
}

static snn_status parse_shape(onnx_slice message, onnx_port *port, snn_error *err) {
  onnx_reader r = snn_wire_open(message);
  onnx_field f, d;
  port->has_shape = true;
  while (snn_wire_next(&r, &f)) {
    if (f.number != SHAPE_DIM) continue;
    if (f.type != ONNX_WIRE_BYTES) return malformed(err, "input shape");
    int64_t value = 0; /* a dim_param, or nothing, means dynamic */
    onnx_reader dim = snn_wire_open(f.bytes);
    while (snn_wire_next(&dim, &d))
      if (d.number == DIM_VALUE && !get_int(&d, &value)) return malformed(err, "input shape");
    if (dim.malformed) return malformed(err, "input shape");
    if (port->rank < ONNX_MAX_RANK) port->dims[port->rank] = value;
    port->rank++;
  }
  return r.malformed ? malformed(err, "input shape") : SNN_OK;
}

static snn_status parse_tensor_type(onnx_slice message, onnx_port *port, snn_error *err) {
  onnx_reader r = snn_wire_open(message);
  onnx_field f;
  while (snn_wire_next(&r, &f)) {
    if (f.number == TENSOR_TYPE_ELEMENT && !get_int(&f, &port->type)) return malformed(err, "input type");
    if (f.number != TENSOR_TYPE_SHAPE) continue;
    if (f.type != ONNX_WIRE_BYTES || port->has_shape) return malformed(err, "input type");
    snn_status status = parse_shape(f.bytes, port, err);
    if (status != SNN_OK) return status;
  }
  return r.malformed ? malformed(err, "input type") : SNN_OK;
}

static snn_status parse_port(onnx_slice message, onnx_port *out, snn_error *err) {
  onnx_port port = {.type = 0};
  onnx_reader r = snn_wire_open(message);
  onnx_field f, t;
  while (snn_wire_next(&r, &f)) {
    if (f.number == PORT_NAME && !get_bytes(&f, &port.name)) return malformed(err, "input");
    if (f.number != PORT_TYPE) continue;
    if (f.type != ONNX_WIRE_BYTES) return malformed(err, "input");
    onnx_reader type = snn_wire_open(f.bytes);
    while (snn_wire_next(&type, &t)) {
      if (t.number != TYPE_TENSOR || t.type != ONNX_WIRE_BYTES) continue;
      snn_status status = parse_tensor_type(t.bytes, &port, err);
      if (status != SNN_OK) return status;
    }
    if (type.malformed) return malformed(err, "input");
  }
  if (r.malformed) return malformed(err, "input");
  *out = port;
  return SNN_OK;
}

static snn_status count_graph(onnx_slice message, onnx_graph *g, snn_error *err) {
  onnx_reader r = snn_wire_open(message);
  onnx_field f;
  while (snn_wire_next(&r, &f)) {
    uint32_t *count = f.number == GRAPH_NODE     ? &g->n_nodes
                      : f.number == GRAPH_TENSOR ? &g->n_tensors
                      : f.number == GRAPH_INPUT  ? &g->n_inputs
                      : f.number == GRAPH_OUTPUT ? &g->n_outputs
                                                 : NULL;
    if (f.number == GRAPH_SPARSE)
      return snn_fail(err, SNN_ERR_UNSUPPORTED, NULL, "sparse initializers are not supported; store dense ones");
    if (!count) continue;
    if (f.type != ONNX_WIRE_BYTES) return malformed(err, "graph");
    if (++*count > ONNX_MAX_NODES)
      return snn_fail(err, SNN_ERR_TOO_LARGE, NULL, "more than %d nodes, initializers, inputs or outputs",
                      ONNX_MAX_NODES);
  }
  return r.malformed ? malformed(err, "graph") : SNN_OK;
}

static snn_status parse_graph(onnx_slice message, snn_arena *arena, onnx_graph *out, snn_error *err) {
  onnx_graph g = {.n_nodes = 0};
  snn_status status = count_graph(message, &g, err);
  if (status != SNN_OK) return status;
  g.nodes = snn_arena_alloc(arena, g.n_nodes, sizeof *g.nodes);
  g.tensors = snn_arena_alloc(arena, g.n_tensors, sizeof *g.tensors);
  g.inputs = snn_arena_alloc(arena, g.n_inputs, sizeof *g.inputs);
  g.outputs = snn_arena_alloc(arena, g.n_outputs, sizeof *g.outputs);
  if (!g.nodes || !g.tensors || !g.inputs || !g.outputs) return snn_fail_memory(err, "the ONNX graph");
  uint32_t node = 0, tensor = 0, input = 0, output = 0;
  onnx_reader r = snn_wire_open(message);
  onnx_field f;
  while (status == SNN_OK && snn_wire_next(&r, &f)) {
    if (f.number == GRAPH_NODE) {
      g.nodes[node].index = node;
      status = parse_node(f.bytes, arena, &g.nodes[node], err);
      node++;
    } else if (f.number == GRAPH_TENSOR) {
      status = snn_onnx_parse_tensor(f.bytes, &g.tensors[tensor++], err);
    } else if (f.number == GRAPH_INPUT) {
      status = parse_port(f.bytes, &g.inputs[input++], err);
    } else if (f.number == GRAPH_OUTPUT) {
      status = parse_port(f.bytes, &g.outputs[output++], err);
    }
  }
  if (status == SNN_OK) *out = g;
  return status;
}

static snn_status parse_opset(onnx_slice message, int64_t *opset, snn_error *err) {
  onnx_reader r = snn_wire_open(message);
  onnx_field f;
  onnx_slice domain = {NULL, 0};
  int64_t version = 0;
  while (snn_wire_next(&r, &f))
    if ((f.number == OPSET_DOMAIN && !get_bytes(&f, &domain)) || (f.number == OPSET_VERSION && !get_int(&f, &version)))
      return malformed(err, "opset import");
  if (r.malformed) return malformed(err, "opset import");
  if (domain.n == 0 || snn_slice_is(domain, "ai.onnx")) *opset = version;
  return SNN_OK;
}

static bool parse_property(onnx_slice message, onnx_property *out) {
  onnx_reader r = snn_wire_open(message);
  onnx_field f;
  while (snn_wire_next(&r, &f))
    if ((f.number == ENTRY_KEY && !get_bytes(&f, &out->key)) ||
        (f.number == ENTRY_VALUE && !get_bytes(&f, &out->value)))
      return false;
  return !r.malformed;
}

/* The file's metadata; the message was walked once and is well formed. */
static snn_status parse_properties(onnx_slice bytes, uint32_t n, snn_arena *arena, onnx_model *out, snn_error *err) {
  if (n > ONNX_MAX_PROPERTIES)
    return snn_fail(err, SNN_ERR_TOO_LARGE, NULL, "more than %d metadata entries", ONNX_MAX_PROPERTIES);
  out->properties = snn_arena_alloc(arena, n, sizeof *out->properties);
  if (!out->properties) return snn_fail_memory(err, "metadata");
  onnx_reader r = snn_wire_open(bytes);
  onnx_field f;
  while (snn_wire_next(&r, &f))
    if (f.number == MODEL_METADATA && !parse_property(f.bytes, &out->properties[out->n_properties++]))
      return malformed(err, "metadata");
  return SNN_OK;
}

snn_status snn_onnx_parse_model(onnx_slice bytes, snn_arena *arena, onnx_model *out, snn_error *err) {
  onnx_model model = {.opset = 0};
  onnx_slice graph = {NULL, 0};
  bool has_graph = false;
  uint32_t n_properties = 0;
  onnx_reader r = snn_wire_open(bytes);
  onnx_field f;
  while (snn_wire_next(&r, &f)) {
    if (f.number != MODEL_GRAPH && f.number != MODEL_OPSET && f.number != MODEL_METADATA) continue;
    if (f.type != ONNX_WIRE_BYTES || (f.number == MODEL_GRAPH && has_graph)) return malformed(err, "model");
    if (f.number == MODEL_METADATA) {
      n_properties++;
      continue;
    }
    if (f.number == MODEL_GRAPH) {
      graph = f.bytes;
      has_graph = true;
      continue;
    }
    snn_status status = parse_opset(f.bytes, &model.opset, err);
    if (status != SNN_OK) return status;
  }
  if (r.malformed) return malformed(err, "model");
  if (!has_graph) return snn_fail(err, SNN_ERR_FORMAT, NULL, "not a valid ONNX file: it holds no graph");
  snn_status status = parse_graph(graph, arena, &model.graph, err);
  if (status == SNN_OK) status = parse_properties(bytes, n_properties, arena, &model, err);
  if (status == SNN_OK) *out = model;
  return status;
}
