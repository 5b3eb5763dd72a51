/* The import: value table, order of nodes, and the walk that hands each node to its operator. Invariant: a handler sees
 * only nodes whose inputs are already known and that the graph's output depends on. ONNX demands topological order;
 * any order without a cycle is accepted. Rewrites nothing: see core/convert for that. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "onnx/import.h"
#include "onnx/onnx.h"

#define MAX_FILE_BYTES     ((size_t)1 << 31)
#define BUDGET_CONSTANT    ((size_t)16 << 20)
#define BUDGET_PER_BYTE    8
#define MIN_OPSET          7
#define MAX_OPSET          20
#define MAX_VALUES         (8u * ONNX_MAX_NODES)
#define SMALLEST_HASH_SIZE 16u

static uint32_t hash_slice(onnx_slice s) {
  uint32_t h = 2166136261u; /* FNV-1a */
  for (size_t i = 0; i < s.n; i++) h = (h ^ s.bytes[i]) * 16777619u;
  return h;
}

/* The slot where a value of this name is, or would go. The table is never full. */
static uint32_t find_slot(const onnx_import *im, onnx_slice name) {
  uint32_t i = hash_slice(name) & (im->n_slots - 1);
  while (im->slots[i] && !snn_slice_equal(im->values[im->slots[i] - 1].name, name)) i = (i + 1) & (im->n_slots - 1);
  return i;
}

static onnx_value *find_value(const onnx_import *im, onnx_slice name) {
  uint32_t slot = im->slots[find_slot(im, name)];
  return slot ? &im->values[slot - 1] : NULL;
}

onnx_value *snn_onnx_input(onnx_import *im, const onnx_node *node, uint32_t i) {
  return i < node->n_inputs && node->inputs[i].n ? find_value(im, node->inputs[i]) : NULL;
}

static snn_status add_value(onnx_import *im, onnx_slice name, uint32_t producer, const onnx_tensor *initializer) {
  char text[ONNX_LABEL];
  uint32_t slot = find_slot(im, name);
  if (im->slots[slot])
    return snn_fail(im->err, SNN_ERR_FORMAT, snn_onnx_text(name, text, sizeof text),
                    "the graph defines this value twice");
  im->values[im->n_values] = (onnx_value){.name = name, .producer = producer, .initializer = initializer};
  im->slots[slot] = ++im->n_values;
  return SNN_OK;
}

/* Every name the graph defines: initializers, inputs (older files list initializers there too), node outputs. */
static snn_status collect_values(onnx_import *im) {
  const onnx_graph *g = &im->model.graph;
  size_t n = (size_t)g->n_tensors + g->n_inputs;
  for (uint32_t i = 0; i < g->n_nodes; i++) n += g->nodes[i].n_outputs;
  if (n > MAX_VALUES) return snn_fail(im->err, SNN_ERR_TOO_LARGE, NULL, "more than %u values", MAX_VALUES);
  im->n_slots = SMALLEST_HASH_SIZE;
  while (im->n_slots < 2 * n) im->n_slots *= 2;
  im->values = snn_arena_alloc(&im->scratch, n, sizeof *im->values);
  im->slots = snn_arena_alloc(&im->scratch, im->n_slots, sizeof *im->slots);
  if (!im->values || !im->slots) return snn_fail_memory(im->err, "the graph's values");
  snn_status status = SNN_OK;
  for (uint32_t i = 0; i < g->n_tensors && status == SNN_OK; i++)
    status = add_value(im, g->tensors[i].name, ONNX_NO_NODE, &g->tensors[i]);
  for (uint32_t i = 0; i < g->n_inputs && status == SNN_OK; i++) {
    onnx_value *v = find_value(im, g->inputs[i].name);
    if (!v || !v->initializer) status = add_value(im, g->inputs[i].name, ONNX_NO_NODE, NULL);
  }
  for (uint32_t i = 0; i < g->n_nodes; i++)
    for (uint32_t k = 0; k < g->nodes[i].n_outputs && status == SNN_OK; k++)
      if (g->nodes[i].outputs[k].n) status = add_value(im, g->nodes[i].outputs[k], i, NULL);
  return status;
}

/* ---- order ---- */

typedef struct visit {
  uint32_t node, next_input;
} visit;

enum { UNSEEN, OPEN, DONE };

