/* Calibration files, and tables embedded in model files.
 *
 * Invariant: a calibration comes out of a file only when it was made for this very network (by its identity, a
 * SHA-256); embedding copies all that it does not replace byte for byte, so the network keeps its identity. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "model/tables.h"

enum { SNN_CALIBRATION_VERSION = 2 };
#define SNN_KEY_CALIBRATION_VERSION "spiked.calibration_version"

snn_status snn_calibration_save(const snn_calibration *c, const char *path, snn_error *err) {
  if (!c->network_sha256[0])
    return snn_fail(err, SNN_ERR_ARGUMENT, "model",
                    "its network was never saved, so the calibration could not be bound to it");
  snn_arena arena = {0};
  size_t n = 0;
  snn_tensor_writer writer;
  snn_tensor *tensors = NULL;
  const float **values = NULL;
  json_t *about = json_pack("{s:s, s:o}", "model_sha256", c->network_sha256, "tables", snn_tables_json(c));
  char *description = about ? json_dumps(about, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
  json_decref(about);
  snn_status status = description ? snn_tables_tensors(c, &arena, &tensors, &values, &n, err)
                                  : snn_fail_memory(err, "the calibration's description");
  if (status == SNN_OK) {
    const snn_metadata_entry metadata[] = {{SNN_KEY_CALIBRATION_VERSION, snn_tables_have_more(c) ? "2" : "1"},
                                           {SNN_KEY_CALIBRATION, description},
                                           {SNN_KEY_PROVENANCE, snn_calibration_provenance(c)}};
    status = snn_tensor_writer_begin(path, metadata, c->provenance ? 3 : 2, tensors, n, &writer, err);
    for (size_t i = 0; status == SNN_OK && i < n; i++) {
      status = snn_tensor_writer_append(&writer, values[i], tensors[i].n_bytes, err);
      if (status != SNN_OK) snn_tensor_writer_abort(&writer);
    }
    if (status == SNN_OK) status = snn_tensor_writer_commit(&writer, err);
  }
  free(description);
  snn_arena_free(&arena);
  return status;
}

snn_status snn_calibration_load_memory(const void *bytes, size_t n_bytes, const snn_network *net, snn_calibration **out,
                                       snn_error *err) {
  snn_safetensors *file = NULL;
  json_t *about = NULL;
  snn_calibration *c = NULL;
  const char *made_for = NULL;
  snn_status status = snn_safetensors_open(bytes, n_bytes, &file, err);
  if (status != SNN_OK) return status;
  const char *version = snn_safetensors_metadata(file, SNN_KEY_CALIBRATION_VERSION);
  const char *text = snn_safetensors_metadata(file, SNN_KEY_CALIBRATION);
  if (!version || !text)
    status =
        snn_fail(err, SNN_ERR_FORMAT, SNN_KEY_CALIBRATION, "this metadata key is missing: not a calibration of spiked");
  else if (strcmp(version, "1") != 0 && strcmp(version, "2") != 0)
    status = snn_fail(err, SNN_ERR_UNSUPPORTED, SNN_KEY_CALIBRATION_VERSION,
                      "the file has version '%.16s', this build reads 1 to %d", version, SNN_CALIBRATION_VERSION);
  else
    status = snn_json_parse(text, strlen(text), SNN_KEY_CALIBRATION, &about, err);
  if (status == SNN_OK)
    status = snn_json_text(about, "model_sha256", SNN_SHA256_HEX, true, &made_for, SNN_KEY_CALIBRATION, err);
  if (status == SNN_OK && strcmp(made_for, net->network_sha256) != 0)
    status = snn_fail(err, SNN_ERR_ARGUMENT, "model",
                      "the calibration was made for another network (model file %.12s..., not %.12s...)", made_for,
                      net->network_sha256);
  if (status == SNN_OK) status = snn_tables_read(file, net, about, &c, err);
  const char *provenance = snn_safetensors_metadata(file, SNN_KEY_PROVENANCE);
  if (status == SNN_OK && c && provenance && (status = snn_calibration_set_provenance(c, provenance, err)) != SNN_OK)
    snn_calibration_free(c);
  json_decref(about);
  snn_safetensors_free(file);
  if (status != SNN_OK || !c) return status;
  snn_sha256_hex(bytes, n_bytes, c->sha256);
  *out = c;
  return SNN_OK;
}

snn_status snn_calibration_load(const char *path, const snn_network *net, snn_calibration **out, snn_error *err) {
  snn_mapping mapping;
  snn_calibration *c = NULL;
  snn_status status = snn_map_file(path, SNN_MAX_MODEL_BYTES, &mapping, err);
  if (status != SNN_OK) return status;
  status = snn_calibration_load_memory(mapping.bytes, mapping.n_bytes, net, &c, err);
  if (status != SNN_OK) {
    snn_unmap(&mapping);
    return status;
  }
  c->mapping = mapping; /* its tables point into it */
  *out = c;
  return SNN_OK;
}
