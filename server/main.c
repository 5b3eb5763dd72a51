/* spiked: the program. Settings, then listener, models and HTTP, then signals until it is time to stop.
 *
 * Exit codes: 0 stopped by a signal, 1 could not start, 2 wrong usage. Knows the order of starting and stopping and
 * nothing else. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "healthcheck.h"
#include "httpd.h"
#include "listener.h"
#include "systemd.h"

enum { EXIT_USAGE = 2, POLL_MS = 10, QUIET_POLLS = 3 };

/* No run takes that long: the compute thread hangs, and a watchdog may bite. */
#define RUN_NS_MAX (UINT64_C(600) * 1000000000)

/* libgomp reads OMP_WAIT_POLICY before main: spinning teams would eat the socket threads' cores between requests, so
 * when the user has not chosen, start over once with the variable set. Without /proc things go on, only slower. */
static void ensure_passive_waiting(char **argv) {
  if (getenv("OMP_WAIT_POLICY") || setenv("OMP_WAIT_POLICY", "passive", 0) != 0) return;
  execv("/proc/self/exe", argv);
}

/* Ready turns 503 at once; serve on for the delay; no new connections; let everything in flight finish. A second signal
 * cuts the delay short, and after it cancels what still runs. */
static void drain(server *s, httpd *h, httpd *admin, httpd *scraped, uint64_t delay_s, const events *e) {
  atomic_store(&s->state, SERVER_DRAINING);
  systemd_notify("STOPPING=1");
  atomic_store(&s->repository.stop, true);
  log_event(
      &s->log, LOG_INFO, "draining",
      (log_field[]){LOG_INTEGER("delay_s", delay_s), LOG_INTEGER("in_flight", atomic_load(&s->in_flight)), LOG_LAST});
  uint64_t end = snn_clock_ns() + delay_s * UINT64_C(1000000000), now;
  while ((now = snn_clock_ns()) < end && events_wait(e, (long)((end - now) / 1000000) + 1) != EVENT_STOP) {
  }
  httpd_quiesce(h);
  httpd_quiesce(admin);
  httpd_quiesce(scraped);
  /* Several quiet looks in a row: a request may lie in a socket's buffer, not yet seen by anyone. */
  for (int quiet = 0; quiet < QUIET_POLLS;) {
    if (events_wait(e, POLL_MS) == EVENT_STOP) scheduler_abort(s->scheduler);
    quiet = atomic_load(&s->in_flight) == 0 ? quiet + 1 : 0;
  }
}

/* Wait for the models. True: there is at least one; false: there is none, or a signal came first (*stopped). */
static bool await_models(server *s, const events *e, bool *stopped) {
  event got;
  server_begin_loading(s, e);
  while ((got = events_wait(e, -1)) != EVENT_WAKE && got != EVENT_STOP) {
  }
  *stopped = got == EVENT_STOP;
  if (got == EVENT_STOP) return false;
  size_t n_models = atomic_load(&s->n_models_loaded);
  if (n_models == 0) {
    log_event(&s->log, LOG_ERROR, "start-failed",
              (log_field[]){LOG_TEXT("reason", "no model could be loaded"), LOG_LAST});
    return false;
  }
  atomic_store(&s->state, SERVER_READY);
  log_event(
      &s->log, LOG_INFO, "ready",
      (log_field[]){LOG_TEXT("version", SPIKED_VERSION), LOG_INTEGER("models", n_models),
                    LOG_INTEGER("threads", scheduler_threads(s->scheduler)), LOG_TEXT("kernels", snn_kernels_name()),
                    LOG_REAL("start_ms", (double)(snn_clock_ns() - s->started_ns) / 1e6), LOG_LAST});
  systemd_notify("READY=1");
  return true;
}

/* Reload on SIGHUP until it is time to stop. The watchdog is fed while the scheduler gets on. */
static void serve_on(server *s, const events *e) {
  uint64_t watchdog_ms = systemd_watchdog_ms();
  for (event got; (got = events_wait(e, watchdog_ms ? (long)watchdog_ms / 2 : -1)) != EVENT_STOP;) {
    if (got == EVENT_RELOAD) server_reload(s);
    if (watchdog_ms && scheduler_busy_ns(s->scheduler) < RUN_NS_MAX) systemd_notify("WATCHDOG=1");
  }
}

