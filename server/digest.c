/* The daemon's digests, through nettle. */
#include "digest.h"

#include <stdint.h>
#include <string.h>

void digest_begin(digest *d) {
  sha256_init(&d->context);
}

void digest_add(digest *d, const void *bytes, size_t n) {
  sha256_update(&d->context, n, bytes);
}

void digest_end(digest *d, char out[DIGEST_HEX]) {
  static const char digits[] = "0123456789abcdef";
  uint8_t bytes[SHA256_DIGEST_SIZE];
  sha256_digest(&d->context, sizeof bytes, bytes);
  for (size_t i = 0; i < sizeof bytes; i++) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
  out[DIGEST_HEX - 1] = 0;
}

void digest_of(const void *bytes, size_t n, char out[DIGEST_HEX]) {
  digest d;
  digest_begin(&d);
  digest_add(&d, bytes, n);
  digest_end(&d, out);
}

bool digest_valid(const char *text) {
  return strlen(text) == DIGEST_HEX - 1 && strspn(text, "0123456789abcdef") == DIGEST_HEX - 1;
}
