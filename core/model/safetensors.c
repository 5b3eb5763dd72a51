/* Reading and writing the safetensors container.
 *
 * Invariant: every tensor handed out lies inside the file, has exactly the bytes its shape and dtype ask for, and
 * shares none with another; all together they cover the file to its last byte. Copies no tensor and gives no tensor a
 * meaning.
 */
#include "model/safetensors.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "model/json.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are little-endian and used in place");

static const struct {
  const char *name;
  size_t bytes;
} dtypes[SNN_DTYPE_COUNT] = {
    [SNN_DTYPE_F32] = {"F32", 4}, [SNN_DTYPE_F16] = {"F16", 2}, [SNN_DTYPE_BF16] = {"BF16", 2},
    [SNN_DTYPE_I8] = {"I8", 1},   [SNN_DTYPE_U8] = {"U8", 1},   [SNN_DTYPE_BOOL] = {"BOOL", 1},
    [SNN_DTYPE_I16] = {"I16", 2}, [SNN_DTYPE_U16] = {"U16", 2}, [SNN_DTYPE_I32] = {"I32", 4},
    [SNN_DTYPE_U32] = {"U32", 4}, [SNN_DTYPE_I64] = {"I64", 8}, [SNN_DTYPE_U64] = {"U64", 8},
    [SNN_DTYPE_F64] = {"F64", 8},
};

static const char metadata_key[] = "__metadata__";
enum { LENGTH_BYTES = 8 };

struct snn_safetensors {
  json_t *header; /* owns all names */
  const json_t *metadata;
  snn_tensor *tensors; /* sorted by name */
  size_t n_tensors;
};

const char *snn_dtype_name(snn_dtype dtype) {
  return (unsigned)dtype < SNN_DTYPE_COUNT ? dtypes[dtype].name : "unknown";
}

size_t snn_dtype_bytes(snn_dtype dtype) {
  return (unsigned)dtype < SNN_DTYPE_COUNT ? dtypes[dtype].bytes : 0;
}

bool snn_tensor_measure(snn_tensor *tensor) {
  size_t n = 1, bytes;
  for (uint32_t i = 0; i < tensor->rank; i++)
    if (!snn_mul(n, tensor->shape[i], &n)) return false;
  if (!snn_mul(n, snn_dtype_bytes(tensor->dtype), &bytes)) return false;
  tensor->n_elements = n;
  tensor->n_bytes = bytes;
  return true;
}

/* ---- reading ---- */

static int by_name(const void *a, const void *b) {
  return strcmp(((const snn_tensor *)a)->name, ((const snn_tensor *)b)->name);
}

/* By place; an empty tensor comes before the one that starts where it lies. */
static int by_place(const void *a, const void *b) {
  const snn_tensor *x = *(const snn_tensor *const *)a, *y = *(const snn_tensor *const *)b;
  if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
  return (x->n_bytes > y->n_bytes) - (x->n_bytes < y->n_bytes);
}

/* A non-negative integer that fits size_t. */
static bool to_size(const json_t *value, size_t *out) {
  if (!json_is_integer(value) || json_integer_value(value) < 0) return false;
  *out = (size_t)json_integer_value(value);
  return true;
}

