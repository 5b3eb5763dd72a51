/* Requests over libcurl: one at a time, or many at once over kept-alive connections. Keeps the invariant that every
 * transfer ends in exactly one reply with an exit status. Knows no endpoints but the list of models. */
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "spikectl.h"

enum { BODY_MAX = 256 << 20, CONNECT_SECONDS = 10 };

typedef struct transfer {
  CURL *easy;
  struct curl_slist *headers;
  curl_mime *mime;
  reply reply;
  size_t n_body;
  void *token;
  bool in_use;
} transfer;

struct transfers {
  CURLM *multi;
  transfer *slots;
  unsigned n_slots;
  size_t running;
  transfer_done done;
  void *context;
};

static char api_key[1100]; /* of the public listener; "": none */

void http_use_key(const char *key) {
  snprintf(api_key, sizeof api_key, "%s", key ? key : "");
}

static size_t receive(char *bytes, size_t size, size_t n, void *context) {
  transfer *t = context;
  (void)size;
  if (n > BODY_MAX - t->n_body) return 0;
  char *grown = realloc(t->reply.body, t->n_body + n + 1);
  if (!grown) return 0;
  t->reply.body = grown;
  memcpy(grown + t->n_body, bytes, n);
  t->n_body += n;
  grown[t->n_body] = 0;
  return n;
}

/* Keep the ETag. */
static size_t receive_header(char *bytes, size_t size, size_t n, void *context) {
  static const char name[] = "etag:";
  transfer *t = context;
  (void)size;
  if (n > sizeof name - 1 && strncasecmp(bytes, name, sizeof name - 1) == 0) {
    size_t from = sizeof name - 1, to = n;
    while (from < to && bytes[from] == ' ') from++;
    while (to > from && (bytes[to - 1] == '\r' || bytes[to - 1] == '\n')) to--;
    snprintf(t->reply.etag, sizeof t->reply.etag, "%.*s", (int)(to - from), bytes + from);
  }
  return n;
}

static void add_header(transfer *t, const char *name, const char *value) {
  char line[1300];
  if (!value) return;
  snprintf(line, sizeof line, "%s: %s", name, value);
  struct curl_slist *longer = curl_slist_append(t->headers, line);
  if (longer) t->headers = longer;
}

struct upload {
  reply *reply;
  double started;
};

static int on_upload(void *context, curl_off_t total_down, curl_off_t down, curl_off_t total, curl_off_t sent) {
  const struct upload *up = context;
  (void)total_down;
  (void)down;
  if (total > 0) show_progress("upload KiB", (size_t)(sent >> 10), (size_t)(total >> 10), now() - up->started);
  up->reply->uploaded = (double)sent;
  up->reply->to_upload = (double)total;
  return 0;
}

static bool add_parts(transfer *t, const upload_part *parts, size_t n) {
  t->mime = curl_mime_init(t->easy);
  for (size_t i = 0; t->mime && i < n; i++) {
    curl_mimepart *part = curl_mime_addpart(t->mime);
    const upload_part *p = &parts[i];
    CURLcode failed = part ? curl_mime_name(part, p->name) : CURLE_OUT_OF_MEMORY;
    if (!failed && p->path) failed = curl_mime_filedata(part, p->path);
    if (!failed && p->text) failed = curl_mime_data(part, p->text, CURL_ZERO_TERMINATED);
    if (!failed && p->file_name) failed = curl_mime_filename(part, p->file_name);
    if (failed) return false;
  }
  return t->mime && curl_easy_setopt(t->easy, CURLOPT_MIMEPOST, t->mime) == CURLE_OK;
}

/* `token`: the admin's; NULL: the API key, where there is one. */
static bool start(transfer *t, const char *url, const char *token, const char *content_type, const void *body,
                  size_t n_body) {
  char bearer[1200];
  t->reply = (reply){.with_token = token != NULL};
  t->n_body = 0;
  if (!t->easy && !(t->easy = curl_easy_init())) return false;
  curl_easy_reset(t->easy);
  curl_slist_free_all(t->headers);
  t->headers = curl_slist_append(NULL, "Expect:"); /* no round trip before a small body */
  add_header(t, "Content-Type", content_type);
  if (!token && *api_key) token = api_key;
  snprintf(bearer, sizeof bearer, "Bearer %s", token ? token : "");
  if (token) add_header(t, "Authorization", bearer);
  curl_easy_setopt(t->easy, CURLOPT_URL, url);
  curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
  curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "spikectl/" SPIKED_VERSION);
  curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
  curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, receive);
  curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
  curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, receive_header);
  curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
  curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
  if (body) {
    curl_easy_setopt(t->easy, CURLOPT_POST, 1L);
    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, body);
    curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n_body);
  }
  return true;
}

/* Turn what came into an exit status and words. */
static void finish(transfer *t, CURLcode code) {
  reply *r = &t->reply;
  curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &r->http_status);
  curl_easy_getinfo(t->easy, CURLINFO_TOTAL_TIME, &r->seconds);
  if (code != CURLE_OK) {
    bool ours = code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL;
    r->exit_status = ours ? EXIT_USAGE : EXIT_UNREACHABLE;
    snprintf(r->problem, sizeof r->problem, "%s", curl_easy_strerror(code));
    return;
  }
  r->json = r->body ? json_loads(r->body, JSON_REJECT_DUPLICATES, NULL) : NULL;
  if (r->http_status >= 200 && r->http_status < 300) {
    if (r->json) return;
    r->exit_status = EXIT_SERVER;
    snprintf(r->problem, sizeof r->problem, "the answer is not JSON: is this a spiked daemon?");
    return;
  }
  r->exit_status = r->http_status >= 500 ? EXIT_SERVER : EXIT_REFUSED;
  const char *detail = json_string_value(json_object_get(r->json, "detail"));
  if (!detail) detail = json_string_value(json_object_get(r->json, "error"));
  if (detail)
    snprintf(r->problem, sizeof r->problem, "%s", detail);
  else
    snprintf(r->problem, sizeof r->problem, "HTTP status %ld", r->http_status);
}

