/* Connections to requests and back. Keeps the invariants that an exchange is touched by its socket thread alone, that
 * a connection is suspended before anyone who could resume it knows of it, and that server.in_flight counts every
 * request that reached the first callback. Does not know what the routes do. */
#include "httpd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cors.h"
#include "encoding.h"
#include "http_syntax.h"
#include "httpd_internal.h"
#include "listener.h"
#include "router.h"

enum {
  CONNECTIONS_SPARE = 1024, /* above the queue's bound: refusing is our 503's business, not accept's */
  DESCRIPTORS_SPARE = 64,
  IDLE_SECONDS = 10,
  CONNECTION_BYTES = 32 * 1024,
  BODY_SECONDS = 10, /* a body may take this long, and a second more for every BODY_BYTES_PER_SECOND */
  BODY_BYTES_PER_SECOND = 64 * 1024,
  SOCKET_THREADS_MAX = 4,
  ADMIN_THREADS = 2, /* an upload is written to the disk on one of them */
  ADMIN_CONNECTIONS = 512
};

struct httpd {
  struct MHD_Daemon *daemon;
  server *server;
  watch *watch;
  face face;
  bool knows_layout, plain;
  httpd_tls tls;
};

/* The last worker is done: the connection's thread takes over. */
static void on_inference_done(inference *inf) {
  const exchange *x = inf->owner;
  MHD_resume_connection(x->connection);
}

static void on_work_done(request *r) {
  MHD_resume_connection(r->connection);
}

/* From now on, or no longer, jobs rest for it. */
static void hurry(exchange *x, bool hurries) {
  if (hurries != x->hurries) (hurries ? courtesy_begin : courtesy_end)(&x->server->courtesy);
  x->hurries = hurries;
}

