/* Uploads. Keeps the invariants that what a client sends goes to the spool and not to memory, beyond bounds stated in
 * upload.h, and that a name in here is a relative path without "..". Decodes no picture. */
#include "upload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool upload_begin(upload *u, const char *folder, spool_budget *budget, bool only_digest, problem *p) {
  *u = (upload){.spool.fd = -1, .only_digest = only_digest};
  digest_begin(&u->digest);
  if (strlen(folder) >= sizeof u->folder) return problem_set(p, PROBLEM_STORAGE, "the state folder's name is too long");
  strcpy(u->folder, folder);
  int failed = only_digest ? 0 : spool_open(folder, budget, &u->spool);
  return !failed || problem_set(p, PROBLEM_STORAGE, "the state folder cannot be written: %s", strerror(failed));
}

void upload_end(upload *u) {
  spool_close(&u->spool);
  free(u->pictures);
  free(u->names);
  free(u->options.bytes);
  free(u->labels.bytes);
  *u = (upload){.spool.fd = -1};
}

const char *upload_name(const upload *u, size_t picture) {
  return u->names + u->pictures[picture].name;
}

void upload_digest(upload *u, char out[DIGEST_HEX]) {
  digest_end(&u->digest, out);
}

static bool out_of_memory(problem *p) {
  return problem_set(p, PROBLEM_BUSY, "out of memory; try again");
}

/* A relative path of visible parts: no "..", no leading slash, no control characters. Its leading "./" are skipped. */
static const char *clean_name(const char *name) {
  while (strncmp(name, "./", 2) == 0) name += 2;
  size_t n = strlen(name);
  if (n == 0 || n > UPLOAD_NAME_MAX || *name == '/' || name[n - 1] == '/') return NULL;
  for (size_t i = 0; i < n; i++)
    if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f) return NULL;
  for (const char *part = name; part; part = strchr(part, '/')) {
    part += *part == '/';
    if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || !part[2])) return NULL;
  }
  return name;
}

bool upload_add_picture(upload *u, const char *name, problem *p) {
  const char *clean = clean_name(name);
  if (!clean)
    return problem_set(p, PROBLEM_BAD_REQUEST,
                       "image: '%.64s' is no file name: expected a relative path of at most %d bytes without '..'",
                       name, UPLOAD_NAME_MAX);
  if (u->n_pictures == UPLOAD_PICTURES_MAX)
    return problem_set(p, PROBLEM_TOO_LARGE, "images: at most %d pictures in an upload", UPLOAD_PICTURES_MAX);
  size_t n = strlen(clean) + 1;
  if (u->n_pictures == u->pictures_capacity) {
    size_t capacity = u->pictures_capacity ? 2 * u->pictures_capacity : 64;
    upload_picture *larger = realloc(u->pictures, capacity * sizeof *larger);
    if (!larger) return out_of_memory(p);
    u->pictures = larger;
    u->pictures_capacity = capacity;
  }
  if (u->n_names + n > u->names_capacity) {
    size_t capacity = u->names_capacity ? 2 * u->names_capacity : 4096;
    char *larger = realloc(u->names, capacity);
    if (!larger) return out_of_memory(p);
    u->names = larger;
    u->names_capacity = capacity;
  }
  u->pictures[u->n_pictures++] = (upload_picture){.offset = u->spool.n_bytes, .name = u->n_names, .label = -1};
  memcpy(u->names + u->n_names, clean, n);
  u->n_names += n;
  return true;
}

static bool begin_text(upload_text *t, const char *name, problem *p) {
  if (t->bytes) return problem_set(p, PROBLEM_BAD_REQUEST, "%s: part given twice", name);
  t->bytes = calloc(1, 1);
  return t->bytes || out_of_memory(p);
}

static bool append_text(upload_text *t, const char *name, const void *bytes, size_t n, size_t max, problem *p) {
  if (n > max - t->n) return problem_set(p, PROBLEM_TOO_LARGE, "%s: at most %zu bytes", name, max);
  char *larger = realloc(t->bytes, t->n + n + 1);
  if (!larger) return out_of_memory(p);
  memcpy(larger + t->n, bytes, n);
  t->n += n;
  larger[t->n] = 0;
  t->bytes = larger;
  return true;
}

