/* The safetensors container, whatever it holds: named tensors and a map of strings.
 *
 *   8 bytes   little-endian length N of the header
 *   N bytes   JSON: {"__metadata__": {string: string}, "<tensor>": {"dtype", "shape", "data_offsets": [begin, end]}}
 *   the rest  the tensors' bytes, little-endian, row-major, without gaps
 *
 * Reader and writer are generic; read.c and write.c know what a model is. */
#ifndef SNN_MODEL_SAFETENSORS_H
#define SNN_MODEL_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/file.h"
#include "snn/status.h"

enum {
  SNN_TENSOR_MAX_RANK = 8,
  SNN_MAX_TENSORS = 16384,
  SNN_MAX_TENSOR_HEADER = 16 << 20, /* bytes */
  SNN_TENSOR_ALIGNMENT = 64         /* the writer's: of the first tensor in the file */
};

/* Element types of the format; a model uses F32, F16, BF16 and I8. */
typedef enum snn_dtype {
  SNN_DTYPE_F32,
  SNN_DTYPE_F16,
  SNN_DTYPE_BF16,
  SNN_DTYPE_I8,
  SNN_DTYPE_U8,
  SNN_DTYPE_BOOL,
  SNN_DTYPE_I16,
  SNN_DTYPE_U16,
  SNN_DTYPE_I32,
  SNN_DTYPE_U32,
  SNN_DTYPE_I64,
  SNN_DTYPE_U64,
  SNN_DTYPE_F64,
  SNN_DTYPE_COUNT
} snn_dtype;

const char *snn_dtype_name(snn_dtype dtype); /* "F32", ...; static */
size_t snn_dtype_bytes(snn_dtype dtype);     /* of one element */

typedef struct snn_tensor {
  const char *name;
  snn_dtype dtype;
  uint32_t rank;
  size_t shape[SNN_TENSOR_MAX_RANK];
  size_t n_elements, n_bytes;
  const uint8_t *bytes; /* in the file, at any alignment; unused when writing */
} snn_tensor;

/* Set n_elements and n_bytes from dtype, rank and shape; false when a product overflows. */
bool snn_tensor_measure(snn_tensor *tensor);

typedef struct snn_safetensors snn_safetensors;

/* Read the header of a whole file in memory; the bytes are borrowed until snn_safetensors_free. Tensors may not
 * overlap, leave gaps or reach outside. Errors: FORMAT (`where` names the tensor), TOO_LARGE, UNSUPPORTED (an unknown
 * dtype), NO_MEMORY. */
snn_status snn_safetensors_open(const uint8_t *bytes, size_t n_bytes, snn_safetensors **out, snn_error *err);
void snn_safetensors_free(snn_safetensors *file); /* NULL is allowed */

/* Borrowed from the file; NULL when there is none of that name. */
const snn_tensor *snn_safetensors_find(const snn_safetensors *file, const char *name);
const char *snn_safetensors_metadata(const snn_safetensors *file, const char *key);

typedef struct snn_metadata_entry {
  const char *key, *value; /* UTF-8 */
} snn_metadata_entry;

/* All of them: tensors, an array, by name; metadata in the order of the file. Borrowed. */
size_t snn_safetensors_count(const snn_safetensors *file);
const snn_tensor *snn_safetensors_at(const snn_safetensors *file, size_t i);
size_t snn_safetensors_metadata_count(const snn_safetensors *file);
snn_metadata_entry snn_safetensors_metadata_at(const snn_safetensors *file, size_t i);

/* A file being written: nothing is visible under its name before commit. */
typedef struct snn_tensor_writer {
  snn_replace file;
  size_t expected, written; /* bytes of tensors */
} snn_tensor_writer;

/* Start a file: writes the header. Tensors lie in the order given, which must not put one at an address that its
 * element size does not divide (largest elements first). The same arguments give the same bytes. Errors: ARGUMENT (text
 * that is not UTF-8), TOO_LARGE (a file this reader would refuse), IO, NO_MEMORY; nothing is left behind then. */
snn_status snn_tensor_writer_begin(const char *path, const snn_metadata_entry *metadata, size_t n_metadata,
                                   const snn_tensor *tensors, size_t n_tensors, snn_tensor_writer *out, snn_error *err);
/* Append bytes of the tensors, in order, in pieces of any size. Errors: IO. */
snn_status snn_tensor_writer_append(snn_tensor_writer *w, const void *bytes, size_t n_bytes, snn_error *err);
/* Make it visible; w is finished whatever the result. Errors: IO, INTERNAL (bytes are missing or too many). */
snn_status snn_tensor_writer_commit(snn_tensor_writer *w, snn_error *err);
void snn_tensor_writer_abort(snn_tensor_writer *w); /* remove what was written; allowed at any time after begin */

#endif
