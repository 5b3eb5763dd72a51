/* The memo of run_memo.h. Keeps the invariant that the library is asked without the lock. */
#include "run_memo.h"

void run_memo_init(run_memo *m) {
  *m = (run_memo){0};
  pthread_mutex_init(&m->lock, NULL);
}

void run_memo_destroy(run_memo *m) {
  pthread_mutex_destroy(&m->lock);
}

snn_run_options run_memo_defaults(run_memo *m, const snn_network *net) {
  if (!m) return snn_run_defaults(net);
  pthread_mutex_lock(&m->lock);
  bool known = m->has_defaults;
  snn_run_options run = m->defaults;
  pthread_mutex_unlock(&m->lock);
  if (known) return run;
  run = snn_run_defaults(net);
  pthread_mutex_lock(&m->lock);
  m->defaults = run;
  m->has_defaults = true;
  pthread_mutex_unlock(&m->lock);
  return run;
}

/* Do both ask the same? All but tables counts; those belong to the memo. */
static bool same_question(const snn_run_options *a, const snn_run_options *b) {
  return a->timesteps == b->timesteps && a->neuron == b->neuron && a->init == b->init && a->shift == b->shift &&
         a->encoding == b->encoding && a->readout == b->readout && a->tau == b->tau;
}

static bool find(run_memo *m, const snn_run_options *run, snn_precision *out) {
  bool found = false;
  pthread_mutex_lock(&m->lock);
  for (size_t i = 0; i < m->n_known && i < RUN_MEMO_KNOWN && !found; i++) {
    found = same_question(&m->known[i].run, run);
    if (found) *out = m->known[i].precision;
  }
  pthread_mutex_unlock(&m->lock);
  return found;
}

bool run_memo_knows(run_memo *m, const snn_run_options *run) {
  snn_precision precision;
  return find(m, run, &precision);
}

snn_precision run_memo_precision(run_memo *m, const snn_network *net, const snn_run_options *run) {
  snn_precision precision;
  if (!m) return snn_precision_for(net, run);
  if (find(m, run, &precision)) return precision;
  precision = snn_precision_for(net, run);
  pthread_mutex_lock(&m->lock);
  size_t at = m->n_known++ % RUN_MEMO_KNOWN;
  m->known[at].run = *run;
  m->known[at].precision = precision;
  pthread_mutex_unlock(&m->lock);
  return precision;
}
