/* The configuration file: one JSON object with the flags' names, as name and text pairs. */
#ifndef SERVER_JSON_CONFIG_H
#define SERVER_JSON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>

enum { JSON_CONFIG_MAX = 64 };

/* A zero-initialised struct is empty. */
typedef struct json_config {
  size_t n;
  struct {
    char *name, *text; /* owned */
  } pairs[JSON_CONFIG_MAX];
} json_config;

/* Numbers and strings become text; anything else is an error. `error` gets one line on failure; *out may then hold
 * pairs and is freed all the same. */
bool json_config_read(const char *path, json_config *out, char *error, size_t n_error);
void json_config_free(json_config *c);

#endif
