/* Status names and error text. Keeps the invariant that an snn_error is always terminated and printable, whatever bytes
 * a file put into a name. Does no allocation and no I/O. */
#include "base/error.h"

#include <stdarg.h>
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

static void make_printable(char *s) {
  for (; *s; s++)
    if ((unsigned char)*s < 0x20 || (unsigned char)*s == 0x7f) *s = '?';
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
