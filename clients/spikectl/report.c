/* What people and scripts read: problems with advice, tables, CSV, JSON, progress. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "spikectl.h"

double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* What to do about it, by HTTP status; "" where the message says it all. */
static const char *advice(const reply *r) {
  switch (r->exit_status == EXIT_UNREACHABLE ? -1 : r->http_status) {
    case -1:
      return r->with_token ? "; is the daemon running there? See --admin-url"
                           : "; is the daemon running there? See --url";
    case 401: return r->with_token ? "; give the admin token with --token-file" : "; give a key with --key-file";
    case 412: return "; somebody changed it meanwhile: look at it, then try again";
    case 413: return "; send less at once";
    case 429: return "; wait for the quota";
    case 503: return "; try again in a moment, or ask with less concurrency";
    case 504: return "; ask for fewer time steps or a longer --timeout-ms";
    default: return "";
  }
}

/* Text from outside on a terminal: control characters become '?'. */
static void put_plain(const char *text, FILE *f) {
  for (; *text; text++) fputc((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text, f);
}

int report_problem(const char *subject, const reply *r) {
  clear_progress();
  fputs("spikectl: ", stderr);
  put_plain(subject, stderr);
  fputs(": ", stderr);
  put_plain(r->problem, stderr);
  fprintf(stderr, "%s\n", advice(r));
  return r->exit_status;
}

const char *text_of(const json_t *object, const char *name) {
  const char *text = json_string_value(json_object_get(object, name));
  return text ? text : "";
}

double number_of(const json_t *object, const char *name) {
  return json_number_value(json_object_get(object, name));
}

struct table {
  size_t n_columns, n_rows, capacity;
  char **cells; /* [n_rows][n_columns], the head first */
};

table *table_create(const char *const *head, size_t n_columns) {
  table *t = calloc(1, sizeof *t);
  if (!t) return NULL;
  t->n_columns = n_columns;
  table_add(t, head);
  return t;
}

void table_add(table *t, const char *const *cells) {
  if (!t) return;
  if (t->n_rows == t->capacity) {
    size_t capacity = t->capacity ? 2 * t->capacity : 16;
    char **grown = realloc(t->cells, capacity * t->n_columns * sizeof *grown);
    if (!grown) return;
    t->cells = grown;
    t->capacity = capacity;
  }
  for (size_t i = 0; i < t->n_columns; i++) t->cells[t->n_rows * t->n_columns + i] = strdup(cells[i] ? cells[i] : "");
  t->n_rows++;
}

/* Columns a text takes on a terminal, one a character of UTF-8. */
static size_t columns_of(const char *text) {
  size_t n = 0;
  for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
  return n;
}

void table_print(const table *t, FILE *f) {
  if (!t || t->n_rows < 2) return; /* nothing but its head */
  for (size_t row = 0; row < t->n_rows; row++) {
    for (size_t i = 0; i < t->n_columns; i++) {
      size_t width = 0;
      for (size_t k = 0; k < t->n_rows; k++) {
        size_t n = columns_of(t->cells[k * t->n_columns + i]);
        if (n > width) width = n;
      }
      const char *cell = t->cells[row * t->n_columns + i];
      int pad = (int)(width - columns_of(cell));
      if (i) fputs("  ", f);
      if (i) fprintf(f, "%*s", pad, "");
      put_plain(cell, f);
      if (!i && t->n_columns > 1) fprintf(f, "%*s", pad, "");
    }
    fputc('\n', f);
  }
}

void table_print_csv(const table *t, FILE *f) {
  for (size_t i = 0; t && i < t->n_rows * t->n_columns; i++) csv_field(f, t->cells[i], (i + 1) % t->n_columns == 0);
}

void table_free(table *t) {
  if (!t) return;
  for (size_t i = 0; i < t->n_rows * t->n_columns; i++) free(t->cells[i]);
  free(t->cells);
  free(t);
}

void csv_field(FILE *f, const char *text, bool last) {
  if (strpbrk(text, "\",\r\n")) {
    fputc('"', f);
    for (; *text; text++) {
      if (*text == '"') fputc('"', f);
      fputc(*text, f);
    }
    fputc('"', f);
  } else {
    fputs(text, f);
  }
  fputc(last ? '\n' : ',', f);
}

void print_json(const json_t *value, bool indented) {
  json_dumpf(value, stdout, (indented ? (size_t)JSON_INDENT(2) : JSON_COMPACT) | JSON_REAL_PRECISION(9));
  putchar('\n');
}

static bool progress_shown;

void show_progress(const char *what, size_t done, size_t total, double seconds) {
  static double shown;
  double at = now();
  if (!isatty(STDERR_FILENO) || (done < total && at - shown < 0.1)) return;
  shown = at;
  progress_shown = true;
  double share = total ? (double)done / (double)total : 1;
  int bar = (int)(share * 30);
  fprintf(stderr, "\r%s [%.*s%*s] %zu/%zu", what, bar, "##############################", 30 - bar, "", done, total);
  if (done && done < total) fprintf(stderr, ", %.0f s left ", seconds * (1 - share) / share);
  fputs("\x1b[K", stderr);
  fflush(stderr);
}

void clear_progress(void) {
  if (progress_shown) fputs("\r\x1b[K", stderr);
  progress_shown = false;
}
