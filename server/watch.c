/* The watcher of watch.h. Keeps the invariants that a descriptor is touched only between watch_open and watch_close,
 * and that an inference is touched only between watch_working and watch_worked. Closes nothing itself: it shuts sockets
 * down, and their own thread finds them at their end. */
#include "watch.h"

/* For tcpi_bytes_received; the C library's netinet/tcp.h does not have it and cannot be included beside it. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 32, EVENTS_MAX = 64, WORKING_TICK_MS = 20, OPEN_TICK_MS = 100, LOOK_MS = 500 };

typedef enum phase { PHASE_IDLE, PHASE_HEADER, PHASE_BODY, PHASE_WORKING, PHASE_REPLY } phase;

struct watched {
  watch *watch;
  watched *next, *previous;
  int fd;
  bool closed, gone; /* its descriptor is not ours any more; its client has left */
  phase phase;
  uint64_t since_ns, deadline_ns;
  uint64_t n_received; /* bytes that had come when it went idle, without any of a next request; its thread's to count */
  inference *inference;
};

struct watch {
  watch_options options;
  pthread_mutex_t lock;
  watched *first, *closed;
  watched *cursor; /* the next one to look at; NULL: none */
  size_t n_open, n_working;
  bool stopping;
  int epoll_fd, wake_fd;
  pthread_t thread;
};

static uint64_t ms(uint64_t n) {
  return n * UINT64_C(1000000);
}

static void wake(const watch *w) {
  uint64_t one = 1;
  (void)!write(w->wake_fd, &one, sizeof one);
}

/* Bytes that ever came in on a connection. */
static uint64_t received(int fd) {
  struct tcp_info info = {0};
  socklen_t n = sizeof info;
  return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 ? info.tcpi_bytes_received : 0;
}

static void set_phase(watched *c, phase p, uint64_t deadline_ns) {
  c->phase = p;
  c->since_ns = snn_clock_ns();
  c->deadline_ns = deadline_ns ? c->since_ns + deadline_ns : 0;
}

/* Best effort: a client this slow may not read it. */
static void say_timeout(int fd) {
  static const char text[] =
      "HTTP/1.1 408 Request Timeout\r\nContent-Type: application/problem+json\r\nConnection: close\r\n"
      "Content-Length: 147\r\n\r\n"
      "{\"type\":\"urn:spiked:problem:slow-header\",\"title\":\"The request came too slowly\",\"status\":408,"
      "\"detail\":\"header: too slow\",\"error\":\"header: too slow\"}";
  (void)!send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void evict(const watch *w, const watched *c, const char *why) {
  if (c->phase == PHASE_HEADER && w->options.plain) say_timeout(c->fd);
  shutdown(c->fd, SHUT_RDWR);
  log_event(w->options.log, LOG_WARNING, "client-evicted", (log_field[]){LOG_TEXT("reason", why), LOG_LAST});
}

/* With the lock held. */
static void look_at(const watch *w, watched *c, uint64_t now) {
  /* An end of input that came with data: libmicrohttpd read the data, saw no new edge, and would keep the connection
   * until a deadline. This changes nothing about a socket at its end, but wakes whoever polls it. */
  if (c->gone && c->phase != PHASE_WORKING) shutdown(c->fd, SHUT_RD);
  if (c->phase == PHASE_IDLE && received(c->fd) != c->n_received) set_phase(c, PHASE_HEADER, ms(w->options.header_ms));
  if (!c->deadline_ns || now < c->deadline_ns) return;
  if (c->phase == PHASE_HEADER) evict(w, c, "slow header");
  if (c->phase == PHASE_REPLY) evict(w, c, "slow reader");
  c->deadline_ns = 0;
}

/* Its request is not wanted any more. With the lock held. */
static void abandon(watched *c) {
  if (!c->inference) return;
  atomic_store(&c->inference->gone, true);
  atomic_store(&c->inference->cancel, true);
}

/* Look at all, a few at a time: whoever has a request waits for the lock meanwhile. With the lock held. */
static void look_at_all(watch *w, uint64_t now) {
  w->cursor = w->first;
  for (size_t n = 1; w->cursor; n++) {
    watched *c = w->cursor;
    w->cursor = c->next;
    look_at(w, c, now);
    if (n % AT_ONCE) continue;
    pthread_mutex_unlock(&w->lock);
    pthread_mutex_lock(&w->lock);
  }
}

/* Bury the closed: no event that was fetched before can name them any more. With the lock held. */
static void free_closed(watch *w) {
  while (w->closed) {
    watched *c = w->closed;
    w->closed = c->next;
    free(c);
  }
}

static int pause_ms(watch *w) {
  pthread_mutex_lock(&w->lock);
  int pause = w->n_working ? WORKING_TICK_MS : w->n_open ? OPEN_TICK_MS : -1;
  pthread_mutex_unlock(&w->lock);
  return pause;
}

static void *work(void *context) {
  watch *w = context;
  struct epoll_event events[EVENTS_MAX];
  uint64_t looked_ns = 0;
  for (bool stopping = false; !stopping;) {
    int n = epoll_wait(w->epoll_fd, events, EVENTS_MAX, pause_ms(w));
    uint64_t now = snn_clock_ns();
    bool look = now - looked_ns >= ms(LOOK_MS);
    pthread_mutex_lock(&w->lock);
    for (int i = 0; i < n; i++) {
      watched *c = events[i].data.ptr;
      if (!c) {
        uint64_t count;
        (void)!read(w->wake_fd, &count, sizeof count);
      } else if (!c->closed) {
        c->gone = true;
        if (c->phase == PHASE_WORKING) abandon(c);
      }
    }
    free_closed(w);
    if (look) {
      looked_ns = now;
      look_at_all(w, now);
    }
    bool working = w->n_working > 0;
    stopping = w->stopping;
    pthread_mutex_unlock(&w->lock);
    if (!working) continue;
    decode_sweep(w->options.decoders);
    scheduler_sweep(w->options.scheduler);
  }
  return NULL;
}

watch *watch_start(const watch_options *o) {
  watch *w = calloc(1, sizeof *w);
  if (!w) return NULL;
  w->options = *o;
  pthread_mutex_init(&w->lock, NULL);
  w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct epoll_event e = {.events = EPOLLIN};
  if (w->epoll_fd >= 0 && w->wake_fd >= 0 && epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, w->wake_fd, &e) == 0 &&
      pthread_create(&w->thread, NULL, work, w) == 0)
    return w;
  if (w->epoll_fd >= 0) close(w->epoll_fd);
  if (w->wake_fd >= 0) close(w->wake_fd);
  free(w);
  return NULL;
}

