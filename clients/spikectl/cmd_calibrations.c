/* `spikectl calibrations, activate, rollback, load, unload`: what is in force, and changing it. Keeps the invariant
 * that a change names the generation it was decided upon, so that two operators never overwrite one another. */
#include <stdlib.h>
#include <string.h>

#include "admin.h"

/* "if matched T=8, if matched T=16" */
static void tables_text(const json_t *tables, char *out, size_t size) {
  size_t n = 0;
  out[0] = 0;
  for (size_t i = 0; i < json_array_size(tables) && n < size; i++) {
    const json_t *t = json_array_get(tables, i);
    n += (size_t)snprintf(out + n, size - n, "%s%s %s T=%.0f", i ? ", " : "", text_of(t, "neuron"), text_of(t, "init"),
                          number_of(t, "timesteps"));
  }
}

static void print_list(const settings *s, const json_t *list) {
  static const char *const head[] = {"calibration", "state", "generations", "tables"};
  table *t = table_create(head, 4);
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *c = json_array_get(list, i), *generations = json_object_get(c, "generations");
    char id[16], numbers[256] = "", tables[512];
    size_t n = 0;
    snprintf(id, sizeof id, "%.12s", text_of(c, "id"));
    for (size_t k = 0; k < json_array_size(generations) && n < sizeof numbers; k++)
      n += (size_t)snprintf(numbers + n, sizeof numbers - n, "%s%" JSON_INTEGER_FORMAT, k ? " " : "",
                            json_integer_value(json_array_get(generations, k)));
    tables_text(json_object_get(c, "tables"), tables, sizeof tables);
    const char *state = json_is_true(json_object_get(c, "in_force")) ? "in force"
                        : json_is_true(json_object_get(c, "usable")) ? ""
                                                                     : "unusable";
    const char *row[] = {id, state, numbers, *tables ? tables : text_of(c, "reason")};
    table_add(t, row);
  }
  if (s->csv)
    table_print_csv(t, stdout);
  else
    table_print(t, stdout);
  table_free(t);
}

/* What is in force, and the list. False, said, when either cannot be had. */
static bool look(const admin *a, reply *now_in_force, reply *list, int *status) {
  char path[1024];
  admin_path(a, "calibration", path);
  admin_call(a, path, (http_call){0}, now_in_force);
  if (now_in_force->exit_status != EXIT_OK) {
    *status = report_problem(a->model, now_in_force);
    return false;
  }
  admin_path(a, "calibrations", path);
  admin_call(a, path, (http_call){0}, list);
  if (list->exit_status != EXIT_OK) *status = report_problem(a->model, list);
  return *status == EXIT_OK;
}

static void print_in_force(const json_t *c) {
  const char *name = text_of(c, "name");
  if (*name)
    printf("%s: calibration %s in force\n", text_of(c, "model"), name);
  else
    printf("%s: no calibration in force but the model's own (generation %.0f)\n", text_of(c, "model"),
           number_of(c, "generation"));
}

static const struct argp list_argp = {
    NULL, admin_parse, "", "The calibrations a model has had, the last used first.", admin_child, NULL, NULL};

int run_calibrations(int argc, char **argv) {
  admin_arguments arguments = {0};
  admin a;
  reply in_force = {0}, list = {0};
  int status = EXIT_OK;
  if (!parse_arguments(&list_argp, argc, argv, &arguments)) return EXIT_USAGE;
  if (admin_open(&a, &arguments.settings, true, &status) && look(&a, &in_force, &list, &status)) {
    const json_t *calibrations = json_object_get(list.json, "calibrations");
    if (arguments.settings.json) {
      json_t *both = json_pack("{s:O, s:O}", "in_force", in_force.json, "calibrations", calibrations);
      print_json(both, true);
      json_decref(both);
    } else {
      if (!arguments.settings.csv) print_in_force(in_force.json);
      print_list(&arguments.settings, calibrations);
    }
  }
  reply_clear(&in_force);
  reply_clear(&list);
  admin_close(&a);
  return status;
}

/* PUT the choice; id NULL: the model's own. */
static int choose(const admin *a, const char *id, const char *etag) {
  char path[1024];
  reply r;
  json_t *body = json_pack("{s:o}", "id", id ? json_string(id) : json_null());
  char *text = json_dumps(body, JSON_COMPACT);
  json_decref(body);
  admin_path(a, "calibration", path);
  admin_call(
      a, path,
      (http_call){
          .method = "PUT", .if_match = etag, .content_type = "application/json", .body = text, .n_body = strlen(text)},
      &r);
  int status = r.exit_status;
  if (status != EXIT_OK)
    report_problem(a->model, &r);
  else if (a->settings->json)
    print_json(r.json, true);
  else
    print_in_force(r.json);
  reply_clear(&r);
  free(text);
  return status;
}

