/* The daemon's parts, put together: what every handler may use. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdatomic.h>

#include "config.h"
#include "decode.h"
#include "ledger.h"
#include "log.h"
#include "registry.h"
#include "scheduler.h"

typedef enum server_state { SERVER_STARTING, SERVER_READY, SERVER_DRAINING } server_state;

typedef struct server {
  config config; /* read-only once the server runs */
  logger log;
  option_limits limits;
  registry registry;
  ledger ledger;
  scheduler *scheduler;
  decode_pool *decoders;
  uint64_t started_ns;
  _Atomic server_state state;
  atomic_size_t in_flight; /* requests from their header to their last answer byte */
} server;

/* Start scheduler and decode workers. False, logged, when a thread is refused. */
bool server_init(server *s, const config *c);

/* Load, warm up and publish every model of the folder; bad ones are logged and left out. The number published. */
size_t server_load_models(server *s);

/* End the workers and free everything. No request may be in flight. */
void server_destroy(server *s);

const char *server_state_name(server_state state);

#endif
