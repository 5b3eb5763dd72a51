/* A spiking network simulated the obvious way, from the equations and not from our code: doubles, one step and one
 * layer at a time, neurons one by one. Maps are [h][w][c]. For small networks of dyadic numbers, on which nothing
 * rounds. */
#ifndef TESTS_UNIT_NAIVE_H
#define TESTS_UNIT_NAIVE_H

#include "build.h"
#include "neurons/potentials.h"
#include "snn/snn.h"

/* A run and what it leaves; arrays have an entry a layer. */
typedef struct naive {
  const snn_network *net;
  bool is_float; /* neurons are the float network's ReLU or Clip, and there is one step */
  snn_neuron neuron;
  double tau, shift; /* shift: 0 or 1, of all layers */
  const snn_potentials *initial;
  uint32_t timesteps, now; /* now: the step that runs, from 1 */
  double **value;          /* what a layer sends at this step */
  double **v;              /* neurons: potentials */
  double **sent;           /* neurons: spikes fired, those taken back subtracted */
  double **first;          /* neurons: the step of the first spike, 0 before it */
  double **summed;         /* maximum pools: [0..in) cumulated inputs, [in..) last maximum */
  uint64_t *fired;         /* neurons: spikes of either sign */
  double *scores;
} naive;

static inline size_t naive_size(const naive *r, uint32_t i) {
  return snn_shape_size(r->net->nodes[i].shape);
}

static inline double per_channel(const float *x, uint32_t n, size_t element, uint32_t channels) {
  return (double)x[n == 1 ? 0 : element % channels];
}

/* The input coordinate of a tap, or -1 outside. */
static inline long tap_at(uint32_t out, uint32_t k, uint32_t stride, uint32_t dilation, uint32_t pad, uint32_t extent) {
  long at = (long)out * stride + (long)k * dilation - pad;
  return at < 0 || at >= (long)extent ? -1 : at;
}

/* One element of a windowed layer: its taps' values go to `take`. */
static inline double naive_window(const naive *r, uint32_t i, const double *x, uint32_t y, uint32_t xx, uint32_t c) {
  const snn_node *n = &r->net->nodes[i];
  snn_shape in = r->net->nodes[n->inputs[0]].shape;
  const snn_window *w = n->kind == SNN_LAYER_CONV ? &n->conv.window : &n->pool.window;
  double sum = 0, most = -INFINITY, inside = 0;
  for (uint32_t ky = 0; ky < w->kernel_h; ky++)
    for (uint32_t kx = 0; kx < w->kernel_w; kx++) {
      long iy = tap_at(y, ky, w->stride_h, w->dilation_h, w->pad_top, in.h);
      long ix = tap_at(xx, kx, w->stride_w, w->dilation_w, w->pad_left, in.w);
      if (iy < 0 || ix < 0) continue;
      const double *at = x + ((size_t)iy * in.w + (size_t)ix) * in.c;
      if (n->kind == SNN_LAYER_CONV) {
        uint32_t group_in = in.c / n->conv.groups, group = c / (n->shape.c / n->conv.groups);
        for (uint32_t k = 0; k < group_in; k++)
          sum += at[group * group_in + k] *
                 (double)n->conv.weights[(((size_t)ky * w->kernel_w + kx) * group_in + k) * n->shape.c + c];
      } else {
        sum += at[c];
        inside++;
        if (at[c] > most) most = at[c];
      }
    }
  if (n->kind == SNN_LAYER_CONV) return sum;
  return n->kind == SNN_LAYER_MAXPOOL ? most : sum / inside;
}

/* One step of one neuron with current I: s of -1, 0 or 1 is returned. */
static inline int naive_fire(naive *r, uint32_t i, size_t k, double current) {
  const snn_neurons *p = &r->net->nodes[i].neurons;
  uint32_t channels = r->net->nodes[i].shape.c;
  double theta = per_channel(p->theta, p->n, k, channels), level = per_channel(p->fire, p->n, k, channels);
  double *v = &r->v[i][k];
  int s = 0;
  switch (r->neuron) {
    case SNN_NEURON_IF_HARD:
    case SNN_NEURON_LIF:
      *v = (r->neuron == SNN_NEURON_LIF ? r->tau : 1) * *v + current;
      if (*v >= level) s = 1, *v = 0;
      break;
    case SNN_NEURON_LIF_SOFT:
      *v = r->tau * *v + current;
      if (*v >= level) s = 1, *v -= theta;
      break;
    case SNN_NEURON_SRIF:
    case SNN_NEURON_SRIF_MPR:
      *v += current;
      if (*v >= level / 2) s = 1, *v -= theta;
      break;
    case SNN_NEURON_IF_SIGNED:
      *v += current;
      if (*v >= level)
        s = 1, *v -= theta;
      else if (*v <= -level && r->sent[i][k] > 0)
        s = -1, *v += theta;
      break;
    default: /* if; asg, which integrates its mean current like this */
      *v += current;
      if (*v >= level) s = 1, *v -= theta;
      break;
  }
  r->sent[i][k] += s;
  if (s && r->first[i][k] == 0) r->first[i][k] = r->now;
  r->fired[i] += (uint64_t)abs(s);
  return s;
}

