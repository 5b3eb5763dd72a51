/* `spikectl compare`: one picture under several values of one option, a line each. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spikectl.h"

enum { KEY_BY = 0x400, KEY_VALUES, MAX_VALUES = 64 };

typedef struct arguments {
  settings settings;
  run_options run;
  const char *file, *by;
  char *values[MAX_VALUES];
  size_t n_values;
} arguments;

static const struct argp_option options[] = {
    {"by", KEY_BY, "OPTION", 0, "what to vary: timesteps (default), neuron, init, encoding, ...", 0},
    {"values", KEY_VALUES, "A,B,...", 0, "its values (default: all that the model has; T = 1, 2, 4 ... 128)", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
    case ARGP_KEY_INIT:
      state->child_inputs[0] = &a->settings;
      state->child_inputs[1] = &a->run;
      return 0;
    case KEY_BY: a->by = strcmp(arg, "T") == 0 ? "timesteps" : arg; return 0;
    case KEY_VALUES:
      for (char *v = strtok(arg, ","); v; v = strtok(NULL, ",")) {
        if (a->n_values == MAX_VALUES) argp_error(state, "values: more than %d", MAX_VALUES);
        a->values[a->n_values++] = v;
      }
      return 0;
    case ARGP_KEY_ARG:
      if (a->file) argp_error(state, "one picture, please");
      a->file = arg;
      return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a picture, or - for standard input"); return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_child children[] = {
    {&settings_argp, 0, NULL, 0}, {&run_options_argp, 0, "Options of classify:", 5}, {0}};
static const struct argp argp = {options,
                                 parse,
                                 "FILE|-",
                                 "Ask a running daemon about one picture under several values of one option; the float "
                                 "network's answer is the last line.",
                                 children,
                                 NULL,
                                 NULL};

/* What the model offers for the option: into a->values, strings borrowed from *description. */
static int offered(arguments *a, const char *model, reply *description) {
  static char steps[][4] = {"1", "2", "4", "8", "16", "32", "64", "128"};
  if (strcmp(a->by, "timesteps") == 0) {
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) a->values[a->n_values++] = steps[i];
    return EXIT_OK;
  }
  char url[4096];
  snprintf(url, sizeof url, "%s/v1/models/%s", a->settings.url, model);
  http_request(url, NULL, NULL, 0, description);
  if (description->exit_status != EXIT_OK) return report_problem(model, description);
  const json_t *list = json_object_get(json_object_get(description->json, "variants"), a->by);
  if (!json_array_size(list)) {
    fprintf(stderr, "spikectl: --by: the model lists no values of '%s'; give them with --values\n", a->by);
    return EXIT_USAGE;
  }
  for (size_t i = 0; i < json_array_size(list) && a->n_values < MAX_VALUES; i++) {
    union {
      const char *text;
      char *value; /* only read */
    } v = {.text = json_string_value(json_array_get(list, i))};
    a->values[a->n_values++] = v.value;
  }
  return EXIT_OK;
}

static void add_row(table *t, const char *value, const json_t *class, const json_t *result, double ms) {
  char index[32], probability[32], spikes[32] = "", energy[32] = "", simulate[32] = "";
  const char *label = text_of(class, "label");
  snprintf(index, sizeof index, "%.0f", number_of(class, "index"));
  snprintf(probability, sizeof probability, "%.4f", number_of(class, "probability"));
  if (result) {
    snprintf(spikes, sizeof spikes, "%.0f", number_of(json_object_get(result, "spikes"), "total"));
    snprintf(energy, sizeof energy, "%.0f", number_of(json_object_get(result, "energy"), "snn_nj"));
    snprintf(simulate, sizeof simulate, "%.2f", ms);
  }
  const char *row[] = {value, *label ? label : index, probability, spikes, energy, simulate};
  table_add(t, row);
}

/* All variants; the table and *answers are filled as they come. */
static int ask_all(arguments *a, const char *model, const unsigned char *png, size_t n, table *t, json_t *answers) {
  int worst = EXIT_OK;
  json_t *float_class = NULL;
  run_options_set(&a->run, "reference", "true");
  for (size_t i = 0; i < a->n_values; i++) {
    reply r;
    run_options_set(&a->run, a->by, a->values[i]);
    char *url = classify_url(&a->settings, model, &a->run);
    http_request(url, "image/png", png, n, &r);
    free(url);
    if (r.exit_status == EXIT_OK) {
      const json_t *result = json_array_get(json_object_get(r.json, "results"), 0);
      add_row(t, a->values[i], json_object_get(result, "class"), result,
              number_of(json_object_get(r.json, "latency_ms"), "simulate"));
      json_decref(float_class);
      float_class = json_incref(json_object_get(json_object_get(result, "reference"), "class"));
      json_array_append(answers, r.json);
    } else {
      char subject[256];
      snprintf(subject, sizeof subject, "%s=%s", a->by, a->values[i]);
      int status = report_problem(subject, &r);
      if (status > worst) worst = status;
    }
    reply_clear(&r);
    if (worst == EXIT_UNREACHABLE) break;
  }
  if (float_class) add_row(t, "float network", float_class, NULL, 0);
  json_decref(float_class);
  return worst;
}

int run_compare(int argc, char **argv) {
  arguments a = {.by = "timesteps"};
  if (!parse_arguments(&argp, argc, argv, &a)) return EXIT_USAGE;
  const char *head[] = {a.by, "class", "probability", "spikes", "energy nJ", "ms"};
  size_t n = 0;
  int status = EXIT_OK;
  reply description = {0};
  unsigned char *png = read_picture(a.file, &n);
  if (!png) {
    fprintf(stderr, "spikectl: %s: %s\n", a.file, strerror(errno));
    return EXIT_LOCAL;
  }
  char *model = find_model(&a.settings, &status);
  if (model && !a.n_values) status = offered(&a, model, &description);
  table *t = table_create(head, 6);
  json_t *answers = json_array();
  if (model && status == EXIT_OK) {
    status = ask_all(&a, model, png, n, t, answers);
    if (a.settings.json)
      print_json(answers, true);
    else if (a.settings.csv)
      table_print_csv(t, stdout);
    else
      table_print(t, stdout);
  }
  json_decref(answers);
  table_free(t);
  reply_clear(&description);
  free(model);
  free(png);
  return status;
}
