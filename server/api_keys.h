/* Keys of the public listener, off by default: who may ask, and how often.
 *
 * The file has a line for each client, "NAME KEY [REQUESTS-A-MINUTE]"; empty lines and those that begin with # are left
 * out. It is read at the start and again by api_keys_reload; only digests of keys are kept. A client names its key as
 * "Authorization: Bearer KEY" or "X-API-Key: KEY". Any thread may call. */
#ifndef SERVER_API_KEYS_H
#define SERVER_API_KEYS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "digest.h"
#include "log.h"

struct request;

enum { API_KEYS_MAX = 1024, API_KEY_MIN = 16, API_KEY_MAX = 256, API_KEY_NAME_MAX = 32 };

typedef struct api_key {
  char name[API_KEY_NAME_MAX + 1];
  char hex[DIGEST_HEX]; /* of the key */
  uint64_t per_minute;  /* 0: as many as it likes */
  double tokens;        /* requests it may send now; at most those of ten seconds, and at least one */
  uint64_t since_ns;    /* when `tokens` was right */
} api_key;

typedef struct api_keys {
  const char *path; /* borrowed; "": nobody needs a key */
  logger *log;      /* borrowed */
  pthread_mutex_t lock;
  api_key *keys;
  size_t n;
} api_keys;

/* Read the file. False, logged, when it cannot be used. */
bool api_keys_init(api_keys *k, const char *path, logger *log_to);
void api_keys_destroy(api_keys *k);

/* Read it again; one that cannot be used is logged, and the old keys stay. Clients keep what is left of their quota. */
void api_keys_reload(api_keys *k);

/* May this request pass? False with r->problem set: 401 without a key that is known, 429 with Retry-After beyond the
 * quota. now_ns is snn_clock_ns(). */
bool api_keys_admit(api_keys *k, struct request *r, uint64_t now_ns);

#endif
