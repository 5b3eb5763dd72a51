/* The model folder and what is served from it: load, reload, unload, rescan.
 *
 * A (re)load reads the file into memory of our own, makes a session, runs it once, and only then puts the new entry in
 * the old one's place: requests under way finish on the old one, and a bad file changes nothing but the report. One
 * operation at a time. All of these read the disk and wait for the scheduler: call them from the chores' thread or
 * another that may wait, never from a socket thread nor the scheduler's. */
#ifndef SERVER_REPOSITORY_H
#define SERVER_REPOSITORY_H

#include <stdatomic.h>

#include "registry.h"

enum { REPORT_REASON_MAX = 448 };

struct server;

/* Why a model of the folder is not served, or not in its newest version. */
typedef struct model_report {
  char name[MODEL_NAME_MAX + 1];
  bool ready;                     /* some version of it is being served */
  char reason[REPORT_REASON_MAX]; /* of the last load, when it failed, or "unloaded"; "" otherwise */
} model_report;

typedef struct repository {
  pthread_mutex_t loading; /* held during an operation */
  pthread_mutex_t lock;    /* of the reports */
  model_report *reports;   /* [MODELS_MAX]: models whose last load failed, or that were unloaded */
  size_t n_reports;
  atomic_bool stop; /* raised: give up between two models */
} repository;

bool repository_init(repository *r); /* false when out of memory */
void repository_destroy(repository *r);

/* Load DIR/name/model.safetensors, new or again. Errors: ARGUMENT (no valid name), NOT_FOUND, TOO_LARGE (MODELS_MAX
 * already), and those of snn_network_load_memory and snn_session_create; whatever was served before still is. Logged.
 */
snn_status repository_load(struct server *s, const char *name, snn_error *err);

/* Stop serving a model; requests under way finish. Errors: NOT_FOUND. Logged. */
snn_status repository_unload(struct server *s, const char *name, snn_error *err);

/* Put a calibration in force for an entry (takes the reference on success; NULL: the model's own) and describe the
 * model anew. Errors: NO_MEMORY. */
snn_status repository_set_calibration(const struct server *s, model_entry *entry, calibration *c, uint64_t generation,
                                      snn_error *err);

/* What a rescan did. */
typedef struct repository_changes {
  size_t loaded, refused, removed;
} repository_changes;

/* Make what is served follow the folder: load models that are new or whose file changed, unload those whose file is
 * gone. With an unreadable folder everything stays. Logged. */
repository_changes repository_rescan(struct server *s);

/* Every model of the folder and every one served, in byte order of their names; *out is malloc'ed. Errors: NO_MEMORY.
 */
snn_status repository_index(struct server *s, model_report **out, size_t *n, snn_error *err);

#endif