/* One entry of the header; the tensors' bytes are data[0..n_data). */
static snn_status read_tensor(const char *name, const json_t *entry, const uint8_t *data, size_t n_data,
                              snn_tensor *out, snn_error *err) {
  snn_tensor t = {.name = name, .dtype = SNN_DTYPE_COUNT};
  const json_t *shape = json_object_get(entry, "shape"), *offsets = json_object_get(entry, "data_offsets");
  const char *dtype = json_string_value(json_object_get(entry, "dtype"));
  if (!dtype || !json_is_array(shape) || !json_is_array(offsets) || json_array_size(offsets) != 2)
    return snn_fail(err, SNN_ERR_FORMAT, name,
                    "a tensor needs 'dtype', a string, 'shape', an array, and 'data_offsets', an array of two");
  for (unsigned d = 0; d < SNN_DTYPE_COUNT; d++)
    if (strcmp(dtypes[d].name, dtype) == 0) t.dtype = (snn_dtype)d;
  if (t.dtype == SNN_DTYPE_COUNT) return snn_fail(err, SNN_ERR_UNSUPPORTED, name, "unknown dtype '%.32s'", dtype);
  if (json_array_size(shape) > SNN_TENSOR_MAX_RANK)
    return snn_fail(err, SNN_ERR_TOO_LARGE, name, "%zu dimensions, more than the limit of %d", json_array_size(shape),
                    SNN_TENSOR_MAX_RANK);
  t.rank = (uint32_t)json_array_size(shape);
  for (uint32_t i = 0; i < t.rank; i++)
    if (!to_size(json_array_get(shape, i), &t.shape[i]))
      return snn_fail(err, SNN_ERR_FORMAT, name, "dimension %u of its shape is not an integer >= 0", i);
  if (!snn_tensor_measure(&t)) return snn_fail(err, SNN_ERR_FORMAT, name, "its shape overflows");
  size_t begin, end;
  if (!to_size(json_array_get(offsets, 0), &begin) || !to_size(json_array_get(offsets, 1), &end))
    return snn_fail(err, SNN_ERR_FORMAT, name, "its data_offsets are not integers >= 0");
  if (begin > end || end > n_data)
    return snn_fail(err, SNN_ERR_FORMAT, name, "its data_offsets %zu..%zu are outside the %zu bytes of data", begin,
                    end, n_data);
  if (end - begin != t.n_bytes)
    return snn_fail(err, SNN_ERR_FORMAT, name, "its shape and dtype ask for %zu bytes, its data_offsets give %zu",
                    t.n_bytes, end - begin);
  t.bytes = data + begin;
  *out = t;
  return SNN_OK;
}

/* The tensors lie side by side from the first byte to the last. */
static snn_status check_cover(const snn_safetensors *file, const uint8_t *data, size_t n_data, snn_error *err) {
  const snn_tensor **order = snn_alloc_array(file->n_tensors, sizeof *order);
  if (!order) return snn_fail_memory(err, "the list of tensors");
  for (size_t i = 0; i < file->n_tensors; i++) order[i] = &file->tensors[i];
  qsort(order, file->n_tensors, sizeof *order, by_place);
  snn_status status = SNN_OK;
  size_t covered = 0;
  for (size_t i = 0; i < file->n_tensors && status == SNN_OK; i++) {
    size_t begin = (size_t)(order[i]->bytes - data);
    if (begin != covered)
      status = snn_fail(err, SNN_ERR_FORMAT, order[i]->name, "it starts at byte %zu of the data, where %s", begin,
                        begin < covered ? "another tensor lies" : "bytes before it belong to no tensor");
    covered = begin + order[i]->n_bytes;
  }
  if (status == SNN_OK && covered != n_data)
    status = snn_fail(err, SNN_ERR_FORMAT, NULL, "%zu bytes after the last tensor belong to none", n_data - covered);
  free(order);
  return status;
}

static snn_status check_metadata(json_t *metadata, snn_error *err) {
  if (!json_is_object(metadata)) return snn_fail(err, SNN_ERR_FORMAT, metadata_key, "it must be an object");
  const char *key;
  json_t *value;
  json_object_foreach(metadata, key, value) {
    if (!json_is_string(value)) return snn_fail(err, SNN_ERR_FORMAT, key, "a value of __metadata__ must be a string");
  }
  return SNN_OK;
}

/* The header's text and the bytes after it. */
static snn_status split(const uint8_t *bytes, size_t n_bytes, size_t *n_header, snn_error *err) {
  if (n_bytes < LENGTH_BYTES)
    return snn_fail(err, SNN_ERR_FORMAT, NULL, "%zu bytes are too few for a safetensors file", n_bytes);
  uint64_t n = 0;
  for (int i = 0; i < LENGTH_BYTES; i++) n |= (uint64_t)bytes[i] << (8 * i);
  if (n > n_bytes - LENGTH_BYTES)
    return snn_fail(err, SNN_ERR_FORMAT, NULL,
                    "it is truncated or not a safetensors file: a header of %llu bytes in a file of %zu",
                    (unsigned long long)n, n_bytes);
  if (n > SNN_MAX_TENSOR_HEADER)
    return snn_fail(err, SNN_ERR_TOO_LARGE, NULL, "a header of %llu bytes, more than the limit of %d",
                    (unsigned long long)n, SNN_MAX_TENSOR_HEADER);
  if (n == 0 || bytes[LENGTH_BYTES] != '{')
    return snn_fail(err, SNN_ERR_FORMAT, NULL, "not a safetensors file: its header does not start with '{'");
  *n_header = (size_t)n;
  return SNN_OK;
}

