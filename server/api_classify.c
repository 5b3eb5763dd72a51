/* POST /v1/models/{model}/classify: the header chooses the form of the body, the workers do the rest, the answer is
 * printed on the socket thread that sends it. Keeps the invariant that a request takes a place in the queue only once
 * its body is whole. */
#include <string.h>
#include <strings.h>

#include "api.h"
#include "json_out.h"

static bool choose_body(request *r) {
  inference *inf = r->inference;
  if (r->content_encoding && strcasecmp(r->content_encoding, "identity") != 0)
    return problem_set(&r->problem, PROBLEM_MEDIA_TYPE, "Content-Encoding: only identity is understood");
  /* What `curl --data-binary` and plain uploaders send says nothing: the bytes themselves tell whether it is a PNG. */
  if (!r->content_type || media_type_is(r->content_type, "application/x-www-form-urlencoded") ||
      media_type_is(r->content_type, "application/octet-stream"))
    inf->kind = BODY_UNTYPED;
  else if (media_type_is(r->content_type, "image/png"))
    inf->kind = BODY_PNG;
  else if (media_type_is(r->content_type, "application/json"))
    inf->kind = BODY_JSON;
  else if (media_type_is(r->content_type, "multipart/form-data"))
    inf->kind = BODY_MULTIPART;
  else
    return problem_set(&r->problem, PROBLEM_MEDIA_TYPE,
                       "Content-Type: expected image/png, multipart/form-data or application/json, got %.64s",
                       r->content_type);
  /* One picture without a frame around it: whatever is appended belongs to it. */
  if (inf->kind == BODY_PNG || inf->kind == BODY_UNTYPED) inference_begin_image(inf);
  return true;
}

void api_take_query_options(server *s, request *r) {
  for (size_t i = 0; i < r->n_parameters; i++) {
    option_value value = {.kind = OPTION_TEXT, .text = r->parameters[i].value};
    if (!options_set(&r->inference->options, &s->limits, r->parameters[i].name, &value, &r->problem)) return;
  }
}

static bool refuse_full(server *s, request *r) {
  return problem_set(&r->problem, PROBLEM_BUSY, "the queue is full (%zu requests); try again", s->ledger.max_count);
}

model_entry *api_admit_to(server *s, request *r, model_entry *entry) {
  if (!entry || !ledger_is_full(&s->ledger)) return entry;
  r->refused_by = entry->metrics;
  registry_release(entry);
  refuse_full(s, r);
  return NULL;
}

void api_classify_begin(server *s, request *r) {
  model_entry *entry = api_admit_to(s, r, api_find_model(s, r));
  if (!entry) return;
  r->inference = inference_create(entry, &s->limits, &s->ledger);
  if (!r->inference) {
    registry_release(entry);
    problem_set(&r->problem, PROBLEM_BUSY, "out of memory; try again");
    return;
  }
  options_init(&r->inference->options, &entry->memo, entry->network, &s->limits);
  if (choose_body(r)) api_take_query_options(s, r);
}

bool api_submit(server *s, request *r) {
  inference *inf = r->inference;
  if (!ledger_enter(&s->ledger)) return refuse_full(s, r);
  inf->has_place = true;
  inf->at.received = snn_clock_ns();
  decode_submit(s->decoders, inf);
  return true;
}

bool api_classify_start(server *s, request *r) {
  static const char signature[8] = "\x89PNG\r\n\x1a\n";
  inference *inf = r->inference;
  if (inf->kind == BODY_UNTYPED) {
    if (inf->n_body < sizeof signature || memcmp(inf->body, signature, sizeof signature) != 0)
      return problem_set(&r->problem, PROBLEM_MEDIA_TYPE,
                         "Content-Type: it does not say what the body is, and the body is not a PNG");
    inf->kind = BODY_PNG;
  }
  return api_submit(s, r);
}

void api_add_timing(request *r, const latency *ms) {
  reply_add_header(r, "Server-Timing", "queue;dur=%.3f, decode;dur=%.3f, simulate;dur=%.3f, total;dur=%.3f", ms->queue,
                   ms->decode, ms->simulate, ms->total);
}

void api_classify_answer(server *s, request *r) {
  (void)s;
  const inference *inf = r->inference;
  if (inf->problem.kind != PROBLEM_NONE) {
    r->problem = inf->problem;
    return;
  }
  latency ms = json_out_latency(inf, snn_clock_ns());
  reply_json(r, 200, json_out_answer(inf, &ms));
  api_add_timing(r, &ms);
}
