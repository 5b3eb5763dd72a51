/* Data set formats: one const struct of functions each, all listed in open.c. Private to this room. */
#ifndef SNN_DATASET_FORMATS_H
#define SNN_DATASET_FORMATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/memory.h"
#include "snn/dataset.h"

enum {
  SNN_DATASET_MAX_ITEMS = 1000000, /* pictures of a data set, and entries of a folder */
  SNN_DATASET_MAX_NAME = 255,      /* bytes of one name in a folder */
  SNN_DATASET_MAX_FILES = 64,      /* CIFAR-10 files of one folder */
  SNN_DATASET_MAX_EXTENT = 4096,   /* rows and columns of an IDX picture */
  SNN_SOURCE_HEAD = 24             /* first bytes of a file, enough to recognise it */
};

typedef enum snn_entry_kind { SNN_ENTRY_FOLDER, SNN_ENTRY_PNG, SNN_ENTRY_BIN } snn_entry_kind;

typedef struct snn_entry {
  const char *name; /* lent by the listing's arena */
  snn_entry_kind kind;
} snn_entry;

/* The entries of a folder that can matter here, in byte order of their names. */
typedef struct snn_listing {
  snn_entry *entries;
  size_t n_entries, n_folders, n_pngs, n_bins;
} snn_listing;

/* List a folder; symbolic links are followed one step and never walked, hidden files and anything that is no folder,
 * *.png or *.bin file is left out. Names live in `names`, the caller's. Errors: IO, TOO_LARGE, NO_MEMORY; `where` is
 * `shown`. */
snn_status snn_listing_read(const char *path, const char *shown, snn_arena *names, snn_listing *out, snn_error *err);
void snn_listing_free(snn_listing *listing);

/* What a path turned out to be, for the formats to recognise. Borrowed during open. */
typedef struct snn_source {
  const char *path;
  const char *shown; /* its base name, for messages */
  bool is_folder;
  snn_listing listing;           /* of a folder */
  uint64_t n_bytes;              /* of a file */
  uint8_t head[SNN_SOURCE_HEAD]; /* its first bytes, zero-filled */
} snn_source;

typedef struct snn_dataset_format {
  const char *name;
  bool (*recognise)(const snn_source *source);
  /* Sets d->state, count and labelled; on failure close is called, so a half-built state must be fit for it. */
  snn_status (*open)(snn_dataset *d, const snn_source *source, const snn_dataset_options *opt, snn_error *err);
  void (*close)(snn_dataset *d); /* d->state may be NULL */
  /* i < d->count in all of these; they only read the state, from any number of threads. */
  int32_t (*label)(const snn_dataset *d, size_t i);
  void (*item)(const snn_dataset *d, size_t i, char *buf, size_t n_buf);
  snn_status (*read)(const snn_dataset *d, size_t i, snn_shape shape, uint8_t background, uint8_t *out, snn_error *err);
} snn_dataset_format;

struct snn_dataset {
  const snn_dataset_format *format;
  void *state; /* the format's own */
  size_t count;
  bool labelled;
};

extern const snn_dataset_format snn_format_folder, snn_format_cifar, snn_format_idx;

/* folder "/" name, malloc'ed; NULL when out of memory. */
char *snn_join_path(const char *folder, const char *name);

/* Refuse a label the model has no class for, when the classes are known; `where` is the file. */
snn_status snn_check_label(uint8_t label, size_t i, const snn_dataset_options *opt, const char *where, snn_error *err);

#endif
