/* JSON text written from left to right, without a tree of nodes: what every answer of classify and every refusal is
 * printed with. Commas come by themselves; brackets are the caller's to match.
 *
 *   json_text t = {0};
 *   json_open(&t, NULL, '{'); json_put_integer(&t, "status", 503); json_close(&t, '}');
 *   char *text = json_take(&t); */
#ifndef SERVER_JSON_TEXT_H
#define SERVER_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum { JSON_REAL_MAX = 32 };

typedef struct json_text {
  char *bytes; /* owned */
  size_t n, capacity;
  bool failed;   /* there was no memory */
  bool has_more; /* something stands before what comes next */
} json_text;

/* Open and close an object ('{', '}') or an array ('[', ']'). `name` here and below: of the member; NULL in arrays and
 * at the top. It must need no escapes. */
void json_open(json_text *t, const char *name, char bracket);
void json_close(json_text *t, char bracket);

void json_put_text(json_text *t, const char *name, const char *value); /* UTF-8; NULL: null */
void json_put_integer(json_text *t, const char *name, long long value);
void json_put_real(json_text *t, const char *name, double value); /* 9 digits; null where it is not finite */
void json_put_true(json_text *t, const char *name);

/* The text, terminated, now the caller's; NULL when memory ran out. */
char *json_take(json_text *t);

/* The same digits as json_put_real, with a fraction or an exponent in any case; `v` must be finite. Returns how many
 * bytes. */
size_t json_print_real(char text[JSON_REAL_MAX], double v);

#endif
