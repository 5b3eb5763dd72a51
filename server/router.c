/* The route tables, one a listener: they share no path. Keeps the invariant that a path that exists answers every
 * method it does not have with 405 and the list of those it has. Does not look at headers. */
#include "router.h"

#include <stdio.h>
#include <string.h>

#include "api.h"

static const route public_table[] = {
    {"GET", "/", NULL, NULL, api_index},
    {"GET", "/web/{file}", NULL, NULL, api_web_file},
    {"GET", "/openapi.json", NULL, NULL, api_web_file},
    {"GET", "/livez", NULL, NULL, api_live},
    {"GET", "/readyz", NULL, NULL, api_ready},
    {"GET", "/v2/health/live", NULL, NULL, api_live},
    {"GET", "/v2/health/ready", NULL, NULL, api_ready},
    {"GET", "/v1/status", NULL, NULL, api_status},
    {"GET", "/v1/models", NULL, NULL, api_models},
    {"GET", "/v1/models/{model}", NULL, NULL, api_model},
    {"GET", "/v1/models/{model}/samples", NULL, NULL, api_samples},
    {"GET", "/v1/models/{model}/samples/{file}", NULL, NULL, api_sample},
    {"POST", "/v1/models/{model}/classify", api_classify_begin, api_classify_start, api_classify_answer},
    {"GET", "/v2", NULL, NULL, api_oip_server},
    {"GET", "/v2/models/stats", NULL, NULL, api_oip_all_statistics}, /* before the model that may have this name */
    {"GET", "/v2/models/{model}", NULL, NULL, api_oip_model},
    {"GET", "/v2/models/{model}/ready", NULL, NULL, api_oip_model_ready},
    {"GET", "/v2/models/{model}/config", NULL, NULL, api_oip_config},
    {"GET", "/v2/models/{model}/stats", NULL, NULL, api_oip_statistics},
    {"POST", "/v2/models/{model}/infer", api_oip_infer_begin, api_submit, api_oip_infer_answer},
    {"GET", "/v2/models/{model}/versions/{version}", NULL, NULL, api_oip_model},
    {"GET", "/v2/models/{model}/versions/{version}/ready", NULL, NULL, api_oip_model_ready},
    {"GET", "/v2/models/{model}/versions/{version}/config", NULL, NULL, api_oip_config},
    {"GET", "/v2/models/{model}/versions/{version}/stats", NULL, NULL, api_oip_statistics},
    {"POST", "/v2/models/{model}/versions/{version}/infer", api_oip_infer_begin, api_submit, api_oip_infer_answer},
};

/* Only with a token; see admin.h. */
static const route admin_table[] = {
    {"GET", "/", NULL, NULL, api_admin_index},
    {"GET", "/console/{file}", NULL, NULL, api_console_file},
    {"GET", "/metrics", NULL, NULL, api_metrics},
    {"GET", "/v1/models/{model}/calibrations", NULL, NULL, api_calibrations},
    {"POST", "/v1/models/{model}/calibrations", api_job_begin, api_job_start, api_job_answer},
    {"GET", "/v1/jobs/{id}", NULL, NULL, api_job},
    {"DELETE", "/v1/jobs/{id}", NULL, NULL, api_job_cancel},
    {"GET", "/v1/models/{model}/calibrations/{id}", NULL, NULL, api_calibration},
    {"GET", "/v1/models/{model}/calibration", NULL, NULL, api_calibration_in_force},
    {"PUT", "/v1/models/{model}/calibration", api_calibration_choose_begin, NULL, api_calibration_choose},
    {"POST", "/v1/models/{model}/load", api_repository_begin, api_repository_load_start, api_repository_answer},
    {"POST", "/v1/models/{model}/unload", api_repository_begin, api_repository_unload_start, api_repository_answer},
    {"POST", "/v1/drain", NULL, NULL, api_drain},
    {"POST", "/v2/repository/index", api_repository_begin, api_repository_index_start, api_repository_answer},
    {"POST", "/v2/repository/models/{model}/load", api_repository_begin, api_repository_load_start,
     api_repository_answer},
    {"POST", "/v2/repository/models/{model}/unload", api_repository_begin, api_repository_unload_start,
     api_repository_answer},
};

/* Of --metrics-listen: without a token, so nothing but numbers. */
static const route metrics_table[] = {
    {"GET", "/metrics", NULL, NULL, api_metrics},
};

#define ROWS(table) \
  { table, sizeof(table) / sizeof *(table) }

static const struct {
  const route *rows;
  size_t n;
} tables[FACE_COUNT] = {
    [FACE_PUBLIC] = ROWS(public_table), [FACE_ADMIN] = ROWS(admin_table), [FACE_METRICS] = ROWS(metrics_table)};

const route *router_table(face f, size_t *n) {
  *n = tables[f].n;
  return tables[f].rows;
}

/* A piece of a path. */
typedef struct segment {
  const char *at;
  size_t n;
} segment;

/* Does `path` follow `pattern`? What stands at {model} goes to *model, what stands at any other {name} to *item. */
static bool matches(const char *pattern, const char *path, segment *model, segment *item) {
  while (*pattern && *path) {
    if (*pattern == '{') {
      segment found = {path, strcspn(path, "/")};
      if (found.n == 0) return false;
      *(strncmp(pattern, "{model}", 7) == 0 ? model : item) = found;
      pattern += strcspn(pattern, "}") + 1;
      path += found.n;
    } else if (*pattern++ != *path++) {
      return false;
    }
  }
  return !*pattern && !*path;
}

static const route options_route = {"OPTIONS", "*", NULL, NULL, api_options};

void router_find(request *r) {
  char allow[64] = "";
  const char *method = strcmp(r->method, "HEAD") == 0 ? "GET" : r->method;
  const route *table = tables[r->face].rows;
  for (size_t i = 0; i < tables[r->face].n; i++) {
    segment model = {"", 0}, item = {"", 0};
    if (!matches(table[i].pattern, r->path, &model, &item)) continue;
    if (strcmp(table[i].method, method) == 0) {
      r->route = &table[i];
      if (model.n <= MODEL_NAME_MAX) snprintf(r->model, sizeof r->model, "%.*s", (int)model.n, model.at);
      if (!registry_name_valid(r->model)) r->model[0] = 0;
      if (item.n <= ITEM_MAX) snprintf(r->item, sizeof r->item, "%.*s", (int)item.n, item.at);
      return;
    }
    size_t n = strlen(allow);
    snprintf(allow + n, sizeof allow - n, "%s%s", n ? ", " : "",
             strcmp(table[i].method, "GET") == 0 ? "GET, HEAD" : table[i].method);
  }
  bool asks = strcmp(r->method, "OPTIONS") == 0;
  if (asks && strcmp(r->path, "*") == 0) snprintf(allow, sizeof allow, "GET, HEAD, POST");
  if (*allow && asks && (r->preflight || strcmp(r->path, "*") == 0)) {
    snprintf(r->reply.allow, sizeof r->reply.allow, "%s, OPTIONS", allow);
    r->route = &options_route;
  } else if (*allow) {
    problem_set(&r->problem, PROBLEM_METHOD, "%s: this path takes %s", r->method, allow);
    reply_add_header(r, "Allow", "%s", allow);
  } else {
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "there is nothing at this path; GET / lists what there is");
  }
}
