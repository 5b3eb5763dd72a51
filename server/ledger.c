/* The two bounds of the queue, under one lock. Keeps count <= max_count and bytes <= max_bytes at all times. Does not
 * know what is counted. */
#include "ledger.h"

#include <assert.h>

void ledger_init(ledger *l, size_t max_count, size_t max_bytes) {
  pthread_mutex_init(&l->lock, NULL);
  l->count = 0;
  l->bytes = 0;
  l->max_count = max_count;
  l->max_bytes = max_bytes;
}

void ledger_destroy(ledger *l) {
  pthread_mutex_destroy(&l->lock);
}

bool ledger_enter(ledger *l) {
  pthread_mutex_lock(&l->lock);
  bool ok = l->count < l->max_count;
  if (ok) l->count++;
  pthread_mutex_unlock(&l->lock);
  return ok;
}

bool ledger_is_full(ledger *l) {
  pthread_mutex_lock(&l->lock);
  bool full = l->count >= l->max_count;
  pthread_mutex_unlock(&l->lock);
  return full;
}

void ledger_leave(ledger *l) {
  pthread_mutex_lock(&l->lock);
  assert(l->count > 0);
  l->count--;
  pthread_mutex_unlock(&l->lock);
}

bool ledger_hold(ledger *l, size_t n_bytes) {
  pthread_mutex_lock(&l->lock);
  bool ok = n_bytes <= l->max_bytes - l->bytes;
  if (ok) l->bytes += n_bytes;
  pthread_mutex_unlock(&l->lock);
  return ok;
}

void ledger_release(ledger *l, size_t n_bytes) {
  pthread_mutex_lock(&l->lock);
  assert(l->bytes >= n_bytes);
  l->bytes -= n_bytes;
  pthread_mutex_unlock(&l->lock);
}

void ledger_read(ledger *l, size_t *count, size_t *bytes) {
  pthread_mutex_lock(&l->lock);
  *count = l->count;
  *bytes = l->bytes;
  pthread_mutex_unlock(&l->lock);
}
