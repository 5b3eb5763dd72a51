/* The state folder: calibrations as immutable artifacts, and which of them is in force, shared by any number of
 * replicas.
 *
 *   STATE/<model>/artifacts/<sha256>.safetensors   a calibration; never changed, only collected
 *   STATE/<model>/active/<generation>              a pointer: JSON naming an artifact, or null for the model's own
 *   STATE/<model>/jobs/<number>                    what jobs are about; see jobs.h
 *
 * A generation is claimed by link(2): whoever comes second gets EEXIST, on whichever machine. The highest generation
 * whose artifact can be used by the network is in force; taking a calibration back is one more generation. Every
 * replica looks once a second, verifies, and swaps. All functions may block on the disk; none may be called with a lock
 * held. Any thread may call. */
#ifndef SERVER_STORE_H
#define SERVER_STORE_H

#include "calibration.h"
#include "problem.h"
#include "registry.h"

struct server;

typedef struct store store;

enum { STORE_PATH_MAX = 4256, STORE_BY_MAX = 160, STORE_TIME_MAX = 32, POINTERS_KEPT_MAX = 1024 };

/* Content of a pointer file. */
typedef struct store_pointer {
  uint64_t generation;
  char id[DIGEST_HEX];           /* "": the model's own potentials */
  char model_sha256[DIGEST_HEX]; /* of the model it was made for */
  char by[STORE_BY_MAX];         /* "job lenet-mnist-3", "request 5e1f…" */
  char at[STORE_TIME_MAX];       /* wall clock, for people */
} store_pointer;

/* Use config.state and start looking. NULL, logged, when a thread or memory is refused. A folder that cannot be used is
 * logged and tried again: serving does not depend on it. */
store *store_start(struct server *s);
void store_stop(store *st); /* NULL is allowed */

/* The folder of a model's artifacts, pointers or jobs ("artifacts", "active", "jobs"), made when `make`. 0 or an errno
 * value. */
int store_folder(const store *st, const char *model, const char *what, bool make, char path[STORE_PATH_MAX]);

/* Make an entry's calibration the one in force now. Called for a new entry before it is published, and by the look once
 * a second. A bad artifact leaves the entry as it is, logged once and counted. NULL store: nothing happens. */
void store_refresh(store *st, model_entry *entry);

/* Generations there are, highest first, at most n_max; their number. -errno when the folder cannot be read. */
int store_generations(const store *st, const char *model, uint64_t *out, size_t n_max);
bool store_read_pointer(const store *st, const char *model, uint64_t generation, store_pointer *out);

/* Claim the generation after `expected`, which must be the highest, for the artifact `id` (NULL: the model's own), and
 * put it in force here. False with *p set: STALE when another generation was claimed, NOT_FOUND, CONFLICT (made for
 * another network), STORAGE. */
bool store_activate(store *st, model_entry *entry, const char *id, uint64_t expected, const char *by,
                    uint64_t *generation, problem *p);

/* Save tables as an artifact; its id is given. Errors: those of snn_calibration_save. */
snn_status store_add(store *st, const model_entry *entry, const snn_calibration *tables, char id[DIGEST_HEX],
                     snn_error *err);

/* The id that an id, its first digits (8 and more), or a name such as "7-91c2d03b5e6f" stands for. False: none, or
 * several. */
bool store_resolve(const store *st, const char *model, const char *text, char id[DIGEST_HEX]);

/* A calibration of the network by its id, from the disk; a new reference. Errors: those of calibration_load. */
snn_status store_open(const store *st, const model_entry *entry, const char *id, calibration **out, snn_error *err);

/* An artifact as the folder shows it. */
typedef struct store_artifact {
  char id[DIGEST_HEX];
  uint64_t n_bytes;
  int64_t modified_ns; /* when it was made, or last activated */
} store_artifact;

/* Artifacts, newest first; *out is malloc'ed. 0 or an errno value. */
int store_artifacts(const store *st, const char *model, store_artifact **out, size_t *n);

/* Remove artifacts beyond --keep-calibrations, oldest first, except those that a kept pointer names, and old pointers.
 */
void store_collect(store *st, const char *model);

/* For metrics. */
typedef struct store_stats {
  uint64_t generation; /* in force */
  double lag_s;        /* how long a newer one could not be put in force; 0: none waits */
  uint64_t failures;   /* generations that could not be put in force, since the start */
} store_stats;

void store_read_stats(store *st, const char *model, store_stats *out);

#endif
