/* The counting of refusals.h. Keeps the invariant that every refusal has a line or is counted in one. A few more than
 * the limit may get lines where seconds meet. */
#include "refusals.h"

static uint64_t second_of(uint64_t now_ns) {
  return now_ns / UINT64_C(1000000000);
}

bool refusals_take(refusals *r, uint64_t now_ns) {
  if (second_of(now_ns) != atomic_load(&r->second)) {
    atomic_store(&r->second, second_of(now_ns));
    atomic_store(&r->n_logged, 0);
  }
  if (atomic_load(&r->n_logged) < REFUSALS_LOGGED && atomic_fetch_add(&r->n_logged, 1) < REFUSALS_LOGGED) return true;
  atomic_fetch_add(&r->n_untold, 1);
  return false;
}

void refusals_tell(refusals *r, logger *log_to, uint64_t now_ns) {
  if (!atomic_load_explicit(&r->n_untold, memory_order_relaxed) || second_of(now_ns) == atomic_load(&r->second)) return;
  unsigned long n = atomic_exchange(&r->n_untold, 0);
  if (n) log_event(log_to, LOG_WARNING, "refusals-not-logged", (log_field[]){LOG_INTEGER("requests", n), LOG_LAST});
}
