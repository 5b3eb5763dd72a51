/* A look at JSON text before it is parsed: how deep, how many values.
 *
 * Parsing costs up to 80 times the text's size in memory (8 MiB of "[{},{},..." becomes 629 MiB), so a text is scanned
 * first and refused when it could be such a one. The scan does not check the grammar: the parser does. */
#ifndef SERVER_JSON_SCAN_H
#define SERVER_JSON_SCAN_H

#include <stddef.h>

typedef enum json_scan_result {
  JSON_SCAN_OK,
  JSON_SCAN_TOO_DEEP,
  JSON_SCAN_TOO_MANY,
  JSON_SCAN_NUL /* a NUL byte: never JSON, and some parsers would stop reading there */
} json_scan_result;

/* Nesting of arrays and objects at most max_depth; values, member names included, at most max_tokens. A text that
 * passes makes a parser create at most max_tokens nodes. */
json_scan_result json_scan(const char *text, size_t n, unsigned max_depth, size_t max_tokens);

#endif
