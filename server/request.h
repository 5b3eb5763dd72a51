/* One HTTP request and its reply, free of any HTTP library's types: what httpd fills in and handlers work with. */
#ifndef SERVER_REQUEST_H
#define SERVER_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "inference.h"
#include "problem.h"
#include "trace_context.h"

enum { REQUEST_ID_MAX = 128, ITEM_MAX = 128, PARAMETERS_MAX = 32, PATH_MAX_BYTES = 1024, REPLY_HEADERS_MAX = 12 };

struct route;
struct server;

/* The listener a request came in through; each has routes of its own. */
typedef enum face { FACE_PUBLIC, FACE_ADMIN, FACE_METRICS, FACE_COUNT } face;

typedef struct reply_header {
  const char *name; /* static */
  char value[224];
} reply_header;

typedef struct reply {
  unsigned status;          /* 0: there is no reply yet */
  const char *content_type; /* static */
  char *body;               /* owned; NULL: empty, or what `constant` points to */
  const void *constant;     /* a body that lives as long as the program */
  size_t n_body;
  reply_header headers[REPLY_HEADERS_MAX];
  size_t n_headers;
  char allow[96]; /* methods of the path, for the answer to OPTIONS */
  bool close;     /* the connection cannot be used any more */
} reply;

/* Where the body of a request goes that is no inference: set by the route's `begin`, fed as bytes come. What fails sets
 * *p and ends the feeding. */
typedef struct body_sink {
  void *context;      /* NULL: there is no sink */
  uint64_t max_bytes; /* of the whole body */
  bool is_multipart;  /* the body is one; its parts come through begin_part */
  bool (*begin_part)(void *context, const char *name, const char *file_name, problem *p); /* either may be NULL */
  bool (*write)(void *context, const void *bytes, size_t n, problem *p);
  void (*drop)(void *context); /* the request is over, or given up */
} body_sink;

/* A query parameter, decoded; owned. */
typedef struct parameter {
  char *name, *value;
} parameter;

typedef struct request {
  face face;
  char id[REQUEST_ID_MAX + 1];
  trace_context trace;
  char method[16];
  char path[PATH_MAX_BYTES];      /* decoded, without the query */
  char model[MODEL_NAME_MAX + 1]; /* {model} of the path; "" when the route has none or it is not a valid name */
  char item[ITEM_MAX + 1]; /* what stands at the path's other place in braces; "" when there is none or too long */
  parameter parameters[PARAMETERS_MAX];
  size_t n_parameters;
  /* Header fields, borrowed from the connection; NULL when absent. */
  const char *content_type, *content_encoding, *if_none_match, *accept, *if_match, *idempotency_key, *authorization,
      *host, *origin, *api_key, *accept_encoding, *inference_header_length, *traceparent;
  const struct route *route; /* NULL: none was found */
  uint64_t begun_ns;         /* when its header was complete */
  inference *inference;      /* owned, except while workers have it; NULL for most routes, and once the reply is made */
  struct model_metrics *refused_by; /* the model's whose queue had no room; NULL: it was not refused so */
  body_sink sink;
  uint32_t timesteps; /* what it asked for, for the log; 0: nothing was simulated */
  size_t n_images;
  bool counted;      /* in the metrics */
  char key_name[33]; /* whose API key it came with; "": none was asked for */
  bool preflight;    /* OPTIONS may be answered */
  problem problem;
  reply reply;
  void (*work)(struct server *s, struct request *r); /* on the chores' thread, with api_in_background */
  void (*resume)(struct request *r);                 /* set by httpd: the connection's thread takes over */
  void *connection;                                  /* httpd's */
} request;

/* Give the request an id: `offered` when it is 1 to 128 visible ASCII characters, else a random one. */
void request_identify(request *r, const char *offered);

/* Is a Content-Type of this media type, whatever its parameters? Compared without case. */
bool media_type_is(const char *header, const char *type);

/* Gather the body, at most max_bytes of it, as text for the route's `answer`: request_text then gives it, terminated.
 * False with r->problem set. */
bool request_gather(request *r, size_t max_bytes);
const char *request_text(const request *r, size_t *n);

/* The reply is made: what the inference held can go to others, before the client has read a byte. */
void request_drop_inference(request *r);

/* Does the client accept HTML? A browser does, a script does not. */
bool request_wants_page(const request *r);

/* Free what it owns, not the struct. */
void request_clear(request *r);

/* Set the reply; takes body, which must be malloc'ed text. A NULL body (out of memory) becomes a bare 500. */
void reply_json(request *r, unsigned status, char *body);

/* Turn r->problem into the reply, with Retry-After where that makes sense. */
void reply_problem(request *r);

void reply_add_header(request *r, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
