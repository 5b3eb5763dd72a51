/* Generations and artifacts on the disk, and the thread that follows them. Keeps the invariants that an entry only ever
 * gets a calibration whose bytes were verified and that fits its network, and that no artifact is removed which a kept
 * pointer names. Does not make calibrations. */
#include "store.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "durable.h"
#include "json_store.h"
#include "server.h"
#include "store_internal.h"

enum {
  LOOK_MS = 1000,       /* between two looks, a fifth more or less */
  RETRY_MS = 30 * 1000, /* before a corrupt artifact is looked at again */
  POINTER_BYTES_MAX = 4096
};

/* ---- Folders ---------------------------------------------------------------------------------------------------- */

int store_folder(const store *st, const char *model, const char *what, bool make, char path[STORE_PATH_MAX]) {
  const char *root = st->server->config.state;
  int failed = 0;
  if (make) {
    failed = durable_make_folder(root);
    snprintf(path, STORE_PATH_MAX, "%s/%s", root, model);
    if (!failed) failed = durable_make_folder(path);
  }
  snprintf(path, STORE_PATH_MAX, "%s/%s/%s", root, model, what);
  return make && !failed ? durable_make_folder(path) : failed;
}

/* Does the name say a generation, as we print them? */
static bool parse_generation(const char *name, uint64_t *out) {
  return *name >= '1' && *name <= '9' && config_parse_unsigned(name, INT64_MAX - 1, out);
}

static int descending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? 1 : x > y ? -1 : 0;
}

int store_generations(const store *st, const char *model, uint64_t *out, size_t n_max) {
  char path[STORE_PATH_MAX];
  uint64_t all[2 * POINTERS_KEPT_MAX];
  size_t n = 0;
  store_folder(st, model, "active", false, path);
  DIR *dir = opendir(path);
  if (!dir) return errno == ENOENT ? 0 : -errno;
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    uint64_t g;
    if (!parse_generation(e->d_name, &g)) continue;
    if (n == sizeof all / sizeof *all) { /* far more than are kept: the lower half is of no use */
      qsort(all, n, sizeof *all, descending);
      n /= 2;
    }
    all[n++] = g;
  }
  closedir(dir);
  qsort(all, n, sizeof *all, descending);
  if (n > n_max) n = n_max;
  memcpy(out, all, n * sizeof *all);
  return (int)n;
}

bool store_read_pointer(const store *st, const char *model, uint64_t generation, store_pointer *out) {
  char folder[STORE_PATH_MAX], path[STORE_PATH_MAX + 32];
  uint8_t *text = NULL;
  size_t n = 0;
  store_folder(st, model, "active", false, folder);
  snprintf(path, sizeof path, "%s/%llu", folder, (unsigned long long)generation);
  bool ok = durable_read(path, POINTER_BYTES_MAX, &text, &n) == 0 &&
            json_store_parse_pointer((const char *)text, n, out) && out->generation == generation;
  free(text);
  return ok;
}

/* ---- Following -------------------------------------------------------------------------------------------------- */

/* With the lock held. NULL when there are too many. */
static follower *find_follower(store *st, const char *model) {
  for (size_t i = 0; i < st->n_followers; i++)
    if (strcmp(st->followers[i].model, model) == 0) return &st->followers[i];
  if (st->n_followers == MODELS_MAX) return NULL;
  follower *f = &st->followers[st->n_followers++];
  *f = (follower){0};
  snprintf(f->model, sizeof f->model, "%s", model);
  return f;
}

static void note_good(store *st, const char *model, uint64_t generation) {
  pthread_mutex_lock(&st->lock);
  follower *f = find_follower(st, model);
  if (f) {
    f->generation = generation;
    if (f->bad_generation <= generation) f->bad_generation = 0;
  }
  pthread_mutex_unlock(&st->lock);
}

/* A generation cannot be put in force. Logged and counted once. */
static void note_bad(store *st, const char *model, uint64_t generation, const char *id, const char *reason) {
  uint64_t now = snn_clock_ns();
  pthread_mutex_lock(&st->lock);
  follower *f = find_follower(st, model);
  bool is_new = f && f->bad_generation != generation;
  if (is_new) {
    f->bad_generation = generation;
    f->bad_since_ns = now;
    f->failures++;
  }
  if (f) f->bad_tried_ns = now;
  pthread_mutex_unlock(&st->lock);
  if (is_new)
    log_event(&st->server->log, LOG_ERROR, "calibration-refused",
              (log_field[]){LOG_TEXT("model", model), LOG_INTEGER("generation", generation), LOG_TEXT("id", id),
                            LOG_TEXT("reason", reason), LOG_LAST});
}

/* Was it tried and refused a moment ago? A file that is merely not there yet is looked for every time. */
static bool refused_lately(store *st, const char *model, const store_pointer *p) {
  char folder[STORE_PATH_MAX], path[STORE_PATH_MAX + DIGEST_HEX + 16];
  pthread_mutex_lock(&st->lock);
  const follower *f = find_follower(st, model);
  bool lately = f && f->bad_generation == p->generation &&
                snn_clock_ns() - f->bad_tried_ns < (uint64_t)RETRY_MS * UINT64_C(1000000);
  pthread_mutex_unlock(&st->lock);
  if (!lately) return false;
  store_folder(st, model, "artifacts", false, folder);
  snprintf(path, sizeof path, "%s/%s.safetensors", folder, p->id);
  return access(path, F_OK) == 0;
}

