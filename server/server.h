/* The daemon's parts, put together: what every handler may use. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdatomic.h>

#include "admin.h"
#include "api_keys.h"
#include "chores.h"
#include "config.h"
#include "courtesy.h"
#include "decode.h"
#include "events.h"
#include "jobs.h"
#include "ledger.h"
#include "log.h"
#include "metrics.h"
#include "refusals.h"
#include "registry.h"
#include "repository.h"
#include "scheduler.h"
#include "store.h"

typedef enum server_state { SERVER_STARTING, SERVER_READY, SERVER_DRAINING } server_state;

typedef struct server {
  config config; /* read-only once the server runs */
  logger log;
  option_limits limits;
  admin_gate admin;
  api_keys keys;
  registry registry;
  repository repository;
  ledger ledger;
  metrics metrics;
  refusals refusals;
  courtesy courtesy;
  scheduler *scheduler;
  decode_pool *decoders;
  chores *chores;
  jobs *jobs;   /* NULL without --state */
  store *store; /* the same */
  uint64_t started_ns;
  _Atomic server_state state;
  atomic_bool drain_asked;       /* by POST /v1/drain: a signal is under way, which a second one would cut short */
  atomic_size_t n_models_loaded; /* by server_begin_loading */
  atomic_size_t in_flight;       /* requests from their header to their last answer byte */
} server;

/* Start scheduler, decode workers and chores. False, logged, when a thread is refused. */
bool server_init(server *s, const config *c);

/* Load every model of the folder on the chores' thread, then wake `wake` with n_models_loaded set. */
void server_begin_loading(server *s, const events *wake);

/* What SIGHUP asks for: read the admin token again, and make what is served follow the folder. That on the chores'
 * thread; returns at once. */
void server_reload(server *s);

/* End the workers and free everything. No request may be in flight. */
void server_destroy(server *s);

const char *server_state_name(server_state state);

#endif
