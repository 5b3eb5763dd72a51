/* The options a request ran with, as every answer tells them: one list, printed by each in its own form. */
#ifndef SERVER_JSON_ECHO_H
#define SERVER_JSON_ECHO_H

#include "inference.h"

enum { ECHO_MAX = 20 };

/* One member. Those of a group follow each other: an object of its own, or `group_name` where members must be flat. */
typedef struct echo {
  const char *group; /* NULL: none */
  const char *name;
  enum { ECHO_TEXT, ECHO_INTEGER, ECHO_REAL } kind;
  const char *text;
  long long integer;
  double real;
} echo;

/* Each option in force; returns how many. */
size_t json_echo_options(const inference *inf, echo out[ECHO_MAX]);

#endif
