/* Open Inference Protocol v2, the REST side: metadata, readiness, infer, configuration, statistics. Keeps the invariant
 * that a request is never refused for its Content-Type, and that what a body says is looked at by the workers only. */
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "json_oip_out.h"

/* The model of the path, of the one version there is, a new reference; NULL with r->problem set. */
static model_entry *find_version(server *s, request *r) {
  if (*r->item && strcmp(r->item, OIP_VERSION) != 0) {
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "version: there is only version " OIP_VERSION ", got '%.32s'", r->item);
    return NULL;
  }
  return api_find_model(s, r);
}

static void tell(server *s, request *r, char *(*describe)(const model_entry *entry)) {
  model_entry *entry = find_version(s, r);
  if (!entry) return;
  reply_json(r, 200, describe(entry));
  registry_release(entry);
}

void api_oip_server(server *s, request *r) {
  (void)s;
  reply_json(r, 200, json_oip_server());
}

void api_oip_model(server *s, request *r) {
  tell(s, r, json_oip_model);
}

void api_oip_config(server *s, request *r) {
  tell(s, r, json_oip_config);
}

void api_oip_model_ready(server *s, request *r) {
  server_state state = atomic_load(&s->state);
  model_entry *entry = find_version(s, r);
  if (!entry) return;
  if (state == SERVER_READY)
    reply_json(r, 200, json_oip_ready(entry->name));
  else
    problem_set(&r->problem, PROBLEM_NOT_READY, "the server is %s", server_state_name(state));
  registry_release(entry);
}

void api_oip_statistics(server *s, request *r) {
  model_entry *entry = find_version(s, r);
  if (!entry) return;
  reply_json(r, 200, json_oip_statistics(&entry, 1));
  registry_release(entry);
}

void api_oip_all_statistics(server *s, request *r) {
  model_entry *entries[MODELS_MAX];
  size_t n = registry_all(&s->registry, entries);
  reply_json(r, 200, json_oip_statistics(entries, n));
  for (size_t i = 0; i < n; i++) registry_release(entries[i]);
}

static bool read_framing(server *s, request *r, oip_request *o) {
  const char *header = r->inference_header_length;
  uint64_t n = 0;
  o->n_json = OIP_WHOLE_JSON;
  o->max_bytes = (size_t)s->config.max_body;
  if (!compression_parse(r->content_encoding, &o->content))
    return problem_set(&r->problem, PROBLEM_MEDIA_TYPE, "Content-Encoding: expected gzip, deflate or identity");
  if (!header) return true;
  if (!config_parse_unsigned(header, s->config.max_body, &n))
    return problem_set(&r->problem, PROBLEM_BAD_REQUEST,
                       "Inference-Header-Content-Length: expected the bytes of JSON, at most %llu",
                       (unsigned long long)s->config.max_body);
  o->n_json = (size_t)n;
  return true;
}

static bool check_query(request *r) {
  for (size_t i = 0; i < r->n_parameters; i++)
    if (oip_option_has_no_place(r->parameters[i].name))
      problem_set(&r->problem, PROBLEM_INVALID_OPTION,
                  "%s: has no place in this protocol; POST /v1/models/{model}/classify has it", r->parameters[i].name);
  return r->problem.kind == PROBLEM_NONE;
}

void api_oip_infer_begin(server *s, request *r) {
  model_entry *entry = api_admit_to(s, r, find_version(s, r));
  if (!entry) return;
  r->inference = inference_create(entry, &s->limits, &s->ledger);
  oip_request *o = calloc(1, sizeof *o);
  if (!r->inference || !o) {
    if (!r->inference) registry_release(entry);
    free(o);
    problem_set(&r->problem, PROBLEM_BUSY, "out of memory; try again");
    return;
  }
  r->inference->kind = BODY_OIP;
  r->inference->oip = o;
  options_init(&r->inference->options, &entry->memo, entry->network, &s->limits);
  if (read_framing(s, r, o) && check_query(r)) api_take_query_options(s, r);
}

void api_shrink_reply(request *r) {
  enum { WORTH_BYTES = 256 };
  compression how = compression_accepted(r->accept_encoding);
  uint8_t *packed;
  size_t n;
  reply_add_header(r, "Vary", "Accept-Encoding");
  if (how == COMPRESSION_NONE || r->reply.n_body < WORTH_BYTES) return;
  if (!compress_shrink(how, (const uint8_t *)r->reply.body, r->reply.n_body, &packed, &n)) return;
  free(r->reply.body);
  r->reply.body = (char *)packed;
  r->reply.n_body = n;
  reply_add_header(r, "Content-Encoding", "%s", compression_name(how));
}

void api_oip_infer_answer(server *s, request *r) {
  const inference *inf = r->inference;
  char *body = NULL;
  size_t n_body = 0, n_json = 0;
  (void)s;
  if (inf->problem.kind != PROBLEM_NONE) {
    r->problem = inf->problem;
    return;
  }
  if (!json_oip_answer(inf, &body, &n_body, &n_json)) {
    problem_set(&r->problem, PROBLEM_BUSY, "out of memory; try again");
    return;
  }
  r->reply.status = 200;
  r->reply.content_type = n_json ? "application/octet-stream" : "application/json";
  r->reply.body = body;
  r->reply.n_body = n_body;
  if (n_json) reply_add_header(r, "Inference-Header-Content-Length", "%zu", n_json);
  latency ms = json_out_latency(inf, snn_clock_ns());
  api_add_timing(r, &ms);
  api_shrink_reply(r);
}
