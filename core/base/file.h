/* Whole files: mapped for reading, replaced atomically for writing. */
#ifndef SNN_BASE_FILE_H
#define SNN_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "snn/status.h"

/* A read-only view of a file. */
typedef struct snn_mapping {
  const uint8_t *bytes; /* page-aligned; NULL when the file is empty */
  size_t n_bytes;
} snn_mapping;

/* Map a regular file of at most max_bytes. Errors: NOT_FOUND, IO, TOO_LARGE; `where` is the file's base name. */
snn_status snn_map_file(const char *path, size_t max_bytes, snn_mapping *out, snn_error *err);
void snn_unmap(snn_mapping *mapping);

/* The last component of a path; borrowed from it. */
const char *snn_base_name(const char *path);

/* Write a new version of a file: snn_replace_begin opens a temporary file in the same folder, snn_replace_write
 * appends, snn_replace_commit flushes it to the disk, renames it over `path` and flushes the folder; snn_replace_abort
 * removes it (allowed at any time). */
typedef struct snn_replace {
  int fd;
  char *path, *temporary;
} snn_replace;

snn_status snn_replace_begin(const char *path, snn_replace *out, snn_error *err);
snn_status snn_replace_write(snn_replace *r, const void *bytes, size_t n_bytes, snn_error *err);
snn_status snn_replace_commit(snn_replace *r, snn_error *err);
void snn_replace_abort(snn_replace *r);

#endif
