/* What a job does: pictures from the spool, tables from some of them, a verdict from the rest, an artifact, and perhaps
 * its activation. Keeps the invariant that nothing is put in force but what was measured to be worth it, and not in the
 * place of something newer than what it was measured against. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "job_report.h"
#include "jobs_internal.h"
#include "snn/result.h"

enum { GROUP = 16 };

/* Thousandths of the whole that a phase ends at, by about how long each takes. */
enum { DECODED_AT = 40, CALIBRATED_AT = 700, JUDGED_AT = 990 };

typedef struct run {
  job *job;
  const snn_network *net;
  const job_options *options;
  uint32_t threads;
  const snn_courtesy *courtesy; /* NULL: none */
  size_t input, classes;        /* floats of a picture, of its scores */
  float *images;                /* [n]: those to calibrate with first, then those to judge by */
  int32_t *labels;              /* [n] */
  size_t n, n_judged;
  calibration *before; /* in force when the job began; a reference */
  snn_calibration *tables;
  snn_session *session;
  job_report report;
  snn_error err;
} run;

static bool is_cancelled(const run *x) {
  return atomic_load(&x->job->cancel);
}

static bool fail(run *x, snn_status status, const char *where, const char *text) {
  x->err = (snn_error){.status = status};
  snprintf(x->err.where, sizeof x->err.where, "%s", where);
  snprintf(x->err.text, sizeof x->err.text, "%s", text);
  return false;
}

/* ---- Pictures --------------------------------------------------------------------------------------------------- */

/* The bytes of picture i into *bytes, which grows. */
static bool read_picture(run *x, size_t i, uint8_t **bytes, size_t *capacity) {
  const upload_picture *picture = &x->job->upload.pictures[i];
  if (picture->n_bytes > *capacity) {
    uint8_t *larger = realloc(*bytes, picture->n_bytes);
    if (!larger) return fail(x, SNN_ERR_NO_MEMORY, "images", "out of memory");
    *bytes = larger;
    *capacity = picture->n_bytes;
  }
  return spool_read(&x->job->upload.spool, picture->offset, *bytes, picture->n_bytes) ||
         fail(x, SNN_ERR_IO, "images", "the spooled upload cannot be read");
}

/* Name a picture that cannot be decoded; false once there are too many. */
static bool skip(run *x, size_t i, const char *why) {
  job_report *r = &x->report;
  if (r->n_undecodable < JOB_NAMED_MAX) {
    snprintf(r->undecodable[r->n_undecodable].name, sizeof r->undecodable[0].name, "%s",
             upload_name(&x->job->upload, i));
    snprintf(r->undecodable[r->n_undecodable].reason, sizeof r->undecodable[0].reason, "%.159s", why);
  }
  r->n_undecodable++;
  if (r->n_undecodable * JOB_UNDECODABLE_SHARE <= x->job->upload.n_pictures) return true;
  char text[320] = "";
  for (size_t k = 0; k < r->n_undecodable && k < JOB_NAMED_MAX; k++) {
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, "%s%.60s (%.80s)", k ? "; " : "", r->undecodable[k].name,
             r->undecodable[k].reason);
  }
  char where[64];
  snprintf(where, sizeof where, "more than 5 %% of %zu pictures cannot be decoded", x->job->upload.n_pictures);
  return fail(x, SNN_ERR_FORMAT, where, text);
}

static bool decode_all(run *x) {
  const upload *u = &x->job->upload;
  uint8_t *bytes = NULL;
  size_t capacity = 0;
  bool ok = true;
  for (size_t i = 0; ok && i < u->n_pictures; i++) {
    uint64_t pixels = PIXELS_MAX;
    problem p = {0};
    jobs_progress(x->job, "decoding", 0, DECODED_AT, i, u->n_pictures);
    if (x->courtesy) courtesy_rest(&x->job->server->courtesy);
    if (is_cancelled(x)) {
      ok = fail(x, SNN_ERR_CANCELLED, "", "it was cancelled");
    } else if (!(ok = read_picture(x, i, &bytes, &capacity))) {
      break;
    } else if (decode_picture(bytes ? bytes : (const uint8_t *)"", u->pictures[i].n_bytes, snn_network_input(x->net),
                              snn_network_preprocess(x->net), &pixels, "image", x->images + x->n * x->input, NULL,
                              &p)) {
      x->labels[x->n++] = u->pictures[i].label;
    } else {
      ok = skip(x, i, strncmp(p.detail, "image: ", 7) == 0 ? p.detail + 7 : p.detail);
    }
  }
  free(bytes);
  return ok;
}

