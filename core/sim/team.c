/* Invariants: whoever meets has seen all that the others wrote before; every unit of work is handed out once. */
#include "sim/team.h"

#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LOOKS = 1000 }; /* 10 to 20 microseconds */

static inline void pause_briefly(void) {
#ifdef __x86_64__
  __builtin_ia32_pause();
#endif
}

void snn_team_barrier(snn_team team) {
  if (team.size <= 1) return;
  snn_meeting *m = team.meeting;
  const unsigned number = atomic_load(&m->number);
  if (atomic_fetch_add(&m->arrived, 1) + 1 == team.size) {
    atomic_store(&m->arrived, 0);
    for (uint32_t i = 0; m->shares && i < team.size; i++)
      atomic_store_explicit(&m->shares[i].left, 0, memory_order_relaxed);
    atomic_store(&m->number, number + 1);
    if (atomic_load(&m->sleepers)) syscall(SYS_futex, &m->number, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
    return;
  }
  for (int i = 0; i < LOOKS; i++) {
    if (atomic_load_explicit(&m->number, memory_order_acquire) != number) return;
    pause_briefly();
  }
  atomic_fetch_add(&m->sleepers, 1); /* before the kernel compares: either it sees the new number, or we are woken */
  while (atomic_load(&m->number) == number) syscall(SYS_futex, &m->number, FUTEX_WAIT_PRIVATE, number, NULL, NULL, 0);
  atomic_fetch_sub(&m->sleepers, 1);
}

/* What is left of rank i's share: [*next, *end). */
static uint64_t look(const snn_work *w, uint32_t i, uint32_t *next, uint32_t *end) {
  const uint64_t left = atomic_load_explicit(&w->team.meeting->shares[i].left, memory_order_relaxed);
  size_t first = (uint32_t)left - 1, behind = left >> 32;
  if (!left) snn_team_share((snn_team){.rank = i, .size = w->team.size}, w->n, &first, &behind);
  *next = (uint32_t)first;
  *end = (uint32_t)behind;
  return left;
}

static bool replace(const snn_work *w, uint32_t i, uint64_t seen, uint32_t next, uint32_t end) {
  return atomic_compare_exchange_strong_explicit(&w->team.meeting->shares[i].left, &seen,
                                                 ((uint64_t)end << 32) + next + 1, memory_order_relaxed,
                                                 memory_order_relaxed);
}

bool snn_team_take(snn_work *w, uint32_t *unit) {
  if (w->team.size <= 1) {
    *unit = w->next;
    return w->next++ < w->n;
  }
  uint32_t next, end;
  for (;;) {
    const uint64_t seen = look(w, w->team.rank, &next, &end);
    *unit = next;
    if (next >= end) break;
    if (replace(w, w->team.rank, seen, next + 1, end)) return true;
  }
  for (;;) {
    uint32_t most = 0, of = 0;
    for (uint32_t i = 0; i < w->team.size; i++) {
      look(w, i, &next, &end);
      if (end - next > most) {
        most = end - next;
        of = i;
      }
    }
    if (!most) return false;
    const uint64_t seen = look(w, of, &next, &end);
    *unit = end - 1;
    if (next < end && replace(w, of, seen, next, end - 1)) return true;
  }
}