/* Put a generation in force, verified; false: it cannot be, and that was noted. *skipped: it is of another model file.
 */
static bool try_generation(store *st, model_entry *entry, uint64_t generation, bool *skipped) {
  store_pointer p;
  calibration *c = NULL;
  snn_error err = {0};
  *skipped = false;
  if (!store_read_pointer(st, entry->name, generation, &p)) {
    note_bad(st, entry->name, generation, "", "the pointer file cannot be read");
    return false;
  }
  if (*p.id) {
    if (strcmp(p.model_sha256, snn_network_identity(entry->network)) != 0) {
      *skipped = true;
      return false;
    }
    if (refused_lately(st, entry->name, &p)) return false;
    if (store_open(st, entry, p.id, &c, &err) != SNN_OK) {
      char reason[448];
      snprintf(reason, sizeof reason, "%s: %s", err.where, err.text);
      note_bad(st, entry->name, generation, p.id, reason);
      return false;
    }
    calibration_enter_force(c, generation);
  }
  if (repository_set_calibration(st->server, entry, c, generation, &err) != SNN_OK) {
    calibration_release(c);
    note_bad(st, entry->name, generation, p.id, "out of memory");
    return false;
  }
  note_good(st, entry->name, generation);
  log_event(&st->server->log, LOG_INFO, "calibration-in-force",
            (log_field[]){LOG_TEXT("model", entry->name), LOG_INTEGER("generation", generation),
                          LOG_TEXT("id", *p.id ? p.id : "none"), LOG_TEXT("by", p.by), LOG_LAST});
  return true;
}

void store_refresh(store *st, model_entry *entry) {
  uint64_t generations[POINTERS_KEPT_MAX] = {0};
  if (!st) return;
  pthread_mutex_lock(&st->refreshing);
  int n = store_generations(st, entry->name, generations, POINTERS_KEPT_MAX);
  uint64_t in_force = 0;
  calibration_release(registry_calibration(entry, &in_force));
  bool skipped = false;
  for (int i = 0; i < n && generations[i] > in_force; i++)
    if (try_generation(st, entry, generations[i], &skipped)) break;
  pthread_mutex_unlock(&st->refreshing);
}

static void look_at_all(store *st) {
  model_entry *entries[MODELS_MAX];
  size_t n = registry_all(&st->server->registry, entries);
  for (size_t i = 0; i < n; i++) {
    store_refresh(st, entries[i]);
    registry_release(entries[i]);
  }
}

/* A second from now, give or take a fifth, so that replicas do not come all at once. */
static struct timespec next_look(void) {
  struct timespec at;
  unsigned random = 0;
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) random = (unsigned)snn_clock_ns();
  clock_gettime(CLOCK_MONOTONIC, &at);
  long ms = LOOK_MS * 4 / 5 + (long)(random % (LOOK_MS * 2 / 5));
  at.tv_sec += ms / 1000;
  at.tv_nsec += ms % 1000 * 1000000;
  if (at.tv_nsec >= 1000000000) {
    at.tv_sec++;
    at.tv_nsec -= 1000000000;
  }
  return at;
}

static void *follow(void *context) {
  store *st = context;
  pthread_mutex_lock(&st->lock);
  while (!st->stopping) {
    struct timespec at = next_look();
    while (!st->stopping && pthread_cond_timedwait(&st->wake, &st->lock, &at) != ETIMEDOUT) {
    }
    if (st->stopping) break;
    pthread_mutex_unlock(&st->lock);
    look_at_all(st);
    jobs_tend(st->server->jobs);
    pthread_mutex_lock(&st->lock);
  }
  pthread_mutex_unlock(&st->lock);
  return NULL;
}

store *store_start(struct server *s) {
  store *st = calloc(1, sizeof *st);
  pthread_condattr_t monotonic;
  if (!st) return NULL;
  st->server = s;
  pthread_mutex_init(&st->refreshing, NULL);
  pthread_mutex_init(&st->lock, NULL);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&st->wake, &monotonic);
  pthread_condattr_destroy(&monotonic);
  int failed = durable_make_folder(s->config.state);
  if (!failed && access(s->config.state, R_OK | W_OK | X_OK) != 0) failed = errno;
  if (failed)
    log_event(&s->log, LOG_ERROR, "state-unusable",
              (log_field[]){LOG_TEXT("folder", s->config.state), LOG_TEXT("reason", strerror(failed)), LOG_LAST});
  if (pthread_create(&st->thread, NULL, follow, st) == 0) return st;
  free(st);
  return NULL;
}

void store_stop(store *st) {
  if (!st) return;
  pthread_mutex_lock(&st->lock);
  st->stopping = true;
  pthread_cond_signal(&st->wake);
  pthread_mutex_unlock(&st->lock);
  pthread_join(st->thread, NULL);
  pthread_cond_destroy(&st->wake);
  pthread_mutex_destroy(&st->lock);
  pthread_mutex_destroy(&st->refreshing);
  free(st);
}

void store_read_stats(store *st, const char *model, store_stats *out) {
  pthread_mutex_lock(&st->lock);
  const follower *f = find_follower(st, model);
  *out = (store_stats){0};
  if (f) {
    out->generation = f->generation;
    out->failures = f->failures;
    if (f->bad_generation > f->generation) out->lag_s = (double)(snn_clock_ns() - f->bad_since_ns) / 1e9;
  }
  pthread_mutex_unlock(&st->lock);
}