/* Move every so many a picture of each class behind the others: those are judged by. */
static bool hold_out(run *x) {
  size_t classes = x->classes + 1, kept = 0, held = 0;
  double share = x->options->holdout;
  size_t *seen = calloc(classes, sizeof *seen);
  float *images = malloc(x->n * x->input * sizeof *images);
  int32_t *labels = malloc(x->n * sizeof *labels);
  bool *out = calloc(x->n + 1, sizeof *out);
  bool ok = seen && images && labels && out;
  for (size_t i = 0; ok && i < x->n; i++) {
    size_t k = seen[(size_t)(x->labels[i] + 1)]++; /* -1: unknown, a class of its own here */
    out[i] = floor((double)(k + 1) * share + 0.5) > floor((double)k * share + 0.5);
    x->n_judged += out[i];
  }
  if (ok && share > 0 && x->n_judged == 0 && x->n > 1) { /* classes of a picture or two each: every so many of all */
    size_t step = (size_t)ceil(1 / share);
    for (size_t i = 0; i < x->n; i++) x->n_judged += out[i] = i % step == step - 1 || (x->n < step && i == x->n - 1);
  }
  for (size_t i = 0; ok && i < x->n; i++) {
    size_t to = out[i] ? x->n - x->n_judged + held++ : kept++;
    memcpy(images + to * x->input, x->images + i * x->input, x->input * sizeof *images);
    labels[to] = x->labels[i];
  }
  free(seen);
  free(out);
  if (!ok) {
    free(images);
    free(labels);
    return fail(x, SNN_ERR_NO_MEMORY, "images", "out of memory");
  }
  free(x->images);
  free(x->labels);
  x->images = images;
  x->labels = labels;
  if (kept == 0) return fail(x, SNN_ERR_ARGUMENT, "images", "too few pictures: none is left to calibrate with");
  if (share > 0 && x->n_judged == 0)
    return fail(x, SNN_ERR_ARGUMENT, "images", "too few pictures: none is left to judge by");
  return true;
}

/* ---- Judging ---------------------------------------------------------------------------------------------------- */

/* A run at one T as a request would make it that names neuron and T and no init. */
static snn_run_options run_before(const run *x, uint32_t timesteps) {
  snn_run_options o = snn_run_defaults(x->net);
  o.neuron = x->options->neuron;
  o.tau = x->options->tau;
  o.timesteps = timesteps;
  o.calibration = x->before ? x->before->tables : NULL;
  o.init = options_default_init(x->net, &o);
  o.precision = snn_precision_for(x->net, &o);
  o.cancel = &x->job->cancel;
  o.courtesy = x->courtesy;
  return o;
}

static snn_run_options run_after(const run *x, uint32_t timesteps) {
  snn_run_options o = run_before(x, timesteps);
  o.calibration = x->tables;
  o.init = x->options->method;
  o.precision = snn_precision_for(x->net, &o);
  return o;
}

static void advance(const run *x, size_t done, size_t total) {
  jobs_progress(x->job, "judging", CALIBRATED_AT, JUDGED_AT, done, total);
}

/* Which class each judged picture gets, [n_judged]; run NULL: from the float network. */
static bool classify(run *x, const snn_run_options *o, uint32_t *out) {
  const float *images = x->images + (x->n - x->n_judged) * x->input;
  float *scores = malloc(GROUP * x->classes * sizeof *scores);
  snn_status status = scores ? SNN_OK : SNN_ERR_NO_MEMORY;
  for (size_t i = 0; status == SNN_OK && i < x->n_judged; i += GROUP) {
    size_t n = x->n_judged - i < GROUP ? x->n_judged - i : GROUP;
    if (is_cancelled(x))
      status = SNN_ERR_CANCELLED;
    else if (o)
      status = snn_session_run(x->session, images + i * x->input, n, o, scores, NULL, &x->err);
    else
      status = snn_session_reference(x->session, images + i * x->input, n,
                                     &(snn_run_options){.cancel = &x->job->cancel, .courtesy = x->courtesy}, scores,
                                     &x->err);
    for (size_t k = 0; status == SNN_OK && k < n; k++)
      out[i + k] = (uint32_t)snn_argmax(scores + k * x->classes, x->classes);
  }
  free(scores);
  x->err.status = status;
  return status == SNN_OK;
}

/* Percentage points gained and their 95 % interval: a paired difference, so only pictures that are right (or agree) in
 * one of the two runs and not in the other bring variance. Half a picture more in each cell of the table (Agresti and
 * Min 2005) keeps the interval honest where few or none differ: no difference among 40 pictures is not certainty. */