/* Walk back from node `first` over all it depends on; nodes are appended to im->order after their producers. */
static snn_status visit_from(onnx_import *im, uint32_t first, uint8_t *state, visit *stack, uint32_t *n_order) {
  const onnx_graph *g = &im->model.graph;
  uint32_t depth = 0;
  char text[ONNX_LABEL];
  stack[depth++] = (visit){first, 0};
  state[first] = OPEN;
  while (depth) {
    visit *top = &stack[depth - 1];
    const onnx_node *node = &g->nodes[top->node];
    if (top->next_input == node->n_inputs) {
      state[top->node] = DONE;
      im->order[(*n_order)++] = top->node;
      depth--;
      continue;
    }
    onnx_slice name = node->inputs[top->next_input++];
    if (name.n == 0) continue;
    const onnx_value *v = find_value(im, name);
    if (!v)
      return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "it reads '%s', which nothing in the graph defines",
                           snn_onnx_text(name, text, sizeof text));
    if (v->producer == ONNX_NO_NODE || state[v->producer] == DONE) continue;
    if (state[v->producer] == OPEN)
      return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "the graph has a cycle: this node depends on its own output");
    state[v->producer] = OPEN;
    stack[depth++] = (visit){v->producer, 0};
  }
  return SNN_OK;
}

static snn_status sort_nodes(onnx_import *im) {
  uint32_t n = im->model.graph.n_nodes, n_order = 0;
  uint8_t *state = snn_arena_alloc(&im->scratch, n, sizeof *state);
  visit *stack = snn_arena_alloc(&im->scratch, n, sizeof *stack);
  im->order = snn_arena_alloc(&im->scratch, n, sizeof *im->order);
  if (!state || !stack || !im->order) return snn_fail_memory(im->err, "the order of nodes");
  for (uint32_t i = 0; i < n; i++) {
    if (state[i] != UNSEEN) continue;
    snn_status status = visit_from(im, i, state, stack, &n_order);
    if (status != SNN_OK) return status;
  }
  return SNN_OK;
}

static bool node_needed(onnx_import *im, const onnx_node *node) {
  for (uint32_t k = 0; k < node->n_outputs; k++)
    if (node->outputs[k].n && find_value(im, node->outputs[k])->needed) return true;
  return false;
}

/* Mark what the output depends on, and count who reads what. Shape reads no activations, so it does not count. */
static void mark_needed(onnx_import *im) {
  for (uint32_t i = im->model.graph.n_nodes; i-- > 0;) {
    const onnx_node *node = &im->model.graph.nodes[im->order[i]];
    if (!node_needed(im, node)) continue;
    for (uint32_t k = 0; k < node->n_inputs; k++) {
      onnx_value *v = snn_onnx_input(im, node, k);
      if (!v) continue;
      v->needed = true;
      if (!snn_slice_is(node->op, "Shape")) v->reader = node->index;
      v->n_uses += !snn_slice_is(node->op, "Shape");
    }
  }
}

/* ---- the graph's ends ---- */

static snn_status two_names(onnx_import *im, const char *what, onnx_slice a, onnx_slice b) {
  char first[ONNX_LABEL], second[ONNX_LABEL];
  return snn_fail(im->err, SNN_ERR_UNSUPPORTED, snn_onnx_text(b, second, sizeof second),
                  "the graph has several %s ('%s' and '%s'); exactly one is supported", what,
                  snn_onnx_text(a, first, sizeof first), second);
}

static snn_status add_input_layer(onnx_import *im, const onnx_port *port) {
  char name[ONNX_LABEL];
  snn_onnx_text(port->name, name, sizeof name);
  if (port->type != ONNX_FLOAT && port->type != ONNX_FLOAT16 && port->type != ONNX_DOUBLE && port->type != 0)
    return snn_fail(im->err, SNN_ERR_UNSUPPORTED, name,
                    "the input has elements of type %lld; floats are supported (pixels are normalised outside)",
                    (long long)port->type);
  if (!port->has_shape || (port->rank != 4 && port->rank != 2))
    return snn_fail(im->err, SNN_ERR_UNSUPPORTED, name,
                    "the input has %u dimensions; [batch,channels,rows,columns] or [batch,features] is supported",
                    port->rank);
  uint32_t extents[3] = {1, 1, 1};
  for (uint32_t i = 1; i < port->rank; i++) {
    if (port->dims[i] <= 0)
      return snn_fail(im->err, SNN_ERR_UNSUPPORTED, name,
                      "dimension %u of the input is dynamic; only the batch may be, export with a fixed size", i);
    if (port->dims[i] > SNN_MAX_DIMENSION)
      return snn_fail(im->err, SNN_ERR_TOO_LARGE, name, "dimension %u of the input is over the limit of %d", i,
                      SNN_MAX_DIMENSION);
    extents[i - 1] = (uint32_t)port->dims[i];
  }
  onnx_activation *a = snn_arena_alloc(&im->scratch, 1, sizeof *a);
  if (!a) return snn_fail_memory(im->err, "a layer");
  char layer_name[SNN_MAX_NAME];
  snn_node layer = {.kind = SNN_LAYER_INPUT, .shape = {extents[0], extents[1], extents[2]}};
  onnx_node pretend = {.name = port->name, .op = port->name};
  snn_status status = snn_onnx_name_layer(im, &pretend, &layer, (onnx_slice){NULL, 0}, layer_name);
  layer.name = layer_name;
  if (status == SNN_OK) status = snn_graph_add(im->net, &layer, &a->layer, im->err);
  if (status != SNN_OK) return status;
  a->rank = port->rank;
  memcpy(a->dims, port->dims, sizeof a->dims);
  a->dims[0] = ONNX_BATCH;
  im->batch = port->dims[0];
  find_value(im, port->name)->activation = a;
  return SNN_OK;
}

