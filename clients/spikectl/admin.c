/* What the commands for operators share: one call to the admin listener with the token. */
#include "admin.h"

#include <stdlib.h>
#include <string.h>

bool admin_open(admin *a, const settings *s, bool needs_model, int *exit_status) {
  *a = (admin){.settings = s};
  a->token = read_token(s);
  if (!a->token) {
    *exit_status = EXIT_USAGE;
    return false;
  }
  if (needs_model) a->model = find_model(s, exit_status);
  return !needs_model || a->model;
}

void admin_close(admin *a) {
  free(a->token);
  free(a->model);
}

void admin_call(const admin *a, const char *path, http_call call, reply *out) {
  char url[4096];
  snprintf(url, sizeof url, "%s%s", a->settings->admin_url, path);
  call.url = url;
  call.token = a->token;
  http_send(&call, out);
}

void admin_path(const admin *a, const char *rest, char out[1024]) {
  snprintf(out, 1024, "/v1/models/%s/%s", a->model, rest);
}

error_t admin_parse(int key, char *arg, struct argp_state *state) {
  admin_arguments *a = state->input;
  switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &a->settings; return 0;
    case ARGP_KEY_ARG:
      if (!a->wants || a->argument) return ARGP_ERR_UNKNOWN;
      a->argument = arg;
      return 0;
    case ARGP_KEY_END:
      if (a->wants && !a->argument) argp_error(state, "name %s", a->wants);
      return 0;
    default: return ARGP_ERR_UNKNOWN;
  }
}

const struct argp_child admin_child[] = {{&admin_settings_argp, 0, NULL, 0}, {0}};
