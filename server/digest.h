/* SHA-256 as lower-case hex, at once or piece by piece. */
#ifndef SERVER_DIGEST_H
#define SERVER_DIGEST_H

#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>

enum { DIGEST_HEX = 65 }; /* 64 digits and the terminator */

typedef struct digest {
  struct sha256_ctx context;
} digest;

void digest_begin(digest *d);
void digest_add(digest *d, const void *bytes, size_t n);
void digest_end(digest *d, char out[DIGEST_HEX]); /* and begin anew */

void digest_of(const void *bytes, size_t n, char out[DIGEST_HEX]);

/* Is it 64 lower-case hex digits? */
bool digest_valid(const char *text);

#endif
