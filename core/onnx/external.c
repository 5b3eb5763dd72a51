/* External data: weights in files beside the model. A location is relative, has no "..", and must resolve (symbolic
 * links followed) to a file inside the model's folder. Invariant: every slice handed out lies within a mapping that
 * lives until snn_onnx_external_close. Not meant against someone who swaps files while they are read. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/import.h"

#define MAX_EXTERNAL_BYTES ((size_t)1 << 31)
enum { MAX_LOCATION = 1024 };

/* Relative, no empty first component, no ".." component, no NUL. */
static bool location_is_plain(onnx_slice s) {
  if (s.n == 0 || s.n >= MAX_LOCATION || s.bytes[0] == '/' || memchr(s.bytes, 0, s.n)) return false;
  size_t start = 0;
  for (size_t i = 0; i <= s.n; i++) {
    if (i < s.n && s.bytes[i] != '/') continue;
    if (i - start == 2 && s.bytes[start] == '.' && s.bytes[start + 1] == '.') return false;
    start = i + 1;
  }
  return true;
}

static bool parse_number(onnx_slice s, uint64_t *out) {
  uint64_t value = 0;
  if (s.n == 0) return false;
  for (size_t i = 0; i < s.n; i++) {
    if (s.bytes[i] < '0' || s.bytes[i] > '9') return false;
    if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
        __builtin_add_overflow(value, (uint64_t)(s.bytes[i] - '0'), &value))
      return false;
  }
  *out = value;
  return true;
}

/* Map folder/location after checking where it really lies. `label` is the location, printable. */
static snn_status map_inside(onnx_import *im, onnx_slice location, const char *label, snn_mapping *out) {
  snn_status status = SNN_OK;
  char *joined = NULL, *root = NULL, *real = NULL;
  size_t n_folder = strlen(im->folder);
  joined = malloc(n_folder + 1 + location.n + 1);
  if (!joined) return snn_fail_memory(im->err, "a file name");
  memcpy(joined, im->folder, n_folder);
  joined[n_folder] = '/';
  memcpy(joined + n_folder + 1, location.bytes, location.n);
  joined[n_folder + 1 + location.n] = '\0';
  root = realpath(im->folder, NULL);
  real = realpath(joined, NULL);
  if (!root || !real) {
    status = snn_fail(im->err, SNN_ERR_NOT_FOUND, label, "the model's external data file is missing");
    goto cleanup;
  }
  size_t n_root = strlen(root);
  if (n_root == 1) n_root = 0; /* the folder is "/" itself */
  if (strncmp(real, root, n_root) != 0 || real[n_root] != '/') {
    status = snn_fail(im->err, SNN_ERR_FORMAT, label, "external data must lie inside the model's folder");
    goto cleanup;
  }
  status = snn_map_file(real, MAX_EXTERNAL_BYTES, out, im->err);
cleanup:
  free(joined);
  free(root);
  free(real);
  return status;
}

static snn_status open_location(onnx_import *im, onnx_slice location, const char *tensor, snn_mapping *out) {
  char label[ONNX_LABEL];
  snn_onnx_text(location, label, sizeof label);
  for (uint32_t i = 0; i < im->n_external; i++)
    if (snn_slice_equal(im->external[i].location, location)) {
      *out = im->external[i].mapping;
      return SNN_OK;
    }
  if (!im->folder)
    return snn_fail(im->err, SNN_ERR_UNSUPPORTED, tensor,
                    "its data is in the external file %s, which cannot be reached from here", label);
  if (!location_is_plain(location))
    return snn_fail(im->err, SNN_ERR_FORMAT, tensor,
                    "its external file '%s' is not a plain relative name inside the model's folder", label);
  if (im->n_external == ONNX_MAX_EXTERNAL)
    return snn_fail(im->err, SNN_ERR_TOO_LARGE, tensor, "more than %d external data files", ONNX_MAX_EXTERNAL);
  snn_status status = map_inside(im, location, label, out);
  if (status != SNN_OK) return status;
  im->external[im->n_external].location = location;
  im->external[im->n_external++].mapping = *out;
  im->budget += 8 * out->n_bytes; /* the file counts like the model's own bytes; 16 files of 2 GiB do not overflow */
  return SNN_OK;
}

snn_status snn_onnx_external_bytes(onnx_import *im, const onnx_tensor *t, onnx_slice *out) {
  char name[ONNX_LABEL];
  snn_onnx_text(t->name, name, sizeof name);
  onnx_slice offset_text = snn_onnx_external_entry(t, "offset"), length_text = snn_onnx_external_entry(t, "length");
  uint64_t offset = 0, length = 0;
  if ((offset_text.n && !parse_number(offset_text, &offset)) || (length_text.n && !parse_number(length_text, &length)))
    return snn_fail(im->err, SNN_ERR_FORMAT, name, "offset or length of its external data is not a number");
  snn_mapping m = {NULL, 0};
  snn_status status = open_location(im, snn_onnx_external_entry(t, "location"), name, &m);
  if (status != SNN_OK) return status;
  if (offset > m.n_bytes || (length_text.n && length > m.n_bytes - offset))
    return snn_fail(im->err, SNN_ERR_FORMAT, name, "its external data reaches beyond the end of the file");
  *out = (onnx_slice){m.bytes ? m.bytes + offset : NULL, length_text.n ? (size_t)length : m.n_bytes - (size_t)offset};
  return SNN_OK;
}

void snn_onnx_external_close(onnx_import *im) {
  for (uint32_t i = 0; i < im->n_external; i++) snn_unmap(&im->external[i].mapping);
  im->n_external = 0;
}
