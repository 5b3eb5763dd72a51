/* Bounded JSON, and typed access to its objects.
 *
 * Invariant: jansson, which can turn a small text into 75 times its size, sees only text whose depth and token count
 * were found small by a scan that allocates nothing. Knows nothing of models. */
#include "model/json.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"

/* Count nesting and tokens. Malformed text passes: finding it is the parser's work. */
static snn_status scan(const char *text, size_t n, const char *what, snn_error *err) {
  size_t depth = 0, tokens = 0, containers = 0;
  bool in_scalar = false;
  for (size_t i = 0; i < n; i++) {
    switch (text[i]) {
      case '"':
        tokens++;
        in_scalar = false;
        for (i++; i < n && text[i] != '"'; i++)
          if (text[i] == '\\') i++;
        break;
      case '{':
      case '[':
        tokens++;
        in_scalar = false;
        containers++;
        if (++depth > SNN_JSON_MAX_DEPTH)
          return snn_fail(err, SNN_ERR_TOO_LARGE, what, "its JSON is nested more than %d deep", SNN_JSON_MAX_DEPTH);
        break;
      case '}':
      case ']':
        if (depth > 0) depth--;
        in_scalar = false;
        break;
      case ' ':
      case '\t':
      case '\n':
      case '\r':
      case ',':
      case ':': in_scalar = false; break;
      default: tokens += !in_scalar; in_scalar = true;
    }
    if (containers > SNN_JSON_MAX_CONTAINERS)
      return snn_fail(err, SNN_ERR_TOO_LARGE, what, "its JSON has more than %d objects and arrays",
                      SNN_JSON_MAX_CONTAINERS);
    if (tokens > SNN_JSON_MAX_TOKENS)
      return snn_fail(err, SNN_ERR_TOO_LARGE, what, "its JSON has more than %d values", SNN_JSON_MAX_TOKENS);
  }
  return SNN_OK;
}

snn_status snn_json_parse(const char *text, size_t n, const char *what, json_t **out, snn_error *err) {
  snn_status status = scan(text, n, what, err);
  if (status != SNN_OK) return status;
  json_error_t problem = {.text = ""};
  json_t *json = json_loadb(text, n, JSON_REJECT_DUPLICATES, &problem);
  if (!json) {
    /* jansson leaves the text empty when making a value failed for want of memory; when its tokenizer did, the failure
     * cannot be told from a syntax error and is reported as one */
    if (!problem.text[0] || json_error_code(&problem) == json_error_out_of_memory) return snn_fail_memory(err, what);
    return snn_fail(err, SNN_ERR_FORMAT, what, "not valid JSON at byte %d: %s", problem.position, problem.text);
  }
  *out = json;
  return SNN_OK;
}

/* The member, or NULL: *status then says whether that is an error. */
static const json_t *member(const json_t *object, const char *key, bool required, const char *where, snn_status *status,
                            snn_error *err) {
  const json_t *value = json_object_get(object, key);
  *status = SNN_OK;
  if (!value && required) *status = snn_fail(err, SNN_ERR_FORMAT, where, "'%s' is missing", key);
  return value;
}

static bool to_uint(const json_t *value, uint32_t min, uint32_t max, uint32_t *out) {
  if (!json_is_integer(value)) return false;
  json_int_t v = json_integer_value(value);
  if (v < (json_int_t)min || v > (json_int_t)max) return false;
  *out = (uint32_t)v;
  return true;
}

snn_status snn_json_uint(const json_t *object, const char *key, uint32_t min, uint32_t max, bool required,
                         uint32_t *out, const char *where, snn_error *err) {
  snn_status status;
  const json_t *value = member(object, key, required, where, &status, err);
  if (value && !to_uint(value, min, max, out))
    return snn_fail(err, SNN_ERR_FORMAT, where, "'%s' must be an integer %u..%u", key, min, max);
  return status;
}

snn_status snn_json_uints(const json_t *object, const char *key, size_t n, uint32_t max, bool required, uint32_t *out,
                          const char *where, snn_error *err) {
  snn_status status;
  const json_t *value = member(object, key, required, where, &status, err);
  if (!value) return status;
  bool fits = json_is_array(value) && json_array_size(value) == n;
  for (size_t i = 0; fits && i < n; i++) fits = to_uint(json_array_get(value, i), 0, max, &out[i]);
  if (!fits) return snn_fail(err, SNN_ERR_FORMAT, where, "'%s' must be an array of %zu integers 0..%u", key, n, max);
  return SNN_OK;
}

bool snn_json_float(const json_t *value, float *out) {
  if (!json_is_number(value)) return false;
  double v = json_number_value(value);
  if (!(fabs(v) <= (double)FLT_MAX)) return false;
  *out = (float)v;
  return true;
}

snn_status snn_json_floats(const json_t *object, const char *key, size_t n, float *out, const char *where,
                           snn_error *err) {
  const json_t *value = json_object_get(object, key);
  if (!value) return SNN_OK;
  bool fits = json_is_array(value) && json_array_size(value) == n;
  for (size_t i = 0; fits && i < n; i++) fits = snn_json_float(json_array_get(value, i), &out[i]);
  if (!fits) return snn_fail(err, SNN_ERR_FORMAT, where, "'%s' must be an array of %zu numbers", key, n);
  return SNN_OK;
}

snn_status snn_json_text(const json_t *object, const char *key, size_t max, bool required, const char **out,
                         const char *where, snn_error *err) {
  snn_status status;
  const json_t *value = member(object, key, required, where, &status, err);
  if (!value) return status;
  if (!json_is_string(value) || json_string_length(value) >= max)
    return snn_fail(err, SNN_ERR_FORMAT, where, "'%s' must be a string of fewer than %zu bytes", key, max);
  *out = json_string_value(value);
  return SNN_OK;
}

snn_status snn_json_check_text(const char *text, const char *what, snn_error *err) {
  json_t *json = json_string(text), *unchecked = json ? NULL : json_string_nocheck(text);
  snn_status status = SNN_OK;
  if (unchecked) /* so it was not memory that the first call lacked */
    status = snn_fail(err, SNN_ERR_ARGUMENT, what, "its text is not UTF-8");
  else if (!json)
    status = snn_fail_memory(err, what);
  json_decref(json);
  json_decref(unchecked);
  return status;
}
