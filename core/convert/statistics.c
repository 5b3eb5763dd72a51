/* Gathering activation statistics. Pictures run a thread each; then the threads share the channels of what all of them
 * left, so one set of histograms serves any number of threads and the counts do not depend on it. */
#include "convert/statistics.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "sim/reference.h"
#include "snn/image.h"

enum { MAX_THREADS = 256 };

/* Upper 16 bits of a float: sign 0, eight of exponent, seven of mantissa = 128 bins an octave. */
static uint32_t bin_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  uint32_t first = (uint32_t)(127 + SNN_HISTOGRAM_LOG2_MIN) * SNN_HISTOGRAM_PER_OCTAVE, index = bits >> 16;
  if (!(x > 0) || index < first) return 0;
  index -= first - 1;
  return index < SNN_HISTOGRAM_BINS ? index : SNN_HISTOGRAM_BINS - 1;
}

/* Lower edge of a bin; the upper edge of bin i is the lower edge of bin i + 1. */
static double edge_of(uint32_t bin) {
  if (bin == 0) return 0;
  uint32_t k = bin - 1;
  return ldexp(1.0 + (double)(k % SNN_HISTOGRAM_PER_OCTAVE) / SNN_HISTOGRAM_PER_OCTAVE,
               SNN_HISTOGRAM_LOG2_MIN + (int)(k / SNN_HISTOGRAM_PER_OCTAVE));
}

float snn_activation_percentile(const snn_activation_stats *s, uint32_t begin, uint32_t end, double p) {
  float max = 0;
  for (uint32_t c = begin; c < end; c++)
    if (s->max[c] > max) max = s->max[c];
  if (p >= 100) return max;
  double rank = p / 100 * (double)s->per_channel * (end - begin), below = 0;
  for (uint32_t b = 0; b < SNN_HISTOGRAM_BINS; b++) {
    double here = 0;
    for (uint32_t c = begin; c < end; c++) here += (double)s->histogram[(size_t)c * SNN_HISTOGRAM_BINS + b];
    if (here > 0 && below + here >= rank) {
      if (b == 0) return 0;
      double upper = b + 1 < SNN_HISTOGRAM_BINS ? edge_of(b + 1) : (double)max; /* the last bin has no upper edge */
      double x = edge_of(b) + (upper - edge_of(b)) * (rank - below) / here;
      return x < (double)max ? (float)x : max;
    }
    below += here;
  }
  return max;
}

void snn_activation_stats_free(const snn_network *net, snn_activation_stats *stats) {
  for (uint32_t i = 0; stats && i < net->n_nodes; i++) {
    free(stats[i].max);
    free(stats[i].histogram);
  }
  free(stats);
}

static snn_status allocate(const snn_network *net, snn_activation_stats **out, snn_error *err) {
  snn_activation_stats *stats = snn_alloc_array(net->n_nodes, sizeof *stats);
  if (!stats) return snn_fail_memory(err, "activation statistics");
  for (uint32_t i = 0; i < net->n_nodes; i++) {
    const bool fires = net->nodes[i].kind == SNN_LAYER_NEURON;
    if (!fires && i + 1 < net->n_nodes) continue;
    uint32_t channels = net->nodes[i].shape.c;
    stats[i].channels = channels;
    stats[i].max = snn_alloc_array(channels, sizeof *stats[i].max);
    if (fires) stats[i].histogram = snn_alloc_array((size_t)channels * SNN_HISTOGRAM_BINS, sizeof *stats[i].histogram);
    if (!stats[i].max || (fires && !stats[i].histogram)) {
      snn_activation_stats_free(net, stats);
      return snn_fail_memory(err, "activation statistics");
    }
  }
  *out = stats;
  return SNN_OK;
}

/* Count one activation map [positions][channels] for channels [begin, end). */
static void count(snn_activation_stats *s, const float *map, size_t positions, size_t begin, size_t end) {
  for (size_t p = 0; p < positions; p++)
    for (size_t c = begin; c < end; c++) {
      float x = map[p * s->channels + c];
      if (x > s->max[c]) s->max[c] = x;
      if (s->histogram) s->histogram[c * SNN_HISTOGRAM_BINS + bin_of(x)]++;
    }
}

/* What the threads of one collection work with. */
typedef struct collector {
  const snn_network *net;
  const snn_convert_options *opt;
  snn_reference reference;
  snn_activation_stats *stats;
  float *workspaces; /* [threads][reference.elements] */
  float *inputs;     /* [threads][input] */
  uint8_t *pixels;   /* [threads][input] */
  snn_status status[MAX_THREADS];
  snn_error errors[MAX_THREADS];
} collector;

