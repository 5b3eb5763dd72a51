/* Names of layers: taken from weight initializers ("features.0.weight" -> "features.0"), else from ONNX nodes
 * ("/fc1/Gemm" -> "fc1.Gemm"), else from the operator and its place ("conv_3"). Invariant: printable ASCII of 1 to
 * SNN_MAX_NAME - 1 bytes, unique among neurons and, separately, among all other layers. No logic depends on them. */
#include <stdio.h>
#include <string.h>

#include "onnx/import.h"

enum { SUFFIX_ROOM = 12 };

static uint32_t hash_text(const char *s, bool neuron) {
  uint32_t h = neuron ? 3323198485u : 2166136261u; /* FNV-1a with two starts */
  for (; *s; s++) h = (h ^ (uint8_t)*s) * 16777619u;
  return h;
}

/* The slot of a name, or the free one where it would go; NULL when the table is full. */
static onnx_name *find_name(onnx_import *im, const char *text, bool neuron) {
  uint32_t start = hash_text(text, neuron);
  for (uint32_t k = 0; k < im->n_names; k++) {
    onnx_name *slot = &im->names[(start + k) & (im->n_names - 1)];
    if (!slot->text || (slot->neuron == neuron && strcmp(slot->text, text) == 0)) return slot;
  }
  return NULL;
}

static snn_status reserve(onnx_import *im, onnx_name *slot, const char *text, bool neuron) {
  slot->text = snn_arena_text(&im->scratch, text, strlen(text));
  slot->neuron = neuron;
  slot->next = 2;
  return slot->text ? SNN_OK : snn_fail_memory(im->err, "a name");
}

/* Append "_2", "_3"... until the name is free, and take it. */
static snn_status make_unique(onnx_import *im, bool neuron, char buf[SNN_MAX_NAME]) {
  if (!im->names) {
    im->n_names = 16; /* a value adds six layers at most, with its zeros and its offset; so some slots stay free */
    while (im->n_names < 8 * (im->n_values + 2)) im->n_names *= 2;
    im->names = snn_arena_alloc(&im->scratch, im->n_names, sizeof *im->names);
    if (!im->names) return snn_fail_memory(im->err, "names");
  }
  onnx_name *base = find_name(im, buf, neuron);
  if (base && !base->text) return reserve(im, base, buf, neuron);
  size_t n = strlen(buf);
  if (n > SNN_MAX_NAME - SUFFIX_ROOM) n = SNN_MAX_NAME - SUFFIX_ROOM;
  while (base) {
    snprintf(buf + n, SNN_MAX_NAME - n, "_%u", base->next++);
    onnx_name *slot = find_name(im, buf, neuron);
    if (!slot) break;
    if (!slot->text) return reserve(im, slot, buf, neuron);
  }
  return snn_fail(im->err, SNN_ERR_TOO_LARGE, NULL, "more than %d layers", SNN_MAX_NODES);
}

/* Printable, '/' as '.', no leading dots; an empty result means the slice gave no name. */
static void clean(onnx_slice s, char buf[SNN_MAX_NAME]) {
  size_t n = 0;
  for (size_t i = 0; i < s.n && n < SNN_MAX_NAME - 1; i++) {
    char c = s.bytes[i] == '/' ? '.' : s.bytes[i] > 0x20 && s.bytes[i] < 0x7f ? (char)s.bytes[i] : '_';
    if (c != '.' || n > 0) buf[n++] = c;
  }
  buf[n] = '\0';
}

snn_status snn_onnx_name_layer(onnx_import *im, const onnx_node *node, const snn_node *layer, onnx_slice weight,
                               char buf[SNN_MAX_NAME]) {
  static const char suffix[] = ".weight";
  const size_t n_suffix = sizeof suffix - 1;
  bool neuron = layer->kind == SNN_LAYER_NEURON;
  buf[0] = '\0';
  if (neuron)
    snprintf(buf, SNN_MAX_NAME, "%s", im->net->nodes[layer->inputs[0]].name);
  else if (weight.n > n_suffix && memcmp(weight.bytes + weight.n - n_suffix, suffix, n_suffix) == 0)
    clean((onnx_slice){weight.bytes, weight.n - n_suffix}, buf);
  if (!buf[0]) clean(node->name, buf);
  if (!buf[0]) {
    char op[64];
    snn_onnx_text(node->op, op, sizeof op);
    for (char *p = op; *p; p++) *p = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
    snprintf(buf, SNN_MAX_NAME, "%s_%u", op, node->index);
  }
  return make_unique(im, neuron, buf);
}
