/* Fuzzing what comes with a calibration job: the first byte chooses the parser. Labels CSV and tar archive give
 * pictures with labels in range and bytes inside the spool, or a problem with a text; options give values in range;
 * pointer and job files give records that are valid. The spool's budget is balanced afterwards. */
#include <stdlib.h>
#include <string.h>

#include "../../server/json_jobs.h"
#include "../../server/json_store.h"
#include "../../server/upload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { SPOOL_MAX = 1 << 20 };

static void check_pictures(const upload *u, bool ok, const problem *p) {
  if (ok != (p->kind == PROBLEM_NONE) || (!ok && !p->detail[0])) abort();
  for (size_t i = 0; i < u->n_pictures; i++) {
    const char *name = upload_name(u, i);
    if (!*name || *name == '/' || strncmp(name, "../", 3) == 0 || strlen(name) > UPLOAD_NAME_MAX) abort();
    if (u->pictures[i].offset + u->pictures[i].n_bytes > u->spool.n_bytes) abort();
  }
}

static void fuzz_archive(const uint8_t *data, size_t n) {
  spool_budget budget = {.max = 2 * SPOOL_MAX};
  spool packed = {.fd = -1};
  upload u;
  problem p = {0};
  if (upload_begin(&u, "/tmp", &budget, false, &p) && spool_open("/tmp", &budget, &packed) == 0 &&
      spool_write(&packed, data, n) == 0)
    check_pictures(&u, archive_unpack(&u, &packed, SPOOL_MAX, &p), &p);
  spool_close(&packed);
  upload_end(&u);
  if (budget.held != 0) abort();
}

/* The text goes against two pictures and the classes of a small network. */
static void fuzz_labels(const uint8_t *data, size_t n) {
  static snn_network *net;
  if (!net && snn_network_load("tests/fuzz/corpus/model/weights-f32.safetensors", &net, NULL) != SNN_OK) abort();
  spool_budget budget = {.max = SPOOL_MAX};
  upload u;
  problem p = {0};
  char *text = malloc(n + 1);
  if (text && upload_begin(&u, "/tmp", &budget, false, &p)) {
    memcpy(text, data, n);
    text[n] = 0;
    if (!upload_add_picture(&u, "0.png", &p) || !upload_add_picture(&u, "a/1.png", &p)) abort();
    check_pictures(&u, labels_apply(&u, text, n, net, &p), &p);
    for (size_t i = 0; i < u.n_pictures; i++)
      if (u.pictures[i].label < -1 || u.pictures[i].label >= (int32_t)snn_network_classes(net)) abort();
    upload_end(&u);
  }
  free(text);
}

static void fuzz_json(const uint8_t *data, size_t n) {
  const char *text = (const char *)data;
  job_options o = {.holdout = 0.2, .n_timesteps = 1, .timesteps = {8}, .tau = 1};
  job_record r = {0};
  store_pointer pointer;
  problem p = {0};
  if (json_jobs_parse_options(text, n, 100, &o, &p) != (p.kind == PROBLEM_NONE)) abort();
  if (p.kind == PROBLEM_NONE) {
    if (o.n_timesteps < 1 || o.n_timesteps > JOB_TIMESTEPS_MAX || !(o.holdout >= 0 && o.holdout <= 0.9)) abort();
    for (size_t i = 0; i < o.n_timesteps; i++)
      if (o.timesteps[i] < 1 || o.timesteps[i] > 100) abort();
  }
  if (json_jobs_parse(text, n, &r)) {
    if (!registry_name_valid(r.model) || r.number == 0) abort();
    job_record_clear(&r);
  }
  if (json_store_parse_pointer(text, n, &pointer) && *pointer.id && !digest_valid(pointer.id)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  if (n == 0) return 0;
  switch (*data) {
    case 'A': fuzz_archive(data + 1, n - 1); break;
    case 'L': fuzz_labels(data + 1, n - 1); break;
    default: fuzz_json(data + 1, n - 1); break;
  }
  return 0;
}
