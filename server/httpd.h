/* HTTP/1.1 over libmicrohttpd: connections to requests, replies to connections.
 *
 * A small pool of threads owns the sockets (epoll). A request that workers have is a suspended connection; their `done`
 * resumes it. Only httpd*.c see libmicrohttpd's types. */
#ifndef SERVER_HTTPD_H
#define SERVER_HTTPD_H

#include <stdbool.h>

#include "request.h"
#include "server.h"

typedef struct httpd httpd;

/* Serve the routes of a face on a listening descriptor (takes it). NULL when libmicrohttpd refuses. */
httpd *httpd_start(server *s, face f, int listen_fd);

/* Accept no more connections; those that there are go on, each until its next answer. NULL is allowed. */
void httpd_quiesce(httpd *h);

/* Close everything. server.in_flight must be 0: stopping with suspended connections is undefined. NULL is allowed. */
void httpd_stop(httpd *h);

#endif
