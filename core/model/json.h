/* Bounded JSON: the only way text from a file reaches jansson. */
#ifndef SNN_MODEL_JSON_H
#define SNN_MODEL_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snn/status.h"

enum {
  SNN_JSON_MAX_DEPTH = 16,
  SNN_JSON_MAX_TOKENS = 1 << 18,    /* values and keys */
  SNN_JSON_MAX_CONTAINERS = 1 << 16 /* objects and arrays, for which jansson takes most: some 230 bytes an empty one */
};

/* Parse n bytes of JSON. Depth, tokens and containers are counted before anything is allocated; duplicate keys are
 * refused. *out is owned by the caller (json_decref). Errors: FORMAT, TOO_LARGE, NO_MEMORY; `where` is `what`. */
snn_status snn_json_parse(const char *text, size_t n, const char *what, json_t **out, snn_error *err);

/* Members of an object. All leave *out alone and return SNN_OK when the key is missing and `required` is false.
 * Errors: FORMAT, with the key in the text and `where` as given. */

/* An integer in min..max. */
snn_status snn_json_uint(const json_t *object, const char *key, uint32_t min, uint32_t max, bool required,
                         uint32_t *out, const char *where, snn_error *err);

/* An array of exactly n integers in 0..max. */
snn_status snn_json_uints(const json_t *object, const char *key, size_t n, uint32_t max, bool required, uint32_t *out,
                          const char *where, snn_error *err);

/* An array of exactly n numbers within float's range. */
snn_status snn_json_floats(const json_t *object, const char *key, size_t n, float *out, const char *where,
                           snn_error *err);

/* A string of fewer than max bytes, borrowed from the object. */
snn_status snn_json_text(const json_t *object, const char *key, size_t max, bool required, const char **out,
                         const char *where, snn_error *err);

/* One number within float's range as a float; false when it is none. */
bool snn_json_float(const json_t *value, float *out);

/* Whether text may stand in JSON. Errors: ARGUMENT (it is not UTF-8; `where` is `what`), NO_MEMORY. */
snn_status snn_json_check_text(const char *text, const char *what, snn_error *err);

#endif
