/* The threads that share one image. */
#ifndef SNN_SIM_TEAM_H
#define SNN_SIM_TEAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snn/session.h"

/* What is left of a rank's share between two meetings: (end << 32) + next + 1, 0 before anybody has asked. */
typedef struct snn_left {
  _Atomic uint64_t left;
  char apart[64 - sizeof(uint64_t)]; /* on a cache line of its own */
} snn_left;

/* Where a team meets; all zero at first. Of one team at a time. */
typedef struct snn_meeting {
  atomic_uint arrived;
  atomic_uint number; /* of the meeting that comes next */
  atomic_uint sleepers;
  snn_left *shares; /* [size]; NULL: no work is handed out */
} snn_meeting;

typedef struct snn_team {
  uint32_t rank, size;
  snn_meeting *meeting;         /* when size > 1 */
  const snn_courtesy *courtesy; /* NULL: it stands back for nobody */
} snn_team;

/* Between two items of work: stand back while that is wanted. */
static inline void snn_stand_back(const snn_courtesy *courtesy) {
  if (courtesy && atomic_load_explicit(courtesy->wanted, memory_order_relaxed)) courtesy->rest(courtesy->context);
}

/* Rank's share of n items: [*begin, *end). The same for every call, so that the state an item owns stays with one
 * thread. */
static inline void snn_team_share(snn_team team, size_t n, size_t *begin, size_t *end) {
  *begin = n * team.rank / team.size;
  *end = n * (team.rank + 1) / team.size;
}

/* Work that is handed out between two meetings, in n units; once a meeting. */
typedef struct snn_work {
  snn_team team;
  uint32_t n, next; /* next: of a team of one */
} snn_work;

static inline snn_work snn_team_work(snn_team team, uint32_t n) {
  return (snn_work){team, n, 0};
}

/* One more unit for this rank: those of its share in ascending order, then the last of whoever has most left, since
 * processors are not equally fast, nor equally free. False: none is left. n < UINT32_MAX. */
bool snn_team_take(snn_work *work, uint32_t *unit);

/* Wait for the rest of the team. A stage takes some ten microseconds a thread and sleeping costs as much, so a thread
 * looks for a moment before it sleeps; between images nobody waits here. */
void snn_team_barrier(snn_team team);

#endif