static enum MHD_Result send_reply(exchange *x) {
  request *r = &x->request;
  if (r->problem.kind != PROBLEM_NONE) reply_problem(r);
  if (r->face == FACE_PUBLIC) cors_decorate(x->server->config.cors_origin, r);
  metrics_request(&x->server->metrics, r);
  httpd_multipart_free(x);
  request_drop_inference(r);
  reply *out = &r->reply;
  union {
    const void *constant;
    void *buffer; /* libmicrohttpd does not write to a persistent buffer */
  } body = {.constant = out->body ? out->body : out->constant};
  struct MHD_Response *response = MHD_create_response_from_buffer(
      out->n_body, body.buffer, out->body ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
  if (!response) return MHD_NO;
  out->body = NULL; /* the response owns it now */
  bool ok = MHD_add_response_header(response, "X-Request-Id", r->id) == MHD_YES;
  if (*r->trace.text) ok = ok && MHD_add_response_header(response, "traceparent", r->trace.text) == MHD_YES;
  if (out->n_body) ok = ok && MHD_add_response_header(response, "Content-Type", out->content_type) == MHD_YES;
  for (size_t i = 0; i < out->n_headers; i++)
    ok = ok && MHD_add_response_header(response, out->headers[i].name, out->headers[i].value) == MHD_YES;
  if (x->framing_broken || atomic_load(&x->server->state) == SERVER_DRAINING)
    ok = ok && MHD_add_response_header(response, "Connection", "close") == MHD_YES;
  watch_replying(x->watched, out->n_body);
  enum MHD_Result result = ok ? MHD_queue_response(x->connection, out->status, response) : MHD_NO;
  MHD_destroy_response(response);
  hurry(x, false);
  return result;
}

/* The admin listener answers only to its own origin and only with the token. */
static void admit(exchange *x) {
  char name[LISTENER_NAME_MAX];
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  bool known = info && listener_name(info->connect_fd, name);
  admin_admit(&x->server->admin, &x->request, known ? name : "");
}

/* The route said where the body goes; how much of it may come is the sink's to say. */
static void begin_sink(exchange *x) {
  const body_sink *sink = &x->request.sink;
  x->max_body = sink->max_bytes;
  if (x->declared > x->max_body) {
    x->framing_broken = true; /* the body that follows is not going to be read */
    problem_set(&x->request.problem, PROBLEM_TOO_LARGE, "body: at most %llu bytes, got Content-Length %llu",
                (unsigned long long)x->max_body, (unsigned long long)x->declared);
  } else if (sink->is_multipart) {
    httpd_multipart_begin(x);
  }
}

/* The request line is complete; the header is not. Called before libmicrohttpd changes the target. */
static void *on_request_line(void *context, const char *target, struct MHD_Connection *connection) {
  httpd *h = context;
  exchange *x = calloc(1, sizeof *x);
  if (!x) return NULL;
  x->server = h->server;
  x->connection = connection;
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  if (info) x->watched = info->socket_context;
  x->check_layout = h->knows_layout;
  x->plain = h->plain;
  x->target = target ? target : "";
  x->n_target = strlen(x->target);
  x->target_ok = http_is_target(x->target, x->n_target);
  return x;
}

/* The API does; the page, health and preflights do not. */
static bool needs_key(const request *r) {
  return r->face == FACE_PUBLIC && strcmp(r->method, "OPTIONS") != 0 &&
         (strncmp(r->path, "/v1/", 4) == 0 ||
          (strncmp(r->path, "/v2", 3) == 0 && strncmp(r->path, "/v2/health/", 11) != 0));
}

/* The header is complete. */
static enum MHD_Result begin(httpd *h, exchange *x, const char *url, const char *method, const char *version) {
  atomic_fetch_add(&h->server->in_flight, 1);
  x->begun = true;
  watch_header_complete(x->watched);
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(x->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  if (info) x->header_bytes = info->header_size;
  struct MHD_Connection *connection = x->connection;
  request *r = &x->request;
  r->resume = on_work_done;
  r->connection = connection;
  r->begun_ns = snn_clock_ns();
  r->face = h->face;
  snprintf(r->method, sizeof r->method, "%s", method);
  x->max_body = h->face == FACE_ADMIN ? h->server->config.max_upload : h->server->config.max_body;
  httpd_read_headers(x, method, version);
  if (x->n_origin) url = url[x->n_origin] ? url + x->n_origin : "/";
  if (strlen(url) >= sizeof r->path) {
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "path: longer than any there is");
  } else {
    strcpy(r->path, url);
    if (!percent_decode(r->path)) problem_set(&r->problem, PROBLEM_BAD_REQUEST, "path: malformed percent-encoding");
  }
  r->preflight = h->face == FACE_PUBLIC && *h->server->config.cors_origin;
  if (r->problem.kind == PROBLEM_NONE && h->face == FACE_ADMIN) admit(x);
  if (r->problem.kind == PROBLEM_NONE && needs_key(r)) api_keys_admit(&h->server->keys, r, r->begun_ns);
  if (r->problem.kind == PROBLEM_NONE) router_find(r);
  if (r->problem.kind == PROBLEM_NONE) httpd_read_query(x);
  if (r->problem.kind == PROBLEM_NONE && r->route->begin) r->route->begin(h->server, r);
  if (r->problem.kind == PROBLEM_NONE && r->inference) {
    r->inference->done = on_inference_done;
    r->inference->owner = x;
    if (r->inference->kind == BODY_MULTIPART) httpd_multipart_begin(x);
  }
  if (r->problem.kind == PROBLEM_NONE && r->sink.context) begin_sink(x);
  if (h->face == FACE_ADMIN && (!r->sink.context || r->problem.kind != PROBLEM_NONE)) {
    x->max_body = ADMIN_BODY_MAX;
    if (x->declared > ADMIN_BODY_MAX) x->framing_broken = true; /* a refused upload is not read to its end */
  }
  /* A refusal usually waits until the body was read and dropped, so that the client is there to hear it and the
   * connection lives on. Not when the client has not sent it yet, nor when its end cannot be trusted. */
  if (r->problem.kind != PROBLEM_NONE && (x->framing_broken || x->expects_continue)) return send_reply(x);
  return MHD_YES;
}

static bool body_too_slow(const exchange *x) {
  uint64_t allowed = BODY_SECONDS + x->received / BODY_BYTES_PER_SECOND;
  return snn_clock_ns() - x->request.begun_ns > allowed * UINT64_C(1000000000);
}

/* Some bytes of the body. */
static enum MHD_Result receive(exchange *x, const char *bytes, size_t n) {
  request *r = &x->request;
  uint64_t max_body = x->max_body;
  bool over = n > max_body - x->received;
  x->received += n;
  if (over || body_too_slow(x)) {
    r->problem = (problem){0};
    if (over)
      problem_set(&r->problem, PROBLEM_TOO_LARGE, "body: at most %llu bytes", (unsigned long long)max_body);
    else
      problem_set(&r->problem, PROBLEM_SLOW_BODY, "body: %zu bytes took longer than %d s", x->received, BODY_SECONDS);
    httpd_answer_and_abandon(x);
    return MHD_NO;
  }
  inference *inf = r->inference;
  if (r->problem.kind == PROBLEM_NONE && r->sink.context) {
    if (r->sink.is_multipart)
      httpd_multipart_feed(x, bytes, n);
    else
      r->sink.write(r->sink.context, bytes, n, &r->problem);
    return MHD_YES;
  }
  if (r->problem.kind != PROBLEM_NONE || !inf || inf->problem.kind != PROBLEM_NONE) return MHD_YES; /* dropped */
  if (inf->kind == BODY_MULTIPART)
    httpd_multipart_feed(x, bytes, n);
  else
    inference_append(inf, bytes, n);
  return MHD_YES;
}

/* The body is complete, or the workers are done. */
static enum MHD_Result complete(exchange *x) {
  request *r = &x->request;
  if (!x->working) {
    httpd_multipart_end(x);
    if (r->inference && r->inference->problem.kind != PROBLEM_NONE && r->problem.kind == PROBLEM_NONE)
      r->problem = r->inference->problem;
    if (r->problem.kind == PROBLEM_NONE && r->route->start) {
      x->working = true;
      watch_working(x->watched, r->inference);
      hurry(x, r->inference != NULL);
      MHD_suspend_connection(x->connection);
      if (!r->route->start(x->server, r)) MHD_resume_connection(x->connection);
      return MHD_YES;
    }
  } else {
    watch_worked(x->watched);
  }
  if (r->problem.kind == PROBLEM_NONE) r->route->answer(x->server, r);
  return send_reply(x);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                                  const char *version, const char *bytes, size_t *n_bytes, void **request_context) {
  exchange *x = *request_context;
  (void)connection;
  if (!x) return MHD_NO; /* there was no memory for it */
  if (!x->begun) return begin(context, x, url, method, version);
  if (*n_bytes == 0) return complete(x);
  size_t n = *n_bytes;
  *n_bytes = 0;
  return receive(x, bytes, n);
}

static void write_access_log(const exchange *x) {
  const request *r = &x->request;
  double ms = (double)(snn_clock_ns() - r->begun_ns) / 1e6;
  log_field fields[] = {LOG_TEXT("id", r->id),
                        LOG_TEXT("method", r->method),
                        LOG_TEXT("path", r->path),
                        LOG_INTEGER("status", r->reply.status),
                        LOG_INTEGER("bytes_in", x->received),
                        LOG_INTEGER("bytes_out", r->reply.n_body),
                        LOG_REAL("latency_ms", ms),
                        LOG_LAST,
                        LOG_LAST,
                        LOG_LAST,
                        LOG_LAST,
                        LOG_LAST,
                        LOG_LAST,
                        LOG_LAST,
                        LOG_LAST,
                        LOG_LAST};
  size_t n = 7;
  if (*r->model) fields[n++] = (log_field)LOG_TEXT("model", r->model);
  if (*r->key_name) fields[n++] = (log_field)LOG_TEXT("key", r->key_name);
  if (r->timesteps) {
    fields[n++] = (log_field)LOG_INTEGER("timesteps", r->timesteps);
    fields[n++] = (log_field)LOG_INTEGER("images", r->n_images);
  }
  if (*r->trace.trace_id) {
    fields[n++] = (log_field)LOG_TEXT("trace_id", r->trace.trace_id);
    fields[n++] = (log_field)LOG_TEXT("parent_id", r->trace.parent_id);
  }
  if (r->problem.kind != PROBLEM_NONE) {
    fields[n++] = (log_field)LOG_TEXT("problem", problem_describe(r->problem.kind)->type);
    fields[n++] = (log_field)LOG_TEXT("detail", r->problem.detail);
  }
  log_event(&x->server->log, LOG_INFO, "request", fields);
}

/* Overload would fill the log with what the metrics say better. */
static void log_request(exchange *x) {
  server *s = x->server;
  uint64_t now = snn_clock_ns();
  problem_kind kind = x->request.problem.kind;
  refusals_tell(&s->refusals, &s->log, now);
  if ((kind == PROBLEM_BUSY || kind == PROBLEM_QUOTA) && !refusals_take(&s->refusals, now)) return;
  write_access_log(x);
}

static void on_completed(void *context, struct MHD_Connection *connection, void **request_context,
                         enum MHD_RequestTerminationCode why) {
  (void)context, (void)connection, (void)why;
  exchange *x = *request_context;
  if (!x) return;
  *request_context = NULL;
  watch_idle(x->watched, x->chunked || !x->header_bytes ? 0 : x->header_bytes + x->received);
  if (!x->begun) { /* libmicrohttpd itself refused it, or the client left */
    free(x);
    return;
  }
  hurry(x, false);
  metrics_request(&x->server->metrics, &x->request);
  log_request(x);
  httpd_multipart_free(x);
  request_clear(&x->request);
  server *s = x->server;
  free(x);
  atomic_fetch_sub(&s->in_flight, 1);
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode what) {
  httpd *h = context;
  if (what == MHD_CONNECTION_NOTIFY_CLOSED) { /* its descriptor is still open */
    watch_close(*socket_context);
    return;
  }
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  *socket_context = info ? watch_open(h->watch, info->connect_fd) : NULL;
}

/* Paths and parameters are decoded by our own code, which refuses what libmicrohttpd lets pass (%00, stray %). */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *text) {
  (void)context, (void)connection;
  return strlen(text);
}

