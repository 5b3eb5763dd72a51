/* `snn eval`: the instrument. Where nothing depends on T (init zero or half, no shift, a neuron that goes step by
 * step), one simulation per picture up to the largest T gives the answers at every T; else each T is a simulation of
 * its own. The float network runs beside it on the same pictures. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool/tool.h"

enum { GROUP = 32 }; /* pictures simulated in one call */

typedef struct arguments {
  tool_request request;
  const char *data;
  uint32_t timesteps[TOOL_MAX_LIST];
  size_t n_timesteps;
  uint32_t limit;
  bool json, csv;
} arguments;

static const struct argp_option options[] = {
    {"data", TOOL_KEY_DATA, "DATA", 0, "a folder of class folders or of PNGs, a CIFAR-10 binary file, an IDX file", 0},
    {"timesteps", 'T', "LIST", 0, "such as 4,8,16,32 (default: the model's recommendation)", 0},
    {"limit", TOOL_KEY_LIMIT, "N", 0, "only the first N pictures", 0},
    {"json", TOOL_KEY_JSON, NULL, 0, "as JSON", 0},
    {"csv", TOOL_KEY_CSV, NULL, 0, "as CSV", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
    case 'T': a->n_timesteps = tool_timesteps(state, arg, a->timesteps); return 0;
    case TOOL_KEY_DATA: a->data = arg; return 0;
    case TOOL_KEY_LIMIT: a->limit = tool_number(state, "limit", arg, 1, UINT32_MAX); return 0;
    case TOOL_KEY_JSON: a->json = true; return 0;
    case TOOL_KEY_CSV: a->csv = true; return 0;
    case ARGP_KEY_INIT: state->child_inputs[0] = state->child_inputs[1] = &a->request; return 0;
    case ARGP_KEY_END:
      if (!a->data) argp_error(state, "on which pictures? --data names them");
      if (a->json && a->csv) argp_error(state, "--json or --csv, not both");
      return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

/* What is known at one T. */
typedef struct row {
  uint32_t timesteps;
  size_t correct, agree;
  size_t gained, lost; /* pictures right only in the SNN, only in the float network */
  uint64_t spikes, accumulates, macs;
} row;

typedef struct evaluation {
  tool_model model;
  snn_dataset *data;
  bool one_run; /* one simulation serves every T */
  size_t n;     /* pictures */
  bool labelled;
  size_t float_correct;
  row *rows; /* [run.n_checkpoints] */
  double simulate_seconds, reference_seconds;
  /* buffers of one group */
  float *images, *scores, *reference;
  snn_run_stats stats;
} evaluation;

static bool allocate(evaluation *e) {
  size_t input = snn_shape_size(snn_network_input(e->model.net)), classes = snn_network_classes(e->model.net);
  size_t rows = e->model.run.n_checkpoints + 1; /* one more for simulate() */
  size_t counts = GROUP * rows * snn_network_layers(e->model.net);
  e->rows = calloc(e->model.run.n_checkpoints, sizeof *e->rows);
  e->images = calloc(GROUP * input, sizeof(float));
  e->scores = calloc(GROUP * rows * classes, sizeof(float));
  e->reference = calloc(GROUP * classes, sizeof(float));
  e->stats =
      (snn_run_stats){.spikes = calloc(counts, 8), .synaptic_operations = calloc(counts, 8), .macs = calloc(counts, 8)};
  return e->rows && e->images && e->scores && e->reference && e->stats.spikes && e->stats.synaptic_operations &&
         e->stats.macs;
}

static void release(evaluation *e) {
  free(e->rows);
  free(e->images);
  free(e->scores);
  free(e->reference);
  free(e->stats.spikes);
  free(e->stats.synaptic_operations);
  free(e->stats.macs);
  snn_dataset_free(e->data);
  tool_close_model(&e->model);
}

/* Take picture i of a group into the rows. */
static void count(evaluation *e, size_t i, int32_t label) {
  size_t classes = snn_network_classes(e->model.net), layers = snn_network_layers(e->model.net),
         n = e->model.run.n_checkpoints;
  size_t float_class = snn_argmax(e->reference + i * classes, classes);
  bool float_right = label >= 0 && float_class == (size_t)label;
  e->float_correct += float_right;
  for (size_t k = 0; k < n; k++) {
    row *r = &e->rows[k];
    size_t snn_class = snn_argmax(e->scores + (i * n + k) * classes, classes);
    bool right = label >= 0 && snn_class == (size_t)label;
    r->correct += right;
    r->agree += snn_class == float_class;
    r->gained += right && !float_right;
    r->lost += float_right && !right;
    for (size_t l = 0; l < layers; l++) {
      size_t at = (i * n + k) * layers + l;
      r->spikes += e->stats.spikes[at];
      r->accumulates += e->stats.synaptic_operations[at];
      r->macs += e->stats.macs[at];
    }
  }
}

/* Simulate the n pictures of a group at every T: scores [n][T][classes], statistics [n][T][layers]. */
static snn_status simulate(evaluation *e, size_t n, snn_error *err) {
  if (e->one_run) return snn_session_run(e->model.session, e->images, n, &e->model.run, e->scores, &e->stats, err);
  const size_t classes = snn_network_classes(e->model.net), layers = snn_network_layers(e->model.net),
               rows = e->model.run.n_checkpoints;
  snn_status status = SNN_OK;
  for (size_t k = 0; status == SNN_OK && k < rows; k++) {
    snn_run_options run = e->model.run;
    run.timesteps = e->model.run.checkpoints[k];
    run.checkpoints = NULL;
    const size_t at = GROUP * rows; /* the whole group's answers at this T, behind all others */
    snn_run_stats stats = {.spikes = e->stats.spikes + at * layers,
                           .synaptic_operations = e->stats.synaptic_operations + at * layers,
                           .macs = e->stats.macs + at * layers};
    float *scores = e->scores + at * classes;
    status = snn_session_run(e->model.session, e->images, n, &run, scores, &stats, err);
    for (size_t i = 0; status == SNN_OK && i < n; i++) {
      const size_t to = i * rows + k;
      memcpy(e->scores + to * classes, scores + i * classes, classes * sizeof *scores);
      memcpy(e->stats.spikes + to * layers, stats.spikes + i * layers, layers * 8);
      memcpy(e->stats.synaptic_operations + to * layers, stats.synaptic_operations + i * layers, layers * 8);
      memcpy(e->stats.macs + to * layers, stats.macs + i * layers, layers * 8);
    }
  }
  return status;
}

static snn_status evaluate(evaluation *e, snn_error *err) {
  tool_progress progress = {0};
  snn_status status = SNN_OK;
  for (size_t done = 0; status == SNN_OK && done < e->n;) {
    size_t n = e->n - done < GROUP ? e->n - done : GROUP;
    status = tool_read_inputs(e->data, e->model.net, done, n, e->images, err);
    if (status != SNN_OK) break;
    uint64_t t0 = snn_clock_ns();
    status = simulate(e, n, err);
    if (status != SNN_OK) break;
    uint64_t t1 = snn_clock_ns();
    status = snn_session_reference(e->model.session, e->images, n, NULL, e->reference, err);
    if (status != SNN_OK) break;
    e->simulate_seconds += (double)(t1 - t0) / 1e9;
    e->reference_seconds += (double)(snn_clock_ns() - t1) / 1e9;
    for (size_t i = 0; i < n; i++) count(e, i, snn_dataset_label(e->data, done + i));
    done += n;
    tool_show_progress(&progress, "simulating", done, e->n);
  }
  return status;
}

/* Half width of the 95 % interval of the loss in percentage points: a paired difference, so only pictures on which the
 * two networks disagree about being right bring variance. */
static double loss_interval(const row *r, size_t n) {
  double d = ((double)r->lost - (double)r->gained) / (double)n;
  double variance = ((double)r->lost + (double)r->gained) / (double)n - d * d;
  return 100 * 1.96 * sqrt(variance > 0 ? variance / (double)n : 0);
}

static double percent(size_t part, size_t n) {
  return 100.0 * (double)part / (double)n;
}

/* The figures of one row, per picture. */
typedef struct figures {
  double accuracy, loss, interval, agreement, spikes, rate, accumulates, snn_nj;
} figures;

static figures figures_of(const evaluation *e, const row *r) {
  double n = (double)e->n, neurons = (double)snn_network_neurons(e->model.net);
  return (figures){.accuracy = percent(r->correct, e->n),
                   .loss = percent(e->float_correct, e->n) - percent(r->correct, e->n),
                   .interval = loss_interval(r, e->n),
                   .agreement = percent(r->agree, e->n),
                   .spikes = (double)r->spikes / n,
                   .rate = neurons > 0 ? (double)r->spikes / n / neurons / r->timesteps : 0,
                   .accumulates = (double)r->accumulates / n,
                   .snn_nj = snn_energy_nj(r->accumulates, r->macs) / n};
}

static int print_json(const evaluation *e) {
  json_t *rows = json_array();
  for (size_t k = 0; k < e->model.run.n_checkpoints; k++) {
    figures f = figures_of(e, &e->rows[k]);
    json_t *j =
        json_pack("{s:i, s:f, s:f, s:f, s:f, s:f}", "timesteps", (int)e->rows[k].timesteps, "agreement", f.agreement,
                  "spikes", f.spikes, "rate", f.rate, "synaptic_operations", f.accumulates, "energy_nj", f.snn_nj);
    if (e->labelled) {
      json_object_set_new(j, "accuracy", json_real(f.accuracy));
      json_object_set_new(j, "loss", json_real(f.loss));
      json_object_set_new(j, "loss_interval_95", json_real(f.interval));
    }
    json_array_append_new(rows, j);
  }
  return tool_print_json(
      json_pack("{s:s, s:s, s:I, s:s, s:s, s:o, s:f, s:o, s:s, s:f, s:f}", "model", snn_network_name(e->model.net),
                "model_version", snn_network_sha256(e->model.net), "pictures", (json_int_t)e->n, "neuron",
                snn_neuron_name(e->model.run.neuron), "init", snn_init_name(e->model.run.init), "float_accuracy",
                e->labelled ? json_real(percent(e->float_correct, e->n)) : json_null(), "ann_nj",
                snn_energy_nj(0, snn_network_macs(e->model.net)), "rows", rows, "energy_basis", snn_energy_basis(),
                "simulate_seconds", e->simulate_seconds, "reference_seconds", e->reference_seconds));
}

static void print_csv(const evaluation *e) {
  puts("timesteps,accuracy,loss,loss_interval_95,agreement,spikes,rate,synaptic_operations,energy_nj");
  for (size_t k = 0; k < e->model.run.n_checkpoints; k++) {
    figures f = figures_of(e, &e->rows[k]);
    printf("%u,", e->rows[k].timesteps);
    if (e->labelled)
      printf("%.4f,%.4f,%.4f,", f.accuracy, f.loss, f.interval);
    else
      printf(",,,");
    printf("%.4f,%.1f,%.6f,%.1f,%.1f\n", f.agreement, f.spikes, f.rate, f.accumulates, f.snn_nj);
  }
}

static void print_table(const evaluation *e) {
  printf("%zu pictures, neuron=%s, init=%s, ", e->n, snn_neuron_name(e->model.run.neuron),
         snn_init_name(e->model.run.init));
  if (e->labelled)
    printf("float accuracy %.2f %%\n", percent(e->float_correct, e->n));
  else
    printf("no labels: only the agreement with the float network is known\n");
  printf("%5s  %9s  %16s  %10s  %12s  %8s  %14s  %12s\n", "T", "accuracy", "loss (95 %)", "agreement", "spikes", "rate",
         "synaptic ops", "energy nJ");
  for (size_t k = 0; k < e->model.run.n_checkpoints; k++) {
    figures f = figures_of(e, &e->rows[k]);
    char accuracy[32] = "-", loss[48] = "-";
    if (e->labelled) {
      snprintf(accuracy, sizeof accuracy, "%.2f %%", f.accuracy);
      snprintf(loss, sizeof loss, "%.2f +- %.2f", f.loss, f.interval);
    }
    printf("%5u  %9s  %16s  %8.2f %%  %12.0f  %8.4f  %14.0f  %12.0f\n", e->rows[k].timesteps, accuracy, loss,
           f.agreement, f.spikes, f.rate, f.accumulates, f.snn_nj);
  }
  printf("%5s  %9s  %16s  %10s  %12s  %8s  %14s  %12.0f\n", "float", "", "", "", "", "", "",
         snn_energy_nj(0, snn_network_macs(e->model.net)));
  printf("spikes, operations and energy per picture; rate per neuron and step; energy: %s\n", snn_energy_basis());
  printf("simulated in %.1f s (float network %.1f s) with %u threads, kernels %s\n", e->simulate_seconds,
         e->reference_seconds, snn_session_threads(e->model.session), snn_kernels_name());
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

int tool_eval(int argc, char **argv) {
  static const struct argp_child children[] = {{&tool_model_argp, 0, NULL, 0}, {&tool_run_argp, 0, NULL, 0}, {0}};
  static const struct argp argp = {
      options,
      parse,
      NULL,
      "Measure a spiking network: accuracy at every T beside the float network it came from, spikes, "
      "rates, synaptic operations, energy.",
      children,
      NULL,
      NULL};
  arguments a = {0};
  int code = tool_parse(&argp, argc, argv, &a);
  if (code != EXIT_OK) return code;

  evaluation e = {0};
  snn_error err = {0};
  const char *subject;
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
    e.one_run = snn_run_is_cumulative(run);
    if (!allocate(&e)) {
      fprintf(stderr, "snn: out of memory\n");
      code = EXIT_FAILED;
      goto cleanup;
    }
    for (size_t k = 0; k < a.n_timesteps; k++) e.rows[k].timesteps = a.timesteps[k];
    status = evaluate(&e, &err);
  }
  if (status != SNN_OK)
    code = tool_fail(subject, &err);
  else if (a.json)
    code = print_json(&e);
  else if (a.csv)
    print_csv(&e);
  else
    print_table(&e);
cleanup:
  release(&e);
  return code;
}
