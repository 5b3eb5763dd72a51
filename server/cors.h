/* Pages of other origins that may use the public listener: off unless --cors-origin names them. */
#ifndef SERVER_CORS_H
#define SERVER_CORS_H

#include "request.h"

/* Is this origin one of the comma-separated list, or the list "*"? */
bool cors_allows(const char *list, const char *origin);

/* Let the page read the reply, where its origin is allowed. */
void cors_decorate(const char *list, request *r);

/* The answer to a preflight: what this path takes, `allow`. */
void cors_preflight(const char *list, request *r, const char *allow);

#endif
