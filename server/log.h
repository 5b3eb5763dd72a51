/* The daemon's log: one line an event on stderr, as text or as JSON, each written by one write(2).
 * When nobody reads it, lines are dropped and counted: the service never waits for its log.
 *
 *   log_event(logger, LOG_INFO, "listening", (log_field[]){LOG_TEXT("address", text), LOG_LAST});
 *
 * Values may hold bytes from clients: everything but printable ASCII is escaped. Any thread may log. */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

typedef enum log_level { LOG_INFO, LOG_WARNING, LOG_ERROR } log_level;

typedef struct logger {
  int fd;
  bool json;
  /* How a line is written without waiting for a reader: the kernel says EAGAIN; it is asked first; nobody reads. */
  _Atomic enum { LOG_NOWAIT, LOG_ASK, LOG_FILE } way;
  pthread_mutex_t lock; /* of writing */
  atomic_ulong dropped; /* lines since the last one that was written */
} logger;

void log_init(logger *out, int fd, bool json);
void log_destroy(logger *out);

typedef struct log_field {
  const char *key; /* NULL: the last one */
  enum { LOG_IS_TEXT, LOG_IS_INTEGER, LOG_IS_REAL } kind;
  const char *text; /* NULL prints as "" */
  long long integer;
  double real;
} log_field;

#define LOG_TEXT(name, value) \
  { .key = (name), .kind = LOG_IS_TEXT, .text = (value) }
#define LOG_INTEGER(name, value) \
  { .key = (name), .kind = LOG_IS_INTEGER, .integer = (long long)(value) }
#define LOG_REAL(name, value) \
  { .key = (name), .kind = LOG_IS_REAL, .real = (value) }
#define LOG_LAST \
  { .key = NULL }

/* A line that would be longer than 4096 bytes is cut at a field's end, so that lines of several threads never mix. */
void log_event(logger *out, log_level level, const char *event, const log_field *fields);

/* The line log_event would write, without its time stamp's value fixed: for tests. Returns its length. */
size_t log_format(char *line, size_t n_line, bool json, const char *time, log_level level, const char *event,
                  const log_field *fields);

#endif
