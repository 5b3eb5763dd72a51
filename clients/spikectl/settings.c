/* Where the daemon is: flags beat environment beats configuration file beats default. Keeps the invariant that a value
 * once found stays valid for the life of the program. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spikectl.h"

enum { KEY_URL = 0x200, KEY_JSON, KEY_CSV, KEY_ADMIN_URL, KEY_TOKEN_FILE, KEY_KEY_FILE };

/* Strings made here live as long as the program; this list is what still points at them when a command has let go of
 * its settings. */
static struct kept {
  struct kept *next;
  char text[];
} * all_kept;

static const char *keep(const char *text, size_t n) {
  struct kept *k = malloc(sizeof *k + n + 1);
  if (!k) return NULL;
  memcpy(k->text, text, n);
  k->text[n] = 0;
  k->next = all_kept;
  all_kept = k;
  return k->text;
}

/* The value of `name` in a file of lines "name = value", kept. Lines that are neither that, nor empty,
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
  const char *found = NULL;
  size_t n = strlen(name);
  while (f && !found && fgets(line, sizeof line, f)) {
    char *at = line + strspn(line, " \t");
    if (strncmp(at, name, n) != 0) continue;
    at += n;
    at += strspn(at, " \t");
    if (*at++ != '=') continue;
    at += strspn(at, " \t");
    size_t length = strlen(at);
    while (length && isspace((unsigned char)at[length - 1])) length--;
    if (length) found = keep(at, length);
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
  s->admin_url = first_of("SPIKECTL_ADMIN_URL", "admin_url", "http://127.0.0.1:8081");
  s->token_file = first_of("SPIKECTL_TOKEN_FILE", "token_file", NULL);
  s->key_file = first_of("SPIKECTL_KEY_FILE", "key_file", NULL);
}

static const struct argp_option options[] = {
    {"url", KEY_URL, "URL", 0, "the daemon's public listener (default http://127.0.0.1:8080)", 10},
    {"model", 'm', "NAME", 0, "model to ask (default: the only one the server has)", 10},
    {"key-file", KEY_KEY_FILE, "FILE", 0, "holds the API key, where the daemon wants one", 10},
    {"json", KEY_JSON, NULL, 0, "answers as JSON", 11},
    {"csv", KEY_CSV, NULL, 0, "answers as CSV", 11},
    {0}};

/* One slash too many is no reason to fail. */
static const char *without_slash(const char *url) {
  size_t n = strlen(url);
  const char *copy = n && url[n - 1] == '/' ? keep(url, n - 1) : NULL;
  return copy ? copy : url;
}

/* The first line of a file, malloc'ed; NULL with *why set. */
static char *first_line(const char *path, const char **why) {
  char line[1100] = "";
  FILE *f = fopen(path, "re");
  *why = !f ? strerror(errno) : fgets(line, sizeof line, f) ? NULL : "it is empty";
  if (f) fclose(f);
  line[strcspn(line, "\r\n")] = 0;
  return *why ? NULL : strdup(line);
}

/* Requests to the public listener carry its key from here on. */
static void use_key(const settings *s, struct argp_state *state) {
  const char *why = NULL;
  char *key = s->key_file ? first_line(s->key_file, &why) : NULL;
  if (why)
    argp_error(state, "key-file: %s: %s", s->key_file, why);
  else
    http_use_key(key);
  free(key);
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  settings *s = state->input;
  switch (key) {
    case ARGP_KEY_INIT: settings_init(s); return 0;
    case KEY_URL: s->url = arg; return 0;
    case 'm': s->model = arg; return 0;
    case KEY_KEY_FILE: s->key_file = arg; return 0;
    case KEY_JSON: s->json = true; return 0;
    case KEY_CSV: s->csv = true; return 0;
    case ARGP_KEY_END:
      if (s->json && s->csv) argp_error(state, "--json or --csv, not both");
      s->url = without_slash(s->url);
      s->admin_url = without_slash(s->admin_url);
      use_key(s, state);
      return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

const struct argp settings_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

static const struct argp_option admin_options[] = {
    {"admin-url", KEY_ADMIN_URL, "URL", 0, "the daemon's admin listener (default http://127.0.0.1:8081)", 10},
    {"token-file", KEY_TOKEN_FILE, "FILE", 0, "holds the admin token", 10},
    {0}};

static error_t parse_admin(int key, char *arg, struct argp_state *state) {
  settings *s = state->input;
  switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = s; return 0;
    case KEY_ADMIN_URL: s->admin_url = arg; return 0;
    case KEY_TOKEN_FILE: s->token_file = arg; return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

static const struct argp_child admin_children[] = {{&settings_argp, 0, NULL, 0}, {0}};
const struct argp admin_settings_argp = {admin_options, parse_admin, NULL, NULL, admin_children, NULL, NULL};

char *read_token(const settings *s) {
  const char *why = NULL;
  if (!s->token_file) {
    fputs("spikectl: --token-file: name the file with the admin token\n", stderr);
    return NULL;
  }
  char *token = first_line(s->token_file, &why);
  if (why) fprintf(stderr, "spikectl: %s: %s\n", s->token_file, why);
  return token;
}

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
