/* JSON requests. Keeps the invariant that no json_t outlives a call. Does not know which options there are: options.c
 * does. */
#include "json_in.h"

#include <stdlib.h>
#include <string.h>

#include "encoding.h"
#include "json_parse.h"
#include "json_scan.h"

static bool rule_of(const json_t *value, option_rule *out) {
  const json_t *margin = json_object_get(value, "margin"), *patience = json_object_get(value, "patience");
  if (!json_is_number(margin) || !json_is_integer(patience) || json_object_size(value) != 2) return false;
  *out = (option_rule){.margin = json_number_value(margin), .patience = json_integer_value(patience)};
  return true;
}

bool json_in_rule(const char *text, option_rule *out) {
  const size_t n = strlen(text);
  if (text[0] != '{' || json_scan(text, n, 1, 8) != JSON_SCAN_OK) return false;
  json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
  const bool ok = rule_of(root, out);
  json_decref(root);
  return ok;
}

static option_value native_value(const json_t *value) {
  if (json_is_string(value)) return (option_value){.kind = OPTION_STRING, .text = json_string_value(value)};
  if (json_is_integer(value)) return (option_value){.kind = OPTION_INTEGER, .integer = json_integer_value(value)};
  if (json_is_real(value)) return (option_value){.kind = OPTION_REAL, .real = json_real_value(value)};
  if (json_is_boolean(value)) return (option_value){.kind = OPTION_BOOLEAN, .integer = json_is_true(value)};
  option_rule rule;
  if (rule_of(value, &rule)) return (option_value){.kind = OPTION_RULE, .rule = rule};
  return (option_value){.kind = OPTION_OTHER, .text = json_kind_name(value)};
}

static bool set_options(json_t *root, const char *skip, options *o, const option_limits *limits, problem *p) {
  const char *name;
  json_t *value;
  json_object_foreach(root, name, value) {
    if (skip && strcmp(name, skip) == 0) continue;
    option_value native = native_value(value);
    if (!options_set(o, limits, name, &native, p)) return false;
  }
  return true;
}

/* One element of `images`, decoded to the end of the new body. */
static bool append_image(inference *out, const json_t *value, size_t index, problem *p) {
  if (!json_is_string(value))
    return problem_set(p, PROBLEM_BAD_REQUEST, "images[%zu]: expected a base64 string, got %s", index,
                       json_kind_name(value));
  const char *text = json_string_value(value);
  size_t n_text = json_string_length(value), n = 0, bad = 0;
  uint8_t *bytes = malloc(base64_decoded_bound(n_text));
  if (!bytes) return problem_set(p, PROBLEM_BUSY, "out of memory; try again");
  bool ok = base64_decode(text, n_text, bytes, &n, &bad);
  if (!ok)
    problem_set(p, PROBLEM_UNDECODABLE, "images[%zu]: not base64 at character %zu", index, bad);
  else if (!(ok = inference_begin_image(out) && inference_append(out, bytes, n)))
    *p = out->problem;
  free(bytes);
  return ok;
}

bool json_in_classify(inference *inf) {
  bool ok = false;
  problem *p = &inf->problem;
  /* The decoded pictures gather in a body of their own, which takes the text's place at the end. */
  inference decoded = {.ledger = inf->ledger};
  json_t *root = json_parse_object((const char *)inf->body, inf->n_body, "body", p);
  if (!root) return false;
  json_t *images = json_object_get(root, "images");
  if (!json_is_array(images)) {
    problem_set(p, PROBLEM_BAD_REQUEST, "images: expected an array of base64 PNGs, got %s",
                images ? json_kind_name(images) : "nothing");
    goto cleanup;
  }
  if (!set_options(root, "images", &inf->options, &inf->limits, p)) goto cleanup;
  for (size_t i = 0; i < json_array_size(images); i++)
    if (!append_image(&decoded, json_array_get(images, i), i, p)) goto cleanup;
  inference_take_body(inf, &decoded);
  ok = true;

cleanup:
  inference_drop_body(&decoded);
  json_decref(root);
  return ok;
}

bool json_in_options(const char *text, size_t n, options *o, const option_limits *limits, problem *p) {
  json_t *root = json_parse_object(text, n, "options", p);
  if (!root) return false;
  bool ok = set_options(root, NULL, o, limits, p);
  json_decref(root);
  return ok;
}
