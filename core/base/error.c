/* Status names and error text. Keeps the invariant that an snn_error is always terminated and printable, whatever bytes
 * a file put into a name. Does no allocation and no I/O. */
#define SNN_BASE_ERROR_C
#include "base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *const status_names[SNN_STATUS_COUNT] = {
    [SNN_OK] = "ok",
    [SNN_ERR_ARGUMENT] = "argument",
    [SNN_ERR_NO_MEMORY] = "no-memory",
    [SNN_ERR_IO] = "io",
    [SNN_ERR_FORMAT] = "format",
    [SNN_ERR_UNSUPPORTED] = "unsupported",
    [SNN_ERR_TOO_LARGE] = "too-large",
    [SNN_ERR_NOT_FOUND] = "not-found",
    [SNN_ERR_CANCELLED] = "cancelled",
    [SNN_ERR_DEADLINE] = "deadline",
    [SNN_ERR_INTERNAL] = "internal",
};

const char *snn_status_name(snn_status status) {
  return (unsigned)status < SNN_STATUS_COUNT ? status_names[status] : "unknown";
}

/* Bytes of the UTF-8 sequence that starts at s, 0 when there is none: malformed, cut off, overlong or a surrogate. */
static size_t utf8_length(const unsigned char *s) {
  size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : (s[0] & 0xf0) == 0xe0 ? 3 : s[0] - 0xf0u < 5 ? 4 : 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xc0) != 0x80) return 0;
  bool overlong = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xf0 && s[1] < 0x90);
  bool outside = (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf4 && s[1] >= 0x90); /* surrogates, past U+10FFFF */
  bool control = s[0] < 0x20 || s[0] == 0x7f || (s[0] == 0xc2 && s[1] < 0xa0);
  return overlong || outside || control ? 0 : n;
}

/* What is no text becomes '?', also where the end of the buffer cut a character: the text goes into JSON. */
static void make_printable(char *s) {
  while (*s) {
    size_t n = utf8_length((const unsigned char *)s);
    if (n == 0) *s = '?';
    s += n ? n : 1;
  }
}

snn_status snn_fail(snn_error *err, snn_status status, const char *where, const char *format, ...) {
  if (!err || err->status != SNN_OK) return status;
  err->status = status;
  snprintf(err->where, sizeof err->where, "%s", where ? where : "");
  va_list args;
  va_start(args, format);
  vsnprintf(err->text, sizeof err->text, format, args);
  va_end(args);
  make_printable(err->where);
  make_printable(err->text);
  return status;
}

snn_status snn_fail_errno(snn_error *err, const char *where, const char *what, int errno_value) {
  char buffer[128];
  return snn_fail(err, SNN_ERR_IO, where, "%s: %s", what, strerror_r(errno_value, buffer, sizeof buffer));
}

snn_status snn_fail_memory(snn_error *err, const char *what) {
  return snn_fail(err, SNN_ERR_NO_MEMORY, NULL, "out of memory for %s", what);
}
