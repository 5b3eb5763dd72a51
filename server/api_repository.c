/* Load and unload, under /v1 and as Triton's repository extension under /v2. Keeps the invariant that the disk is
 * touched on the chores' thread only. */
#include <stdlib.h>

#include "api.h"
#include "json_repository.h"

enum { REQUEST_BYTES_MAX = 64 * 1024 };

void api_repository_begin(server *s, request *r) {
  (void)s;
  request_gather(r, REQUEST_BYTES_MAX);
}

static void index_work(server *s, request *r) {
  snn_error err = {0};
  model_report *reports = NULL;
  size_t n = 0, n_text = 0;
  bool ready_only = false;
  const char *text = request_text(r, &n_text);
  if (!json_repository_ready_only(text, n_text, &ready_only, &r->problem)) return;
  if (repository_index(s, &reports, &n, &err) != SNN_OK) {
    problem_from_snn(&r->problem, &err, NULL);
    return;
  }
  reply_json(r, 200, json_repository_index(reports, n, ready_only));
  free(reports);
}

bool api_repository_index_start(server *s, request *r) {
  return api_in_background(s, r, index_work);
}

/* A file that cannot be served is the caller's matter: it asked for that one. */
static void refuse(request *r, const snn_error *err) {
  if (err->status == SNN_ERR_FORMAT || err->status == SNN_ERR_UNSUPPORTED || err->status == SNN_ERR_TOO_LARGE)
    problem_set(&r->problem, PROBLEM_BAD_REQUEST, "model: %s%s%s", err->where, *err->where ? ": " : "", err->text);
  else if (err->status == SNN_ERR_NOT_FOUND)
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "model: there is no model of that name");
  else
    problem_from_snn(&r->problem, err, "model");
}

static bool check_body(request *r) {
  size_t n = 0;
  const char *text = request_text(r, &n);
  return json_repository_check_load(text, n, &r->problem);
}

static void load_work(server *s, request *r) {
  snn_error err = {0};
  if (!check_body(r)) return;
  if (repository_load(s, r->model, &err) != SNN_OK) refuse(r, &err);
}

static void unload_work(server *s, request *r) {
  snn_error err = {0};
  if (!check_body(r)) return;
  if (repository_unload(s, r->model, &err) != SNN_OK) refuse(r, &err);
}

bool api_repository_load_start(server *s, request *r) {
  return api_in_background(s, r, load_work);
}

bool api_repository_unload_start(server *s, request *r) {
  return api_in_background(s, r, unload_work);
}

/* `index_work` has replied already; after the others, what is so now. */
void api_repository_answer(server *s, request *r) {
  if (r->reply.status) return;
  model_entry *entry = registry_find(&s->registry, r->model);
  reply_json(r, 200, json_repository_state(r->model, entry));
  registry_release(entry);
}
