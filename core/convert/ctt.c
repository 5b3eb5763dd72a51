/* Channel-wise threshold training (Yan, Zhou & Wong, CTT).
 *
 * Algorithm 2, layer by layer, with the layers before already trained and firing as `if`: on calibration pictures a
 * layer's neurons run as `if` with thresholds theta of their channels, and, on the same currents, as averaging neurons
 * (asg) with the threshold that a spike stands for. Per channel
 *
 *     theta = theta - lr * (spikes of asg - spikes of if)                        Algorithm 2, lines 5 and 6
 *
 * The paper leaves lr open; here it is theta / (2 * spikes of asg), so that a step goes half way to where the counts
 * would agree if they were proportional to 1 / theta, whatever a channel's size. What asg would have fired follows from
 * the run of `if` itself: its currents add up to v(T) - v(0) + theta * spikes. Of the rounds the one with the smallest
 * difference counts. */
#include "convert/ctt.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "calibrate/observe.h"
#include "snn/image.h"

float snn_ctt_step(float theta, float base, double fired, double wanted) {
  if (!(wanted > 0)) return theta; /* a channel that should be silent keeps what it has */
  double next = (double)theta - (double)theta / (2 * wanted) * (wanted - fired);
  double least = (double)base / 4, most = 4 * (double)base;
  return (float)(next < least ? least : next > most ? most : next);
}

typedef struct trainer {
  snn_network *net;
  const snn_convert_options *opt;
  snn_observer *observer;
  float start;        /* v(0) of every neuron, in units of theta */
  snn_observed *seen; /* [neurons of the largest layer] */
  snn_error *err;
} trainer;

static double sum_channel(const snn_observed *seen, snn_shape shape, uint32_t c) {
  double sum = 0;
  for (size_t k = c; k < snn_shape_size(shape); k += shape.c) sum += seen[k].sum;
  return sum;
}

/* The rounds of one layer; theta[c] is where it starts and where the best round ends. */
static snn_status train_layer(trainer *t, snn_shape shape, const float *base, float *theta) {
  const snn_potentials from = {.values = &t->start, .n = 1};
  float *best = snn_alloc_array(shape.c, sizeof *best);
  double *fired = snn_alloc_array(shape.c, sizeof *fired), *least = snn_alloc_array(shape.c, sizeof *least);
  snn_status status = best && fired && least ? SNN_OK : snn_fail_memory(t->err, "threshold training");
  for (int round = 0; status == SNN_OK && round <= SNN_CTT_ROUNDS; round++) {
    snn_observer_set_thresholds(t->observer, theta);
    snn_observer_run(t->observer, from, SNN_OBSERVE_SPIKES, false, t->seen);
    for (uint32_t c = 0; c < shape.c; c++) fired[c] = sum_channel(t->seen, shape, c);
    snn_observer_run(t->observer, from, SNN_OBSERVE_SHORTFALL, false, t->seen);
    for (uint32_t c = 0; c < shape.c; c++) {
      double missing = sum_channel(t->seen, shape, c);
      if (round == 0 || fabs(missing) < least[c]) {
        least[c] = fabs(missing);
        best[c] = theta[c];
      }
      theta[c] = snn_ctt_step(theta[c], base[c], fired[c], fired[c] + missing);
    }
  }
  if (status == SNN_OK) {
    memcpy(theta, best, shape.c * sizeof *theta);
    snn_observer_set_thresholds(t->observer, theta);
    snn_observer_run(t->observer, from, SNN_OBSERVE_SPIKES, false, t->seen); /* what the next layers see */
  }
  free(best);
  free(fired);
  free(least);
  return status;
}

