/* Spools. Keeps the invariant that a spool has no name from its first byte on, so that no crash leaves one behind. Does
 * not flush: nobody reads it after a crash. */
#include "spool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int spool_open(const char *folder, spool_budget *budget, spool *out) {
  int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL)) { /* a file system without O_TMPFILE */
    char path[4352];
    if ((size_t)snprintf(path, sizeof path, "%s/.spool-XXXXXX", folder) >= sizeof path) return ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0) unlink(path);
  }
  if (fd < 0) return errno;
  *out = (spool){.fd = fd, .budget = budget};
  return 0;
}

int spool_write(spool *s, const void *bytes, size_t n) {
  const char *from = bytes;
  if (atomic_fetch_add(&s->budget->held, n) + n > s->budget->max) {
    atomic_fetch_sub(&s->budget->held, n);
    return EDQUOT;
  }
  s->n_bytes += n; /* held, whether written or not */
  while (n > 0) {
    ssize_t done = write(s->fd, from, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return done == 0 ? EIO : errno;
    from += done;
    n -= (size_t)done;
  }
  return 0;
}

bool spool_read(const spool *s, uint64_t offset, void *bytes, size_t n) {
  char *to = bytes;
  while (n > 0) {
    ssize_t got = pread(s->fd, to, n, (off_t)offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    offset += (uint64_t)got;
    n -= (size_t)got;
  }
  return true;
}

void spool_close(spool *s) {
  if (s->fd >= 0) {
    close(s->fd);
    atomic_fetch_sub(&s->budget->held, s->n_bytes);
  }
  s->fd = -1;
  s->n_bytes = 0;
}
