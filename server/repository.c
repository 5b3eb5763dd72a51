/* From the model folder to the registry. Keeps the invariants that an entry is published only when it has run once, and
 * that it never reads its file again: a file that is truncated or overwritten in place harms nobody. Does not watch the
 * folder. */
#include "repository.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "json_info.h"
#include "server.h"

bool repository_init(repository *r) {
  *r = (repository){.reports = calloc(MODELS_MAX, sizeof *r->reports)};
  pthread_mutex_init(&r->loading, NULL);
  pthread_mutex_init(&r->lock, NULL);
  atomic_init(&r->stop, false);
  return r->reports != NULL;
}

void repository_destroy(repository *r) {
  free(r->reports);
  pthread_mutex_destroy(&r->lock);
  pthread_mutex_destroy(&r->loading);
}

/* Note what happened to a model last; NULL: all is well with it. */
static void report(repository *r, const char *name, const char *reason) {
  pthread_mutex_lock(&r->lock);
  size_t i = 0;
  while (i < r->n_reports && strcmp(r->reports[i].name, name) != 0) i++;
  if (!reason) {
    if (i < r->n_reports) r->reports[i] = r->reports[--r->n_reports];
  } else if (i < MODELS_MAX) {
    if (i == r->n_reports) r->n_reports++;
    snprintf(r->reports[i].name, sizeof r->reports[i].name, "%s", name);
    snprintf(r->reports[i].reason, sizeof r->reports[i].reason, "%s", reason);
  }
  pthread_mutex_unlock(&r->lock);
}

static void find_reason(repository *r, model_report *out) {
  pthread_mutex_lock(&r->lock);
  for (size_t i = 0; i < r->n_reports; i++)
    if (strcmp(r->reports[i].name, out->name) == 0) memcpy(out->reason, r->reports[i].reason, sizeof out->reason);
  pthread_mutex_unlock(&r->lock);
}

static snn_status fail(snn_error *err, snn_status status, const char *text) {
  *err = (snn_error){.status = status, .where = "model.safetensors"};
  snprintf(err->text, sizeof err->text, "%s", text);
  return status;
}

static void stamp_of(const struct stat *st, file_stamp *out) {
  *out = (file_stamp){.device = (uint64_t)st->st_dev,
                      .inode = (uint64_t)st->st_ino,
                      .bytes = (uint64_t)st->st_size,
                      .modified_s = st->st_mtim.tv_sec,
                      .modified_ns = st->st_mtim.tv_nsec};
}

static bool model_path(const server *s, const char *name, char *path, size_t n_path) {
  return (size_t)snprintf(path, n_path, "%s/%s/model.safetensors", s->config.models, name) < n_path;
}

/* Memory for a file that will be read whole: large ones by huge pages, whose faults cost a tenth. */
static uint8_t *room_for(size_t n_bytes) {
  enum { HUGE_PAGE = 2 * 1024 * 1024 };
  if (n_bytes < 2 * HUGE_PAGE) return malloc(n_bytes + 1);
  const size_t whole = n_bytes / HUGE_PAGE * HUGE_PAGE; /* what is left over takes small ones */
  uint8_t *bytes = aligned_alloc(HUGE_PAGE, whole + HUGE_PAGE);
  if (bytes) (void)madvise(bytes, whole, MADV_HUGEPAGE); /* only advice */
  return bytes;
}

/* The whole file into the entry's own memory. */
static snn_status read_file(const char *path, model_entry *entry, snn_error *err) {
  snn_status status = SNN_OK;
  struct stat st;
  size_t n = 0;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a FIFO must not hang us */
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) return fail(err, SNN_ERR_NOT_FOUND, "no such file");
  if (fd < 0) return fail(err, SNN_ERR_IO, strerror(errno));
  if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
    status = fail(err, SNN_ERR_IO, "not a regular file");
    goto cleanup;
  }
  if ((uintmax_t)st.st_size > MODEL_BYTES_MAX) {
    status = fail(err, SNN_ERR_TOO_LARGE, "larger than any model this server takes");
    goto cleanup;
  }
  stamp_of(&st, &entry->stamp);
  entry->bytes = room_for((size_t)st.st_size);
  if (!entry->bytes) {
    status = fail(err, SNN_ERR_NO_MEMORY, "out of memory");
    goto cleanup;
  }
  while (n < (size_t)st.st_size) {
    ssize_t got = read(fd, entry->bytes + n, (size_t)st.st_size - n);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      status = fail(err, SNN_ERR_IO, strerror(errno));
      goto cleanup;
    }
    if (got == 0) break; /* it shrank under us: what there is will be refused as truncated */
    n += (size_t)got;
  }
  entry->n_bytes = n;

cleanup:
  close(fd);
  return status;
}

/* Pages of an entry's own memory that nobody reads again go back to the system; their bytes become 0. */
static void drop(const void *bytes, size_t n_bytes) {
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = ((uintptr_t)bytes + page - 1) & ~(page - 1),
                  end = ((uintptr_t)bytes + n_bytes) & ~(page - 1);
  if (begin < end) (void)madvise((void *)begin, end - begin, MADV_DONTNEED); /* without it they only stay */
}

