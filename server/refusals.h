/* The log of refusals under overload: so many lines a second, the rest is counted. A line for each would cost more than
 * the refusing, and tell nothing that the metrics do not. */
#ifndef SERVER_REFUSALS_H
#define SERVER_REFUSALS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "log.h"

enum { REFUSALS_LOGGED = 100 }; /* lines a second */

typedef struct refusals {
  _Atomic uint64_t second; /* on snn_clock_ns() */
  atomic_ulong n_logged;   /* in that second */
  atomic_ulong n_untold;   /* since the last line about them */
} refusals;

/* May this one have a line of its own? Any thread may ask. */
bool refusals_take(refusals *r, uint64_t now_ns);

/* Tell, at most once a second, how many had none. To be called now and then. */
void refusals_tell(refusals *r, logger *log_to, uint64_t now_ns);

#endif
