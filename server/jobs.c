/* The jobs' thread and their files. Keeps the invariants that a job's file is written by its owner alone until the
 * owner is gone, and that every job which began ends in its file as succeeded, failed or cancelled. Does not calibrate.
 */
#include "jobs.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "durable.h"
#include "jobs_internal.h"
#include "json_jobs.h"
#include "owner.h"

enum { FILE_BYTES_MAX = 4 << 20, OBSERVED_MAX = 64 };

/* When a beat of a job elsewhere was last seen to change. */
typedef struct observation {
  char id[JOB_ID_MAX + 1];
  uint64_t beat, since_ns;
} observation;

struct jobs {
  server *server;
  char owner[192];
  spool_budget budget;
  pthread_mutex_t lock; /* of what follows, and of the records of all jobs here */
  pthread_cond_t work;
  job *waiting; /* first in, first out */
  job *running; /* NULL: none */
  job *unsaved; /* over, but their end could not be written yet */
  bool stopping;
  uint64_t counts[JOB_STATE_COUNT];
  observation observed[OBSERVED_MAX];
  pthread_mutex_t observing;
  pthread_t thread;
};

const char *job_state_name(job_state state) {
  static const char *const names[] = {"queued", "running", "succeeded", "failed", "cancelled"};
  return (unsigned)state < JOB_STATE_COUNT ? names[state] : "";
}

void job_record_clear(job_record *r) {
  free(r->result); /* NOLINT(clang-analyzer-unix.Malloc): whoever fills a record that was cleared sets it anew */
  *r = (job_record){0};
}

void job_id_of(const job_record *r, char id[JOB_ID_MAX + 1]) {
  snprintf(id, JOB_ID_MAX + 1, "%s-%llu", r->model, (unsigned long long)r->number);
}

/* "lenet-mnist-3": the model, and the number after the last dash. */
static bool parse_id(const char *id, char model[MODEL_NAME_MAX + 1], uint64_t *number) {
  const char *dash = strrchr(id, '-');
  if (!dash || dash == id || dash - id > MODEL_NAME_MAX || dash[1] < '1' || dash[1] > '9') return false;
  memcpy(model, id, (size_t)(dash - id));
  model[dash - id] = 0;
  return registry_name_valid(model) && config_parse_unsigned(dash + 1, INT64_MAX - 1, number);
}

static void now_text(char out[32]) {
  struct timespec now;
  struct tm utc;
  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &utc);
  strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &utc);
}

/* A copy that owns its result; false when out of memory. */
static bool copy_record(const job_record *r, job_record *out) {
  *out = *r;
  if (r->result && !(out->result = strdup(r->result))) return false;
  return true;
}

/* ---- Files ------------------------------------------------------------------------------------------------------ */

static int job_folder(const jobs *j, const char *model, bool make, char path[STORE_PATH_MAX]) {
  return store_folder(j->server->store, model, "jobs", make, path);
}

static bool read_file(const jobs *j, const char *model, uint64_t number, job_record *out) {
  char folder[STORE_PATH_MAX], path[STORE_PATH_MAX + 32];
  uint8_t *text = NULL;
  size_t n = 0;
  job_folder(j, model, false, folder);
  snprintf(path, sizeof path, "%s/%llu", folder, (unsigned long long)number);
  if (durable_read(path, FILE_BYTES_MAX, &text, &n) != 0) return false;
  bool ok = json_jobs_parse((const char *)text, n, out);
  free(text);
  if (ok && (out->number != number || strcmp(out->model, model) != 0)) {
    job_record_clear(out);
    ok = false;
  }
  return ok;
}

/* 0 or an errno value. */
static int write_file(const jobs *j, const job_record *r, bool claim) {
  char folder[STORE_PATH_MAX], name[24];
  char *text = json_jobs_print(r, true);
  if (!text) return ENOMEM;
  int failed = job_folder(j, r->model, claim, folder);
  snprintf(name, sizeof name, "%llu", (unsigned long long)r->number);
  if (!failed) failed = (claim ? durable_claim : durable_replace)(folder, name, text, strlen(text));
  free(text);
  return failed;
}