static void measure(const run *x, const uint32_t *truth, const uint32_t *before, const uint32_t *after, job_row *row) {
  double n = (double)x->n_judged, gained = 0, lost = 0;
  for (size_t i = 0; i < x->n_judged; i++) {
    gained += after[i] == truth[i] && before[i] != truth[i];
    lost += before[i] == truth[i] && after[i] != truth[i];
  }
  double more = n + 2, middle = (gained - lost) / more;
  double half = 1.96 * sqrt(((gained + lost + 1) / more - middle * middle) / more);
  row->gain = 100 * (gained - lost) / n;
  row->gain_low = 100 * fmax(middle - half, -1);
  row->gain_high = 100 * fmin(middle + half, 1);
}

static double share(const uint32_t *a, const uint32_t *b, size_t n) {
  size_t same = 0;
  for (size_t i = 0; i < n; i++) same += a[i] == b[i];
  return 100.0 * (double)same / (double)n;
}

/* Classes of the judged pictures: by the float network, by their labels, and in the two runs at hand. */
typedef struct verdicts {
  uint32_t *reference, *labels, *before, *after;
} verdicts;

static bool judge_row(run *x, const verdicts *v, size_t k) {
  job_report *r = &x->report;
  job_row *row = &r->rows[k];
  const float *images = x->images + (x->n - x->n_judged) * x->input;
  snn_run_options before = run_before(x, x->options->timesteps[k]), after = run_after(x, x->options->timesteps[k]);
  size_t steps = 4 * x->options->n_timesteps;
  row->timesteps = before.timesteps;
  row->before.run = before;
  row->after.run = after;
  bool ok = classify(x, &before, v->before);
  advance(x, 4 * k + 1, steps);
  ok = ok && classify(x, &after, v->after);
  advance(x, 4 * k + 2, steps);
  if (!ok) return false;
  row->before.agreement = share(v->before, v->reference, x->n_judged);
  row->after.agreement = share(v->after, v->reference, x->n_judged);
  if (r->labelled) {
    row->before.accuracy = share(v->before, v->labels, x->n_judged);
    row->after.accuracy = share(v->after, v->labels, x->n_judged);
  }
  measure(x, r->labelled ? v->labels : v->reference, v->before, v->after, row);
  ok = snn_layers_match(x->net, images, x->n_judged, &before, x->threads, row->before.layers, &x->err) == SNN_OK;
  advance(x, 4 * k + 3, steps);
  ok = ok && snn_layers_match(x->net, images, x->n_judged, &after, x->threads, row->after.layers, &x->err) == SNN_OK;
  advance(x, 4 * k + 4, steps);
  return ok;
}

static bool judge(run *x) {
  job_report *r = &x->report;
  size_t n = x->n_judged;
  verdicts v = {calloc(n, sizeof(uint32_t)), calloc(n, sizeof(uint32_t)), calloc(n, sizeof(uint32_t)),
                calloc(n, sizeof(uint32_t))};
  bool ok = v.reference && v.labels && v.before && v.after;
  if (!ok) fail(x, SNN_ERR_NO_MEMORY, "", "out of memory");
  r->labelled = true;
  for (size_t i = 0; ok && i < n; i++) {
    int32_t label = x->labels[x->n - n + i];
    if (label < 0) r->labelled = false;
    v.labels[i] = (uint32_t)label;
  }
  ok = ok && classify(x, NULL, v.reference);
  if (ok && r->labelled) r->float_accuracy = share(v.reference, v.labels, n);
  for (size_t k = 0; ok && k < x->options->n_timesteps; k++) ok = judge_row(x, &v, k);
  if (ok) {
    r->n_rows = x->options->n_timesteps;
    for (size_t k = 1; k < r->n_rows; k++)
      if (r->rows[k].gain < r->rows[r->worst].gain) r->worst = k;
  }
  free(v.reference);
  free(v.labels);
  free(v.before);
  free(v.after);
  return ok;
}

/* ---- The whole -------------------------------------------------------------------------------------------------- */

static bool on_progress(void *context, const char *phase, size_t done, size_t total) {
  run *x = context;
  (void)phase;
  jobs_progress(x->job, "calibrating", DECODED_AT, CALIBRATED_AT, done, total);
  return !is_cancelled(x);
}

static bool calibrate(run *x) {
  const job_options *o = x->options;
  snn_calibrate_options c = {.method = o->method,
                             .neuron = o->neuron,
                             .tau = o->tau,
                             .timesteps = o->timesteps,
                             .n_timesteps = o->n_timesteps,
                             .granularity = o->granularity,
                             .fit_thresholds = o->fit_thresholds,
                             .shift = o->fit_thresholds ? SNN_SHIFT_FIT : SNN_SHIFT_NONE,
                             .threads = x->threads,
                             .progress = on_progress,
                             .progress_context = x,
                             .cancel = &x->job->cancel,
                             .courtesy = x->courtesy};
  return snn_calibrate(x->net, x->images, x->n - x->n_judged, &c, &x->tables, &x->err) == SNN_OK;
}

