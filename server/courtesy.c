/* Resting. Keeps the invariant that after every rest a thread gets its piece of CPU time before it rests again, which
 * no pattern of requests can take from it. A resting thread sleeps and looks; nobody wakes it, so requests pay nothing
 * for that. */
#include "courtesy.h"

#include <time.h>

static uint64_t own_cpu_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void nap(void) {
  const struct timespec length = {.tv_nsec = COURTESY_NAP_NS};
  nanosleep(&length, NULL);
}

/* What a thread may still work before it rests. Its CPU time takes a system call to read, so that is read only once so
 * much time has passed as it could have used at most. */
typedef struct allowance {
  uint64_t cpu_ns;     /* on the thread's own clock: works until then */
  uint64_t not_before; /* on snn_clock_ns(): it cannot be used up earlier */
} allowance;

static bool is_used_up(allowance *a) {
  const uint64_t now = snn_clock_ns();
  if (now < a->not_before) return false;
  const uint64_t cpu = own_cpu_ns();
  if (cpu >= a->cpu_ns) return true;
  a->not_before = now + (a->cpu_ns - cpu);
  return false;
}

static void rest(void *context) {
  static _Thread_local allowance work;
  courtesy *c = context;
  if (!is_used_up(&work)) return;
  const uint64_t began = snn_clock_ns();
  for (int i = 0; i < COURTESY_NAPS; i++) {
    const unsigned seen = atomic_load(&c->begun);
    nap();
    if (atomic_load(&c->busy) == 0 && atomic_load(&c->begun) == seen) break;
  }
  const uint64_t now = snn_clock_ns();
  atomic_fetch_add(&c->rested_ns, now - began);
  work = (allowance){own_cpu_ns() + COURTESY_WORK_NS, now + COURTESY_WORK_NS};
}

void courtesy_init(courtesy *c) {
  atomic_init(&c->busy, 0);
  atomic_init(&c->begun, 0);
  atomic_init(&c->rested_ns, 0);
  c->for_jobs = (snn_courtesy){.wanted = &c->busy, .rest = rest, .context = c};
}

void courtesy_begin(courtesy *c) {
  atomic_fetch_add(&c->begun, 1);
  atomic_fetch_add(&c->busy, 1);
}

void courtesy_end(courtesy *c) {
  atomic_fetch_sub(&c->busy, 1);
}

void courtesy_rest(courtesy *c) {
  if (atomic_load(&c->busy)) rest(c);
}

double courtesy_rested_seconds(const courtesy *c) {
  return (double)atomic_load(&c->rested_ns) / 1e9;
}
