/* multipart/form-data, streamed: parts `image` into the body, the part `options` beside it; or
 * every part into the request's sink. Keeps the invariant that a body whose closing boundary never came is refused.
 * Looks at no part headers. */
#include <stdlib.h>
#include <string.h>

#include "httpd_internal.h"

enum {
  PARSER_BYTES = 16 * 1024,
  LOOK_AHEAD = 80, /* bytes behind a part's header: a line's end, two dashes and the longest boundary */
  HELD_MAX = 1024
};

/* The first bytes of a part decide where it goes. */
static bool begin_part(exchange *x, const char *name) {
  request *r = &x->request;
  x->part_is_image = name && strcmp(name, "image") == 0;
  x->part_is_options = name && strcmp(name, "options") == 0;
  if (x->part_is_image) return inference_begin_image(r->inference);
  if (!x->part_is_options)
    return problem_set(&r->problem, PROBLEM_BAD_REQUEST, "%.64s: unknown part; there are: image, options",
                       name ? name : "(a part without a name)");
  if (x->has_options_part) return problem_set(&r->problem, PROBLEM_INVALID_OPTION, "options: part given twice");
  x->has_options_part = true;
  return true;
}

static enum MHD_Result on_part(void *context, enum MHD_ValueKind kind, const char *name, const char *file_name,
                               const char *content_type, const char *transfer_encoding, const char *bytes,
                               uint64_t offset, size_t n) {
  exchange *x = context;
  (void)kind, (void)content_type, (void)transfer_encoding;
  inference *inf = x->request.inference;
  const body_sink *sink = &x->request.sink;
  if (sink->context) {
    problem *p = &x->request.problem;
    bool taken = (offset > 0 || sink->begin_part(sink->context, name, file_name, p)) &&
                 (n == 0 || sink->write(sink->context, bytes, n, p));
    return taken ? MHD_YES : MHD_NO;
  }
  bool ok = (offset > 0 || begin_part(x, name)) &&
            (x->part_is_options ? inference_append_options(inf, bytes, n) : inference_append(inf, bytes, n));
  return ok ? MHD_YES : MHD_NO;
}

/* What was noticed first counts: a parser that was stopped half way is no malformed body. */
static void malformed(exchange *x) {
  if (!x->request.inference || x->request.inference->problem.kind == PROBLEM_NONE)
    problem_set(&x->request.problem, PROBLEM_BAD_REQUEST,
                "body: malformed multipart/form-data (boundary missing, or the closing one)");
}

void httpd_multipart_begin(exchange *x) {
  x->multipart = MHD_create_post_processor(x->connection, PARSER_BYTES, on_part, x);
  if (!x->multipart) malformed(x);
}

static void feed(exchange *x, const char *bytes, size_t n) {
  if (x->multipart && n && MHD_post_process(x->multipart, bytes, n) != MHD_YES) malformed(x);
}

/* How many of these bytes may go to the parser before the next ones are here. It announces a part when it has read the
 * part's header; when too few bytes stand behind that to tell whether they are content, it announces nothing at offset
 * 0, and then, with the next bytes, the same part at offset 0 once more, which looks like a part that is empty and
 * another one. So no piece may end within an empty line, or shortly behind one. */
static size_t whole_piece(const char *bytes, size_t n) {
  size_t end = n;
  while (n - end < HELD_MAX) {
    size_t at = end;
    while (at && n - at < HELD_MAX && (bytes[at - 1] == '\r' || bytes[at - 1] == '\n')) at--;
    size_t from = end > LOOK_AHEAD + 3 ? end - LOOK_AHEAD - 3 : 0;
    for (size_t i = from; i + 4 <= end && i < at; i++)
      if (memcmp(bytes + i, "\r\n\r\n", 4) == 0) at = i;
    if (at == end) return end;
    end = at;
  }
  return n; /* nothing but empty lines: no header of ours looks so */
}

void httpd_multipart_feed(exchange *x, const char *bytes, size_t n) {
  char *joined = NULL;
  if (!x->multipart) return;
  if (x->n_held) {
    joined = malloc(x->n_held + n);
    if (!joined) {
      problem_set(&x->request.problem, PROBLEM_BUSY, "out of memory; try again");
      return;
    }
    memcpy(joined, x->held, x->n_held);
    memcpy(joined + x->n_held, bytes, n);
    bytes = joined;
    n += x->n_held;
    x->n_held = 0;
  }
  size_t now = whole_piece(bytes, n);
  feed(x, bytes, now);
  if (now < n) {
    if (!x->held && !(x->held = malloc(HELD_MAX))) {
      problem_set(&x->request.problem, PROBLEM_BUSY, "out of memory; try again");
    } else {
      memcpy(x->held, bytes + now, n - now);
      x->n_held = n - now;
    }
  }
  free(joined);
}

void httpd_multipart_end(exchange *x) {
  feed(x, x->held, x->n_held);
  x->n_held = 0;
  struct MHD_PostProcessor *parser = x->multipart;
  x->multipart = NULL;
  if (parser && MHD_destroy_post_processor(parser) != MHD_YES) malformed(x);
}

void httpd_multipart_free(exchange *x) {
  if (x->multipart) MHD_destroy_post_processor(x->multipart);
  x->multipart = NULL;
  free(x->held);
  x->held = NULL;
}
