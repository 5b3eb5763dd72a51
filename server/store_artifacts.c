/* The store's other half: artifacts, and claiming generations for them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "durable.h"
#include "json_store.h"
#include "server.h"
#include "store_internal.h"

enum { ARTIFACTS_LISTED_MAX = 4096 };

static const char suffix[] = ".safetensors";

static int newest_first(const void *a, const void *b) {
  const store_artifact *x = a, *y = b;
  if (x->modified_ns != y->modified_ns) return x->modified_ns < y->modified_ns ? 1 : -1;
  return strcmp(x->id, y->id);
}

/* Does a file's name say an artifact? Its id is given. */
static bool parse_artifact(const char *name, char id[DIGEST_HEX]) {
  size_t n = strlen(name);
  if (n != DIGEST_HEX - 1 + sizeof suffix - 1 || strcmp(name + DIGEST_HEX - 1, suffix) != 0) return false;
  memcpy(id, name, DIGEST_HEX - 1);
  id[DIGEST_HEX - 1] = 0;
  return digest_valid(id);
}

int store_artifacts(const store *st, const char *model, store_artifact **out, size_t *n) {
  char path[STORE_PATH_MAX];
  size_t count = 0, capacity = 0;
  store_artifact *list = NULL;
  store_folder(st, model, "artifacts", false, path);
  DIR *dir = opendir(path);
  if (!dir && errno != ENOENT) return errno;
  for (struct dirent *e; dir && (e = readdir(dir)) != NULL && count < ARTIFACTS_LISTED_MAX;) {
    struct stat s;
    char id[DIGEST_HEX];
    if (!parse_artifact(e->d_name, id) || fstatat(dirfd(dir), e->d_name, &s, 0) != 0 || !S_ISREG(s.st_mode)) continue;
    if (count == capacity) {
      capacity = capacity ? 2 * capacity : 16;
      store_artifact *larger = realloc(list, capacity * sizeof *list);
      if (!larger) {
        free(list);
        closedir(dir);
        return ENOMEM;
      }
      list = larger;
    }
    store_artifact *a = &list[count++];
    *a = (store_artifact){.n_bytes = (uint64_t)s.st_size,
                          .modified_ns = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec};
    memcpy(a->id, id, sizeof a->id);
  }
  if (dir) closedir(dir);
  if (list) qsort(list, count, sizeof *list, newest_first);
  *out = list;
  *n = count;
  return 0;
}

bool store_resolve(const store *st, const char *model, const char *text, char id[DIGEST_HEX]) {
  store_artifact *list = NULL;
  size_t n = 0, found = 0;
  const char *digits = calibration_digits(text);
  if (!digits || store_artifacts(st, model, &list, &n) != 0) return false;
  for (size_t i = 0; i < n; i++)
    if (strncmp(list[i].id, digits, strlen(digits)) == 0 && found++ == 0) memcpy(id, list[i].id, DIGEST_HEX);
  free(list);
  return found == 1;
}

snn_status store_open(const store *st, const model_entry *entry, const char *id, calibration **out, snn_error *err) {
  char folder[STORE_PATH_MAX];
  store_folder(st, entry->name, "artifacts", false, folder);
  return calibration_load(folder, id, entry->network, out, err);
}

static snn_status fail(snn_error *err, int failed) {
  *err = (snn_error){.status = failed == ENOMEM ? SNN_ERR_NO_MEMORY : SNN_ERR_IO, .where = "state"};
  snprintf(err->text, sizeof err->text, "%s", strerror(failed));
  return err->status;
}

snn_status store_add(store *st, const model_entry *entry, const snn_calibration *tables, char id[DIGEST_HEX],
                     snn_error *err) {
  char folder[STORE_PATH_MAX], fresh[STORE_PATH_MAX + 64], path[STORE_PATH_MAX + DIGEST_HEX + 16];
  uint8_t *bytes = NULL;
  size_t n = 0;
  int failed = store_folder(st, entry->name, "artifacts", true, folder);
  if (failed) return fail(err, failed);
  durable_sweep(folder);
  /* One job a model runs at a time, so the name is nobody else's; a leftover of a crash is replaced. */
  snprintf(fresh, sizeof fresh, "%s/.new-%ld", folder, (long)getpid());
  snn_status status = snn_calibration_save(tables, fresh, err);
  if (status != SNN_OK) { /* said without the name of a file that only we know */
    snprintf(err->where, sizeof err->where, "state");
    return status;
  }
  failed = durable_read(fresh, ARTIFACT_BYTES_MAX, &bytes, &n);
  if (!failed) {
    digest_of(bytes, n, id);
    snprintf(path, sizeof path, "%s/%s%s", folder, id, suffix);
    if (rename(fresh, path) != 0) failed = errno;
    if (!failed) failed = durable_flush_folder(folder);
  }
  if (failed) unlink(fresh);
  free(bytes);
  return failed ? fail(err, failed) : SNN_OK;
}