/* The file by which any replica asks a job to end. */
static void cancel_path(const jobs *j, const job_record *r, char path[STORE_PATH_MAX + 40]) {
  char folder[STORE_PATH_MAX];
  job_folder(j, r->model, false, folder);
  snprintf(path, STORE_PATH_MAX + 40, "%s/%llu.cancel", folder, (unsigned long long)r->number);
}

static int descending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? 1 : x > y ? -1 : 0;
}

/* Numbers of a model's jobs, highest first, at most n_max. -errno when the folder cannot be read. */
static int list_jobs(const jobs *j, const char *model, uint64_t *out, size_t n_max) {
  char folder[STORE_PATH_MAX];
  uint64_t all[8 * JOBS_KEPT];
  size_t n = 0;
  job_folder(j, model, false, folder);
  DIR *dir = opendir(folder);
  if (!dir) return errno == ENOENT ? 0 : -errno;
  for (struct dirent *e; (e = readdir(dir)) != NULL;) {
    uint64_t number;
    if (e->d_name[0] < '1' || e->d_name[0] > '9' || !config_parse_unsigned(e->d_name, INT64_MAX - 1, &number)) continue;
    if (n == sizeof all / sizeof *all) {
      qsort(all, n, sizeof *all, descending);
      n /= 2;
    }
    all[n++] = number;
  }
  closedir(dir);
  qsort(all, n, sizeof *all, descending);
  if (n > n_max) n = n_max;
  memcpy(out, all, n * sizeof *all);
  return (int)n;
}

static void prune(const jobs *j, const char *model) {
  uint64_t numbers[8 * JOBS_KEPT];
  char folder[STORE_PATH_MAX], path[STORE_PATH_MAX + 40];
  int n = list_jobs(j, model, numbers, sizeof numbers / sizeof *numbers);
  job_folder(j, model, false, folder);
  for (int i = JOBS_KEPT; i < n; i++) {
    snprintf(path, sizeof path, "%s/%llu", folder, (unsigned long long)numbers[i]);
    unlink(path);
    snprintf(path, sizeof path, "%s/%llu.cancel", folder, (unsigned long long)numbers[i]);
    unlink(path);
  }
  durable_sweep(folder);
}

/* ---- Jobs here -------------------------------------------------------------------------------------------------- */

/* The job of that name in this process, with the lock held; NULL: none. */
static job *find_here(const jobs *j, const char *model, uint64_t number) {
  const job *lists[] = {j->running, j->waiting, j->unsaved};
  for (size_t k = 0; k < sizeof lists / sizeof *lists; k++)
    for (const job *b = lists[k]; b; b = b->next)
      if (b->record.number == number && strcmp(b->record.model, model) == 0) return (job *)(uintptr_t)b;
  return NULL;
}

static void job_free(job *b) {
  upload_end(&b->upload);
  registry_release(b->entry);
  job_record_clear(&b->record);
  free(b);
}

void jobs_progress(job *b, const char *phase, unsigned from, unsigned to, size_t done, size_t total) {
  jobs *j = b->server->jobs;
  pthread_mutex_lock(&j->lock);
  snprintf(b->record.phase, sizeof b->record.phase, "%s", phase);
  b->record.done = from + (total ? (to - from) * done / total : 0);
  b->record.total = 1000;
  pthread_mutex_unlock(&j->lock);
}

/* The job is over: its end into the file, or kept to be written later. With the lock held. */
static void end_job(jobs *j, job *b, job_state state) {
  b->record.state = state;
  now_text(b->record.updated);
  snprintf(b->record.phase, sizeof b->record.phase, "%s", job_state_name(state));
  if (state == JOB_SUCCEEDED) b->record.done = b->record.total;
  j->counts[state]++;
  char id[JOB_ID_MAX + 1], path[STORE_PATH_MAX + 40];
  job_id_of(&b->record, id);
  int failed = b->lost ? 0 : write_file(j, &b->record, false);
  cancel_path(j, &b->record, path);
  unlink(path);
  log_event(&j->server->log, state == JOB_FAILED ? LOG_ERROR : LOG_INFO, "job-ended",
            (log_field[]){LOG_TEXT("job", id), LOG_TEXT("state", job_state_name(state)),
                          LOG_TEXT("reason", b->record.error), LOG_LAST});
  upload_end(&b->upload);
  if (failed) {
    b->next = j->unsaved;
    j->unsaved = b;
  } else {
    job_free(b);
  }
}