/* Pictures first .. first + n, one a thread; afterwards all threads count. */
static void run_group(collector *c, const size_t *pictures, uint32_t n) {
  const snn_network *net = c->net;
  snn_shape shape = net->nodes[0].shape;
  size_t size = snn_shape_size(shape);
#pragma omp parallel num_threads((int)n)
  {
    uint32_t rank = (uint32_t)omp_get_thread_num(), team = (uint32_t)omp_get_num_threads();
    for (uint32_t i = rank; i < n; i += team) {
      uint8_t *pixels = c->pixels + i * size;
      float *input = c->inputs + i * size;
      c->errors[i] = (snn_error){0};
      c->status[i] =
          snn_dataset_read(c->opt->data, pictures[i], shape, net->preprocess.background, pixels, &c->errors[i]);
      if (c->status[i] != SNN_OK) continue;
      snn_image_normalise(pixels, shape, &net->preprocess, input);
      snn_reference_run(&c->reference, snn_kernels_get(), (snn_team){.size = 1}, input,
                        c->workspaces + i * c->reference.elements);
    }
#pragma omp barrier
    for (uint32_t node = 0; node < net->n_nodes; node++) {
      snn_activation_stats *s = &c->stats[node];
      size_t begin, end, positions = (size_t)net->nodes[node].shape.h * net->nodes[node].shape.w;
      snn_team_share((snn_team){.rank = rank, .size = team}, s->channels, &begin, &end);
      for (uint32_t i = 0; i < n; i++)
        if (c->status[i] == SNN_OK)
          count(s, c->workspaces + i * c->reference.elements + c->reference.offsets[node], positions, begin, end);
    }
  }
}

static snn_status collect(collector *c, uint32_t threads, size_t n, snn_error *err) {
  size_t available = snn_dataset_count(c->opt->data);
  for (size_t done = 0; done < n;) {
    if (c->opt->progress && !c->opt->progress(c->opt->progress_context, "activations", done, n))
      return snn_fail(err, SNN_ERR_CANCELLED, NULL, "conversion was cancelled");
    size_t pictures[MAX_THREADS];
    uint32_t group = n - done < threads ? (uint32_t)(n - done) : threads;
    for (uint32_t i = 0; i < group; i++) pictures[i] = (size_t)((double)(done + i) * (double)available / (double)n);
    run_group(c, pictures, group);
    for (uint32_t i = 0; i < group; i++)
      if (c->status[i] != SNN_OK) return snn_fail(err, c->status[i], c->errors[i].where, "%s", c->errors[i].text);
    done += group;
  }
  if (c->opt->progress) c->opt->progress(c->opt->progress_context, "activations", n, n);
  for (uint32_t i = 0; i < c->net->n_nodes; i++)
    c->stats[i].per_channel = (uint64_t)n * c->net->nodes[i].shape.h * c->net->nodes[i].shape.w;
  return SNN_OK;
}

snn_status snn_activation_stats_collect(const snn_network *net, const snn_convert_options *opt,
                                        snn_activation_stats **out, size_t *used, snn_error *err) {
  size_t n = snn_dataset_count(opt->data), size = snn_shape_size(net->nodes[0].shape), floats;
  if (opt->data_limit && opt->data_limit < n) n = opt->data_limit;
  uint32_t threads = opt->threads ? opt->threads : snn_thread_budget();
  if (threads > MAX_THREADS) threads = MAX_THREADS;
  collector *c = calloc(1, sizeof *c);
  if (!c) return snn_fail_memory(err, "activation statistics");
  c->net = net;
  c->opt = opt;
  snn_status status = snn_reference_create(net, &c->reference, err);
  if (status == SNN_OK) status = allocate(net, &c->stats, err);
  if (status == SNN_OK) {
    if (snn_mul(threads, c->reference.elements, &floats)) c->workspaces = snn_alloc_array(floats, sizeof(float));
    c->inputs = snn_alloc_array(threads * size, sizeof(float));
    c->pixels = snn_alloc_array(threads * size, 1);
    if (!c->workspaces || !c->inputs || !c->pixels) status = snn_fail_memory(err, "activation statistics");
  }
  if (status == SNN_OK) status = collect(c, threads, n, err);
  if (status == SNN_OK) {
    *out = c->stats;
    *used = n;
  } else {
    snn_activation_stats_free(net, c->stats);
  }
  free(c->workspaces);
  free(c->inputs);
  free(c->pixels);
  snn_reference_free(&c->reference);
  free(c);
  return status;
}
