/* W3C Trace Context, level 1: the header `traceparent`. */
#ifndef SERVER_TRACE_CONTEXT_H
#define SERVER_TRACE_CONTEXT_H

#include <stdbool.h>

enum { TRACE_ID_DIGITS = 32, TRACE_PARENT_DIGITS = 16, TRACE_TEXT_MAX = 55 };

typedef struct trace_context {
  char trace_id[TRACE_ID_DIGITS + 1]; /* "": the request belongs to no trace */
  char parent_id[TRACE_PARENT_DIGITS + 1];
  char text[TRACE_TEXT_MAX + 1]; /* the header as version 00 has it, to be passed on */
} trace_context;

/* Parse the header's value, NULL when it was absent. False, *out emptied, when it is not valid: such a one is ignored.
 * A later version is read by what version 00 defines. */
bool trace_context_parse(const char *value, trace_context *out);

#endif