/* Layer i at one step that stands for `times` steps: 1, or all of T for asg. */
static inline void naive_layer(naive *r, uint32_t i, uint32_t times) {
  const snn_node *n = &r->net->nodes[i];
  const double *x = r->value[n->inputs[0]];
  size_t size = naive_size(r, i), in = naive_size(r, n->inputs[0]);
  double *out = r->value[i];
  if (n->kind == SNN_LAYER_MAXPOOL)
    for (size_t k = 0; k < in; k++) r->summed[i][k] += x[k];
  for (size_t k = 0; k < size; k++) {
    uint32_t c = (uint32_t)(k % n->shape.c), xx = (uint32_t)(k / n->shape.c % n->shape.w),
             y = (uint32_t)(k / n->shape.c / n->shape.w);
    double current = 0;
    switch (n->kind) {
      case SNN_LAYER_CONV: out[k] = naive_window(r, i, x, y, xx, c) + times * (double)n->conv.bias[c]; break;
      case SNN_LAYER_AVGPOOL: out[k] = naive_window(r, i, x, y, xx, c); break;
      case SNN_LAYER_MAXPOOL:
        current = naive_window(r, i, r->summed[i], y, xx, c);
        out[k] = current - r->summed[i][in + k];
        r->summed[i][in + k] = current;
        break;
      default:
        for (uint32_t s = 0; s < n->n_inputs; s++) current += r->value[n->inputs[s]][k];
        out[k] = current;
    }
    if (r->is_float && n->kind == SNN_LAYER_NEURON) out[k] = fmin(fmax(current, 0), (double)n->neurons.clip);
    if (r->is_float || n->kind != SNN_LAYER_NEURON) continue;
    double theta = per_channel(n->neurons.theta, n->neurons.n, k, n->shape.c), spikes = 0;
    double shift = r->initial && r->initial[i].shift ? 1 : r->shift;
    current = current / times + shift * theta / (2 * r->timesteps);
    for (uint32_t t = 0; t < times; t++) spikes += naive_fire(r, i, k, current);
    out[k] = spikes * per_channel(n->neurons.amplitude, n->neurons.n, k, n->shape.c);
  }
}

static inline void naive_allocate(naive *r) {
  double ***const maps[] = {&r->value, &r->v, &r->sent, &r->summed, &r->first};
  for (int m = 0; m < 5; m++) {
    *maps[m] = calloc(r->net->n_nodes, sizeof(double *));
    for (uint32_t i = 0; i < r->net->n_nodes; i++) {
      size_t more = m == 3 && i ? naive_size(r, r->net->nodes[i].inputs[0]) : 0;
      (*maps[m])[i] = calloc(naive_size(r, i) + more, sizeof(double));
    }
  }
  r->fired = calloc(r->net->n_nodes, sizeof *r->fired);
  r->scores = calloc(snn_network_classes(r->net), sizeof *r->scores);
}

static inline void naive_steps(naive *r, const float *image, uint32_t times) {
  snn_shape s = r->net->nodes[0].shape;
  size_t classes = snn_network_classes(r->net);
  for (uint32_t t = 0; t < r->timesteps; t += times) {
    r->now = t + 1;
    for (size_t k = 0; k < snn_shape_size(s); k++)
      r->value[0][k] = times * (double)image[k % s.c * s.h * s.w + k / s.c];
    for (uint32_t i = 1; i < r->net->n_nodes; i++) naive_layer(r, i, times);
    for (size_t c = 0; c < classes; c++) r->scores[c] += r->value[r->net->n_nodes - 1][c] / r->timesteps;
  }
}

/* Run `image` [c][h][w]; initial: an entry a layer, in units of theta. The result is freed with naive_free. */
static inline naive naive_run(const snn_network *net, const float *image, snn_neuron neuron, double tau, bool shift,
                              uint32_t timesteps, const snn_potentials *initial) {
  naive r = {.net = net, .neuron = neuron, .tau = tau, .shift = shift, .initial = initial, .timesteps = timesteps};
  naive_allocate(&r);
  for (uint32_t i = 0; i < net->n_nodes; i++)
    for (size_t k = 0; net->nodes[i].kind == SNN_LAYER_NEURON && k < naive_size(&r, i); k++) {
      size_t n = initial[i].n, c = net->nodes[i].shape.c;
      r.v[i][k] = (double)initial[i].values[n == 1   ? 0
                                            : n == c ? k % c
                                                     : k] *
                  per_channel(net->nodes[i].neurons.theta, net->nodes[i].neurons.n, k, net->nodes[i].shape.c);
    }
  naive_steps(&r, image, neuron == SNN_NEURON_ASG ? timesteps : 1);
  return r;
}

/* The float network: activations are in `value`. */
static inline naive naive_float(const snn_network *net, const float *image) {
  naive r = {.net = net, .is_float = true, .timesteps = 1};
  naive_allocate(&r);
  naive_steps(&r, image, 1);
  return r;
}

static inline void naive_free(naive *r) {
  double **const maps[] = {r->value, r->v, r->sent, r->summed, r->first};
  for (int m = 0; m < 5; m++) {
    for (uint32_t i = 0; i < r->net->n_nodes; i++) free(maps[m][i]);
    free(maps[m]);
  }
  free(r->fired);
  free(r->scores);
}

#endif
