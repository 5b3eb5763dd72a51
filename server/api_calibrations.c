/* Handlers of calibrations on the admin listener: what there is, what is in force, putting another in force. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "json_admin.h"

enum { CHOICE_BYTES_MAX = 4096 };

/* The model of the path, with a store to look in; NULL with r->problem set. */
static model_entry *find_model(server *s, request *r) {
  if (!s->store) {
    problem_set(&r->problem, PROBLEM_NO_STATE, "this server runs without --state, where calibrations are kept");
    return NULL;
  }
  return api_find_model(s, r);
}

/* The latest generation claimed, 0 for none. False with r->problem set. */
static bool latest_generation(server *s, request *r, const model_entry *entry, uint64_t *out) {
  *out = 0;
  int n = store_generations(s->store, entry->name, out, 1);
  return n >= 0 || problem_set(&r->problem, PROBLEM_STORAGE, "the state folder cannot be read: %s", strerror(-n));
}

static void tell_in_force(server *s, request *r, model_entry *entry) {
  uint64_t latest = 0;
  store_pointer pointer;
  if (!latest_generation(s, r, entry, &latest)) return;
  bool readable = latest && store_read_pointer(s->store, entry->name, latest, &pointer);
  reply_json(r, 200, json_admin_in_force(entry, readable ? &pointer : NULL, latest));
  reply_add_header(r, "ETag", "\"%llu\"", (unsigned long long)latest);
  reply_add_header(r, "Cache-Control", "no-cache");
}

void api_calibration_in_force(server *s, request *r) {
  model_entry *entry = find_model(s, r);
  if (entry) tell_in_force(s, r, entry);
  registry_release(entry);
}

void api_calibration_choose_begin(server *s, request *r) {
  model_entry *entry = find_model(s, r);
  registry_release(entry);
  if (entry && !r->if_match)
    problem_set(&r->problem, PROBLEM_UNCONDITIONAL,
                "If-Match: expected the ETag of GET /v1/models/%s/calibration, so that nobody's change is lost",
                r->model);
  if (r->problem.kind == PROBLEM_NONE) request_gather(r, CHOICE_BYTES_MAX);
}

/* The generation that If-Match names: "7" in quotes; * stands for the latest. */
static bool parse_if_match(const char *text, uint64_t latest, uint64_t *out) {
  char digits[24];
  size_t n = strlen(text);
  if (strcmp(text, "*") == 0) {
    *out = latest;
    return true;
  }
  if (n < 3 || n - 2 >= sizeof digits || text[0] != '"' || text[n - 1] != '"') return false;
  memcpy(digits, text + 1, n - 2);
  digits[n - 2] = 0;
  return config_parse_unsigned(digits, INT64_MAX - 1, out);
}

void api_calibration_choose(server *s, request *r) {
  size_t n = 0;
  const char *text = request_text(r, &n);
  char *wanted = NULL, by[STORE_BY_MAX], id[DIGEST_HEX];
  uint64_t latest = 0, expected = 0, generation = 0;
  model_entry *entry = find_model(s, r);
  if (!entry || !json_admin_parse_choice(text, n, &wanted, &r->problem) || !latest_generation(s, r, entry, &latest))
    goto cleanup;
  if (!parse_if_match(r->if_match, latest, &expected)) {
    problem_set(&r->problem, PROBLEM_STALE, "If-Match: expected a generation in quotes, such as \"7\"");
    goto cleanup;
  }
  if (wanted && !store_resolve(s->store, entry->name, wanted, id)) {
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "id: no calibration, or more than one, goes by '%.64s'", wanted);
    goto cleanup;
  }
  snprintf(by, sizeof by, "request %s", r->id);
  if (store_activate(s->store, entry, wanted ? id : NULL, expected, by, &generation, &r->problem))
    tell_in_force(s, r, entry);

cleanup:
  free(wanted);
  registry_release(entry);
}

/* ---- Artifacts -------------------------------------------------------------------------------------------------- */

/* The pointers there are; *out is malloc'ed. Their number. */
static size_t read_pointers(server *s, const model_entry *entry, store_pointer **out) {
  uint64_t generations[POINTERS_KEPT_MAX];
  int n = store_generations(s->store, entry->name, generations, POINTERS_KEPT_MAX);
  size_t count = 0;
  store_pointer *list = n > 0 ? calloc((size_t)n, sizeof *list) : NULL;
  for (int i = 0; list && i < n; i++) count += store_read_pointer(s->store, entry->name, generations[i], &list[count]);
  *out = list;
  return count;
}

/* What is known of one artifact, as JSON. */
static char *view_artifact(server *s, model_entry *entry, const store_artifact *a, const store_pointer *pointers,
                           size_t n_pointers, bool whole) {
  uint64_t generations[POINTERS_KEPT_MAX];
  size_t n = 0;
  calibration *c = NULL, *in_force = registry_calibration(entry, NULL);
  snn_error err = {0};
  char reason[448];
  for (size_t i = 0; i < n_pointers && n < POINTERS_KEPT_MAX; i++)
    if (strcmp(pointers[i].id, a->id) == 0) generations[n++] = pointers[i].generation;
  if (store_open(s->store, entry, a->id, &c, &err) != SNN_OK)
    snprintf(reason, sizeof reason, "%s: %s", err.where, err.text);
  char *text = json_admin_artifact(&(artifact_view){.artifact = a,
                                                    .calibration = c,
                                                    .reason = reason,
                                                    .generations = generations,
                                                    .n_generations = n,
                                                    .in_force = in_force && strcmp(in_force->id, a->id) == 0},
                                   whole);
  calibration_release(in_force);
  calibration_release(c);
  return text;
}

void api_calibrations(server *s, request *r) {
  store_artifact *artifacts = NULL;
  store_pointer *pointers = NULL;
  char **texts = NULL;
  size_t n = 0, n_pointers = 0;
  model_entry *entry = find_model(s, r);
  if (!entry) return;
  int failed = store_artifacts(s->store, entry->name, &artifacts, &n);
  if (failed) {
    problem_set(&r->problem, PROBLEM_STORAGE, "the state folder cannot be read: %s", strerror(failed));
    goto cleanup;
  }
  n_pointers = read_pointers(s, entry, &pointers);
  texts = calloc(n + 1, sizeof *texts);
  for (size_t i = 0; texts && i < n; i++)
    texts[i] = view_artifact(s, entry, &artifacts[i], pointers, n_pointers, false);
  reply_json(r, 200, texts ? json_admin_list("calibrations", texts, n) : NULL);

cleanup:
  for (size_t i = 0; texts && i < n; i++) free(texts[i]);
  free(texts);
  free(pointers);
  free(artifacts);
  registry_release(entry);
}

void api_calibration(server *s, request *r) {
  store_artifact *artifacts = NULL;
  store_pointer *pointers = NULL;
  char id[DIGEST_HEX];
  size_t n = 0, at = 0;
  model_entry *entry = find_model(s, r);
  if (!entry) return;
  bool found =
      store_resolve(s->store, entry->name, r->item, id) && store_artifacts(s->store, entry->name, &artifacts, &n) == 0;
  while (found && at < n && strcmp(artifacts[at].id, id) != 0) at++;
  if (found && at < n) {
    size_t n_pointers = read_pointers(s, entry, &pointers);
    reply_json(r, 200, view_artifact(s, entry, &artifacts[at], pointers, n_pointers, true));
    reply_add_header(r, "ETag", "\"%s\"", id);
  } else {
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "there is no calibration of that id");
  }
  free(pointers);
  free(artifacts);
  registry_release(entry);
}
