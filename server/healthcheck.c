/* The probe of healthcheck.h: one plain HTTP/1.0 request. Does not load models and starts no thread. */
#include "healthcheck.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { PATIENCE_SECONDS = 3 };

/* Who listens everywhere is asked at home. */
static const char *reachable(const char *host) {
  return strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : strcmp(host, "::") == 0 ? "::1" : host;
}

static int connect_to(const listen_address *at, const char **why) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found = NULL;
  struct timeval patience = {PATIENCE_SECONDS, 0};
  char service[8];
  snprintf(service, sizeof service, "%u", at->port);
  int failed = getaddrinfo(reachable(at->host), service, &hints, &found);
  if (failed) {
    *why = gai_strerror(failed);
    return -1;
  }
  int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool ok = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience) == 0 &&
            setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) == 0 &&
            connect(fd, found->ai_addr, found->ai_addrlen) == 0;
  *why = ok ? NULL : strerror(errno);
  freeaddrinfo(found);
  if (ok) return fd;
  if (fd >= 0) close(fd);
  return -1;
}

static bool is_ready(int fd, const char **why) {
  static const char request[] = "GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n";
  char answer[64];
  size_t n = 0;
  *why = "no answer";
  if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) != sizeof request - 1) return false;
  while (n < sizeof answer - 1) {
    ssize_t got = recv(fd, answer + n, sizeof answer - 1 - n, 0);
    if (got <= 0) break;
    n += (size_t)got;
  }
  answer[n] = 0;
  if (n < 12 || strncmp(answer, "HTTP/1.", 7) != 0) return false;
  *why = "not ready";
  return strncmp(answer + 8, " 200 ", 5) == 0;
}

int healthcheck(const config *c) {
  const char *why = NULL;
  int fd = connect_to(&c->listen, &why);
  bool ok = fd >= 0 && (*c->tls_cert || is_ready(fd, &why));
  if (fd >= 0) close(fd);
  if (!ok) fprintf(stderr, "spiked: %s:%u: %s\n", c->listen.host, c->listen.port, why);
  return ok ? 0 : 1;
}
