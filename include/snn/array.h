/* Arrays of numbers in files: what other programs take in and give out. Reads NumPy's .npy (float32 and float64, little
 * endian, C order) and text of one row a line; writes .npy. */
#ifndef SNN_ARRAY_H
#define SNN_ARRAY_H

#include <stddef.h>

#include "snn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { SNN_ARRAY_DIMS = 8 };

typedef struct snn_array {
  size_t n_dims, dims[SNN_ARRAY_DIMS]; /* 1 to SNN_ARRAY_DIMS */
  size_t n;                            /* the product of dims; may be 0 */
  float *values;                       /* [n], row-major, owned by whoever holds the struct */
} snn_array;

/* Read a file of at most 2 GiB. What does not begin as .npy does is text: numbers divided by commas, semicolons or
 * blanks, the same count in every row ([rows, columns]); empty lines and lines that begin with # do not count. Errors:
 * NOT_FOUND, IO, TOO_LARGE, FORMAT (malformed), UNSUPPORTED (another type or order), NO_MEMORY. */
snn_status snn_array_read(const char *path, snn_array *out, snn_error *err);

/* The same from n bytes in memory, borrowed for the call. */
snn_status snn_array_read_memory(const void *bytes, size_t n, snn_array *out, snn_error *err);

/* Write values as .npy of float32, whole or not at all. n_dims is 1 to SNN_ARRAY_DIMS. Errors: IO, NO_MEMORY. */
snn_status snn_array_write(const char *path, const float *values, size_t n_dims, const size_t *dims, snn_error *err);

void snn_array_free(snn_array *a); /* frees the values; an empty struct is allowed */

#ifdef __cplusplus
}
#endif
#endif