/* Is it to be put in force? The reason when not. */
static bool deserves(run *x) {
  job_report *r = &x->report;
  const job_options *o = x->options;
  const job_row *worst = &r->rows[r->worst];
  if (!o->activate)
    snprintf(r->reason, sizeof r->reason, "activate is false");
  else if (worst->gain < o->min_gain)
    snprintf(r->reason, sizeof r->reason,
             "at T = %u it brings %.2f percentage points of %s (95 %%: %.2f to %.2f), min_gain is %.2f",
             worst->timesteps, worst->gain, r->labelled ? "accuracy" : "agreement with the float network",
             worst->gain_low, worst->gain_high, o->min_gain);
  else
    return true;
  return false;
}

static void activate(run *x) {
  job_report *r = &x->report;
  server *s = x->job->server;
  char by[STORE_BY_MAX], id[JOB_ID_MAX + 1];
  problem p = {0};
  job_id_of(&x->job->record, id); /* set once and never changed */
  snprintf(by, sizeof by, "job %s", id);
  model_entry *now = registry_find(&s->registry, x->job->entry->name);
  if (!now || strcmp(snn_network_identity(now->network), snn_network_identity(x->net)) != 0)
    snprintf(r->reason, sizeof r->reason, "another version of the model is being served meanwhile");
  else
    r->activated = store_activate(s->store, now, r->id, x->job->generation, by, &r->generation, &p);
  if (!r->activated && p.kind == PROBLEM_STALE)
    snprintf(r->reason, sizeof r->reason,
             "another calibration was put in force meanwhile, against which it was not measured");
  else if (!r->activated && p.kind != PROBLEM_NONE)
    snprintf(r->reason, sizeof r->reason, "%.255s", p.detail);
  registry_release(now);
}

static bool begin(run *x) {
  const config *c = &x->job->server->config;
  uint32_t budget = snn_thread_budget();
  size_t n = x->job->upload.n_pictures;
  x->threads = c->job_threads ? (uint32_t)c->job_threads : budget > 1 ? budget / 2 : 1;
  if (c->job_nice == JOB_NICE_IDLE) x->courtesy = &x->job->server->courtesy.for_jobs;
  x->input = snn_shape_size(snn_network_input(x->net));
  x->classes = snn_network_classes(x->net);
  x->before = registry_calibration(x->job->entry, NULL);
  x->images = malloc(n * x->input * sizeof *x->images);
  x->labels = malloc(n * sizeof *x->labels);
  x->report.before = x->before;
  x->report.options = x->options;
  x->report.n_received = n;
  if (!x->images || !x->labels || !job_report_allocate(&x->report, x->net))
    return fail(x, SNN_ERR_NO_MEMORY, "", "out of memory");
  snn_session_options team = {.threads = x->threads};
  return snn_session_create(x->net, &team, &x->session, &x->err) == SNN_OK;
}

static bool finish(run *x, char **result) {
  job_report *r = &x->report;
  char job_id[JOB_ID_MAX + 1];
  job_id_of(&x->job->record, job_id);
  char *provenance = json_report_provenance(r, x->net, job_id, x->job->record.created);
  snn_status status = provenance ? snn_calibration_set_provenance(x->tables, provenance, &x->err) : SNN_ERR_NO_MEMORY;
  free(provenance);
  if (status == SNN_OK) status = store_add(x->job->server->store, x->job->entry, x->tables, r->id, &x->err);
  if (status != SNN_OK) {
    x->err.status = status;
    return false;
  }
  if (r->n_rows == 0)
    snprintf(r->reason, sizeof r->reason, "nothing was held out to judge it by");
  else if (deserves(x))
    activate(x);
  if (!r->activated) store_collect(x->job->server->store, x->job->entry->name);
  *result = json_report(r, x->net);
  return *result || fail(x, SNN_ERR_NO_MEMORY, "", "out of memory");
}

bool job_run(job *j, char **result, char *error, size_t n_error) {
  run x = {.job = j, .net = j->entry->network, .options = &j->record.options};
  bool ok = begin(&x) && decode_all(&x) && hold_out(&x);
  x.report.n_used = x.n - x.n_judged;
  x.report.n_judged = x.n_judged;
  ok = ok && calibrate(&x) && (x.n_judged == 0 || judge(&x)) && finish(&x, result);
  if (!ok)
    snprintf(error, n_error, "%s%s%s", x.err.where, *x.err.where ? ": " : "",
             *x.err.text ? x.err.text : snn_status_name(x.err.status));
  job_report_free(&x.report);
  snn_session_free(x.session);
  snn_calibration_free(x.tables);
  calibration_release(x.before);
  free(x.images);
  free(x.labels);
  return ok;
}
