/* GET /metrics, on the admin listener and on the one of --metrics-listen. */
#include "api.h"
#include "metrics_text.h"

void api_metrics(server *s, request *r) {
  size_t n = 0;
  char *text = metrics_text(s, &n);
  if (!text) {
    problem_set(&r->problem, PROBLEM_BUSY, "out of memory; try again");
    return;
  }
  r->reply.status = 200;
  r->reply.content_type = METRICS_CONTENT_TYPE;
  r->reply.body = text;
  r->reply.n_body = n;
  api_shrink_reply(r);
}
