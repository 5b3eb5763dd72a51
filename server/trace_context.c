/* traceparent: version "-" trace-id "-" parent-id "-" flags, lower-case hex. Keeps the invariant that what is passed on
 * has no byte but hex digits and dashes. Starts no traces and makes no spans of its own. */
#include "trace_context.h"

#include <string.h>

enum { AT_TRACE = 3, AT_PARENT = AT_TRACE + TRACE_ID_DIGITS + 1, AT_FLAGS = AT_PARENT + TRACE_PARENT_DIGITS + 1 };

/* n lower-case hex digits; not all of them 0 where that means nothing. */
static bool is_hex(const char *text, size_t n, bool nonzero) {
  bool any = false;
  for (size_t i = 0; i < n; i++) {
    if (!text[i] || !strchr("0123456789abcdef", text[i])) return false;
    any = any || text[i] != '0';
  }
  return any || !nonzero;
}

bool trace_context_parse(const char *value, trace_context *out) {
  *out = (trace_context){0};
  size_t n = value ? strlen(value) : 0;
  if (n < TRACE_TEXT_MAX || !is_hex(value, 2, false) || memcmp(value, "ff", 2) == 0) return false;
  if (n > TRACE_TEXT_MAX && (memcmp(value, "00", 2) == 0 || value[TRACE_TEXT_MAX] != '-')) return false;
  if (value[AT_TRACE - 1] != '-' || value[AT_PARENT - 1] != '-' || value[AT_FLAGS - 1] != '-') return false;
  if (!is_hex(value + AT_TRACE, TRACE_ID_DIGITS, true) || !is_hex(value + AT_PARENT, TRACE_PARENT_DIGITS, true) ||
      !is_hex(value + AT_FLAGS, 2, false))
    return false;
  memcpy(out->trace_id, value + AT_TRACE, TRACE_ID_DIGITS);
  memcpy(out->parent_id, value + AT_PARENT, TRACE_PARENT_DIGITS);
  memcpy(out->text, value, TRACE_TEXT_MAX);
  memcpy(out->text, "00", 2);
  return true;
}
