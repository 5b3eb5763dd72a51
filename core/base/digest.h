/* SHA-256 (through nettle). */
#ifndef SNN_BASE_DIGEST_H
#define SNN_BASE_DIGEST_H

#include <stddef.h>

enum { SNN_SHA256_HEX = 65 }; /* 64 hex digits and the terminator */

void snn_sha256_hex(const void *bytes, size_t n_bytes, char out[SNN_SHA256_HEX]);

#endif
