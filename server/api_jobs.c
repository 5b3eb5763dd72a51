/* Handlers of calibration jobs: an upload becomes a job; a job is told and cancelled. Keeps the invariant that what is
 * wrong with a request is said before a job is made of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api.h"
#include "jobs.h"
#include "json_jobs.h"

/* One upload on its way to be a job: the context of the request's sink. */
typedef struct intake {
  upload upload;
  model_entry *entry; /* a reference */
  char key[JOB_KEY_MAX + 1];
  char wanted_digest[DIGEST_HEX]; /* of the request that came with this key before; "": none did */
  job_record record;              /* of the job it became, or had become */
} intake;

static void drop_intake(void *context) {
  intake *in = context;
  upload_end(&in->upload);
  registry_release(in->entry);
  job_record_clear(&in->record);
  free(in);
}

static bool take_part(void *context, const char *name, const char *file_name, problem *p) {
  return upload_part(&((intake *)context)->upload, name, file_name, p);
}

static bool take_bytes(void *context, const void *bytes, size_t n, problem *p) {
  return upload_write(&((intake *)context)->upload, bytes, n, p);
}

static bool check_header(const server *s, request *r) {
  if (!s->store)
    return problem_set(&r->problem, PROBLEM_NO_STATE, "this server runs without --state, where calibrations are kept");
  if (atomic_load(&s->state) == SERVER_DRAINING)
    return problem_set(&r->problem, PROBLEM_NOT_READY, "the server is draining");
  if (r->content_encoding && strcasecmp(r->content_encoding, "identity") != 0)
    return problem_set(&r->problem, PROBLEM_MEDIA_TYPE, "Content-Encoding: only identity is understood");
  if (!r->content_type || !media_type_is(r->content_type, "multipart/form-data"))
    return problem_set(&r->problem, PROBLEM_MEDIA_TYPE, "Content-Type: expected multipart/form-data, got %.64s",
                       r->content_type ? r->content_type : "nothing");
  for (const char *c = r->idempotency_key; c && *c; c++)
    if (*c <= 0x20 || *c > 0x7e)
      return problem_set(&r->problem, PROBLEM_BAD_REQUEST, "Idempotency-Key: expected visible ASCII characters");
  if (r->idempotency_key && (!*r->idempotency_key || strlen(r->idempotency_key) > JOB_KEY_MAX))
    return problem_set(&r->problem, PROBLEM_BAD_REQUEST, "Idempotency-Key: expected 1 to %d characters", JOB_KEY_MAX);
  return true;
}

/* Does the key name a job already? Then this request is only compared with the one before. */
static void look_for_key(server *s, request *r, intake *in) {
  if (!r->idempotency_key) return;
  snprintf(in->key, sizeof in->key, "%s", r->idempotency_key);
  if (jobs_find_key(s->jobs, r->model, in->key, &in->record))
    snprintf(in->wanted_digest, sizeof in->wanted_digest, "%s", in->record.digest);
}

void api_job_begin(server *s, request *r) {
  char id[JOB_ID_MAX + 1], folder[STORE_PATH_MAX];
  if (!check_header(s, r)) return;
  model_entry *entry = api_find_model(s, r);
  if (!entry) return;
  intake *in = calloc(1, sizeof *in);
  if (!in) {
    registry_release(entry);
    problem_set(&r->problem, PROBLEM_BUSY, "out of memory; try again");
    return;
  }
  in->entry = entry;
  in->upload.spool.fd = -1;
  r->sink = (body_sink){.context = in,
                        .max_bytes = s->config.max_upload,
                        .is_multipart = true,
                        .begin_part = take_part,
                        .write = take_bytes,
                        .drop = drop_intake};
  look_for_key(s, r, in);
  if (!*in->wanted_digest && jobs_alive(s->jobs, r->model, id)) {
    problem_set(&r->problem, PROBLEM_CONFLICT, "job %s of this model is not over; one runs at a time", id);
    return;
  }
  int failed = store_folder(s->store, entry->name, "spool", true, folder);
  if (failed)
    problem_set(&r->problem, PROBLEM_STORAGE, "the state folder cannot be written: %s", strerror(failed));
  else
    upload_begin(&in->upload, folder, jobs_spool_budget(s->jobs), *in->wanted_digest != 0, &r->problem);
}

