/* The listening socket: made before anything slow happens, so that a taken port is known at once. */
#ifndef SERVER_LISTENER_H
#define SERVER_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LISTENER_NAME_MAX = 300 };

/* Bind and listen; host is a name or an address without brackets, port 0 a free one. Gives the descriptor and the
 * address in force as text ("127.0.0.1:41235", "[::1]:8080"); -1 with a reason in `error`. */
int listener_open(const char *host, uint16_t port, char name[LISTENER_NAME_MAX], char *error, size_t n_error);

/* The address the descriptor of a socket is bound to, as above. False when the system does not tell. */
bool listener_name(int fd, char name[LISTENER_NAME_MAX]);

/* Raise the soft limit of descriptors towards `wanted`; the limit in force is returned. */
size_t listener_allow_descriptors(size_t wanted);

#endif
