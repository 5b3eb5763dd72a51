/* The answer of classify and the problem body. Keeps the invariant that what is printed is JSON whatever the numbers
 * are: a score that is not finite becomes null. Does no arithmetic but softmax, rates and energy. */
#include "json_out.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "encoding.h"
#include "json_echo.h"

#define ENERGY_BASIS "45 nm: 0.9 pJ per AC, 4.6 pJ per MAC (Horowitz 2014)"
static const double AC_NJ = 0.9e-3, MAC_NJ = 4.6e-3;

static json_t *number(double v) {
  return isfinite(v) ? json_real(v) : json_null();
}

static json_t *text_or_null(const char *s) {
  return s ? json_string(s) : json_null();
}

static char *print(json_t *root) {
  char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(root);
  return text;
}

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

static json_t *class_object(const scored *s, size_t i) {
  double v = (double)s->scores[i];
  return json_pack("{s:I, s:o, s:o, s:o}", "index", (json_int_t)i, "label", text_or_null(snn_network_label(s->net, i)),
                   "score", number(v), "probability", number(exp(v - s->largest) / s->sum));
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

static json_t *top_classes(const scored *s, uint32_t top_k) {
  json_t *list = json_array();
  for (size_t k = 0, at = s->n; k < top_k && k < s->n; k++) {
    at = next_best(s, at);
    json_array_append_new(list, class_object(s, at));
  }
  return list;
}

static json_t *score_list(const scored *s) {
  json_t *list = json_array();
  for (size_t i = 0; i < s->n; i++) json_array_append_new(list, number((double)s->scores[i]));
  return list;
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

/* The mean step at which the neurons that fired did so first; NULL where none did or nobody knows. */
static json_t *first_spike(const snn_first_spikes *f) {
  return f->steps > 0 ? number((double)f->steps / (double)f->neurons) : json_null();
}

/* Does layer i fire in this run? The last one does where its spikes are the readout. */
static bool fires(const inference *inf, size_t i) {
  const snn_network *net = inf->model->network;
  return snn_network_layer(net, i).kind == SNN_LAYER_NEURON ||
         (i + 1 == snn_network_layers(net) && inf->options.run.readout == SNN_READOUT_COUNT);
}

static json_t *layer_list(const inference *inf, const counts *c) {
  const snn_network *net = inf->model->network;
  json_t *list = json_array();
  for (size_t i = 0; i < snn_network_layers(net); i++) {
    snn_layer_info layer = snn_network_layer(net, i);
    if (!fires(inf, i)) continue;
    double neurons = (double)snn_shape_size(layer.shape);
    json_t *entry =
        json_pack("{s:s, s:I, s:I, s:o}", "name", layer.name, "neurons", (json_int_t)neurons, "spikes",
                  (json_int_t)c->spikes[i], "rate", number((double)c->spikes[i] / (neurons * c->timesteps)));
    json_array_append_new(list, entry);
    if (layer.kind != SNN_LAYER_NEURON) continue; /* nobody looks for the last layer's first spikes */
    json_object_set_new(entry, "first_spike_step", first_spike(&c->first_spikes[i]));
    json_object_set_new(entry, "fired", json_integer((json_int_t)c->first_spikes[i].neurons));
  }
  return list;
}

static json_t *spikes_object(const inference *inf, const counts *c) {
  const snn_network *net = inf->model->network;
  size_t layers = snn_network_layers(net);
  double total = (double)sum_of(c->spikes, layers), neurons = 0;
  for (size_t i = 0; i < layers; i++)
    if (fires(inf, i)) neurons += (double)snn_shape_size(snn_network_layer(net, i).shape);
  json_t *o = json_pack("{s:I, s:o, s:I}", "total", (json_int_t)total, "per_neuron_step",
                        number(total / (neurons * c->timesteps)), "synaptic_operations",
                        (json_int_t)sum_of(c->synaptic_operations, layers));
  if (snn_neuron_is_ternary(inf->options.run.neuron)) json_object_set_new(o, "ternary", json_true());
  if (c->first_spikes) json_object_set_new(o, "layers", layer_list(inf, c));
  return o;
}

static json_t *energy_object(const snn_network *net, const counts *c) {
  size_t layers = snn_network_layers(net);
  double snn = AC_NJ * (double)sum_of(c->synaptic_operations, layers) + MAC_NJ * (double)sum_of(c->macs, layers);
  return json_pack("{s:o, s:o, s:s}", "snn_nj", number(snn), "ann_nj", number(MAC_NJ * (double)snn_network_macs(net)),
                   "basis", ENERGY_BASIS);
}

/* Scores and the class they speak for after every step. */
static json_t *step_list(const inference *inf, size_t image) {
  const snn_network *net = inf->model->network;
  const size_t classes = snn_network_classes(net);
  const float *scores = inf->step_scores + image * inf->options.run.timesteps * classes;
  json_t *list = json_array();
  for (uint32_t t = 0; t < inf->timesteps_used[image]; t++) {
    scored s = score(net, scores + t * classes);
    json_array_append_new(list, json_pack("{s:I, s:o, s:o}", "timestep", (json_int_t)t + 1, "class",
                                          class_object(&s, next_best(&s, s.n)), "scores", score_list(&s)));
  }
  return list;
}

static json_t *result_object(const inference *inf, size_t i) {
  const snn_network *net = inf->model->network;
  size_t classes = snn_network_classes(net), layers = snn_network_layers(net);
  scored s = score(net, inf->scores + i * classes);
  counts c = {inf->timesteps_used[i], inf->spikes + i * layers, inf->synaptic_operations + i * layers,
              inf->macs + i * layers, inf->first_spikes ? inf->first_spikes + i * layers : NULL};
  json_t *o = json_pack("{s:o, s:o, s:o, s:o, s:I, s:o}", "class", class_object(&s, next_best(&s, s.n)), "top",
                        top_classes(&s, inf->options.top_k), "scores", score_list(&s), "spikes", spikes_object(inf, &c),
                        "timesteps_used", (json_int_t)inf->timesteps_used[i], "energy", energy_object(net, &c));
  if (inf->reference) {
    scored reference = score(net, inf->reference + i * classes);
    json_object_set_new(o, "reference",
                        json_pack("{s:o, s:o}", "class", class_object(&reference, next_best(&reference, reference.n)),
                                  "scores", score_list(&reference)));
  }
  if (inf->step_scores) json_object_set_new(o, "steps", step_list(inf, i));
  if (inf->previews) json_object_set_new(o, "input_png", json_string(inf->previews[i]));
  return o;
}

char *json_out_answer(const inference *inf, const latency *ms) {
  json_t *results = json_array();
  for (size_t i = 0; i < inf->n_images; i++) json_array_append_new(results, result_object(inf, i));
  json_t *answer =
      json_pack("{s:s, s:s, s:o}", "model", inf->model->name, "model_version", snn_network_sha256(inf->model->network),
                "calibration", inf->calibration ? json_string(inf->calibration->name) : json_null());
  json_echo_options(answer, inf);
  json_object_set_new(answer, "results", results);
  json_object_set_new(answer, "latency_ms",
                      json_pack("{s:f, s:f, s:f, s:f}", "queue", ms->queue, "decode", ms->decode, "simulate",
                                ms->simulate, "total", ms->total));
  return print(answer);
}

char *json_out_problem(const problem *p, const char *request_id) {
  const problem_info *info = problem_describe(p->kind);
  char type[96], instance[3 * 128 + 32] = "urn:spiked:request:";
  size_t n = strlen(instance);
  snprintf(type, sizeof type, "urn:spiked:problem:%s", info->type);
  percent_encode(request_id, instance + n, sizeof instance - n);
  return print(json_pack("{s:s, s:s, s:I, s:s, s:s, s:s}", "type", type, "title", info->title, "status",
                         (json_int_t)info->http_status, "detail", p->detail, "instance", instance, "error", p->detail));
}
