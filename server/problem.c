/* The one table from failures to HTTP, and the mapping of the library's status codes onto it. Keeps the invariant that
 * a problem's text is printable ASCII whatever a client sent. Does not build bodies: json_out.c does. */
#include "problem.h"

#include <stdarg.h>
#include <stdio.h>

static const problem_info infos[PROBLEM_KIND_COUNT] = {
    [PROBLEM_NONE] = {200, "none", "OK", false},
    [PROBLEM_BAD_REQUEST] = {400, "bad-request", "Malformed request", false},
    [PROBLEM_INVALID_OPTION] = {400, "invalid-option", "Invalid option", false},
    [PROBLEM_UNAUTHORIZED] = {401, "unauthorized", "Authentication required", false},
    [PROBLEM_FORBIDDEN] = {403, "forbidden", "Foreign origin or host", false},
    [PROBLEM_NOT_FOUND] = {404, "not-found", "Not found", false},
    [PROBLEM_METHOD] = {405, "method-not-allowed", "Method not allowed", false},
    [PROBLEM_SLOW_BODY] = {408, "slow-body", "The request came too slowly", false},
    [PROBLEM_CONFLICT] = {409, "conflict", "Conflict", false},
    [PROBLEM_STALE] = {412, "stale", "Precondition failed", false},
    [PROBLEM_TOO_LARGE] = {413, "too-large", "Over a limit", false},
    [PROBLEM_MEDIA_TYPE] = {415, "media-type", "Unsupported media type", false},
    [PROBLEM_EXPECTATION] = {417, "expectation", "Expectation failed", false},
    [PROBLEM_UNDECODABLE] = {422, "undecodable-image", "Undecodable image", false},
    [PROBLEM_KEY_REUSED] = {422, "key-reused", "Idempotency-Key of another request", false},
    [PROBLEM_UNCONDITIONAL] = {428, "unconditional", "Precondition required", false},
    [PROBLEM_QUOTA] = {429, "quota", "Quota used up", false},
    [PROBLEM_HEADERS] = {431, "headers-too-large", "Too many header fields", false},
    [PROBLEM_GONE] = {499, "client-gone", "The client went away", false},
    [PROBLEM_INTERNAL] = {500, "internal", "Internal error", false},
    [PROBLEM_NO_STATE] = {501, "no-state", "Not set up on this server", false},
    [PROBLEM_STORAGE] = {507, "storage", "The state folder failed", false},
    [PROBLEM_BUSY] = {503, "busy", "Busy", true},
    [PROBLEM_NOT_READY] = {503, "not-ready", "Not ready", true},
    [PROBLEM_CANCELLED] = {503, "cancelled", "Cancelled", true},
    [PROBLEM_DEADLINE] = {504, "deadline", "Deadline passed", false},
    [PROBLEM_VERSION] = {505, "http-version", "HTTP version not supported", false},
};

static const problem_kind kinds[SNN_STATUS_COUNT] = {
    [SNN_OK] = PROBLEM_NONE,
    [SNN_ERR_ARGUMENT] = PROBLEM_INVALID_OPTION,
    [SNN_ERR_NO_MEMORY] = PROBLEM_BUSY,
    [SNN_ERR_IO] = PROBLEM_INTERNAL,
    [SNN_ERR_FORMAT] = PROBLEM_UNDECODABLE,
    [SNN_ERR_UNSUPPORTED] = PROBLEM_UNDECODABLE,
    [SNN_ERR_TOO_LARGE] = PROBLEM_TOO_LARGE,
    [SNN_ERR_NOT_FOUND] = PROBLEM_NOT_FOUND,
    [SNN_ERR_CANCELLED] = PROBLEM_CANCELLED,
    [SNN_ERR_DEADLINE] = PROBLEM_DEADLINE,
    [SNN_ERR_INTERNAL] = PROBLEM_INTERNAL,
};

const problem_info *problem_describe(problem_kind kind) {
  return &infos[(unsigned)kind < PROBLEM_KIND_COUNT ? kind : PROBLEM_INTERNAL];
}

bool problem_set(problem *p, problem_kind kind, const char *format, ...) {
  if (p->kind != PROBLEM_NONE) return false;
  p->kind = kind;
  va_list args;
  va_start(args, format);
  vsnprintf(p->detail, sizeof p->detail, format, args);
  va_end(args);
  for (char *c = p->detail; *c; c++)
    if (*c < 0x20 || *c > 0x7e) *c = '?';
  return false;
}

bool problem_from_snn(problem *p, const snn_error *err, const char *what) {
  problem_kind kind = (unsigned)err->status < SNN_STATUS_COUNT ? kinds[err->status] : PROBLEM_INTERNAL;
  if (!what) what = err->where;
  /* The reason of an internal failure is for the log, not for strangers. */
  const char *text = kind == PROBLEM_INTERNAL || !*err->text ? problem_describe(kind)->title : err->text;
  return problem_set(p, kind, "%s%s%s", what, *what ? ": " : "", text);
}
