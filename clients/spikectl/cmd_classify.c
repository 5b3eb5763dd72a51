/* `spikectl classify`: many pictures, a few requests at a time, one line each in the order of the arguments. Keeps the
 * invariant that every picture gets its line, whatever became of the others. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spikectl.h"

typedef struct arguments {
  settings settings;
  run_options run;
  char **files;
  size_t n_files;
  unsigned concurrency;
} arguments;

static const struct argp_option options[] = {{"concurrency", 'c', "N", 0, "requests at a time (default 4)", 0}, {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
    case ARGP_KEY_INIT:
      state->child_inputs[0] = &a->settings;
      state->child_inputs[1] = &a->run;
      return 0;
    case 'c': a->concurrency = (unsigned)number_argument(state, "concurrency", arg, 1, 256); return 0;
    case ARGP_KEY_ARGS:
      a->files = state->argv + state->next;
      a->n_files = (size_t)(state->argc - state->next);
      return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name pictures, a folder, or - for standard input"); return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_child children[] = {
    {&settings_argp, 0, NULL, 0}, {&run_options_argp, 0, "Options of classify:", 5}, {0}};
static const struct argp argp = {
    options,
    parse,
    "FILE|-|DIR...",
    "Classify pictures with a running daemon.\v"
    "Folders are searched for .png files at any depth; where a picture's folder is named like a class, the summary "
    "says "
    "how many were right. With --json one line a picture, the server's answer with the member `file`.",
    children,
    NULL,
    NULL};

/* One picture on its way. */
typedef struct job {
  const char *path;
  unsigned char *bytes;
  json_t *answer; /* NULL: refused */
  int exit_status;
  bool finished;
} job;

typedef struct work {
  const arguments *a;
  job *jobs;
  size_t n, printed, finished, right, judged;
  int exit_status;
  table *table;
  double started, simulate_ms;
} work;

static void worsen(int *status, int with) {
  if (with > *status) *status = with;
}

static const json_t *first_result(const json_t *answer) {
  return json_array_get(json_object_get(answer, "results"), 0);
}

/* The folder a picture lies in, for comparison with its class. */
static bool folder_is(const char *path, const char *label) {
  const char *slash = strrchr(path, '/'), *begin = slash;
  if (!slash) return false;
  while (begin > path && begin[-1] != '/') begin--;
  size_t n = (size_t)(slash - begin);
  return strlen(label) == n && strncmp(begin, label, n) == 0;
}

static bool is_label(const json_t *labels, const char *path) {
  for (size_t i = 0; i < json_array_size(labels); i++)
    if (folder_is(path, json_string_value(json_array_get(labels, i)))) return true;
  return false;
}

typedef struct cells {
  char label[128], probability[32], steps[32], spikes[32], ms[32];
} cells;

static cells cells_of(const json_t *answer) {
  const json_t *result = first_result(answer), *best = json_object_get(result, "class");
  cells c;
  const char *label = text_of(best, "label");
  if (*label)
    snprintf(c.label, sizeof c.label, "%s", label);
  else
    snprintf(c.label, sizeof c.label, "%.0f", number_of(best, "index"));
  snprintf(c.probability, sizeof c.probability, "%.4f", number_of(best, "probability"));
  snprintf(c.steps, sizeof c.steps, "%.0f", number_of(result, "timesteps_used"));
  snprintf(c.spikes, sizeof c.spikes, "%.0f", number_of(json_object_get(result, "spikes"), "total"));
  snprintf(c.ms, sizeof c.ms, "%.2f", number_of(json_object_get(answer, "latency_ms"), "simulate"));
  return c;
}

static void print_job(work *w, job *j) {
  const settings *s = &w->a->settings;
  if (!j->answer) return; /* its problem was said on stderr */
  if (s->json) {
    json_object_set_new(j->answer, "file", json_string(j->path));
    print_json(j->answer, false);
    return;
  }
  cells c = cells_of(j->answer);
  const char *row[] = {j->path, c.label, c.probability, c.steps, c.spikes, c.ms};
  if (!s->csv) {
    table_add(w->table, row);
    return;
  }
  for (size_t i = 0; i < sizeof row / sizeof *row; i++) csv_field(stdout, row[i], i + 1 == sizeof row / sizeof *row);
}

static void finish_job(work *w, job *j) {
  j->finished = true;
  w->finished++;
  worsen(&w->exit_status, j->exit_status);
  free(j->bytes);
  j->bytes = NULL;
  for (; w->printed < w->n && w->jobs[w->printed].finished; w->printed++) {
    job *next = &w->jobs[w->printed];
    print_job(w, next);
    json_decref(next->answer);
    next->answer = NULL;
  }
  show_progress("classify", w->finished, w->n, now() - w->started);
}

