/* The entries of one folder, sorted by the bytes of their names.
 *
 * Invariant: the order depends on the names alone, not on the file system or the locale. Never goes down into a folder
 * (so links that lead in circles are harmless) and never opens a file: kinds come from the name and from fstatat. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "dataset/formats.h"

enum { FIRST_CAPACITY = 64 };

/* ASCII only, whatever the locale. */
static bool has_suffix(const char *name, const char *suffix) {
  const size_t n = strlen(name), n_suffix = strlen(suffix);
  if (n <= n_suffix) return false;
  for (size_t i = 0; i < n_suffix; i++) {
    char c = name[n - n_suffix + i];
    if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
    if (c != suffix[i]) return false;
  }
  return true;
}

/* False for entries that do not matter: other files, sockets, links to nowhere. */
static bool kind_of(int folder, const char *name, snn_entry_kind *out) {
  struct stat st;
  if (fstatat(folder, name, &st, 0) != 0) return false;
  if (S_ISDIR(st.st_mode))
    *out = SNN_ENTRY_FOLDER;
  else if (S_ISREG(st.st_mode) && has_suffix(name, ".png"))
    *out = SNN_ENTRY_PNG;
  else if (S_ISREG(st.st_mode) && has_suffix(name, ".bin"))
    *out = SNN_ENTRY_BIN;
  else
    return false;
  return true;
}

static int by_name(const void *a, const void *b) {
  return strcmp(((const snn_entry *)a)->name, ((const snn_entry *)b)->name); /* compares as unsigned char */
}

static bool append(snn_listing *l, size_t *capacity, snn_entry entry) {
  if (l->n_entries == *capacity) {
    size_t grown = *capacity ? *capacity * 2 : FIRST_CAPACITY, n_bytes;
    if (!snn_mul(grown, sizeof entry, &n_bytes)) return false;
    snn_entry *entries = realloc(l->entries, n_bytes);
    if (!entries) return false;
    l->entries = entries;
    *capacity = grown;
  }
  l->entries[l->n_entries++] = entry;
  l->n_folders += entry.kind == SNN_ENTRY_FOLDER;
  l->n_pngs += entry.kind == SNN_ENTRY_PNG;
  l->n_bins += entry.kind == SNN_ENTRY_BIN;
  return true;
}

snn_status snn_listing_read(const char *path, const char *shown, snn_arena *names, snn_listing *out, snn_error *err) {
  snn_status status = SNN_OK;
  snn_listing l = {0};
  size_t capacity = 0, n_seen = 0;
  DIR *folder = opendir(path);
  if (!folder) return snn_fail_errno(err, shown, "cannot list the folder", errno);
  for (;;) {
    errno = 0;
    const struct dirent *e = readdir(folder);
    if (!e) {
      if (errno != 0) {
        status = snn_fail_errno(err, shown, "cannot list the folder", errno);
        goto cleanup;
      }
      break;
    }
    if (++n_seen > SNN_DATASET_MAX_ITEMS) {
      status = snn_fail(err, SNN_ERR_TOO_LARGE, shown, "more than %d entries in the folder", SNN_DATASET_MAX_ITEMS);
      goto cleanup;
    }
    snn_entry entry = {0};
    const size_t n_name = strlen(e->d_name);
    if (e->d_name[0] == '.' || n_name > SNN_DATASET_MAX_NAME || !kind_of(dirfd(folder), e->d_name, &entry.kind))
      continue;
    entry.name = snn_arena_text(names, e->d_name, n_name);
    if (!entry.name || !append(&l, &capacity, entry)) {
      status = snn_fail_memory(err, "a folder's entries");
      goto cleanup;
    }
  }
  if (l.n_entries > 1) qsort(l.entries, l.n_entries, sizeof *l.entries, by_name);
  *out = l;
  l = (snn_listing){0};
cleanup:
  closedir(folder);
  snn_listing_free(&l);
  return status;
}

void snn_listing_free(snn_listing *listing) {
  free(listing->entries);
  *listing = (snn_listing){0};
}
