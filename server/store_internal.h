/* What store.c and store_artifacts.c share. */
#ifndef SERVER_STORE_INTERNAL_H
#define SERVER_STORE_INTERNAL_H

#include <pthread.h>

#include "store.h"

/* What following one model has brought. */
typedef struct follower {
  char model[MODEL_NAME_MAX + 1];
  uint64_t generation;     /* in force */
  uint64_t bad_generation; /* that could not be put in force last; 0: none */
  uint64_t bad_since_ns, bad_tried_ns;
  uint64_t failures;
} follower;

struct store {
  struct server *server;
  pthread_mutex_t refreshing; /* one refresh at a time: a slow one must not overwrite a newer */
  pthread_mutex_t lock;       /* of what follows */
  pthread_cond_t wake;
  bool stopping;
  follower followers[MODELS_MAX];
  size_t n_followers;
  pthread_t thread;
};

#endif
