/* Fuzzing JSON requests: the body of classify and the multipart part `options`. Any bytes give options in range and
 * pictures inside the body, or a problem with a text; the ledger is balanced afterwards. */
#include <stdlib.h>

#include "../../server/json_in.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const option_limits limits = {.max_timesteps = 1000};

static void check_options(const options *o) {
  if (o->run.timesteps > limits.max_timesteps || o->top_k > 100 || o->run.shift > 1 ||
      !(o->run.tau > 0 && o->run.tau <= 1))
    abort();
  if (o->run.stop_patience > SNN_MAX_TIMESTEPS || !(o->run.stop_margin >= 0 && o->run.stop_margin <= 1)) abort();
  if (!snn_readout_name(o->run.readout) || o->run.budget_ns > 3600000000000u || (o->trace_steps && !o->trace_layers))
    abort();
  if (!snn_neuron_name(o->run.neuron) || !snn_init_name(o->run.init) || !snn_encoding_name(o->run.encoding)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  ledger l;
  ledger_init(&l, 1, (size_t)1 << 24);
  inference inf = {.ledger = &l, .limits = limits, .kind = BODY_JSON, .options.run.tau = 1};
  if (inference_append(&inf, data, n)) {
    bool ok = json_in_classify(&inf);
    if (ok != (inf.problem.kind == PROBLEM_NONE) || (!ok && !inf.problem.detail[0])) abort();
    if (ok)
      for (size_t i = 0; i < inf.n_images; i++)
        if (inf.images[i].offset > inf.n_body || inf.images[i].n > inf.n_body - inf.images[i].offset) abort();
    check_options(&inf.options);
  }
  inference_drop_body(&inf);
  if (l.bytes != 0 || inf.held_bytes != 0) abort();
  ledger_destroy(&l);

  options part = {.run.tau = 1};
  problem p = {0};
  if (json_in_options((const char *)data, n, &part, &limits, &p) != (p.kind == PROBLEM_NONE)) abort();
  check_options(&part);
  return 0;
}
