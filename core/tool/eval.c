/* `snn eval`: the instrument. Measures; eval_report.c and eval_plots.c show what it found. Where nothing depends on T
 * (init zero or half, no shift, a neuron that goes step by step), one simulation per picture up to the largest T gives
 * the answers at every T; else each T is a simulation of its own. The float network runs beside it on the same
 * pictures. */
#include <stdlib.h>
#include <string.h>

#include "tool/eval.h"

enum { KEY_LAYERS = TOOL_KEY_OWN, KEY_LAYER_LIMIT, KEY_PLOTS };

typedef struct arguments {
  tool_request request;
  const char *data;
  uint32_t timesteps[TOOL_MAX_LIST];
  size_t n_timesteps;
  uint32_t limit, layer_limit;
  bool json, csv, layers;
  const char *csv_file; /* NULL: to standard output, with csv */
  const char *plots;    /* a folder; NULL: none */
} arguments;

static const struct argp_option options[] = {
    {"data", TOOL_KEY_DATA, "DATA", 0, "a folder of class folders or of PNGs, a CIFAR-10 binary file, an IDX file", 0},
    {"timesteps", 'T', "LIST", 0, "such as 4,8,16,32 (default: the model's recommendation)", 0},
    {"limit", TOOL_KEY_LIMIT, "N", 0, "only the first N pictures", 0},
    {"json", TOOL_KEY_JSON, NULL, 0, "as JSON", 0},
    {"csv", TOOL_KEY_CSV, "FILE", OPTION_ARG_OPTIONAL,
     "as CSV, instead of the table, or into FILE beside it (layers into FILE-layers)", 0},
    {"layers", KEY_LAYERS, NULL, 0,
     "look into every layer too: correlation and error of rate * theta against the float activation, rate, first-spike "
     "step, quantisation error of srif-mpr",
     0},
    {"layer-limit", KEY_LAYER_LIMIT, "N", 0, "look into layers on N of the pictures, evenly spaced (default 100)", 0},
    {"plots", KEY_PLOTS, "DIR", 0, "draw all of this as SVG files in DIR with gnuplot; looks into layers", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
    case 'T': a->n_timesteps = tool_timesteps(state, arg, a->timesteps); return 0;
    case TOOL_KEY_DATA: a->data = arg; return 0;
    case TOOL_KEY_LIMIT: a->limit = tool_number(state, "limit", arg, 1, UINT32_MAX); return 0;
    case TOOL_KEY_JSON: a->json = true; return 0;
    case TOOL_KEY_CSV:
      a->csv = !arg || strcmp(arg, "-") == 0;
      a->csv_file = a->csv ? NULL : arg;
      return 0;
    case KEY_LAYERS: a->layers = true; return 0;
    case KEY_LAYER_LIMIT: a->layer_limit = tool_number(state, "layer-limit", arg, 1, UINT32_MAX); return 0;
    case KEY_PLOTS:
      a->plots = arg;
      a->layers = true;
      return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &a->request; return 0;
    case ARGP_KEY_END:
      if (!a->data) argp_error(state, "on which pictures? --data names them");
      if (a->json && a->csv) argp_error(state, "--json or --csv, not both: standard output is one of them");
      return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

/* Pictures simulated in one call, and what they are simulated in. */
typedef struct group {
  size_t size;
  float *images, *scores, *reference;
  uint32_t *numbers; /* of the pictures, for random encodings */
  snn_run_stats stats;
} group;

static bool allocate(evaluation *e, group *g) {
  const size_t input = snn_shape_size(snn_network_input(e->model.net)), classes = snn_network_classes(e->model.net);
  const size_t threads = snn_session_threads(e->model.session),
               rows = e->model.run.n_checkpoints + 1;      /* + simulate's */
  g->size = threads > 8 ? threads : 8 / threads * threads; /* nobody waits, and progress is seen */
  const size_t counts = g->size * rows * snn_network_layers(e->model.net);
  e->rows = calloc(e->model.run.n_checkpoints, sizeof *e->rows);
  g->images = calloc(g->size, input * sizeof(float));
  g->scores = calloc(g->size * rows, classes * sizeof(float));
  g->reference = calloc(g->size, classes * sizeof(float));
  g->numbers = calloc(g->size, sizeof *g->numbers);
  g->stats =
      (snn_run_stats){.spikes = calloc(counts, 8), .synaptic_operations = calloc(counts, 8), .macs = calloc(counts, 8)};
  return e->rows && g->numbers && g->images && g->scores && g->reference && g->stats.spikes &&
         g->stats.synaptic_operations && g->stats.macs;
}

static void release(evaluation *e, group *g) {
  free(e->rows);
  free(g->numbers);
  free(g->images);
  free(g->scores);
  free(g->reference);
  free(g->stats.spikes);
  free(g->stats.synaptic_operations);
  free(g->stats.macs);
  snn_probe_free(e->probe);
  snn_dataset_free(e->data);
  tool_close_model(&e->model);
}

/* Take picture i of a group into the rows. */
static void count(evaluation *e, const group *g, size_t i, int32_t label) {
  size_t classes = snn_network_classes(e->model.net), layers = snn_network_layers(e->model.net),
         n = e->model.run.n_checkpoints;
  size_t float_class = snn_argmax(g->reference + i * classes, classes);
  bool float_right = label >= 0 && float_class == (size_t)label;
  e->float_correct += float_right;
  for (size_t k = 0; k < n; k++) {
    eval_row *r = &e->rows[k];
    size_t snn_class = snn_argmax(g->scores + (i * n + k) * classes, classes);
    bool right = label >= 0 && snn_class == (size_t)label;
    r->correct += right;
    r->agree += snn_class == float_class;
    r->gained += right && !float_right;
    r->lost += float_right && !right;
    for (size_t l = 0; l < layers; l++) {
      size_t at = (i * n + k) * layers + l;
      r->spikes += g->stats.spikes[at];
      r->accumulates += g->stats.synaptic_operations[at];
      r->macs += g->stats.macs[at];
    }
  }
}

/* Simulate the n pictures of a group at every T: scores [n][T][classes], statistics [n][T][layers]. */
static snn_status simulate(const evaluation *e, group *g, size_t n, snn_error *err) {
  if (snn_run_is_cumulative(&e->model.run))
    return snn_session_run(e->model.session, g->images, n, &e->model.run, g->scores, &g->stats, err);
  const size_t classes = snn_network_classes(e->model.net), layers = snn_network_layers(e->model.net),
               rows = e->model.run.n_checkpoints;
  snn_status status = SNN_OK;
  for (size_t k = 0; status == SNN_OK && k < rows; k++) {
    snn_run_options run = e->model.run;
    run.timesteps = e->model.run.checkpoints[k];
    run.checkpoints = NULL;
    const size_t at = g->size * rows; /* the whole group's answers at this T, behind all others */
    snn_run_stats stats = {.spikes = g->stats.spikes + at * layers,
                           .synaptic_operations = g->stats.synaptic_operations + at * layers,
                           .macs = g->stats.macs + at * layers};
    float *scores = g->scores + at * classes;
    status = snn_session_run(e->model.session, g->images, n, &run, scores, &stats, err);
    for (size_t i = 0; status == SNN_OK && i < n; i++) {
      const size_t to = i * rows + k;
      memcpy(g->scores + to * classes, scores + i * classes, classes * sizeof *scores);
      memcpy(g->stats.spikes + to * layers, stats.spikes + i * layers, layers * 8);
      memcpy(g->stats.synaptic_operations + to * layers, stats.synaptic_operations + i * layers, layers * 8);
      memcpy(g->stats.macs + to * layers, stats.macs + i * layers, layers * 8);
    }
  }
  return status;
}

static snn_status evaluate(evaluation *e, group *g, snn_error *err) {
  tool_progress progress = {0};
  snn_status status = SNN_OK;
  for (size_t done = 0; status == SNN_OK && done < e->n;) {
    size_t n = e->n - done < g->size ? e->n - done : g->size;
    status = tool_read_inputs(e->data, e->model.net, done, n, g->images, err);
    if (status != SNN_OK) break;
    for (size_t i = 0; i < n; i++) g->numbers[i] = (uint32_t)(done + i);
    e->model.run.image_numbers = g->numbers;
    uint64_t t0 = snn_clock_ns();
    status = simulate(e, g, n, err);
    if (status != SNN_OK) break;
    uint64_t t1 = snn_clock_ns();
    status = snn_session_reference(e->model.session, g->images, n, NULL, g->reference, err);
    if (status != SNN_OK) break;
    e->simulate_seconds += (double)(t1 - t0) / 1e9;
    e->reference_seconds += (double)(snn_clock_ns() - t1) / 1e9;
    for (size_t i = 0; i < n; i++) count(e, g, i, snn_dataset_label(e->data, done + i));
    done += n;
    tool_show_progress(&progress, "simulating", done, e->n);
  }
  return status;
}

/* Look into the layers on `limit` of the pictures, evenly spaced. */
static snn_status probe(evaluation *e, group *g, size_t limit, snn_error *err) {
  const snn_session_options session = {.threads = snn_session_threads(e->model.session)};
  const size_t input = snn_shape_size(snn_network_input(e->model.net)), wanted = limit < e->n ? limit : e->n;
  tool_progress progress = {0};
  snn_status status = snn_probe_create(e->model.net, &session, &e->model.run, &e->probe, err);
  for (size_t done = 0, n; status == SNN_OK && done < wanted; done += n) {
    n = wanted - done < g->size ? wanted - done : g->size;
    for (size_t i = 0; status == SNN_OK && i < n; i++) {
      size_t picture = (size_t)((double)(done + i) * (double)e->n / (double)wanted);
      g->numbers[i] = (uint32_t)picture;
      status = tool_read_inputs(e->data, e->model.net, picture, 1, g->images + i * input, err);
    }
    if (status == SNN_OK) status = snn_probe_run(e->probe, g->images, g->numbers, n, err);
    if (status == SNN_OK) tool_show_progress(&progress, "layers", done + n, wanted);
  }
  e->probed = wanted;
  return status;
}

/* Check the labels of the pictures that count; false, with a message, when one is of no class of the network. */
static bool check_labels(evaluation *e, const char *path) {
  e->labelled = true;
  for (size_t i = 0; i < e->n; i++) {
    int32_t label = snn_dataset_label(e->data, i);
    e->labelled = e->labelled && label >= 0;
    if (label < 0 || (size_t)label < snn_network_classes(e->model.net)) continue;
    fprintf(stderr, "snn: %s: picture %zu has label %d, but the network knows %zu classes\n", path, i, label,
            snn_network_classes(e->model.net));
    return false;
  }
  return true;
}

/* Show what was measured in all the ways asked for; the exit status. */
static int report(const evaluation *e, const arguments *a) {
  int code = EXIT_OK;
  if (a->csv) {
    eval_write_rows(e, stdout);
    if (e->probe) putchar('\n');
    if (e->probe) eval_write_layers(e, stdout);
  } else if (a->json) {
    code = eval_print_json(e);
  } else {
    eval_print_tables(e);
  }
  if (code == EXIT_OK && a->csv_file && !eval_write_csv(e, a->csv_file)) code = EXIT_FAILED;
  return code == EXIT_OK && a->plots ? eval_plot(e, a->plots) : code;
}

int tool_eval(int argc, char **argv) {
  static const struct argp_child children[] = {{&tool_model_argp, 0, NULL, 0}, {&tool_run_argp, 0, NULL, 0}, {0}};
  static const struct argp argp = {
      options,
      parse,
      NULL,
      "Measure a spiking network: accuracy at every T beside the float network it came from, spikes, "
      "rates, synaptic operations, energy; with --layers what every layer does.",
      children,
      NULL,
      NULL};
  arguments a = {.layer_limit = 100};
  int code = tool_parse(&argp, argc, argv, &a);
  if (code != EXIT_OK) return code;
  if (a.plots && !eval_can_plot()) return EXIT_FAILED;

  evaluation e = {0};
  group g = {0};
  snn_error err = {0};
  const char *subject;
  if (a.layers && !a.request.precision) a.request.precision = snn_precision_name(SNN_PRECISION_FLOAT32);
  snn_status status = tool_open_model(&a.request, &e.model, &subject, &err);
  if (status == SNN_OK) {
    subject = a.data;
    status = tool_open_data(a.data, e.model.net, &e.data, &err);
  }
  if (status == SNN_OK) {
    snn_run_options *run = &e.model.run;
    e.n = snn_dataset_count(e.data);
    if (a.limit && a.limit < e.n) e.n = a.limit;
    if (!check_labels(&e, a.data)) {
      code = EXIT_FAILED;
      goto cleanup;
    }
    if (!a.n_timesteps) a.timesteps[a.n_timesteps++] = run->timesteps;
    run->checkpoints = a.timesteps;
    run->n_checkpoints = a.n_timesteps;
    run->timesteps = a.timesteps[a.n_timesteps - 1];
    if (!allocate(&e, &g)) {
      fprintf(stderr, "snn: out of memory\n");
      code = EXIT_FAILED;
      goto cleanup;
    }
    for (size_t k = 0; k < a.n_timesteps; k++) e.rows[k].timesteps = a.timesteps[k];
    status = evaluate(&e, &g, &err);
    if (status == SNN_OK && a.layers) status = probe(&e, &g, a.layer_limit, &err);
  }
  if (status != SNN_OK)
    code = tool_fail(subject, &err);
  else
    code = report(&e, &a);
cleanup:
  release(&e, &g);
  return code;
}