httpd *httpd_start(server *s, face f, int listen_fd) {
  httpd *h = calloc(1, sizeof *h);
  if (!h) {
    close(listen_fd);
    return NULL;
  }
  h->server = s;
  h->face = f;
  h->knows_layout = httpd_knows_layout();
  unsigned threads = snn_thread_budget() < SOCKET_THREADS_MAX ? snn_thread_budget() : SOCKET_THREADS_MAX;
  size_t wanted = s->config.queue + CONNECTIONS_SPARE;
  if (f != FACE_PUBLIC) {
    threads = ADMIN_THREADS;
    wanted = ADMIN_CONNECTIONS;
  }
  size_t allowed = listener_allow_descriptors(wanted + DESCRIPTORS_SPARE) - DESCRIPTORS_SPARE;
  if (wanted > allowed) wanted = allowed;
  h->plain = f != FACE_PUBLIC || !*s->config.tls_cert;
  if (!h->plain && !httpd_tls_read(&h->tls, &s->config, &s->log)) goto refused;
  struct MHD_OptionItem limits[] = {
      {MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL},
      {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)wanted, NULL},
      {MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, NULL},
      {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, NULL},
      /* what it would refuse, the header filter refuses with a better answer */
      {MHD_OPTION_STRICT_FOR_CLIENT, h->knows_layout ? 0 : 1, NULL},
      {MHD_OPTION_THREAD_POOL_SIZE, threads > 1 ? (intptr_t)threads : 0, NULL},
      {h->plain ? MHD_OPTION_END : MHD_OPTION_HTTPS_MEM_CERT, 0, h->tls.certificate},
      {MHD_OPTION_HTTPS_MEM_KEY, 0, h->tls.key},
      {MHD_OPTION_END, 0, NULL},
  };
  unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | (h->plain ? 0 : MHD_USE_TLS);
  h->watch = watch_start(&(watch_options){.scheduler = s->scheduler,
                                          .decoders = s->decoders,
                                          .log = &s->log,
                                          .plain = h->plain,
                                          .header_ms = WATCH_HEADER_MS,
                                          .reply_ms = WATCH_REPLY_MS});
  if (h->watch)
    h->daemon =
        MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_ARRAY, limits, MHD_OPTION_NOTIFY_COMPLETED,
                         on_completed, h, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, h, MHD_OPTION_URI_LOG_CALLBACK,
                         on_request_line, h, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h, MHD_OPTION_END);
  if (h->daemon) return h;
  watch_stop(h->watch);

refused:
  httpd_tls_free(&h->tls);
  close(listen_fd);
  free(h);
  return NULL;
}

void httpd_quiesce(httpd *h) {
  if (!h) return;
  MHD_socket fd = MHD_quiesce_daemon(h->daemon);
  if (fd != MHD_INVALID_SOCKET) close(fd);
}

void httpd_stop(httpd *h) {
  if (!h) return;
  MHD_stop_daemon(h->daemon);
  watch_stop(h->watch);
  httpd_tls_free(&h->tls);
  free(h);
}
