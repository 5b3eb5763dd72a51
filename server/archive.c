/* Tar archives of pictures, read by libarchive, which is allowed nothing but tar and gzip here. Keeps the invariant
 * that an archive with anything in it but folders and plain files under relative paths is refused whole. Writes no file
 * but the spool. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "upload.h"

enum { BLOCK_BYTES = 64 * 1024, ENTRIES_MAX = 4 * UPLOAD_PICTURES_MAX };

typedef struct source {
  const spool *spool;
  uint64_t offset;
  char block[BLOCK_BYTES];
} source;

static la_ssize_t read_block(struct archive *a, void *context, const void **bytes) {
  source *s = context;
  uint64_t left = s->spool->n_bytes - s->offset;
  size_t n = left < BLOCK_BYTES ? (size_t)left : BLOCK_BYTES;
  if (!spool_read(s->spool, s->offset, s->block, n)) {
    archive_set_error(a, EIO, "the spool cannot be read");
    return ARCHIVE_FATAL;
  }
  s->offset += n;
  *bytes = s->block;
  return (la_ssize_t)n;
}

/* No absolute path and no "..", in any part. */
static bool path_is_safe(const char *path) {
  if (*path == '/' || !*path) return false;
  for (const char *part = path; part; part = strchr(part, '/')) {
    part += *part == '/';
    if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || !part[2])) return false;
  }
  return true;
}

/* A PNG by its name, and not one of those that begin with a dot (as copying programs leave them). */
static bool is_picture(const char *path) {
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  size_t n = strlen(name);
  return *name != '.' && n > 4 && strcasecmp(name + n - 4, ".png") == 0;
}

static bool malformed(struct archive *a, problem *p) {
  const char *why = archive_error_string(a);
  return problem_set(p, PROBLEM_BAD_REQUEST, "archive: no tar, or a damaged one: %s", why ? why : "it ends too soon");
}

static bool take_picture(upload *u, struct archive *a, const char *path, uint64_t max_bytes, problem *p) {
  char bytes[16 * 1024];
  la_ssize_t got;
  if (!upload_add_picture(u, path, p)) return false;
  while ((got = archive_read_data(a, bytes, sizeof bytes)) > 0) {
    if ((uint64_t)got > max_bytes - u->spool.n_bytes)
      return problem_set(p, PROBLEM_TOO_LARGE, "archive: unpacked it is over the limit of uploads");
    u->part = PART_IMAGE;
    if (!upload_write(u, bytes, (size_t)got, p)) return false;
  }
  return got == 0 || malformed(a, p);
}

bool archive_unpack(upload *u, const spool *from, uint64_t max_bytes, problem *p) {
  source s = {.spool = from};
  struct archive_entry *entry = NULL;
  int status = ARCHIVE_OK;
  bool ok = false;
  struct archive *a = archive_read_new();
  if (!a) return problem_set(p, PROBLEM_BUSY, "out of memory; try again");
  archive_read_support_format_tar(a);
  archive_read_support_filter_gzip(a);
  if (archive_read_open(a, &s, NULL, read_block, NULL) != ARCHIVE_OK) {
    malformed(a, p);
    goto cleanup;
  }
  for (size_t n = 0; (status = archive_read_next_header(a, &entry)) == ARCHIVE_OK; n++) {
    const char *path = archive_entry_pathname(entry);
    mode_t type = archive_entry_filetype(entry);
    if (n == ENTRIES_MAX) {
      problem_set(p, PROBLEM_TOO_LARGE, "archive: more than %d entries", ENTRIES_MAX);
      goto cleanup;
    }
    if (!path || !path_is_safe(path)) {
      problem_set(p, PROBLEM_BAD_REQUEST, "archive: '%.96s': only relative paths without '..' are taken",
                  path ? path : "");
      goto cleanup;
    }
    if (archive_entry_hardlink(entry) || archive_entry_symlink(entry) || (type != AE_IFREG && type != AE_IFDIR)) {
      problem_set(p, PROBLEM_BAD_REQUEST, "archive: '%.96s': only folders and plain files are taken, no links", path);
      goto cleanup;
    }
    if (type == AE_IFREG && is_picture(path) && !take_picture(u, a, path, max_bytes, p)) goto cleanup;
  }
  ok = status == ARCHIVE_EOF || malformed(a, p);

cleanup:
  archive_read_free(a);
  return ok;
}
