/* Images handed to a session one handful after the other: their answers are those of one call, whoever gets what; each
 * handful has an end of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "run.h"

enum { IMAGES = 23 };

/* What there is to hand out, and what came back. */
typedef struct store {
  const snn_network *net;
  const float *images;
  const answers *to;
  const atomic_bool *cancel; /* of every third handful */
  atomic_uint next, handfuls;
  atomic_uint n_ended, n_cancelled;
  atomic_bool failed;
} store;

static bool take(void *context, uint32_t thread, size_t most, snn_handful *out) {
  store *s = context;
  const size_t size = snn_shape_size(snn_network_input(s->net)), layers = snn_network_layers(s->net);
  (void)thread;
  *out = (snn_handful){0};
  if (atomic_fetch_add(&s->handfuls, 1) % 3 == 0) out->cancel = s->cancel;
  while (out->n < most) {
    const size_t i = atomic_fetch_add(&s->next, 1);
    if (i >= IMAGES) break;
    out->images[out->n].pixels = s->images + i * size;
    out->images[out->n].number = (uint32_t)i;
    out->images[out->n].scores = s->to->scores + i * snn_network_classes(s->net);
    out->images[out->n].stats = (snn_run_stats){.spikes = s->to->counts + i * layers,
                                                .synaptic_operations = s->to->counts + s->to->n_counts + i * layers,
                                                .macs = s->to->counts + 2 * s->to->n_counts + i * layers};
    out->n++;
  }
  return out->n > 0;
}

static void ended(void *context, uint32_t thread, const snn_handful *handful, snn_status status) {
  store *s = context;
  (void)thread;
  const bool cancelled = handful->cancel != NULL;
  if (status != (cancelled ? SNN_ERR_CANCELLED : SNN_OK)) atomic_store(&s->failed, true);
  atomic_fetch_add(cancelled ? &s->n_cancelled : &s->n_ended, (unsigned)handful->n);
}

static void test_the_same_answers(void **state) {
  (void)state;
  for (uint64_t number = 0; number < 12; number++) {
    builder b = number % 2 ? random_network(number) : small_network(number, 0.5f);
    float *images = random_images(&b, IMAGES);
    snn_run_options options = snn_run_defaults(b.net);
    options.timesteps = 9;
    options.neuron = (snn_neuron)(number % SNN_NEURON_COUNT);
    options.precision = number % 4 ? snn_precision_for(b.net, &options) : SNN_PRECISION_FLOAT32;
    if (number == 8) options.encoding = SNN_ENCODING_RATE; /* in float32: numbers tell images apart */
    for (uint32_t threads = 1; threads <= 3; threads++) {
      snn_session *s = session(b.net, threads, 1 + (uint32_t)number % 4);
      answers at_once = run(b.net, s, images, IMAGES, &options), fed = make_answers(b.net, IMAGES, 1);
      store from = {.net = b.net, .images = images, .to = &fed};
      snn_error err = {0};
      const snn_feed feed = {take, ended, &from};
      if (snn_session_feed(s, &feed, &options, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
      assert_false(from.failed);
      assert_int_equal(from.n_ended, IMAGES);
      assert_same(&at_once, &fed);
      free_answers(&at_once);
      free_answers(&fed);
      snn_session_free(s);
    }
    snn_network_free(b.net);
  }
}

/* Others do not end with it. */
static void test_a_handful_is_cancelled(void **state) {
  (void)state;
  const atomic_bool raised = true;
  builder b = small_network(4, 0.5f);
  float *images = random_images(&b, IMAGES);
  snn_run_options options = snn_run_defaults(b.net);
  snn_session *s = session(b.net, 2, 1);
  answers fed = make_answers(b.net, IMAGES, 1);
  store from = {.net = b.net, .images = images, .to = &fed, .cancel = &raised};
  const snn_feed feed = {take, ended, &from};
  assert_int_equal(snn_session_feed(s, &feed, &options, NULL), SNN_OK);
  assert_false(from.failed);
  assert_true(from.n_cancelled > 0 && from.n_ended > 0);
  assert_int_equal(from.n_cancelled + from.n_ended, IMAGES);
  free_answers(&fed);
  snn_session_free(s);
  snn_network_free(b.net);
}

static void test_refusals_take_nothing(void **state) {
  (void)state;
  builder b = small_network(4, 0.5f);
  snn_session *s = session(b.net, 2, 1);
  store from = {.net = b.net};
  const snn_feed feed = {take, ended, &from};
  snn_run_options options = snn_run_defaults(b.net);
  snn_error err = {0};
  options.budget_ns = 1;
  assert_int_equal(snn_session_feed(s, &feed, &options, &err), SNN_ERR_ARGUMENT);
  assert_string_equal(err.where, "budget_ms");
  options = snn_run_defaults(b.net);
  options.timesteps = 0;
  assert_int_equal(snn_session_feed(s, &feed, &options, &err), SNN_ERR_ARGUMENT);
  assert_int_equal(from.handfuls, 0);
  snn_session_free(s);
  snn_network_free(b.net);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_same_answers),
      cmocka_unit_test(test_a_handful_is_cancelled),
      cmocka_unit_test(test_refusals_take_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
