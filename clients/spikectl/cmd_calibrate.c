/* `spikectl calibrate` and `job`: pictures up, a job followed to its end, its result in a table. Keeps the invariant
 * that every file that cannot be read is named before anything is sent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin.h"

enum {
  KEY_METHOD = 0x600,
  KEY_GRAIN,
  KEY_NO_FIT,
  KEY_NEURON,
  KEY_TAU,
  KEY_HOLDOUT,
  KEY_GAIN,
  KEY_KEEP,
  KEY_WAIT,
  KEY_LABELS,
  KEY_CANCEL
};

typedef struct arguments {
  settings settings;
  char **files;
  size_t n_files;
  json_t *options;
  const char *labels;
  bool wait;
} arguments;

static const struct argp_option options[] = {
    {"method", KEY_METHOD, "NAME", 0, "matched (default), data, compensated, weights", 0},
    {"timesteps", 'T', "T,T,...", 0, "time steps to make tables for (default 4,8,16,32)", 0},
    {"neuron", KEY_NEURON, "NAME", 0, "neuron model the tables are for (default if)", 0},
    {"tau", KEY_TAU, "X", 0, "leak of that neuron", 0},
    {"granularity", KEY_GRAIN, "NAME", 0, "layer, channel (default), neuron", 0},
    {"no-fit-thresholds", KEY_NO_FIT, NULL, 0, "leave the thresholds as they are (method matched fits them too)", 0},
    {"holdout", KEY_HOLDOUT, "SHARE", 0, "share of the pictures kept to judge the result (default 0.2)", 0},
    {"min-gain", KEY_GAIN, "POINTS", 0, "activate only from this gain on, at the worst T (default 0)", 0},
    {"no-activate", KEY_KEEP, NULL, 0, "keep the result without putting it in force", 0},
    {"labels", KEY_LABELS, "FILE", 0, "CSV of file,label, instead of class folders", 0},
    {"wait", KEY_WAIT, NULL, 0, "follow the job to its end", 0},
    {0}};

static void set_timesteps(json_t *o, struct argp_state *state, char *text) {
  json_t *list = json_array();
  for (char *t = strtok(text, ", "); t; t = strtok(NULL, ", "))
    json_array_append_new(list, json_integer((json_int_t)number_argument(state, "timesteps", t, 1, 1e6)));
  json_object_set_new(o, "timesteps", list);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  json_t *o = a->options;
  switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &a->settings; return 0;
    case KEY_METHOD: json_object_set_new(o, "method", json_string(arg)); return 0;
    case 'T': set_timesteps(o, state, arg); return 0;
    case KEY_NEURON: json_object_set_new(o, "neuron", json_string(arg)); return 0;
    case KEY_TAU: json_object_set_new(o, "tau", json_real(number_argument(state, "tau", arg, 0, 1))); return 0;
    case KEY_GRAIN: json_object_set_new(o, "granularity", json_string(arg)); return 0;
    case KEY_NO_FIT: json_object_set_new(o, "fit_thresholds", json_false()); return 0;
    case KEY_HOLDOUT:
      json_object_set_new(o, "holdout", json_real(number_argument(state, "holdout", arg, 0, 1)));
      return 0;
    case KEY_GAIN:
      json_object_set_new(o, "min_gain", json_real(number_argument(state, "min-gain", arg, -100, 100)));
      return 0;
    case KEY_KEEP: json_object_set_new(o, "activate", json_false()); return 0;
    case KEY_LABELS: a->labels = arg; return 0;
    case KEY_WAIT: a->wait = true; return 0;
    case ARGP_KEY_ARGS:
      a->files = state->argv + state->next;
      a->n_files = (size_t)(state->argc - state->next);
      return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name a folder of pictures, pictures, or a tar archive"); return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp argp = {
    options,
    parse,
    "DIR|FILE...|ARCHIVE.tar",
    "Upload pictures to a running daemon and have it make tables of initial potentials from them. The daemon judges "
    "them on pictures it holds out and puts them in force where they help.\v"
    "Pictures in DIR/LABEL/ have that label where it is one of the model's classes; with labels, accuracy is judged, "
    "without "
    "them agreement with the float network.",
    admin_child,
    NULL,
    NULL};

static bool is_archive(const char *path) {
  size_t n = strlen(path);
  return (n > 4 && strcmp(path + n - 4, ".tar") == 0) || (n > 7 && strcmp(path + n - 7, ".tar.gz") == 0) ||
         (n > 4 && strcmp(path + n - 4, ".tgz") == 0);
}

/* The folder of the command line that a path was found in, as the number of its bytes with the slash; 0: none, the
 * command line names the file itself. */
