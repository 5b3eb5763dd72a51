/* CIFAR-10 binary files: records of one label byte, then 1024 red, 1024 green and 1024 blue bytes, rows first.
 *
 * Invariant: every file is a whole number of records with labels below 10, checked when it is opened. Files are mapped
 * and must not be cut short while the data set lives. Does not read CIFAR-100 (two label bytes). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "dataset/formats.h"
#include "image/samples.h"

enum { SIDE = 32, PLANE = SIDE * SIDE, RECORD_BYTES = 1 + 3 * PLANE, CLASSES = 10 };

typedef struct cifar_file {
  snn_mapping mapping;
  const char *name; /* lent by the state's arena */
  size_t first;     /* number of its first picture in the data set */
} cifar_file;

typedef struct cifar_state {
  snn_arena names;
  size_t n_files;
  cifar_file files[SNN_DATASET_MAX_FILES];
} cifar_state;

static bool has_png_or_gzip_magic(const snn_source *s) {
  return (s->head[0] == 0x89 && s->head[1] == 'P') || (s->head[0] == 0x1f && s->head[1] == 0x8b);
}

static bool named_bin(const snn_source *s) {
  const size_t n = strlen(s->shown);
  return n > 4 && strcmp(s->shown + n - 4, ".bin") == 0;
}

/* A file named *.bin is taken at its word, so that a truncated one is told so. */
static bool cifar_recognise(const snn_source *s) {
  if (s->is_folder) return s->listing.n_bins > 0;
  return !has_png_or_gzip_magic(s) && (named_bin(s) || (s->n_bytes > 0 && s->n_bytes % RECORD_BYTES == 0));
}

static snn_status add_file(snn_dataset *d, const char *path, const char *name, const snn_dataset_options *opt,
                           snn_error *err) {
  cifar_state *c = d->state;
  if (c->n_files == SNN_DATASET_MAX_FILES)
    return snn_fail(err, SNN_ERR_TOO_LARGE, name, "more than %d *.bin files in the folder", SNN_DATASET_MAX_FILES);
  cifar_file *f = &c->files[c->n_files];
  f->name = snn_arena_text(&c->names, name, strlen(name));
  if (!f->name) return snn_fail_memory(err, "a data set");
  snn_status status = snn_map_file(path, (size_t)SNN_DATASET_MAX_ITEMS * RECORD_BYTES, &f->mapping, err);
  if (status != SNN_OK) return status;
  f->first = d->count;
  c->n_files++; /* from here on close unmaps it */
  if (f->mapping.n_bytes == 0 || f->mapping.n_bytes % RECORD_BYTES != 0)
    return snn_fail(err, SNN_ERR_FORMAT, name, "%zu bytes are no whole number of CIFAR-10 records of %d bytes",
                    f->mapping.n_bytes, RECORD_BYTES);
  const size_t n_records = f->mapping.n_bytes / RECORD_BYTES;
  if (n_records > SNN_DATASET_MAX_ITEMS - d->count)
    return snn_fail(err, SNN_ERR_TOO_LARGE, name, "more than %d pictures in the data set", SNN_DATASET_MAX_ITEMS);
  for (size_t i = 0; i < n_records; i++) {
    const uint8_t label = f->mapping.bytes[i * RECORD_BYTES];
    if (label >= CLASSES)
      return snn_fail(err, SNN_ERR_FORMAT, name, "record %zu has label %u, CIFAR-10 has %d classes", i, label, CLASSES);
    status = snn_check_label(label, i, opt, name, err);
    if (status != SNN_OK) return status;
  }
  d->count += n_records;
  return SNN_OK;
}

/* A folder as it is distributed holds data_batch_1..5.bin and test_batch.bin: the training set is meant. A folder
 * without batches of that name is taken whole. */
static snn_status add_folder(snn_dataset *d, const snn_source *s, const snn_dataset_options *opt, snn_error *err) {
  static const char prefix[] = "data_batch_";
  bool has_batches = false;
  for (size_t i = 0; i < s->listing.n_entries; i++)
    has_batches |= strncmp(s->listing.entries[i].name, prefix, sizeof prefix - 1) == 0;
  for (size_t i = 0; i < s->listing.n_entries; i++) {
    const char *name = s->listing.entries[i].name;
    if (has_batches && strncmp(name, prefix, sizeof prefix - 1) != 0) continue;
    char *path = snn_join_path(s->path, name);
    snn_status status = path ? add_file(d, path, name, opt, err) : snn_fail_memory(err, "a file name");
    free(path);
    if (status != SNN_OK) return status;
  }
  return SNN_OK;
}

static snn_status cifar_open(snn_dataset *d, const snn_source *s, const snn_dataset_options *opt, snn_error *err) {
  d->state = calloc(1, sizeof(cifar_state));
  if (!d->state) return snn_fail_memory(err, "a data set");
  d->labelled = true;
  return s->is_folder ? add_folder(d, s, opt, err) : add_file(d, s->path, s->shown, opt, err);
}

static void cifar_close(snn_dataset *d) {
  cifar_state *c = d->state;
  for (size_t i = 0; i < c->n_files; i++) snn_unmap(&c->files[i].mapping);
  snn_arena_free(&c->names);
  free(c);
}

static const cifar_file *file_of(const snn_dataset *d, size_t i) {
  const cifar_state *c = d->state;
  size_t k = c->n_files - 1;
  while (c->files[k].first > i) k--;
  return &c->files[k];
}

static const uint8_t *record_of(const snn_dataset *d, size_t i) {
  const cifar_file *f = file_of(d, i);
  return f->mapping.bytes + (i - f->first) * RECORD_BYTES;
}

static int32_t cifar_label(const snn_dataset *d, size_t i) {
  return record_of(d, i)[0];
}

static void cifar_item(const snn_dataset *d, size_t i, char *buf, size_t n_buf) {
  const cifar_file *f = file_of(d, i);
  if (((const cifar_state *)d->state)->n_files == 1)
    snprintf(buf, n_buf, "#%zu", i);
  else
    snprintf(buf, n_buf, "%s #%zu", f->name, i - f->first);
}

static snn_status cifar_read(const snn_dataset *d, size_t i, snn_shape shape, uint8_t background, uint8_t *out,
                             snn_error *err) {
  const uint8_t *planes = record_of(d, i) + 1;
  uint8_t pixels[3 * PLANE];
  for (size_t p = 0; p < PLANE; p++)
    for (size_t c = 0; c < 3; c++) pixels[3 * p + c] = planes[c * PLANE + p];
  const snn_samples samples = {.width = SIDE, .height = SIDE, .channels = 3, .pixels = pixels};
  return snn_samples_resample(&samples, shape, background, out, err);
}

const snn_dataset_format snn_format_cifar = {.name = "CIFAR-10 binary",
                                             .recognise = cifar_recognise,
                                             .open = cifar_open,
                                             .close = cifar_close,
                                             .label = cifar_label,
                                             .item = cifar_item,
                                             .read = cifar_read};
