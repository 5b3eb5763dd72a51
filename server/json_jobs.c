/* Jobs. Keeps the invariant that options which leave here are complete and in range. Does no work. */
#include "json_jobs.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_scan.h"

enum { DEPTH_MAX = 16, TOKENS_MAX = 4096, FILE_TOKENS_MAX = 1 << 20 };

static const char *const grain_names[] = {"layer", "channel", "neuron"};

static bool refuse(problem *p, const char *name, const char *expected) {
  return problem_set(p, PROBLEM_INVALID_OPTION, "%s: expected %s", name, expected);
}

static bool take_number(const json_t *value, double min, double max, double *out) {
  if (!json_is_number(value)) return false;
  *out = json_number_value(value);
  return *out >= min && *out <= max;
}

static bool take_timesteps(const json_t *value, uint32_t max, job_options *out, problem *p) {
  size_t n = json_array_size(value);
  if (!json_is_array(value) || n < 1 || n > JOB_TIMESTEPS_MAX)
    return problem_set(p, PROBLEM_INVALID_OPTION, "timesteps: expected a list of 1 to %d integers", JOB_TIMESTEPS_MAX);
  for (size_t i = 0; i < n; i++) {
    const json_t *t = json_array_get(value, i);
    if (!json_is_integer(t) || json_integer_value(t) < 1 || json_integer_value(t) > max)
      return problem_set(p, PROBLEM_INVALID_OPTION, "timesteps: expected integers from 1 to %u", max);
    out->timesteps[i] = (uint32_t)json_integer_value(t);
    for (size_t k = 0; k < i; k++)
      if (out->timesteps[k] == out->timesteps[i])
        return problem_set(p, PROBLEM_INVALID_OPTION, "timesteps: %u is listed twice", out->timesteps[i]);
  }
  out->n_timesteps = n;
  return true;
}

static bool take_grain(const char *text, job_options *out) {
  for (int i = 0; text && i < 3; i++)
    if (strcmp(text, grain_names[i]) == 0) {
      out->granularity = (snn_granularity)i;
      return true;
    }
  return false;
}

static bool take(const char *name, const json_t *value, uint32_t max_timesteps, job_options *out, problem *p) {
  const char *text = json_string_value(value);
  double number = 0;
  if (strcmp(name, "timesteps") == 0) return take_timesteps(value, max_timesteps, out, p);
  if (strcmp(name, "method") == 0)
    return (text && snn_init_parse(text, &out->method) && out->method >= SNN_INIT_WEIGHTS) ||
           refuse(p, name, "one of: weights, data, compensated, matched");
  if (strcmp(name, "neuron") == 0)
    return (text && snn_neuron_parse(text, &out->neuron)) || refuse(p, name, "the name of a neuron model");
  if (strcmp(name, "granularity") == 0)
    return take_grain(text, out) || refuse(p, name, "one of: layer, channel, neuron");
  if (strcmp(name, "tau") == 0) {
    bool ok = take_number(value, 0, 1, &number) && number > 0;
    out->tau = (float)number;
    return (ok && out->tau > 0) || refuse(p, name, "a number above 0 and at most 1");
  }
  if (strcmp(name, "holdout") == 0)
    return take_number(value, 0, 0.9, &out->holdout) || refuse(p, name, "a number from 0 to 0.9");
  if (strcmp(name, "min_gain") == 0)
    return take_number(value, -100, 100, &out->min_gain) || refuse(p, name, "a number from -100 to 100");
  if (strcmp(name, "activate") == 0) {
    out->activate = json_is_true(value);
    return json_is_boolean(value) || refuse(p, name, "true or false");
  }
  if (strcmp(name, "fit_thresholds") == 0) {
    out->fit_thresholds = json_is_true(value);
    return json_is_boolean(value) || refuse(p, name, "true or false");
  }
  return problem_set(
      p, PROBLEM_INVALID_OPTION,
      "%.64s: unknown option; there are: method, timesteps, neuron, tau, granularity, fit_thresholds, holdout, "
      "activate, min_gain",
      name);
}

bool json_jobs_parse_options(const char *text, size_t n, uint32_t max_timesteps, job_options *out, problem *p) {
  const char *name;
  json_t *value;
  json_error_t why;
  bool ok = true;
  if (json_scan(text, n, DEPTH_MAX, TOKENS_MAX) != JSON_SCAN_OK)
    return problem_set(p, PROBLEM_BAD_REQUEST, "options: JSON too deep or too large");
  json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
  if (!root)
    ok = problem_set(p, PROBLEM_BAD_REQUEST, "options: not JSON: line %d, column %d: %s", why.line, why.column,
                     why.text);
  else if (!json_is_object(root))
    ok = problem_set(p, PROBLEM_BAD_REQUEST, "options: expected a JSON object");
  json_object_foreach(root, name, value) {
    if (ok) ok = take(name, value, max_timesteps, out, p);
  }
  /* The method that can is to do so unless it was asked not to. */
  if (ok && !json_object_get(root, "fit_thresholds")) out->fit_thresholds = out->method == SNN_INIT_MATCHED;
  if (ok && out->activate && out->holdout <= 0)
    ok = problem_set(p, PROBLEM_INVALID_OPTION,
                     "holdout: expected a number above 0, since what is to be activated is judged by those pictures");
  json_decref(root);
  return ok;
}