static snn_status read_header(snn_safetensors *file, const uint8_t *data, size_t n_data, snn_error *err) {
  if (json_object_size(file->header) > SNN_MAX_TENSORS + 1)
    return snn_fail(err, SNN_ERR_TOO_LARGE, NULL, "more than %d tensors", SNN_MAX_TENSORS);
  file->tensors = snn_alloc_array(json_object_size(file->header), sizeof *file->tensors);
  if (!file->tensors) return snn_fail_memory(err, "the list of tensors");
  const char *key;
  json_t *value;
  json_object_foreach(file->header, key, value) {
    bool is_metadata = strcmp(key, metadata_key) == 0;
    snn_status status = is_metadata ? check_metadata(value, err)
                                    : read_tensor(key, value, data, n_data, &file->tensors[file->n_tensors], err);
    if (status != SNN_OK) return status;
    if (is_metadata) file->metadata = value;
    file->n_tensors += !is_metadata;
  }
  qsort(file->tensors, file->n_tensors, sizeof *file->tensors, by_name);
  return check_cover(file, data, n_data, err);
}

snn_status snn_safetensors_open(const uint8_t *bytes, size_t n_bytes, snn_safetensors **out, snn_error *err) {
  size_t n_header = 0;
  snn_status status = split(bytes, n_bytes, &n_header, err);
  if (status != SNN_OK) return status;
  snn_safetensors *file = calloc(1, sizeof *file);
  if (!file) return snn_fail_memory(err, "the file's header");
  status = snn_json_parse((const char *)bytes + LENGTH_BYTES, n_header, "header", &file->header, err);
  if (status != SNN_OK) goto cleanup;
  status = read_header(file, bytes + LENGTH_BYTES + n_header, n_bytes - LENGTH_BYTES - n_header, err);
  if (status != SNN_OK) goto cleanup;
  *out = file;
  file = NULL;
cleanup:
  snn_safetensors_free(file);
  return status;
}

void snn_safetensors_free(snn_safetensors *file) {
  if (!file) return;
  json_decref(file->header);
  free(file->tensors);
  free(file);
}

const snn_tensor *snn_safetensors_find(const snn_safetensors *file, const char *name) {
  snn_tensor key = {.name = name};
  return bsearch(&key, file->tensors, file->n_tensors, sizeof key, by_name);
}

const char *snn_safetensors_metadata(const snn_safetensors *file, const char *key) {
  return json_string_value(json_object_get(file->metadata, key));
}

size_t snn_safetensors_count(const snn_safetensors *file) {
  return file->n_tensors;
}

const snn_tensor *snn_safetensors_at(const snn_safetensors *file, size_t i) {
  return &file->tensors[i];
}

size_t snn_safetensors_metadata_count(const snn_safetensors *file) {
  return json_object_size(file->metadata);
}

snn_metadata_entry snn_safetensors_metadata_at(const snn_safetensors *file, size_t i) {
  json_t *metadata = (json_t *)(uintptr_t)file->metadata; /* iterating changes nothing, but jansson asks for it */
  void *at = json_object_iter(metadata);
  while (i-- > 0) at = json_object_iter_next(metadata, at);
  return (snn_metadata_entry){json_object_iter_key(at), json_string_value(json_object_iter_value(at))};
}

/* ---- writing ---- */

/* Add key: value, taking value. A NULL value means that making it failed. */
static snn_status put(json_t *object, const char *key, json_t *value, snn_error *err) {
  snn_status status = snn_json_check_text(key, key, err);
  if (status != SNN_OK) {
    json_decref(value);
    return status;
  }
  return json_object_set_new(object, key, value) == 0 ? SNN_OK : snn_fail_memory(err, "the header");
}

static snn_status put_metadata(json_t *header, const snn_metadata_entry *metadata, size_t n_metadata, snn_error *err) {
  json_t *object = json_object();
  snn_status status = put(header, metadata_key, object, err);
  for (size_t i = 0; i < n_metadata && status == SNN_OK; i++) {
    status = snn_json_check_text(metadata[i].value, metadata[i].key, err);
    if (status == SNN_OK) status = put(object, metadata[i].key, json_string(metadata[i].value), err);
  }
  return status;
}

