/* Numbers from .npy and text. Invariant: sizes come from the file, so every product is checked, and an .npy's values
 * must fill the rest of the file exactly before anything is allocated. Text may hold nan and inf, as .npy may. */
#include "snn/array.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

static const char magic[] = "\x93NUMPY";
enum { MAGIC = 6, MAX_HEADER = 1 << 16, MAX_TOKEN = 64 };

/* Text between two ends. */
typedef struct cursor {
  const char *at, *end;
} cursor;

static void skip_blanks(cursor *c) {
  while (c->at < c->end && (*c->at == ' ' || *c->at == '\n')) c->at++;
}

/* Is this text next? Then step over it. */
static bool take(cursor *c, const char *text) {
  size_t n = strlen(text);
  skip_blanks(c);
  if ((size_t)(c->end - c->at) < n || memcmp(c->at, text, n) != 0) return false;
  c->at += n;
  return true;
}

/* (), (3,), (3, 4) or (3, 4,) */
static bool take_shape(cursor *c, snn_array *a) {
  bool more = true; /* a comma came before */
  if (!take(c, "(")) return false;
  for (a->n_dims = 0; !take(c, ")"); a->n_dims++) {
    size_t n = 0;
    if (a->n_dims == SNN_ARRAY_DIMS || !more) return false;
    skip_blanks(c);
    const char *digits = c->at;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
      if (!snn_mul(n, 10, &n) || !snn_add(n, (size_t)(*c->at - '0'), &n)) return false;
    if (c->at == digits) return false;
    a->dims[a->n_dims] = n;
    more = take(c, ",");
  }
  return true;
}

/* The dictionary of an .npy header: its three keys in any order, each once. */
static bool take_header(cursor *c, snn_array *a, char type[4], bool *fortran) {
  unsigned seen = 0;
  if (!take(c, "{")) return false;
  while (!take(c, "}")) {
    unsigned key = 0;
    if (take(c, "'descr'") && take(c, ":") && take(c, "'") && c->end - c->at > 4 && c->at[3] == '\'') {
      key = 1;
      memcpy(type, c->at, 3);
      c->at += 4;
    } else if (take(c, "'fortran_order'") && take(c, ":")) {
      key = 2;
      *fortran = take(c, "True");
      if (!*fortran && !take(c, "False")) return false;
    } else if (take(c, "'shape'") && take(c, ":") && take_shape(c, a)) {
      key = 4;
    }
    if (!key || (seen & key)) return false;
    seen |= key;
    if (!take(c, ",") && !(c->at < c->end && *c->at == '}')) return false;
  }
  skip_blanks(c);
  return seen == 7 && c->at == c->end;
}

static snn_status read_npy(const uint8_t *bytes, size_t n, snn_array *a, snn_error *err) {
  char type[4] = "";
  bool fortran = false;
  size_t begin = MAGIC + 2, length = 0, count = 1, n_bytes;
  const size_t field = n > MAGIC && bytes[MAGIC] >= 2 ? 4 : 2;
  if (n < begin + field || bytes[MAGIC] < 1 || bytes[MAGIC] > 3)
    return snn_fail(err, SNN_ERR_FORMAT, NULL, "an .npy file of an unknown version, or cut short");
  for (size_t i = 0; i < field; i++) length |= (size_t)bytes[begin + i] << (8 * i);
  begin += field;
  if (length > MAX_HEADER || length > n - begin)
    return snn_fail(err, SNN_ERR_FORMAT, NULL, "the .npy header does not end inside the file");
  cursor c = {(const char *)bytes + begin, (const char *)bytes + begin + length};
  if (!take_header(&c, a, type, &fortran))
    return snn_fail(err, SNN_ERR_FORMAT, NULL, "the .npy header is not that of a plain array");
  const bool is_double = strcmp(type, "<f8") == 0;
  if ((!is_double && strcmp(type, "<f4") != 0) || fortran || a->n_dims == 0)
    return snn_fail(err, SNN_ERR_UNSUPPORTED, NULL, "an .npy array of float32 or float64 in C order is needed");
  for (size_t i = 0; i < a->n_dims; i++)
    if (!snn_mul(count, a->dims[i], &count))
      return snn_fail(err, SNN_ERR_FORMAT, NULL, "the .npy shape is larger than the file");
  begin += length;
  if (!snn_mul(count, is_double ? 8 : 4, &n_bytes) || n_bytes != n - begin)
    return snn_fail(err, SNN_ERR_FORMAT, NULL, "the .npy shape does not fit the file's length");
  a->n = count;
  a->values = snn_alloc_array(count, sizeof *a->values);
  if (!a->values) return snn_fail_memory(err, "an array");
  for (size_t i = 0; i < count; i++) {
    double d;
    if (is_double) {
      memcpy(&d, bytes + begin + 8 * i, 8);
      a->values[i] = (float)d;
    } else {
      memcpy(&a->values[i], bytes + begin + 4 * i, 4);
    }
  }
  return SNN_OK;
}

