/* JSON text to jansson values, with the bounds that a client's text needs. */
#ifndef SERVER_JSON_PARSE_H
#define SERVER_JSON_PARSE_H

#include <jansson.h>

#include "problem.h"

/* The object in `text` (n bytes), a new reference; NULL with *p set. It is scanned for depth and number of values
 * before it is parsed. `what` begins the message: "body", "options". */
json_t *json_parse_object(const char *text, size_t n, const char *what, problem *p);

/* "an array", "a boolean", ...; static. */
const char *json_kind_name(const json_t *value);

#endif
