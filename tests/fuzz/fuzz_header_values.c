/* Fuzzing header values with a grammar of their own: traceparent, Content-Encoding, Accept-Encoding. A trace that is
 * taken is 55 characters of hex and dashes that parse to themselves. */
#include <stdlib.h>
#include <string.h>

#include "../../server/compress.h"
#include "../../server/trace_context.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  char *text = malloc(n + 1);
  if (!text) abort();
  if (n) memcpy(text, data, n);
  text[n] = 0;
  trace_context t, again;
  if (trace_context_parse(text, &t)) {
    if (strspn(t.text, "0123456789abcdef-") != TRACE_TEXT_MAX || t.text[TRACE_TEXT_MAX]) abort();
    if (!trace_context_parse(t.text, &again) || memcmp(&t, &again, sizeof t) != 0) abort();
  } else if (*t.trace_id || *t.parent_id || *t.text) {
    abort();
  }
  compression how;
  if (compression_parse(text, &how) && (unsigned)how > COMPRESSION_DEFLATE) abort();
  if ((unsigned)compression_accepted(text) > COMPRESSION_DEFLATE) abort();
  free(text);
  return 0;
}
