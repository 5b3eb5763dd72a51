/* The models being served: names to reference-counted entries.
 *
 * An entry is immutable but for its session, which belongs to the scheduler's thread, and the calibration in force with
 * what is told of it, which are behind the entry's lock. Requests hold a reference while
 * they run, so that replacing an entry never pulls a network from under one: the last holder frees it. */
#ifndef SERVER_REGISTRY_H
#define SERVER_REGISTRY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "calibration.h"
#include "log.h"
#include "run_memo.h"
#include "snn/network.h"
#include "snn/session.h"

enum { MODEL_NAME_MAX = 64, MODELS_MAX = 256, MODEL_ETAG_MAX = 48 };

#define MODEL_BYTES_MAX ((uintmax_t)1 << 32) /* of a model file */

/* Which file an entry came from: differs once it was replaced or written to. */
typedef struct file_stamp {
  uint64_t device, inode, bytes;
  int64_t modified_s, modified_ns;
} file_stamp;

typedef struct model_entry {
  char name[MODEL_NAME_MAX + 1];
  uint8_t *bytes; /* owned; the whole model file, which the network refers to */
  size_t n_bytes;
  file_stamp stamp;
  snn_network *network;          /* owned */
  snn_session *session;          /* owned; created, used by the scheduler's thread only */
  struct model_metrics *metrics; /* borrowed from the server's; NULL: not counted */
  run_memo memo;
  pthread_mutex_t lock;      /* of the next four */
  calibration *calibration;  /* in force, a reference; NULL: the model's own potentials */
  uint64_t generation;       /* that put it, or the model's own, in force; 0: none ever was */
  char *description;         /* owned; the JSON of GET /v1/models/{name} */
  char etag[MODEL_ETAG_MAX]; /* of `description`, with its quotes */
  atomic_size_t holders;     /* references; the registry's own is one */
} model_entry;

typedef struct registry {
  pthread_mutex_t lock;
  model_entry *entries[MODELS_MAX]; /* in byte order of their names */
  size_t n;
} registry;

void registry_init(registry *r);
void registry_destroy(registry *r);

/* ^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$ */
bool registry_name_valid(const char *name);

/* The names of model folders in `folder`, in byte order; *names is one malloc'ed array of fixed-size rows. Folders with
 * other names and without a model file are logged and left out. False when the folder cannot be read. */
bool registry_list_folder(const char *folder, logger *log_to, char (**names)[MODEL_NAME_MAX + 1], size_t *n);

/* An empty entry with one reference, not yet published; NULL when out of memory. repository.c fills it. */
model_entry *registry_new_entry(const char *name);

/* Publish an entry under its name (takes the reference); one of the same name is replaced and released. False when
 * there are MODELS_MAX already: the entry then stays the caller's. */
bool registry_publish(registry *r, model_entry *entry);

/* Take the entry of that name out and release it; false when there is none. */
bool registry_remove(registry *r, const char *name);

/* A reference to the entry of that name, NULL when there is none. */
model_entry *registry_find(registry *r, const char *name);

/* References to all entries in out[MODELS_MAX], in byte order of their names; their number is returned. */
size_t registry_all(registry *r, model_entry **out);

/* The calibration in force, a new reference, NULL for none; *generation may be NULL. */
calibration *registry_calibration(model_entry *entry, uint64_t *generation);

/* Put a calibration in force (takes the reference; NULL: the model's own) with what is told of the model from now on
 * (takes `description`). Who holds the one before goes on with it. */
void registry_set_calibration(model_entry *entry, calibration *c, uint64_t generation, char *description,
                              const char *etag);

/* A copy of the description, malloc'ed, and its tag; NULL when out of memory. */
char *registry_description(model_entry *entry, char etag[MODEL_ETAG_MAX]);

model_entry *registry_hold(model_entry *entry); /* one more reference */
void registry_release(model_entry *entry);      /* NULL is allowed */

#endif
