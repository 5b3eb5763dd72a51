/* The report of a job as JSON. Keeps the invariant that what is printed is JSON whatever the numbers are. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>

#include "job_report.h"
#include "json_jobs.h"

static json_t *number(double v) {
  return isfinite(v) ? json_real(v) : json_null();
}

static char *print(json_t *root) {
  char *text = root ? json_dumps(root, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
  json_decref(root);
  return text;
}

bool job_report_allocate(job_report *r, const snn_network *net) {
  size_t layers = snn_network_layers(net);
  bool ok = true;
  for (size_t k = 0; k < r->options->n_timesteps; k++) {
    r->rows[k].before.layers = calloc(layers, sizeof(snn_layer_match));
    r->rows[k].after.layers = calloc(layers, sizeof(snn_layer_match));
    ok = ok && r->rows[k].before.layers && r->rows[k].after.layers;
  }
  return ok;
}

void job_report_free(job_report *r) {
  for (size_t k = 0; k < JOB_TIMESTEPS_MAX; k++) {
    free(r->rows[k].before.layers);
    free(r->rows[k].after.layers);
  }
}

static json_t *side_object(const job_report *r, const job_side *side, const snn_network *net, const char *name) {
  snn_table_choice table;
  json_t *o = json_pack("{s:o, s:s, s:o, s:s, s:o}", "calibration", name ? json_string(name) : json_null(), "init",
                        snn_init_name(side->run.init), "table",
                        snn_run_table(net, &side->run, &table)
                            ? json_pack("{s:s, s:I}", "source", table.is_embedded ? "model" : "calibration",
                                        "timesteps", (json_int_t)table.key.timesteps)
                            : json_null(),
                        "precision", snn_precision_name(side->run.precision), "agreement", number(side->agreement));
  if (r->labelled) json_object_set_new(o, "accuracy", number(side->accuracy));
  return o;
}

static json_t *match_object(const snn_layer_match *m) {
  return json_pack("{s:{s:o, s:o, s:o}, s:o, s:o}", "potential", "min", number((double)m->potential_min), "mean",
                   number((double)m->potential_mean), "max", number((double)m->potential_max), "residual",
                   number(m->residual), "error", number(m->error));
}

static json_t *layer_list(const job_row *row, const snn_network *net) {
  json_t *list = json_array();
  for (size_t i = 0; i < snn_network_layers(net); i++) {
    snn_layer_info layer = snn_network_layer(net, i);
    if (layer.kind != SNN_LAYER_NEURON) continue;
    json_array_append_new(
        list, json_pack("{s:s, s:o, s:o}", "name", layer.name, "before", match_object(&row->before.layers[i]), "after",
                        match_object(&row->after.layers[i])));
  }
  return list;
}

static json_t *gain_object(const job_report *r, const job_row *row) {
  return json_pack("{s:s, s:I, s:o, s:[o,o]}", "measure", r->labelled ? "accuracy" : "agreement", "timesteps",
                   (json_int_t)row->timesteps, "points", number(row->gain), "interval_95", number(row->gain_low),
                   number(row->gain_high));
}

static json_t *pictures_object(const job_report *r) {
  json_t *names = json_array();
  for (size_t i = 0; i < r->n_undecodable && i < JOB_NAMED_MAX; i++)
    json_array_append_new(names,
                          json_pack("{s:s, s:s}", "name", r->undecodable[i].name, "reason", r->undecodable[i].reason));
  return json_pack("{s:I, s:I, s:I, s:I, s:b, s:o}", "received", (json_int_t)r->n_received, "calibrated_with",
                   (json_int_t)r->n_used, "held_out", (json_int_t)r->n_judged, "undecodable",
                   (json_int_t)r->n_undecodable, "labelled", r->labelled, "skipped", names);
}

/* What was measured, without what was done about it. */
static json_t *findings(const job_report *r, const snn_network *net) {
  json_t *rows = json_array();
  for (size_t k = 0; k < r->n_rows; k++) {
    const job_row *row = &r->rows[k];
    json_array_append_new(
        rows, json_pack("{s:I, s:o, s:o, s:o, s:o}", "timesteps", (json_int_t)row->timesteps, "before",
                        side_object(r, &row->before, net, r->before ? r->before->name : NULL), "after",
                        side_object(r, &row->after, net, *r->id ? r->id : "this"), "gain", gain_object(r, row),
                        "layers", layer_list(row, net)));
  }
  json_t *o = json_pack("{s:o, s:o, s:o}", "pictures", pictures_object(r), "gain",
                        r->n_rows ? gain_object(r, &r->rows[r->worst]) : json_null(), "timesteps", rows);
  if (r->n_rows && r->labelled) json_object_set_new(o, "float_accuracy", number(r->float_accuracy));
  return o;
}

char *json_report(const job_report *r, const snn_network *net) {
  json_t *o = findings(r, net);
  json_object_set_new(o, "calibration", json_string(r->id));
  json_object_set_new(o, "activated", json_boolean(r->activated));
  json_object_set_new(o, "generation", r->activated ? json_integer((json_int_t)r->generation) : json_null());
  json_object_set_new(o, "reason", *r->reason ? json_string(r->reason) : json_null());
  return print(o);
}

char *json_report_provenance(const job_report *r, const snn_network *net, const char *job_id, const char *created) {
  json_t *o = findings(r, net);
  json_object_set_new(o, "job", json_string(job_id));
  json_object_set_new(o, "created", json_string(created));
  json_object_set_new(o, "options", json_jobs_options(r->options));
  return print(o);
}
