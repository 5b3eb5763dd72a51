/* What systemd and daemon agree on: readiness and watchdog by plain datagrams, sockets that are there before us. Does
 * nothing where nobody set the variables. Main thread only. */
#ifndef SERVER_SYSTEMD_H
#define SERVER_SYSTEMD_H

#include <stdint.h>

/* Tell NOTIFY_SOCKET ("READY=1"); a failure is ignored, as nobody could be told. */
void systemd_notify(const char *state);

/* How often WATCHDOG=1 is expected, in milliseconds; 0: never. */
uint64_t systemd_watchdog_ms(void);

/* The listening socket that systemd opened for us under this name (FileDescriptorName=), or, for the name "public", the
 * first of all when none is named so and it is nobody else's; -1: there is none. Ask once for a name. */
int systemd_socket(const char *name);

#endif
