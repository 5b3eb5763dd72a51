/* What is asked of a network for every request and always answered alike: its defaults, and the precision of a run that
 * names none. The library works both out anew each time, from every layer's thresholds; that would take as long as
 * decoding a picture. One memo belongs to one network, or to one calibration of it, and goes with it. */
#ifndef SERVER_RUN_MEMO_H
#define SERVER_RUN_MEMO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "snn/session.h"

enum { RUN_MEMO_KNOWN = 8 };

typedef struct run_memo {
  pthread_mutex_t lock;
  bool has_defaults;
  snn_run_options defaults;
  struct {
    snn_run_options run; /* as it was asked about; its pointers are not looked at */
    snn_precision precision;
  } known[RUN_MEMO_KNOWN];
  size_t n_known; /* that were ever noted; the oldest gives way */
} run_memo;

void run_memo_init(run_memo *m);
void run_memo_destroy(run_memo *m);

/* snn_run_defaults and snn_precision_for, remembered. The network must have had its session: what int8 takes is known
 * only then. A NULL memo remembers nothing. */
snn_run_options run_memo_defaults(run_memo *m, const snn_network *net);
snn_precision run_memo_precision(run_memo *m, const snn_network *net, const snn_run_options *run);

/* Is that run's precision remembered? */
bool run_memo_knows(run_memo *m, const snn_run_options *run);

#endif
