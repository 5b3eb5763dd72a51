/* sd_notify and LISTEN_FDS without libsystemd. Keeps the invariant that variables meant for another process are not
 * believed. */
#include "systemd.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "config.h"

enum { FIRST_SOCKET = 3, SOCKETS_MAX = 16 };

static uint64_t number(const char *variable, uint64_t max) {
  const char *text = getenv(variable);
  uint64_t v = 0;
  return text && config_parse_unsigned(text, max, &v) ? v : 0;
}

void systemd_notify(const char *state) {
  const char *path = getenv("NOTIFY_SOCKET");
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  if (!path || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path) return;
  size_t n = strlen(path);
  memcpy(to.sun_path, path, n);
  if (path[0] == '@') to.sun_path[0] = 0; /* an abstract name */
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return;
  socklen_t n_to = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
  (void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&to, n_to);
  close(fd);
}

uint64_t systemd_watchdog_ms(void) {
  uint64_t pid = number("WATCHDOG_PID", UINT32_MAX);
  return pid && pid != (uint64_t)getpid() ? 0 : number("WATCHDOG_USEC", UINT64_C(1) << 40) / 1000;
}

static bool listens(int fd) {
  int yes = 0;
  socklen_t n = sizeof yes;
  return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &n) == 0 && yes;
}

/* Is this the first name of a colon-separated list? */
static bool is_called(const char *names, const char *name) {
  size_t n = strlen(name);
  return strncmp(names, name, n) == 0 && (!names[n] || names[n] == ':');
}

int systemd_socket(const char *name) {
  uint64_t n = number("LISTEN_FDS", SOCKETS_MAX);
  if (number("LISTEN_PID", UINT32_MAX) != (uint64_t)getpid() || n == 0) return -1;
  const char *names = getenv("LISTEN_FDNAMES");
  int chosen = -1;
  bool first_is_named = names && (is_called(names, "admin") || is_called(names, "metrics"));
  for (uint64_t i = 0; i < n; i++) {
    if (!names) break;
    if (is_called(names, name) && chosen < 0) chosen = (int)i;
    names += strcspn(names, ":");
    names += *names == ':';
  }
  if (chosen < 0 && strcmp(name, "public") == 0 && !first_is_named) chosen = 0;
  if (chosen < 0 || !listens(FIRST_SOCKET + chosen)) return -1;
  int fd = FIRST_SOCKET + chosen;
  fcntl(fd, F_SETFD, FD_CLOEXEC);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  return fd;
}
