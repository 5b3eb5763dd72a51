/* `snn classify`: PNGs in, the daemon's answer out (JSON), without a daemon. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool/tool.h"

enum { KEY_TOP = TOOL_KEY_OWN, KEY_TRACE, KEY_REFERENCE, KEY_STOP, KEY_BUDGET, MAX_IMAGES = 4096 };

typedef struct arguments {
  tool_request request;
  const char **images;
  size_t n_images;
  uint32_t timesteps, top_k;
  float stop_margin;
  uint32_t stop_patience, budget_ms; /* 0: none */
  bool trace_layers, trace_steps, reference;
} arguments;

static const struct argp_option options[] = {
    {"timesteps", 'T', "T", 0, "timesteps (default: the model's recommendation)", 0},
    {"top-k", KEY_TOP, "K", 0, "classes listed (default 5)", 0},
    {"trace", KEY_TRACE, "WHAT", 0,
     "layers: spikes, rate and first-spike step of every layer; steps: these, and scores after every step; none "
     "(default)",
     0},
    {"stop", KEY_STOP, "MARGIN,STEPS", 0,
     "end early when the best class's probability has led by MARGIN (0 to 1) for so many steps, such as 0.9,3", 0},
    {"budget-ms", KEY_BUDGET, "MS", 0, "simulate for at most about this long, then answer with the steps done", 0},
    {"reference", KEY_REFERENCE, NULL, 0, "add the float network's answer", 0},
    {0}};

