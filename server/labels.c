/* The labels CSV: lines of file,label, either in quotes where it has a comma, a quote (doubled) or a space around it.
 * The first line may say so: "file,label". Keeps the invariant that each line names one picture of the upload and each
 * picture is named once at most. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "upload.h"

enum { FIELD_MAX = 511 };

int32_t labels_find(const snn_network *net, const char *text) {
  uint64_t number;
  size_t classes = snn_network_classes(net);
  for (size_t i = 0; i < classes && snn_network_label(net, i); i++)
    if (strcmp(snn_network_label(net, i), text) == 0) return (int32_t)i;
  return config_parse_unsigned(text, classes - 1, &number) ? (int32_t)number : -1;
}

/* Where reading has come to. */
typedef struct reader {
  const char *at, *end;
  size_t line;
} reader;

static bool malformed(const reader *r, const char *what, problem *p) {
  return problem_set(p, PROBLEM_BAD_REQUEST, "labels: line %zu: %s", r->line, what);
}

/* One field into out[FIELD_MAX + 1], up to a comma or the end of the line, which is left. */
static bool read_field(reader *r, char *out, problem *p) {
  size_t n = 0;
  bool quoted = r->at < r->end && *r->at == '"';
  r->at += quoted;
  for (;; r->at++) {
    if (r->at == r->end) {
      if (quoted) return malformed(r, "a quote is not closed", p);
      break;
    }
    if (quoted && *r->at == '"') {
      if (r->at + 1 == r->end || r->at[1] != '"') {
        r->at++;
        break;
      }
      r->at++; /* a doubled one stands for itself */
    } else if (!quoted && (*r->at == ',' || *r->at == '\n' || *r->at == '\r')) {
      break;
    }
    if (!*r->at || (quoted && *r->at == '\n')) return malformed(r, "a NUL or a line's end in a field", p);
    if (n == FIELD_MAX) return malformed(r, "a field is longer than any name", p);
    out[n++] = *r->at;
  }
  out[n] = 0;
  return true;
}

/* Past the end of the line, whichever it is; false when something else stands there. */
static bool end_line(reader *r, problem *p) {
  if (r->at < r->end && *r->at == '\r') r->at++;
  if (r->at < r->end && *r->at != '\n') return malformed(r, "expected file,label", p);
  r->at += r->at < r->end;
  return true;
}

/* Pictures in the order of their names, for looking up. */
typedef struct index_row {
  const char *name;
  size_t picture;
} index_row;

static int compare_rows(const void *a, const void *b) {
  return strcmp(((const index_row *)a)->name, ((const index_row *)b)->name);
}

static bool apply_line(upload *u, const reader *r, const index_row *rows, const char *file, const char *label,
                       const snn_network *net, problem *p) {
  while (strncmp(file, "./", 2) == 0) file += 2;
  index_row wanted = {.name = file};
  const index_row *found = bsearch(&wanted, rows, u->n_pictures, sizeof *rows, compare_rows);
  if (!found)
    return problem_set(p, PROBLEM_BAD_REQUEST, "labels: line %zu: there is no picture '%.96s'", r->line, file);
  size_t at = (size_t)(found - rows);
  if ((at > 0 && strcmp(rows[at - 1].name, file) == 0) ||
      (at + 1 < u->n_pictures && strcmp(rows[at + 1].name, file) == 0))
    return problem_set(p, PROBLEM_BAD_REQUEST, "labels: line %zu: several pictures are called '%.96s'", r->line, file);
  if (u->pictures[found->picture].label >= 0)
    return problem_set(p, PROBLEM_BAD_REQUEST, "labels: line %zu: '%.96s' is labelled twice", r->line, file);
  int32_t value = labels_find(net, label);
  if (value < 0)
    return problem_set(p, PROBLEM_BAD_REQUEST,
                       "labels: line %zu: expected a label of this model or a number below %zu, got '%.64s'", r->line,
                       snn_network_classes(net), label);
  u->pictures[found->picture].label = value;
  return true;
}

bool labels_apply(upload *u, const char *text, size_t n, const snn_network *net, problem *p) {
  const size_t mark = n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0; /* spreadsheets begin UTF-8 so */
  reader r = {.at = text + mark, .end = text + n, .line = 1};
  char file[FIELD_MAX + 1], label[FIELD_MAX + 1];
  bool ok = true;
  index_row *rows = calloc(u->n_pictures + 1, sizeof *rows);
  if (!rows) return problem_set(p, PROBLEM_BUSY, "out of memory; try again");
  for (size_t i = 0; i < u->n_pictures; i++) rows[i] = (index_row){upload_name(u, i), i};
  qsort(rows, u->n_pictures, sizeof *rows, compare_rows);
  for (; ok && r.at < r.end; r.line++) {
    if (*r.at == '\n' || *r.at == '\r') { /* an empty line */
      ok = end_line(&r, p);
      continue;
    }
    ok = read_field(&r, file, p);
    if (ok && (r.at == r.end || *r.at != ',')) ok = malformed(&r, "expected file,label", p);
    if (!ok) break;
    r.at++;
    ok = read_field(&r, label, p) && end_line(&r, p);
    if (ok && !(r.line == 1 && strcmp(file, "file") == 0 && strcmp(label, "label") == 0))
      ok = apply_line(u, &r, rows, file, label, net, p);
  }
  free(rows);
  return ok;
}
