/* Neuron parameters in an ONNX file's metadata: how a network that was trained as a spiking one says what its neurons
 * are. README.md has the keys. Invariant: a file that says nothing changes nothing, and one that says something it does
 * not mean for this network (another number of layers, a value out of range) is refused. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "neurons/neurons.h"
#include "onnx/import.h"

enum { LONGEST_VALUE = 1 << 16 };

/* The value of a key as text in the scratch arena; *out = NULL when the file does not have it. */
static snn_status get_text(onnx_import *im, const char *key, char **out) {
  *out = NULL;
  for (uint32_t i = 0; i < im->model.n_properties; i++) {
    const onnx_property *p = &im->model.properties[i];
    if (!snn_slice_is(p->key, key)) continue;
    if (p->value.n > LONGEST_VALUE || memchr(p->value.bytes, 0, p->value.n))
      return snn_fail(im->err, SNN_ERR_FORMAT, key, "this metadata is no text of at most %d bytes", LONGEST_VALUE);
    *out = snn_arena_text(&im->scratch, (const char *)p->value.bytes, p->value.n);
    if (!*out) return snn_fail_memory(im->err, "metadata");
  }
  return SNN_OK;
}

static uint32_t spiking_layers(const snn_network *net) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < net->n_nodes; i++) n += net->nodes[i].kind == SNN_LAYER_NEURON;
  return n;
}

/* Numbers above 0, one for all or one a layer, into out[n]. */
static snn_status get_numbers(onnx_import *im, const char *key, const char *text, uint32_t n, float *out) {
  uint32_t found = 0;
  for (const char *p = text;; p++) {
    char *end;
    float x = strtof(p, &end);
    if (end == p || (*end && *end != ',') || !(x > 0) || !isfinite(x))
      return snn_fail(im->err, SNN_ERR_FORMAT, key, "'%.40s' is not a list of numbers above 0, such as 0.5,0.5,1",
                      text);
    if (found < n) out[found] = x;
    found++;
    p = end;
    if (!*p) break;
  }
  if (found != 1 && found != n)
    return snn_fail(im->err, SNN_ERR_FORMAT, key, "%u values for %u spiking layers; 1 or %u would fit", found, n, n);
  for (uint32_t i = 1; found == 1 && i < n; i++) out[i] = out[0];
  return SNN_OK;
}

/* Firing level, reset and amplitude of every layer. A model file's `fire` is what `if` fires at, so the potential given
 * here is divided by the neuron's own share (1/2 for srif). */
static snn_status set_levels(onnx_import *im, const char *fire, const char *reset, const char *amplitude) {
  const char *const keys[3] = {"spiked.fire", "spiked.reset", "spiked.amplitude"};
  const char *const texts[3] = {fire, reset ? reset : "1", amplitude ? amplitude : "1"};
  const float share = snn_neuron_model_get(im->net->recommended.neuron)->level_share;
  uint32_t n = spiking_layers(im->net);
  float *values[3];
  for (int k = 0; k < 3; k++) {
    values[k] = snn_arena_alloc(&im->net->arena, n, sizeof **values);
    if (!values[k]) return snn_fail_memory(im->err, "thresholds");
    snn_status status = get_numbers(im, keys[k], texts[k], n, values[k]);
    if (status != SNN_OK) return status;
  }
  for (uint32_t i = 0, at = 0; i < im->net->n_nodes; i++) {
    snn_neurons *p = &im->net->nodes[i].neurons;
    if (im->net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    values[0][at] /= share;
    p->n = 1;
    p->fire = &values[0][at];
    p->theta = &values[1][at];
    p->amplitude = &values[2][at];
    at++;
  }
  return SNN_OK;
}

static snn_status set_recommended(onnx_import *im, const char *neuron, const char *init, const char *timesteps,
                                  const char *tau) {
  snn_recommended *r = &im->net->recommended;
  char *end;
  if (neuron && !snn_neuron_parse(neuron, &r->neuron))
    return snn_fail(im->err, SNN_ERR_UNSUPPORTED, "spiked.neuron", "'%.40s' is not known", neuron);
  if (init && (!snn_init_parse(init, &r->init) || snn_init_needs_table(r->init)))
    return snn_fail(im->err, SNN_ERR_UNSUPPORTED, "spiked.init", "'%.40s' is not zero, half or weights", init);
  if (timesteps) {
    unsigned long t = strtoul(timesteps, &end, 10);
    if (end == timesteps || *end || *timesteps == '-' || t < 1 || t > SNN_MAX_TIMESTEPS)
      return snn_fail(im->err, SNN_ERR_FORMAT, "spiked.timesteps", "'%.40s' is not a number from 1 to %d", timesteps,
                      SNN_MAX_TIMESTEPS);
    r->timesteps = (uint32_t)t;
  }
  if (tau) {
    r->tau = strtof(tau, &end);
    if (end == tau || *end || !(r->tau > 0 && r->tau <= 1))
      return snn_fail(im->err, SNN_ERR_FORMAT, "spiked.tau", "'%.40s' is not a number above 0 and up to 1", tau);
  }
  return SNN_OK;
}

snn_status snn_onnx_apply_metadata(onnx_import *im) {
  static const char *const keys[] = {"spiked.neuron", "spiked.init",  "spiked.timesteps", "spiked.tau",
                                     "spiked.fire",   "spiked.reset", "spiked.amplitude"};
  enum { NEURON, INIT, TIMESTEPS, TAU, FIRE, RESET, AMPLITUDE, KEYS };
  char *texts[KEYS];
  for (int k = 0; k < KEYS; k++) {
    snn_status status = get_text(im, keys[k], &texts[k]);
    if (status != SNN_OK) return status;
  }
  snn_status status = set_recommended(im, texts[NEURON], texts[INIT], texts[TIMESTEPS], texts[TAU]);
  if (status != SNN_OK) return status;
  if (!texts[FIRE] && (texts[RESET] || texts[AMPLITUDE]))
    return snn_fail(im->err, SNN_ERR_FORMAT, "spiked.fire", "it is missing beside spiked.reset or spiked.amplitude");
  return texts[FIRE] ? set_levels(im, texts[FIRE], texts[RESET], texts[AMPLITUDE]) : SNN_OK;
}
