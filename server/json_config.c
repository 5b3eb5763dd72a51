/* Reading the configuration file. Keeps the invariant that only scalar members leave here, as text, so that config.c
 * checks a value from a file exactly like one from a flag. Does not know the settings. */
#include "json_config.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json_scan.h"

enum { FILE_BYTES_MAX = 65536 };

static bool read_whole(const char *path, char *text, size_t *n, char *error, size_t n_error) {
  FILE *f = fopen(path, "re");
  if (!f) {
    snprintf(error, n_error, "configuration file: %s", strerror(errno));
    return false;
  }
  *n = fread(text, 1, FILE_BYTES_MAX + 1, f);
  bool ok = !ferror(f) && *n <= FILE_BYTES_MAX;
  fclose(f);
  if (!ok) snprintf(error, n_error, "configuration file: unreadable, or over %d bytes", FILE_BYTES_MAX);
  return ok;
}

static char *text_of(const json_t *value) {
  char number[32];
  if (json_is_string(value)) return strdup(json_string_value(value));
  snprintf(number, sizeof number, "%lld", (long long)json_integer_value(value));
  return strdup(number);
}

bool json_config_read(const char *path, json_config *out, char *error, size_t n_error) {
  bool ok = false;
  json_t *root = NULL;
  char *text = malloc(FILE_BYTES_MAX + 1);
  size_t n = 0;
  json_error_t why;
  if (!text) {
    snprintf(error, n_error, "configuration file: out of memory");
    goto cleanup;
  }
  if (!read_whole(path, text, &n, error, n_error)) goto cleanup;
  if (json_scan(text, n, 2, 2 * JSON_CONFIG_MAX) != JSON_SCAN_OK) {
    snprintf(error, n_error, "configuration file: expected a flat JSON object of at most %d members", JSON_CONFIG_MAX);
    goto cleanup;
  }
  root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
  if (!json_is_object(root)) {
    if (root)
      snprintf(error, n_error, "configuration file: expected a JSON object");
    else
      snprintf(error, n_error, "configuration file: line %d: %s", why.line, why.text);
    goto cleanup;
  }
  const char *name;
  json_t *value;
  json_object_foreach(root, name, value) {
    if (!json_is_string(value) && !json_is_integer(value)) {
      snprintf(error, n_error, "configuration file: %.64s: expected a string or an integer", name);
      goto cleanup;
    }
    if (out->n == JSON_CONFIG_MAX) {
      snprintf(error, n_error, "configuration file: more than %d members", JSON_CONFIG_MAX);
      goto cleanup;
    }
    out->pairs[out->n].name = strdup(name);
    out->pairs[out->n].text = text_of(value);
    bool whole = out->pairs[out->n].name && out->pairs[out->n].text;
    out->n++;
    if (!whole) {
      snprintf(error, n_error, "configuration file: out of memory");
      goto cleanup;
    }
  }
  ok = true;

cleanup:
  json_decref(root);
  free(text);
  return ok;
}

void json_config_free(json_config *c) {
  for (size_t i = 0; i < c->n; i++) {
    free(c->pairs[i].name);
    free(c->pairs[i].text);
  }
  c->n = 0;
}
