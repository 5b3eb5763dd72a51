/* The grammar of headers on any bytes: no read outside them, and what is accepted holds no byte that could end a line.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../server/http_syntax.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void no_breaks(const char *text, size_t n) {
  if (memchr(text, '\r', n) || memchr(text, '\n', n) || memchr(text, 0, n)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  char *text = malloc(size ? size : 1); /* exactly as large as the input, for the sanitizer */
  if (!text) return 0;
  memcpy(text, data, size);
  if (http_is_token(text, size)) no_breaks(text, size);
  if (http_is_value(text, size)) no_breaks(text, size);
  if (http_is_host(text, size)) no_breaks(text, size);
  if (http_is_target(text, size)) {
    no_breaks(text, size);
    if (http_target_form("GET", text, size) == HTTP_TARGET_ABSOLUTE) {
      const char *authority, *path;
      size_t n_authority;
      http_split_absolute(text, size, &authority, &n_authority, &path);
      if (authority < text || authority + n_authority != path || path > text + size) abort();
    }
  }
  free(text);
  return 0;
}