static snn_status read_entry(server *s, const char *name, model_entry **out, snn_error *err) {
  char path[sizeof s->config.models + MODEL_NAME_MAX + 32];
  if (!model_path(s, name, path, sizeof path)) return fail(err, SNN_ERR_NOT_FOUND, "no such file");
  model_entry *entry = registry_new_entry(name);
  if (!entry) return fail(err, SNN_ERR_NO_MEMORY, "out of memory");
  entry->metrics = metrics_of_model(&s->metrics, name);
  snn_status status = read_file(path, entry, err);
  if (status == SNN_OK) status = snn_network_load_memory(entry->bytes, entry->n_bytes, &entry->network, err);
  if (status == SNN_OK) snn_network_spare(entry->network, drop);
  if (status != SNN_OK) {
    registry_release(entry);
    return status;
  }
  *out = entry;
  return SNN_OK;
}

/* 64 bits of FNV-1a: tells two descriptions of one model file (other limits, other version) apart. */
static uint64_t fingerprint(const char *text) {
  uint64_t h = UINT64_C(14695981039346656037);
  for (; *text; text++) h = (h ^ (unsigned char)*text) * UINT64_C(1099511628211);
  return h;
}

snn_status repository_set_calibration(const server *s, model_entry *entry, calibration *c, uint64_t generation,
                                      snn_error *err) {
  char etag[MODEL_ETAG_MAX];
  char *description = json_info_model(entry, &s->config, c);
  if (!description) return fail(err, SNN_ERR_NO_MEMORY, "out of memory");
  snprintf(etag, sizeof etag, "\"%.16s-%016llx\"", snn_network_sha256(entry->network),
           (unsigned long long)fingerprint(description));
  registry_set_calibration(entry, c, generation, description, etag);
  return SNN_OK;
}

/* A model on its way to being served. */
typedef struct arrival {
  const char *name;
  model_entry *entry; /* NULL: none */
  uint64_t begin_ns;
  snn_error err;
} arrival;

static snn_status refuse(server *s, const arrival *a) {
  const snn_error *err = &a->err;
  char reason[REPORT_REASON_MAX];
  snprintf(reason, sizeof reason, "%s%s%s", err->where, *err->where ? ": " : "", err->text);
  report(&s->repository, a->name, reason);
  log_event(&s->log, LOG_ERROR, "model-refused",
            (log_field[]){LOG_TEXT("model", a->name), LOG_TEXT("status", snn_status_name(err->status)),
                          LOG_TEXT("where", err->where), LOG_TEXT("reason", err->text), LOG_LAST});
  return err->status;
}

/* With `loading` held: read a model's file. */
static snn_status arrive(server *s, const char *name, arrival *a) {
  *a = (arrival){.name = name, .begin_ns = snn_clock_ns()};
  snn_status status = read_entry(s, name, &a->entry, &a->err);
  return status == SNN_OK ? status : refuse(s, a);
}

/* Serve it, once the scheduler has prepared it. */
static snn_status admit(server *s, arrival *a) {
  model_entry *entry = a->entry;
  snn_error *err = &a->err;
  snn_status status = scheduler_prepare_end(s->scheduler);
  a->entry = NULL;
  if (status == SNN_OK) status = repository_set_calibration(s, entry, NULL, 0, err);
  if (status == SNN_OK) store_refresh(s->store, entry); /* so that its first request finds what is in force */
  if (status == SNN_OK && !registry_publish(&s->registry, registry_hold(entry))) {
    registry_release(entry);
    status = fail(err, SNN_ERR_TOO_LARGE, "too many models are being served already");
  }
  if (status != SNN_OK) {
    registry_release(entry);
    err->status = status;
    return refuse(s, a);
  }
  report(&s->repository, a->name, NULL);
  log_event(&s->log, LOG_INFO, "model-loaded",
            (log_field[]){LOG_TEXT("model", a->name), LOG_TEXT("sha256", snn_network_sha256(entry->network)),
                          LOG_INTEGER("neurons", snn_network_neurons(entry->network)),
                          LOG_REAL("load_ms", (double)(snn_clock_ns() - a->begin_ns) / 1e6), LOG_LAST});
  registry_release(entry);
  return SNN_OK;
}

snn_status repository_load(server *s, const char *name, snn_error *err) {
  if (!registry_name_valid(name)) {
    *err = (snn_error){.status = SNN_ERR_ARGUMENT, .where = "model", .text = "not a model's name"};
    return err->status;
  }
  arrival a;
  pthread_mutex_lock(&s->repository.loading);
  snn_status status = arrive(s, name, &a);
  if (status == SNN_OK) {
    scheduler_prepare_begin(s->scheduler, a.entry, &a.err);
    status = admit(s, &a);
  }
  pthread_mutex_unlock(&s->repository.loading);
  if (status != SNN_OK) *err = a.err;
  return status;
}

