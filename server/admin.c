/* The admin listener's gate. Keeps the invariants that no handler of the admin listener sees a request before it passed
 * here, and that comparing a token takes the same time wherever it differs. Does not know the routes. */
#include "admin.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "request.h"

/* The first line of the file into token[ADMIN_TOKEN_MAX + 2]; its length, or 0 with a reason. */
static size_t read_token(const char *path, char *token, const char **reason, mode_t *mode) {
  struct stat st;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  ssize_t got = fd >= 0 && fstat(fd, &st) == 0 ? read(fd, token, ADMIN_TOKEN_MAX + 1) : -1;
  *reason = got < 0 ? strerror(errno) : NULL;
  if (fd >= 0) close(fd);
  if (got < 0) return 0;
  *mode = st.st_mode;
  token[got] = 0;
  size_t n = strcspn(token, "\r\n");
  for (size_t i = 0; i < n; i++)
    if (token[i] <= 0x20 || token[i] > 0x7e) *reason = "the token has characters that no header can carry";
  if (n < ADMIN_TOKEN_MIN) *reason = "the token is shorter than 16 characters";
  if (n > ADMIN_TOKEN_MAX) *reason = "the token is longer than 1024 characters";
  return *reason ? 0 : n;
}

static bool load(admin_gate *g) {
  char token[ADMIN_TOKEN_MAX + 2];
  const char *path = g->config->admin_token_file, *reason = NULL;
  mode_t mode = 0;
  size_t n = read_token(path, token, &reason, &mode);
  if (n == 0) {
    log_event(g->log, LOG_ERROR, "admin-token-refused",
              (log_field[]){LOG_TEXT("file", path), LOG_TEXT("reason", reason), LOG_LAST});
    return false;
  }
  if (mode & (S_IRGRP | S_IROTH | S_IWGRP | S_IWOTH))
    log_event(g->log, LOG_WARNING, "admin-token-exposed",
              (log_field[]){LOG_TEXT("file", path), LOG_TEXT("reason", "others than its owner may read or write it"),
                            LOG_LAST});
  char hex[DIGEST_HEX];
  digest_of(token, n, hex);
  explicit_bzero(token, sizeof token);
  pthread_mutex_lock(&g->lock);
  memcpy(g->digest, hex, sizeof hex);
  g->has_token = true;
  pthread_mutex_unlock(&g->lock);
  return true;
}

void admin_gate_init(admin_gate *g, const config *c, logger *log_to) {
  *g = (admin_gate){.config = c, .log = log_to};
  pthread_mutex_init(&g->lock, NULL);
  if (*c->admin_token_file && load(g)) return;
  log_event(
      log_to, *c->admin_token_file ? LOG_ERROR : LOG_INFO, "admin-off",
      (log_field[]){LOG_TEXT("reason", *c->admin_token_file ? "the token cannot be used" : "no --admin-token-file"),
                    LOG_LAST});
}

void admin_gate_destroy(admin_gate *g) {
  pthread_mutex_destroy(&g->lock);
}

bool admin_gate_open(admin_gate *g) {
  pthread_mutex_lock(&g->lock);
  bool open = g->has_token;
  pthread_mutex_unlock(&g->lock);
  return open;
}

void admin_gate_reload(admin_gate *g) {
  if (!admin_gate_open(g)) return; /* what did not listen does not begin to */
  if (load(g)) log_event(g->log, LOG_INFO, "admin-token-reloaded", NULL);
}

/* ---- Host and Origin -------------------------------------------------------------------------------------------- */

typedef struct authority {
  const char *host, *port; /* port may be empty */
  size_t n_host, n_port;
} authority;

/* "host", "host:port", "[v6]", "[v6]:port", n characters of text. */
static authority split(const char *text, size_t n) {
  authority a = {.host = text, .n_host = n, .port = text + n};
  for (size_t i = n; i-- > 0 && text[i] != ']';)
    if (text[i] == ':') {
      a = (authority){text, text + i + 1, i, n - i - 1};
      break;
    }
  return a;
}

