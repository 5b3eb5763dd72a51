/* What libmicrohttpd does not watch over: clients that take too long over a header or over reading their answer, and
 * clients that leave while workers have their request.
 *
 * One thread looks at every connection. Deadlines: HEADER_SECONDS from a header's first byte to its last; for reading
 * an answer 10 s and a second more for each 64 KiB. A client that closed its connection (or only its sending half: that
 * cannot be told apart) while its request waits or computes gives up its request: it leaves the queue, or its run is
 * cancelled. One that left with half a request is forgotten within half a second. Requests whose deadline passes in a
 * queue are answered then, too. Knows sockets, not HTTP. */
#ifndef SERVER_WATCH_H
#define SERVER_WATCH_H

#include "decode.h"
#include "log.h"
#include "scheduler.h"

enum { WATCH_HEADER_MS = 5000, WATCH_REPLY_MS = 10000, WATCH_REPLY_BYTES_PER_SECOND = 64 * 1024 };

typedef struct watch watch;
typedef struct watched watched; /* one connection */

typedef struct watch_options {
  scheduler *scheduler; /* borrowed, like the others */
  decode_pool *decoders;
  logger *log;
  bool plain;                   /* no TLS: 408 may be written straight to the socket */
  uint64_t header_ms, reply_ms; /* WATCH_HEADER_MS, WATCH_REPLY_MS; tests are less patient */
} watch_options;

/* Start the thread; NULL when it or a descriptor is refused. */
watch *watch_start(const watch_options *o);

/* End it. Every connection must be closed by now; NULL is allowed. */
void watch_stop(watch *w);

/* A connection was accepted; until watch_close, which must come before its descriptor is closed. NULL when out of
 * memory: it then goes unwatched. A NULL `c` is allowed everywhere below. */
watched *watch_open(watch *w, int fd);
void watch_close(watched *c);

/* The states of a connection, told by its thread in this order, again and again. */
void watch_header_complete(watched *c);
void watch_working(watched *c, inference *inf); /* before workers get inf, which may be NULL */
void watch_worked(watched *c);                  /* inf is the caller's again */
void watch_replying(watched *c, size_t n_bytes);
/* The exchange is over. n_bytes: of its request as it came, header and body, which saves asking the kernel; 0: not
 * known. */
void watch_idle(watched *c, uint64_t n_bytes);

#endif