static size_t folder_of(const arguments *asked, const char *path) {
  size_t most = 0;
  for (size_t i = 0; i < asked->n_files; i++) {
    size_t n = strlen(asked->files[i]);
    if (strncmp(path, asked->files[i], n) != 0 || !path[n]) continue;
    if (path[n] == '/' || (n && path[n - 1] == '/')) most = n > most ? n : most;
  }
  while (most && path[most] == '/') most++;
  return most;
}

/* What a picture is called in the upload: its path below the folder that was named, so that the folder it lies in is
 * its label. When several folders were named (pictures/...), what lies in one itself carries that one's name. */
static const char *part_name(const arguments *asked, const char *path) {
  size_t n = folder_of(asked, path);
  const char *end = strrchr(path, '/'), *begin = path + n;
  if (!n) return end ? end + 1 : path;
  if (asked->n_files > 1 && !strchr(begin, '/'))
    for (begin = end; begin > path && begin[-1] != '/';) begin--;
  return begin;
}

/* Every file can be read: said one by one where not. */
static bool all_readable(const pictures *p) {
  bool ok = true;
  for (size_t i = 0; i < p->n; i++)
    if (access(p->paths[i], R_OK) != 0) {
      fprintf(stderr, "spikectl: %s: %s\n", p->paths[i], strerror(errno));
      ok = false;
    }
  if (!ok) fputs("spikectl: nothing was sent\n", stderr);
  return ok;
}

/* Pictures that the daemon could not read, by name as far as it names them. */
static void print_skipped(const json_t *seen) {
  const json_t *skipped = json_object_get(seen, "skipped");
  size_t n = json_array_size(skipped), all = (size_t)number_of(seen, "undecodable");
  for (size_t i = 0; i < n; i++)
    fprintf(stderr, "spikectl: %s: not used: %s\n", text_of(json_array_get(skipped, i), "name"),
            text_of(json_array_get(skipped, i), "reason"));
  if (all > n) fprintf(stderr, "spikectl: and %zu more that cannot be read\n", all - n);
}

static void print_result(const settings *s, const json_t *job) {
  static const char *const head[] = {"T", "before", "after", "gain, points", "95 %"};
  const json_t *result = json_object_get(job, "result"), *rows = json_object_get(result, "timesteps");
  const json_t *seen = json_object_get(result, "pictures");
  const char *measure = json_is_true(json_object_get(seen, "labelled")) ? "accuracy" : "agreement";
  table *t = table_create(head, 5);
  for (size_t i = 0; i < json_array_size(rows); i++) {
    const json_t *row = json_array_get(rows, i), *gain = json_object_get(row, "gain");
    const json_t *interval = json_object_get(gain, "interval_95");
    char steps[32], was[32], is[32], points[32], range[64];
    snprintf(steps, sizeof steps, "%.0f", number_of(row, "timesteps"));
    snprintf(was, sizeof was, "%.2f %%", number_of(json_object_get(row, "before"), measure));
    snprintf(is, sizeof is, "%.2f %%", number_of(json_object_get(row, "after"), measure));
    snprintf(points, sizeof points, "%+.2f", number_of(gain, "points"));
    snprintf(range, sizeof range, "%+.2f to %+.2f", json_number_value(json_array_get(interval, 0)),
             json_number_value(json_array_get(interval, 1)));
    const char *cells[] = {steps, was, is, points, range};
    table_add(t, cells);
  }
  print_skipped(seen);
  if (s->csv) {
    table_print_csv(t, stdout);
    table_free(t);
    return;
  }
  printf("%.0f pictures: %.0f to calibrate with, %.0f held out, %.0f could not be read; measured: %s\n",
         number_of(seen, "received"), number_of(seen, "calibrated_with"), number_of(seen, "held_out"),
         number_of(seen, "undecodable"), measure);
  table_print(t, stdout);
  table_free(t);
  if (json_is_true(json_object_get(result, "activated")))
    printf("activated as generation %.0f: %.12s\n", number_of(result, "generation"), text_of(result, "calibration"));
  else
    printf("not activated: %s (%.12s)\n", text_of(result, "reason"), text_of(result, "calibration"));
}

