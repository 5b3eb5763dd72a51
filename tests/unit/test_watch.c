/* The watcher on socket pairs: who is evicted when, and whose request is given up. */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/watch.h"

typedef struct bench {
  logger log;
  scheduler *scheduler;
  decode_pool *decoders;
  watch *watch;
  int pair[2]; /* the daemon's end, the client's */
} bench;

static void begin(bench *b) {
  log_init(&b->log, STDERR_FILENO, false);
  b->scheduler = scheduler_start(1);
  b->decoders = decode_start(1, b->scheduler);
  b->watch = watch_start(&(watch_options){.scheduler = b->scheduler,
                                          .decoders = b->decoders,
                                          .log = &b->log,
                                          .plain = true,
                                          .header_ms = 100,
                                          .reply_ms = 100});
  assert_non_null(b->watch);
  assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, b->pair), 0);
}

static void end(bench *b) {
  close(b->pair[0]);
  close(b->pair[1]);
  watch_stop(b->watch);
  decode_stop(b->decoders);
  scheduler_stop(b->scheduler);
  log_destroy(&b->log);
}

static void set_patience(int fd, long ms) {
  struct timeval limit = {ms / 1000, ms % 1000 * 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

static void slow_readers_are_shut_out(void **state) {
  (void)state;
  bench b;
  char byte;
  begin(&b);
  watched *c = watch_open(b.watch, b.pair[0]);
  watch_header_complete(c);
  watch_replying(c, 0);
  set_patience(b.pair[1], 20000);
  assert_int_equal(read(b.pair[1], &byte, 1), 0);
  watch_close(c);
  end(&b);
}

static void nobody_else_is(void **state) {
  (void)state;
  bench b;
  char byte;
  begin(&b);
  watched *c = watch_open(b.watch, b.pair[0]);
  set_patience(b.pair[1], 700);
  assert_int_equal(read(b.pair[1], &byte, 1), -1); /* idle */
  watch_header_complete(c);
  watch_replying(c, 64 * 1024 * 60); /* a minute more */
  assert_int_equal(read(b.pair[1], &byte, 1), -1);
  watch_idle(c, 0);
  assert_int_equal(read(b.pair[1], &byte, 1), -1);
  watch_close(c);
  end(&b);
}

static void connect_tcp(bench *b) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t n = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
  assert_int_equal(listen(listener, 1), 0);
  assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &n), 0);
  close(b->pair[0]);
  close(b->pair[1]);
  b->pair[1] = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(connect(b->pair[1], (struct sockaddr *)&at, sizeof at), 0);
  b->pair[0] = accept(listener, NULL, NULL);
  assert_true(b->pair[0] >= 0);
  close(listener);
}

/* A request of ten bytes; then nothing; then the first byte of the next, and nothing more. Whether the watcher is told
 * the ten bytes or asks the kernel, and even for one among many. */
static void a_next_header_that_does_not_end_is_shut_out(void **state) {
  (void)state;
  enum { OTHERS = 100 };
  for (int told = 0; told < 2; told++) {
    bench b;
    char bytes[512];
    int others[OTHERS][2];
    watched *watched_others[OTHERS];
    begin(&b);
    connect_tcp(&b);
    watched *c = watch_open(b.watch, b.pair[0]);
    for (int i = 0; i < OTHERS; i++) {
      assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, others[i]), 0);
      watched_others[i] = watch_open(b.watch, others[i][0]);
    }
    assert_int_equal(write(b.pair[1], "0123456789", 10), 10);
    assert_int_equal(read(b.pair[0], bytes, sizeof bytes), 10);
    watch_header_complete(c);
    watch_replying(c, 0);
    watch_idle(c, told ? 10 : 0);
    set_patience(b.pair[1], 700);
    assert_int_equal(read(b.pair[1], bytes, sizeof bytes), -1);
    assert_int_equal(write(b.pair[1], "G", 1), 1);
    set_patience(b.pair[1], 20000);
    assert_true(read(b.pair[1], bytes, sizeof bytes) > 20);
    assert_memory_equal(bytes, "HTTP/1.1 408 ", 13);
    watch_close(c);
    for (int i = 0; i < OTHERS; i++) {
      watch_close(watched_others[i]);
      close(others[i][0]);
      close(others[i][1]);
    }
    end(&b);
  }
}

static bool is_raised(atomic_bool *flag) {
  for (int i = 0; i < 2000 && !atomic_load(flag); i++) nanosleep(&(struct timespec){0, 10000000}, NULL);
  return atomic_load(flag);
}

static void who_leaves_gives_up_the_request(void **state) {
  (void)state;
  for (int early = 0; early < 2; early++) { /* before the workers have it, and after */
    bench b;
    inference inf = {0};
    begin(&b);
    watched *c = watch_open(b.watch, b.pair[0]);
    watch_header_complete(c);
    if (early) shutdown(b.pair[1], SHUT_WR);
    watch_working(c, &inf);
    if (!early) shutdown(b.pair[1], SHUT_WR);
    assert_true(is_raised(&inf.cancel) && is_raised(&inf.gone));
    assert_true(inference_expired(&inf, 0) && inf.problem.kind == PROBLEM_GONE);
    watch_worked(c);
    watch_close(c);
    end(&b);
  }
}

static void what_is_done_is_left_alone(void **state) {
  (void)state;
  bench b;
  inference inf = {0};
  begin(&b);
  watched *c = watch_open(b.watch, b.pair[0]);
  watch_header_complete(c);
  watch_working(c, &inf);
  watch_worked(c);
  shutdown(b.pair[1], SHUT_WR);
  nanosleep(&(struct timespec){0, 200000000}, NULL);
  assert_false(atomic_load(&inf.cancel));
  watch_close(c);
  watch_close(NULL);
  end(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(slow_readers_are_shut_out),
      cmocka_unit_test(nobody_else_is),
      cmocka_unit_test(a_next_header_that_does_not_end_is_shut_out),
      cmocka_unit_test(who_leaves_gives_up_the_request),
      cmocka_unit_test(what_is_done_is_left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