/* The socket systemd has for us, else one of our own. */
static int open_listener(const char *name, const listen_address *at, char text[LISTENER_NAME_MAX], char *error,
                         size_t n_error) {
  int fd = systemd_socket(name);
  if (fd >= 0 && listener_name(fd, text)) return fd;
  return listener_open(at->host, at->port, text, error, n_error);
}

/* A listener beside the public one; `said` tells the log that it is there. False, logged, when its address cannot be
 * had. */
static bool start_beside(server *s, face f, const listen_address *at, const char *said, httpd **out) {
  char name[LISTENER_NAME_MAX], error[512];
  int fd = open_listener(f == FACE_ADMIN ? "admin" : "metrics", at, name, error, sizeof error);
  if (fd >= 0 && (*out = httpd_start(s, f, fd)) != NULL) {
    log_event(&s->log, LOG_INFO, said, (log_field[]){LOG_TEXT("address", name), LOG_LAST});
    return true;
  }
  log_event(&s->log, LOG_ERROR, "start-failed",
            (log_field[]){LOG_TEXT("reason", fd < 0 ? error : "HTTP did not start"), LOG_TEXT("address", at->host),
                          LOG_LAST});
  return false;
}

static int serve(const config *c) {
  server s;
  httpd *h = NULL, *admin = NULL, *scraped = NULL;
  events e;
  char name[LISTENER_NAME_MAX], error[512];
  bool stopped = true;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN); /* a file over the process's limit is an error of write(2), not our end */
  /* Signals are blocked before the first thread starts, so that they reach only this one. */
  if (!events_open(&e)) {
    fprintf(stderr, "spiked: cannot wait for signals: %s\n", strerror(errno));
    return 1;
  }
  int fd = open_listener("public", &c->listen, name, error, sizeof error);
  if (fd < 0) {
    fprintf(stderr, "spiked: cannot listen on %s\n", error);
    events_close(&e);
    return 1;
  }
  if (!server_init(&s, c)) {
    close(fd);
    events_close(&e);
    return 1;
  }
  /* First, so that a taken port is found while nobody is being served yet. */
  bool ok = !admin_gate_open(&s.admin) || start_beside(&s, FACE_ADMIN, &c->admin_listen, "admin-listening", &admin);
  if (ok && *c->metrics_listen.host)
    ok = start_beside(&s, FACE_METRICS, &c->metrics_listen, "metrics-listening", &scraped);
  if (!ok) {
    close(fd);
    stopped = false;
    goto cleanup;
  }
  h = httpd_start(&s, FACE_PUBLIC, fd);
  if (!h) {
    log_event(&s.log, LOG_ERROR, "start-failed", (log_field[]){LOG_TEXT("reason", "HTTP did not start"), LOG_LAST});
    stopped = false;
    goto cleanup;
  }
  log_event(&s.log, LOG_INFO, "listening", (log_field[]){LOG_TEXT("address", name), LOG_LAST});
  if (await_models(&s, &e, &stopped)) {
    serve_on(&s, &e);
    stopped = true;
  }
  drain(&s, h, admin, scraped, stopped ? c->drain_delay : 0, &e);
  if (stopped) log_event(&s.log, LOG_INFO, "stopped", NULL);

cleanup:
  httpd_stop(scraped);
  httpd_stop(admin);
  httpd_stop(h);
  server_destroy(&s);
  events_close(&e);
  return stopped ? 0 : 1;
}

int main(int argc, char **argv) {
  config c;
  char error[512];
  switch (config_load(argc, argv, &c, error, sizeof error)) {
    case CONFIG_INVALID: fprintf(stderr, "spiked: %s\n", error); return EXIT_USAGE;
    case CONFIG_HELP: config_print_help(stdout); return 0;
    case CONFIG_VERSION: printf("spiked %s\n", SPIKED_VERSION); return 0;
    case CONFIG_CHECK: config_print(&c, stdout); return 0;
    case CONFIG_HEALTH: return healthcheck(&c);
    case CONFIG_RUN: break;
  }
  ensure_passive_waiting(argv);
  prctl(PR_SET_NAME, "spiked");
  return serve(&c);
}
