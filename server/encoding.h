/* Text encodings of the wire: base64 (RFC 4648, standard alphabet) and percent-encoding (RFC 3986). Pure functions. */
#ifndef SERVER_ENCODING_H
#define SERVER_ENCODING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that n characters can decode to, at most. */
static inline size_t base64_decoded_bound(size_t n) {
  return n / 4 * 3 + 3;
}

/* Decode n characters; padding may be left out, white space may not come in between. out has
 * base64_decoded_bound(n) bytes. False for anything else; *bad is then the index of the first wrong character. */
bool base64_decode(const char *text, size_t n, uint8_t *out, size_t *n_out, size_t *bad);

/* A malloc'ed, terminated string; NULL when out of memory. */
char *base64_encode(const uint8_t *bytes, size_t n);

/* Decode %XX in place. False when a % is not followed by two hex digits or when a NUL byte would come out. */
bool percent_decode(char *text);

/* Encode all but unreserved characters into out, cut at n_out - 1. */
void percent_encode(const char *text, char *out, size_t n_out);

#endif
