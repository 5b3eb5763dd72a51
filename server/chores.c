/* The chores' thread and its ring. Keeps the invariant that every chore accepted is run once, in order. Does not know
 * what chores do. */
#include "chores.h"

#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>

typedef struct chore {
  void (*run)(struct server *s, void *context);
  void *context;
} chore;

struct chores {
  pthread_mutex_t lock;
  pthread_cond_t work;
  chore ring[CHORES_MAX];
  size_t first, n;
  bool stopping;
  struct server *server;
  pthread_t thread;
};

static void *work(void *context) {
  chores *c = context;
  pthread_mutex_lock(&c->lock);
  for (;;) {
    while (c->n == 0 && !c->stopping) pthread_cond_wait(&c->work, &c->lock);
    if (c->n == 0) break;
    chore next = c->ring[c->first];
    c->first = (c->first + 1) % CHORES_MAX;
    c->n--;
    pthread_mutex_unlock(&c->lock);
    next.run(c->server, next.context);
    pthread_mutex_lock(&c->lock);
  }
  pthread_mutex_unlock(&c->lock);
  return NULL;
}

chores *chores_start(struct server *s) {
  chores *c = calloc(1, sizeof *c);
  if (!c) return NULL;
  pthread_mutex_init(&c->lock, NULL);
  pthread_cond_init(&c->work, NULL);
  c->server = s;
  if (pthread_create(&c->thread, NULL, work, c) == 0) return c;
  free(c);
  return NULL;
}

bool chores_submit(chores *c, void (*run)(struct server *s, void *context), void *context) {
  pthread_mutex_lock(&c->lock);
  bool ok = c->n < CHORES_MAX;
  if (ok) c->ring[(c->first + c->n++) % CHORES_MAX] = (chore){run, context};
  pthread_cond_signal(&c->work);
  pthread_mutex_unlock(&c->lock);
  return ok;
}

void chores_stop(chores *c) {
  if (!c) return;
  pthread_mutex_lock(&c->lock);
  c->stopping = true;
  pthread_cond_signal(&c->work);
  pthread_mutex_unlock(&c->lock);
  pthread_join(c->thread, NULL);
  pthread_cond_destroy(&c->work);
  pthread_mutex_destroy(&c->lock);
  free(c);
}
