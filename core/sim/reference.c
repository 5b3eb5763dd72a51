/* The float network, node by node. Invariant: like the simulation, the answer does not depend on the size of the team.
 * Keeps every node's activation, which conversion reads; makes no statistics itself. */
#include "sim/reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "graph/stored.h"
#include "sim/plan.h"

void snn_channels_last(snn_team team, snn_shape shape, const float *image, float *map) {
  size_t begin, end, plane = (size_t)shape.h * shape.w;
  snn_team_share(team, plane, &begin, &end);
  for (size_t p = begin; p < end; p++)
    for (uint32_t c = 0; c < shape.c; c++) map[p * shape.c + c] = image[c * plane + p];
}

snn_status snn_reference_create(const snn_network *net, snn_reference *out, snn_error *err) {
  snn_reference r = {.net = net, .offsets = snn_alloc_array(net->n_nodes, sizeof *r.offsets)};
  if (!r.offsets) return snn_fail_memory(err, "the float reference");
  for (uint32_t i = 0; i < net->n_nodes; i++) { /* at most 4096 nodes of 2^28 elements: no overflow */
    r.offsets[i] = r.elements;
    r.elements += (snn_shape_size(net->nodes[i].shape) + 15) & ~(size_t)15;
  }
  *out = r;
  return SNN_OK;
}

void snn_reference_free(snn_reference *r) {
  free(r->offsets);
  *r = (snn_reference){0};
}

static void run_conv(const snn_reference *r, const snn_kernels *kernels, uint32_t i, snn_team team, const float *in,
                     float *out) {
  const snn_node *n = &r->net->nodes[i];
  snn_conv_args args = snn_conv_args_of(r->net, i);
  size_t blocks = snn_words(n->shape.c), begin, end;
  snn_team_share(team, (size_t)n->shape.h * n->shape.w * blocks, &begin, &end);
  for (size_t item = begin; item < end; item++) {
    snn_stand_back(team.courtesy);
    size_t position = item / blocks;
    uint32_t first = (uint32_t)(item % blocks) * SNN_BLOCK, left = n->shape.c - first;
    snn_site site = {.y = (uint32_t)(position / n->shape.w),
                     .x = (uint32_t)(position % n->shape.w),
                     .begin = first,
                     .n = left < SNN_BLOCK ? left : SNN_BLOCK};
    float *acc = out + position * n->shape.c + first;
    memcpy(acc, n->conv.bias + first, site.n * sizeof *acc);
    kernels->conv_graded(&args, site, in, acc);
  }
}

static void run_pool(const snn_node *n, snn_shape in_shape, snn_team team, const float *in, float *out) {
  const snn_window *w = &n->pool.window;
  uint32_t channels = n->shape.c;
  size_t begin, end;
  snn_team_share(team, (size_t)n->shape.h * n->shape.w, &begin, &end);
  for (size_t position = begin; position < end; position++) {
    snn_stand_back(team.courtesy);
    float *acc = out + position * channels;
    uint32_t taps = 0;
    for (uint32_t c = 0; c < channels; c++) acc[c] = n->kind == SNN_LAYER_MAXPOOL ? -INFINITY : 0.0f;
    for (uint32_t ky = 0; ky < w->kernel_h; ky++)
      for (uint32_t kx = 0; kx < w->kernel_w; kx++) {
        int64_t y = (int64_t)(position / n->shape.w) * w->stride_h + (int64_t)ky * w->dilation_h - w->pad_top;
        int64_t x = (int64_t)(position % n->shape.w) * w->stride_w + (int64_t)kx * w->dilation_w - w->pad_left;
        if (y < 0 || y >= in_shape.h || x < 0 || x >= in_shape.w) continue;
        const float *from = in + ((size_t)y * in_shape.w + (size_t)x) * channels;
        taps++;
        for (uint32_t c = 0; c < channels; c++)
          acc[c] = n->kind == SNN_LAYER_AVGPOOL ? acc[c] + from[c] : from[c] > acc[c] ? from[c] : acc[c];
      }
    uint32_t divisor = n->pool.count_include_pad ? w->kernel_h * w->kernel_w : taps;
    for (uint32_t c = 0; n->kind == SNN_LAYER_AVGPOOL && c < channels; c++) acc[c] /= (float)divisor;
  }
}

/* One input's channels of a concatenation, from channel `to` on. */
static void run_concat(const snn_node *n, snn_shape in_shape, uint32_t to, snn_team team, const float *in, float *out) {
  size_t begin, end;
  snn_team_share(team, (size_t)n->shape.h * n->shape.w, &begin, &end);
  for (size_t p = begin; p < end; p++) memcpy(out + p * n->shape.c + to, in + p * in_shape.c, in_shape.c * sizeof *out);
}