void reply_clear(reply *r) {
  free(r->body);
  json_decref(r->json);
  *r = (reply){0};
}

static void release(transfer *t) {
  curl_mime_free(t->mime);
  curl_easy_cleanup(t->easy);
  curl_slist_free_all(t->headers);
}

void http_send(const http_call *call, reply *out) {
  transfer t = {0};
  struct upload up = {.reply = &t.reply, .started = now()};
  bool ok = start(&t, call->url, call->token, call->content_type, call->body, call->n_body);
  if (ok && call->n_parts) {
    ok = add_parts(&t, call->parts, call->n_parts);
    curl_easy_setopt(t.easy, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(t.easy, CURLOPT_XFERINFOFUNCTION, on_upload);
    curl_easy_setopt(t.easy, CURLOPT_XFERINFODATA, &up);
  }
  if (ok) {
    add_header(&t, "If-Match", call->if_match);
    curl_easy_setopt(t.easy, CURLOPT_HTTPHEADER, t.headers);
    if (call->method) curl_easy_setopt(t.easy, CURLOPT_CUSTOMREQUEST, call->method);
    finish(&t, curl_easy_perform(t.easy));
    clear_progress();
  } else {
    t.reply.exit_status = EXIT_LOCAL;
    snprintf(t.reply.problem, sizeof t.reply.problem, "out of memory");
  }
  *out = t.reply;
  release(&t);
}

void http_request(const char *url, const char *content_type, const void *body, size_t n_body, reply *out) {
  http_send(&(http_call){.url = url, .content_type = content_type, .body = body, .n_body = n_body}, out);
}

transfers *transfers_create(unsigned concurrency, transfer_done done, void *context) {
  transfers *t = calloc(1, sizeof *t);
  if (!t) return NULL;
  *t = (transfers){.multi = curl_multi_init(), .n_slots = concurrency, .done = done, .context = context};
  t->slots = calloc(concurrency, sizeof *t->slots);
  if (!t->multi || !t->slots) {
    transfers_free(t);
    return NULL;
  }
  curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)concurrency);
  return t;
}

void transfers_free(transfers *t) {
  if (!t) return;
  for (unsigned i = 0; t->slots && i < t->n_slots; i++) {
    if (t->slots[i].in_use) curl_multi_remove_handle(t->multi, t->slots[i].easy);
    reply_clear(&t->slots[i].reply);
    release(&t->slots[i]);
  }
  if (t->multi) curl_multi_cleanup(t->multi);
  free(t->slots);
  free(t);
}

bool transfers_full(const transfers *t) {
  return t->running == t->n_slots;
}

size_t transfers_running(const transfers *t) {
  return t->running;
}

bool transfers_post(transfers *t, const char *url, const char *content_type, const void *body, size_t n_body,
                    void *token) {
  for (unsigned i = 0; i < t->n_slots; i++) {
    transfer *slot = &t->slots[i];
    if (slot->in_use) continue;
    if (!start(slot, url, NULL, content_type, body, n_body) || curl_multi_add_handle(t->multi, slot->easy) != CURLM_OK)
      return false;
    slot->token = token;
    slot->in_use = true;
    t->running++;
    return true;
  }
  return false;
}

void transfers_poll(transfers *t, int timeout_ms) {
  int running = 0, left = 0;
  curl_multi_perform(t->multi, &running);
  for (CURLMsg *m; (m = curl_multi_info_read(t->multi, &left));) {
    if (m->msg != CURLMSG_DONE) continue;
    transfer *slot = NULL;
    CURLcode code = m->data.result;
    curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&slot);
    curl_multi_remove_handle(t->multi, slot->easy);
    finish(slot, code);
    slot->in_use = false;
    t->running--;
    t->done(t->context, slot->token, &slot->reply);
    reply_clear(&slot->reply);
    timeout_ms = 0;
  }
  if (timeout_ms > 0) curl_multi_poll(t->multi, NULL, 0, timeout_ms, NULL);
}

char *find_model(const settings *s, int *exit_status) {
  if (s->model) return strdup(s->model);
  char url[4096];
  reply r;
  snprintf(url, sizeof url, "%s/v1/models", s->url);
  http_request(url, NULL, NULL, 0, &r);
  char *found = NULL;
  const json_t *models = json_object_get(r.json, "models");
  if (r.exit_status != EXIT_OK) {
    *exit_status = report_problem(s->url, &r);
  } else if (json_array_size(models) == 1) {
    found = strdup(text_of(json_array_get(models, 0), "name"));
  } else {
    *exit_status = EXIT_USAGE;
    fprintf(stderr, "spikectl: --model: the server has %zu models, name one of:", json_array_size(models));
    for (size_t i = 0; i < json_array_size(models); i++)
      fprintf(stderr, " %s", text_of(json_array_get(models, i), "name"));
    fputc('\n', stderr);
  }
  reply_clear(&r);
  return found;
}
