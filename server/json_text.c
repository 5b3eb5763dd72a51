/* The writer of json_text.h. Keeps the invariant that what it wrote is the beginning of a JSON text whatever strings
 * and numbers it got. */
#include "json_text.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 1024, DIGITS = 9, INTEGER_MAX = 24 };

/* Room for n more bytes; NULL without memory. */
static char *room(json_text *t, size_t n) {
  if (t->failed) return NULL;
  if (n > t->capacity - t->n) {
    size_t capacity = t->capacity ? t->capacity : FIRST_BYTES;
    while (capacity - t->n < n) capacity *= 2;
    char *larger = realloc(t->bytes, capacity);
    if (!larger) {
      t->failed = true;
      return NULL;
    }
    t->bytes = larger;
    t->capacity = capacity;
  }
  return t->bytes + t->n;
}

static void put(json_text *t, const char *what, size_t n) {
  char *to = room(t, n);
  if (!to) return;
  memcpy(to, what, n);
  t->n += n;
}

static void put_byte(json_text *t, char c) {
  put(t, &c, 1);
}

/* The comma before a value, and its name. */
static void begin(json_text *t, const char *name) {
  if (t->has_more) put_byte(t, ',');
  t->has_more = true;
  if (!name) return;
  put_byte(t, '"');
  put(t, name, strlen(name));
  put(t, "\":", 2);
}

void json_open(json_text *t, const char *name, char bracket) {
  begin(t, name);
  put_byte(t, bracket);
  t->has_more = false;
}

void json_close(json_text *t, char bracket) {
  put_byte(t, bracket);
  t->has_more = true;
}

static bool must_be_escaped(char c) {
  return c == '"' || c == '\\' || (unsigned char)c < 0x20;
}

static void put_escaped(json_text *t, const char *s) {
  while (*s) {
    size_t n = 0;
    while (s[n] && !must_be_escaped(s[n])) n++;
    put(t, s, n);
    s += n;
    if (!*s) return;
    char escape[8];
    int n_escape = (unsigned char)*s < 0x20 ? snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*s)
                                            : snprintf(escape, sizeof escape, "\\%c", *s);
    put(t, escape, (size_t)n_escape);
    s++;
  }
}

void json_put_text(json_text *t, const char *name, const char *value) {
  begin(t, name);
  if (!value) {
    put(t, "null", 4);
    return;
  }
  put_byte(t, '"');
  put_escaped(t, value);
  put_byte(t, '"');
}

static size_t print_unsigned(char *text, uint64_t v) {
  char reversed[INTEGER_MAX];
  size_t n = 0;
  do reversed[n++] = (char)('0' + v % 10);
  while ((v /= 10) > 0);
  for (size_t i = 0; i < n; i++) text[i] = reversed[n - 1 - i];
  return n;
}

void json_put_integer(json_text *t, const char *name, long long value) {
  begin(t, name);
  if (value < 0) put_byte(t, '-');
  char text[INTEGER_MAX] = "";
  put(t, text, print_unsigned(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value));
}

void json_put_true(json_text *t, const char *name) {
  begin(t, name);
  put(t, "true", 4);
}

/* printf's %.9g for numbers it would print without an exponent; a tenth of its time. 64 bits of mantissa put an error
 * into the ninth digit only where the tenth and what follows it are a tie to within 2^-60. False where printf must do
 * it. */
static bool print_plain(char *text, size_t *n_text, double v) {
  static const long double powers[] = {1e0L, 1e1L, 1e2L, 1e3L, 1e4L, 1e5L, 1e6L, 1e7L, 1e8L, 1e9L, 1e10L, 1e11L, 1e12L};
  double size = fabs(v);
  if (!(size >= 1e-4 && size < 1e8)) return false;
  static const double tenths[] = {1e-1, 1e-2, 1e-3, 1e-4};
  int before = 0; /* digits before the point; less than 0: so many zeros behind it come first */
  while (size >= (double)powers[before]) before++;
  while (before <= 0 && size < tenths[-before]) before--;
  uint64_t digits = (uint64_t)llrintl((long double)size * powers[DIGITS - before]);
  char decimal[INTEGER_MAX];
  size_t n = print_unsigned(decimal, digits), at = 0;
  if (n != DIGITS) return false; /* it rounds up to the next power of ten, or lies just beside one */
  while (n > 1 && decimal[n - 1] == '0') n--;
  if (v < 0) text[at++] = '-';
  if (before <= 0) text[at++] = '0';
  for (int i = 0; i < before; i++) text[at++] = (size_t)i < n ? decimal[i] : '0';
  text[at++] = '.';
  for (int i = before; i < 0; i++) text[at++] = '0';
  size_t done = before > 0 ? (size_t)before : 0;
  if (done >= n) text[at++] = '0';
  for (; done < n; done++) text[at++] = decimal[done];
  *n_text = at;
  return true;
}

size_t json_print_real(char text[JSON_REAL_MAX], double v) {
  size_t n = 0;
  if (print_plain(text, &n, v)) return n;
  n = (size_t)snprintf(text, JSON_REAL_MAX, "%.*g", DIGITS, v);
  if (!memchr(text, '.', n) && !memchr(text, 'e', n)) {
    memcpy(text + n, ".0", 3);
    n += 2;
  }
  return n;
}

void json_put_real(json_text *t, const char *name, double value) {
  char text[JSON_REAL_MAX] = "null";
  size_t n = isfinite(value) ? json_print_real(text, value) : strlen(text);
  begin(t, name);
  put(t, text, n);
}

char *json_take(json_text *t) {
  put_byte(t, 0);
  if (t->failed) {
    free(t->bytes);
    t->bytes = NULL;
  }
  return t->bytes;
}