/* Say what became of a job that has ended, or where it stands. */
static int tell(const settings *s, const json_t *job) {
  const char *state = text_of(job, "state");
  const json_t *progress = json_object_get(job, "progress");
  bool bad = strcmp(state, "failed") == 0 || strcmp(state, "cancelled") == 0;
  if (s->json)
    print_json(job, true);
  else if (strcmp(state, "succeeded") == 0)
    print_result(s, job);
  else if (bad)
    fprintf(stderr, "spikectl: job %s %s%s%s\n", text_of(job, "id"), state, *text_of(job, "error") ? ": " : "",
            text_of(job, "error"));
  else
    printf("%s: %s, %s %.0f of %.0f\n", text_of(job, "id"), state, text_of(progress, "phase"),
           number_of(progress, "done"), number_of(progress, "total"));
  return bad ? EXIT_LOCAL : EXIT_OK;
}

static bool has_ended(const json_t *job) {
  const char *state = text_of(job, "state");
  return strcmp(state, "queued") != 0 && strcmp(state, "running") != 0;
}

static int ask_job(const admin *a, const char *id, const char *method, reply *r) {
  char path[512];
  snprintf(path, sizeof path, "/v1/jobs/%.400s", id);
  admin_call(a, path, (http_call){.method = method}, r);
  return r->exit_status == EXIT_OK ? EXIT_OK : report_problem(id, r);
}

/* Follow a job; its last state is in r. */
static int follow(const admin *a, const char *id, reply *r) {
  double started = now();
  for (;;) {
    int status = ask_job(a, id, NULL, r);
    if (status != EXIT_OK || has_ended(r->json)) {
      clear_progress();
      return status;
    }
    const json_t *progress = json_object_get(r->json, "progress");
    const char *phase = text_of(progress, "phase");
    show_progress(*phase ? phase : "waiting", (size_t)number_of(progress, "done"), (size_t)number_of(progress, "total"),
                  now() - started);
    reply_clear(r);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
  }
}

/* An upload that broke off, file by file. What surrounds the files in the body is taken to be the same for each. */
static void say_how_far(const upload_part *parts, size_t n, const reply *r) {
  double files = 0, end = 0;
  for (int pass = 0; pass < 2; pass++)
    for (size_t i = 0; i < n; i++) {
      struct stat about = {0};
      double size = !parts[i].path                     ? (double)strlen(parts[i].text)
                    : stat(parts[i].path, &about) == 0 ? (double)about.st_size
                                                       : 0;
      if (pass == 0) {
        files += size;
        continue;
      }
      double begin = end;
      end += size + (r->to_upload - files) / (double)n;
      const char *fate = end <= r->uploaded ? "sent" : begin < r->uploaded ? "broke off in it" : "not sent";
      if (parts[i].path) fprintf(stderr, "spikectl: %s: %s\n", parts[i].path, fate);
    }
  fputs("spikectl: the daemon keeps nothing of an upload that broke off: send all again\n", stderr);
}

