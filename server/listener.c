/* Opening the listening socket. Keeps the invariant that a descriptor is given only when it listens. Accepts nothing.
 */
#include "listener.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 1024 };

bool listener_name(int fd, char name[LISTENER_NAME_MAX]) {
  struct sockaddr_storage address = {0};
  socklen_t n = sizeof address;
  char host[256], port[8];
  if (getsockname(fd, (struct sockaddr *)&address, &n) != 0 ||
      getnameinfo((struct sockaddr *)&address, n, host, sizeof host, port, sizeof port,
                  NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return false;
  snprintf(name, LISTENER_NAME_MAX, address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
  return true;
}

int listener_open(const char *host, uint16_t port, char name[LISTENER_NAME_MAX], char *error, size_t n_error) {
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
  char service[8];
  int one = 1, fd = -1;
  snprintf(service, sizeof service, "%u", port);
  int why = getaddrinfo(host, service, &hints, &found);
  if (why != 0) {
    snprintf(error, n_error, "%s: %s", host, gai_strerror(why));
    return -1;
  }
  bool ok = (fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) >= 0 &&
            setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
            bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0 && listener_name(fd, name);
  if (!ok) {
    snprintf(error, n_error, "%s:%u: %s", host, port, strerror(errno));
    if (fd >= 0) close(fd);
    fd = -1;
  }
  freeaddrinfo(found);
  return fd;
}

size_t listener_allow_descriptors(size_t wanted) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return 256;
  if (limit.rlim_cur < wanted) {
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
  }
  return (size_t)limit.rlim_cur;
}
