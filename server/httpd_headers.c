/* Headers and query. Keeps the invariant that a request whose end two readers could see at different places is
 * answered 400 and its connection closed. Not yet the whole filter: names, control bytes and Host are
 * libmicrohttpd's. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "encoding.h"
#include "httpd_internal.h"

enum { FIELDS_MAX = 64 };

typedef struct header_scan {
  exchange *x;
  const char *length, *transfer, *offered_id;
  unsigned n_fields, n_length, n_transfer;
} header_scan;

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name, const char *value) {
  header_scan *scan = context;
  request *r = &scan->x->request;
  (void)kind;
  if (!value) value = "";
  scan->n_fields++;
  if (strcasecmp(name, "Content-Length") == 0) {
    scan->length = value;
    scan->n_length++;
  } else if (strcasecmp(name, "Transfer-Encoding") == 0) {
    scan->transfer = value;
    scan->n_transfer++;
  } else if (strcasecmp(name, "Content-Type") == 0) {
    r->content_type = value;
  } else if (strcasecmp(name, "Content-Encoding") == 0) {
    r->content_encoding = value;
  } else if (strcasecmp(name, "If-None-Match") == 0) {
    r->if_none_match = value;
  } else if (strcasecmp(name, "Accept") == 0) {
    r->accept = value;
  } else if (strcasecmp(name, "If-Match") == 0) {
    r->if_match = value;
  } else if (strcasecmp(name, "Idempotency-Key") == 0) {
    r->idempotency_key = value;
  } else if (strcasecmp(name, "Authorization") == 0) {
    r->authorization = value;
  } else if (strcasecmp(name, "Host") == 0) {
    r->host = value;
  } else if (strcasecmp(name, "Origin") == 0) {
    r->origin = value;
  } else if (strcasecmp(name, "X-Request-Id") == 0) {
    scan->offered_id = value;
  } else if (strcasecmp(name, "Expect") == 0) {
    scan->x->expects_continue = strcasecmp(value, "100-continue") == 0;
  }
  return MHD_YES;
}

static bool break_framing(exchange *x, const char *why) {
  x->framing_broken = true;
  return problem_set(&x->request.problem, PROBLEM_BAD_REQUEST, "%s", why);
}

static bool check_length(exchange *x, const char *length) {
  if (!*length || length[strspn(length, "0123456789")]) return break_framing(x, "Content-Length: expected digits");
  if (config_parse_unsigned(length, x->max_body, &x->declared)) return true;
  x->framing_broken = true; /* the body that follows is not going to be read */
  return problem_set(&x->request.problem, PROBLEM_TOO_LARGE, "body: at most %llu bytes, got Content-Length %.24s",
                     (unsigned long long)x->max_body, length);
}

void httpd_read_headers(exchange *x, const char *version) {
  header_scan scan = {.x = x};
  MHD_get_connection_values(x->connection, MHD_HEADER_KIND, on_header, &scan);
  request_identify(&x->request, scan.offered_id);
  if (scan.n_fields > FIELDS_MAX) {
    x->framing_broken = true;
    problem_set(&x->request.problem, PROBLEM_HEADERS, "header: at most %d fields, got %u", FIELDS_MAX, scan.n_fields);
  } else if (scan.n_length && scan.n_transfer) {
    break_framing(x, "Content-Length together with Transfer-Encoding");
  } else if (scan.n_length > 1 || scan.n_transfer > 1) {
    break_framing(x, scan.n_length > 1 ? "Content-Length: given twice" : "Transfer-Encoding: given twice");
  } else if (scan.n_transfer && (strcasecmp(scan.transfer, "chunked") != 0 || strcmp(version, "HTTP/1.1") != 0)) {
    break_framing(x, "Transfer-Encoding: only chunked, and only in HTTP/1.1");
  } else if (scan.n_length) {
    check_length(x, scan.length);
  }
}

static char *decoded_copy(const char *text, size_t n, problem *p) {
  if (memchr(text, 0, n)) {
    problem_set(p, PROBLEM_BAD_REQUEST, "query: malformed");
    return NULL;
  }
  char *copy = strndup(text, n);
  if (!copy) {
    problem_set(p, PROBLEM_BUSY, "out of memory; try again");
  } else if (!percent_decode(copy)) {
    problem_set(p, PROBLEM_BAD_REQUEST, "query: malformed percent-encoding");
    free(copy);
    return NULL;
  }
  return copy;
}

static enum MHD_Result on_parameter(void *context, enum MHD_ValueKind kind, const char *name, size_t n_name,
                                    const char *value, size_t n_value) {
  request *r = context;
  (void)kind;
  if (r->n_parameters == PARAMETERS_MAX) {
    problem_set(&r->problem, PROBLEM_BAD_REQUEST, "query: at most %d parameters", PARAMETERS_MAX);
    return MHD_NO;
  }
  parameter p = {.name = decoded_copy(name, n_name, &r->problem)};
  if (p.name) p.value = decoded_copy(value ? value : "", value ? n_value : 0, &r->problem);
  if (!p.value) {
    free(p.name);
    return MHD_NO;
  }
  r->parameters[r->n_parameters++] = p;
  return MHD_YES;
}

void httpd_read_query(exchange *x) {
  MHD_get_connection_values_n(x->connection, MHD_GET_ARGUMENT_KIND, on_parameter, &x->request);
}
