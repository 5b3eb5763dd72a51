/* Invariant: whoever meets has seen all that the others wrote before. */
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
