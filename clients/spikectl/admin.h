/* What the commands for operators share. */
#ifndef SPIKECTL_ADMIN_H
#define SPIKECTL_ADMIN_H

#include "spikectl.h"

typedef struct admin {
  const settings *settings;
  char *token, *model; /* owned; model only where it was asked for */
} admin;

/* Read the token and, if need be, find the model. False, said on stderr, with *exit_status set; admin_close either way.
 */
bool admin_open(admin *a, const settings *s, bool needs_model, int *exit_status);
void admin_close(admin *a);

/* "/v1/models/MODEL/REST" */
void admin_path(const admin *a, const char *rest, char out[1024]);

/* One call to a path of the admin listener; url and token of `call` are filled in. */
void admin_call(const admin *a, const char *path, http_call call, reply *out);

/* Parsing for commands with one argument at most. */
typedef struct admin_arguments {
  settings settings;
  const char *wants; /* what the argument is, for the message; NULL: there is none */
  const char *argument;
} admin_arguments;

error_t admin_parse(int key, char *arg, struct argp_state *state);
extern const struct argp_child admin_child[];

#endif
