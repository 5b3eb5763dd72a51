/* What `snn eval` shows: tables, JSON, CSV. Formats; measures nothing. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tool/eval.h"

/* Half width of the 95 % interval of the loss in percentage points: a paired difference, so only pictures on which the
 * two networks disagree about being right bring variance. */
static double loss_interval(const eval_row *r, size_t n) {
  double d = ((double)r->lost - (double)r->gained) / (double)n;
  double variance = ((double)r->lost + (double)r->gained) / (double)n - d * d;
  return 100 * 1.96 * sqrt(variance > 0 ? variance / (double)n : 0);
}

static double percent(size_t part, size_t n) {
  return 100.0 * (double)part / (double)n;
}

double eval_float_accuracy(const evaluation *e) {
  return percent(e->float_correct, e->n);
}

eval_figures eval_figures_of(const evaluation *e, const eval_row *r) {
  double n = (double)e->n, neurons = (double)tool_neurons(e->model.net, &e->model.run);
  return (eval_figures){.accuracy = percent(r->correct, e->n),
                        .loss = percent(e->float_correct, e->n) - percent(r->correct, e->n),
                        .interval = loss_interval(r, e->n),
                        .agreement = percent(r->agree, e->n),
                        .spikes = (double)r->spikes / n,
                        .rate = neurons > 0 ? (double)r->spikes / n / neurons / r->timesteps : 0,
                        .accumulates = (double)r->accumulates / n,
                        .snn_nj = snn_energy_nj(r->accumulates, r->macs) / n};
}

/* ---- JSON ---- */

static json_t *number(double v) {
  return isfinite(v) ? json_real(v) : json_null();
}

/* What the probe saw of one entry: an object a T. */
static json_t *layer_json(const evaluation *e, size_t entry) {
  json_t *rows = json_array();
  snn_probed p = snn_probe_read(e->probe, 0, entry);
  snn_layer_info info = snn_network_layer(e->model.net, p.layer);
  for (size_t k = 0; k < e->model.run.n_checkpoints; k++) {
    p = snn_probe_read(e->probe, k, entry);
    json_t *j = json_pack("{s:i, s:o, s:o, s:o, s:o}", "timesteps", (int)p.timesteps, "correlation",
                          number(p.correlation), "mean_error", number(p.mean_error), "rms_error", number(p.rms_error),
                          "relative_error", number(p.rms_error / p.float_rms));
    if (!p.is_readout) {
      json_object_set_new(j, "rate", number(p.rate));
      json_object_set_new(j, "first_spike_step", number(p.first_spike));
      json_object_set_new(j, "silent", number(p.silent));
      json_object_set_new(j, "quantisation_error", number(p.quantisation));
      json_object_set_new(j, "quantisation_error_rectified", number(p.rectified));
    }
    json_array_append_new(rows, j);
  }
  return json_pack("{s:i, s:s, s:b, s:I, s:o, s:o}", "layer", (int)p.layer, "name", info.name, "readout", p.is_readout,
                   "size", (json_int_t)snn_shape_size(info.shape), "float_rms", number(p.float_rms), "rows", rows);
}