static bool unload(server *s, const char *name, const char *reason) {
  if (!registry_remove(&s->registry, name)) return false;
  log_event(&s->log, LOG_INFO, "model-unloaded",
            (log_field[]){LOG_TEXT("model", name), LOG_TEXT("reason", reason), LOG_LAST});
  return true;
}

snn_status repository_unload(server *s, const char *name, snn_error *err) {
  pthread_mutex_lock(&s->repository.loading);
  bool found = unload(s, name, "asked for");
  if (found) report(&s->repository, name, "unloaded");
  pthread_mutex_unlock(&s->repository.loading);
  if (found) return SNN_OK;
  *err = (snn_error){.status = SNN_ERR_NOT_FOUND, .where = "model", .text = "no model of that name is being served"};
  return err->status;
}

/* Is the file of a served model the one it was loaded from? */
static bool is_current(const server *s, const model_entry *entry) {
  char path[sizeof s->config.models + MODEL_NAME_MAX + 32];
  struct stat st;
  file_stamp now;
  if (!model_path(s, entry->name, path, sizeof path) || stat(path, &st) != 0) return false;
  stamp_of(&st, &now);
  const file_stamp *then = &entry->stamp;
  return now.device == then->device && now.inode == then->inode && now.bytes == then->bytes &&
         now.modified_s == then->modified_s && now.modified_ns == then->modified_ns;
}

static int compare_names(const void *a, const void *b) {
  return strcmp(a, b);
}

/* Models that are gone from the folder have nothing left to tell. */
static void forget_reports(repository *r, char (*names)[MODEL_NAME_MAX + 1], size_t n) {
  pthread_mutex_lock(&r->lock);
  for (size_t i = r->n_reports; i-- > 0;)
    if (!bsearch(r->reports[i].name, names, n, sizeof *names, compare_names))
      r->reports[i] = r->reports[--r->n_reports];
  pthread_mutex_unlock(&r->lock);
}

/* The one that is being prepared, if any. */
static void admit_counted(server *s, arrival *a, repository_changes *changes) {
  if (!a->entry) return;
  if (admit(s, a) == SNN_OK)
    changes->loaded++;
  else
    changes->refused++;
}

/* While a model is being prepared the next one's file is read. */
repository_changes repository_rescan(server *s) {
  arrival preparing = {0};
  char(*names)[MODEL_NAME_MAX + 1] = NULL;
  model_entry *entries[MODELS_MAX];
  size_t n = 0;
  repository_changes changes = {0};
  pthread_mutex_lock(&s->repository.loading);
  if (!registry_list_folder(s->config.models, &s->log, &names, &n)) goto cleanup;
  for (size_t i = 0; i < n && !atomic_load(&s->repository.stop); i++) {
    arrival next;
    model_entry *served = registry_find(&s->registry, names[i]);
    bool current = served && is_current(s, served);
    registry_release(served);
    if (current) continue;
    const bool arrived = arrive(s, names[i], &next) == SNN_OK;
    admit_counted(s, &preparing, &changes);
    changes.refused += !arrived;
    if (!arrived) continue;
    preparing = next;
    scheduler_prepare_begin(s->scheduler, preparing.entry, &preparing.err);
  }
  admit_counted(s, &preparing, &changes);
  forget_reports(&s->repository, names, n);
  size_t n_served = registry_all(&s->registry, entries);
  for (size_t i = 0; i < n_served; i++) {
    if (!bsearch(entries[i]->name, names, n, sizeof *names, compare_names))
      changes.removed += unload(s, entries[i]->name, "its file is gone");
    registry_release(entries[i]);
  }

cleanup:
  pthread_mutex_unlock(&s->repository.loading);
  free(names);
  return changes;
}

snn_status repository_index(server *s, model_report **out, size_t *n, snn_error *err) {
  char(*names)[MODEL_NAME_MAX + 1] = NULL;
  model_entry *entries[MODELS_MAX];
  size_t n_names = 0, count = 0, at = 0, at_name = 0;
  model_report *list = calloc(2 * MODELS_MAX, sizeof *list);
  if (!list) return fail(err, SNN_ERR_NO_MEMORY, "out of memory");
  (void)!registry_list_folder(s->config.models, &s->log, &names, &n_names); /* unreadable: what is served is left */
  size_t n_served = registry_all(&s->registry, entries);
  while (at < n_served || at_name < n_names) { /* merge two sorted lists */
    int order = at == n_served ? 1 : at_name == n_names ? -1 : strcmp(entries[at]->name, names[at_name]);
    model_report *row = &list[count++];
    snprintf(row->name, sizeof row->name, "%s", order <= 0 ? entries[at]->name : names[at_name]);
    row->ready = order <= 0;
    find_reason(&s->repository, row);
    if (order <= 0) registry_release(entries[at++]);
    if (order >= 0) at_name++;
  }
  free(names);
  *out = list;
  *n = count;
  return SNN_OK;
}
