/* Opening a data set: look at the path, ask every format in turn, refuse with a hint what none of them knows.
 *
 * Invariant: a data set that opened has at least one picture and at most SNN_DATASET_MAX_ITEMS, and is never written
 * again, so any number of threads may read it. Knows no format itself; see the table. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "dataset/formats.h"

/* The first that recognises a source gets it. IDX goes before CIFAR-10: it has a magic number, the other only a size.
 */
static const snn_dataset_format *const formats[] = {&snn_format_folder, &snn_format_idx, &snn_format_cifar};

char *snn_join_path(const char *folder, const char *name) {
  const size_t n_folder = strlen(folder), n_name = strlen(name);
  size_t n;
  if (!snn_add(n_folder, n_name, &n) || !snn_add(n, 2, &n)) return NULL;
  char *path = malloc(n);
  if (path) snprintf(path, n, "%s%s%s", folder, n_folder && folder[n_folder - 1] == '/' ? "" : "/", name);
  return path;
}

snn_status snn_check_label(uint8_t label, size_t i, const snn_dataset_options *opt, const char *where, snn_error *err) {
  if (!opt || !opt->labels || label < opt->n_labels) return SNN_OK;
  return snn_fail(err, SNN_ERR_ARGUMENT, where, "picture #%zu is of class %u, the model has %zu classes", i, label,
                  opt->n_labels);
}

/* Folder or file, its entries or its first bytes. */
static snn_status look_at(const char *path, snn_arena *names, snn_source *out, snn_error *err) {
  snn_status status = SNN_OK;
  const char *shown = out->shown;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hang us */
  if (fd < 0) {
    if (errno == ENOENT || errno == ENOTDIR) return snn_fail(err, SNN_ERR_NOT_FOUND, shown, "no such file or folder");
    return snn_fail_errno(err, shown, "cannot open", errno);
  }
  struct stat st;
  if (fstat(fd, &st) != 0) {
    status = snn_fail_errno(err, shown, "cannot look at it", errno);
    goto cleanup;
  }
  if (S_ISDIR(st.st_mode)) {
    out->is_folder = true;
    status = snn_listing_read(path, shown, names, &out->listing, err);
  } else if (S_ISREG(st.st_mode)) {
    out->n_bytes = (uint64_t)st.st_size;
    if (pread(fd, out->head, sizeof out->head, 0) < 0) status = snn_fail_errno(err, shown, "cannot read", errno);
  } else
    status = snn_fail(err, SNN_ERR_IO, shown, "neither a regular file nor a folder");
cleanup:
  close(fd);
  return status;
}

/* A file or folder that no format recognised: say what it looks like and what to do. */
static snn_status refuse(const snn_source *s, snn_error *err) {
  static const uint8_t gzip[] = {0x1f, 0x8b}, png[] = {0x89, 'P', 'N', 'G'}, idx_labels[] = {0, 0, 8, 1};
  if (s->is_folder)
    return snn_fail(err, SNN_ERR_ARGUMENT, s->shown,
                    "the folder holds no PNG, no folder of PNGs and no CIFAR-10 *.bin file (of an IDX data set, name "
                    "the image file)");
  if (memcmp(s->head, gzip, sizeof gzip) == 0)
    return snn_fail(err, SNN_ERR_UNSUPPORTED, s->shown, "compressed with gzip; unpack it first (gunzip)");
  if (memcmp(s->head, png, sizeof png) == 0)
    return snn_fail(err, SNN_ERR_ARGUMENT, s->shown, "a single PNG is no data set; name the folder it lies in");
  if (memcmp(s->head, idx_labels, sizeof idx_labels) == 0)
    return snn_fail(err, SNN_ERR_ARGUMENT, s->shown, "these are IDX labels; name the image file beside them");
  return snn_fail(err, SNN_ERR_FORMAT, s->shown,
                  "neither IDX images of bytes nor a CIFAR-10 binary file (whose size is a multiple of 3073 bytes)");
}

/* The last component of a path that may end in slashes; n_buf > 1. */
static void base_name_of(const char *path, char *buf, size_t n_buf) {
  size_t end = strlen(path);
  while (end > 1 && path[end - 1] == '/') end--;
  size_t begin = end;
  while (begin > 0 && path[begin - 1] != '/') begin--;
  if (begin == end) begin = 0; /* "/" itself */
  snprintf(buf, n_buf, "%.*s", (int)(end - begin < n_buf ? end - begin : n_buf - 1), path + begin);
}

snn_status snn_dataset_open(const char *path, const snn_dataset_options *opt, snn_dataset **out, snn_error *err) {
  char shown[SNN_DATASET_MAX_NAME + 1];
  base_name_of(path, shown, sizeof shown);
  snn_arena names = {0};
  snn_source source = {.path = path, .shown = shown};
  snn_dataset *d = calloc(1, sizeof *d);
  if (!d) return snn_fail_memory(err, "a data set");
  snn_status status = look_at(path, &names, &source, err);
  if (status != SNN_OK) goto cleanup;
  for (size_t i = 0; i < sizeof formats / sizeof formats[0] && !d->format; i++)
    if (formats[i]->recognise(&source)) d->format = formats[i];
  if (!d->format) {
    status = refuse(&source, err);
    goto cleanup;
  }
  status = d->format->open(d, &source, opt, err);
  if (status == SNN_OK) {
    *out = d;
    d = NULL;
  }
cleanup:
  snn_listing_free(&source.listing);
  snn_arena_free(&names);
  snn_dataset_free(d);
  return status;
}

void snn_dataset_free(snn_dataset *d) {
  if (!d) return;
  if (d->format && d->state) d->format->close(d);
  free(d);
}

size_t snn_dataset_count(const snn_dataset *d) {
  return d->count;
}

bool snn_dataset_labelled(const snn_dataset *d) {
  return d->labelled;
}

int32_t snn_dataset_label(const snn_dataset *d, size_t i) {
  return i < d->count && d->labelled ? d->format->label(d, i) : -1;
}

const char *snn_dataset_item(const snn_dataset *d, size_t i, char *buf, size_t n_buf) {
  if (n_buf == 0) return "";
  if (i < d->count)
    d->format->item(d, i, buf, n_buf);
  else
    snprintf(buf, n_buf, "#%zu", i);
  return buf;
}

snn_status snn_dataset_read(const snn_dataset *d, size_t i, snn_shape shape, uint8_t background, uint8_t *out,
                            snn_error *err) {
  if (i >= d->count)
    return snn_fail(err, SNN_ERR_ARGUMENT, "index", "there is no picture #%zu, the data set has %zu", i, d->count);
  return d->format->read(d, i, shape, background, out, err);
}
