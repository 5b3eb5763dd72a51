/* Loading and sharing calibrations. Keeps the invariant that tables in memory are those the id names: the file is read
 * once, digested, and never looked at again. Does not know generations' files. */
#include "calibration.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "durable.h"

enum { ID_DIGITS_MIN = 8 };

static void name_it(calibration *c) {
  if (c->generation)
    snprintf(c->name, sizeof c->name, "%llu-%.*s", (unsigned long long)c->generation, CALIBRATION_SHORT_ID, c->id);
  else
    snprintf(c->name, sizeof c->name, "%.*s", CALIBRATION_SHORT_ID, c->id);
}

static snn_status fail(snn_error *err, snn_status status, const char *text) {
  *err = (snn_error){.status = status, .where = "artifact"};
  snprintf(err->text, sizeof err->text, "%s", text);
  return status;
}

snn_status calibration_load(const char *folder, const char *id, const snn_network *net, calibration **out,
                            snn_error *err) {
  char path[4352], found[DIGEST_HEX];
  snn_status status = SNN_OK;
  calibration *c = calloc(1, sizeof *c);
  if (!c) return fail(err, SNN_ERR_NO_MEMORY, "out of memory");
  atomic_init(&c->holders, 1);
  run_memo_init(&c->memo);
  snprintf(c->id, sizeof c->id, "%s", id);
  snprintf(path, sizeof path, "%s/%s.safetensors", folder, id);
  int failed = durable_read(path, ARTIFACT_BYTES_MAX, &c->bytes, &c->n_bytes);
  if (failed) {
    status = fail(err,
                  failed == ENOENT   ? SNN_ERR_NOT_FOUND
                  : failed == ENOMEM ? SNN_ERR_NO_MEMORY
                                     : SNN_ERR_IO,
                  strerror(failed));
    goto cleanup;
  }
  digest_of(c->bytes, c->n_bytes, found);
  if (strcmp(found, id) != 0) {
    status = fail(err, SNN_ERR_FORMAT, "its bytes are not those its name says (by SHA-256)");
    goto cleanup;
  }
  status = snn_calibration_load_memory(c->bytes, c->n_bytes, net, &c->tables, err);
  if (status != SNN_OK) goto cleanup;
  name_it(c);
  *out = c;
  c = NULL;

cleanup:
  calibration_release(c);
  return status;
}

void calibration_enter_force(calibration *c, uint64_t generation) {
  c->generation = generation;
  name_it(c);
}

const char *calibration_digits(const char *text) {
  const char *dash = strchr(text, '-');
  const char *digits = dash && strspn(text, "0123456789") == (size_t)(dash - text) ? dash + 1 : text;
  size_t n = strlen(digits);
  return n >= ID_DIGITS_MIN && n < DIGEST_HEX && strspn(digits, "0123456789abcdef") == n ? digits : NULL;
}

bool calibration_is_called(const calibration *c, const char *text) {
  const char *digits = c ? calibration_digits(text) : NULL;
  return digits && strncmp(c->id, digits, strlen(digits)) == 0;
}

calibration *calibration_hold(calibration *c) {
  if (c) atomic_fetch_add(&c->holders, 1);
  return c;
}

void calibration_release(calibration *c) {
  if (!c || atomic_fetch_sub(&c->holders, 1) != 1) return;
  snn_calibration_free(c->tables);
  free(c->bytes);
  run_memo_destroy(&c->memo);
  free(c);
}
