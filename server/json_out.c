/* The answer of classify and the problem body. Keeps the invariant that what is printed is JSON whatever the numbers
 * are: a score that is not finite becomes null. Does no arithmetic but softmax, rates and energy. */
#include "json_out.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "encoding.h"
#include "json_echo.h"
#include "json_text.h"

#define ENERGY_BASIS "45 nm: 0.9 pJ per AC, 4.6 pJ per MAC (Horowitz 2014)"
static const double AC_NJ = 0.9e-3, MAC_NJ = 4.6e-3;

latency json_out_latency(const inference *inf, uint64_t now_ns) {
  uint64_t waited = inf->at.decode_begin - inf->at.received + (inf->at.run_begin - inf->at.decode_end);
  return (latency){.queue = (double)waited / 1e6,
                   .decode = (double)(inf->at.decode_end - inf->at.decode_begin) / 1e6,
                   .simulate = (double)(inf->at.run_end - inf->at.run_begin) / 1e6,
                   .total = (double)(now_ns - inf->at.received) / 1e6};
}

/* Scores of one picture with what softmax needs: shifting by the largest keeps exp() in range. */
typedef struct scored {
  const snn_network *net;
  const float *scores;
  size_t n;
  double largest, sum;
} scored;

static scored score(const snn_network *net, const float *scores) {
  scored s = {.net = net, .scores = scores, .n = snn_network_classes(net), .largest = -INFINITY};
  for (size_t i = 0; i < s.n; i++)
    if ((double)scores[i] > s.largest) s.largest = (double)scores[i];
  for (size_t i = 0; i < s.n; i++) s.sum += exp((double)scores[i] - s.largest);
  return s;
}

static void put_class(json_text *t, const char *name, const scored *s, size_t i) {
  double v = (double)s->scores[i];
  json_open(t, name, '{');
  json_put_integer(t, "index", (long long)i);
  json_put_text(t, "label", snn_network_label(s->net, i));
  json_put_real(t, "score", v);
  json_put_real(t, "probability", exp(v - s->largest) / s->sum);
  json_close(t, '}');
}

/* Is class i ahead of class j? Equal scores: the lower index. A NaN is behind everything. */
static bool ahead(const float *scores, size_t i, size_t j) {
  if (isnan(scores[j])) return !isnan(scores[i]) || i < j;
  return scores[i] > scores[j] || (i < j && scores[i] == scores[j]);
}

/* The best class behind `last` in order of score; last = n: the best of all. */
static size_t next_best(const scored *s, size_t last) {
  size_t best = s->n;
  for (size_t i = 0; i < s->n; i++)
    if (i != last && (last == s->n || ahead(s->scores, last, i)) && (best == s->n || ahead(s->scores, i, best)))
      best = i;
  return best;
}

static void put_top_classes(json_text *t, const scored *s, uint32_t top_k) {
  json_open(t, "top", '[');
  for (size_t k = 0, at = s->n; k < top_k && k < s->n; k++) {
    at = next_best(s, at);
    put_class(t, NULL, s, at);
  }
  json_close(t, ']');
}

static void put_scores(json_text *t, const scored *s) {
  json_open(t, "scores", '[');
  for (size_t i = 0; i < s->n; i++) json_put_real(t, NULL, (double)s->scores[i]);
  json_close(t, ']');
}

/* Counts of picture i: [layers] of each kind. */
typedef struct counts {
  uint32_t timesteps; /* that they cover */
  const uint64_t *spikes, *synaptic_operations, *macs;
  const snn_first_spikes *first_spikes; /* NULL: not traced */
} counts;

static uint64_t sum_of(const uint64_t *layers, size_t n) {
  uint64_t sum = 0;
  for (size_t i = 0; i < n; i++) sum += layers[i];
  return sum;
}

/* Does layer i fire in this run? The last one does where its spikes are the readout. */
static bool fires(const inference *inf, size_t i) {
  const snn_network *net = inf->model->network;
  return snn_network_layer(net, i).kind == SNN_LAYER_NEURON ||
         (i + 1 == snn_network_layers(net) && inf->options.run.readout == SNN_READOUT_COUNT);
}

static void put_layers(json_text *t, const inference *inf, const counts *c) {
  const snn_network *net = inf->model->network;
  json_open(t, "layers", '[');
  for (size_t i = 0; i < snn_network_layers(net); i++) {
    snn_layer_info layer = snn_network_layer(net, i);
    if (!fires(inf, i)) continue;
    double neurons = (double)snn_shape_size(layer.shape);
    json_open(t, NULL, '{');
    json_put_text(t, "name", layer.name);
    json_put_integer(t, "neurons", (long long)neurons);
    json_put_integer(t, "spikes", (long long)c->spikes[i]);
    json_put_real(t, "rate", (double)c->spikes[i] / (neurons * c->timesteps));
    if (layer.kind == SNN_LAYER_NEURON) { /* nobody looks for the last layer's first spikes */
      const snn_first_spikes *f = &c->first_spikes[i];
      /* The mean step at which the neurons that fired did so first; null where none did or nobody knows. */
      json_put_real(t, "first_spike_step", f->steps > 0 ? (double)f->steps / (double)f->neurons : NAN);
      json_put_integer(t, "fired", (long long)f->neurons);
    }
    json_close(t, '}');
  }
  json_close(t, ']');
}