int eval_print_json(const evaluation *e) {
  const snn_run_options *run = &e->model.run;
  json_t *rows = json_array();
  for (size_t k = 0; k < run->n_checkpoints; k++) {
    eval_figures f = eval_figures_of(e, &e->rows[k]);
    json_t *j =
        json_pack("{s:i, s:f, s:f, s:f, s:f, s:f}", "timesteps", (int)e->rows[k].timesteps, "agreement", f.agreement,
                  "spikes", f.spikes, "rate", f.rate, "synaptic_operations", f.accumulates, "energy_nj", f.snn_nj);
    snn_run_options at = *run;
    at.timesteps = e->rows[k].timesteps;
    json_t *table = tool_table_json(e->model.net, &at);
    if (table) json_object_set_new(j, "table", table);
    if (e->labelled) {
      json_object_set_new(j, "accuracy", json_real(f.accuracy));
      json_object_set_new(j, "loss", json_real(f.loss));
      json_object_set_new(j, "loss_interval_95", json_real(f.interval));
    }
    json_array_append_new(rows, j);
  }
  json_t *answer =
      json_pack("{s:s, s:s, s:I, s:o, s:f, s:o, s:s, s:f, s:f}", "model", snn_network_name(e->model.net),
                "model_version", snn_network_sha256(e->model.net), "pictures", (json_int_t)e->n, "float_accuracy",
                e->labelled ? json_real(eval_float_accuracy(e)) : json_null(), "ann_nj",
                snn_energy_nj(0, snn_network_macs(e->model.net)), "rows", rows, "energy_basis", snn_energy_basis(),
                "simulate_seconds", e->simulate_seconds, "reference_seconds", e->reference_seconds);
  tool_set_run(answer, run);
  if (e->probe) {
    json_t *layers = json_array();
    for (size_t i = 0; i < snn_probe_entries(e->probe); i++) json_array_append_new(layers, layer_json(e, i));
    json_object_set_new(answer, "layer_pictures", json_integer((json_int_t)e->probed));
    json_object_set_new(answer, "layers", layers);
  }
  return tool_print_json(answer);
}

/* ---- CSV ---- */

void eval_write_rows(const evaluation *e, FILE *f) {
  fputs("timesteps,accuracy,loss,loss_interval_95,agreement,spikes,rate,synaptic_operations,energy_nj\n", f);
  for (size_t k = 0; k < e->model.run.n_checkpoints; k++) {
    eval_figures v = eval_figures_of(e, &e->rows[k]);
    fprintf(f, "%u,", e->rows[k].timesteps);
    if (e->labelled)
      fprintf(f, "%.4f,%.4f,%.4f,", v.accuracy, v.loss, v.interval);
    else
      fputs(",,,", f);
    fprintf(f, "%.4f,%.1f,%.6f,%.1f,%.1f\n", v.agreement, v.spikes, v.rate, v.accumulates, v.snn_nj);
  }
}

/* A cell and the comma behind it; empty where there is nothing to say. */
static void cell(FILE *f, double v) {
  if (isfinite(v))
    fprintf(f, "%.9g,", v);
  else
    fputc(',', f);
}

void eval_write_layers(const evaluation *e, FILE *f) {
  fputs(
      "timesteps,entry,correlation,mean_error,rms_error,relative_error,rate,first_spike_step,silent,"
      "quantisation_error,quantisation_error_rectified,layer\n",
      f);
  for (size_t k = 0; k < e->model.run.n_checkpoints; k++)
    for (size_t i = 0; i < snn_probe_entries(e->probe); i++) {
      snn_probed p = snn_probe_read(e->probe, k, i);
      const double cells[] = {p.correlation, p.mean_error,  p.rms_error, p.rms_error / p.float_rms,
                              p.rate,        p.first_spike, p.silent,    p.quantisation,
                              p.rectified};
      char name[TOOL_MAX_TEXT];
      fprintf(f, "%u,%zu,", p.timesteps, i + 1);
      for (size_t c = 0; c < sizeof cells / sizeof *cells; c++) cell(f, cells[c]);
      fputc('"', f); /* RFC 4180: quotes double inside quotes */
      for (const char *s = tool_plain(snn_network_layer(e->model.net, p.layer).name, name); *s; s++)
        fprintf(f, *s == '"' ? "\"\"" : "%c", *s);
      fputs("\"\n", f);
    }
}

/* Write one of the two through `write`. */
static bool write_file(const evaluation *e, const char *path, void (*write)(const evaluation *, FILE *)) {
  FILE *f = fopen(path, "we");
  if (f) write(e, f);
  bool failed = !f || ferror(f);
  if ((f && fclose(f) != 0) || failed) {
    fprintf(stderr, "snn: %s: cannot write: %s\n", path, strerror(errno));
    return false;
  }
  return true;
}

