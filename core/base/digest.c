/* SHA-256 as lower-case hex. The one place that knows the digest library. */
#include "base/digest.h"

#include <nettle/sha2.h>
#include <stdint.h>

void snn_sha256_hex(const void *bytes, size_t n_bytes, char out[SNN_SHA256_HEX]) {
  static const char digits[] = "0123456789abcdef";
  struct sha256_ctx ctx;
  uint8_t digest[SHA256_DIGEST_SIZE];
  sha256_init(&ctx);
  sha256_update(&ctx, n_bytes, bytes);
  sha256_digest(&ctx, sizeof digest, digest);
  for (size_t i = 0; i < sizeof digest; i++) {
    out[2 * i] = digits[digest[i] >> 4];
    out[2 * i + 1] = digits[digest[i] & 15];
  }
  out[SNN_SHA256_HEX - 1] = 0;
}
