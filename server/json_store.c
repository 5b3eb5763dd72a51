/* Pointer files. Keeps the invariant that a pointer read has valid digests or none at all. Reads no files. */
#include "json_store.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "json_scan.h"

char *json_store_print_pointer(const store_pointer *p) {
  json_t *root =
      json_pack("{s:I, s:o, s:s, s:s, s:s}", "generation", (json_int_t)p->generation, "id",
                *p->id ? json_string(p->id) : json_null(), "model_sha256", p->model_sha256, "by", p->by, "at", p->at);
  char *text = root ? json_dumps(root, JSON_COMPACT) : NULL;
  json_decref(root);
  return text;
}

static bool take_text(const json_t *root, const char *name, char *out, size_t n_out) {
  const char *text = json_string_value(json_object_get(root, name));
  return text && (size_t)snprintf(out, n_out, "%s", text) < n_out;
}

bool json_store_parse_pointer(const char *text, size_t n, store_pointer *out) {
  store_pointer p = {0};
  if (json_scan(text, n, 2, 32) != JSON_SCAN_OK) return false;
  json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
  const json_t *generation = json_object_get(root, "generation"), *id = json_object_get(root, "id");
  p.generation = (uint64_t)json_integer_value(generation);
  bool ok = json_is_integer(generation) && json_integer_value(generation) > 0 &&
            (json_is_null(id) || (take_text(root, "id", p.id, sizeof p.id) && digest_valid(p.id))) &&
            take_text(root, "model_sha256", p.model_sha256, sizeof p.model_sha256) && digest_valid(p.model_sha256);
  if (ok && !take_text(root, "by", p.by, sizeof p.by)) p.by[0] = 0;
  if (ok && !take_text(root, "at", p.at, sizeof p.at)) p.at[0] = 0;
  json_decref(root);
  if (ok) *out = p;
  return ok;
}