bool upload_part(upload *u, const char *name, const char *file_name, problem *p) {
  static const char *const known[] = {"", "image", "archive", "labels", "options"};
  u->part = PART_NONE;
  for (unsigned i = PART_IMAGE; name && i <= PART_OPTIONS; i++)
    if (strcmp(name, known[i]) == 0) u->part = i;
  if (u->part == PART_NONE)
    return problem_set(p, PROBLEM_BAD_REQUEST, "%.64s: unknown part; there are: image, archive, labels, options",
                       name ? name : "(a part without a name)");
  /* Terminators part what would otherwise run together. */
  digest_add(&u->digest, "", 1);
  digest_add(&u->digest, known[u->part], strlen(known[u->part]) + 1);
  if (u->part == PART_IMAGE && file_name) digest_add(&u->digest, file_name, strlen(file_name) + 1);
  if (u->only_digest) return true;
  switch (u->part) {
    case PART_IMAGE:
      if (u->has_archive) return problem_set(p, PROBLEM_BAD_REQUEST, "image: beside an archive there can be none");
      return upload_add_picture(u, file_name && *file_name ? file_name : "image.png", p);
    case PART_ARCHIVE:
      if (u->has_archive) return problem_set(p, PROBLEM_BAD_REQUEST, "archive: part given twice");
      if (u->n_pictures) return problem_set(p, PROBLEM_BAD_REQUEST, "archive: beside images there can be none");
      u->has_archive = true;
      return true;
    case PART_LABELS: return begin_text(&u->labels, "labels", p);
    default: return begin_text(&u->options, "options", p);
  }
}

static bool write_spool(spool *s, const void *bytes, size_t n, problem *p) {
  int failed = spool_write(s, bytes, n);
  if (failed == EDQUOT) return problem_set(p, PROBLEM_BUSY, "the space set aside for uploads is in use; try again");
  return !failed || problem_set(p, PROBLEM_STORAGE, "the upload cannot be written: %s", strerror(failed));
}

bool upload_write(upload *u, const void *bytes, size_t n, problem *p) {
  digest_add(&u->digest, bytes, n);
  if (u->only_digest) return true;
  switch (u->part) {
    case PART_OPTIONS: return append_text(&u->options, "options", bytes, n, UPLOAD_OPTIONS_MAX, p);
    case PART_LABELS: return append_text(&u->labels, "labels", bytes, n, UPLOAD_LABELS_MAX, p);
    case PART_IMAGE: u->pictures[u->n_pictures - 1].n_bytes += n; break;
    default: break;
  }
  return write_spool(&u->spool, bytes, n, p);
}

/* ---- Sorting out ------------------------------------------------------------------------------------------------ */

/* The folder that holds a picture is its class; pictures without a folder have none. */
static bool label_by_folder(upload *u, const snn_network *net, problem *p) {
  for (size_t i = 0; i < u->n_pictures; i++) {
    const char *name = upload_name(u, i), *end = strrchr(name, '/');
    char folder[UPLOAD_NAME_MAX + 1];
    if (!end) continue;
    const char *begin = end;
    while (begin > name && begin[-1] != '/') begin--;
    size_t n = (size_t)(end - begin);
    memcpy(folder, begin, n);
    folder[n] = 0;
    u->pictures[i].label = labels_find(net, folder);
    if (u->pictures[i].label < 0)
      return problem_set(p, PROBLEM_BAD_REQUEST, "image: '%.96s' lies in a folder that is no class of this model (%s)",
                         name,
                         snn_network_label(net, 0) ? "its labels are listed by GET /v1/models/{model}"
                                                   : "its classes are numbers from 0");
  }
  return true;
}

static bool unpack(upload *u, problem *p) {
  spool packed = u->spool;
  u->spool = (spool){.fd = -1};
  int failed = spool_open(u->folder, packed.budget, &u->spool);
  bool ok = failed ? problem_set(p, PROBLEM_STORAGE, "the state folder cannot be written: %s", strerror(failed))
                   : archive_unpack(u, &packed, packed.budget->max / 2, p);
  spool_close(&packed);
  return ok;
}

bool upload_sort_out(upload *u, const snn_network *net, problem *p) {
  if (u->has_archive && !unpack(u, p)) return false;
  if (u->n_pictures == 0) return problem_set(p, PROBLEM_BAD_REQUEST, "images: expected pictures, got none");
  return u->labels.bytes ? labels_apply(u, u->labels.bytes, u->labels.n, net, p) : label_by_folder(u, net, p);
}
