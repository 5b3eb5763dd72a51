/* The answer to an upload that will not be read to its end. libmicrohttpd takes a response only before the first or
 * after the last body byte; in between, a server that wants to say 408 or 413 has to write it itself. Nothing else is
 * being written on the connection then (at most a whole 100 Continue was), and it is closed right after. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "httpd_internal.h"

void httpd_answer_and_abandon(exchange *x) {
  request *r = &x->request;
  reply_problem(r);
  metrics_request(&x->server->metrics, r);
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  char head[512];
  int n = snprintf(head, sizeof head,
                   "HTTP/1.1 %u %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nX-Request-Id: %s\r\n"
                   "Connection: close\r\n\r\n",
                   r->reply.status, problem_describe(r->problem.kind)->title, r->reply.content_type, r->reply.n_body,
                   r->id);
  if (!info || !x->plain || n < 0 || (size_t)n >= sizeof head) return;
  /* Best effort: a client that does not read its answer does not get it. */
  if (send(info->connect_fd, head, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE) == n && r->reply.n_body)
    (void)!send(info->connect_fd, r->reply.body, r->reply.n_body, MSG_DONTWAIT | MSG_NOSIGNAL);
}
