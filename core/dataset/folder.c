/* Folders of PNGs: one sub-folder a class, or all pictures in one folder without labels.
 *
 * Invariant: pictures are numbered by class folder, then by file name, both in byte order; files that are no PNG and
 * folders inside a class folder are left alone. Opening lists names only; a picture is decoded when it is read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "dataset/formats.h"
#include "snn/image.h"

static const size_t max_png_bytes = (size_t)256 * 1024 * 1024; /* 16 Mpixel of 16-bit RGBA, stored, need half of it */

typedef struct picture {
  const char *folder; /* NULL in a folder without classes */
  const char *name;
  int32_t label;
} picture;

typedef struct folder_state {
  snn_arena names;
  char *root;
  picture *pictures; /* [d->count] */
  size_t capacity;
} folder_state;

static bool folder_recognise(const snn_source *s) {
  return s->is_folder && (s->listing.n_folders > 0 || s->listing.n_pngs > 0);
}

/* Add a listing's PNGs. Names are copied when they do not live in the state's own arena. */
static snn_status add_pictures(snn_dataset *d, const snn_listing *listing, const char *folder, int32_t label,
                               bool copy_names, snn_error *err) {
  folder_state *f = d->state;
  if (listing->n_pngs > SNN_DATASET_MAX_ITEMS - d->count)
    return snn_fail(err, SNN_ERR_TOO_LARGE, folder, "more than %d pictures in the data set", SNN_DATASET_MAX_ITEMS);
  const size_t needed = d->count + listing->n_pngs;
  if (needed > f->capacity) {
    const size_t capacity = needed > f->capacity * 2 ? needed : f->capacity * 2; /* both below 2^21 */
    picture *grown = realloc(f->pictures, capacity * sizeof *grown);
    if (!grown) return snn_fail_memory(err, "the list of pictures");
    f->pictures = grown;
    f->capacity = capacity;
  }
  for (size_t i = 0; i < listing->n_entries; i++) {
    const char *name = listing->entries[i].name;
    if (listing->entries[i].kind != SNN_ENTRY_PNG) continue;
    if (copy_names && !(name = snn_arena_text(&f->names, name, strlen(name))))
      return snn_fail_memory(err, "the list of pictures");
    f->pictures[d->count++] = (picture){.folder = folder, .name = name, .label = label};
  }
  return SNN_OK;
}

/* The class of the k-th folder: its place among the model's classes where those are known, else k. */
static snn_status class_of(const char *folder, size_t k, const snn_dataset_options *opt, int32_t *out, snn_error *err) {
  if (!opt || !opt->labels) {
    *out = (int32_t)k;
    return SNN_OK;
  }
  for (size_t i = 0; i < opt->n_labels; i++)
    if (opt->labels[i] && strcmp(opt->labels[i], folder) == 0) {
      *out = (int32_t)i;
      return SNN_OK;
    }
  return snn_fail(err, SNN_ERR_ARGUMENT, folder,
                  "the folder is named like none of the model's %zu classes (the first one is \"%s\")", opt->n_labels,
                  opt->n_labels && opt->labels[0] ? opt->labels[0] : "");
}

static snn_status add_class(snn_dataset *d, const char *name, int32_t label, snn_error *err) {
  folder_state *f = d->state;
  snn_status status = SNN_OK;
  snn_listing listing = {0};
  char *path = snn_join_path(f->root, name);
  const char *folder = snn_arena_text(&f->names, name, strlen(name));
  if (!path || !folder) {
    status = snn_fail_memory(err, "a class folder");
    goto cleanup;
  }
  status = snn_listing_read(path, folder, &f->names, &listing, err);
  if (status == SNN_OK && listing.n_pngs == 0)
    status = snn_fail(err, SNN_ERR_ARGUMENT, folder, "the class folder holds no PNG");
  if (status == SNN_OK) status = add_pictures(d, &listing, folder, label, false, err);
cleanup:
  snn_listing_free(&listing);
  free(path);
  return status;
}

static snn_status folder_open(snn_dataset *d, const snn_source *s, const snn_dataset_options *opt, snn_error *err) {
  const snn_listing *l = &s->listing;
  if (l->n_folders > 0 && l->n_pngs > 0)
    return snn_fail(
        err, SNN_ERR_ARGUMENT, s->shown,
        "the folder holds both pictures and folders; either sort every picture into a class folder or none");
  folder_state *f = calloc(1, sizeof *f);
  if (!f) return snn_fail_memory(err, "a data set");
  d->state = f;
  f->root = strdup(s->path);
  if (!f->root) return snn_fail_memory(err, "a data set");
  if (l->n_folders == 0) return add_pictures(d, l, NULL, -1, true, err);
  size_t n_classes = 0;
  for (size_t i = 0; i < l->n_entries; i++) {
    if (l->entries[i].kind != SNN_ENTRY_FOLDER) continue;
    int32_t label = -1;
    snn_status status = class_of(l->entries[i].name, n_classes++, opt, &label, err);
    if (status == SNN_OK) status = add_class(d, l->entries[i].name, label, err);
    if (status != SNN_OK) return status;
  }
  d->labelled = true;
  return SNN_OK;
}

static void folder_close(snn_dataset *d) {
  folder_state *f = d->state;
  snn_arena_free(&f->names);
  free(f->root);
  free(f->pictures);
  free(f);
}

static int32_t folder_label(const snn_dataset *d, size_t i) {
  return ((const folder_state *)d->state)->pictures[i].label;
}

static void folder_item(const snn_dataset *d, size_t i, char *buf, size_t n_buf) {
  const picture *p = &((const folder_state *)d->state)->pictures[i];
  snprintf(buf, n_buf, "%s%s%s", p->folder ? p->folder : "", p->folder ? "/" : "", p->name);
}

static snn_status folder_read(const snn_dataset *d, size_t i, snn_shape shape, uint8_t background, uint8_t *out,
                              snn_error *err) {
  const folder_state *f = d->state;
  char item[2 * SNN_DATASET_MAX_NAME + 2];
  folder_item(d, i, item, sizeof item);
  snn_error cause = {0}; /* it does not know the class folder: `where` becomes the item */
  snn_mapping file = {0};
  snn_image image = {0};
  char *path = snn_join_path(f->root, item);
  snn_status status = path ? snn_map_file(path, max_png_bytes, &file, &cause) : snn_fail_memory(&cause, "a file name");
  if (status == SNN_OK) status = snn_image_decode_png(file.bytes, file.n_bytes, NULL, &image, &cause);
  if (status == SNN_OK) status = snn_image_resample(&image, shape, background, out, &cause);
  if (status != SNN_OK) snn_fail(err, status, status == SNN_ERR_ARGUMENT ? cause.where : item, "%s", cause.text);
  snn_image_free(&image);
  snn_unmap(&file);
  free(path);
  return status;
}

const snn_dataset_format snn_format_folder = {.name = "folder of PNGs",
                                              .recognise = folder_recognise,
                                              .open = folder_open,
                                              .close = folder_close,
                                              .label = folder_label,
                                              .item = folder_item,
                                              .read = folder_read};
