/* `spiked --healthcheck`: is the daemon of these settings ready? For containers, whose images have no curl. */
#ifndef SERVER_HEALTHCHECK_H
#define SERVER_HEALTHCHECK_H

#include "config.h"

/* Ask its public listener for /readyz, patiently for 3 seconds; behind TLS only whether it accepts connections. Prints
 * one line when it is not well. Exit codes: 0 ready, 1 not. */
int healthcheck(const config *c);

#endif