static void parse_stop(arguments *a, const char *text, struct argp_state *state) {
  char *end = NULL;
  a->stop_margin = text[0] >= '0' && text[0] <= '9' ? strtof(text, &end) : -1;
  if (!end || *end != ',' || !(a->stop_margin >= 0 && a->stop_margin <= 1))
    argp_error(state, "stop: '%s' is not a margin from 0 to 1 and a number of steps, such as 0.9,3", text);
  else
    a->stop_patience = tool_number(state, "stop", end + 1, 1, SNN_MAX_TIMESTEPS);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
    case 'T': a->timesteps = tool_number(state, "timesteps", arg, 1, SNN_MAX_TIMESTEPS); return 0;
    case KEY_TOP: a->top_k = tool_number(state, "top-k", arg, 1, UINT32_MAX); return 0;
    case KEY_REFERENCE: a->reference = true; return 0;
    case KEY_TRACE:
      a->trace_steps = strcmp(arg, "steps") == 0;
      a->trace_layers = a->trace_steps || strcmp(arg, "layers") == 0;
      if (!a->trace_layers && strcmp(arg, "none") != 0)
        argp_error(state, "trace: '%s' is not known; there are: none, layers, steps", arg);
      return 0;
    case KEY_STOP: parse_stop(a, arg, state); return 0;
    case KEY_BUDGET: a->budget_ms = tool_number(state, "budget-ms", arg, 1, 3600 * 1000); return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = &a->request; return 0;
    case ARGP_KEY_ARG:
      if (!a->request.model) {
        a->request.model = arg;
        return 0;
      }
      if (a->n_images == MAX_IMAGES) argp_error(state, "more than %d pictures", MAX_IMAGES);
      a->images[a->n_images++] = arg;
      return 0;
    case ARGP_KEY_END:
      if (!a->request.model || !a->n_images) argp_error(state, "a model file and at least one PNG are needed");
      return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

/* All that a file or a pipe gives, at most 64 MiB, added to *bytes, which grow. Returns NULL, or why that failed. */
static const char *read_all(FILE *f, uint8_t **bytes, size_t *n) {
  const size_t limit = (size_t)64 << 20;
  for (size_t room = (size_t)64 << 10; room <= limit; room *= 2) {
    uint8_t *larger = realloc(*bytes, room + 1);
    if (!larger) return strerror(errno);
    *bytes = larger;
    *n += fread(larger + *n, 1, room + 1 - *n, f);
    if (ferror(f)) return "cannot read";
    if (*n <= room) return NULL;
  }
  return "larger than 64 MiB";
}

/* The bytes are malloc'ed; on failure there are none. */
static snn_status read_file(const char *path, uint8_t **bytes, size_t *n, snn_error *err) {
  *bytes = NULL;
  *n = 0;
  FILE *f = fopen(path, "re");
  const char *why = f ? read_all(f, bytes, n) : strerror(errno);
  if (why) {
    err->status = SNN_ERR_IO;
    snprintf(err->text, sizeof err->text, f ? "%s" : "cannot open: %s", why);
    free(*bytes);
    *bytes = NULL;
  }
  if (f) fclose(f);
  return why ? SNN_ERR_IO : SNN_OK;
}

static snn_status load_image(const char *path, const snn_network *net, uint8_t *pixels, float *input, snn_error *err) {
  const snn_preprocess *pre = snn_network_preprocess(net);
  snn_shape shape = snn_network_input(net);
  uint8_t *bytes = NULL;
  size_t n = 0;
  snn_image image;
  snn_status status = read_file(path, &bytes, &n, err);
  if (status != SNN_OK) return status;
  status = snn_image_decode_png(bytes, n, NULL, &image, err);
  free(bytes);
  if (status != SNN_OK) return status;
  status = snn_image_resample(&image, shape, pre->background, pixels, err);
  if (status == SNN_OK) snn_image_normalise(pixels, shape, pre, input);
  snn_image_free(&image);
  return status;
}

/* JSON has no infinities: what is not finite becomes null. */
static json_t *number(double v) {
  return isfinite(v) ? json_real(v) : json_null();
}

/* Softmax, in double as the daemon has it. */
static double probability(const float *scores, size_t classes, size_t class_index) {
  double top = (double)scores[snn_argmax(scores, classes)], sum = 0;
  for (size_t i = 0; i < classes; i++) sum += exp((double)scores[i] - top);
  return exp((double)scores[class_index] - top) / sum;
}

static json_t *class_json(const snn_network *net, const float *scores, size_t class_index) {
  return json_pack("{s:I, s:s?, s:o, s:o}", "index", (json_int_t)class_index, "label",
                   snn_network_label(net, class_index), "score", number((double)scores[class_index]), "probability",
                   number(probability(scores, snn_network_classes(net), class_index)));
}

static json_t *scores_json(const float *scores, size_t n) {
  json_t *j = json_array();
  for (size_t i = 0; i < n; i++) json_array_append_new(j, number((double)scores[i]));
  return j;
}

static json_t *layers_json(const snn_network *net, const snn_run_options *run, const snn_run_stats *stats,
                           uint32_t timesteps) {
  json_t *j = json_array();
  for (size_t l = 0; l < snn_network_layers(net); l++) {
    snn_layer_info info = snn_network_layer(net, l);
    const bool counts_out = run->readout == SNN_READOUT_COUNT && l + 1 == snn_network_layers(net);
    if (info.kind != SNN_LAYER_NEURON && !counts_out) continue;
    size_t neurons = snn_shape_size(info.shape);
    const snn_first_spikes *first = &stats->first_spikes[l];
    json_t *entry =
        json_pack("{s:s, s:I, s:I, s:f}", "name", info.name, "neurons", (json_int_t)neurons, "spikes",
                  (json_int_t)stats->spikes[l], "rate", (double)stats->spikes[l] / (double)neurons / timesteps);
    json_array_append_new(j, entry);
    if (counts_out) continue; /* nobody looks for its first spikes */
    json_object_set_new(entry, "first_spike_step",
                        number(first->steps > 0 ? (double)first->steps / (double)first->neurons : NAN));
    json_object_set_new(entry, "fired", json_integer((json_int_t)first->neurons));
  }
  return j;
}

/* Scores and the class they speak for after every step. */
static json_t *steps_json(const snn_network *net, const snn_run_stats *stats) {
  const size_t classes = snn_network_classes(net);
  json_t *j = json_array();
  for (uint32_t t = 0; t < *stats->timesteps_used; t++) {
    const float *scores = stats->step_scores + t * classes;
    json_array_append_new(
        j, json_pack("{s:I, s:o, s:o}", "timestep", (json_int_t)t + 1, "class",
                     class_json(net, scores, snn_argmax(scores, classes)), "scores", scores_json(scores, classes)));
  }
  return j;
}

/* One entry of `results`. Arrays are those of this picture. */
static json_t *result_json(const snn_network *net, const arguments *a, const snn_run_options *run, const float *scores,
                           const float *reference, snn_run_stats stats) {
  const uint32_t timesteps = *stats.timesteps_used;
  size_t classes = snn_network_classes(net), k = a->top_k < classes ? a->top_k : classes;
  uint64_t spikes = 0, accumulates = 0, macs = 0;
  for (size_t l = 0; l < snn_network_layers(net); l++) {
    spikes += stats.spikes[l];
    accumulates += stats.synaptic_operations[l];
    macs += stats.macs[l];
  }
  snn_ranked *ranked = calloc(k, sizeof *ranked);
  if (!ranked) return NULL;
  snn_rank(scores, classes, ranked, k);
  json_t *top = json_array();
  for (size_t i = 0; i < k; i++) json_array_append_new(top, class_json(net, scores, ranked[i].index));
  uint64_t neurons = tool_neurons(net, run);
  json_t *counts =
      json_pack("{s:I, s:o, s:I}", "total", (json_int_t)spikes, "per_neuron_step",
                number((double)spikes / (double)neurons / timesteps), "synaptic_operations", (json_int_t)accumulates);
  if (snn_neuron_is_ternary(run->neuron)) json_object_set_new(counts, "ternary", json_true());
  if (a->trace_layers) json_object_set_new(counts, "layers", layers_json(net, run, &stats, timesteps));
  json_t *j = json_pack(
      "{s:o, s:o, s:o, s:o, s:i, s:{s:f, s:f, s:s}}", "class", class_json(net, scores, ranked[0].index), "top", top,
      "scores", scores_json(scores, classes), "spikes", counts, "timesteps_used", (int)timesteps, "energy", "snn_nj",
      snn_energy_nj(accumulates, macs), "ann_nj", snn_energy_nj(0, snn_network_macs(net)), "basis", snn_energy_basis());
  if (a->reference) {
    snn_rank(reference, classes, ranked, 1);
    json_object_set_new(j, "reference",
                        json_pack("{s:o, s:o}", "class", class_json(net, reference, ranked[0].index), "scores",
                                  scores_json(reference, classes)));
  }
  if (a->trace_steps) json_object_set_new(j, "steps", steps_json(net, &stats));
  free(ranked);
  return j;
}

/* Buffers of all pictures. */
typedef struct batch {
  uint8_t *pixels;
  float *images, *scores, *reference;
  snn_run_stats stats;
} batch;

/* trace_steps: steps whose scores are kept. */
static bool allocate(batch *b, const snn_network *net, size_t n, uint32_t trace_steps) {
  size_t input = snn_shape_size(snn_network_input(net)), classes = snn_network_classes(net),
         layers = snn_network_layers(net);
  b->pixels = malloc(input);
  b->images = calloc(n, input * sizeof(float));
  b->scores = calloc(n, classes * sizeof(float));
  b->reference = calloc(n, classes * sizeof(float));
  b->stats = (snn_run_stats){.spikes = calloc(n, layers * 8),
                             .synaptic_operations = calloc(n, layers * 8),
                             .macs = calloc(n, layers * 8),
                             .first_spikes = calloc(n, layers * sizeof(snn_first_spikes)),
                             .timesteps_used = calloc(n, sizeof(uint32_t)),
                             .step_scores = trace_steps ? calloc(n * trace_steps, classes * sizeof(float)) : NULL};
  return b->pixels && b->images && b->scores && b->reference && b->stats.spikes && b->stats.synaptic_operations &&
         b->stats.macs && b->stats.first_spikes && b->stats.timesteps_used && (b->stats.step_scores || !trace_steps);
}

static void release(batch *b) {
  free(b->pixels);
  free(b->images);
  free(b->scores);
  free(b->reference);
  free(b->stats.spikes);
  free(b->stats.synaptic_operations);
  free(b->stats.macs);
  free(b->stats.first_spikes);
  free(b->stats.timesteps_used);
  free(b->stats.step_scores);
}

static int print_answer(const snn_network *net, const arguments *a, const snn_run_options *run, const batch *b,
                        double decode_ms, double simulate_ms) {
  size_t classes = snn_network_classes(net), layers = snn_network_layers(net);
  json_t *results = json_array();
  for (size_t i = 0; i < a->n_images; i++) {
    snn_run_stats stats = {.spikes = b->stats.spikes + i * layers,
                           .synaptic_operations = b->stats.synaptic_operations + i * layers,
                           .macs = b->stats.macs + i * layers,
                           .first_spikes = b->stats.first_spikes + i * layers,
                           .timesteps_used = b->stats.timesteps_used + i};
    if (b->stats.step_scores) stats.step_scores = b->stats.step_scores + i * run->timesteps * classes;
    json_array_append_new(results,
                          result_json(net, a, run, b->scores + i * classes, b->reference + i * classes, stats));
  }
  json_t *answer =
      json_pack("{s:s, s:s, s:s?, s:i, s:s, s:s, s:i, s:s, s:s, s:s, s:o, s:{s:f, s:f, s:f}}", "model",
                snn_network_name(net), "model_version", snn_network_sha256(net), "calibration",
                run->calibration ? snn_calibration_sha256(run->calibration) : NULL, "timesteps", (int)run->timesteps,
                "neuron", snn_neuron_name(run->neuron), "init", snn_init_name(run->init), "shift", (int)run->shift,
                "encoding", snn_encoding_name(run->encoding), "readout", snn_readout_name(run->readout), "precision",
                snn_precision_name(run->precision), "results", results, "latency_ms", "decode", decode_ms, "simulate",
                simulate_ms, "total", decode_ms + simulate_ms);
  json_t *table = tool_table_json(net, run);
  if (table) json_object_set_new(answer, "table", table);
  if (run->encoding == SNN_ENCODING_RATE) json_object_set_new(answer, "seed", json_integer((json_int_t)run->seed));
  if (run->stop_patience)
    json_object_set_new(answer, "stop",
                        json_pack("{s:f, s:I}", "margin", round((double)run->stop_margin * 1e7) / 1e7, "patience",
                                  (json_int_t)run->stop_patience));
  if (run->budget_ns) json_object_set_new(answer, "budget_ms", json_integer((json_int_t)(run->budget_ns / 1000000)));
  if (snn_neuron_leaks(run->neuron)) json_object_set_new(answer, "tau", number(round((double)run->tau * 1e7) / 1e7));
  return tool_print_json(answer);
}

int tool_classify(int argc, char **argv) {
  static const struct argp_child children[] = {{&tool_run_argp, 0, NULL, 0}, {0}};
  static const struct argp argp = {options,
                                   parse,
                                   "MODEL IMAGE.png...",
                                   "Classify pictures with a model file; prints the answer the daemon would give.",
                                   children,
                                   NULL,
                                   NULL};
  arguments a = {.top_k = 5, .images = calloc(MAX_IMAGES, sizeof *a.images)};
  tool_model m = {0};
  batch b = {0};
  snn_error err = {0};
  snn_status status;
  const char *subject = NULL;
  int code = a.images ? tool_parse(&argp, argc, argv, &a) : EXIT_FAILED;
  if (code != EXIT_OK) goto cleanup;

  status = tool_open_model(&a.request, &m, &subject, &err);
  if (status == SNN_OK) {
    if (a.timesteps) m.run.timesteps = a.timesteps;
    m.run.stop_margin = a.stop_margin;
    m.run.stop_patience = a.stop_patience;
    m.run.budget_ns = a.budget_ms * (uint64_t)1000000;
  }
  if (status == SNN_OK && !allocate(&b, m.net, a.n_images, a.trace_steps ? m.run.timesteps : 0)) {
    fputs("snn: out of memory\n", stderr);
    code = EXIT_FAILED;
    goto cleanup;
  }
  uint64_t t0 = snn_clock_ns();
  for (size_t i = 0; status == SNN_OK && i < a.n_images; i++) {
    subject = a.images[i];
    status = load_image(a.images[i], m.net, b.pixels, b.images + i * snn_shape_size(snn_network_input(m.net)), &err);
  }
  uint64_t t1 = snn_clock_ns();
  if (status == SNN_OK) {
    subject = a.request.model;
    status = snn_session_run(m.session, b.images, a.n_images, &m.run, b.scores, &b.stats, &err);
    uint64_t t2 = snn_clock_ns();
    if (status == SNN_OK && a.reference)
      status = snn_session_reference(m.session, b.images, a.n_images, NULL, b.reference, &err);
    if (status == SNN_OK) code = print_answer(m.net, &a, &m.run, &b, (double)(t1 - t0) / 1e6, (double)(t2 - t1) / 1e6);
  }
  if (status != SNN_OK) code = tool_fail(subject, &err);
cleanup:
  release(&b);
  tool_close_model(&m);
  free(a.images);
  return code;
}