/* Source of element i of an axis, or -1 where a slice has a zero. */
static int64_t sliced(uint32_t i, uint32_t pad, uint32_t start, uint32_t step, uint32_t in) {
  if (i < pad) return -1;
  int64_t source = start + (int64_t)(i - pad) * step;
  return source < in ? source : -1;
}

static void run_slice(const snn_node *n, snn_shape in_shape, snn_team team, const float *in, float *out) {
  const snn_slice *s = &n->slice;
  size_t begin, end;
  snn_team_share(team, (size_t)n->shape.h * n->shape.w, &begin, &end);
  for (size_t p = begin; p < end; p++) {
    int64_t y = sliced((uint32_t)(p / n->shape.w), s->pad[1], s->start[1], s->step[0], in_shape.h);
    int64_t x = sliced((uint32_t)(p % n->shape.w), s->pad[2], s->start[2], s->step[1], in_shape.w);
    for (uint32_t c = 0; c < n->shape.c; c++) {
      int64_t from = sliced(c, s->pad[0], s->start[0], 1, in_shape.c);
      bool shown = y >= 0 && x >= 0 && from >= 0;
      out[p * n->shape.c + c] = shown ? in[((size_t)y * in_shape.w + (size_t)x) * in_shape.c + (size_t)from] : 0.0f;
    }
  }
}

/* ReLU, Clip, or the quantised form of graph.h. The quantised one rounds as asg counts: with T = levels a power of two
 * its sums are these times T, bit for bit. */
static void run_activation(const snn_neurons *neurons, const float *in, size_t n, float *out) {
  const float most = (float)neurons->levels, step = neurons->levels ? neurons->clip / most : 0;
  const float offset = neurons->rounding * step;
  for (size_t i = 0; i < n; i++) {
    if (neurons->levels) {
      float k = floorf((in[i] + offset) / step);
      out[i] = step * (k < 0 ? 0 : k > most ? most : k);
    } else {
      float x = in[i] > 0 ? in[i] : 0;
      out[i] = x < neurons->clip ? x : neurons->clip;
    }
  }
}

void snn_reference_node(const snn_reference *r, const snn_kernels *kernels, snn_team team, uint32_t i,
                        const float *image, float *workspace) {
  const snn_network *net = r->net;
  const snn_node *n = &net->nodes[i];
  float *out = workspace + r->offsets[i];
  size_t begin, end;
  if (n->kind == SNN_LAYER_INPUT) {
    snn_channels_last(team, n->shape, image, out);
    return;
  }
  const float *in = workspace + (n->n_inputs ? r->offsets[n->inputs[0]] : 0); /* constants read nothing */
  snn_team_share(team, snn_shape_size(n->shape), &begin, &end);
  switch (n->kind) {
    case SNN_LAYER_CONV: run_conv(r, kernels, i, team, in, out); break;
    case SNN_LAYER_AVGPOOL:
    case SNN_LAYER_MAXPOOL: run_pool(n, net->nodes[n->inputs[0]].shape, team, in, out); break;
    case SNN_LAYER_ADD:
      memcpy(out + begin, in + begin, (end - begin) * sizeof *out);
      for (uint32_t k = 1; k < n->n_inputs; k++) {
        const float *other = workspace + r->offsets[n->inputs[k]];
        for (size_t j = begin; j < end; j++) out[j] += other[j];
      }
      break;
    case SNN_LAYER_CONCAT:
      for (uint32_t k = 0, to = 0; k < n->n_inputs; k++) {
        snn_shape from = net->nodes[n->inputs[k]].shape;
        run_concat(n, from, to, team, workspace + r->offsets[n->inputs[k]], out);
        to += from.c;
      }
      break;
    case SNN_LAYER_SLICE: run_slice(n, net->nodes[n->inputs[0]].shape, team, in, out); break;
    case SNN_LAYER_CONSTANT: memcpy(out + begin, n->values + begin, (end - begin) * sizeof *out); break;
    default: run_activation(&n->neurons, in + begin, end - begin, out + begin); break;
  }
}

void snn_reference_run(const snn_reference *r, const snn_kernels *kernels, snn_team team, const float *image,
                       float *workspace) {
  snn_graph_want_floats(r->net, 1);
  for (uint32_t i = 0; i < r->net->n_nodes; i++) {
    snn_reference_node(r, kernels, team, i, image, workspace);
    snn_team_barrier(team);
  }
}
