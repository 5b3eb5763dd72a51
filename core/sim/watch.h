/* Looking into the runs of a session, stage by stage: what a probe hangs on to. Costs nothing where nobody watches. */
#ifndef SNN_SIM_WATCH_H
#define SNN_SIM_WATCH_H

#include "sim/reference.h"
#include "sim/stage.h"

/* An image of a run, in the lane that simulates it. */
typedef struct snn_watched {
  uint32_t lane;        /* below the session's threads; two images with the same lane come one after the other */
  size_t image;         /* of the batch */
  const snn_plan *plan; /* with the thresholds of this run */
  const snn_reference *reference;
  const float *activations; /* of the float network on this image; node i's at activations + reference->offsets[i] */
} snn_watched;

/* All may run in several threads at once, for different lanes; `begin` and `ran` also for the ranks of one team. */
typedef struct snn_watch {
  void *context;
  /* Before the image's first step. Rank 0 only; the team waits. */
  void (*begin)(void *context, const snn_watched *w);
  /* After this rank's share of a stage of neurons ran n_steps steps, which lie in its edge. */
  void (*ran)(void *context, const snn_watched *w, const snn_stage_context *ctx, const snn_stage *stage,
              uint32_t n_steps);
  /* After `steps` steps, with the scores of this checkpoint, k of the run. Rank 0 only; the team waits. */
  void (*checkpoint)(void *context, const snn_watched *w, size_t k, uint32_t steps, const float *scores);
} snn_watch;

/* Watch the coming runs; NULL: stop. Borrowed until then. */
void snn_session_watch(snn_session *s, const snn_watch *watch);

#endif
