/* Calibration jobs: pictures in, an artifact and a report of whether it helps out, beside serving and out of its way.
 *
 * One job at a time runs here, on a thread of low priority with a small team of its own; one at a time is alive for a
 * model, in all replicas together. Job n of a model is the file STATE/<model>/jobs/<n>, claimed by link(2) from a state
 * in which n - 1 is over, so two who begin at once cannot both. Its owner writes progress and a beat into it once a
 * second; when the owner is gone, whoever looks first reports the job failed. Any thread may call. */
#ifndef SERVER_JOBS_H
#define SERVER_JOBS_H

#include "registry.h"
#include "upload.h"

enum {
  JOB_ID_MAX = MODEL_NAME_MAX + 24,
  JOB_KEY_MAX = 128,      /* characters of an Idempotency-Key */
  JOB_TIMESTEPS_MAX = 16, /* tables of one job */
  JOBS_WAITING_MAX = 4,   /* here, of other models */
  JOBS_KEPT = 32,         /* files of a model */
  JOB_NICE_IDLE = 20,     /* --job-nice: idle priority, and rests for requests */
  JOB_LEASE_S = 10        /* without a beat for so long, an owner elsewhere is gone */
};

typedef enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED, JOB_STATE_COUNT } job_state;

const char *job_state_name(job_state state);
static inline bool job_state_is_live(job_state state) {
  return state <= JOB_RUNNING;
}

typedef struct job_options {
  snn_init method;
  snn_neuron neuron;
  float tau; /* neurons that leak */
  uint32_t timesteps[JOB_TIMESTEPS_MAX];
  size_t n_timesteps;
  snn_granularity granularity;
  bool fit_thresholds; /* matched: thresholds are found too */
  double holdout;      /* share of the pictures that is not calibrated with but judged by */
  double min_gain;     /* percentage points at the worst T */
  bool activate;
} job_options;

/* A job as its file tells it. */
typedef struct job_record {
  char model[MODEL_NAME_MAX + 1];
  uint64_t number;
  char model_sha256[DIGEST_HEX];
  job_state state;
  char phase[24];
  uint64_t done, total;
  job_options options;
  char key[JOB_KEY_MAX + 1]; /* "": none */
  char digest[DIGEST_HEX];   /* of the request's parts */
  char owner[192];
  uint64_t beat;
  char created[32], updated[32]; /* wall clock, for people */
  char error[512];               /* of a failed one */
  char *result;                  /* owned; JSON, of a succeeded one */
} job_record;

void job_record_clear(job_record *r);
void job_id_of(const job_record *r, char id[JOB_ID_MAX + 1]); /* "lenet-mnist-3" */

struct server;
typedef struct jobs jobs;

/* Start the thread; NULL when it or memory is refused. */
jobs *jobs_start(struct server *s);

/* Cancel what is alive here, report it failed, end the thread. Then jobs_free, once nobody calls jobs_tend any more.
 * NULL is allowed by both. */
void jobs_finish(jobs *j);
void jobs_free(jobs *j);

/* Write the beat, hear of cancellations, bury the jobs of owners that are gone. Once a second, by the store's thread.
 */
void jobs_tend(jobs *j);

/* Is a job of this model alive? Its id is given. */
bool jobs_alive(jobs *j, const char *model, char id[JOB_ID_MAX + 1]);

/* The job of a model that was made with a key; the caller clears it. False: none. */
bool jobs_find_key(jobs *j, const char *model, const char *key, job_record *out);

/* Would a job of so many pictures keep within --job-bytes? False with *p set: TOO_LARGE, naming how many would. */
bool jobs_fits(const jobs *j, const snn_network *net, size_t n_pictures, const job_options *o, problem *p);

/* Make a job of an upload (moved; the caller's is empty afterwards, whatever happened). *out, cleared by the caller,
 * tells it. False with *p set: CONFLICT, BUSY, STORAGE. */
bool jobs_submit(jobs *j, model_entry *entry, upload *u, const job_options *o, const char *key, const char *digest_text,
                 job_record *out, problem *p);

/* A job by its id, of whichever replica; the caller clears it. False: there is none. */
bool jobs_read(jobs *j, const char *id, job_record *out);

/* Ask a job to end, as jobs_read. One that is over stays as it is. */
bool jobs_cancel(jobs *j, const char *id, job_record *out);

/* Since the start, for metrics; [JOB_QUEUED] and [JOB_RUNNING] are those of now. */
void jobs_count(jobs *j, uint64_t counts[JOB_STATE_COUNT]);

/* What uploads may hold on the disk. */
spool_budget *jobs_spool_budget(jobs *j);

#endif