static bool divides(char c) {
  return c == ',' || c == ';' || c == ' ' || c == '\t' || c == '\r';
}

/* The number at the cursor, with the comma or semicolon behind it. */
static bool take_number(cursor *c, float *out) {
  char token[MAX_TOKEN], *end;
  size_t n = 0;
  while (c->at < c->end && !divides(*c->at) && *c->at != '\n') {
    if (n + 1 == MAX_TOKEN) return false;
    token[n++] = *c->at++;
  }
  token[n] = 0;
  *out = strtof(token, &end);
  bool more = false; /* one comma or semicolon at most */
  for (; c->at < c->end && divides(*c->at); c->at++) {
    bool strong = *c->at == ',' || *c->at == ';';
    if (strong && more) return false;
    more = more || strong;
  }
  return n > 0 && strlen(token) == n && *end == 0;
}

/* Rows of numbers; with values NULL only counts. */
static snn_status read_text(const char *bytes, size_t n, float *values, size_t *rows, size_t *columns, snn_error *err) {
  cursor c = {bytes, bytes + n};
  size_t line = 0;
  *rows = *columns = 0;
  while (c.at < c.end) {
    size_t here = 0;
    line++;
    while (c.at < c.end && (*c.at == ' ' || *c.at == '\t' || *c.at == '\r')) c.at++;
    if (c.at < c.end && *c.at == '#')
      while (c.at < c.end && *c.at != '\n') c.at++;
    for (; c.at < c.end && *c.at != '\n'; here++) {
      float value;
      if (!take_number(&c, &value))
        return snn_fail(err, SNN_ERR_FORMAT, NULL, "line %zu holds what is no number", line);
      if (values) *values++ = value;
    }
    if (c.at < c.end) c.at++;
    if (!here) continue;
    if (*rows > 0 && here != *columns)
      return snn_fail(err, SNN_ERR_FORMAT, NULL, "line %zu has %zu numbers, those before have %zu", line, here,
                      *columns);
    *columns = here;
    (*rows)++;
  }
  return SNN_OK;
}

snn_status snn_array_read_memory(const void *bytes, size_t n, snn_array *out, snn_error *err) {
  snn_array a = {0};
  snn_status status;
  if (n >= MAGIC && memcmp(bytes, magic, MAGIC) == 0) {
    status = read_npy(bytes, n, &a, err);
  } else {
    a.n_dims = 2;
    status = read_text(bytes, n, NULL, &a.dims[0], &a.dims[1], err);
    a.n = a.dims[0] * a.dims[1]; /* at most a number for every byte */
    if (status == SNN_OK && !(a.values = snn_alloc_array(a.n, sizeof *a.values)))
      status = snn_fail_memory(err, "an array");
    if (status == SNN_OK) status = read_text(bytes, n, a.values, &a.dims[0], &a.dims[1], err);
  }
  if (status == SNN_OK)
    *out = a;
  else
    snn_array_free(&a);
  return status;
}

snn_status snn_array_read(const char *path, snn_array *out, snn_error *err) {
  snn_mapping file;
  snn_status status = snn_map_file(path, (size_t)1 << 31, &file, err);
  if (status != SNN_OK) return status;
  status = snn_array_read_memory(file.bytes, file.n_bytes, out, err);
  snn_unmap(&file);
  return status;
}

snn_status snn_array_write(const char *path, const float *values, size_t n_dims, const size_t *dims, snn_error *err) {
  char header[512];
  size_t count = 1, used = MAGIC + 4; /* the version and the length follow at the end */
  memcpy(header, magic, MAGIC);
  used += (size_t)snprintf(header + used, sizeof header - used, "{'descr': '<f4', 'fortran_order': False, 'shape': (");
  for (size_t i = 0; i < n_dims; i++) {
    used += (size_t)snprintf(header + used, sizeof header - used, "%zu,%s", dims[i], i + 1 < n_dims ? " " : "");
    count *= dims[i];
  }
  used += (size_t)snprintf(header + used, sizeof header - used, "), }");
  while ((used + 1) % 64) header[used++] = ' '; /* the values begin at a multiple of 64 */
  header[used++] = '\n';
  const size_t length = used - MAGIC - 4;
  header[MAGIC] = 1;
  header[MAGIC + 1] = 0;
  header[MAGIC + 2] = (char)(length & 255);
  header[MAGIC + 3] = (char)(length >> 8);
  snn_replace file;
  snn_status status = snn_replace_begin(path, &file, err);
  if (status != SNN_OK) return status;
  status = snn_replace_write(&file, header, used, err);
  if (status == SNN_OK) status = snn_replace_write(&file, values, count * sizeof *values, err);
  if (status == SNN_OK) return snn_replace_commit(&file, err);
  snn_replace_abort(&file);
  return status;
}

void snn_array_free(snn_array *a) {
  free(a->values);
  *a = (snn_array){0};
}