/* End the waiting ones that are not wanted any more. With the lock held. */
static void reap(jobs *j) {
  for (job **at = &j->waiting; *at && !j->stopping;) {
    job *b = *at;
    if (!atomic_load(&b->cancel)) {
      at = &b->next;
      continue;
    }
    *at = b->next;
    b->next = NULL;
    end_job(j, b, b->lost ? JOB_FAILED : JOB_CANCELLED);
  }
}

/* Out of the way of everything else on this machine; the team this thread starts inherits it. */
static void lower_priority(uint64_t nice) {
  const struct sched_param none = {0};
  if (nice >= JOB_NICE_IDLE && sched_setscheduler(0, SCHED_IDLE, &none) == 0) return;
  (void)setpriority(PRIO_PROCESS, 0,
                    nice >= JOB_NICE_IDLE ? JOB_NICE_IDLE - 1 : (int)nice); /* of this thread, on Linux */
}

static void *work(void *context) {
  jobs *j = context;
  lower_priority(j->server->config.job_nice);
  pthread_mutex_lock(&j->lock);
  for (;;) {
    while (!j->waiting && !j->stopping) pthread_cond_wait(&j->work, &j->lock);
    job *b = j->waiting;
    if (!b) break;
    j->waiting = b->next;
    b->next = NULL;
    j->running = b;
    b->record.state = JOB_RUNNING;
    (void)write_file(j, &b->record, false); /* what fails here is tried again with the next beat */
    pthread_mutex_unlock(&j->lock);
    char *result = NULL, error[512] = "";
    bool ok = !atomic_load(&b->cancel) && job_run(b, &result, error, sizeof error);
    pthread_mutex_lock(&j->lock);
    j->running = NULL;
    b->record.result = result;
    bool cancelled = !ok && atomic_load(&b->cancel) && !j->stopping && !b->lost;
    if (!ok && !cancelled)
      snprintf(b->record.error, sizeof b->record.error, "%s",
               j->stopping || b->lost ? "interrupted: the server that ran it was stopped" : error);
    end_job(j, b, ok ? JOB_SUCCEEDED : cancelled ? JOB_CANCELLED : JOB_FAILED);
  }
  pthread_mutex_unlock(&j->lock);
  return NULL;
}

/* ---- Jobs anywhere ---------------------------------------------------------------------------------------------- */

/* Was this beat seen for the first time longer ago than an owner may be silent? */
static bool lease_is_over(jobs *j, const job_record *r) {
  char id[JOB_ID_MAX + 1];
  uint64_t now = snn_clock_ns();
  job_id_of(r, id);
  pthread_mutex_lock(&j->observing);
  observation *o = NULL, *oldest = &j->observed[0];
  for (size_t i = 0; i < OBSERVED_MAX && !o; i++) {
    if (strcmp(j->observed[i].id, id) == 0) o = &j->observed[i];
    if (j->observed[i].since_ns < oldest->since_ns) oldest = &j->observed[i];
  }
  if (!o || o->beat != r->beat) {
    if (!o) o = oldest;
    *o = (observation){.beat = r->beat, .since_ns = now};
    snprintf(o->id, sizeof o->id, "%s", id);
  }
  bool over = now - o->since_ns > JOB_LEASE_S * UINT64_C(1000000000);
  pthread_mutex_unlock(&j->observing);
  return over;
}

static void write_burial(jobs *j, job_record *r) {
  r->state = JOB_FAILED;
  snprintf(r->phase, sizeof r->phase, "%s", job_state_name(r->state));
  snprintf(r->error, sizeof r->error, "interrupted: the server that ran it is gone");
  now_text(r->updated);
  (void)write_file(j, r, false); /* who cannot write now buries it the next time */
}

/* A job by its file is alive, but its owner seems to be gone: look again, now that nobody can write it any more (for a
 * job that is ours, with the lock, under which it is both in a list and in its file), and write that it is over. */
