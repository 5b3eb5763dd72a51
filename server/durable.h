/* Small files that survive a crash: written whole or not at all, and flushed to the disk before anyone is told.
 *
 * All functions return 0 or an errno value. Any thread, and any process that shares the folder, may call. */
#ifndef SERVER_DURABLE_H
#define SERVER_DURABLE_H

#include <stddef.h>
#include <stdint.h>

/* Make a folder (its parent must be there), unless it exists. */
int durable_make_folder(const char *path);

/* Claim a name: link a flushed file of these bytes to folder/name. EEXIST: the name is taken, whoever took it. */
int durable_claim(const char *folder, const char *name, const void *bytes, size_t n);

/* Put a file of these bytes in the place of folder/name, whether there was one or not. */
int durable_replace(const char *folder, const char *name, const void *bytes, size_t n);

/* Flush a folder, after a rename or an unlink in it. */
int durable_flush_folder(const char *path);

/* A whole regular file of at most max bytes into malloc'ed memory, terminated. EFBIG: it is larger. */
int durable_read(const char *path, size_t max, uint8_t **out, size_t *n);

/* Remove the temporary files that a crash left in a folder: those of the functions above, an hour old and more. */
void durable_sweep(const char *folder);

#endif
