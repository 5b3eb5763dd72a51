/* `spikectl bench`: an open loop. Requests leave at their appointed times whether or not earlier ones were answered,
 * and a latency counts from the appointment, so that a server which falls behind cannot hide it (no coordinated
 * omission). */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "spikectl.h"

enum { KEY_RATE = 0x500, KEY_SECONDS, KEY_CONNECTIONS, KEY_CONSTANT, KEY_SEED, REQUESTS_MAX = 10000000 };

typedef struct arguments {
  settings settings;
  run_options run;
  char **files;
  size_t n_files;
  double rate, seconds;
  unsigned connections;
  bool constant;
} arguments;

static const struct argp_option options[] = {
    {"rate", 'r', "R", 0, "requests a second (default 100)", 0},
    {"duration", 'd', "SECONDS", 0, "how long (default 10)", 0},
    {"connections", 'c', "N", 0,
     "connections at most (default 512); where all are busy a request waits, and its latency says so", 0},
    {"constant", KEY_CONSTANT, NULL, 0, "equal distances instead of Poisson arrivals", 0},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
  arguments *a = state->input;
  switch (key) {
    case ARGP_KEY_INIT:
      state->child_inputs[0] = &a->settings;
      state->child_inputs[1] = &a->run;
      return 0;
    case 'r': a->rate = number_argument(state, "rate", arg, 0.01, 1e6); return 0;
    case 'd': a->seconds = number_argument(state, "duration", arg, 0.1, 86400); return 0;
    case 'c': a->connections = (unsigned)number_argument(state, "connections", arg, 1, 4096); return 0;
    case KEY_CONSTANT: a->constant = true; return 0;
    case ARGP_KEY_ARGS:
      a->files = state->argv + state->next;
      a->n_files = (size_t)(state->argc - state->next);
      return 0;
    case ARGP_KEY_NO_ARGS: argp_error(state, "name pictures to send"); return 0;
    case ARGP_KEY_END:
      if (a->rate * a->seconds > REQUESTS_MAX) argp_error(state, "more than %d requests", REQUESTS_MAX);
      return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_child children[] = {
    {&settings_argp, 0, NULL, 0}, {&run_options_argp, 0, "Options of classify:", 5}, {0}};
static const struct argp argp = {
    options,       parse,
    "FILE|DIR...", "Load a running daemon at a fixed rate and report what its clients would have seen.",
    children,      NULL,
    NULL};

typedef struct picture {
  unsigned char *bytes;
  size_t n;
} picture;

typedef struct load {
  double *appointed; /* [n], seconds from the start */
  double *latency;   /* of the answered ones */
  double started;
  size_t n, sent, answered, refused, busy, failed;
  char problem[600]; /* of the first that was not answered */
  int exit_status;
} load;

static void on_reply(void *context, void *token, reply *r) {
  load *l = context;
  size_t i = (size_t)((double *)token - l->appointed);
  if (r->exit_status == EXIT_OK) {
    l->latency[l->answered++] = now() - l->started - l->appointed[i];
    return;
  }
  if (!*l->problem) snprintf(l->problem, sizeof l->problem, "%s", r->problem);
  if (r->http_status == 503 || r->http_status == 429)
    l->busy++; /* load shed as it should be is no failure of the benchmark */
  else if (r->exit_status == EXIT_REFUSED)
    l->refused++;
  else
    l->failed++;
  if (r->http_status != 503 && r->http_status != 429 && r->exit_status > l->exit_status)
    l->exit_status = r->exit_status;
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Nearest-rank percentile of sorted values. */
static double percentile(const double *v, size_t n, double p) {
  size_t rank = (size_t)ceil(p / 100 * (double)n);
  return n ? v[rank ? rank - 1 : 0] : 0;
}

static void appoint(load *l, const arguments *a) {
  double at = 0;
  srand48(1);
  for (size_t i = 0; i < l->n; i++) {
    l->appointed[i] = at;
    at += a->constant ? 1 / a->rate : -log(1 - drand48()) / a->rate;
  }
}

static void offer_load(load *l, transfers *t, const char *url, const picture *all, size_t n_all, double seconds) {
  l->started = now();
  while (l->sent < l->n) {
    double wait = l->started + l->appointed[l->sent] - now();
    if (wait <= 0 && !transfers_full(t)) {
      const picture *p = &all[l->sent % n_all];
      if (!transfers_post(t, url, "image/png", p->bytes, p->n, &l->appointed[l->sent])) break;
      l->sent++;
      wait = 0;
    }
    if (wait > 1 || transfers_full(t)) wait = 1;
    transfers_poll(t, wait > 0 ? (int)ceil(wait * 1000) : 0);
    double elapsed = now() - l->started;
    show_progress("bench", l->sent, l->n, elapsed);
    if (elapsed > 10 * seconds + 60) break; /* a server that hangs */
  }
  while (transfers_running(t) && now() - l->started < 10 * seconds + 60) transfers_poll(t, 1000);
  clear_progress();
}

static void print_load(const arguments *a, load *l, double elapsed) {
  static const double at[] = {50, 90, 99, 99.9, 100};
  static const char *const names[] = {"p50", "p90", "p99", "p99.9", "max"};
  qsort(l->latency, l->answered, sizeof *l->latency, by_value);
  if (a->settings.json) {
    json_t *ms = json_object();
    for (size_t i = 0; i < 5; i++)
      json_object_set_new(ms, names[i], json_real(percentile(l->latency, l->answered, at[i]) * 1000));
    json_t *all = json_pack("{s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:f, s:o}", "rate", a->rate, "seconds", elapsed,
                            "sent", (json_int_t)l->sent, "answered", (json_int_t)l->answered, "shed",
                            (json_int_t)l->busy, "refused", (json_int_t)l->refused, "failed", (json_int_t)l->failed,
                            "answers_per_second", (double)l->answered / elapsed, "latency_ms", ms);
    print_json(all, true);
    json_decref(all);
    return;
  }
  printf(
      "offered %.1f/s, %zu requests in %.1f s: %zu answered (%.1f/s), %zu shed (503, 429), %zu refused, %zu failed\n",
      a->rate, l->sent, elapsed, l->answered, (double)l->answered / elapsed, l->busy, l->refused, l->failed);
  printf("latency ms from the appointed time:");
  for (size_t i = 0; i < 5; i++) printf("  %s %.2f", names[i], percentile(l->latency, l->answered, at[i]) * 1000);
  putchar('\n');
  if (*l->problem) fprintf(stderr, "spikectl: the first that was not answered: %s\n", l->problem);
}

int run_bench(int argc, char **argv) {
  arguments a = {.rate = 100, .seconds = 10, .connections = 512};
  if (!parse_arguments(&argp, argc, argv, &a)) return EXIT_USAGE;
  pictures files;
  int status = EXIT_OK;
  load l = {.n = (size_t)fmax(1, a.rate * a.seconds)};
  char *model = NULL, *url = NULL;
  transfers *t = NULL;
  picture *all = NULL;
  if (!pictures_find(a.files, a.n_files, false, &files)) {
    status = EXIT_LOCAL;
    goto cleanup;
  }
  l.appointed = calloc(l.n, sizeof *l.appointed);
  l.latency = calloc(l.n, sizeof *l.latency);
  all = calloc(files.n, sizeof *all);
  t = transfers_create(a.connections, on_reply, &l);
  if (!l.appointed || !l.latency || !all || !t) {
    fputs("spikectl: out of memory\n", stderr);
    status = EXIT_LOCAL;
    goto cleanup;
  }
  for (size_t i = 0; i < files.n; i++)
    if (!(all[i].bytes = read_picture(files.paths[i], &all[i].n))) {
      fprintf(stderr, "spikectl: %s: %s\n", files.paths[i], strerror(errno));
      status = EXIT_LOCAL;
      goto cleanup;
    }
  model = find_model(&a.settings, &status);
  url = model ? classify_url(&a.settings, model, &a.run) : NULL;
  if (!url) goto cleanup;
  appoint(&l, &a);
  offer_load(&l, t, url, all, files.n, a.seconds);
  print_load(&a, &l, now() - l.started);
  status = l.exit_status;
cleanup:
  transfers_free(t);
  for (size_t i = 0; all && i < files.n; i++) free(all[i].bytes);
  free(all);
  free(l.appointed);
  free(l.latency);
  free(model);
  free(url);
  pictures_free(&files);
  return status;
}
