/* Names to models. Keeps the invariants that a published entry is complete, and that an entry lives as long as anyone
 * holds it. Does not watch the folder and never changes an entry. */
#include "registry.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void registry_init(registry *r) {
  pthread_mutex_init(&r->lock, NULL);
  r->n = 0;
}

void registry_destroy(registry *r) {
  for (size_t i = 0; i < r->n; i++) registry_release(r->entries[i]);
  pthread_mutex_destroy(&r->lock);
}

bool registry_name_valid(const char *name) {
  size_t n = strnlen(name, MODEL_NAME_MAX + 1);
  if (n == 0 || n > MODEL_NAME_MAX || !isalnum((unsigned char)name[0])) return false;
  for (size_t i = 1; i < n; i++)
    if (!isalnum((unsigned char)name[i]) && !strchr("._-", name[i])) return false;
  return true;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(a, b);
}

bool registry_list_folder(const char *folder, logger *log_to, char (**names)[MODEL_NAME_MAX + 1], size_t *n) {
  char(*list)[MODEL_NAME_MAX + 1] = malloc(sizeof *list * MODELS_MAX);
  DIR *dir = opendir(folder);
  size_t count = 0;
  if (!dir || !list) {
    log_event(log_to, LOG_ERROR, "models-folder-unreadable",
              (log_field[]){LOG_TEXT("folder", folder), LOG_TEXT("reason", strerror(errno)), LOG_LAST});
    if (dir) closedir(dir);
    free(list);
    return false;
  }
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    struct stat st;
    char path[sizeof e->d_name + 32];
    snprintf(path, sizeof path, "%s/model.safetensors", e->d_name);
    if (e->d_name[0] == '.' || fstatat(dirfd(dir), path, &st, 0) != 0 || !S_ISREG(st.st_mode)) continue;
    if (!registry_name_valid(e->d_name)) {
      log_event(log_to, LOG_WARNING, "model-name-refused", (log_field[]){LOG_TEXT("name", e->d_name), LOG_LAST});
      continue;
    }
    if (count == MODELS_MAX) {
      log_event(log_to, LOG_WARNING, "too-many-models", (log_field[]){LOG_INTEGER("limit", MODELS_MAX), LOG_LAST});
      break;
    }
    strcpy(list[count++], e->d_name);
  }
  closedir(dir);
  qsort(list, count, sizeof *list, compare_names);
  *names = list;
  *n = count;
  return true;
}

model_entry *registry_new_entry(const char *name) {
  model_entry *entry = calloc(1, sizeof *entry);
  if (!entry) return NULL;
  snprintf(entry->name, sizeof entry->name, "%s", name);
  atomic_init(&entry->holders, 1);
  pthread_mutex_init(&entry->lock, NULL);
  run_memo_init(&entry->memo);
  return entry;
}

bool registry_publish(registry *r, model_entry *entry) {
  model_entry *replaced = NULL;
  bool ok = true;
  pthread_mutex_lock(&r->lock);
  size_t at = 0;
  while (at < r->n && strcmp(r->entries[at]->name, entry->name) < 0) at++;
  if (at < r->n && strcmp(r->entries[at]->name, entry->name) == 0) {
    replaced = r->entries[at];
    r->entries[at] = entry;
  } else if (r->n < MODELS_MAX) {
    memmove(&r->entries[at + 1], &r->entries[at], (r->n - at) * sizeof *r->entries);
    r->entries[at] = entry;
    r->n++;
  } else {
    ok = false;
  }
  pthread_mutex_unlock(&r->lock);
  registry_release(replaced);
  return ok;
}

bool registry_remove(registry *r, const char *name) {
  model_entry *removed = NULL;
  pthread_mutex_lock(&r->lock);
  for (size_t i = 0; i < r->n && !removed; i++) {
    if (strcmp(r->entries[i]->name, name) != 0) continue;
    removed = r->entries[i];
    memmove(&r->entries[i], &r->entries[i + 1], (r->n - i - 1) * sizeof *r->entries);
    r->n--;
  }
  pthread_mutex_unlock(&r->lock);
  registry_release(removed);
  return removed != NULL;
}

model_entry *registry_find(registry *r, const char *name) {
  model_entry *found = NULL;
  pthread_mutex_lock(&r->lock);
  for (size_t i = 0; i < r->n && !found; i++)
    if (strcmp(r->entries[i]->name, name) == 0) found = r->entries[i];
  if (found) atomic_fetch_add(&found->holders, 1);
  pthread_mutex_unlock(&r->lock);
  return found;
}

size_t registry_all(registry *r, model_entry **out) {
  pthread_mutex_lock(&r->lock);
  size_t n = r->n;
  for (size_t i = 0; i < n; i++) {
    out[i] = r->entries[i];
    atomic_fetch_add(&out[i]->holders, 1);
  }
  pthread_mutex_unlock(&r->lock);
  return n;
}

calibration *registry_calibration(model_entry *entry, uint64_t *generation) {
  pthread_mutex_lock(&entry->lock);
  calibration *c = calibration_hold(entry->calibration);
  if (generation) *generation = entry->generation;
  pthread_mutex_unlock(&entry->lock);
  return c;
}

void registry_set_calibration(model_entry *entry, calibration *c, uint64_t generation, char *description,
                              const char *etag) {
  pthread_mutex_lock(&entry->lock);
  calibration *before = entry->calibration;
  char *told_before = entry->description;
  entry->calibration = c;
  entry->generation = generation;
  entry->description = description;
  snprintf(entry->etag, sizeof entry->etag, "%s", etag);
  pthread_mutex_unlock(&entry->lock);
  calibration_release(before);
  free(told_before);
}

char *registry_description(model_entry *entry, char etag[MODEL_ETAG_MAX]) {
  pthread_mutex_lock(&entry->lock);
  char *copy = strdup(entry->description);
  memcpy(etag, entry->etag, MODEL_ETAG_MAX);
  pthread_mutex_unlock(&entry->lock);
  return copy;
}

model_entry *registry_hold(model_entry *entry) {
  atomic_fetch_add(&entry->holders, 1);
  return entry;
}

void registry_release(model_entry *entry) {
  if (!entry || atomic_fetch_sub(&entry->holders, 1) != 1) return;
  snn_session_free(entry->session);
  snn_network_free(entry->network);
  free(entry->bytes);
  calibration_release(entry->calibration);
  free(entry->description);
  run_memo_destroy(&entry->memo);
  pthread_mutex_destroy(&entry->lock);
  free(entry);
}
