/* The header filter and the query. Keeps the invariant that a request which two readers could understand differently
 * (where it ends, whom it is for, what a field says) is answered 400 and its connection closed.
 *
 * libmicrohttpd 0.9.75 is lenient: it takes bare LF, cuts values at a NUL, folds lines, drops "Name : value" and spaces
 * in the request line. None of it shows in the strings it hands out, but it shows in where they lie: it parses in place
 * and only writes NULs over separators. So for that version, which was read for it, the filter also checks that method,
 * target, version and every field follow each other with exactly the separators they must have. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "encoding.h"
#include "http_syntax.h"
#include "httpd_internal.h"

enum { FIELDS_MAX = 64, LAYOUT_VERSION = 0x00097500 };

typedef struct header_scan {
  exchange *x;
  const char *expected; /* where the next field's name must begin; NULL: not known */
  const char *length, *transfer, *offered_id, *expect;
  unsigned n_fields, n_length, n_transfer, n_host, n_split, n_trace;
  const char *fault; /* the first thing wrong with a field's bytes */
} header_scan;

static const char bad_lines[] = "header: expected 'Name: value' lines that end in CR LF, without NUL bytes and folding";

bool httpd_knows_layout(void) {
  return MHD_VERSION == LAYOUT_VERSION && strcmp(MHD_get_version(), "0.9.75") == 0;
}

/* The fields handlers and the filter itself look at. */
static void note_field(header_scan *scan, const char *name, const char *value) {
  request *r = &scan->x->request;
  const struct {
    const char *name, **where;
    unsigned *count;
  } fields[] = {
      {"Content-Length", &scan->length, &scan->n_length},
      {"Transfer-Encoding", &scan->transfer, &scan->n_transfer},
      {"Host", &r->host, &scan->n_host},
      {"Content-Type", &r->content_type, NULL},
      {"Content-Encoding", &r->content_encoding, NULL},
      {"If-None-Match", &r->if_none_match, NULL},
      {"If-Match", &r->if_match, NULL},
      {"Accept", &r->accept, NULL},
      {"Accept-Encoding", &r->accept_encoding, NULL},
      {"traceparent", &r->traceparent, &scan->n_trace},
      {"Inference-Header-Content-Length", &r->inference_header_length, &scan->n_split},
      {"Authorization", &r->authorization, NULL},
      {"Idempotency-Key", &r->idempotency_key, NULL},
      {"Origin", &r->origin, NULL},
      {"X-API-Key", &r->api_key, NULL},
      {"X-Request-Id", &scan->offered_id, NULL},
      {"Expect", &scan->expect, NULL},
  };
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (strcasecmp(name, fields[i].name) == 0) {
      *fields[i].where = value;
      if (fields[i].count) ++*fields[i].count;
      return;
    }
}

/* Does the field begin where the last one ended, with nothing but ": " and blanks between its name and its value? */
static bool in_place(header_scan *scan, const char *name, size_t n_name, const char *value, size_t n_value) {
  if (!scan->expected) return true;
  const char *blank = name + n_name + 1;
  if (name != scan->expected || value < blank) return false;
  while (blank < value && (*blank == ' ' || *blank == '\t')) blank++;
  /* CR and LF became two NULs. A lone LF is one, and an embedded NUL is one too: what follows is then no NUL. */
  if (blank != value || value[n_value] || value[n_value + 1]) return false;
  scan->expected = value + n_value + 2;
  return true;
}

static enum MHD_Result on_header(void *context, enum MHD_ValueKind kind, const char *name, size_t n_name,
                                 const char *value, size_t n_value) {
  header_scan *scan = context;
  (void)kind;
  scan->n_fields++;
  if (!value || !in_place(scan, name, n_name, value, n_value)) {
    scan->fault = bad_lines;
    return MHD_NO;
  }
  if (!http_is_token(name, n_name)) {
    scan->fault = "header: a field's name has a byte it may not have";
    return MHD_NO;
  }
  if (!http_is_value(value, n_value)) {
    scan->fault = "header: a field's value has a control byte";
    return MHD_NO;
  }
  note_field(scan, name, value);
  return MHD_YES;
}

static bool break_framing(exchange *x, problem_kind kind, const char *why) {
  x->framing_broken = true;
  return problem_set(&x->request.problem, kind, "%s", why);
}

static bool check_length(exchange *x, const char *length) {
  if (!*length || length[strspn(length, "0123456789")])
    return break_framing(x, PROBLEM_BAD_REQUEST, "Content-Length: expected digits");
  if (config_parse_unsigned(length, x->max_body, &x->declared)) return true;
  x->framing_broken = true; /* the body that follows is not going to be read */
  return problem_set(&x->request.problem, PROBLEM_TOO_LARGE, "body: at most %llu bytes, got Content-Length %.24s",
                     (unsigned long long)x->max_body, length);
}