/* What the core would refuse is refused now. */
static bool check_options(const job_options *o, problem *p) {
  snn_error err = {0};
  snn_calibrate_options c = {.method = o->method,
                             .neuron = o->neuron,
                             .tau = o->tau,
                             .timesteps = o->timesteps,
                             .n_timesteps = o->n_timesteps,
                             .granularity = o->granularity,
                             .fit_thresholds = o->fit_thresholds};
  return snn_calibrate_check(&c, &err) == SNN_OK ||
         problem_set(p, PROBLEM_INVALID_OPTION, "%s: %s", err.where, err.text);
}

/* On the chores' thread. */
static void make_job(server *s, request *r) {
  intake *in = r->sink.context;
  problem *p = &r->problem;
  char digest_text[DIGEST_HEX];
  upload_digest(&in->upload, digest_text);
  if (*in->wanted_digest) {
    if (strcmp(digest_text, in->wanted_digest) != 0)
      problem_set(p, PROBLEM_KEY_REUSED, "Idempotency-Key: another request came with this key before");
    return;
  }
  job_options wanted = {.method = SNN_INIT_MATCHED,
                        .neuron = SNN_NEURON_IF,
                        .tau = snn_run_defaults(in->entry->network).tau,
                        .timesteps = {8, 16, 32},
                        .n_timesteps = 3,
                        .granularity = SNN_GRAIN_CHANNEL,
                        .fit_thresholds = true,
                        .holdout = 0.2,
                        .activate = true};
  const upload_text *text = &in->upload.options;
  if (text->bytes && !json_jobs_parse_options(text->bytes, text->n, s->limits.max_timesteps, &wanted, p)) return;
  if (!check_options(&wanted, p) || !upload_sort_out(&in->upload, in->entry->network, p)) return;
  if (!jobs_fits(s->jobs, in->entry->network, in->upload.n_pictures, &wanted, p)) return;
  jobs_submit(s->jobs, in->entry, &in->upload, &wanted, in->key, digest_text, &in->record, p);
}

bool api_job_start(server *s, request *r) {
  return api_in_background(s, r, make_job);
}

void api_job_answer(server *s, request *r) {
  (void)s;
  const intake *in = r->sink.context;
  char id[JOB_ID_MAX + 1];
  job_id_of(&in->record, id);
  reply_json(r, 202, json_jobs_print(&in->record, false));
  reply_add_header(r, "Location", "/v1/jobs/%s", id);
}

static void tell(request *r, unsigned status, job_record *record) {
  reply_json(r, status, json_jobs_print(record, false));
  if (job_state_is_live(record->state)) reply_add_header(r, "Retry-After", "1");
  reply_add_header(r, "Cache-Control", "no-cache");
  job_record_clear(record);
}

static bool refuse_without_state(const server *s, request *r) {
  return s->store ||
         problem_set(&r->problem, PROBLEM_NO_STATE, "this server runs without --state, where calibrations are kept");
}

void api_job(server *s, request *r) {
  job_record record = {0};
  if (!refuse_without_state(s, r)) return;
  if (jobs_read(s->jobs, r->item, &record))
    tell(r, 200, &record);
  else
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "there is no job of that id");
}

void api_job_cancel(server *s, request *r) {
  job_record record = {0};
  if (!refuse_without_state(s, r)) return;
  if (jobs_cancel(s->jobs, r->item, &record))
    tell(r, job_state_is_live(record.state) ? 202 : 200, &record);
  else
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "there is no job of that id");
}
