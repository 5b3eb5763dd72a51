/* The headers of the Fetch standard. Keeps the invariant that credentials are never allowed. Decides nothing else: a
 * request of a foreign origin is served, its page just cannot read the answer. */
#include "cors.h"

#include <string.h>
#include <strings.h>

bool cors_allows(const char *list, const char *origin) {
  size_t wanted = strlen(origin);
  if (strcmp(list, "*") == 0) return true;
  while (*list) {
    list += strspn(list, " ,");
    size_t n = strcspn(list, " ,");
    if (n && n == wanted && strncasecmp(list, origin, n) == 0) return true;
    list += n;
  }
  return false;
}

void cors_decorate(const char *list, request *r) {
  if (!*list) return;
  reply_add_header(r, "Vary", "Origin");
  if (!r->origin || strlen(r->origin) > 200 || !cors_allows(list, r->origin)) return;
  reply_add_header(r, "Access-Control-Allow-Origin", "%s", strcmp(list, "*") == 0 ? "*" : r->origin);
  reply_add_header(r, "Access-Control-Expose-Headers",
                   "ETag, Inference-Header-Content-Length, Retry-After, Server-Timing, X-Request-Id, traceparent");
}

void cors_preflight(const char *list, request *r, const char *allow) {
  r->reply.status = 204;
  reply_add_header(r, "Allow", "%s", allow);
  if (!*list || !r->origin || !cors_allows(list, r->origin)) return;
  reply_add_header(r, "Access-Control-Allow-Methods", "%s", allow);
  reply_add_header(r, "Access-Control-Allow-Headers",
                   "Authorization, Content-Encoding, Content-Type, If-None-Match, Inference-Header-Content-Length, "
                   "X-API-Key, X-Request-Id, traceparent");
  reply_add_header(r, "Access-Control-Max-Age", "600");
}
