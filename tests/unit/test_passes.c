/* Graph rewriting: the float network's answer stays, layers fold, move and vanish where they may and only there. */
#include "build.h"
#include "graph/passes.h"
#include "snn/session.h"

enum { PIXELS = 2 * 8 * 8, CLASSES = 3 };

static void rewrite(builder *b) {
  snn_error err = {0};
  if (snn_graph_rewrite(b->net, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
}

static void float_scores(const snn_network *net, float *scores) {
  snn_session *s = NULL;
  float image[PIXELS];
  for (int i = 0; i < PIXELS; i++) image[i] = (float)((i * 37) % 64) / 32.0f - 0.7f;
  assert_int_equal(snn_session_create(net, &(snn_session_options){.threads = 1}, &s, NULL), SNN_OK);
  assert_int_equal(snn_session_reference(s, image, 1, NULL, scores, NULL), SNN_OK);
  snn_session_free(s);
}

/* The network answers the same before and after the rewrite. */
static void rewrite_and_compare(builder *b) {
  float before[CLASSES], after[CLASSES];
  finish(b);
  float_scores(b->net, before);
  rewrite(b);
  finish(b);
  float_scores(b->net, after);
  for (int i = 0; i < CLASSES; i++)
    if (!(fabsf(before[i] - after[i]) <= 1e-4f * (1 + fabsf(before[i]))))
      fail_msg("class %d: %g became %g", i, (double)before[i], (double)after[i]);
}

/* The kinds of all layers in order, one letter each. */
static void assert_kinds(const snn_network *net, const char *want) {
  static const char letters[SNN_LAYER_KIND_COUNT] = {
      [SNN_LAYER_INPUT] = 'i', [SNN_LAYER_CONV] = 'c',   [SNN_LAYER_AVGPOOL] = 'a', [SNN_LAYER_MAXPOOL] = 'm',
      [SNN_LAYER_ADD] = '+',   [SNN_LAYER_CONCAT] = 'j', [SNN_LAYER_SLICE] = 's',   [SNN_LAYER_NEURON] = 'n'};
  char got[64] = "";
  assert_in_range(net->n_nodes, 1, sizeof got - 1);
  for (uint32_t i = 0; i < net->n_nodes; i++) got[i] = letters[net->nodes[i].kind];
  assert_string_equal(got, want);
}

/* ---- folding ---- */

static void test_affine_folds(void **state) {
  (void)state;
  builder b = begin(1, 2, 8, 8);
  b.next_name = "features.0";
  uint32_t c = add_conv(&b, 0, 6, square(3, 2, 1), 2);
  b.next_name = "features.1";
  uint32_t bn = add_affine(&b, c);
  uint32_t n = add_neurons(&b, add_affine(&b, bn), 1, 1, 2); /* twice */
  add_dense(&b, n, CLASSES);
  rewrite_and_compare(&b);
  assert_kinds(b.net, "icnc");
  assert_string_equal(b.net->nodes[1].name, "features.0");
  assert_string_equal(b.net->nodes[2].name, "features.0"); /* neurons are named after what drives them */
  assert_int_equal(b.net->nodes[1].conv.groups, 2);
  assert_int_equal(b.net->nodes[1].conv.window.stride_h, 2);
  snn_network_free(b.net);
}

static void test_affine_folds_exactly(void **state) {
  (void)state;
  builder b = begin(2, 1, 1, 1);
  snn_node c = {.kind = SNN_LAYER_CONV, .shape = {2, 0, 0}};
  c.conv = (snn_conv){.window = square(1, 1, 0), .groups = 1};
  c.conv.weights = (const float[]){2, 3};
  c.conv.bias = (const float[]){5, 7};
  uint32_t at = append(&b, c, 1, &(uint32_t){0});
  c.conv.groups = 2;
  c.conv.weights = (const float[]){10, -1};
  c.conv.bias = (const float[]){0.5f, 0.25f};
  append(&b, c, 1, &at);
  rewrite(&b);
  assert_kinds(b.net, "ic");
  const snn_conv *folded = &b.net->nodes[1].conv;
  assert_true(folded->weights[0] == 20 && folded->weights[1] == -3);
  assert_true(folded->bias[0] == 50.5f && folded->bias[1] == -6.75f);
  assert_int_equal(folded->groups, 1);
  snn_network_free(b.net);
}

static void test_affine_stays(void **state) {
  (void)state;
  builder b = begin(3, 2, 8, 8);
  uint32_t bn = add_affine(&b, 0); /* on the image: nothing to fold into */
  uint32_t n = add_neurons(&b, bn, 1, 1, 2);
  uint32_t after = add_affine(&b, n); /* behind neurons */
  uint32_t c = add_conv(&b, after, 4, square(3, 1, 1), 1);
  uint32_t read_twice = add_affine(&b, c);
  uint32_t both = add_sum(&b, c, read_twice);
  uint32_t strided = add_conv(&b, add_conv(&b, both, 4, square(1, 1, 0), 1), 4, square(1, 2, 0), 4);
  uint32_t padded = add_conv(&b, strided, 4, square(1, 1, 1), 4);
  uint32_t wide = add_conv(&b, padded, 8, square(1, 1, 0), 4); /* two outputs for each channel */
  uint32_t narrow = add_conv(&b, wide, 8, square(1, 1, 0), 4); /* pairs mix: groups, but no affine */
  add_dense(&b, add_neurons(&b, narrow, 1, 1, 2), CLASSES);
  rewrite_and_compare(&b);
  assert_kinds(b.net, "icnccc+cccccnc");
  snn_network_free(b.net);
}

static void test_overflow_is_refused(void **state) {
  (void)state;
  builder b = begin(4, 1, 1, 1);
  snn_node c = {.kind = SNN_LAYER_CONV, .shape = {1, 0, 0}};
  c.conv = (snn_conv){.window = square(1, 1, 0), .groups = 1};
  c.conv.weights = c.conv.bias = (const float[]){3e38f};
  uint32_t at = append(&b, c, 1, &(uint32_t){0});
  append(&b, c, 1, &at);
  snn_error err = {0};
  assert_int_equal(snn_graph_rewrite(b.net, &err), SNN_ERR_FORMAT);
  assert_non_null(strstr(err.text, "not finite"));
  snn_network_free(b.net); /* still fit for freeing */
}

/* ---- pools ---- */

static void test_maxpool_moves(void **state) {
  (void)state;
  builder b = begin(5, 2, 8, 8);
  uint32_t n = add_neurons(&b, add_conv(&b, 0, 4, square(3, 1, 1), 1), 4, 1, 2);
  uint32_t p = add_pool(&b, SNN_LAYER_MAXPOOL, n, square(2, 2, 0));
  p = add_pool(&b, SNN_LAYER_MAXPOOL, p, square(3, 1, 1));
  add_dense(&b, p, CLASSES);
  rewrite_and_compare(&b);
  assert_kinds(b.net, "icmmnc");
  snn_shape s = b.net->nodes[4].shape;
  assert_true(s.c == 4 && s.h == 4 && s.w == 4);
  assert_int_equal(b.net->nodes[4].neurons.n, 4);
  assert_int_equal(b.net->nodes[2].pool.window.kernel_h, 2); /* and in their order */
  assert_string_equal(b.net->nodes[4].name, b.net->nodes[1].name);
  snn_network_free(b.net);
}

static void test_clipped_maxpool_moves(void **state) {
  (void)state;
  builder b = begin(6, 2, 8, 8);
  uint32_t n = add_neurons(&b, add_conv(&b, 0, 4, square(3, 1, 1), 1), 1, 1, 2);
  b.net->nodes[n].neurons.clip = 0.5f;
  add_dense(&b, add_pool(&b, SNN_LAYER_MAXPOOL, n, square(2, 2, 0)), CLASSES);
  rewrite_and_compare(&b);
  assert_kinds(b.net, "icmnc");
  assert_true(b.net->nodes[3].neurons.clip == 0.5f);
  snn_network_free(b.net);
}

static void test_maxpool_stays(void **state) {
  (void)state;
  builder b = begin(7, 2, 8, 8);
  uint32_t image_pool = add_pool(&b, SNN_LAYER_MAXPOOL, 0, square(2, 1, 0)); /* on the image */
  uint32_t n = add_neurons(&b, add_conv(&b, image_pool, 4, square(3, 1, 1), 1), 1, 1, 2);
  uint32_t p = add_pool(&b, SNN_LAYER_MAXPOOL, n, square(3, 1, 1)); /* the neurons have another reader */
  uint32_t both = add_sum(&b, n, p);
  uint32_t m = add_neurons(&b, both, 1, 1, 2);
  uint32_t q = add_pool(&b, SNN_LAYER_AVGPOOL, m, square(2, 2, 0)); /* an average does not commute */
  q = add_pool(&b, SNN_LAYER_MAXPOOL, q, square(2, 1, 0));          /* behind an average, not behind neurons */
  add_dense(&b, q, CLASSES);
  rewrite_and_compare(&b);
  assert_kinds(b.net, "imcnm+namc");
  snn_network_free(b.net);
}

/* ---- wires ---- */

/* A concatenation or slice between keeps a pool behind its neurons and an affine apart from its convolution. */
static void test_wires_stay(void **state) {
  (void)state;
  builder b = begin(11, 2, 8, 8);
  uint32_t both[2] = {0};
  for (int k = 0; k < 2; k++) both[k] = add_neurons(&b, add_conv(&b, 0, 3, square(3, 1, 1), 1), 1, 1, 2);
  uint32_t joined = append(&b, (snn_node){.kind = SNN_LAYER_CONCAT}, 2, both);
  uint32_t pool = add_pool(&b, SNN_LAYER_MAXPOOL, joined, square(2, 2, 0));
  uint32_t conv = add_conv(&b, pool, 4, square(3, 1, 1), 1);
  const snn_node piece = {
      .kind = SNN_LAYER_SLICE, .shape = {5, 2, 4}, .slice = {.start = {1, 1, 0}, .pad = {2, 0, 0}, .step = {2, 1}}};
  uint32_t slice = append(&b, piece, 1, &conv);
  uint32_t n = add_neurons(&b, add_affine(&b, slice), 1, 1, 2);
  add_dense(&b, n, CLASSES);
  rewrite_and_compare(&b);
  assert_kinds(b.net, "icncnjmcscnc");
  assert_memory_equal(&b.net->nodes[8].slice, &piece.slice, sizeof piece.slice);
  snn_network_free(b.net);
}

/* ---- dropping and naming ---- */

static void test_dead_branches_vanish(void **state) {
  (void)state;
  builder b = begin(8, 2, 8, 8);
  uint32_t dead = add_conv(&b, 0, 3, square(3, 1, 1), 1);
  uint32_t c = add_conv(&b, 0, 4, square(3, 1, 1), 1);
  dead = add_neurons(&b, dead, 1, 1, 2);
  uint32_t n = add_neurons(&b, c, 1, 1, 2);
  add_pool(&b, SNN_LAYER_AVGPOOL, dead, square(2, 2, 0));
  add_conv(&b, n, 4, square(1, 1, 0), 1);
  add_dense(&b, n, CLASSES);
  rewrite(&b);
  finish(&b);
  assert_kinds(b.net, "icnc");
  assert_string_equal(b.net->nodes[1].name, "layer2");
  assert_int_equal(b.net->nodes[1].shape.c, 4);
  assert_int_equal(b.net->nodes[2].inputs[0], 1);
  assert_int_equal(b.net->nodes[3].inputs[0], 2);
  snn_network_free(b.net);
}

static void test_unused_input_is_kept(void **state) {
  (void)state;
  snn_network *net = snn_network_new();
  snn_error err = {0};
  assert_int_equal(snn_graph_rewrite(net, &err), SNN_ERR_FORMAT);
  assert_non_null(strstr(err.text, "empty"));
  snn_network_free(net);
  builder b = begin(9, 2, 8, 8);
  rewrite(&b);
  assert_kinds(b.net, "i");
  snn_network_free(b.net);
}

static void test_neurons_are_named(void **state) {
  (void)state;
  builder b = begin(10, 2, 8, 8);
  /* Importers number neurons that share a driver: "a", "a_2". Here a layer happens to have that name already, and
   * gives it to its own neurons once its BatchNormalization is folded away. */
  b.next_name = "a_2";
  uint32_t c = add_conv(&b, 0, 4, square(3, 1, 1), 1);
  b.next_name = "bn";
  c = add_pool(&b, SNN_LAYER_AVGPOOL, add_affine(&b, c), square(3, 1, 1));
  b.next_name = "bn";
  uint32_t first = add_neurons(&b, c, 1, 1, 2);
  b.next_name = "a";
  uint32_t shared = add_conv(&b, first, 4, square(3, 1, 1), 1);
  b.next_name = "a";
  uint32_t n = add_neurons(&b, shared, 1, 1, 2);
  b.next_name = "a_2";
  uint32_t m = add_neurons(&b, shared, 1, 2, 3);
  add_dense(&b, add_sum(&b, n, m), CLASSES);
  rewrite_and_compare(&b);
  assert_kinds(b.net, "icancnn+c");
  assert_string_equal(b.net->nodes[3].name, "a_2");
  assert_string_equal(b.net->nodes[5].name, "a");
  assert_string_equal(b.net->nodes[6].name, "a_3");
  snn_network_free(b.net);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_affine_folds),         cmocka_unit_test(test_affine_folds_exactly),
      cmocka_unit_test(test_affine_stays),         cmocka_unit_test(test_overflow_is_refused),
      cmocka_unit_test(test_maxpool_moves),        cmocka_unit_test(test_clipped_maxpool_moves),
      cmocka_unit_test(test_maxpool_stays),        cmocka_unit_test(test_wires_stay),
      cmocka_unit_test(test_dead_branches_vanish), cmocka_unit_test(test_unused_input_is_kept),
      cmocka_unit_test(test_neurons_are_named),
  };
  return cmocka_run_group_tests_name("passes", tests, NULL, NULL);
}
