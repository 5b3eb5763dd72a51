/* Starting and ending the daemon's parts, in the order of who uses whom. Owns no socket. */
#include "server.h"

#include <unistd.h>

enum { DECODERS_MAX = 2 };

const char *server_state_name(server_state state) {
  switch (state) {
    case SERVER_STARTING: return "starting";
    case SERVER_READY: return "ready";
    case SERVER_DRAINING: return "draining";
  }
  return "unknown";
}

bool server_init(server *s, const config *c) {
  *s = (server){.config = *c};
  log_init(&s->log, STDERR_FILENO, c->log_json);
  s->limits = (option_limits){.max_timesteps = (uint32_t)c->max_timesteps, .max_operations = c->max_operations};
  s->started_ns = snn_clock_ns();
  atomic_init(&s->state, SERVER_STARTING);
  atomic_init(&s->drain_asked, false);
  atomic_init(&s->in_flight, 0);
  atomic_init(&s->n_models_loaded, 0);
  admin_gate_init(&s->admin, &s->config, &s->log);
  bool ok = api_keys_init(&s->keys, s->config.api_keys_file, &s->log);
  registry_init(&s->registry);
  ok = repository_init(&s->repository) && ok;
  ok = metrics_init(&s->metrics) && ok;
  courtesy_init(&s->courtesy);
  ledger_init(&s->ledger, c->queue, c->queue_bytes);
  if (ok) s->scheduler = scheduler_start((uint32_t)c->threads);
  uint32_t workers = snn_thread_budget() < DECODERS_MAX ? snn_thread_budget() : DECODERS_MAX;
  if (s->scheduler) s->decoders = decode_start(workers, s->scheduler);
  if (s->decoders) s->chores = chores_start(s);
  bool ready = s->chores != NULL;
  if (ready && *c->state) ready = (s->jobs = jobs_start(s)) != NULL && (s->store = store_start(s)) != NULL;
  s->limits.store = s->store;
  if (ready) return true;
  log_event(&s->log, LOG_ERROR, "start-failed",
            (log_field[]){
                LOG_TEXT("reason", ok ? "a thread or memory was refused" : "the API keys, or memory, cannot be had"),
                LOG_LAST});
  server_destroy(s);
  return false;
}

void server_destroy(server *s) {
  chores_stop(s->chores);
  jobs_finish(s->jobs);
  store_stop(s->store);
  jobs_free(s->jobs);
  decode_stop(s->decoders);
  scheduler_stop(s->scheduler);
  refusals_tell(&s->refusals, &s->log, UINT64_MAX);
  registry_destroy(&s->registry);
  repository_destroy(&s->repository);
  metrics_destroy(&s->metrics);
  admin_gate_destroy(&s->admin);
  api_keys_destroy(&s->keys);
  ledger_destroy(&s->ledger);
  log_destroy(&s->log);
}

static void load_all(server *s, void *context) {
  repository_changes changes = repository_rescan(s);
  if (changes.loaded + changes.refused == 0 && !atomic_load(&s->repository.stop))
    log_event(&s->log, LOG_ERROR, "no-models",
              (log_field[]){LOG_TEXT("folder", s->config.models), LOG_TEXT("expected", "<name>/model.safetensors"),
                            LOG_LAST});
  atomic_store(&s->n_models_loaded, changes.loaded);
  events_wake(context);
}

void server_begin_loading(server *s, const events *wake) {
  chores_submit(s->chores, load_all, (void *)(uintptr_t)wake);
}

static void reload(server *s, void *context) {
  (void)context;
  repository_changes changes = repository_rescan(s);
  log_event(&s->log, LOG_INFO, "reloaded",
            (log_field[]){LOG_INTEGER("loaded", changes.loaded), LOG_INTEGER("refused", changes.refused),
                          LOG_INTEGER("removed", changes.removed), LOG_LAST});
}

void server_reload(server *s) {
  admin_gate_reload(&s->admin);
  api_keys_reload(&s->keys);
  if (!chores_submit(s->chores, reload, NULL)) log_event(&s->log, LOG_WARNING, "reload-skipped", NULL);
}