bool eval_write_csv(const evaluation *e, const char *path) {
  if (!write_file(e, path, eval_write_rows)) return false;
  if (!e->probe) return true;
  const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
  size_t stem = dot && dot > (slash ? slash + 1 : path) ? (size_t)(dot - path) : strlen(path);
  char *beside;
  if (asprintf(&beside, "%.*s-layers%s", (int)stem, path, path + stem) < 0) {
    fputs("snn: out of memory\n", stderr);
    return false;
  }
  bool ok = write_file(e, beside, eval_write_layers);
  free(beside);
  return ok;
}

/* ---- tables ---- */

static void print_rows(const evaluation *e) {
  printf("%5s  %9s  %16s  %10s  %12s  %8s  %14s  %12s\n", "T", "accuracy", "loss (95 %)", "agreement", "spikes", "rate",
         "synaptic ops", "energy nJ");
  for (size_t k = 0; k < e->model.run.n_checkpoints; k++) {
    eval_figures f = eval_figures_of(e, &e->rows[k]);
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
}

/* v with so many digits and its unit, "-" where it is not known. */
static const char *shown(double v, int digits, const char *unit, char buf[32]) {
  snprintf(buf, 32, isfinite(v) ? "%.*f%s" : "-", digits, v, unit);
  return buf;
}

/* Every layer after the last T. */
static void print_layers(const evaluation *e) {
  const size_t last = e->model.run.n_checkpoints - 1;
  const bool rectifies = e->model.run.neuron == SNN_NEURON_SRIF_MPR;
  printf("\nLayers at T=%u, on %zu pictures: rate * theta against the float activation\n\n", e->rows[last].timesteps,
         e->probed);
  printf("%-24s %9s  %11s  %11s  %9s  %8s  %11s  %8s%s\n", "layer", "correl.", "mean error", "RMS error", "relative",
         "rate", "first spike", "silent", rectifies ? "   quant. err.  rectified" : "");
  for (size_t i = 0; i < snn_probe_entries(e->probe); i++) {
    snn_probed p = snn_probe_read(e->probe, last, i);
    char name[TOOL_MAX_TEXT], t[8][32];
    printf("%-24.24s %9s  %11s  %11s  %9s  %8s  %11s  %8s",
           p.is_readout ? "scores" : tool_plain(snn_network_layer(e->model.net, p.layer).name, name),
           shown(p.correlation, 5, "", t[0]), shown(p.mean_error, 5, "", t[1]), shown(p.rms_error, 5, "", t[2]),
           shown(100 * p.rms_error / p.float_rms, 2, " %", t[3]), shown(p.rate, 4, "", t[4]),
           shown(p.first_spike, 2, "", t[5]), shown(100 * p.silent, 1, " %", t[6]));
    if (rectifies) printf("   %12s", shown(p.quantisation, 4, "", t[7]));
    if (rectifies) printf("  %9s", shown(p.rectified, 4, "", t[7]));
    putchar('\n');
  }
  puts("\nrelative: RMS error over the RMS of the float activation; first spike: mean step, of the neurons that fired");
  if (rectifies)
    puts("quantisation error: of potentials in units of theta, before and after the rectifier (InfLoR-SNN eq. 9)");
}

void eval_print_tables(const evaluation *e) {
  const snn_run_options *run = &e->model.run;
  char text[TOOL_MAX_RUN];
  printf("%zu pictures, %s, ", e->n, tool_run_text(run, text));
  if (e->labelled)
    printf("float accuracy %.2f %%\n", eval_float_accuracy(e));
  else
    printf("no labels: only the agreement with the float network is known\n");
  print_rows(e);
  for (size_t k = 0; k < e->model.run.n_checkpoints; k++) {
    snn_run_options at = e->model.run;
    snn_table_choice table;
    at.timesteps = e->rows[k].timesteps;
    if (snn_run_table(e->model.net, &at, &table) && table.key.timesteps != at.timesteps)
      printf("T=%u started from the table for T=%u\n", at.timesteps, table.key.timesteps);
  }
  printf("spikes, operations and energy per picture; rate per neuron and step; energy: %s\n", snn_energy_basis());
  printf("simulated in %.1f s (float network %.1f s) with %u threads, kernels %s\n", e->simulate_seconds,
         e->reference_seconds, snn_session_threads(e->model.session), snn_kernels_name());
  if (e->probe) print_layers(e);
}
