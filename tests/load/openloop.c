/* A load generator for HTTP servers: one thread, one request again and again over kept-alive connections.
 *
 * Open loop (--rate): requests have appointments, Poisson or in equal distances, whether or not earlier ones were
 * answered; latencies count from the appointment, so a server that falls behind cannot hide it (no coordinated
 * omission). Closed loop (no --rate): every connection sends its next request when it has its answer. A connection
 * that ends before its answer is whole is a failure; one that ends between two requests is not. --slow N holds N
 * connections that send a header of their own, a byte every two seconds, each at its own moment; with --connections 0
 * there are no others. Prints one JSON object, with the CPU time that the generator itself took. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
  CONNECTIONS_MAX = 4096,
  SLOW_MAX = 4096,
  EVENTS_MAX = 256,
  ANSWER_HEAD_MAX = 4096,
  SLOW_SECONDS = 2,
  SEVERAL = 4
};

/* Seconds. Where several requests are due in this time they begin together: a wake-up for each would cost the
 * machine more than the requests do. Latencies count from the appointments all the same. */
static const double TOGETHER = 0.001;

typedef struct samples {
  double *at;
  size_t n, capacity;
} samples;

typedef struct connection {
  int fd;               /* -1: none */
  bool busy, wants_out; /* it waits for an answer; and for room to send */
  double appointed;     /* of the request it has */
  size_t n_sent;
  char head[ANSWER_HEAD_MAX];
  size_t n_head;
  int status;      /* 0: the head is not whole */
  size_t n_body;   /* bytes of the body still to come */
  bool then_close; /* the server said so */
  double simulate; /* ms, as its Server-Timing says; < 0: it does not */
} connection;

typedef struct slow {
  int fd; /* -1: none */
  size_t n_sent;
} slow;

