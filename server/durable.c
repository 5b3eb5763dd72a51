/* Temporary file, write, fsync, link or rename, fsync of the folder. Keeps the invariant that a name, once it can be
 * seen, has its bytes on the disk. Knows nothing of what the files mean. */
#include "durable.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SWEEP_AGE_S = 3600 };

static const char prefix[] = ".new-";

int durable_flush_folder(const char *path) {
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed = 0;
  if (fd < 0 || fsync(fd) != 0) failed = errno;
  if (fd >= 0) close(fd);
  return failed == EINVAL ? 0 : failed; /* some file systems cannot flush folders */
}

int durable_make_folder(const char *path) {
  if (mkdir(path, 0777) != 0) return errno == EEXIST ? 0 : errno;
  char parent[4096];
  const char *slash = strrchr(path, '/');
  size_t n = slash ? (size_t)(slash - path) : 0;
  if (n >= sizeof parent) return ENAMETOOLONG;
  memcpy(parent, path, n);
  parent[n] = 0;
  return durable_flush_folder(!slash ? "." : n ? parent : "/");
}

static int write_all(int fd, const char *bytes, size_t n) {
  while (n > 0) {
    ssize_t done = write(fd, bytes, n);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return done == 0 ? EIO : errno;
    bytes += done;
    n -= (size_t)done;
  }
  return 0;
}

/* A flushed temporary file in the folder; its path is written to path[n_path]. */
static int write_temporary(const char *folder, const void *bytes, size_t n, char *path, size_t n_path) {
  if ((size_t)snprintf(path, n_path, "%s/%sXXXXXX", folder, prefix) >= n_path) return ENAMETOOLONG;
  int fd = mkostemp(path, O_CLOEXEC);
  if (fd < 0) return errno;
  int failed = write_all(fd, bytes, n);
  if (!failed && fchmod(fd, 0644) != 0) failed = errno;
  if (!failed && fsync(fd) != 0) failed = errno;
  if (close(fd) != 0 && !failed) failed = errno;
  if (failed) unlink(path);
  return failed;
}

static int put(const char *folder, const char *name, const void *bytes, size_t n, bool replace) {
  char temporary[4352], path[4352];
  if ((size_t)snprintf(path, sizeof path, "%s/%s", folder, name) >= sizeof path) return ENAMETOOLONG;
  int failed = write_temporary(folder, bytes, n, temporary, sizeof temporary);
  if (failed) return failed;
  if ((replace ? rename(temporary, path) : link(temporary, path)) != 0) failed = errno;
  if (failed || !replace) unlink(temporary);
  return failed ? failed : durable_flush_folder(folder);
}

int durable_claim(const char *folder, const char *name, const void *bytes, size_t n) {
  return put(folder, name, bytes, n, false);
}

int durable_replace(const char *folder, const char *name, const void *bytes, size_t n) {
  return put(folder, name, bytes, n, true);
}

int durable_read(const char *path, size_t max, uint8_t **out, size_t *n) {
  struct stat st;
  uint8_t *bytes = NULL;
  size_t done = 0;
  int failed = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a FIFO must not hang us */
  if (fd < 0) return errno;
  if (fstat(fd, &st) != 0) failed = errno;
  if (!failed && !S_ISREG(st.st_mode)) failed = EINVAL;
  if (!failed && (uintmax_t)st.st_size > max) failed = EFBIG;
  if (!failed && !(bytes = malloc((size_t)st.st_size + 1))) failed = ENOMEM;
  while (!failed && done < (size_t)st.st_size) {
    ssize_t got = read(fd, bytes + done, (size_t)st.st_size - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) failed = errno;
    if (got <= 0) break;
    done += (size_t)got;
  }
  close(fd);
  if (failed) {
    free(bytes);
    return failed;
  }
  bytes[done] = 0;
  *out = bytes;
  *n = done;
  return 0;
}

void durable_sweep(const char *folder) {
  DIR *dir = opendir(folder);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now); /* files are stamped with it */
  for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
    struct stat st;
    if (strncmp(e->d_name, prefix, sizeof prefix - 1) == 0 && fstatat(dirfd(dir), e->d_name, &st, 0) == 0 &&
        now.tv_sec - st.st_mtim.tv_sec > SWEEP_AGE_S)
      unlinkat(dirfd(dir), e->d_name, 0);
  }
  if (dir) closedir(dir);
}
