/* zlib, both ways. Keeps the invariant that decompressing allocates the same few kilobytes for every input. Knows no
 * limits: the caller's `take` counts. */
#include "compress.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

enum { PIECE_BYTES = 16 * 1024, WINDOW_BITS = 15, GZIP_BITS = WINDOW_BITS + 16, MEMORY_LEVEL = 8 };

const char *compression_name(compression how) {
  return how == COMPRESSION_GZIP ? "gzip" : how == COMPRESSION_DEFLATE ? "deflate" : NULL;
}

bool compression_parse(const char *header, compression *out) {
  if (!header || strcasecmp(header, "identity") == 0)
    *out = COMPRESSION_NONE;
  else if (strcasecmp(header, "gzip") == 0 || strcasecmp(header, "x-gzip") == 0)
    *out = COMPRESSION_GZIP;
  else if (strcasecmp(header, "deflate") == 0)
    *out = COMPRESSION_DEFLATE;
  else
    return false;
  return true;
}

/* Is the coding listed, and not with q=0? */
static bool accepts(const char *header, const char *coding) {
  size_t n = strlen(coding);
  while (*header) {
    header += strspn(header, " \t,");
    size_t n_item = strcspn(header, ",");
    if (n_item >= n && strncasecmp(header, coding, n) == 0 && (n_item == n || strchr(" \t;", header[n]))) {
      const char *q = memchr(header, ';', n_item);
      if (!q) return true;
      q += 1 + strspn(q + 1, " \t");
      return strncasecmp(q, "q=", 2) != 0 || strtod(q + 2, NULL) > 0;
    }
    header += n_item;
  }
  return false;
}

compression compression_accepted(const char *header) {
  if (!header) return COMPRESSION_NONE;
  return accepts(header, "gzip")      ? COMPRESSION_GZIP
         : accepts(header, "deflate") ? COMPRESSION_DEFLATE
                                      : COMPRESSION_NONE;
}

expand_result compress_expand(compression how, const uint8_t *bytes, size_t n,
                              bool (*take)(void *context, const uint8_t *piece, size_t n), void *context) {
  uint8_t piece[PIECE_BYTES];
  z_stream z = {0};
  union {
    const uint8_t *constant;
    uint8_t *next; /* zlib's type has no const; it does not write there */
  } in = {.constant = bytes};
  expand_result result = EXPAND_MALFORMED;
  if (n > UINT_MAX) return EXPAND_MALFORMED;
  if (inflateInit2(&z, how == COMPRESSION_GZIP ? GZIP_BITS : WINDOW_BITS) != Z_OK) return EXPAND_NO_MEMORY;
  z.next_in = in.next;
  z.avail_in = (uInt)n;
  for (bool more = true; more;) {
    z.next_out = piece;
    z.avail_out = sizeof piece;
    int status = inflate(&z, Z_NO_FLUSH);
    size_t n_piece = sizeof piece - z.avail_out;
    if (status != Z_OK && status != Z_STREAM_END) break; /* Z_BUF_ERROR: cut off */
    if (n_piece && !take(context, piece, n_piece)) {
      result = EXPAND_STOPPED;
      break;
    }
    if (status != Z_STREAM_END) continue;
    /* A gzip file may be several in a row. */
    more = z.avail_in > 0 && how == COMPRESSION_GZIP;
    if (more && inflateReset(&z) != Z_OK) break;
    if (!more && z.avail_in == 0) result = EXPAND_OK;
  }
  inflateEnd(&z);
  return result;
}

bool compress_shrink(compression how, const uint8_t *bytes, size_t n, uint8_t **out, size_t *n_out) {
  z_stream z = {0};
  union {
    const uint8_t *constant;
    uint8_t *next;
  } in = {.constant = bytes};
  uint8_t *packed = NULL;
  bool ok = false;
  if (n > UINT_MAX / 2 || deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, how == COMPRESSION_GZIP ? GZIP_BITS : WINDOW_BITS,
                                       MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK)
    return false;
  size_t bound = deflateBound(&z, (uLong)n);
  packed = malloc(bound);
  if (packed) {
    z.next_in = in.next;
    z.avail_in = (uInt)n;
    z.next_out = packed;
    z.avail_out = (uInt)bound;
    ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
  }
  if (ok) {
    *out = packed;
    *n_out = bound - z.avail_out;
  } else {
    free(packed);
  }
  deflateEnd(&z);
  return ok;
}
