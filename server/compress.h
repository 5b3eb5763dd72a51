/* gzip and deflate (RFC 1952, RFC 1950) of bodies, over zlib. Pure functions. */
#ifndef SERVER_COMPRESS_H
#define SERVER_COMPRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_DEFLATE } compression;

/* "gzip", "deflate"; NULL for COMPRESSION_NONE. Static. */
const char *compression_name(compression how);

/* The value of a Content-Encoding header, NULL when it was absent. False when it is another, or several. */
bool compression_parse(const char *header, compression *out);

/* The first of gzip and deflate that an Accept-Encoding header (NULL: absent) allows; COMPRESSION_NONE otherwise. */
compression compression_accepted(const char *header);

typedef enum expand_result {
  EXPAND_OK,
  EXPAND_MALFORMED, /* not that format, damaged, cut off, or something behind its end */
  EXPAND_STOPPED,   /* `take` had enough */
  EXPAND_NO_MEMORY
} expand_result;

/* Decompress n bytes and hand the result on in pieces of at most 16 KiB; `take` returns false to stop. Memory is
 * bounded by zlib's window whatever the bytes are: how much is too much is for `take` to say. */
expand_result compress_expand(compression how, const uint8_t *bytes, size_t n,
                              bool (*take)(void *context, const uint8_t *piece, size_t n), void *context);

/* Compress; *out is malloc'ed. False when out of memory. */
bool compress_shrink(compression how, const uint8_t *bytes, size_t n, uint8_t **out, size_t *n_out);

#endif