static void on_reply(void *context, void *token, reply *r) {
  work *w = context;
  job *j = token;
  j->exit_status = r->exit_status;
  if (r->exit_status != EXIT_OK) {
    report_problem(j->path, r);
  } else {
    j->answer = json_incref(r->json);
    w->simulate_ms += number_of(json_object_get(r->json, "latency_ms"), "simulate");
  }
  finish_job(w, j);
}

static void judge(work *w, const json_t *labels, const job *j) {
  if (!j->answer || !is_label(labels, j->path)) return;
  w->judged++;
  w->right += folder_is(j->path, text_of(json_object_get(first_result(j->answer), "class"), "label"));
}

static json_t *labels_of(const settings *s, const char *model) {
  char url[4096];
  reply r;
  snprintf(url, sizeof url, "%s/v1/models/%s", s->url, model);
  http_request(url, NULL, NULL, 0, &r);
  json_t *labels = json_incref(json_object_get(r.json, "labels"));
  reply_clear(&r);
  return labels;
}

typedef struct judged_work {
  work work;
  json_t *labels;
} judged_work;

static void on_judged_reply(void *context, void *token, reply *r) {
  judged_work *jw = context;
  job probe = *(job *)token;
  probe.answer = r->exit_status == EXIT_OK ? r->json : NULL;
  judge(&jw->work, jw->labels, &probe);
  on_reply(&jw->work, token, r);
}

static void summarise(const work *w) {
  size_t answered = 0;
  for (size_t i = 0; i < w->n; i++) answered += w->jobs[i].exit_status == EXIT_OK;
  if (w->n < 2 || !answered) return;
  double seconds = now() - w->started;
  fprintf(stderr, "%zu of %zu pictures classified in %.1f s (%.0f a second)", answered, w->n, seconds,
          (double)answered / seconds);
  if (w->judged)
    fprintf(stderr, "; %zu of %zu as their folder says (%.2f %%)", w->right, w->judged,
            100.0 * (double)w->right / (double)w->judged);
  fputc('\n', stderr);
}

static void run_all(work *w, transfers *t, const char *url) {
  for (size_t i = 0; i < w->n; i++) {
    job *j = &w->jobs[i];
    size_t n = 0;
    while (transfers_full(t)) transfers_poll(t, 1000);
    j->bytes = read_picture(j->path, &n);
    if (!j->bytes) {
      clear_progress();
      fprintf(stderr, "spikectl: %s: %s\n", j->path, strerror(errno));
      j->exit_status = EXIT_LOCAL;
      finish_job(w, j);
    } else if (!transfers_post(t, url, "image/png", j->bytes, n, j)) {
      fprintf(stderr, "spikectl: %s: out of memory\n", j->path);
      j->exit_status = EXIT_LOCAL;
      finish_job(w, j);
    }
    transfers_poll(t, 0);
  }
  while (transfers_running(t)) transfers_poll(t, 1000);
}

int run_classify(int argc, char **argv) {
  arguments a = {.concurrency = 4};
  static const char *const head[] = {"file", "class", "probability", "T", "spikes", "ms"};
  if (!parse_arguments(&argp, argc, argv, &a)) return EXIT_USAGE;
  pictures p;
  if (!pictures_find(a.files, a.n_files, false, &p)) {
    pictures_free(&p);
    return EXIT_LOCAL;
  }
  judged_work jw = {.work = {.a = &a, .n = p.n, .jobs = calloc(p.n, sizeof(job)), .started = now()}};
  work *w = &jw.work;
  transfers *t = transfers_create(a.concurrency, on_judged_reply, &jw);
  char *model = find_model(&a.settings, &w->exit_status);
  char *url = model ? classify_url(&a.settings, model, &a.run) : NULL;
  if (url && t && w->jobs) {
    jw.labels = labels_of(&a.settings, model);
    for (size_t i = 0; i < p.n; i++) w->jobs[i].path = p.paths[i];
    if (a.settings.csv)
      for (size_t i = 0; i < 6; i++) csv_field(stdout, head[i], i == 5);
    else if (!a.settings.json)
      w->table = table_create(head, 6);
    run_all(w, t, url);
    clear_progress();
    table_print(w->table, stdout);
    summarise(w);
  }
  table_free(w->table);
  json_decref(jw.labels);
  transfers_free(t);
  free(w->jobs);
  free(model);
  free(url);
  pictures_free(&p);
  return w->exit_status;
}
