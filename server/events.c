/* Signals and wake-ups as descriptors. Keeps the invariant that none is lost between two waits. Does not decide what a
 * signal means. */
#include "events.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

bool events_open(events *e) {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, NULL);
  e->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  e->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (e->signal_fd >= 0 && e->wake_fd >= 0) return true;
  events_close(e);
  return false;
}

void events_close(events *e) {
  if (e->signal_fd >= 0) close(e->signal_fd);
  if (e->wake_fd >= 0) close(e->wake_fd);
  *e = (events){-1, -1};
}

event events_wait(const events *e, long ms) {
  struct pollfd fds[] = {{.fd = e->signal_fd, .events = POLLIN}, {.fd = e->wake_fd, .events = POLLIN}};
  struct signalfd_siginfo info;
  uint64_t count;
  if (poll(fds, 2, ms < 0 ? -1 : (int)ms) <= 0) return EVENT_NONE;
  if (read(e->signal_fd, &info, sizeof info) == sizeof info)
    return info.ssi_signo == SIGHUP ? EVENT_RELOAD : EVENT_STOP;
  return read(e->wake_fd, &count, sizeof count) == sizeof count ? EVENT_WAKE : EVENT_NONE;
}

void events_wake(const events *e) {
  uint64_t one = 1;
  (void)!write(e->wake_fd, &one, sizeof one);
}
