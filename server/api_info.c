/* Handlers that only tell (health, status, models), and the one that asks the process to stop. They compute nothing and
 * wait for nothing. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api.h"
#include "cors.h"
#include "json_info.h"

void api_live(server *s, request *r) {
  (void)s;
  reply_json(r, 200, json_info_health("live"));
}

void api_ready(server *s, request *r) {
  server_state state = atomic_load(&s->state);
  if (state == SERVER_READY)
    reply_json(r, 200, json_info_health("ready"));
  else
    problem_set(&r->problem, PROBLEM_NOT_READY, "the server is %s", server_state_name(state));
}

void api_drain(server *s, request *r) {
  if (!atomic_exchange(&s->drain_asked, true) && atomic_load(&s->state) != SERVER_DRAINING) kill(getpid(), SIGTERM);
  reply_json(r, 202, json_info_health(server_state_name(SERVER_DRAINING)));
}

void api_status(server *s, request *r) {
  model_entry *entries[MODELS_MAX];
  size_t n = registry_all(&s->registry, entries);
  reply_json(r, 200, json_info_status(s, entries, n));
  for (size_t i = 0; i < n; i++) registry_release(entries[i]);
}

void api_models(server *s, request *r) {
  model_entry *entries[MODELS_MAX];
  size_t n = registry_all(&s->registry, entries);
  reply_json(r, 200, json_info_models(entries, n));
  for (size_t i = 0; i < n; i++) registry_release(entries[i]);
}

void api_options(server *s, request *r) {
  cors_preflight(r->preflight ? s->config.cors_origin : "", r, r->reply.allow);
}

static void work_and_resume(server *s, void *context) {
  request *r = context;
  r->work(s, r);
  r->resume(r);
}

bool api_in_background(server *s, request *r, void (*work)(server *s, request *r)) {
  r->work = work;
  return chores_submit(s->chores, work_and_resume, r) ||
         problem_set(&r->problem, PROBLEM_BUSY, "too many models are waiting to be loaded; try again");
}

model_entry *api_find_model(server *s, request *r) {
  model_entry *entry = *r->model ? registry_find(&s->registry, r->model) : NULL;
  if (!entry && atomic_load(&s->state) == SERVER_STARTING)
    problem_set(&r->problem, PROBLEM_NOT_READY, "models are still being loaded");
  else if (!entry)
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "model: there is no model of that name; GET /v1/models lists them");
  return entry;
}

/* If-None-Match: a list of tags, or "*". Compared weakly, as RFC 9110 wants it for this header. */
static bool names_tag(const char *list, const char *etag) {
  size_t n = strlen(etag);
  while (*list) {
    list += strspn(list, " \t,");
    if (*list == '*') return true;
    if (strncmp(list, "W/", 2) == 0) list += 2;
    if (strncmp(list, etag, n) == 0) return true;
    list += strcspn(list, ",");
  }
  return false;
}

void api_model(server *s, request *r) {
  model_entry *entry = api_find_model(s, r);
  if (!entry) return;
  char etag[MODEL_ETAG_MAX];
  char *description = registry_description(entry, etag);
  if (r->if_none_match && names_tag(r->if_none_match, etag)) {
    r->reply.status = 304;
    free(description);
  } else {
    reply_json(r, 200, description);
  }
  reply_add_header(r, "ETag", "%s", etag);
  reply_add_header(r, "Cache-Control", "no-cache");
  registry_release(entry);
}
