/* What httpd.c, httpd_headers.c, httpd_multipart.c and httpd_abort.c share. */
#ifndef SERVER_HTTPD_INTERNAL_H
#define SERVER_HTTPD_INTERNAL_H

#include <microhttpd.h>

#include "request.h"
#include "server.h"
#include "watch.h"

/* A request on its connection. Owned by the connection, from its header to its last answer byte. */
typedef struct exchange {
  request request;
  server *server;
  struct MHD_Connection *connection;
  watched *watched;
  bool plain;                          /* no TLS: its socket may be written to */
  struct MHD_PostProcessor *multipart; /* NULL unless the body is one */
  char *held;                          /* owned: bytes the parser gets with the next ones only, n_held of them */
  size_t n_held;
  bool part_is_options, part_is_image; /* what the running part of it is */
  bool has_options_part;
  bool expects_continue; /* the client waits for 100 before it sends the body */
  bool framing_broken;   /* where this request ends is not certain: answer and close */
  bool begun;            /* the header is complete: the request counts as in flight */
  bool check_layout;     /* see httpd_knows_layout */
  bool working;          /* workers have, or had, the inference */
  bool chunked;          /* the body came in chunks: it was longer on the wire */
  size_t header_bytes;   /* from the method to the empty line */
  bool hurries;          /* jobs rest because of it */
  size_t received;       /* body bytes */
  uint64_t max_body;     /* of this request */
  uint64_t declared;     /* Content-Length; 0 without one */
  const char *target;    /* the request target, in libmicrohttpd's buffer until the header was read */
  size_t n_target;       /* its length as it came; libmicrohttpd writes NULs over '?', '&' and '=' */
  bool target_ok;        /* it had no byte a target cannot have */
  size_t n_origin;       /* bytes of "http://host" before the path of an absolute target */
} exchange;

/* Is this the libmicrohttpd whose way of parsing in place the header filter can look at? */
bool httpd_knows_layout(void);

/* The header filter: look at the request line and every field once. Fills the request's borrowed headers and id; what
 * cannot be trusted sets the request's problem and framing_broken. Body limits: a declared length over x->max_body is
 * refused here. */
void httpd_read_headers(exchange *x, const char *method, const char *version);

/* Query parameters, percent-decoded, into the request; a problem when they are malformed or too many. */
void httpd_read_query(exchange *x);

/* Make the multipart parser; feed it; end it. False, or a problem set, when the body is not what it says. */
void httpd_multipart_begin(exchange *x);
void httpd_multipart_feed(exchange *x, const char *bytes, size_t n);
void httpd_multipart_end(exchange *x);
void httpd_multipart_free(exchange *x);

/* Answer in the middle of an upload, where libmicrohttpd cannot: the problem's reply straight to the socket. The
 * connection must then be given up (MHD_NO). */
void httpd_answer_and_abandon(exchange *x);

/* Certificate and key as PEM text; owned. */
typedef struct httpd_tls {
  char *certificate, *key;
} httpd_tls;

/* Read the files that the settings name. False, logged, when one cannot be had or TLS is not built in. */
bool httpd_tls_read(httpd_tls *t, const config *c, logger *log_to);
void httpd_tls_free(httpd_tls *t);

#endif