static bool check_framing(exchange *x, const header_scan *scan, const char *version) {
  if (scan->n_length && scan->n_transfer)
    return break_framing(x, PROBLEM_BAD_REQUEST, "Content-Length together with Transfer-Encoding");
  if (scan->n_length > 1) return break_framing(x, PROBLEM_BAD_REQUEST, "Content-Length: given twice");
  x->chunked = scan->n_transfer > 0;
  if (scan->n_transfer > 1) return break_framing(x, PROBLEM_BAD_REQUEST, "Transfer-Encoding: given twice");
  if (scan->n_transfer && (strcasecmp(scan->transfer, "chunked") != 0 || strcmp(version, "HTTP/1.1") != 0))
    return break_framing(x, PROBLEM_BAD_REQUEST, "Transfer-Encoding: only chunked, and only in HTTP/1.1");
  return !scan->n_length || check_length(x, scan->length);
}

/* Blanks after a value are no part of it. */
static size_t trimmed(const char *value) {
  size_t n = strlen(value);
  while (n > 0 && (value[n - 1] == ' ' || value[n - 1] == '\t')) n--;
  return n;
}

static bool check_host(exchange *x, const header_scan *scan, const char *version) {
  const request *r = &x->request;
  if (scan->n_host > 1) return break_framing(x, PROBLEM_BAD_REQUEST, "Host: given twice");
  if (!r->host)
    return strcmp(version, "HTTP/1.0") == 0 || break_framing(x, PROBLEM_BAD_REQUEST, "Host: missing in HTTP/1.1");
  return http_is_host(r->host, trimmed(r->host)) ||
         break_framing(x, PROBLEM_BAD_REQUEST, "Host: expected one host, perhaps with a port");
}

/* An absolute target must mean the host that Host names. */
static bool check_target(exchange *x, const char *method) {
  const request *r = &x->request;
  const char *target = x->target, *authority, *path;
  size_t n_authority, n = strlen(target); /* its query was cut off by now */
  switch (x->target_ok ? http_target_form(method, target, n) : HTTP_TARGET_INVALID) {
    case HTTP_TARGET_INVALID: return break_framing(x, PROBLEM_BAD_REQUEST, "request target: malformed");
    case HTTP_TARGET_AUTHORITY: return break_framing(x, PROBLEM_METHOD, "CONNECT: this server is no proxy");
    case HTTP_TARGET_PATH:
    case HTTP_TARGET_ASTERISK: return true;
    case HTTP_TARGET_ABSOLUTE: break;
  }
  http_split_absolute(target, n, &authority, &n_authority, &path);
  x->n_origin = (size_t)(path - target);
  if (!http_is_host(authority, n_authority))
    return break_framing(x, PROBLEM_BAD_REQUEST, "request target: its host is malformed");
  return !r->host || (trimmed(r->host) == n_authority && strncasecmp(r->host, authority, n_authority) == 0) ||
         break_framing(x, PROBLEM_BAD_REQUEST, "request target: another host than Host names");
}

/* Is the empty line after the last field, and nothing else, what ended the header? */
static bool ends_at(struct MHD_Connection *connection, const char *method, const char *expected) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  return info && method + info->header_size == expected + 2;
}

void httpd_read_headers(exchange *x, const char *method, const char *version) {
  static const char lines[] = "request line: expected 'METHOD target HTTP/1.1' with single spaces, ending in CR LF";
  header_scan scan = {.x = x};
  size_t n_method = strlen(method);
  bool layout = x->check_layout, line_ok = http_is_token(method, n_method) && n_method < sizeof x->request.method;
  if (layout) {
    line_ok = line_ok && x->target == method + n_method + 1 && x->target + x->n_target + 1 == version && !version[8] &&
              !version[9];
    scan.expected = version + 10;
  }
  if (line_ok) MHD_get_connection_values_n(x->connection, MHD_HEADER_KIND, on_header, &scan);
  if (layout && line_ok && !scan.fault && !ends_at(x->connection, method, scan.expected)) scan.fault = bad_lines;
  request_identify(&x->request, scan.offered_id);
  trace_context_parse(scan.n_trace == 1 ? x->request.traceparent : NULL, &x->request.trace);
  if (scan.n_split > 1) x->request.inference_header_length = ""; /* neither is believed */
  if (!line_ok) {
    break_framing(x, PROBLEM_BAD_REQUEST, lines);
  } else if (strcmp(version, "HTTP/1.1") != 0 && strcmp(version, "HTTP/1.0") != 0) {
    break_framing(x, PROBLEM_VERSION, "expected HTTP/1.1 or HTTP/1.0");
  } else if (scan.fault) {
    break_framing(x, PROBLEM_BAD_REQUEST, scan.fault);
  } else if (scan.n_fields > FIELDS_MAX) {
    x->framing_broken = true;
    problem_set(&x->request.problem, PROBLEM_HEADERS, "header: at most %d fields, got %u", FIELDS_MAX, scan.n_fields);
  } else if (check_framing(x, &scan, version) && check_host(x, &scan, version) && check_target(x, method) &&
             scan.expect) {
    x->expects_continue = strcasecmp(scan.expect, "100-continue") == 0;
    if (!x->expects_continue) break_framing(x, PROBLEM_EXPECTATION, "Expect: only 100-continue");
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
