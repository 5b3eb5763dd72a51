/* What the main thread waits for: signals, and calls from other threads. */
#ifndef SERVER_EVENTS_H
#define SERVER_EVENTS_H

#include <stdbool.h>

typedef enum event {
  EVENT_NONE,   /* the time is over */
  EVENT_STOP,   /* SIGTERM or SIGINT */
  EVENT_RELOAD, /* SIGHUP */
  EVENT_WAKE    /* events_wake was called, once or more */
} event;

typedef struct events {
  int signal_fd, wake_fd;
} events;

/* Block these signals for this thread and all it starts later, and open the descriptors. False when one is refused. */
bool events_open(events *e);
void events_close(events *e);

/* The next event within ms milliseconds, EVENT_NONE otherwise; ms < 0: wait for ever. */
event events_wait(const events *e, long ms);

/* Have events_wait return EVENT_WAKE. Any thread may call. */
void events_wake(const events *e);

#endif
