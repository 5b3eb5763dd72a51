/* Repository requests and answers. Keeps the invariant that a request which wants more than this server does is refused
 * rather than half obeyed. */
#include "json_repository.h"

#include <string.h>

#include "json_parse.h"
#include "oip.h"

static char *print(json_t *root) {
  char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  return text;
}

bool json_repository_ready_only(const char *text, size_t n, bool *ready_only, problem *p) {
  *ready_only = false;
  if (n == 0) return true;
  json_t *root = json_parse_object(text, n, "body", p);
  if (!root) return false;
  const json_t *ready = json_object_get(root, "ready");
  bool ok = !ready || json_is_boolean(ready);
  if (ok)
    *ready_only = json_is_true(ready);
  else
    problem_set(p, PROBLEM_BAD_REQUEST, "ready: expected a boolean, got %s", json_kind_name(ready));
  json_decref(root);
  return ok;
}

bool json_repository_check_load(const char *text, size_t n, problem *p) {
  const char *name;
  json_t *value;
  if (n == 0) return true;
  json_t *root = json_parse_object(text, n, "body", p);
  if (!root) return false;
  json_object_foreach(json_object_get(root, "parameters"), name, value) {
    if (strcmp(name, "config") == 0 || strncmp(name, "file:", 5) == 0)
      problem_set(p, PROBLEM_BAD_REQUEST, "parameters.%.64s: models come from the model folder as they are", name);
  }
  json_decref(root);
  return p->kind == PROBLEM_NONE;
}

char *json_repository_index(const model_report *reports, size_t n, bool ready_only) {
  json_t *list = json_array();
  for (size_t i = 0; i < n; i++) {
    if (ready_only && !reports[i].ready) continue;
    json_array_append_new(list,
                          json_pack("{s:s, s:s, s:s, s:s}", "name", reports[i].name, "version", OIP_VERSION, "state",
                                    reports[i].ready ? "READY" : "UNAVAILABLE", "reason", reports[i].reason));
  }
  return print(list);
}

char *json_repository_state(const char *name, const model_entry *entry) {
  return print(entry ? json_pack("{s:s, s:s, s:s}", "name", name, "state", "ready", "model_version",
                                 snn_network_sha256(entry->network))
                     : json_pack("{s:s, s:s}", "name", name, "state", "unavailable"));
}
