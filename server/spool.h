/* A file without a name: bytes that are gone when it is closed, however the process ends. */
#ifndef SERVER_SPOOL_H
#define SERVER_SPOOL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What all spools together may hold. */
typedef struct spool_budget {
  atomic_ullong held;
  uint64_t max;
} spool_budget;

typedef struct spool {
  int fd; /* -1: not open */
  uint64_t n_bytes;
  spool_budget *budget; /* borrowed */
} spool;

/* Make one in a folder. 0 or an errno value. */
int spool_open(const char *folder, spool_budget *budget, spool *out);

/* Append. 0, EDQUOT when the budget is used up, or what write(2) said. */
int spool_write(spool *s, const void *bytes, size_t n);

/* Read n bytes at an offset; false when they are not there. Any thread may call. */
bool spool_read(const spool *s, uint64_t offset, void *bytes, size_t n);

void spool_close(spool *s); /* one that is not open is allowed */

#endif
