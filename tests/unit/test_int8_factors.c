/* int8 with tables whose factors scale thresholds. Where weights and thresholds are whole units and factors powers of
 * two, neither precision rounds, so answers must be the same bits; with other factors the answer must be near, the same
 * bytes for any team, chunk and order of runs, and every number must have room in 32 bits. */
#include "whole.h"

#include "calibrate/meet.h"
#include "graph/calibration.h"
#include "sim/int8_numbers.h"

/* A table for every T with one factor for all layers that meet and others of their own. */
static snn_calibration *table(builder *b, snn_neuron neuron, const float *choice, uint32_t n) {
  snn_calibration *c = snn_calibration_new(b->net, 1);
  bool *meets = calloc(b->net->n_nodes, sizeof *meets);
  assert_non_null(c);
  assert_int_equal(snn_layers_that_meet(b->net, meets, NULL), SNN_OK);
  float *factors = snn_arena_alloc(&c->arena, b->net->n_nodes, sizeof *factors), shared = choice[draw(b, n)];
  float *start = snn_arena_alloc(&c->arena, b->net->n_nodes, sizeof *start);
  assert_true(factors && start);
  for (uint32_t i = 0; i < b->net->n_nodes; i++) {
    factors[i] = 1;
    if (b->net->nodes[i].kind != SNN_LAYER_NEURON) continue;
    factors[i] = meets[i] ? shared : choice[draw(b, n)];
    start[i] = neuron == SNN_NEURON_ASG ? 0.5f : (float)draw(b, 8) / 8;
    c->entries[0].layers[i] = (snn_potentials){&start[i], 1, draw(b, 2)};
  }
  c->entries[0].key = (snn_calibration_table){neuron, SNN_INIT_MATCHED, 8};
  c->entries[0].factors = factors;
  free(meets);
  return c;
}

static snn_run_options from_table(snn_neuron neuron, snn_precision precision, const snn_calibration *c) {
  snn_run_options o = options_for(neuron, precision);
  o.init = SNN_INIT_MATCHED;
  o.calibration = c;
  return o;
}

static void test_whole_numbers_stay_exact(void **state) {
  (void)state;
  static const float halves[] = {0.5f, 1, 2};
  for (uint64_t number = 0; number < cases(36); number++) {
    builder b = whole_network(number);
    snn_neuron neuron = (snn_neuron)(number % SNN_NEURON_COUNT);
    snn_calibration *c = table(&b, neuron, halves, 3);
    float *images = dyadic_images(&b, 2);
    snn_session *s = session(b.net, 1, 1 + draw(&b, 9));
    snn_run_options o = from_table(neuron, SNN_PRECISION_FLOAT32, c);
    o.shift = number % 2;
    answers want = run(b.net, s, images, 2, &o);
    o.precision = SNN_PRECISION_INT8;
    answers got = run(b.net, s, images, 2, &o);
    for (size_t i = 0; i < want.n_scores; i++)
      if (want.scores[i] != got.scores[i])
        fail_msg("network %d, %s: score %zu is %.9g, not %.9g", (int)number, snn_neuron_name(neuron), i,
                 (double)got.scores[i], (double)want.scores[i]);
    assert_memory_equal(want.counts, got.counts, 3 * want.n_counts * sizeof *want.counts);
    free_answers(&want);
    free_answers(&got);
    snn_session_free(s);
    snn_calibration_free(c);
    snn_network_free(b.net);
  }
}

