/* What jobs.c and job_run.c share: a job in this process. */
#ifndef SERVER_JOBS_INTERNAL_H
#define SERVER_JOBS_INTERNAL_H

#include "jobs.h"
#include "server.h"

typedef struct job {
  struct job *next;
  server *server;
  model_entry *entry; /* a reference */
  upload upload;
  uint64_t generation; /* the latest one claimed when it was made: another one since, and it does not activate */
  atomic_bool cancel;
  bool lost;         /* another replica buried it: its file is no longer ours to write */
  job_record record; /* behind the jobs' lock */
} job;

/* Tell how far a job is: done of total of a phase, and what share of the whole the phase is, in thousandths. */
void jobs_progress(job *j, const char *phase, unsigned from, unsigned to, size_t done, size_t total);

/* The work, on the jobs' thread: true with *result set to malloc'ed JSON, or false with a reason in `error`. */
bool job_run(job *j, char **result, char *error, size_t n_error);

#endif