void watch_stop(watch *w) {
  if (!w) return;
  pthread_mutex_lock(&w->lock);
  w->stopping = true;
  pthread_mutex_unlock(&w->lock);
  wake(w);
  pthread_join(w->thread, NULL);
  free_closed(w);
  close(w->epoll_fd);
  close(w->wake_fd);
  pthread_mutex_destroy(&w->lock);
  free(w);
}

watched *watch_open(watch *w, int fd) {
  watched *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  c->watch = w;
  c->fd = fd;
  set_phase(c, PHASE_IDLE, 0);
  pthread_mutex_lock(&w->lock);
  c->next = w->first;
  if (w->first) w->first->previous = c;
  w->first = c;
  bool first = w->n_open++ == 0;
  pthread_mutex_unlock(&w->lock);
  /* Edge-triggered: told once, when the client closes. */
  struct epoll_event e = {.events = EPOLLRDHUP | EPOLLET, .data.ptr = c};
  epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &e);
  if (first) wake(w);
  return c;
}

void watch_close(watched *c) {
  if (!c) return;
  watch *w = c->watch;
  epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, c->fd, NULL);
  pthread_mutex_lock(&w->lock);
  c->closed = true;
  if (w->cursor == c) w->cursor = c->next;
  if (c->previous)
    c->previous->next = c->next;
  else
    w->first = c->next;
  if (c->next) c->next->previous = c->previous;
  c->next = w->closed;
  w->closed = c;
  w->n_open--;
  if (c->phase == PHASE_WORKING) w->n_working--;
  pthread_mutex_unlock(&w->lock);
}

void watch_header_complete(watched *c) {
  if (!c) return;
  pthread_mutex_lock(&c->watch->lock);
  set_phase(c, PHASE_BODY, 0);
  pthread_mutex_unlock(&c->watch->lock);
}

void watch_working(watched *c, inference *inf) {
  if (!c) return;
  pthread_mutex_lock(&c->watch->lock);
  set_phase(c, PHASE_WORKING, 0);
  c->watch->n_working++;
  c->inference = inf;
  if (c->gone) abandon(c);
  pthread_mutex_unlock(&c->watch->lock);
}

void watch_worked(watched *c) {
  if (!c) return;
  pthread_mutex_lock(&c->watch->lock);
  if (c->phase == PHASE_WORKING) c->watch->n_working--;
  set_phase(c, PHASE_BODY, 0);
  c->inference = NULL;
  pthread_mutex_unlock(&c->watch->lock);
}

void watch_replying(watched *c, size_t n_bytes) {
  if (!c) return;
  pthread_mutex_lock(&c->watch->lock);
  set_phase(c, PHASE_REPLY, ms(c->watch->options.reply_ms + n_bytes * 1000 / WATCH_REPLY_BYTES_PER_SECOND));
  pthread_mutex_unlock(&c->watch->lock);
}

void watch_idle(watched *c, uint64_t n_bytes) {
  if (!c) return;
  bool known = n_bytes && c->watch->options.plain;
  uint64_t n = known ? c->n_received + n_bytes : received(c->fd);
  pthread_mutex_lock(&c->watch->lock);
  set_phase(c, PHASE_IDLE, 0);
  c->n_received = n;
  pthread_mutex_unlock(&c->watch->lock);
}