/* Spikes of all layers, of both precisions, and how far the scores are apart beside the largest. */
static void test_other_factors_are_near(void **state) {
  (void)state;
  static const float uneven[] = {0.35f, 0.43f, 0.7f, 0.9f, 1.2f, 1.9f, 2};
  for (uint64_t number = 0; number < 16; number++) {
    builder b = small_network(number, 0.7f);
    snn_calibration *c = table(&b, SNN_NEURON_IF, uneven, 7);
    float *images = random_images(&b, 4);
    snn_session *s = session(b.net, 1, 0);
    snn_run_options o = from_table(SNN_NEURON_IF, SNN_PRECISION_FLOAT32, c);
    o.timesteps = 64;
    if (snn_int8_takes(b.net, &o, NULL) != SNN_OK) fail_msg("network %d is not taken", (int)number);
    answers want = run(b.net, s, images, 4, &o);
    o.precision = SNN_PRECISION_INT8;
    answers got = run(b.net, s, images, 4, &o);
    float largest = 0, apart = 0;
    uint64_t spikes = 0, other = 0;
    for (size_t i = 0; i < want.n_scores; i++) {
      largest = fmaxf(largest, fabsf(want.scores[i]));
      apart = fmaxf(apart, fabsf(want.scores[i] - got.scores[i]));
    }
    for (size_t i = 0; i < want.n_counts; i++) {
      spikes += want.counts[i];
      other += got.counts[i];
    }
    if (apart > 0.05f * largest || fabs((double)spikes - (double)other) > 0.02 * (double)spikes)
      fail_msg("network %d: scores up to %g are %g apart; %llu spikes, %llu in int8", (int)number, (double)largest,
               (double)apart, (unsigned long long)spikes, (unsigned long long)other);
    free_answers(&want);
    free_answers(&got);
    snn_session_free(s);
    snn_calibration_free(c);
    snn_network_free(b.net);
  }
}

/* The same bytes whatever ran before in the session, and for any team, chunk and batch. */
static void test_same_bytes(void **state) {
  (void)state;
  static const float uneven[] = {0.35f, 0.43f, 0.7f, 0.9f, 1.2f, 1.9f, 2};
  for (uint64_t number = 0; number < 16; number++) {
    builder b = number % 2 ? small_network(number, 0.7f) : whole_network(number);
    const snn_neuron neuron = (snn_neuron)(number % SNN_NEURON_COUNT);
    snn_calibration *c = table(&b, neuron, uneven, 7), *other = table(&b, neuron, uneven, 7);
    float *images = random_images(&b, 3);
    snn_run_options o = from_table(neuron, SNN_PRECISION_INT8, c), between = o,
                    plain = options_for(neuron, o.precision);
    between.calibration = other;
    snn_session *fresh = session(b.net, 1, 13), *used = session(b.net, 2 + (uint32_t)(number % 2), 1 + draw(&b, 6));
    answers base = run(b.net, fresh, images, 3, &plain);
    for (size_t batch = 1; batch <= 3; batch++) {
      answers want = run(b.net, fresh, images, batch, &o);
      answers got = run(b.net, used, images, batch, &o), others = run(b.net, used, images, batch, &between);
      answers again = run(b.net, used, images, batch, &o), without = run(b.net, used, images, 3, &plain);
      assert_same(&want, &got);
      assert_same(&want, &again);
      assert_same(&base, &without);
      free_answers(&want);
      free_answers(&got);
      free_answers(&others);
      free_answers(&again);
      free_answers(&without);
    }
    free_answers(&base);
    snn_session_free(fresh);
    snn_session_free(used);
    snn_calibration_free(other);
    snn_calibration_free(c);
    snn_network_free(b.net);
  }
}

/* The largest number that T steps of a layer can reach, by its numbers and weights alone. */
static double largest_number(const snn_int8_model *m, const snn_int8_layer *layer, uint32_t lane, double passed) {
  const uint32_t c = lane % layer->channels;
  double positive = 0, negative = 0;
  double other = fabs((double)layer->bias[lane]) + (layer->n_statics ? (double)layer->most_static : 0) + passed;
  for (uint32_t t = 0; t < layer->n_terms; t++) {
    const snn_int8_term *term = &layer->terms[t];
    const double times = m->multiplicity[term->source];
    positive += term->is_conv ? times * term->positive[c] : 0;
    negative += term->is_conv ? times * term->negative[c] : 0;
    other += term->worth ? times * term->amount[lane] : 0;
  }
  const double current = ldexp(fmax(positive, negative), (int)layer->fraction) + other;
  const double theta = layer->fires ? fmax(layer->theta[lane], layer->fire[lane]) : 0;
  return current * m->most_timesteps + theta * 1.5 + (1 << 27); /* half a theta of shift, and where it starts */
}

