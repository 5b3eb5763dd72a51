/* Who may use the admin listener: the holder of the token, from a page of its own origin or from no page at all.
 *
 * The token is the first line of a file, read at the start and again by admin_gate_reload; only its digest is kept. A
 * Host or Origin that is not the listener's own is refused first, so that a web page elsewhere (DNS rebinding included)
 * learns nothing. Any thread may call. */
#ifndef SERVER_ADMIN_H
#define SERVER_ADMIN_H

#include <pthread.h>
#include <stdbool.h>

#include "config.h"
#include "digest.h"
#include "log.h"

struct request;

enum { ADMIN_BODY_MAX = 65536, ADMIN_TOKEN_MIN = 16, ADMIN_TOKEN_MAX = 1024 };

typedef struct admin_gate {
  const config *config; /* borrowed */
  logger *log;          /* borrowed */
  pthread_mutex_t lock;
  bool has_token;
  char digest[DIGEST_HEX]; /* of the token */
} admin_gate;

/* Read the token. Without one the gate is closed and the reason logged; admin_gate_open tells. */
void admin_gate_init(admin_gate *g, const config *c, logger *log_to);
void admin_gate_destroy(admin_gate *g);
bool admin_gate_open(admin_gate *g);

/* Read the token again; one that cannot be read is logged, and the old one stays. */
void admin_gate_reload(admin_gate *g);

/* May this request pass? `own` is the address its connection came in on ("127.0.0.1:8081"). False with r->problem set:
 * 403 for a foreign Host or Origin, 401 with WWW-Authenticate without the token. */
bool admin_admit(admin_gate *g, struct request *r, const char *own);

/* Does a Host header, or the authority of an Origin, mean this listener? `hosts` is the list of --admin-host. For
 * tests. */
bool admin_host_is_own(const char *host, const char *own, const char *hosts);

#endif