static void bury_if_dead(jobs *j, job_record *r) {
  char path[STORE_PATH_MAX + 40];
  job_record now = {0};
  if (!job_state_is_live(r->state)) return;
  owner_life life = strcmp(r->owner, j->owner) == 0 ? OWNER_GONE : owner_look(r->owner);
  if (life == OWNER_ALIVE || (life == OWNER_ELSEWHERE && !lease_is_over(j, r))) return;
  pthread_mutex_lock(&j->lock);
  const job *here = find_here(j, r->model, r->number);
  bool read = here ? copy_record(&here->record, &now) : read_file(j, r->model, r->number, &now);
  bool dead = read && !here && job_state_is_live(now.state);
  if (read) {
    job_record_clear(r);
    *r = now;
  }
  if (dead) write_burial(j, r);
  pthread_mutex_unlock(&j->lock);
  if (!dead) return;
  cancel_path(j, r, path);
  unlink(path);
  char id[JOB_ID_MAX + 1];
  job_id_of(r, id);
  log_event(&j->server->log, LOG_WARNING, "job-buried",
            (log_field[]){LOG_TEXT("job", id), LOG_TEXT("reason", r->error), LOG_LAST});
}

static bool read_any(jobs *j, const char *model, uint64_t number, job_record *out) {
  pthread_mutex_lock(&j->lock);
  const job *here = find_here(j, model, number);
  bool ok = here && copy_record(&here->record, out);
  pthread_mutex_unlock(&j->lock);
  if (here) return ok;
  if (!read_file(j, model, number, out)) return false;
  bury_if_dead(j, out);
  return true;
}

bool jobs_read(jobs *j, const char *id, job_record *out) {
  char model[MODEL_NAME_MAX + 1];
  uint64_t number;
  return parse_id(id, model, &number) && read_any(j, model, number, out);
}

bool jobs_alive(jobs *j, const char *model, char id[JOB_ID_MAX + 1]) {
  uint64_t latest = 0;
  job_record r = {0};
  if (list_jobs(j, model, &latest, 1) < 1 || !read_any(j, model, latest, &r)) return false;
  bool alive = job_state_is_live(r.state);
  job_id_of(&r, id);
  job_record_clear(&r);
  return alive;
}

bool jobs_find_key(jobs *j, const char *model, const char *key, job_record *out) {
  uint64_t numbers[JOBS_KEPT] = {0};
  int n = list_jobs(j, model, numbers, JOBS_KEPT);
  for (int i = 0; i < n; i++) {
    if (!read_any(j, model, numbers[i], out)) continue;
    if (strcmp(out->key, key) == 0) return true;
    job_record_clear(out);
  }
  return false;
}

bool jobs_cancel(jobs *j, const char *id, job_record *out) {
  char path[STORE_PATH_MAX + 40], folder[STORE_PATH_MAX], name[40];
  if (!jobs_read(j, id, out)) return false;
  if (!job_state_is_live(out->state)) return true;
  pthread_mutex_lock(&j->lock);
  job *here = find_here(j, out->model, out->number);
  if (here) atomic_store(&here->cancel, true);
  reap(j);
  pthread_mutex_unlock(&j->lock);
  if (here) {
    job_record_clear(out);
    return jobs_read(j, id, out);
  }
  cancel_path(j, out, path);
  job_folder(j, out->model, false, folder);
  snprintf(name, sizeof name, "%llu.cancel", (unsigned long long)out->number);
  (void)durable_claim(folder, name, "", 0);
  return true;
}

/* ---- Making ----------------------------------------------------------------------------------------------------- */

static bool conflict(problem *p, const job_record *r) {
  char id[JOB_ID_MAX + 1];
  job_id_of(r, id);
  return problem_set(p, PROBLEM_CONFLICT, "job %s of this model is %s; one runs at a time", id,
                     job_state_name(r->state));
}

