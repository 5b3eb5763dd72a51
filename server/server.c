/* Starting and ending the daemon's parts, and loading its models. Keeps the invariant that a model is published only
 * when it has run once. Owns no socket. */
#include "server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "json_info.h"

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
  s->limits = (option_limits){.max_timesteps = (uint32_t)c->max_timesteps};
  s->started_ns = snn_clock_ns();
  atomic_init(&s->state, SERVER_STARTING);
  atomic_init(&s->in_flight, 0);
  registry_init(&s->registry);
  ledger_init(&s->ledger, c->queue, c->queue_bytes);
  s->scheduler = scheduler_start((uint32_t)c->threads);
  uint32_t workers = snn_thread_budget() < DECODERS_MAX ? snn_thread_budget() : DECODERS_MAX;
  if (s->scheduler) s->decoders = decode_start(workers, s->scheduler);
  if (s->decoders) return true;
  log_event(&s->log, LOG_ERROR, "start-failed", (log_field[]){LOG_TEXT("reason", "a thread was refused"), LOG_LAST});
  server_destroy(s);
  return false;
}

/* 64 bits of FNV-1a: tells two descriptions of one model file (other limits, other version) apart. */
static uint64_t fingerprint(const char *text) {
  uint64_t h = UINT64_C(14695981039346656037);
  for (; *text; text++) h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
  return h;
}

static bool describe(const server *s, model_entry *entry, snn_error *err) {
  entry->description = json_info_model(entry, &s->config);
  if (!entry->description) {
    err->status = SNN_ERR_NO_MEMORY;
    return false;
  }
  snprintf(entry->etag, sizeof entry->etag, "\"%.16s-%016llx\"", snn_network_sha256(entry->network),
           (unsigned long long)fingerprint(entry->description));
  return true;
}

static bool load_model(server *s, const char *name) {
  snn_error err = {0};
  model_entry *entry = NULL;
  uint64_t begin = snn_clock_ns();
  snn_status status = registry_load(s->config.models, name, &entry, &err);
  if (status == SNN_OK) status = scheduler_prepare(s->scheduler, entry, &err);
  if (status == SNN_OK && !describe(s, entry, &err)) status = err.status;
  if (status == SNN_OK && !registry_publish(&s->registry, entry)) status = SNN_ERR_TOO_LARGE;
  if (status != SNN_OK) {
    registry_release(entry);
    log_event(&s->log, LOG_ERROR, "model-refused",
              (log_field[]){LOG_TEXT("model", name), LOG_TEXT("status", snn_status_name(status)),
                            LOG_TEXT("where", err.where), LOG_TEXT("reason", err.text), LOG_LAST});
    return false;
  }
  log_event(&s->log, LOG_INFO, "model-loaded",
            (log_field[]){LOG_TEXT("model", name), LOG_TEXT("sha256", snn_network_sha256(entry->network)),
                          LOG_INTEGER("neurons", snn_network_neurons(entry->network)),
                          LOG_REAL("load_ms", (double)(snn_clock_ns() - begin) / 1e6), LOG_LAST});
  return true;
}

size_t server_load_models(server *s) {
  char(*names)[MODEL_NAME_MAX + 1] = NULL;
  size_t n = 0, loaded = 0;
  if (!registry_list_folder(s->config.models, &s->log, &names, &n)) return 0;
  for (size_t i = 0; i < n; i++) loaded += load_model(s, names[i]);
  if (n == 0)
    log_event(&s->log, LOG_ERROR, "no-models",
              (log_field[]){LOG_TEXT("folder", s->config.models), LOG_TEXT("expected", "<name>/model.safetensors"),
                            LOG_LAST});
  free(names);
  return loaded;
}

void server_destroy(server *s) {
  decode_stop(s->decoders);
  scheduler_stop(s->scheduler);
  registry_destroy(&s->registry);
  ledger_destroy(&s->ledger);
  log_destroy(&s->log);
}
