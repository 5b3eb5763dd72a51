/* The threads that share one image. */
#ifndef SNN_SIM_TEAM_H
#define SNN_SIM_TEAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "snn/session.h"

/* Where a team meets; all zero at first. Of one team at a time. */
typedef struct snn_meeting {
  atomic_uint arrived;
  atomic_uint number; /* of the meeting that comes next */
  atomic_uint sleepers;
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

/* Wait for the rest of the team. A stage takes some ten microseconds a thread and sleeping costs as much, so a thread
 * looks for a moment before it sleeps; between images nobody waits here. */
void snn_team_barrier(snn_team team);

#endif
