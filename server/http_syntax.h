/* The grammar of HTTP/1.1 headers, as strictly as a request that passes proxies should be read (RFC 9110, RFC 9112).
 * Pure functions over bytes; knows no connection. */
#ifndef SERVER_HTTP_SYNTAX_H
#define SERVER_HTTP_SYNTAX_H

#include <stdbool.h>
#include <stddef.h>

/* A method or a field name: one or more tchar. */
bool http_is_token(const char *text, size_t n);

/* A field value without control bytes: visible ASCII, space, tab and bytes from 0x80. */
bool http_is_value(const char *text, size_t n);

/* The value of Host: a name, an IPv4 address or an IPv6 address in brackets, and perhaps a port. */
bool http_is_host(const char *text, size_t n);

typedef enum http_target {
  HTTP_TARGET_INVALID,
  HTTP_TARGET_PATH,      /* "/a?b": everyone but proxies' clients */
  HTTP_TARGET_ABSOLUTE,  /* "http://host/a?b" */
  HTTP_TARGET_AUTHORITY, /* "host:port", of CONNECT */
  HTTP_TARGET_ASTERISK   /* "*", of OPTIONS */
} http_target;

/* Visible ASCII only, and no fragment. */
bool http_is_target(const char *target, size_t n);

/* Which form a request target has, with or without its query. */
http_target http_target_form(const char *method, const char *target, size_t n);

/* Where the authority of an absolute target lies, and where its path begins (at its end when it has none). */
void http_split_absolute(const char *target, size_t n, const char **authority, size_t *n_authority, const char **path);

#endif