/* Is there room for another, and is none of this model alive? *latest is its last number. False with *p set. */
static bool may_begin(jobs *j, const char *model, uint64_t *latest, problem *p) {
  job_record before;
  *latest = 0;
  int n = list_jobs(j, model, latest, 1);
  if (n < 0) return problem_set(p, PROBLEM_STORAGE, "the state folder cannot be read: %s", strerror(-n));
  if (n == 0 || !read_any(j, model, *latest, &before)) return true;
  bool alive = job_state_is_live(before.state);
  if (alive) conflict(p, &before);
  job_record_clear(&before);
  return !alive;
}

/* Claim the number of b and put it in the list, at once for all who hold the lock. False with *p set. */
static bool enter(jobs *j, job *b, problem *p) {
  size_t n = 0;
  bool ok = false;
  pthread_mutex_lock(&j->lock);
  job **last = &j->waiting;
  for (; *last; last = &(*last)->next) n++;
  if (j->stopping || n >= JOBS_WAITING_MAX) {
    problem_set(p, PROBLEM_BUSY, "%zu jobs are waiting here already; try again", n);
    goto cleanup;
  }
  int failed = write_file(j, &b->record, true);
  if (failed == EEXIST) conflict(p, &b->record);
  if (failed && failed != EEXIST)
    problem_set(p, PROBLEM_STORAGE, "the state folder cannot be written: %s", strerror(failed));
  if (failed) goto cleanup;
  *last = b;
  ok = true;
  pthread_cond_signal(&j->work);

cleanup:
  pthread_mutex_unlock(&j->lock);
  return ok;
}

/* Memory a job takes for each picture: its input, what the observer keeps of the largest layers, spikes of T steps, and
 * all activations where thresholds are fitted. Far from exact, but the layers' sizes and T are what counts. */
static uint64_t bytes_a_picture(const snn_network *net, const job_options *o) {
  uint64_t largest = 0, most_t = 0, input = snn_shape_size(snn_network_input(net));
  for (size_t k = 0; k < o->n_timesteps; k++)
    if (o->timesteps[k] > most_t) most_t = o->timesteps[k];
  for (size_t i = 0; i < snn_network_layers(net); i++) {
    snn_shape s = snn_network_layer(net, i).shape;
    uint64_t positions = (uint64_t)s.h * s.w, padded = positions * ((s.c + 63) / 64 * 64);
    uint64_t bytes = 4 * positions * s.c /* a record */ + 3 * most_t * (padded / 8) /* edges of spikes */;
    if (snn_network_layer(net, i).kind == SNN_LAYER_AVGPOOL) bytes += 4 * most_t * positions * s.c; /* counts a step */
    if (bytes > largest) largest = bytes;
  }
  uint64_t activations = o->fit_thresholds ? 4 * (uint64_t)snn_network_neurons(net) : 0;
  return 3 * 4 * input + largest + activations;
}

bool jobs_fits(const jobs *j, const snn_network *net, size_t n_pictures, const job_options *o, problem *p) {
  uint64_t each = bytes_a_picture(net, o), most = j->server->config.job_bytes / each;
  if (o->method == SNN_INIT_WEIGHTS || n_pictures <= most) return true;
  return problem_set(p, PROBLEM_TOO_LARGE, "images: at most %llu pictures of this model at these timesteps, got %zu",
                     (unsigned long long)most, n_pictures);
}

bool jobs_submit(jobs *j, model_entry *entry, upload *u, const job_options *o, const char *key, const char *digest_text,
                 job_record *out, problem *p) {
  job *b = calloc(1, sizeof *b);
  if (!b) {
    upload_end(u);
    return problem_set(p, PROBLEM_BUSY, "out of memory; try again");
  }
  *b = (job){.server = j->server, .entry = registry_hold(entry), .upload = *u};
  *u = (upload){.spool.fd = -1};
  atomic_init(&b->cancel, false);
  job_record *r = &b->record;
  snprintf(r->model, sizeof r->model, "%s", entry->name);
  snprintf(r->model_sha256, sizeof r->model_sha256, "%s", snn_network_sha256(entry->network));
  r->options = *o;
  snprintf(r->key, sizeof r->key, "%s", key);
  snprintf(r->digest, sizeof r->digest, "%s", digest_text);
  snprintf(r->owner, sizeof r->owner, "%s", j->owner);
  snprintf(r->phase, sizeof r->phase, "queued");
  r->total = 1000;
  now_text(r->created);
  snprintf(r->updated, sizeof r->updated, "%s", r->created);
  if (store_generations(j->server->store, entry->name, &b->generation, 1) < 1) b->generation = 0;
  uint64_t latest = 0;
  bool ok = may_begin(j, entry->name, &latest, p);
  r->number = latest + 1;
  if (ok && !copy_record(r, out)) ok = problem_set(p, PROBLEM_BUSY, "out of memory; try again");
  if (!ok || !enter(j, b, p)) {
    job_free(b);
    return false;
  }
  prune(j, entry->name);
  return true;
}