static void now_text(char out[STORE_TIME_MAX]) {
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  strftime(out, STORE_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

static bool storage(problem *p, int failed) {
  return problem_set(p, PROBLEM_STORAGE, "the state folder cannot be written: %s", strerror(failed));
}

/* An artifact that was collected between the check and the claim comes back from memory. */
static void restore_if_gone(const char *folder, const calibration *c) {
  char path[STORE_PATH_MAX + DIGEST_HEX + 16], name[DIGEST_HEX + 16];
  snprintf(name, sizeof name, "%s%s", c->id, suffix);
  snprintf(path, sizeof path, "%s/%s", folder, name);
  if (access(path, F_OK) != 0 && errno == ENOENT) durable_claim(folder, name, c->bytes, c->n_bytes);
}

bool store_activate(store *st, model_entry *entry, const char *id, uint64_t expected, const char *by,
                    uint64_t *generation, problem *p) {
  char active[STORE_PATH_MAX], artifacts[STORE_PATH_MAX], name[24];
  calibration *c = NULL;
  char *text = NULL;
  uint64_t highest = 0;
  bool ok = false;
  store_pointer pointer = {.generation = expected + 1};
  int failed = store_folder(st, entry->name, "active", true, active);
  if (!failed) failed = store_folder(st, entry->name, "artifacts", true, artifacts);
  int n = failed ? 0 : store_generations(st, entry->name, &highest, 1);
  if (failed || n < 0) return storage(p, failed ? failed : -n);
  if (highest != expected)
    return problem_set(p, PROBLEM_STALE, "If-Match: generation %llu is the latest, not %llu",
                       (unsigned long long)highest, (unsigned long long)expected);
  if (id) {
    snn_error err = {0};
    snn_status status = store_open(st, entry, id, &c, &err);
    if (status == SNN_ERR_NOT_FOUND) return problem_set(p, PROBLEM_NOT_FOUND, "id: there is no calibration %.64s", id);
    if (status != SNN_OK) return problem_set(p, PROBLEM_CONFLICT, "id: %s: %s", err.where, err.text);
    snprintf(pointer.id, sizeof pointer.id, "%s", id);
    char path[STORE_PATH_MAX + DIGEST_HEX + 16];
    snprintf(path, sizeof path, "%s/%s%s", artifacts, id, suffix);
    (void)utimensat(AT_FDCWD, path, NULL, 0); /* used just now: the last to be collected */
  }
  snprintf(pointer.model_sha256, sizeof pointer.model_sha256, "%s", snn_network_identity(entry->network));
  snprintf(pointer.by, sizeof pointer.by, "%s", by);
  now_text(pointer.at);
  snprintf(name, sizeof name, "%llu", (unsigned long long)pointer.generation);
  text = json_store_print_pointer(&pointer);
  failed = text ? durable_claim(active, name, text, strlen(text)) : ENOMEM;
  if (failed == EEXIST) {
    problem_set(p, PROBLEM_STALE, "If-Match: generation %s was claimed by another this moment", name);
  } else if (failed) {
    storage(p, failed);
  } else {
    if (c) restore_if_gone(artifacts, c);
    *generation = pointer.generation;
    store_refresh(st, entry);
    store_collect(st, entry->name);
    ok = true;
  }
  free(text);
  calibration_release(c);
  return ok;
}

/* ---- Collecting ------------------------------------------------------------------------------------------------- */

static bool is_named(const store_pointer *kept, size_t n, const char *id) {
  for (size_t i = 0; i < n; i++)
    if (strcmp(kept[i].id, id) == 0) return true;
  return false;
}

void store_collect(store *st, const char *model) {
  uint64_t generations[POINTERS_KEPT_MAX];
  char folder[STORE_PATH_MAX], path[STORE_PATH_MAX + DIGEST_HEX + 16];
  size_t keep = (size_t)st->server->config.keep_calibrations, n_artifacts = 0, n_kept = 0;
  store_artifact *artifacts = NULL;
  store_pointer *kept = calloc(keep + 1, sizeof *kept);
  store_stats stats;
  int n = store_generations(st, model, generations, POINTERS_KEPT_MAX);
  if (!kept || n < 0) goto cleanup;
  store_read_stats(st, model, &stats);
  store_folder(st, model, "active", false, folder);
  for (int i = 0; i < n; i++) {
    if ((size_t)i < keep || generations[i] == stats.generation) {
      /* One that cannot be read may name anything: nothing is collected then. */
      if (!store_read_pointer(st, model, generations[i], &kept[n_kept++])) goto cleanup;
      continue;
    }
    snprintf(path, sizeof path, "%s/%llu", folder, (unsigned long long)generations[i]);
    unlink(path);
  }
  if (store_artifacts(st, model, &artifacts, &n_artifacts) != 0) goto cleanup;
  store_folder(st, model, "artifacts", false, folder);
  for (size_t i = keep; i < n_artifacts; i++) {
    if (is_named(kept, n_kept, artifacts[i].id)) continue;
    snprintf(path, sizeof path, "%s/%s%s", folder, artifacts[i].id, suffix);
    if (unlink(path) == 0)
      log_event(&st->server->log, LOG_INFO, "calibration-collected",
                (log_field[]){LOG_TEXT("model", model), LOG_TEXT("id", artifacts[i].id), LOG_LAST});
  }

cleanup:
  free(artifacts);
  free(kept);
}
