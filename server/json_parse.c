/* Keeps the invariant that no text is parsed before it was scanned for depth and size. Does not know what the text is
 * for. */
#include "json_parse.h"

#include "json_scan.h"

enum { DEPTH_MAX = 16, TOKENS_MAX = 4096 };

json_t *json_parse_object(const char *text, size_t n, const char *what, problem *p) {
  switch (json_scan(text, n, DEPTH_MAX, TOKENS_MAX)) {
    case JSON_SCAN_TOO_DEEP:
      problem_set(p, PROBLEM_BAD_REQUEST, "%s: JSON nested deeper than %d", what, DEPTH_MAX);
      return NULL;
    case JSON_SCAN_TOO_MANY:
      problem_set(p, PROBLEM_BAD_REQUEST, "%s: JSON of more than %d values", what, TOKENS_MAX);
      return NULL;
    case JSON_SCAN_NUL: problem_set(p, PROBLEM_BAD_REQUEST, "%s: not JSON: a NUL byte", what); return NULL;
    case JSON_SCAN_OK: break;
  }
  json_error_t why;
  json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
  if (json_is_object(root)) return root;
  if (root)
    problem_set(p, PROBLEM_BAD_REQUEST, "%s: expected a JSON object", what);
  else
    problem_set(p, PROBLEM_BAD_REQUEST, "%s: not JSON: line %d, column %d: %s", what, why.line, why.column, why.text);
  json_decref(root);
  return NULL;
}

const char *json_kind_name(const json_t *value) {
  switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER: return "an integer";
    case JSON_REAL: return "a number with a fraction or an exponent";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
  }
  return "something else";
}