static snn_status put_tensor(json_t *header, const snn_tensor *t, size_t begin, snn_error *err) {
  json_t *shape = json_array();
  for (uint32_t i = 0; i < t->rank; i++)
    if (json_array_append_new(shape, json_integer((json_int_t)t->shape[i])) != 0) {
      json_decref(shape);
      return snn_fail_memory(err, "the header");
    }
  json_t *entry = json_pack("{s:s, s:o, s:[I,I]}", "dtype", snn_dtype_name(t->dtype), "shape", shape, "data_offsets",
                            (json_int_t)begin, (json_int_t)(begin + t->n_bytes));
  return put(header, t->name, entry, err);
}

/* The length and the JSON, padded with spaces so that the tensors start on a cache line; *out is malloc'ed. */
static snn_status print_header(const json_t *header, uint8_t **out, size_t *n_out, snn_error *err) {
  size_t n = json_dumpb(header, NULL, 0, JSON_COMPACT);
  if (n == 0) return snn_fail_memory(err, "the header");
  size_t total = (LENGTH_BYTES + n + SNN_TENSOR_ALIGNMENT - 1) / SNN_TENSOR_ALIGNMENT * SNN_TENSOR_ALIGNMENT;
  if (total - LENGTH_BYTES > SNN_MAX_TENSOR_HEADER)
    return snn_fail(err, SNN_ERR_TOO_LARGE, NULL, "its header would have %zu bytes, more than the limit of %d", n,
                    SNN_MAX_TENSOR_HEADER);
  uint8_t *bytes = malloc(total);
  if (!bytes) return snn_fail_memory(err, "the header");
  if (json_dumpb(header, (char *)bytes + LENGTH_BYTES, n, JSON_COMPACT) != n) {
    free(bytes);
    return snn_fail_memory(err, "the header");
  }
  memset(bytes + LENGTH_BYTES + n, ' ', total - LENGTH_BYTES - n);
  for (int i = 0; i < LENGTH_BYTES; i++) bytes[i] = (uint8_t)((total - LENGTH_BYTES) >> (8 * i));
  *out = bytes;
  *n_out = total;
  return SNN_OK;
}

snn_status snn_tensor_writer_begin(const char *path, const snn_metadata_entry *metadata, size_t n_metadata,
                                   const snn_tensor *tensors, size_t n_tensors, snn_tensor_writer *out,
                                   snn_error *err) {
  snn_tensor_writer w = {.file = {.fd = -1}};
  uint8_t *bytes = NULL;
  size_t n_bytes = 0;
  snn_status status = SNN_OK;
  json_t *header = json_object();
  if (!header) return snn_fail_memory(err, "the header");
  if (n_tensors > SNN_MAX_TENSORS) {
    status = snn_fail(err, SNN_ERR_TOO_LARGE, NULL, "more than %d tensors", SNN_MAX_TENSORS);
    goto cleanup;
  }
  status = put_metadata(header, metadata, n_metadata, err);
  for (size_t i = 0; i < n_tensors && status == SNN_OK; i++) {
    size_t element = snn_dtype_bytes(tensors[i].dtype);
    assert(element > 0 && w.expected % element == 0);
    status = put_tensor(header, &tensors[i], w.expected, err);
    w.expected += tensors[i].n_bytes;
  }
  if (status == SNN_OK) status = print_header(header, &bytes, &n_bytes, err);
  if (status == SNN_OK) status = snn_replace_begin(path, &w.file, err);
  if (status != SNN_OK) goto cleanup;
  status = snn_replace_write(&w.file, bytes, n_bytes, err);
  if (status == SNN_OK)
    *out = w;
  else
    snn_replace_abort(&w.file);
cleanup:
  json_decref(header);
  free(bytes);
  return status;
}

snn_status snn_tensor_writer_append(snn_tensor_writer *w, const void *bytes, size_t n_bytes, snn_error *err) {
  w->written += n_bytes;
  return snn_replace_write(&w->file, bytes, n_bytes, err);
}

snn_status snn_tensor_writer_commit(snn_tensor_writer *w, snn_error *err) {
  if (w->written == w->expected) return snn_replace_commit(&w->file, err);
  snn_tensor_writer_abort(w);
  return snn_fail(err, SNN_ERR_INTERNAL, NULL, "%zu bytes of tensors written, %zu announced", w->written, w->expected);
}

void snn_tensor_writer_abort(snn_tensor_writer *w) {
  snn_replace_abort(&w->file);
}
