/* The models being served: names to reference-counted entries.
 *
 * An entry is immutable but for its session, which belongs to the scheduler's thread. Requests hold a reference while
 * they run, so that replacing an entry never pulls a network from under one: the last holder frees it. */
#ifndef SERVER_REGISTRY_H
#define SERVER_REGISTRY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "log.h"
#include "snn/network.h"
#include "snn/session.h"

enum { MODEL_NAME_MAX = 64, MODELS_MAX = 256 };

typedef struct model_entry {
  char name[MODEL_NAME_MAX + 1];
  snn_network *network;  /* owned */
  snn_session *session;  /* owned; created, used by the scheduler's thread only */
  char *description;     /* owned; the JSON of GET /v1/models/{name}, made when the entry was */
  char etag[48];         /* of `description`, with its quotes */
  atomic_size_t holders; /* references; the registry's own is one */
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

/* Load FOLDER/name/model.safetensors into a new entry with one reference, not yet published and without a session.
 * Errors: those of snn_network_load. */
snn_status registry_load(const char *folder, const char *name, model_entry **out, snn_error *err);

/* Publish an entry under its name (takes the reference); one of the same name is replaced and released. False when
 * there are MODELS_MAX already: the entry then stays the caller's. */
bool registry_publish(registry *r, model_entry *entry);

/* A reference to the entry of that name, NULL when there is none. */
model_entry *registry_find(registry *r, const char *name);

/* References to all entries in out[MODELS_MAX], in byte order of their names; their number is returned. */
size_t registry_all(registry *r, model_entry **out);

void registry_release(model_entry *entry); /* NULL is allowed */

#endif
