/* The table of keys. Keeps the invariants that every key is compared with all of them in constant time, and that a file
 * is taken whole or not at all. Keeps no key itself. */
#include "api_keys.h"

#include <errno.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config.h"
#include "request.h"

enum { LINE_BYTES = 512, BURST_SECONDS = 10, PER_MINUTE_MAX = 1000000000 };

static double burst(const api_key *k) {
  double n = (double)k->per_minute * BURST_SECONDS / 60;
  return n < 1 ? 1 : n;
}

/* "NAME KEY [N]". The reason it is no such line, NULL: it is one. */
static const char *read_line(char *line, api_key *out) {
  char *rest = NULL;
  const char *name = strtok_r(line, " \t\r\n", &rest), *key = strtok_r(NULL, " \t\r\n", &rest);
  const char *quota = strtok_r(NULL, " \t\r\n", &rest);
  *out = (api_key){0};
  if (!name || !key || strtok_r(NULL, " \t\r\n", &rest)) return "expected NAME KEY [REQUESTS-A-MINUTE]";
  if (strlen(name) > API_KEY_NAME_MAX) return "the name is too long";
  if (strlen(key) < API_KEY_MIN || strlen(key) > API_KEY_MAX) return "a key has 16 to 256 characters";
  if (quota && (!config_parse_unsigned(quota, PER_MINUTE_MAX, &out->per_minute) || !out->per_minute))
    return "the quota is a number of requests a minute, at least 1";
  strcpy(out->name, name);
  digest_of(key, strlen(key), out->hex);
  out->tokens = burst(out);
  return NULL;
}

static bool refuse(const api_keys *k, unsigned line, const char *why) {
  log_event(k->log, LOG_ERROR, "api-keys-refused",
            (log_field[]){LOG_TEXT("file", k->path), LOG_INTEGER("line", line), LOG_TEXT("reason", why), LOG_LAST});
  return false;
}

static bool load(const api_keys *k, api_key **out, size_t *n) {
  char line[LINE_BYTES];
  FILE *f = fopen(k->path, "re");
  api_key *keys = calloc(API_KEYS_MAX, sizeof *keys);
  size_t count = 0;
  const char *why = !f ? strerror(errno) : !keys ? "out of memory" : NULL;
  unsigned at = 0;
  while (!why && fgets(line, sizeof line, f)) {
    at++;
    size_t blank = strspn(line, " \t\r\n");
    if (!strchr(line, '\n') && !feof(f))
      why = "a line is too long";
    else if (line[blank] && line[blank] != '#')
      why = count == API_KEYS_MAX ? "too many keys" : read_line(line, &keys[count++]);
  }
  if (!why && ferror(f)) why = "cannot be read";
  if (!why && count == 0) why = "there is no key in it";
  explicit_bzero(line, sizeof line);
  if (f) fclose(f);
  if (why) {
    free(keys);
    return refuse(k, at, why);
  }
  *out = keys;
  *n = count;
  return true;
}

bool api_keys_init(api_keys *k, const char *path, logger *log_to) {
  *k = (api_keys){.path = path, .log = log_to};
  pthread_mutex_init(&k->lock, NULL);
  return !*path || load(k, &k->keys, &k->n);
}

void api_keys_destroy(api_keys *k) {
  free(k->keys);
  pthread_mutex_destroy(&k->lock);
}

/* Compares all of them, whichever it is. With the lock held. */
static api_key *find(api_keys *k, const char hex[DIGEST_HEX]) {
  api_key *found = NULL;
  for (size_t i = 0; i < k->n; i++)
    if (memeql_sec(k->keys[i].hex, hex, DIGEST_HEX)) found = &k->keys[i];
  return found;
}

void api_keys_reload(api_keys *k) {
  api_key *keys = NULL;
  size_t n = 0;
  if (!*k->path || !load(k, &keys, &n)) return;
  pthread_mutex_lock(&k->lock);
  for (size_t i = 0; i < n; i++) {
    const api_key *old = find(k, keys[i].hex);
    if (!old) continue;
    keys[i].tokens = old->tokens < burst(&keys[i]) ? old->tokens : burst(&keys[i]);
    keys[i].since_ns = old->since_ns;
  }
  free(k->keys);
  k->keys = keys;
  k->n = n;
  pthread_mutex_unlock(&k->lock);
  log_event(k->log, LOG_INFO, "api-keys-reloaded", (log_field[]){LOG_INTEGER("keys", n), LOG_LAST});
}

/* Take one request from the quota; 0, or in how many seconds there is one. With the lock held. */
static unsigned take(api_key *key, uint64_t now_ns) {
  if (!key->per_minute) return 0;
  double per_second = (double)key->per_minute / 60;
  if (key->since_ns && now_ns > key->since_ns) key->tokens += (double)(now_ns - key->since_ns) / 1e9 * per_second;
  if (key->tokens > burst(key)) key->tokens = burst(key);
  key->since_ns = now_ns;
  if (key->tokens < 1) return (unsigned)((1 - key->tokens) / per_second) + 1;
  key->tokens -= 1;
  return 0;
}

static const char *offered(const request *r) {
  if (r->api_key) return r->api_key;
  if (!r->authorization || strncasecmp(r->authorization, "Bearer ", 7) != 0) return NULL;
  return r->authorization + 7 + strspn(r->authorization + 7, " ");
}

bool api_keys_admit(api_keys *k, request *r, uint64_t now_ns) {
  char hex[DIGEST_HEX];
  const char *text = offered(r);
  if (!*k->path) return true;
  digest_of(text ? text : "", text ? strlen(text) : 0, hex);
  pthread_mutex_lock(&k->lock);
  api_key *key = find(k, hex);
  unsigned wait_s = key ? take(key, now_ns) : 0;
  if (key) snprintf(r->key_name, sizeof r->key_name, "%s", key->name);
  uint64_t per_minute = key ? key->per_minute : 0;
  pthread_mutex_unlock(&k->lock);
  if (!key) {
    reply_add_header(r, "WWW-Authenticate", "Bearer realm=\"spiked\"");
    return problem_set(&r->problem, PROBLEM_UNAUTHORIZED,
                       "X-API-Key or Authorization: expected a key of this server's%s",
                       text ? ", this is another" : "");
  }
  if (!wait_s) return true;
  reply_add_header(r, "Retry-After", "%u", wait_s);
  return problem_set(&r->problem, PROBLEM_QUOTA, "quota: %llu requests a minute are used up",
                     (unsigned long long)per_minute);
}