static snn_status find_ends(onnx_import *im) {
  const onnx_graph *g = &im->model.graph;
  const onnx_port *input = NULL;
  for (uint32_t i = 0; i < g->n_inputs; i++) {
    if (find_value(im, g->inputs[i].name)->initializer) continue;
    if (input) return two_names(im, "inputs", input->name, g->inputs[i].name);
    input = &g->inputs[i];
  }
  if (!input) return snn_fail(im->err, SNN_ERR_FORMAT, NULL, "the graph has no input");
  if (g->n_outputs == 0) return snn_fail(im->err, SNN_ERR_FORMAT, NULL, "the graph has no output");
  if (g->n_outputs > 1) return two_names(im, "outputs", g->outputs[0].name, g->outputs[1].name);
  onnx_value *output = find_value(im, g->outputs[0].name);
  if (!output) {
    char name[ONNX_LABEL];
    return snn_fail(im->err, SNN_ERR_FORMAT, snn_onnx_text(g->outputs[0].name, name, sizeof name),
                    "nothing in the graph defines its output");
  }
  output->needed = output->is_output = true;
  output->n_uses = 1;
  return add_input_layer(im, input);
}

/* ---- the walk ---- */

/* True when every input the node has is a constant; their pointers go to `in`. */
static snn_status gather_constants(onnx_import *im, const onnx_node *node, const onnx_const **in, bool *all) {
  *all = true;
  for (uint32_t i = 0; i < node->n_inputs && *all; i++) *all = !node->inputs[i].n || snn_onnx_is_constant(im, node, i);
  for (uint32_t i = 0; i < node->n_inputs && *all; i++) {
    snn_status status = snn_onnx_constant(im, node, i, &in[i]);
    if (status != SNN_OK) return status;
  }
  return SNN_OK;
}

static snn_status import_node(onnx_import *im, const onnx_node *node) {
  char text[ONNX_LABEL];
  if (node->domain.n && !snn_slice_is(node->domain, "ai.onnx"))
    return snn_onnx_unsupported(im, node, "; only the default operator domain is, not '%s'",
                                snn_onnx_text(node->domain, text, sizeof text));
  const onnx_operator *op = snn_onnx_operator(node->op);
  if (!op) return snn_onnx_unsupported(im, node, "; core/onnx/README.md lists those that are");
  bool quantised;
  snn_status status = snn_onnx_quantised(im, node, &quantised);
  if (status != SNN_OK || quantised) return status;
  if (!op->apply && !op->fold) return snn_onnx_unsupported(im, node, "; what would be needed: %s", op->needed);
  if (node->n_inputs < op->min_inputs || node->n_inputs > op->max_inputs)
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "%s takes %u to %u inputs, this one has %u", op->name,
                         op->min_inputs, op->max_inputs, node->n_inputs);
  if (node->n_outputs == 0 || node->outputs[0].n == 0)
    return snn_onnx_fail(im, node, SNN_ERR_FORMAT, "it has no output");
  for (uint32_t k = 1; k < node->n_outputs && op->apply != snn_onnx_split; k++) /* the one that has several */
    if (node->outputs[k].n && find_value(im, node->outputs[k])->needed)
      return snn_onnx_unsupported(im, node, " with its output %u in use; only the first one is", k);
  const onnx_const *in[ONNX_MAX_NODE_VALUES] = {NULL};
  bool all_constant;
  status = gather_constants(im, node, in, &all_constant);
  if (status != SNN_OK) return status;
  if (all_constant && op->fold) {
    onnx_const c = {.type = ONNX_INT64};
    status = op->fold(im, node, in, &c);
    return status == SNN_OK ? snn_onnx_set_constant(im, node, &c) : status;
  }
  if (!op->apply) return snn_onnx_unsupported(im, node, " on activations; what would be needed: %s", op->needed);
  return op->apply(im, node);
}