/* ---- Files and answers ------------------------------------------------------------------------------------------ */

json_t *json_jobs_options(const job_options *o) {
  json_t *timesteps = json_array();
  for (size_t i = 0; i < o->n_timesteps; i++)
    json_array_append_new(timesteps, json_integer((json_int_t)o->timesteps[i]));
  json_t *object =
      json_pack("{s:s, s:o, s:s, s:s, s:b, s:f, s:b, s:f}", "method", snn_init_name(o->method), "timesteps", timesteps,
                "neuron", snn_neuron_name(o->neuron), "granularity", grain_names[o->granularity], "fit_thresholds",
                o->fit_thresholds, "holdout", o->holdout, "activate", o->activate, "min_gain", o->min_gain);
  if (snn_neuron_leaks(o->neuron)) json_object_set_new(object, "tau", json_real(round((double)o->tau * 1e7) / 1e7));
  return object;
}

char *json_jobs_print(const job_record *r, bool whole) {
  char id[JOB_ID_MAX + 1];
  job_id_of(r, id);
  json_t *o =
      json_pack("{s:s, s:s, s:s, s:s, s:{s:s, s:I, s:I}, s:o, s:s, s:s, s:o, s:o}", "id", id, "model", r->model,
                "model_version", r->model_sha256, "state", job_state_name(r->state), "progress", "phase", r->phase,
                "done", (json_int_t)r->done, "total", (json_int_t)r->total, "options", json_jobs_options(&r->options),
                "created", r->created, "updated", r->updated, "error", *r->error ? json_string(r->error) : json_null(),
                "result", r->result ? json_loads(r->result, 0, NULL) : json_null());
  if (whole)
    json_object_update_new(o, json_pack("{s:I, s:s, s:I, s:s, s:s}", "number", (json_int_t)r->number, "owner", r->owner,
                                        "beat", (json_int_t)r->beat, "key", r->key, "digest", r->digest));
  char *text = o ? json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(o);
  return text;
}

static bool take_text(const json_t *root, const char *name, char *out, size_t n_out) {
  const char *text = json_string_value(json_object_get(root, name));
  return text && (size_t)snprintf(out, n_out, "%s", text) < n_out;
}

static bool parse_state(const json_t *root, job_state *out) {
  const char *name = json_string_value(json_object_get(root, "state"));
  for (int i = 0; name && i < JOB_STATE_COUNT; i++)
    if (strcmp(name, job_state_name((job_state)i)) == 0) {
      *out = (job_state)i;
      return true;
    }
  return false;
}

static bool parse_record(const json_t *root, job_record *r) {
  const json_t *progress = json_object_get(root, "progress"), *result = json_object_get(root, "result");
  const char *name;
  json_t *value;
  problem p = {0};
  bool ok = take_text(root, "model", r->model, sizeof r->model) && registry_name_valid(r->model) &&
            take_text(root, "model_version", r->model_sha256, sizeof r->model_sha256) && parse_state(root, &r->state) &&
            take_text(root, "owner", r->owner, sizeof r->owner) && take_text(root, "key", r->key, sizeof r->key) &&
            take_text(root, "digest", r->digest, sizeof r->digest);
  if (!ok) return false;
  take_text(root, "created", r->created, sizeof r->created);
  take_text(root, "updated", r->updated, sizeof r->updated);
  take_text(root, "error", r->error, sizeof r->error);
  take_text(progress, "phase", r->phase, sizeof r->phase);
  r->done = (uint64_t)json_integer_value(json_object_get(progress, "done"));
  r->total = (uint64_t)json_integer_value(json_object_get(progress, "total"));
  r->number = (uint64_t)json_integer_value(json_object_get(root, "number"));
  r->beat = (uint64_t)json_integer_value(json_object_get(root, "beat"));
  json_object_foreach(json_object_get(root, "options"), name, value) {
    if (!take(name, value, SNN_MAX_TIMESTEPS, &r->options, &p)) return false;
  }
  if (json_is_object(result) && !(r->result = json_dumps(result, JSON_COMPACT | JSON_REAL_PRECISION(9)))) return false;
  return r->number > 0;
}

bool json_jobs_parse(const char *text, size_t n, job_record *out) {
  job_record r = {0};
  if (json_scan(text, n, DEPTH_MAX, FILE_TOKENS_MAX) != JSON_SCAN_OK) return false;
  json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
  bool ok = json_is_object(root) && parse_record(root, &r);
  json_decref(root);
  if (ok)
    *out = r;
  else
    job_record_clear(&r);
  return ok;
}
