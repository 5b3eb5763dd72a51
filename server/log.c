/* Log lines. Keeps the invariant that a line is one event, at most 4096 bytes (the size a pipe takes atomically), and
 * holds no byte a client could use to forge another line, and that no thread waits for a reader. Does not buffer,
 * rotate or filter: that is the job of whatever reads stderr. */
#include "log.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { LINE_BYTES = 4096 };

static const char *const levels[] = {[LOG_INFO] = "info", [LOG_WARNING] = "warning", [LOG_ERROR] = "error"};

/* A cursor over a fixed array: once something does not fit, nothing is written any more. */
typedef struct cursor {
  char *text;
  size_t n, capacity;
  bool full;
} cursor;

static void put(cursor *c, const char *s, size_t n) {
  if (c->full || n > c->capacity - c->n) {
    c->full = true;
    return;
  }
  memcpy(c->text + c->n, s, n);
  c->n += n;
}

static void put_text(cursor *c, const char *s) {
  put(c, s, strlen(s));
}

static void put_escaped(cursor *c, const char *s, bool json) {
  for (; *s; s++) {
    unsigned char b = (unsigned char)*s;
    char escaped[8];
    if (b == '"' || b == '\\') {
      char pair[2] = {'\\', (char)b};
      put(c, pair, 2);
    } else if (b >= 0x20 && b < 0x7f) {
      put(c, s, 1);
    } else {
      snprintf(escaped, sizeof escaped, json ? "\\u00%02x" : "\\x%02x", b);
      put_text(c, escaped);
    }
  }
}

/* Text values are bare where that cannot be misread, quoted otherwise. */
static bool needs_quotes(const char *s) {
  if (!*s) return true;
  for (; *s; s++)
    if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f || *s == '"' || *s == '\\' || *s == '=') return true;
  return false;
}

static void put_value(cursor *c, const log_field *f, bool json) {
  char number[40];
  const char *text = f->text ? f->text : "";
  switch (f->kind) {
    case LOG_IS_INTEGER:
      snprintf(number, sizeof number, "%lld", f->integer);
      put_text(c, number);
      return;
    case LOG_IS_REAL:
      snprintf(number, sizeof number, "%.3f", f->real);
      put_text(c, number);
      return;
    case LOG_IS_TEXT:
      if (json || needs_quotes(text)) {
        put_text(c, "\"");
        put_escaped(c, text, json);
        put_text(c, "\"");
      } else {
        put_text(c, text);
      }
      return;
  }
}

size_t log_format(char *line, size_t n_line, bool json, const char *time, log_level level, const char *event,
                  const log_field *fields) {
  cursor c = {.text = line, .capacity = n_line - 2}; /* room for the closing brace and the newline */
  if (json) {
    char head[160];
    snprintf(head, sizeof head, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", time, levels[level], event);
    put_text(&c, head);
  } else {
    put_text(&c, time);
    put_text(&c, " ");
    put_text(&c, levels[level]);
    put_text(&c, " ");
    put_text(&c, event);
  }
  for (; fields && fields->key; fields++) {
    size_t before = c.n;
    put_text(&c, json ? ",\"" : " ");
    put_text(&c, fields->key);
    put_text(&c, json ? "\":" : "=");
    put_value(&c, fields, json);
    if (c.full) {
      c.n = before;
      break;
    }
  }
  if (json) line[c.n++] = '}';
  line[c.n++] = '\n';
  return c.n;
}

void log_init(logger *out, int fd, bool json) {
  struct stat about;
  *out = (logger){.fd = fd, .json = json};
  atomic_init(&out->dropped, 0);
  atomic_init(&out->way, fstat(fd, &about) == 0 && S_ISREG(about.st_mode) ? LOG_FILE : LOG_NOWAIT);
  pthread_mutex_init(&out->lock, NULL);
}

void log_destroy(logger *out) {
  pthread_mutex_destroy(&out->lock);
}

static size_t format_now(const logger *out, char line[LINE_BYTES], log_level level, const char *event,
                         const log_field *fields) {
  static _Thread_local char stamp[40]; /* good for a second */
  static _Thread_local size_t n;
  static _Thread_local time_t stamped;
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (!n || now.tv_sec != stamped) {
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    n = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    stamped = now.tv_sec;
  }
  snprintf(stamp + n, sizeof stamp - n, ".%03dZ", (int)(now.tv_nsec / 1000000));
  return log_format(line, LINE_BYTES, out->json, stamp, level, event, fields);
}

static bool is_writable(const logger *out) {
  struct pollfd p = {.fd = out->fd, .events = POLLOUT};
  return poll(&p, 1, 0) == 1 && (p.revents & POLLOUT);
}

/* With the lock held. Not every kernel knows pipes that say EAGAIN for one write, and no terminal does: one that polls
 * writable takes LINE_BYTES without blocking, and nobody else fills it in between. */
static bool try_write(logger *out, char *line, size_t n) {
  if (atomic_load_explicit(&out->way, memory_order_relaxed) == LOG_NOWAIT) {
    struct iovec part = {.iov_base = line, .iov_len = n};
    ssize_t written = pwritev2(out->fd, &part, 1, -1, RWF_NOWAIT);
    if (written >= 0 || errno == EAGAIN) return written == (ssize_t)n;
    atomic_store_explicit(&out->way, LOG_ASK, memory_order_relaxed);
  }
  return (out->way == LOG_FILE || is_writable(out)) && write(out->fd, line, n) == (ssize_t)n;
}

void log_event(logger *out, log_level level, const char *event, const log_field *fields) {
  char line[LINE_BYTES], notice[LINE_BYTES];
  unsigned long dropped = atomic_load(&out->dropped);
  if (dropped && !is_writable(out)) { /* nor is the line printed that nobody will read */
    atomic_fetch_add(&out->dropped, 1);
    return;
  }
  size_t n = format_now(out, line, level, event, fields);
  pthread_mutex_lock(&out->lock);
  dropped = atomic_load(&out->dropped);
  if (dropped) {
    size_t n_notice = format_now(out, notice, LOG_WARNING, "log-lines-dropped",
                                 (log_field[]){LOG_INTEGER("lines", dropped), LOG_LAST});
    if (try_write(out, notice, n_notice)) {
      atomic_fetch_sub(&out->dropped, dropped);
      dropped = 0;
    }
  }
  if (dropped || !try_write(out, line, n)) atomic_fetch_add(&out->dropped, 1);
  pthread_mutex_unlock(&out->lock);
}
