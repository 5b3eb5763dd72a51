/* Owners through /proc. Keeps the invariant that GONE is said only of a process that this machine knows to have ended.
 */
#include "owner.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void read_line(const char *path, char *out, size_t n_out) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t got = fd >= 0 ? read(fd, out, n_out - 1) : 0;
  if (fd >= 0) close(fd);
  out[got > 0 ? got : 0] = 0;
  out[strcspn(out, "\n")] = 0;
}

/* When a process began, in ticks since the boot; 0: there is no such process, or it ended and was not yet waited for.
 */
static unsigned long long start_of(long pid) {
  char path[48], line[1024];
  unsigned long long start = 0;
  char state = 0;
  snprintf(path, sizeof path, "/proc/%ld/stat", pid);
  read_line(path, line, sizeof line);
  const char *after = strrchr(line, ')'); /* the name before may hold anything */
  if (!after || sscanf(after + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
                       &state, &start) != 2)
    return 0;
  return state == 'Z' || state == 'X' ? 0 : start;
}

/* Boot and namespace; "" when the system does not tell both. */
static void place(char *out, size_t n_out) {
  char boot[64], space[64] = "";
  read_line("/proc/sys/kernel/random/boot_id", boot, sizeof boot);
  ssize_t n = readlink("/proc/self/ns/pid", space, sizeof space - 1);
  space[n > 0 ? n : 0] = 0;
  *out = 0;
  if (*boot && *space) snprintf(out, n_out, "%s/%s", boot, space);
}

void owner_self(char *out, size_t n_out) {
  char where[144];
  place(where, sizeof where);
  snprintf(out, n_out, "%s/%ld/%llu", where, (long)getpid(), start_of(getpid()));
}

owner_life owner_look(const char *owner) {
  char where[144];
  place(where, sizeof where);
  size_t n = strlen(where);
  if (n == 0 || strncmp(owner, where, n) != 0 || owner[n] != '/') return OWNER_ELSEWHERE;
  long pid = 0;
  unsigned long long start = 0;
  if (sscanf(owner + n + 1, "%ld/%llu", &pid, &start) != 2 || pid <= 0 || start == 0) return OWNER_ELSEWHERE;
  return start_of(pid) == start ? OWNER_ALIVE : OWNER_GONE;
}
