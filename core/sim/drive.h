/* Driving images through time: chunks, checkpoints, early stop, budget, cancellation. How a layer is computed is an
 * engine's business; the driver knows stages and steps only, so every engine keeps the same rules. */
#ifndef SNN_SIM_DRIVE_H
#define SNN_SIM_DRIVE_H

#include "sim/watch.h"

/* One image's share of the caller's arrays. */
typedef struct snn_job {
  size_t index;             /* in the batch */
  const float *image;       /* [c][h][w], normalised */
  uint32_t number;          /* of the image, for random encodings */
  uint64_t out_of_time_ns;  /* when its budget ends; 0: none */
  float *scores;            /* [checkpoints][classes] */
  float *step_scores;       /* [timesteps][classes]; may be NULL */
  uint32_t *timesteps_used; /* may be NULL */
  snn_counters result;      /* [checkpoints][nodes] each; entries may be NULL */
} snn_job;

/* How to simulate: const functions over an engine's own context, which every member of the team has its own copy of.
 * None has a barrier inside. */
typedef struct snn_engine {
  /* Put the image in and all state at its start: this rank's share. */
  void (*begin)(void *self, const snn_job *job);
  /* Run stage i for n steps from step `first` (0: the first of the run) on: this rank's share. */
  void (*run_stage)(void *self, uint32_t i, uint32_t first, uint32_t n);
  /* Scores after step k of the chunk run last, which was step number `steps` of the run. Called by rank 0. */
  void (*scores)(const void *self, uint32_t k, uint32_t steps, float *out);
} snn_engine;

/* What the members of a team share while they simulate an image. */
typedef struct snn_pace {
  snn_status stops[2]; /* set by rank 0 before barrier k in slot k % 2, read by all after it: two slots, so that it is
                        * never overwritten while a slow thread still reads */
  uint32_t next;       /* steps of the next chunk, 0: the image is done; set by rank 0 before a barrier */
  snn_counters totals; /* [nodes]: the image so far */
  snn_counters steps;  /* [SNN_STOP_CHUNK][nodes]: one step each, where steps must be told apart */
  float *row;          /* [classes]: scores of one step */
} snn_pace;

/* A simulation of one image by one member of a team. */
typedef struct snn_drive {
  const snn_engine *engine;
  void *self;
  uint32_t n_static, n_stages; /* stages below n_static are constant in time and run once */
  uint32_t chunk;              /* steps at most */
  bool whole_run;              /* one pass stands for all T */
  uint32_t n_nodes, n_classes;
  const snn_run_options *options; /* with checkpoints set */
  snn_team team;
  snn_pace *pace;
  const snn_watch *watch; /* NULL: nobody looks */
  const snn_watched *watched;
} snn_drive;

/* The counters an engine adds to: slot k of them where steps are told apart, else slot 0. */
bool snn_drive_counts_steps(const snn_run_options *options);

enum { SNN_MOST_TOGETHER = SNN_HANDFUL_MOST }; /* images */

/* Simulate n images side by side, up to SNN_MOST_TOGETHER, each of which goes its own way through time: a stage runs
 * for all of them before the next one starts, so that its weights come from memory once. The drives differ in engine
 * contexts, pace and what is watched. Called by every member of the team. Errors: CANCELLED, DEADLINE. */
snn_status snn_drive_images(const snn_drive *drives, const snn_job *jobs, size_t n);

/* Has the run been cancelled, or its deadline passed? */
snn_status snn_should_stop(const snn_run_options *run);

/* Meet the team; rank 0 looks at the deadline and the cancellation flag. Returns the same status to all. */
snn_status snn_meet(snn_pace *pace, snn_team team, const snn_run_options *run, uint32_t *meeting);

#endif
