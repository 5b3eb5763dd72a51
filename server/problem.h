/* What can go wrong with a request, in one table: the HTTP status, the problem type and its title.
 *
 * A struct problem is the server's error value: filled by the first failure, printed once as an RFC 9457 body. Its
 * text is always printable ASCII and never holds a path of this machine. */
#ifndef SERVER_PROBLEM_H
#define SERVER_PROBLEM_H

#include <stdbool.h>

#include "snn/status.h"

typedef enum problem_kind {
  PROBLEM_NONE = 0,
  PROBLEM_BAD_REQUEST,
  PROBLEM_INVALID_OPTION,
  PROBLEM_UNAUTHORIZED,
  PROBLEM_FORBIDDEN,
  PROBLEM_NOT_FOUND,
  PROBLEM_METHOD,
  PROBLEM_SLOW_BODY,
  PROBLEM_CONFLICT,
  PROBLEM_STALE,
  PROBLEM_TOO_LARGE,
  PROBLEM_MEDIA_TYPE,
  PROBLEM_EXPECTATION,
  PROBLEM_UNDECODABLE,
  PROBLEM_KEY_REUSED,
  PROBLEM_UNCONDITIONAL,
  PROBLEM_QUOTA,
  PROBLEM_HEADERS,
  PROBLEM_GONE,
  PROBLEM_INTERNAL,
  PROBLEM_NO_STATE,
  PROBLEM_STORAGE,
  PROBLEM_BUSY,
  PROBLEM_NOT_READY,
  PROBLEM_CANCELLED,
  PROBLEM_DEADLINE,
  PROBLEM_VERSION,
  PROBLEM_KIND_COUNT
} problem_kind;

typedef struct problem {
  problem_kind kind; /* PROBLEM_NONE: nothing is wrong */
  char detail[512];  /* "timesteps: expected an integer from 1 to 4096, got 0" */
} problem;

typedef struct problem_info {
  unsigned http_status;
  const char *type;  /* last part of urn:spiked:problem:... */
  const char *title; /* constant for the type */
  bool retry;        /* worth trying again: sent with Retry-After */
} problem_info;

/* Never NULL; static lifetime. */
const problem_info *problem_describe(problem_kind kind);

/* Record the first failure; later ones are ignored. Returns false, so that `return problem_set(...)` reads well. */
bool problem_set(problem *p, problem_kind kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same from the library's error; `what` names the thing at fault ("images[2]"), NULL: the library's own `where`. */
bool problem_from_snn(problem *p, const snn_error *err, const char *what);

#endif
