/* The scan of json_scan.h: one pass, no allocation, a handful of state. Keeps the invariant that it never counts fewer
 * values than a parser would create from the same bytes, whatever they are. */
#include "json_scan.h"

#include <stdbool.h>
#include <string.h>

/* Just behind a string that began before `p`; `end` when it does not close. */
static const char *skip_string(const char *p, const char *end) {
  while (p < end && *p != '"') p += *p == '\\' && end - p > 1 ? 2 : 1;
  return p < end ? p + 1 : end;
}

json_scan_result json_scan(const char *text, size_t n, unsigned max_depth, size_t max_tokens) {
  if (n == 0) return JSON_SCAN_OK; /* text may be NULL then */
  const char *p = text, *end = text + n;
  unsigned depth = 0;
  size_t tokens = 0;
  bool in_word = false; /* inside a number or a literal */
  if (memchr(text, 0, n)) return JSON_SCAN_NUL;
  while (p < end) {
    char c = *p++;
    bool starts = false, word = false;
    switch (c) {
      case '"':
        starts = true;
        p = skip_string(p, end);
        break;
      case '[':
      case '{':
        starts = true;
        if (++depth > max_depth) return JSON_SCAN_TOO_DEEP;
        break;
      case ']':
      case '}':
        if (depth > 0) depth--;
        break;
      case ',':
      case ':':
      case ' ':
      case '\t':
      case '\n':
      case '\r': break;
      default: word = true; starts = !in_word;
    }
    in_word = word;
    if (starts && ++tokens > max_tokens) return JSON_SCAN_TOO_MANY;
  }
  return JSON_SCAN_OK;
}
