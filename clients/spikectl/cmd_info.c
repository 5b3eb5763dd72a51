/* `spikectl models` and `spikectl status`: what the daemon says of itself. */
#include <stdlib.h>
#include <string.h>

#include "spikectl.h"

typedef struct arguments {
  settings settings;
  const char *name; /* of models */
} arguments;

static error_t parse_models(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &a->settings; return 0;
    case ARGP_KEY_ARG:
      if (a->name) argp_error(state, "one model at most");
      a->name = arg;
      return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

static error_t parse_status(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  (void)arg;
  if (key != ARGP_KEY_INIT) return ARGP_ERR_UNKNOWN;
  state->child_inputs[0] = &a->settings;
  return 0;
}

static const struct argp_child children[] = {{&settings_argp, 0, NULL, 0}, {0}};
static const struct argp models_argp = {
    NULL,     parse_models, "[MODEL]", "The models a running daemon serves; with a name, that one in detail.",
    children, NULL,         NULL};
static const struct argp status_argp = {
    NULL, parse_status, "", "Version, state, load and models of a running daemon.", children, NULL, NULL};

static void ask(const settings *s, const char *path, reply *r) {
  char url[4096];
  snprintf(url, sizeof url, "%s%s", s->url, path);
  http_request(url, NULL, NULL, 0, r);
}

static void shape_text(const json_t *input, char out[64]) {
  snprintf(out, 64, "%.0fx%.0fx%.0f", number_of(input, "channels"), number_of(input, "height"),
           number_of(input, "width"));
}

/* One model, or a list of them. */
static void print_models(const settings *s, const json_t *models) {
  static const char *const head[] = {"model", "classes", "input", "neurons", "version"};
  table *t = table_create(head, 5);
  for (size_t i = 0; i < (json_is_array(models) ? json_array_size(models) : 1); i++) {
    const json_t *m = json_is_array(models) ? json_array_get(models, i) : models;
    char classes[32], shape[64], neurons[32], version[16];
    snprintf(classes, sizeof classes, "%.0f", number_of(m, "classes"));
    snprintf(neurons, sizeof neurons, "%.0f", number_of(m, "neurons"));
    snprintf(version, sizeof version, "%.12s", text_of(m, "model_version"));
    shape_text(json_object_get(m, "input"), shape);
    const char *row[] = {text_of(m, "name"), classes, shape, neurons, version};
    table_add(t, row);
  }
  if (s->csv)
    table_print_csv(t, stdout);
  else
    table_print(t, stdout);
  table_free(t);
}

/* "a, b, c", at most as long as the buffer. */
static void join(const json_t *list, char *out, size_t size) {
  size_t n = 0;
  out[0] = 0;
  for (size_t i = 0; i < json_array_size(list) && n < size; i++)
    n += (size_t)snprintf(out + n, size - n, "%s%s", i ? ", " : "", json_string_value(json_array_get(list, i)));
}

static void print_model(const json_t *m) {
  char shape[64], text[512];
  const char *name;
  json_t *value;
  shape_text(json_object_get(m, "input"), shape);
  printf("%s  %s\n", text_of(m, "name"), text_of(m, "model_version"));
  printf("  input       %s\n", shape);
  join(json_object_get(m, "labels"), text, sizeof text);
  printf("  classes     %.0f%s%s\n", number_of(m, "classes"), *text ? ": " : "", text);
  printf("  neurons     %.0f\n  parameters  %.0f\n  macs        %.0f\n", number_of(m, "neurons"),
         number_of(m, "parameters"), number_of(m, "macs"));
  json_object_foreach(json_object_get(m, "variants"), name, value) {
    join(value, text, sizeof text);
    printf("  %-11s %s\n", name, text);
  }
  char *defaults = json_dumps(json_object_get(m, "defaults"), JSON_COMPACT | JSON_REAL_PRECISION(9) | JSON_ENCODE_ANY);
  printf("  defaults    %s\n", defaults ? defaults : "");
  free(defaults);
}

int run_models(int argc, char **argv) {
  arguments a = {0};
  char path[1024] = "/v1/models";
  reply r;
  if (!parse_arguments(&models_argp, argc, argv, &a)) return EXIT_USAGE;
  if (a.name) snprintf(path, sizeof path, "/v1/models/%s", a.name);
  ask(&a.settings, path, &r);
  int status = r.exit_status;
  if (status != EXIT_OK)
    report_problem(a.name ? a.name : a.settings.url, &r);
  else if (a.settings.json)
    print_json(r.json, true);
  else if (a.name && !a.settings.csv)
    print_model(r.json);
  else
    print_models(&a.settings, a.name ? r.json : json_object_get(r.json, "models"));
  reply_clear(&r);
  return status;
}

static void print_status_csv(const json_t *status) {
  static const char *const head[] = {"name", "value"}, *const names[] = {"version", "state", "kernels"};
  static const char *const numbers[] = {"uptime_s", "threads", "requests_in_flight"};
  const json_t *queue = json_object_get(status, "queue");
  table *t = table_create(head, 2);
  char text[32];
  for (size_t i = 0; i < 3; i++) table_add(t, (const char *[]){names[i], text_of(status, names[i])});
  for (size_t i = 0; i < 3; i++) {
    snprintf(text, sizeof text, "%.0f", number_of(status, numbers[i]));
    table_add(t, (const char *[]){numbers[i], text});
  }
  snprintf(text, sizeof text, "%.0f", number_of(queue, "depth"));
  table_add(t, (const char *[]){"queue_depth", text});
  snprintf(text, sizeof text, "%.0f", number_of(queue, "limit"));
  table_add(t, (const char *[]){"queue_limit", text});
  snprintf(text, sizeof text, "%zu", json_array_size(json_object_get(status, "models")));
  table_add(t, (const char *[]){"models", text});
  table_print_csv(t, stdout);
  table_free(t);
}

int run_status(int argc, char **argv) {
  arguments a = {0};
  reply r;
  if (!parse_arguments(&status_argp, argc, argv, &a)) return EXIT_USAGE;
  ask(&a.settings, "/v1/status", &r);
  int status = r.exit_status;
  if (status != EXIT_OK) {
    report_problem(a.settings.url, &r);
  } else if (a.settings.json) {
    print_json(r.json, true);
  } else if (a.settings.csv) {
    print_status_csv(r.json);
  } else {
    const json_t *queue = json_object_get(r.json, "queue");
    printf("%s: spiked %s, %s for %.0f s\n", a.settings.url, text_of(r.json, "version"), text_of(r.json, "state"),
           number_of(r.json, "uptime_s"));
    printf("  threads %.0f, kernels %s\n", number_of(r.json, "threads"), text_of(r.json, "kernels"));
    printf("  queue %.0f of %.0f requests, %.0f in flight\n", number_of(queue, "depth"), number_of(queue, "limit"),
           number_of(r.json, "requests_in_flight"));
    print_models(&a.settings, json_object_get(r.json, "models"));
  }
  reply_clear(&r);
  return status;
}
