/* Where the daemon is: flags beat environment beats configuration file beats default. Keeps the invariant that a value
 * once found stays valid for the life of the program. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spikectl.h"

enum { KEY_URL = 0x200, KEY_JSON, KEY_CSV };

/* The value of `name` in a file of lines "name = value"; malloc'ed once, kept. Lines that are neither that, nor empty,
 * nor comments (#) are ignored. */
static const char *configured(const char *name) {
  char path[4096], line[4096];
  const char *file = getenv("SPIKECTL_CONFIG"), *home = getenv("XDG_CONFIG_HOME");
  if (file)
    snprintf(path, sizeof path, "%s", file);
  else if (home && *home)
    snprintf(path, sizeof path, "%s/spikectl.conf", home);
  else
    snprintf(path, sizeof path, "%s/.config/spikectl.conf", getenv("HOME") ? getenv("HOME") : "");
  FILE *f = fopen(path, "re");
  char *found = NULL;
  size_t n = strlen(name);
  while (f && !found && fgets(line, sizeof line, f)) {
    char *at = line + strspn(line, " \t");
    if (strncmp(at, name, n) != 0) continue;
    at += n;
    at += strspn(at, " \t");
    if (*at++ != '=') continue;
    at += strspn(at, " \t");
    size_t length = strlen(at);
    while (length && isspace((unsigned char)at[length - 1])) at[--length] = 0;
    if (*at) found = strdup(at);
  }
  if (f) fclose(f);
  return found;
}

static const char *first_of(const char *environment, const char *name, const char *fallback) {
  const char *value = getenv(environment);
  if (value && *value) return value;
  value = configured(name);
  return value ? value : fallback;
}

void settings_init(settings *s) {
  s->url = first_of("SPIKECTL_URL", "url", "http://127.0.0.1:8080");
  s->model = first_of("SPIKECTL_MODEL", "model", NULL);
}

static const struct argp_option options[] = {
    {"url", KEY_URL, "URL", 0, "the daemon's public listener (default http://127.0.0.1:8080)", 10},
    {"model", 'm', "NAME", 0, "model to ask (default: the only one the server has)", 10},
    {"json", KEY_JSON, NULL, 0, "answers as JSON", 11},
    {"csv", KEY_CSV, NULL, 0, "answers as CSV", 11},
    {0}};

static error_t parse(int key, char *arg, struct argp_state *state) {
  settings *s = state->input;
  switch (key) {
    case ARGP_KEY_INIT: settings_init(s); return 0;
    case KEY_URL: s->url = arg; return 0;
    case 'm': s->model = arg; return 0;
    case KEY_JSON: s->json = true; return 0;
    case KEY_CSV: s->csv = true; return 0;
    case ARGP_KEY_END:
      if (s->json && s->csv) argp_error(state, "--json or --csv, not both");
      size_t n = strlen(s->url);
      if (n && s->url[n - 1] == '/') { /* one slash too many is no reason to fail */
        char *copy = strdup(s->url);
        if (copy) copy[n - 1] = 0;
        s->url = copy ? copy : s->url;
      }
      return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

const struct argp settings_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

bool parse_arguments(const struct argp *argp, int argc, char **argv, void *input) {
  argp_err_exit_status = EXIT_USAGE;
  return argp_parse(argp, argc, argv, 0, NULL, input) == 0;
}

double number_argument(struct argp_state *state, const char *option, const char *text, double min, double max) {
  char *end;
  errno = 0;
  double v = strtod(text, &end);
  if (end == text || *end || errno || !(v >= min && v <= max))
    argp_error(state, "%s: expected a number from %g to %g, got '%s'", option, min, max, text);
  return v;
}