/* ---- Tending ---------------------------------------------------------------------------------------------------- */

/* Write the beat of a job here and see whether it shall end. With the lock held. */
static void beat(jobs *j, job *b) {
  char path[STORE_PATH_MAX + 40];
  job_record there;
  if (read_file(j, b->record.model, b->record.number, &there)) {
    if (!job_state_is_live(there.state)) b->lost = true; /* buried while we were stopped, or cut off */
    job_record_clear(&there);
  }
  cancel_path(j, &b->record, path);
  if (b->lost || access(path, F_OK) == 0) atomic_store(&b->cancel, true);
  if (b->lost) return;
  b->record.beat++;
  now_text(b->record.updated);
  (void)write_file(j, &b->record, false);
}

void jobs_tend(jobs *j) {
  pthread_mutex_lock(&j->lock);
  if (j->running) beat(j, j->running);
  for (job *b = j->waiting; b; b = b->next) beat(j, b);
  reap(j);
  for (job **at = &j->unsaved; *at;) {
    job *b = *at;
    if (write_file(j, &b->record, false) != 0) {
      at = &b->next;
      continue;
    }
    *at = b->next;
    job_free(b);
  }
  pthread_mutex_unlock(&j->lock);
  model_entry *entries[MODELS_MAX];
  size_t n = registry_all(&j->server->registry, entries);
  for (size_t i = 0; i < n; i++) {
    char id[JOB_ID_MAX + 1];
    (void)jobs_alive(j, entries[i]->name, id); /* buries it when it is not */
    registry_release(entries[i]);
  }
}

jobs *jobs_start(server *s) {
  jobs *j = calloc(1, sizeof *j);
  if (!j) return NULL;
  j->server = s;
  owner_self(j->owner, sizeof j->owner);
  j->budget.max = 2 * s->config.max_upload; /* an archive is there twice while it is unpacked */
  atomic_init(&j->budget.held, 0);
  pthread_mutex_init(&j->lock, NULL);
  pthread_mutex_init(&j->observing, NULL);
  pthread_cond_init(&j->work, NULL);
  if (pthread_create(&j->thread, NULL, work, j) == 0) return j;
  free(j);
  return NULL;
}

void jobs_finish(jobs *j) {
  if (!j) return;
  pthread_mutex_lock(&j->lock);
  j->stopping = true;
  if (j->running) atomic_store(&j->running->cancel, true);
  for (job *b = j->waiting; b; b = b->next) atomic_store(&b->cancel, true);
  pthread_cond_signal(&j->work);
  pthread_mutex_unlock(&j->lock);
  pthread_join(j->thread, NULL);
}

void jobs_free(jobs *j) {
  if (!j) return;
  while (j->unsaved) {
    job *b = j->unsaved;
    j->unsaved = b->next;
    job_free(b);
  }
  pthread_cond_destroy(&j->work);
  pthread_mutex_destroy(&j->observing);
  pthread_mutex_destroy(&j->lock);
  free(j);
}

void jobs_count(jobs *j, uint64_t counts[JOB_STATE_COUNT]) {
  pthread_mutex_lock(&j->lock);
  memcpy(counts, j->counts, sizeof j->counts);
  counts[JOB_QUEUED] = 0;
  for (const job *b = j->waiting; b; b = b->next) counts[JOB_QUEUED]++;
  counts[JOB_RUNNING] = j->running != NULL;
  pthread_mutex_unlock(&j->lock);
}

spool_budget *jobs_spool_budget(jobs *j) {
  return &j->budget;
}
