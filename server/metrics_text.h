/* The counters as Prometheus text (exposition format 0.0.4). */
#ifndef SERVER_METRICS_TEXT_H
#define SERVER_METRICS_TEXT_H

#include "server.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* malloc'ed, terminated text of *n bytes; NULL when out of memory. */
char *metrics_text(server *s, size_t *n);

#endif