static int start_job(const admin *a, const arguments *asked, const pictures *p, reply *r) {
  upload_part *parts = calloc(p->n + 2, sizeof *parts);
  char *text = json_dumps(asked->options, JSON_COMPACT), path[1024];
  size_t n = 0;
  if (!parts || !text) {
    free(parts);
    free(text);
    return EXIT_LOCAL;
  }
  parts[n++] = (upload_part){.name = "options", .text = text};
  if (asked->labels) parts[n++] = (upload_part){.name = "labels", .path = asked->labels, .file_name = "labels.csv"};
  for (size_t i = 0; i < p->n; i++) {
    parts[n++] = (upload_part){.name = is_archive(p->paths[i]) ? "archive" : "image",
                               .path = p->paths[i],
                               .file_name = part_name(asked, p->paths[i])};
  }
  admin_path(a, "calibrations", path);
  admin_call(a, path, (http_call){.parts = parts, .n_parts = n}, r);
  if (r->exit_status != EXIT_OK) report_problem(a->model, r);
  if (r->exit_status == EXIT_UNREACHABLE && r->uploaded > 0) say_how_far(parts, n, r);
  free(parts);
  free(text);
  return r->exit_status;
}

int run_calibrate(int argc, char **argv) {
  arguments asked = {.options = json_pack("{s:s, s:[i,i,i,i]}", "method", "matched", "timesteps", 4, 8, 16, 32)};
  admin a = {0};
  pictures p = {0};
  reply r = {0};
  int status = EXIT_OK;
  if (!parse_arguments(&argp, argc, argv, &asked)) return EXIT_USAGE;
  if (!pictures_find(asked.files, asked.n_files, true, &p) || !all_readable(&p)) {
    status = EXIT_LOCAL;
    goto cleanup;
  }
  if (!admin_open(&a, &asked.settings, true, &status)) goto cleanup;
  status = start_job(&a, &asked, &p, &r);
  if (status != EXIT_OK) goto cleanup;
  if (asked.wait) {
    char *id = strdup(text_of(r.json, "id"));
    reply_clear(&r);
    status = id ? follow(&a, id, &r) : EXIT_LOCAL;
    free(id);
  }
  if (status == EXIT_OK) status = tell(&asked.settings, r.json);
cleanup:
  reply_clear(&r);
  pictures_free(&p);
  admin_close(&a);
  json_decref(asked.options);
  return status;
}

typedef struct job_arguments {
  admin_arguments common;
  bool cancel, wait;
} job_arguments;

static const struct argp_option job_options[] = {
    {"cancel", KEY_CANCEL, NULL, 0, "cancel it", 0}, {"wait", KEY_WAIT, NULL, 0, "follow it to its end", 0}, {0}};

static error_t parse_job(int key, char *arg, struct argp_state *state) {
  job_arguments *a = state->input;
  switch (key) {
    case KEY_CANCEL: a->cancel = true; return 0;
    case KEY_WAIT: a->wait = true; return 0;
    default: state->input = &a->common;
  }
  error_t result = admin_parse(key, arg, state);
  state->input = a;
  return result;
}

static const struct argp job_argp = {job_options, parse_job, "ID", "State and result of a calibration job.",
                                     admin_child, NULL,      NULL};

int run_job(int argc, char **argv) {
  job_arguments asked = {.common.wants = "a job"};
  admin a = {0};
  reply r = {0};
  int status = EXIT_OK;
  if (!parse_arguments(&job_argp, argc, argv, &asked)) return EXIT_USAGE;
  const settings *s = &asked.common.settings;
  if (admin_open(&a, s, false, &status)) {
    status = asked.wait && !asked.cancel ? follow(&a, asked.common.argument, &r)
                                         : ask_job(&a, asked.common.argument, asked.cancel ? "DELETE" : NULL, &r);
    if (status == EXIT_OK) status = tell(s, r.json);
  }
  reply_clear(&r);
  admin_close(&a);
  return status;
}
