/* The grammar of http_syntax.h. Keeps the invariant that a byte is accepted only where the RFC names it. Does not
 * decode and does not copy. */
#include "http_syntax.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static bool is_alnum(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* c is one of `set`; a NUL never is. */
static bool is_among(unsigned char c, const char *set) {
  return c && strchr(set, c);
}

bool http_is_token(const char *text, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (!is_alnum((unsigned char)text[i]) && !is_among((unsigned char)text[i], "!#$%&'*+-.^_`|~")) return false;
  return n > 0;
}

bool http_is_value(const char *text, size_t n) {
  for (size_t i = 0; i < n; i++) {
    unsigned char c = (unsigned char)text[i];
    if ((c < 0x20 && c != '\t') || c == 0x7f) return false;
  }
  return true;
}

bool http_is_host(const char *text, size_t n) {
  size_t at = 0;
  if (n == 0) return false;
  if (text[0] == '[') {
    for (at = 1; at < n && (isxdigit((unsigned char)text[at]) || is_among((unsigned char)text[at], ":.")); at++) {
    }
    if (at < 3 || at == n || text[at] != ']') return false;
    at++;
  } else {
    while (at < n && (is_alnum((unsigned char)text[at]) || is_among((unsigned char)text[at], "-._~!$&'()*+;=%"))) at++;
    if (at == 0) return false;
  }
  if (at == n) return true;
  if (text[at++] != ':' || n - at > 5) return false;
  for (; at < n; at++)
    if (!isdigit((unsigned char)text[at])) return false;
  return true;
}

static bool is_absolute(const char *target, size_t n) {
  return (n > 7 && strncasecmp(target, "http://", 7) == 0) || (n > 8 && strncasecmp(target, "https://", 8) == 0);
}

bool http_is_target(const char *target, size_t n) {
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)target[i] <= 0x20 || (unsigned char)target[i] >= 0x7f || target[i] == '#') return false;
  return n > 0;
}

http_target http_target_form(const char *method, const char *target, size_t n) {
  if (strcmp(method, "CONNECT") == 0) return http_is_host(target, n) ? HTTP_TARGET_AUTHORITY : HTTP_TARGET_INVALID;
  if (n > 0 && target[0] == '/') return HTTP_TARGET_PATH;
  if (n == 1 && target[0] == '*' && strcmp(method, "OPTIONS") == 0) return HTTP_TARGET_ASTERISK;
  return is_absolute(target, n) ? HTTP_TARGET_ABSOLUTE : HTTP_TARGET_INVALID;
}

void http_split_absolute(const char *target, size_t n, const char **authority, size_t *n_authority, const char **path) {
  const char *end = target + n, *at = memchr(target, ':', n);
  *authority = at ? at + 3 : end;
  at = *authority;
  while (at < end && *at != '/' && *at != '?') at++;
  *n_authority = (size_t)(at - *authority);
  *path = at;
}
