/* Mapping files and replacing them atomically. A reader of `path` sees the old file or the new one, never a mixture,
 * and a failed write leaves nothing behind. Not for streams, sockets or files that change while they are read. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

enum { SUFFIX_BYTES = sizeof ".01234567" };

const char *snn_base_name(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

snn_status snn_map_file(const char *path, size_t max_bytes, snn_mapping *out, snn_error *err) {
  const char *name = snn_base_name(path);
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* O_NONBLOCK: a FIFO must not hang us; it is refused below */
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return snn_fail(err, SNN_ERR_NOT_FOUND, name, "no such file");
    return snn_fail_errno(err, name, "cannot open", errno);
  }
  snn_status status = SNN_OK;
  snn_mapping m = {NULL, 0};
  struct stat st;
  if (fstat(fd, &st) != 0) {
    status = snn_fail_errno(err, name, "cannot read its size", errno);
    goto cleanup;
  }
  if (!S_ISREG(st.st_mode)) {
    status = snn_fail(err, SNN_ERR_IO, name, "not a regular file");
    goto cleanup;
  }
  if ((uintmax_t)st.st_size > max_bytes) {
    status = snn_fail(err, SNN_ERR_TOO_LARGE, name, "%jd bytes, more than the limit of %zu", (intmax_t)st.st_size,
                      max_bytes);
    goto cleanup;
  }
  m.n_bytes = (size_t)st.st_size;
  if (m.n_bytes > 0) {
    void *p = mmap(NULL, m.n_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
    if (p == MAP_FAILED) {
      status = snn_fail_errno(err, name, "cannot map", errno);
      goto cleanup;
    }
    m.bytes = p;
  }
  *out = m;
cleanup:
  close(fd);
  return status;
}

void snn_unmap(snn_mapping *mapping) {
  if (mapping->bytes) munmap((void *)(uintptr_t)mapping->bytes, mapping->n_bytes);
  *mapping = (snn_mapping){NULL, 0};
}

/* Create a file of a name that is not taken, PATH.xxxxxxxx, as readable as any file its owner makes: unlike mkstemp's,
 * its mode is 0666 less the umask, which cannot be read without setting it for all threads. Gives -1 and errno. */
static int create_beside(char *name, size_t n_path) {
  for (int attempt = 0; attempt < 100; attempt++) {
    uint32_t random;
    if (getrandom(&random, sizeof random, 0) != sizeof random) return -1;
    snprintf(name + n_path, SUFFIX_BYTES, ".%08x", random);
    int fd = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd >= 0 || errno != EEXIST) return fd;
  }
  return -1;
}

snn_status snn_replace_begin(const char *path, snn_replace *out, snn_error *err) {
  snn_replace r = {.fd = -1};
  size_t n = strlen(path);
  r.path = strdup(path);
  r.temporary = malloc(n + SUFFIX_BYTES);
  if (!r.path || !r.temporary) {
    free(r.path);
    free(r.temporary);
    return snn_fail_memory(err, "a file name");
  }
  memcpy(r.temporary, path, n);
  r.fd = create_beside(r.temporary, n);
  if (r.fd < 0) {
    snn_status status = snn_fail_errno(err, snn_base_name(path), "cannot create a file beside it", errno);
    free(r.path);
    free(r.temporary);
    return status;
  }
  *out = r;
  return SNN_OK;
}

snn_status snn_replace_write(snn_replace *r, const void *bytes, size_t n_bytes, snn_error *err) {
  const char *p = bytes;
  while (n_bytes > 0) {
    ssize_t n = write(r->fd, p, n_bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return snn_fail_errno(err, snn_base_name(r->path), "cannot write", errno);
    p += n;
    n_bytes -= (size_t)n;
  }
  return SNN_OK;
}

/* Flush the folder that holds `path`, so that the rename itself survives a crash. */
static int flush_folder(const char *path) {
  const char *slash = strrchr(path, '/');
  char *folder = slash == path ? strdup("/") : slash ? strndup(path, (size_t)(slash - path)) : strdup(".");
  if (!folder) return ENOMEM;
  int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), failed = 0;
  if (fd < 0 || fsync(fd) != 0) failed = errno;
  if (fd >= 0) close(fd);
  free(folder);
  return failed == EINVAL ? 0 : failed; /* some file systems cannot flush folders */
}

snn_status snn_replace_commit(snn_replace *r, snn_error *err) {
  const char *name = snn_base_name(r->path);
  snn_status status = SNN_OK;
  if (fsync(r->fd) != 0) status = snn_fail_errno(err, name, "cannot flush", errno);
  int fd = r->fd;
  r->fd = -1;
  if (close(fd) != 0 && status == SNN_OK) status = snn_fail_errno(err, name, "cannot close", errno);
  if (status == SNN_OK && rename(r->temporary, r->path) != 0)
    status = snn_fail_errno(err, name, "cannot rename", errno);
  if (status == SNN_OK) {
    free(r->temporary);
    r->temporary = NULL;
    int failed = flush_folder(r->path);
    if (failed) status = snn_fail_errno(err, name, "cannot flush its folder", failed);
  }
  snn_replace_abort(r);
  return status;
}

void snn_replace_abort(snn_replace *r) {
  if (r->fd >= 0) close(r->fd);
  if (r->temporary) unlink(r->temporary);
  free(r->temporary);
  free(r->path);
  *r = (snn_replace){.fd = -1};
}