/* The output's layer becomes the last one: whatever was added after it cannot be part of it. */
static snn_status finish(onnx_import *im) {
  const onnx_port *port = &im->model.graph.outputs[0];
  onnx_value *output = find_value(im, port->name);
  const onnx_activation *a = output->activation;
  char name[ONNX_LABEL];
  snn_onnx_text(port->name, name, sizeof name);
  if (!a) return snn_fail(im->err, SNN_ERR_FORMAT, name, "the output does not depend on the input");
  if (a->pad_top || a->pad_left || a->pad_bottom || a->pad_right)
    return snn_fail(im->err, SNN_ERR_UNSUPPORTED, name,
                    "the network ends in a Pad; Conv or AveragePool must follow it");
  snn_status status = a->offset != 0 ? snn_onnx_settle_offset(im, output) : SNN_OK;
  im->net->n_nodes = output->activation->layer + 1;
  return status == SNN_OK ? snn_onnx_apply_metadata(im) : status;
}

static snn_status run_import(onnx_import *im) {
  if (im->model.opset < MIN_OPSET || im->model.opset > MAX_OPSET)
    return snn_fail(im->err, im->model.opset == 0 ? SNN_ERR_FORMAT : SNN_ERR_UNSUPPORTED, "opset",
                    "the file uses opset %lld of the default domain; %d to %d are supported",
                    (long long)im->model.opset, MIN_OPSET, MAX_OPSET);
  snn_status status = collect_values(im);
  if (status == SNN_OK) status = sort_nodes(im);
  if (status == SNN_OK) status = find_ends(im);
  if (status != SNN_OK) return status;
  mark_needed(im);
  im->done = snn_arena_alloc(&im->scratch, im->model.graph.n_nodes, sizeof *im->done);
  if (!im->done) return snn_fail_memory(im->err, "the order of nodes");
  for (int constants = 1; constants >= 0; constants--) /* these first: who looks ahead finds them known */
    for (uint32_t i = 0; i < im->model.graph.n_nodes; i++) {
      const onnx_node *node = &im->model.graph.nodes[im->order[i]];
      if ((constants && !snn_slice_is(node->op, "Constant")) || im->done[node->index] || !node_needed(im, node))
        continue;
      im->done[node->index] = true;
      status = import_node(im, node);
      if (status != SNN_OK) return status;
    }
  return finish(im);
}

snn_status snn_onnx_import_memory(const void *bytes, size_t n, const char *folder, snn_network **out, snn_error *err) {
  onnx_import im = {.err = err, .folder = folder, .budget = BUDGET_CONSTANT};
  if (n > MAX_FILE_BYTES) return snn_fail(err, SNN_ERR_TOO_LARGE, NULL, "an ONNX file of more than 2 GiB");
  im.budget += BUDGET_PER_BYTE * n;
  snn_status status = SNN_OK;
  im.net = snn_network_new();
  if (!im.net) {
    status = snn_fail_memory(err, "a network");
    goto cleanup;
  }
  status = snn_onnx_parse_model((onnx_slice){bytes, n}, &im.scratch, &im.model, err);
  if (status == SNN_OK) status = run_import(&im);
  if (status == SNN_OK) {
    *out = im.net;
    im.net = NULL;
  }
cleanup:
  snn_onnx_external_close(&im);
  snn_arena_free(&im.scratch);
  snn_network_free(im.net);
  return status;
}

snn_status snn_onnx_import(const char *path, snn_network **out, snn_error *err) {
  const char *base = snn_base_name(path);
  snn_mapping m = {NULL, 0};
  char *folder = base == path ? strdup(".") : strndup(path, (size_t)(base - path));
  snn_status status;
  if (!folder) {
    status = snn_fail_memory(err, "a file name");
    goto cleanup;
  }
  status = snn_map_file(path, MAX_FILE_BYTES, &m, err);
  if (status == SNN_OK) status = snn_onnx_import_memory(m.bytes, m.n_bytes, folder, out, err);
cleanup:
  snn_unmap(&m);
  free(folder);
  return status;
}
