/* IDX files of bytes, as MNIST comes: images [n][h][w] or [n][c][h][w] and, beside them, labels [n].
 *
 * Invariant: the sizes in the header account for every byte of the file, and labels are as many as pictures, checked
 * when it is opened. Files are mapped and must not be cut short while the data set lives. Other element types than
 * bytes and compressed files are not read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "dataset/formats.h"
#include "image/samples.h"

enum { TYPE_BYTE = 8, LABEL_HEADER_BYTES = 8, MAX_DIMENSIONS = 4, RGB = 3 };

static const size_t max_file_bytes = (size_t)64 * 1024 * 1024 * 1024;

typedef struct idx_state {
  snn_mapping images, labels; /* labels.bytes: NULL without a label file */
  const uint8_t *pixels;      /* [n][c][h][w], in `images` */
  uint32_t c, h, w;
  size_t picture_bytes;
} idx_state;

static uint32_t read_u32(const uint8_t *p) {
  return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Header: 0, 0, element type, number of dimensions, then each dimension as a big-endian u32. A file named *.bin has to
 * be of the announced size too: a CIFAR-10 record may begin with the same four bytes. */
static bool idx_recognise(const snn_source *s) {
  if (s->is_folder || s->n_bytes < 4 || s->head[0] != 0 || s->head[1] != 0 || s->head[2] != TYPE_BYTE) return false;
  const size_t n_dimensions = s->head[3], n_name = strlen(s->shown);
  if (n_dimensions < 3 || n_dimensions > MAX_DIMENSIONS) return false;
  if (n_name < 4 || strcmp(s->shown + n_name - 4, ".bin") != 0) return true;
  size_t expected = 1, header_bytes = 4 + 4 * n_dimensions;
  for (size_t k = 0; k < n_dimensions; k++)
    if (!snn_mul(expected, read_u32(s->head + 4 + 4 * k), &expected)) return false;
  return snn_add(expected, header_bytes, &expected) && expected == s->n_bytes;
}

static snn_status read_images_header(snn_dataset *d, const char *name, snn_error *err) {
  idx_state *x = d->state;
  const uint8_t *p = x->images.bytes;
  const size_t n_bytes = x->images.n_bytes;
  const size_t n_dimensions = n_bytes >= 4 ? p[3] : 0, header_bytes = 4 + 4 * n_dimensions;
  if (n_dimensions < 3 || n_dimensions > MAX_DIMENSIONS || n_bytes < header_bytes)
    return snn_fail(err, SNN_ERR_FORMAT, name, "truncated IDX header");
  const uint32_t n = read_u32(p + 4), c = n_dimensions == 4 ? read_u32(p + 8) : 1;
  const uint32_t h = read_u32(p + header_bytes - 8), w = read_u32(p + header_bytes - 4);
  if (c != 1 && c != RGB)
    return snn_fail(err, SNN_ERR_UNSUPPORTED, name, "pictures of %u channels, only 1 (gray) and 3 (RGB) are read", c);
  if (n > SNN_DATASET_MAX_ITEMS || h > SNN_DATASET_MAX_EXTENT || w > SNN_DATASET_MAX_EXTENT)
    return snn_fail(err, SNN_ERR_TOO_LARGE, name, "%u pictures of %ux%u, the limit is %d of %dx%d", n, h, w,
                    SNN_DATASET_MAX_ITEMS, SNN_DATASET_MAX_EXTENT, SNN_DATASET_MAX_EXTENT);
  if (!n || !h || !w) return snn_fail(err, SNN_ERR_ARGUMENT, name, "the file holds no pictures");
  size_t picture_bytes, expected;
  if (!snn_mul((size_t)h * w, c, &picture_bytes) || !snn_mul(picture_bytes, n, &expected) ||
      expected != n_bytes - header_bytes)
    return snn_fail(err, SNN_ERR_FORMAT, name, "%zu bytes of pixels do not make %u pictures of %ux%ux%u",
                    n_bytes - header_bytes, n, c, h, w);
  x->pixels = p + header_bytes;
  x->c = c;
  x->h = h;
  x->w = w;
  x->picture_bytes = picture_bytes;
  d->count = n;
  return SNN_OK;
}

/* Replace the last `from` in a file name by `to` of the same length; false when there is none. */
static bool replace_in(char *name, const char *from, const char *to) {
  char *found = NULL;
  for (char *p = strstr(name, from); p; p = strstr(p + 1, from)) found = p;
  if (!found) return false;
  for (size_t i = 0; to[i]; i++) found[i] = to[i];
  return true;
}

/* train-images-idx3-ubyte -> train-labels-idx1-ubyte. *out is NULL when the name says nothing about images. */
static snn_status label_path(const char *path, char **out, snn_error *err) {
  char *copy = strdup(path);
  if (!copy) return snn_fail_memory(err, "a file name");
  char *slash = strrchr(copy, '/'), *name = slash ? slash + 1 : copy;
  if (!replace_in(name, "images", "labels")) {
    free(copy);
    copy = NULL;
  } else if (!replace_in(name, "idx3", "idx1"))
    (void)replace_in(name, "idx4", "idx1");
  *out = copy;
  return SNN_OK;
}

static snn_status read_labels(snn_dataset *d, const char *path, const snn_dataset_options *opt, snn_error *err) {
  idx_state *x = d->state;
  const char *name = snn_base_name(path);
  snn_error cause = {0};
  snn_status status = snn_map_file(path, LABEL_HEADER_BYTES + SNN_DATASET_MAX_ITEMS, &x->labels, &cause);
  if (status == SNN_ERR_NOT_FOUND) return SNN_OK; /* pictures without labels are a data set too */
  if (status != SNN_OK) return snn_fail(err, status, cause.where, "%s", cause.text);
  const uint8_t *p = x->labels.bytes;
  if (x->labels.n_bytes < LABEL_HEADER_BYTES || p[0] != 0 || p[1] != 0 || p[2] != TYPE_BYTE || p[3] != 1)
    return snn_fail(err, SNN_ERR_FORMAT, name, "the file beside the images does not hold IDX labels");
  const size_t n = read_u32(p + 4);
  if (n != x->labels.n_bytes - LABEL_HEADER_BYTES || n != d->count)
    return snn_fail(err, SNN_ERR_FORMAT, name, "%zu labels announced, %zu bytes of labels, %zu pictures", n,
                    x->labels.n_bytes - LABEL_HEADER_BYTES, d->count);
  for (size_t i = 0; i < n; i++) {
    status = snn_check_label(p[LABEL_HEADER_BYTES + i], i, opt, name, err);
    if (status != SNN_OK) return status;
  }
  d->labelled = true;
  return SNN_OK;
}

static snn_status idx_open(snn_dataset *d, const snn_source *s, const snn_dataset_options *opt, snn_error *err) {
  idx_state *x = calloc(1, sizeof *x);
  if (!x) return snn_fail_memory(err, "a data set");
  d->state = x;
  snn_status status = snn_map_file(s->path, max_file_bytes, &x->images, err);
  if (status == SNN_OK) status = read_images_header(d, s->shown, err);
  char *labels = NULL;
  if (status == SNN_OK) status = label_path(s->path, &labels, err);
  if (status == SNN_OK && labels) status = read_labels(d, labels, opt, err);
  free(labels);
  return status;
}

static void idx_close(snn_dataset *d) {
  idx_state *x = d->state;
  snn_unmap(&x->images);
  snn_unmap(&x->labels);
  free(x);
}

static int32_t idx_label(const snn_dataset *d, size_t i) {
  return ((const idx_state *)d->state)->labels.bytes[LABEL_HEADER_BYTES + i];
}

static void idx_item(const snn_dataset *d, size_t i, char *buf, size_t n_buf) {
  (void)d;
  snprintf(buf, n_buf, "#%zu", i);
}

static snn_status idx_read(const snn_dataset *d, size_t i, snn_shape shape, uint8_t background, uint8_t *out,
                           snn_error *err) {
  const idx_state *x = d->state;
  const uint8_t *planes = x->pixels + i * x->picture_bytes;
  snn_samples samples = {.width = x->w, .height = x->h, .channels = x->c, .pixels = planes};
  uint8_t *interleaved = NULL;
  if (x->c == RGB) {
    const size_t n_plane = (size_t)x->h * x->w;
    interleaved = snn_alloc_array(x->picture_bytes, 1);
    if (!interleaved) return snn_fail_memory(err, "a picture");
    for (size_t p = 0; p < n_plane; p++)
      for (size_t c = 0; c < RGB; c++) interleaved[RGB * p + c] = planes[c * n_plane + p];
    samples.pixels = interleaved;
  }
  snn_status status = snn_samples_resample(&samples, shape, background, out, err);
  free(interleaved);
  return status;
}

const snn_dataset_format snn_format_idx = {.name = "IDX",
                                           .recognise = idx_recognise,
                                           .open = idx_open,
                                           .close = idx_close,
                                           .label = idx_label,
                                           .item = idx_item,
                                           .read = idx_read};
