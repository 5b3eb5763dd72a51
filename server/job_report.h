/* What a job found out: the figures of before and after, and what became of them. */
#ifndef SERVER_JOB_REPORT_H
#define SERVER_JOB_REPORT_H

#include "calibration.h"
#include "jobs.h"

enum {
  JOB_NAMED_MAX = 10,         /* undecodable pictures that are named */
  JOB_UNDECODABLE_SHARE = 20, /* one in so many may be undecodable */
  JOB_REASON_MAX = 256
};

/* One T, before or after. */
typedef struct job_side {
  snn_run_options run;        /* as a request would be run */
  double accuracy, agreement; /* percent; accuracy only where every judged picture has a label */
  snn_layer_match *layers;    /* [layers], owned */
} job_side;

typedef struct job_row {
  uint32_t timesteps;
  job_side before, after;
  double gain, gain_low, gain_high; /* percentage points of accuracy, else of agreement; their 95 % interval */
} job_row;

typedef struct job_report {
  const job_options *options;
  const calibration *before; /* in force when the job began; NULL: the model's own */
  size_t n_received, n_used, n_judged, n_undecodable;
  struct {
    char name[UPLOAD_NAME_MAX + 1], reason[160];
  } undecodable[JOB_NAMED_MAX];
  bool labelled;
  double float_accuracy;
  job_row rows[JOB_TIMESTEPS_MAX];
  size_t n_rows, worst; /* 0 rows: nothing was held out */
  char id[DIGEST_HEX];  /* of the artifact */
  bool activated;
  uint64_t generation;
  char reason[JOB_REASON_MAX]; /* why not activated */
} job_report;

/* Room for the layers of each row. False when out of memory; job_report_free frees what there is. */
bool job_report_allocate(job_report *r, const snn_network *net);
void job_report_free(job_report *r);

/* The member `result` of a job, and what the artifact carries about its making: malloc'ed JSON, NULL when out of
 * memory. */
char *json_report(const job_report *r, const snn_network *net);
char *json_report_provenance(const job_report *r, const snn_network *net, const char *job_id, const char *created);

#endif