static void put_spikes(json_text *t, const inference *inf, const counts *c) {
  const snn_network *net = inf->model->network;
  size_t layers = snn_network_layers(net);
  double total = (double)sum_of(c->spikes, layers), neurons = 0;
  for (size_t i = 0; i < layers; i++)
    if (fires(inf, i)) neurons += (double)snn_shape_size(snn_network_layer(net, i).shape);
  json_open(t, "spikes", '{');
  json_put_integer(t, "total", (long long)total);
  json_put_real(t, "per_neuron_step", total / (neurons * c->timesteps));
  json_put_integer(t, "synaptic_operations", (long long)sum_of(c->synaptic_operations, layers));
  if (snn_neuron_is_ternary(inf->options.run.neuron)) json_put_true(t, "ternary");
  if (c->first_spikes) put_layers(t, inf, c);
  json_close(t, '}');
}

static void put_energy(json_text *t, const snn_network *net, const counts *c) {
  size_t layers = snn_network_layers(net);
  double snn = AC_NJ * (double)sum_of(c->synaptic_operations, layers) + MAC_NJ * (double)sum_of(c->macs, layers);
  json_open(t, "energy", '{');
  json_put_real(t, "snn_nj", snn);
  json_put_real(t, "ann_nj", MAC_NJ * (double)snn_network_macs(net));
  json_put_text(t, "basis", ENERGY_BASIS);
  json_close(t, '}');
}

/* Scores and the class they speak for after every step. */
static void put_steps(json_text *t, const inference *inf, size_t image) {
  const snn_network *net = inf->model->network;
  const size_t classes = snn_network_classes(net);
  const float *scores = inf->step_scores + image * inf->options.run.timesteps * classes;
  json_open(t, "steps", '[');
  for (uint32_t step = 0; step < inf->timesteps_used[image]; step++) {
    scored s = score(net, scores + step * classes);
    json_open(t, NULL, '{');
    json_put_integer(t, "timestep", (long long)step + 1);
    put_class(t, "class", &s, next_best(&s, s.n));
    put_scores(t, &s);
    json_close(t, '}');
  }
  json_close(t, ']');
}

static void put_result(json_text *t, const inference *inf, size_t i) {
  const snn_network *net = inf->model->network;
  size_t classes = snn_network_classes(net), layers = snn_network_layers(net);
  scored s = score(net, inf->scores + i * classes);
  counts c = {inf->timesteps_used[i], inf->spikes + i * layers, inf->synaptic_operations + i * layers,
              inf->macs + i * layers, inf->first_spikes ? inf->first_spikes + i * layers : NULL};
  json_open(t, NULL, '{');
  put_class(t, "class", &s, next_best(&s, s.n));
  put_top_classes(t, &s, inf->options.top_k);
  put_scores(t, &s);
  put_spikes(t, inf, &c);
  json_put_integer(t, "timesteps_used", (long long)inf->timesteps_used[i]);
  put_energy(t, net, &c);
  if (inf->reference) {
    scored reference = score(net, inf->reference + i * classes);
    json_open(t, "reference", '{');
    put_class(t, "class", &reference, next_best(&reference, reference.n));
    put_scores(t, &reference);
    json_close(t, '}');
  }
  if (inf->step_scores) put_steps(t, inf, i);
  if (inf->previews) json_put_text(t, "input_png", inf->previews[i]);
  json_close(t, '}');
}

static void put_options(json_text *t, const inference *inf) {
  echo list[ECHO_MAX];
  size_t n = json_echo_options(inf, list);
  for (size_t i = 0; i < n; i++) {
    const echo *e = &list[i];
    if (e->group && (i == 0 || list[i - 1].group != e->group)) json_open(t, e->group, '{');
    switch (e->kind) {
      case ECHO_TEXT: json_put_text(t, e->name, e->text); break;
      case ECHO_INTEGER: json_put_integer(t, e->name, e->integer); break;
      case ECHO_REAL: json_put_real(t, e->name, e->real); break;
    }
    if (e->group && (i + 1 == n || list[i + 1].group != e->group)) json_close(t, '}');
  }
}

char *json_out_answer(const inference *inf, const latency *ms) {
  json_text t = {0};
  json_open(&t, NULL, '{');
  json_put_text(&t, "model", inf->model->name);
  json_put_text(&t, "model_version", snn_network_sha256(inf->model->network));
  json_put_text(&t, "calibration", inf->calibration ? inf->calibration->name : NULL);
  put_options(&t, inf);
  json_open(&t, "results", '[');
  for (size_t i = 0; i < inf->n_images; i++) put_result(&t, inf, i);
  json_close(&t, ']');
  json_open(&t, "latency_ms", '{');
  json_put_real(&t, "queue", ms->queue);
  json_put_real(&t, "decode", ms->decode);
  json_put_real(&t, "simulate", ms->simulate);
  json_put_real(&t, "total", ms->total);
  json_close(&t, '}');
  json_close(&t, '}');
  return json_take(&t);
}

char *json_out_problem(const problem *p, const char *request_id) {
  const problem_info *info = problem_describe(p->kind);
  char type[96], instance[3 * 128 + 32] = "urn:spiked:request:";
  size_t n = strlen(instance);
  snprintf(type, sizeof type, "urn:spiked:problem:%s", info->type);
  percent_encode(request_id, instance + n, sizeof instance - n);
  json_text t = {0};
  json_open(&t, NULL, '{');
  json_put_text(&t, "type", type);
  json_put_text(&t, "title", info->title);
  json_put_integer(&t, "status", info->http_status);
  json_put_text(&t, "detail", p->detail);
  json_put_text(&t, "instance", instance);
  json_put_text(&t, "error", p->detail);
  json_close(&t, '}');
  return json_take(&t);
}
