/* The route table. Keeps the invariant that a path that exists answers every method it does not have with 405 and the
 * list of those it has. Does not look at headers. */
#include "router.h"

#include <stdio.h>
#include <string.h>

#include "api.h"

static const route table[] = {
    {"GET", "/", NULL, NULL, api_index},
    {"GET", "/livez", NULL, NULL, api_live},
    {"GET", "/readyz", NULL, NULL, api_ready},
    {"GET", "/v2/health/live", NULL, NULL, api_live},
    {"GET", "/v2/health/ready", NULL, NULL, api_ready},
    {"GET", "/v1/status", NULL, NULL, api_status},
    {"GET", "/v1/models", NULL, NULL, api_models},
    {"GET", "/v1/models/{model}", NULL, NULL, api_model},
    {"POST", "/v1/models/{model}/classify", api_classify_begin, api_classify_start, api_classify_answer},
};
enum { N_ROUTES = sizeof table / sizeof *table };

const route *router_table(size_t *n) {
  *n = N_ROUTES;
  return table;
}

/* Does `path` follow `pattern`? The segment at {model} is given as [*model, *model + *n_model). */
static bool matches(const char *pattern, const char *path, const char **model, size_t *n_model) {
  static const char place[] = "{model}";
  while (*pattern && *path) {
    if (strncmp(pattern, place, sizeof place - 1) == 0) {
      *model = path;
      *n_model = strcspn(path, "/");
      if (*n_model == 0) return false;
      pattern += sizeof place - 1;
      path += *n_model;
    } else if (*pattern++ != *path++) {
      return false;
    }
  }
  return !*pattern && !*path;
}

void router_find(request *r) {
  char allow[64] = "";
  const char *method = strcmp(r->method, "HEAD") == 0 ? "GET" : r->method;
  for (size_t i = 0; i < N_ROUTES; i++) {
    const char *model = "";
    size_t n_model = 0;
    if (!matches(table[i].pattern, r->path, &model, &n_model)) continue;
    if (strcmp(table[i].method, method) == 0) {
      r->route = &table[i];
      if (n_model <= MODEL_NAME_MAX) snprintf(r->model, sizeof r->model, "%.*s", (int)n_model, model);
      if (!registry_name_valid(r->model)) r->model[0] = 0;
      return;
    }
    size_t n = strlen(allow);
    snprintf(allow + n, sizeof allow - n, "%s%s", n ? ", " : "",
             strcmp(table[i].method, "GET") == 0 ? "GET, HEAD" : table[i].method);
  }
  if (*allow) {
    problem_set(&r->problem, PROBLEM_METHOD, "%s: this path takes %s", r->method, allow);
    reply_add_header(r, "Allow", "%s", allow);
  } else {
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "there is nothing at this path; GET / lists what there is");
  }
}