static snn_status train_stage(trainer *t, uint32_t s) {
  const snn_stage *stage = &snn_observer_plan(t->observer)->stages[s];
  snn_status status = snn_observer_prepare(t->observer, s, t->err);
  if (status != SNN_OK || stage->sink != SNN_SINK_SPIKES) return status;
  snn_neurons *p = &t->net->nodes[stage->node].neurons;
  const uint32_t channels = stage->shape.c;
  float *theta = snn_arena_alloc(&t->net->arena, channels, sizeof *theta);
  float *amplitude = snn_arena_alloc(&t->net->arena, channels, sizeof *amplitude);
  float *most = p->activation_max ? snn_arena_alloc(&t->net->arena, channels, sizeof *most) : NULL;
  if (!theta || !amplitude || (p->activation_max && !most)) return snn_fail_memory(t->err, "trained thresholds");
  for (uint32_t c = 0; c < channels; c++) {
    theta[c] = amplitude[c] = p->amplitude[p->n == 1 ? 0 : c];
    if (most) most[c] = p->activation_max[p->n == 1 ? 0 : c];
  }
  status = train_layer(t, stage->shape, amplitude, theta);
  if (status != SNN_OK) return status;
  p->n = channels;
  p->theta = p->fire = theta;
  p->amplitude = amplitude;
  p->activation_max = most;
  return SNN_OK;
}

/* n of the pictures, evenly spaced, normalised: [n][C,H,W]. */
static snn_status read_pictures(const snn_network *net, const snn_convert_options *opt, size_t n, float *images,
                                snn_error *err) {
  snn_shape shape = net->nodes[0].shape;
  size_t size = snn_shape_size(shape), available = snn_dataset_count(opt->data);
  uint8_t *pixels = snn_alloc_array(size, 1);
  snn_status status = pixels ? SNN_OK : snn_fail_memory(err, "pictures");
  for (size_t i = 0; status == SNN_OK && i < n; i++) {
    size_t picture = (size_t)((double)i * (double)available / (double)n);
    status = snn_dataset_read(opt->data, picture, shape, net->preprocess.background, pixels, err);
    if (status == SNN_OK) snn_image_normalise(pixels, shape, &net->preprocess, images + i * size);
  }
  free(pixels);
  return status;
}

static snn_status train_stages(trainer *t, const float *images, size_t n) {
  const snn_observer_options o = {.neuron = snn_neuron_model_get(SNN_NEURON_IF),
                                  .tau = 1,
                                  .timesteps = t->net->recommended.timesteps,
                                  .threads = t->opt->threads ? t->opt->threads : snn_thread_budget()};
  snn_status status = snn_observer_create(t->net, images, n, &o, &t->observer, t->err);
  if (status != SNN_OK) return status;
  uint32_t stages = snn_observer_plan(t->observer)->n_stages;
  for (uint32_t s = 0; status == SNN_OK && s < stages; s++) {
    if (t->opt->progress && !t->opt->progress(t->opt->progress_context, "thresholds", s, stages))
      status = snn_fail(t->err, SNN_ERR_CANCELLED, NULL, "conversion was cancelled");
    else
      status = train_stage(t, s);
  }
  if (status == SNN_OK && t->opt->progress) t->opt->progress(t->opt->progress_context, "thresholds", stages, stages);
  snn_observer_free(t->observer);
  return status;
}

snn_status snn_ctt_train(snn_network *net, const snn_convert_options *opt, snn_error *err) {
  size_t n = snn_dataset_count(opt->data), largest = 1, floats;
  if (opt->data_limit && opt->data_limit < n) n = opt->data_limit;
  if (n > SNN_CTT_PICTURES) n = SNN_CTT_PICTURES;
  for (uint32_t i = 0; i < net->n_nodes; i++)
    if (snn_shape_size(net->nodes[i].shape) > largest) largest = snn_shape_size(net->nodes[i].shape);
  trainer t = {.net = net, .opt = opt, .start = net->recommended.init == SNN_INIT_ZERO ? 0.0f : 0.5f, .err = err};
  t.seen = snn_alloc_array(largest, sizeof *t.seen);
  float *images =
      snn_mul(n, snn_shape_size(net->nodes[0].shape), &floats) ? snn_alloc_array(floats, sizeof *images) : NULL;
  snn_status status = t.seen && images ? SNN_OK : snn_fail_memory(err, "threshold training");
  if (status == SNN_OK) status = read_pictures(net, opt, n, images, err);
  if (status == SNN_OK) status = train_stages(&t, images, n);
  free(images);
  free(t.seen);
  return status;
}
