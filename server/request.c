/* Identity, memory and reply of one request. Keeps the invariant that every request leaves with a status. */
#include "request.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "json_out.h"

enum { ID_BYTES = 16, RANDOM_IDS = 32 };

static bool id_acceptable(const char *id) {
  size_t n = strnlen(id, REQUEST_ID_MAX + 1);
  if (n == 0 || n > REQUEST_ID_MAX) return false;
  for (; *id; id++)
    if (*id <= 0x20 || *id > 0x7e) return false;
  return true;
}

void request_identify(request *r, const char *offered) {
  static _Thread_local uint8_t random[RANDOM_IDS * ID_BYTES]; /* a system call for many */
  static _Thread_local size_t n_left;
  if (offered && id_acceptable(offered)) {
    strcpy(r->id, offered);
    return;
  }
  if (!n_left && getrandom(random, sizeof random, GRND_NONBLOCK) == sizeof random) n_left = RANDOM_IDS;
  uint8_t id[ID_BYTES];
  if (n_left) {
    memcpy(id, random + --n_left * ID_BYTES, sizeof id);
  } else {
    const uint64_t instead[2] = {r->begun_ns, (uint64_t)(uintptr_t)r};
    memcpy(id, instead, sizeof id);
  }
  for (size_t i = 0; i < ID_BYTES; i++) {
    r->id[2 * i] = "0123456789abcdef"[id[i] >> 4];
    r->id[2 * i + 1] = "0123456789abcdef"[id[i] & 15];
  }
  r->id[2 * ID_BYTES] = 0;
}

bool media_type_is(const char *header, const char *type) {
  size_t n = strlen(type);
  header += strspn(header, " \t");
  if (strncasecmp(header, type, n) != 0) return false;
  header += n;
  header += strspn(header, " \t");
  return !*header || *header == ';';
}

typedef struct text_body {
  size_t n, max;
  char bytes[]; /* [max + 1] */
} text_body;

static bool gather(void *context, const void *bytes, size_t n, problem *p) {
  text_body *t = context;
  if (n > t->max - t->n) return problem_set(p, PROBLEM_TOO_LARGE, "body: at most %zu bytes", t->max);
  memcpy(t->bytes + t->n, bytes, n);
  t->n += n;
  t->bytes[t->n] = 0;
  return true;
}

bool request_gather(request *r, size_t max_bytes) {
  text_body *t = calloc(1, sizeof *t + max_bytes + 1);
  if (!t) return problem_set(&r->problem, PROBLEM_BUSY, "out of memory; try again");
  t->max = max_bytes;
  r->sink = (body_sink){.context = t, .max_bytes = max_bytes, .write = gather, .drop = free};
  return true;
}

const char *request_text(const request *r, size_t *n) {
  const text_body *t = r->sink.context;
  *n = t->n;
  return t->bytes;
}

void request_drop_inference(request *r) {
  if (r->inference) {
    r->timesteps = r->inference->options.run.timesteps;
    r->n_images = r->inference->n_images;
  }
  inference_destroy(r->inference);
  r->inference = NULL;
}

bool request_wants_page(const request *r) {
  return r->accept && strstr(r->accept, "text/html");
}

void request_clear(request *r) {
  for (size_t i = 0; i < r->n_parameters; i++) {
    free(r->parameters[i].name);
    free(r->parameters[i].value);
  }
  r->n_parameters = 0;
  inference_destroy(r->inference);
  r->inference = NULL;
  if (r->sink.context) r->sink.drop(r->sink.context);
  r->sink = (body_sink){0};
  free(r->reply.body);
  r->reply.body = NULL;
}

void reply_json(request *r, unsigned status, char *body) {
  r->reply.status = body ? status : 500;
  r->reply.content_type = "application/json";
  r->reply.body = body;
  r->reply.n_body = body ? strlen(body) : 0;
}

void reply_problem(request *r) {
  const problem_info *info = problem_describe(r->problem.kind);
  reply_json(r, info->http_status, json_out_problem(&r->problem, r->id));
  /* Clients of the Open Inference Protocol know one type. */
  bool protocol = strncmp(r->path, "/v2", 3) == 0 && (r->path[3] == '/' || !r->path[3]);
  r->reply.content_type = protocol ? "application/json" : "application/problem+json";
  if (info->retry) reply_add_header(r, "Retry-After", "1");
}

void reply_add_header(request *r, const char *name, const char *format, ...) {
  if (r->reply.n_headers == REPLY_HEADERS_MAX) return;
  reply_header *h = &r->reply.headers[r->reply.n_headers++];
  h->name = name;
  va_list args;
  va_start(args, format);
  vsnprintf(h->value, sizeof h->value, format, args);
  va_end(args);
}