typedef struct load {
  struct sockaddr_in address;
  char *request;
  size_t n_request;
  double rate, seconds;
  size_t n_wanted; /* requests; 0: as many as the seconds allow */
  bool constant, connect_first;
  int n_connections, n_slow;
  int epoll_fd;
  connection *connections;
  int idle[CONNECTIONS_MAX], n_idle;
  slow slow[SLOW_MAX];
  int slow_turn; /* whose byte is next */
  double begin, next, slow_next;
  size_t n_begun, n_ended, n_failed, n_other, n_slow_lost;
  samples answered, refused, beside; /* beside: answered, less what the server simulated */
  char failure[128];
} load;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what) {
  fprintf(stderr, "openloop: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void add(samples *s, double v) {
  if (s->n == s->capacity) {
    s->capacity = s->capacity ? 2 * s->capacity : 4096;
    s->at = realloc(s->at, s->capacity * sizeof *s->at);
    if (!s->at) die("samples");
  }
  s->at[s->n++] = v;
}

static int open_socket(const load *l) {
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (connect(fd, (const struct sockaddr *)&l->address, sizeof l->address) != 0 && errno != EINPROGRESS) {
    close(fd);
    return -1;
  }
  return fd;
}

static void watch_events(load *l, int i, uint32_t events, int how) {
  struct epoll_event e = {.events = events, .data.u32 = (uint32_t)i};
  epoll_ctl(l->epoll_fd, how, l->connections[i].fd, &e);
  l->connections[i].wants_out = events & EPOLLOUT;
}

static void drop(load *l, int i, const char *failure) {
  connection *c = &l->connections[i];
  if (c->fd >= 0) close(c->fd);
  c->fd = -1;
  if (!c->busy) return; /* it stays in the idle list and connects anew when it is needed */
  c->busy = false;
  l->n_ended++;
  l->n_failed++;
  if (!*l->failure) snprintf(l->failure, sizeof l->failure, "%s after %.3f s", failure, now() - l->begin);
  l->idle[l->n_idle++] = i;
}

static void send_more(load *l, int i) {
  connection *c = &l->connections[i];
  while (c->n_sent < l->n_request) {
    ssize_t n = send(c->fd, l->request + c->n_sent, l->n_request - c->n_sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) {
      if (!c->wants_out) watch_events(l, i, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
      return;
    }
    if (n < 0) return; /* what came back, if anything, tells more */
    c->n_sent += (size_t)n;
  }
  if (c->wants_out) watch_events(l, i, EPOLLIN, EPOLL_CTL_MOD);
}

static void begin_request(load *l, double appointed) {
  int i = l->idle[--l->n_idle];
  connection *c = &l->connections[i];
  bool fresh = c->fd < 0;
  if (fresh) c->fd = open_socket(l);
  c->busy = true;
  c->appointed = appointed;
  c->n_sent = c->n_head = c->n_body = 0;
  c->status = 0;
  c->then_close = false;
  c->simulate = -1;
  l->n_begun++;
  if (c->fd < 0) {
    drop(l, i, "cannot connect");
    return;
  }
  if (fresh)
    watch_events(l, i, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
  else
    send_more(l, i);
}

/* The head is whole: what it says. */
static bool read_head(connection *c, size_t *n_extra) {
  char *end = memmem(c->head, c->n_head, "\r\n\r\n", 4);
  if (!end) return true;
  *end = 0;
  *n_extra = c->n_head - (size_t)(end + 4 - c->head);
  static const char version[] = "HTTP/1.1 ";
  if (strncmp(c->head, version, sizeof version - 1) != 0) return false;
  c->status = atoi(c->head + sizeof version - 1);
  for (char *line = strstr(c->head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
    if (strncasecmp(line + 2, "Content-Length:", 15) == 0) c->n_body = strtoul(line + 17, NULL, 10);
    if (strncasecmp(line + 2, "Connection: close", 17) == 0) c->then_close = true;
    const char *simulate = strncasecmp(line + 2, "Server-Timing:", 14) == 0 ? strstr(line, "simulate;dur=") : NULL;
    if (simulate) c->simulate = strtod(simulate + 13, NULL);
  }
  return c->status >= 100;
}

static void end_request(load *l, int i) {
  connection *c = &l->connections[i];
  double ms = (now() - c->appointed) * 1000;
  if (c->status == 200 && c->simulate >= 0) add(&l->beside, ms - c->simulate);
  if (c->status == 200)
    add(&l->answered, ms);
  else if (c->status == 503 || c->status == 429)
    add(&l->refused, ms);
  else
    l->n_other++;
  if (c->status != 200 && !*l->failure)
    snprintf(l->failure, sizeof l->failure, "status %d after %.3f s", c->status, now() - l->begin);
  c->busy = false;
  l->n_ended++;
  l->idle[l->n_idle++] = i;
  if (!c->then_close) return;
  close(c->fd);
  c->fd = -1;
}

static void receive(load *l, int i) {
  connection *c = &l->connections[i];
  char bytes[65536];
  for (;;) {
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      drop(l, i, n == 0 ? "closed before its answer" : strerror(errno));
      return;
    }
    if (!c->busy) continue; /* nobody asked */
    size_t n_left = (size_t)n;
    if (c->status == 0) {
      if (n_left > sizeof c->head - c->n_head) n_left = sizeof c->head - c->n_head;
      memcpy(c->head + c->n_head, bytes, n_left);
      c->n_head += n_left;
      size_t n_extra = 0;
      if (!read_head(c, &n_extra) || (c->status == 0 && c->n_head == sizeof c->head)) {
        drop(l, i, "no HTTP");
        return;
      }
      if (c->status == 0) continue;
      n_left = n_extra + ((size_t)n - n_left);
    }
    c->n_body -= n_left < c->n_body ? n_left : c->n_body;
    if (c->n_body > 0) continue;
    end_request(l, i);
    return;
  }
}

/* A byte of one of them. They take turns, so that each has its own moment and no burst of ours delays the others. */
static void trickle(load *l, slow *c) {
  static const char header[] = "GET / HTTP/1.1\r\nHost: slow\r\nX-Slow: ";
  char drain[256];
  if (c->fd >= 0 && recv(c->fd, drain, sizeof drain, MSG_DONTWAIT) >= 0) { /* told so, or closed */
    close(c->fd);
    l->n_slow_lost++;
    c->fd = -1;
  }
  if (c->fd < 0) { /* evicted: it comes again, as attackers do */
    c->fd = open_socket(l);
    c->n_sent = 0;
  }
  char byte = c->n_sent < sizeof header - 1 ? header[c->n_sent] : 'x';
  if (c->fd >= 0 && send(c->fd, &byte, 1, MSG_NOSIGNAL | MSG_DONTWAIT) == 1) c->n_sent++;
}

static void trickle_due(load *l, double at) {
  for (; l->n_slow && l->slow_next <= at; l->slow_next += (double)SLOW_SECONDS / l->n_slow) {
    trickle(l, &l->slow[l->slow_turn]);
    l->slow_turn = (l->slow_turn + 1) % l->n_slow;
  }
}

/* Every connection before the first appointment: what a server does with requests is then not mixed with what it does
 * with a thousand new clients at once. */
static void connect_all(load *l) {
  for (int i = 0; i < l->n_connections; i++) {
    connection *c = &l->connections[i];
    if ((c->fd = open_socket(l)) < 0) continue; /* it connects anew when it is needed */
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};
    poll(&p, 1, 1000);
    watch_events(l, i, EPOLLIN, EPOLL_CTL_ADD);
  }
  nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
}

static bool more_to_begin(const load *l, double at) {
  if (!l->n_connections) return at - l->begin < l->seconds;
  return l->n_wanted ? l->n_begun < l->n_wanted : at - l->begin < l->seconds;
}

static void begin_due(load *l) {
  double at = now();
  while (l->n_idle > 0 && more_to_begin(l, l->rate > 0 ? l->next : at) && (l->rate <= 0 || l->next <= at)) {
    begin_request(l, l->rate > 0 ? l->next : at);
    if (l->rate > 0) l->next += l->constant ? 1 / l->rate : -log(1 - drand48()) / l->rate;
  }
}

static void run(load *l) {
  struct epoll_event events[EVENTS_MAX];
  l->begin = l->next = l->slow_next = now();
  for (;;) {
    begin_due(l);
    double at = now();
    bool more = more_to_begin(l, l->rate > 0 ? l->next : at);
    if (!more && l->n_begun == l->n_ended) break;
    trickle_due(l, at);
    double wait = more && l->rate > 0 && l->n_idle > 0 ? l->next - at : 0.05;
    if (l->n_slow && l->slow_next - at < wait) wait = l->slow_next - at;
    if (wait > 0 && wait < TOGETHER && l->rate * TOGETHER >= SEVERAL) wait = TOGETHER;
    if (wait > 0.05) wait = 0.05;
    if (wait < 0) wait = 0;
    struct timespec limit = {0, (long)(wait * 1e9)};
    int n = epoll_pwait2(l->epoll_fd, events, EVENTS_MAX, &limit, NULL);
    for (int k = 0; k < n; k++) {
      int i = (int)events[k].data.u32;
      connection *c = &l->connections[i];
      if (c->fd >= 0 && c->busy && (events[k].events & EPOLLOUT)) send_more(l, i);
      if (c->fd >= 0 && (events[k].events & ~(uint32_t)EPOLLOUT)) receive(l, i);
    }
  }
}

static int by_value(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double percentile(const samples *s, double p) {
  if (!s->n) return 0;
  size_t rank = (size_t)ceil(p / 100 * (double)s->n);
  return s->at[rank ? rank - 1 : 0];
}

static void print_samples(const char *name, samples *s) {
  if (s->n) qsort(s->at, s->n, sizeof *s->at, by_value);
  printf("\"%s\": {\"n\": %zu, \"p50\": %.3f, \"p99\": %.3f, \"p999\": %.3f, \"max\": %.3f}", name, s->n,
         percentile(s, 50), percentile(s, 99), percentile(s, 99.9), percentile(s, 100));
}

static double cpu_seconds(void) {
  struct rusage u;
  if (getrusage(RUSAGE_SELF, &u) != 0) return 0;
  return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void print(load *l, double elapsed, double cpu) {
  printf("{\"offered_per_s\": %.1f, \"seconds\": %.2f, \"requests\": %zu, \"answered_per_s\": %.1f, ", l->rate, elapsed,
         l->n_begun, (double)l->answered.n / elapsed);
  print_samples("answered_ms", &l->answered);
  printf(", ");
  print_samples("beside_simulate_ms", &l->beside);
  printf(", ");
  print_samples("refused_ms", &l->refused);
  printf(
      ", \"other_status\": %zu, \"failed\": %zu, \"slow_evicted\": %zu, \"first_failure\": \"%s\", "
      "\"generator_cpu_s\": %.3f}\n",
      l->n_other, l->n_failed, l->n_slow_lost, l->failure, cpu);
}

static char *read_file(const char *path, size_t *n) {
  FILE *f = fopen(path, "rb");
  char *bytes = malloc(1 << 24);
  if (!f || !bytes) die(path);
  *n = fread(bytes, 1, 1 << 24, f);
  fclose(f);
  return bytes;
}

static void make_request(load *l, const char *path, const char *file, const char *type, const char *host) {
  size_t n_body = 0;
  char *body = file ? read_file(file, &n_body) : NULL;
  l->request = malloc(n_body + 4096);
  if (!l->request) die("request");
  int n = file ? snprintf(l->request, 4096,
                          "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", path, host,
                          type, n_body)
               : snprintf(l->request, 4096, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, host);
  if (n < 0 || n >= 4096) die("request");
  if (body) memcpy(l->request + n, body, n_body);
  l->n_request = (size_t)n + n_body;
  free(body);
}

static void usage(void) {
  fputs(
      "usage: openloop [--rate R [--constant]] [--seconds S | --requests N] [--connections C [--connect-first]]\n"
      "                [--slow N] [--path P] [--body FILE [--type T]] IPv4:PORT\n",
      stderr);
  exit(2);
}

int main(int argc, char **argv) {
  static const struct option options[] = {
      {"rate", 1, NULL, 'r'},    {"constant", 0, NULL, 'k'}, {"connect-first", 0, NULL, 'f'},
      {"seconds", 1, NULL, 's'}, {"requests", 1, NULL, 'n'}, {"connections", 1, NULL, 'c'},
      {"slow", 1, NULL, 'w'},    {"path", 1, NULL, 'p'},     {"body", 1, NULL, 'b'},
      {"type", 1, NULL, 't'},    {NULL, 0, NULL, 0}};
  static load l = {.seconds = 5, .n_connections = 256};
  const char *path = "/livez", *body = NULL, *type = "image/png";
  char host[64];
  unsigned port;
  for (int o; (o = getopt_long(argc, argv, "", options, NULL)) != -1;) switch (o) {
      case 'r': l.rate = atof(optarg); break;
      case 'k': l.constant = true; break;
      case 'f': l.connect_first = true; break;
      case 's': l.seconds = atof(optarg); break;
      case 'n': l.n_wanted = strtoul(optarg, NULL, 10); break;
      case 'c': l.n_connections = atoi(optarg); break;
      case 'w': l.n_slow = atoi(optarg); break;
      case 'p': path = optarg; break;
      case 'b': body = optarg; break;
      case 't': type = optarg; break;
      default: usage();
    }
  if (optind + 1 != argc || sscanf(argv[optind], "%63[0-9.]:%u", host, &port) != 2 || port > 65535 ||
      l.n_connections < (l.n_slow ? 0 : 1) || l.n_connections > CONNECTIONS_MAX || l.n_slow < 0 || l.n_slow > SLOW_MAX)
    usage();
  l.address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, host, &l.address.sin_addr) != 1) usage();
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  make_request(&l, path, body, type, argv[optind]);
  l.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  l.connections = calloc((size_t)l.n_connections + 1, sizeof *l.connections);
  if (l.epoll_fd < 0 || !l.connections) die("start");
  for (int i = 0; i < l.n_connections; i++) {
    l.connections[i].fd = -1;
    l.idle[l.n_idle++] = l.n_connections - 1 - i;
  }
  for (int i = 0; i < l.n_slow; i++) l.slow[i].fd = -1;
  srand48(1);
  if (l.connect_first) connect_all(&l);
  double cpu = cpu_seconds();
  run(&l);
  double elapsed = now() - l.begin;
  print(&l, elapsed, cpu_seconds() - cpu);
  return l.n_failed ? 1 : 0;
}
