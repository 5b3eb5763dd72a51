/* The options of classify: known names have a flag each, others go through --option. The server is the one that checks
 * values: its messages name the field and what it expected. */
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "spikectl.h"

enum { KEY_FIRST = 0x300, KEY_OPTION = 0x3ff };

/* Flag and query parameter have the same name, but for '-' and '_'. */
static const struct argp_option options[] = {
    {"timesteps", 'T', "T", 0, "time steps", 1},
    {"neuron", KEY_FIRST, "NAME", 0, "neuron model: if, lif, asg, ...", 1},
    {"init", KEY_FIRST + 1, "NAME", 0, "initial membrane potential", 1},
    {"tau", KEY_FIRST + 2, "X", 0, "what a leaky neuron keeps a step", 1},
    {"shift", KEY_FIRST + 3, "0|1", 0, "Deng and Gu's bias shift", 1},
    {"encoding", KEY_FIRST + 4, "NAME", 0, "input encoding", 1},
    {"seed", KEY_FIRST + 5, "N", 0, "seed of the encoding rate", 1},
    {"readout", KEY_FIRST + 6, "NAME", 0, "how the last layer is read", 1},
    {"precision", KEY_FIRST + 7, "NAME", 0, "arithmetic of the simulation", 1},
    {"calibration", KEY_FIRST + 8, "ID", 0, "calibration to use, or none", 1},
    {"top-k", KEY_FIRST + 9, "K", 0, "classes in the answer", 1},
    {"budget-ms", KEY_FIRST + 10, "MS", 0, "simulate at most this long, answer with the steps done", 1},
    {"timeout-ms", KEY_FIRST + 11, "MS", 0, "deadline for queue and simulation", 1},
    {"option", KEY_OPTION, "NAME=VALUE", 0, "any other option of the server's", 1},
    {0}};

void run_options_set(run_options *o, const char *name, const char *value) {
  size_t i = 0;
  while (i < o->n && strcmp(o->given[i].name, name) != 0) i++;
  if (i == MAX_OPTIONS) return;
  o->given[i].name = name;
  o->given[i].value = value;
  if (i == o->n) o->n++;
}

static error_t parse(int key, char *arg, struct argp_state *state) {
  run_options *o = state->input;
  if (key == KEY_OPTION) {
    char *equals = strchr(arg, '=');
    if (!equals || equals == arg) {
      argp_error(state, "option: expected NAME=VALUE, got '%s'", arg);
      return EINVAL;
    }
    *equals = 0;
    run_options_set(o, arg, equals + 1);
    return 0;
  }
  for (size_t i = 0; options[i].name; i++)
    if (options[i].key == key) {
      run_options_set(o, options[i].name, arg);
      return 0;
    }
  return ARGP_ERR_UNKNOWN;
}

const struct argp run_options_argp = {options, parse, NULL, NULL, NULL, NULL, NULL};

char *classify_url(const settings *s, const char *model, const run_options *o) {
  char *text = NULL;
  size_t n = 0;
  FILE *f = open_memstream(&text, &n);
  if (!f) return NULL;
  char *name = curl_easy_escape(NULL, model, 0);
  fprintf(f, "%s/v1/models/%s/classify", s->url, name ? name : "");
  curl_free(name);
  for (size_t i = 0; i < o->n; i++) {
    char *value = curl_easy_escape(NULL, o->given[i].value, 0), parameter[64];
    snprintf(parameter, sizeof parameter, "%s", o->given[i].name);
    for (char *c = parameter; *c; c++)
      if (*c == '-') *c = '_';
    name = curl_easy_escape(NULL, parameter, 0);
    fprintf(f, "%c%s=%s", i ? '&' : '?', name ? name : "", value ? value : "");
    curl_free(name);
    curl_free(value);
  }
  fclose(f);
  return text;
}
