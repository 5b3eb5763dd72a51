/* Admission: how many requests may wait, and how many bytes all requests together may hold.
 *
 * A request holds bytes from its first body byte to its answer, and one of the `max_count` places from the end of its
 * upload until the scheduler takes it: a slow upload costs bytes, never a place. Refused at once, never queued beyond
 * the bounds. Any thread may call. */
#ifndef SERVER_LEDGER_H
#define SERVER_LEDGER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct ledger {
  pthread_mutex_t lock;
  size_t count, max_count;
  size_t bytes, max_bytes;
} ledger;

void ledger_init(ledger *l, size_t max_count, size_t max_bytes);
void ledger_destroy(ledger *l);

/* Take a place; false when all are taken. */
bool ledger_enter(ledger *l);

/* Would it be refused a place now? Without taking one. */
bool ledger_is_full(ledger *l);
void ledger_leave(ledger *l);

/* Hold n more bytes; false when that would be over the bound (nothing is then held). */
bool ledger_hold(ledger *l, size_t n_bytes);
void ledger_release(ledger *l, size_t n_bytes);

/* Consistent pair of the present values. */
void ledger_read(ledger *l, size_t *count, size_t *bytes);

#endif