static bool same_text(const char *a, size_t n_a, const char *b, size_t n_b) {
  return n_a == n_b && strncasecmp(a, b, n_a) == 0;
}

/* A missing port means 80, what browsers leave out. */
static bool same_port(authority a, authority b) {
  return same_text(a.n_port ? a.port : "80", a.n_port ? a.n_port : 2, b.n_port ? b.port : "80",
                   b.n_port ? b.n_port : 2);
}

static bool is_loopback(authority a) {
  return (a.n_host > 4 && strncmp(a.host, "127.", 4) == 0) || same_text(a.host, a.n_host, "[::1]", 5);
}

bool admin_host_is_own(const char *host, const char *own, const char *hosts) {
  static const char mapped[] = "[::ffff:";
  authority asked = split(host, strlen(host)), mine = split(own, strlen(own));
  if (asked.n_host == 0) return false;
  if (mine.n_host > sizeof mapped && strncasecmp(mine.host, mapped, sizeof mapped - 1) == 0) {
    mine.host += sizeof mapped - 1; /* IPv4 through an IPv6 socket */
    mine.n_host -= sizeof mapped;
  }
  if (mine.n_host && same_port(asked, mine) &&
      (same_text(asked.host, asked.n_host, mine.host, mine.n_host) ||
       (is_loopback(mine) && same_text(asked.host, asked.n_host, "localhost", 9))))
    return true;
  while (*hosts) {
    size_t n = strcspn(hosts, ",");
    authority listed = split(hosts, n);
    if (listed.n_host && same_text(asked.host, asked.n_host, listed.host, listed.n_host) &&
        (listed.n_port == 0 || same_port(asked, listed)))
      return true;
    hosts += n + (hosts[n] == ',');
  }
  return false;
}

static bool origin_is_own(const char *origin, const char *own, const char *hosts) {
  static const char *const schemes[] = {"http://", "https://"};
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
    if (strncasecmp(origin, schemes[i], strlen(schemes[i])) == 0)
      return admin_host_is_own(origin + strlen(schemes[i]), own, hosts);
  return false;
}

static bool token_matches(admin_gate *g, const char *authorization) {
  static const char scheme[] = "Bearer";
  char hex[DIGEST_HEX], wanted[DIGEST_HEX];
  if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0) return false;
  const char *token = authorization + sizeof scheme - 1;
  if (*token != ' ') return false;
  token += strspn(token, " ");
  digest_of(token, strlen(token), hex);
  pthread_mutex_lock(&g->lock);
  memcpy(wanted, g->digest, sizeof wanted);
  bool has_token = g->has_token;
  pthread_mutex_unlock(&g->lock);
  return has_token & memeql_sec(hex, wanted, sizeof wanted);
}

/* The operations page and its files hold no secret; what they show they ask for with the token. */
static bool is_page(const request *r) {
  bool reads = strcmp(r->method, "GET") == 0 || strcmp(r->method, "HEAD") == 0;
  return reads && (strncmp(r->path, "/console/", 9) == 0 || (strcmp(r->path, "/") == 0 && request_wants_page(r)));
}

bool admin_admit(admin_gate *g, request *r, const char *own) {
  const char *hosts = g->config->admin_host;
  if (!r->host || !admin_host_is_own(r->host, own, hosts))
    return problem_set(&r->problem, PROBLEM_FORBIDDEN,
                       "Host: '%.64s' is not this listener; --admin-host names more than its address",
                       r->host ? r->host : "");
  if (r->origin && !origin_is_own(r->origin, own, hosts))
    return problem_set(&r->problem, PROBLEM_FORBIDDEN, "Origin: '%.64s' is not this listener", r->origin);
  if (token_matches(g, r->authorization) || is_page(r)) return true;
  reply_add_header(r, "WWW-Authenticate", "Bearer realm=\"spiked admin\"");
  return problem_set(&r->problem, PROBLEM_UNAUTHORIZED, "Authorization: expected 'Bearer' and the admin token%s",
                     r->authorization ? ", this is another" : "");
}