/* Any factors that are taken leave every number of every layer within 32 bits, for whatever input. */
static void test_bounds(void **state) {
  (void)state;
  uint32_t taken = 0;
  for (uint64_t number = 0; number < cases(80); number++) {
    builder b = number % 2 ? whole_network(number) : small_network(number, 0.1f);
    float *factors = calloc(b.net->n_nodes, sizeof *factors);
    const float same = uniform(&b, 0.35f, 2), most = number % 4 < 2 ? 2 : 500;
    bool *meets = calloc(b.net->n_nodes, sizeof *meets);
    const snn_int8_model *m = NULL;
    uint32_t longest = 0;
    assert_int_equal(snn_layers_that_meet(b.net, meets, NULL), SNN_OK);
    for (uint32_t i = 0; i < b.net->n_nodes; i++) factors[i] = meets[i] ? same : most * uniform(&b, 0.175f, 1);
    if (snn_int8_prepare(b.net, 1, &m, NULL) == SNN_OK &&
        snn_int8_most_timesteps(m, b.net, factors, &longest, NULL) == SNN_OK) {
      taken++;
      snn_int8_scaled s;
      assert_int_equal(snn_int8_scaled_create(m, b.net, &s, NULL), SNN_OK);
      snn_int8_scale(&s, b.net, factors);
      assert_int_equal(s.model.most_timesteps, longest);
      double *flow = calloc(b.net->n_nodes + 1u, sizeof *flow); /* largest current of a step, by node */
      for (uint32_t k = 0; k < s.model.n_stages; k++) {
        const snn_int8_layer *layer = &s.model.layers[k];
        double passed = 0, largest = 0;
        for (uint32_t t = 0; t < layer->n_terms; t++)
          if (!layer->terms[t].is_conv && !layer->terms[t].worth) {
            uint32_t from = layer->terms[t].source;
            while (b.net->nodes[from].kind == SNN_LAYER_MAXPOOL) from = b.net->nodes[from].inputs[0];
            passed += flow[from];
          }
        for (uint32_t lane = 0; lane < (layer->lanes ? layer->unroll * layer->channels : 0); lane++)
          largest = fmax(largest, largest_number(&s.model, layer, lane, passed));
        if (layer->lanes) flow[layer->node] = largest / s.model.most_timesteps;
        if (largest >= 2147483648.0) fail_msg("network %d, stage %u: %g", (int)number, k, largest);
      }
      free(flow);
      snn_int8_scaled_free(&s);
    }
    free(meets);
    free(factors);
    snn_network_free(b.net);
  }
  assert_true(taken >= cases(40));
}

/* Factors that differ where spikes meet are float32's, and so is the default then. */
static void test_uneven_branches(void **state) {
  (void)state;
  static const float one[] = {1};
  builder b = begin(5, 1, 4, 4);
  uint32_t first = add_neurons(&b, add_conv(&b, 0, 3, square(3, 1, 1), 1), 1, 1, 1);
  uint32_t second = add_neurons(&b, add_conv(&b, first, 3, square(3, 1, 1), 1), 1, 1, 1);
  uint32_t sum = add_sum(&b, add_conv(&b, second, 3, square(3, 1, 1), 1), first);
  add_dense(&b, add_neurons(&b, sum, 1, 1, 1), 2);
  finish(&b);
  snn_calibration *c = table(&b, SNN_NEURON_IF, one, 1);
  float *factors = (float *)(uintptr_t)c->entries[0].factors, image[16] = {0}, scores[2];
  snn_run_options o = from_table(SNN_NEURON_IF, SNN_PRECISION_INT8, c);
  for (int k = 0; k < 2; k++) { /* before there is a session, and after */
    snn_error err = {0};
    factors[first] = 0.5f;
    factors[second] = 0.5f;
    assert_int_equal(snn_int8_takes(b.net, &o, &err), SNN_OK);
    factors[second] = 0.7f;
    assert_int_equal(snn_int8_takes(b.net, &o, &err), SNN_ERR_UNSUPPORTED);
    assert_string_equal(err.where, "init");
    assert_int_equal(snn_precision_for(b.net, &o), SNN_PRECISION_FLOAT32);
    snn_session *s = session(b.net, 1, 0);
    assert_int_equal(snn_session_run(s, image, 1, &o, scores, NULL, &err), SNN_ERR_ARGUMENT);
    assert_non_null(strstr(err.text, "meet at 'layer6' differently"));
    snn_session_free(s);
  }
  snn_calibration_free(c);
  snn_network_free(b.net);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_whole_numbers_stay_exact),
      cmocka_unit_test(test_other_factors_are_near),
      cmocka_unit_test(test_same_bytes),
      cmocka_unit_test(test_bounds),
      cmocka_unit_test(test_uneven_branches),
  };
  return cmocka_run_group_tests_name("int8_factors", tests, NULL, NULL);
}