/* The whole id that begins so; NULL, said, when none or several do. */
static const char *whole_id(const json_t *list, const char *beginning) {
  const char *found = NULL;
  for (size_t i = 0; i < json_array_size(list); i++) {
    const char *id = text_of(json_array_get(list, i), "id");
    if (strncmp(id, beginning, strlen(beginning)) != 0) continue;
    if (found) {
      fprintf(stderr, "spikectl: %s: more than one calibration begins so\n", beginning);
      return NULL;
    }
    found = id;
  }
  if (!found)
    fprintf(stderr, "spikectl: %s: no calibration begins so; `spikectl calibrations` lists them\n", beginning);
  return found;
}

static const struct argp activate_argp = {NULL,
                                          admin_parse,
                                          "ID|own",
                                          "Put a calibration in force on every replica; the beginning of its id is "
                                          "enough. `own` returns to what the model file "
                                          "itself recommends.",
                                          admin_child,
                                          NULL,
                                          NULL};

int run_activate(int argc, char **argv) {
  admin_arguments arguments = {.wants = "a calibration, or `own`"};
  admin a;
  reply in_force = {0}, list = {0};
  int status = EXIT_OK;
  if (!parse_arguments(&activate_argp, argc, argv, &arguments)) return EXIT_USAGE;
  if (admin_open(&a, &arguments.settings, true, &status) && look(&a, &in_force, &list, &status)) {
    bool own = strcmp(arguments.argument, "own") == 0;
    const char *id = own ? NULL : whole_id(json_object_get(list.json, "calibrations"), arguments.argument);
    status = own || id ? choose(&a, id, in_force.etag) : EXIT_REFUSED;
  }
  reply_clear(&in_force);
  reply_clear(&list);
  admin_close(&a);
  return status;
}

/* The usable artifact that was in force last before `generation`; NULL: none, so the model's own. */
static const char *before(const json_t *list, double generation, const char *current) {
  const char *found = NULL;
  double best = 0;
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *c = json_array_get(list, i), *generations = json_object_get(c, "generations");
    if (!json_is_true(json_object_get(c, "usable")) || strcmp(text_of(c, "id"), current) == 0) continue;
    for (size_t k = 0; k < json_array_size(generations); k++) {
      double g = json_number_value(json_array_get(generations, k));
      if (g >= generation || g <= best) continue;
      best = g;
      found = text_of(c, "id");
    }
  }
  return found;
}

static const struct argp rollback_argp = {
    NULL,
    admin_parse,
    "",
    "Put the calibration in force again that was before the present one: a new generation with the old tables. Where "
    "there was none, return to the model's own.",
    admin_child,
    NULL,
    NULL};

int run_rollback(int argc, char **argv) {
  admin_arguments arguments = {0};
  admin a;
  reply in_force = {0}, list = {0};
  int status = EXIT_OK;
  if (!parse_arguments(&rollback_argp, argc, argv, &arguments)) return EXIT_USAGE;
  if (admin_open(&a, &arguments.settings, true, &status) && look(&a, &in_force, &list, &status)) {
    const char *current = text_of(in_force.json, "id");
    status =
        choose(&a, before(json_object_get(list.json, "calibrations"), number_of(in_force.json, "generation"), current),
               in_force.etag);
  }
  reply_clear(&in_force);
  reply_clear(&list);
  admin_close(&a);
  return status;
}

static int load_or_unload(int argc, char **argv, const struct argp *argp, const char *verb) {
  admin_arguments arguments = {.wants = "a model"};
  admin a;
  reply r = {0};
  char path[1024];
  int status = EXIT_OK;
  if (!parse_arguments(argp, argc, argv, &arguments)) return EXIT_USAGE;
  if (admin_open(&a, &arguments.settings, false, &status)) {
    snprintf(path, sizeof path, "/v1/models/%s/%s", arguments.argument, verb);
    admin_call(&a, path, (http_call){.method = "POST"}, &r);
    status = r.exit_status;
    if (status != EXIT_OK)
      report_problem(arguments.argument, &r);
    else if (arguments.settings.json)
      print_json(r.json, true);
    else
      printf("%s: %s\n", text_of(r.json, "name"), text_of(r.json, "state"));
  }
  reply_clear(&r);
  admin_close(&a);
  return status;
}

static const struct argp load_argp = {
    NULL,
    admin_parse,
    "MODEL",
    "Load a model from the daemon's model folder, or load it again after its file changed. A bad file leaves the old "
    "version serving.",
    admin_child,
    NULL,
    NULL};
static const struct argp unload_argp = {
    NULL, admin_parse, "MODEL", "Stop serving a model; requests under way finish.", admin_child, NULL, NULL};

int run_load(int argc, char **argv) {
  return load_or_unload(argc, argv, &load_argp, "load");
}

int run_unload(int argc, char **argv) {
  return load_or_unload(argc, argv, &unload_argp, "unload");
}
