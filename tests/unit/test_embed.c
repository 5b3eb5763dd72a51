/* Tables in model files: written beside a network that stays what it was, found again, used by runs that name no other;
 * threshold factors against a network whose thresholds were scaled by hand. */
#include <sys/stat.h>
#include <unistd.h>

#include "graph/calibration.h"
#include "model/safetensors.h"
#include "patience.h"
#include "run.h"

enum { PICTURES = 3 };

static const uint32_t steps[] = {2, 8};

typedef struct scene {
  char folder[64], model[128], other[128], calibration[128];
  builder built;
  snn_network *net;
  float *images;
} scene;

#define OK(call)                                                   \
  do {                                                             \
    snn_error err = {0};                                           \
    if ((call) != SNN_OK) fail_msg("%s: %s", err.where, err.text); \
  } while (0)

static snn_network *load(const char *path) {
  snn_network *net = NULL;
  OK(snn_network_load(path, &net, &err));
  return net;
}

static scene set_scene(uint64_t number, snn_weight_format format) {
  scene s = {.built = dyadic_network(number, 1)};
  const char *tmp = getenv("TMPDIR");
  snprintf(s.folder, sizeof s.folder, "%.40s/embedXXXXXX", tmp ? tmp : "/tmp");
  assert_non_null(mkdtemp(s.folder));
  snprintf(s.model, sizeof s.model, "%s/model.safetensors", s.folder);
  snprintf(s.other, sizeof s.other, "%s/other.safetensors", s.folder);
  snprintf(s.calibration, sizeof s.calibration, "%s/calibration.safetensors", s.folder);
  OK(snn_network_save(s.built.net, s.model, format, &err));
  s.net = load(s.model);
  s.images = dyadic_images(&s.built, PICTURES);
  return s;
}

static void clear_scene(scene *s) {
  snn_network_free(s->net);
  snn_network_free(s->built.net);
  remove(s->model);
  remove(s->other);
  remove(s->calibration);
  assert_int_equal(rmdir(s->folder), 0); /* nothing else was left there */
}

static snn_calibration *calibrate(const scene *s, snn_neuron neuron, const uint32_t *timesteps, size_t n) {
  snn_calibration *c = NULL;
  snn_calibrate_options opt = {
      .method = SNN_INIT_MATCHED, .neuron = neuron, .timesteps = timesteps, .n_timesteps = n, .granularity = 1};
  OK(snn_calibrate(s->net, s->images, PICTURES, &opt, &c, &err));
  return c;
}

/* Factors of 1/2, 1/4, 2, ... for the neuron layers of a table. */
static float *set_factors(snn_calibration *c, size_t table) {
  static const float some[] = {0.5f, 0.25f, 2, 1, 0.125f};
  float *factors = snn_arena_alloc(&c->arena, c->n_layers, sizeof *factors);
  assert_non_null(factors);
  for (size_t i = 0, k = 0; i < c->n_layers; i++) factors[i] = c->layers[i].is_neuron ? some[k++ % 5] : 1;
  c->entries[table].factors = factors;
  return factors;
}

static void embed(const snn_calibration *c, const char *from, const char *to) {
  const snn_init matched = SNN_INIT_MATCHED;
  OK(snn_calibration_embed(c, from, to, &(snn_embed_options){.init = &matched, .timesteps = 8}, &err));
}

/* All of a run; its options are the model's but for T. */
static answers run_defaults(const scene *s, const snn_network *net, uint32_t timesteps, snn_neuron neuron,
                            const snn_calibration *c) {
  snn_session *session_ = session(net, 2, 0);
  snn_run_options o = snn_run_defaults(net);
  o.timesteps = timesteps;
  o.neuron = neuron;
  if (c) o.init = SNN_INIT_MATCHED;
  o.calibration = c;
  o.precision = SNN_PRECISION_FLOAT32; /* the same for all, with factors or without */
  answers a = run(net, session_, s->images, PICTURES, &o);
  snn_session_free(session_);
  return a;
}

static uint8_t *slurp(const char *path, size_t *n) {
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  uint8_t *bytes = snn_alloc_array((size_t)st.st_size, 1);
  FILE *f = fopen(path, "rb");
  assert_true(f && bytes);
  *n = fread(bytes, 1, (size_t)st.st_size, f);
  assert_int_equal(*n, st.st_size);
  fclose(f);
  return bytes;
}

static void assert_same_file(const char *a, const char *b) {
  size_t n[2];
  uint8_t *bytes[2] = {slurp(a, &n[0]), slurp(b, &n[1])};
  assert_int_equal(n[0], n[1]);
  assert_memory_equal(bytes[0], bytes[1], n[0]);
  free(bytes[0]);
  free(bytes[1]);
}

/* In every weight format: the tables come back, the network keeps its identity, and runs are those of the calibration
 * beside the model. */
static void test_round_trip(void **state) {
  (void)state;
  for (int format = SNN_WEIGHTS_F32; format <= SNN_WEIGHTS_I8; format++) {
    scene s = set_scene(1, (snn_weight_format)format);
    assert_null(snn_network_calibration(s.net));
    assert_string_equal(snn_network_identity(s.net), snn_network_sha256(s.net));
    snn_calibration *c = calibrate(&s, SNN_NEURON_IF, steps, 2);
    set_factors(c, 1);
    OK(snn_calibration_save(c, s.calibration, &err));
    embed(c, s.model, s.other);
    snn_network *net = load(s.other);
    const snn_calibration *embedded = snn_network_calibration(net);
    assert_non_null(embedded);
    assert_int_equal(snn_calibration_tables(embedded), 2);
    assert_string_equal(snn_network_identity(net), snn_network_sha256(s.net));
    assert_string_not_equal(snn_network_sha256(net), snn_network_sha256(s.net));
    assert_null(snn_calibration_factors(embedded, 0));
    assert_memory_equal(snn_calibration_factors(embedded, 1), c->entries[1].factors, c->n_layers * sizeof(float));
    assert_int_equal(snn_run_defaults(net).init, SNN_INIT_MATCHED);
    assert_int_equal(snn_run_defaults(net).timesteps, 8);

    /* the file beside the model still fits, and says the same */
    snn_calibration *beside[2] = {NULL, NULL};
    OK(snn_calibration_load(s.calibration, net, &beside[0], &err));
    OK(snn_calibration_load(s.calibration, s.net, &beside[1], &err));
    assert_int_equal(strlen(snn_calibration_sha256(beside[0])), 64);
    for (int k = 0; k < 2; k++) {
      answers want = run_defaults(&s, s.net, steps[k], SNN_NEURON_IF, beside[1]);
      answers own = run_defaults(&s, net, steps[k], SNN_NEURON_IF, NULL);
      answers given = run_defaults(&s, net, steps[k], SNN_NEURON_IF, beside[0]);
      assert_same(&want, &own);
      assert_same(&want, &given);
      free_answers(&want);
      free_answers(&own);
      free_answers(&given);
    }
    for (int k = 0; k < 2; k++) snn_calibration_free(beside[k]);

    /* once more is the same file; in place too; saved as a network it keeps its tables and its identity */
    embed(c, s.other, s.model);
    assert_same_file(s.model, s.other);
    embed(c, s.other, s.other);
    assert_same_file(s.model, s.other);
    OK(snn_network_save(net, s.model, (snn_weight_format)format, &err));
    snn_network *saved = load(s.model);
    assert_int_equal(snn_calibration_tables(snn_network_calibration(saved)), 2);
    assert_string_equal(snn_network_identity(saved), snn_network_identity(net));
    assert_memory_equal(snn_calibration_factors(snn_network_calibration(saved), 1), c->entries[1].factors,
                        c->n_layers * sizeof(float));
    snn_network_free(saved);
    snn_network_free(net);
    snn_calibration_free(c);
    clear_scene(&s);
  }
}

/* Tables of other neurons stay, those of the same key are replaced; strangers in the file stay what they are. */
static void test_beside_what_is_there(void **state) {
  (void)state;
  scene s = set_scene(1, SNN_WEIGHTS_F16);
  size_t n_bytes;
  uint8_t *bytes = slurp(s.model, &n_bytes);
  snn_safetensors *file = NULL;
  OK(snn_safetensors_open(bytes, n_bytes, &file, &err));

  /* the model with a tensor and a key that nobody knows */
  size_t n = snn_safetensors_count(file), n_keys = snn_safetensors_metadata_count(file);
  snn_tensor *tensors = calloc(n + 1, sizeof *tensors);
  snn_metadata_entry *keys = calloc(n_keys + 1, sizeof *keys);
  size_t at = 0;
  for (int size = 4; size > 0; size -= 2)
    for (size_t i = 0; i < n; i++)
      if (snn_dtype_bytes(snn_safetensors_at(file, i)->dtype) == (size_t)size)
        tensors[at++] = *snn_safetensors_at(file, i);
  assert_int_equal(at, n);
  tensors[n] =
      (snn_tensor){.name = "stranger", .dtype = SNN_DTYPE_U8, .rank = 1, .shape = {3}, .bytes = (const uint8_t *)"abc"};
  assert_true(snn_tensor_measure(&tensors[n]));
  for (size_t i = 0; i < n_keys; i++) keys[i] = snn_safetensors_metadata_at(file, i);
  keys[n_keys] = (snn_metadata_entry){"someone.else", "was here"};
  snn_tensor_writer w;
  OK(snn_tensor_writer_begin(s.model, keys, n_keys + 1, tensors, n + 1, &w, &err));
  for (size_t i = 0; i <= n; i++) OK(snn_tensor_writer_append(&w, tensors[i].bytes, tensors[i].n_bytes, &err));
  OK(snn_tensor_writer_commit(&w, &err));
  snn_safetensors_free(file);
  free(tensors);
  free(keys);
  free(bytes);
  snn_network_free(s.net);
  s.net = load(s.model);

  snn_calibration *first = calibrate(&s, SNN_NEURON_IF, steps, 2),
                  *ternary = calibrate(&s, SNN_NEURON_IF_SIGNED, steps, 1),
                  *again = calibrate(&s, SNN_NEURON_IF, steps + 1, 1);
  set_factors(again, 0);
  embed(first, s.model, s.other);
  embed(ternary, s.other, s.other);
  embed(again, s.other, s.other);
  snn_network *net = load(s.other);
  const snn_calibration *c = snn_network_calibration(net);
  assert_int_equal(snn_calibration_tables(c), 3);
  size_t table = 9;
  assert_true(snn_calibration_find(c, SNN_NEURON_IF, SNN_INIT_MATCHED, 2, &table) &&
              !snn_calibration_factors(c, table));
  assert_true(snn_calibration_find(c, SNN_NEURON_IF, SNN_INIT_MATCHED, 8, &table) && snn_calibration_factors(c, table));
  assert_true(snn_calibration_find(c, SNN_NEURON_IF_SIGNED, SNN_INIT_MATCHED, 8, &table));
  assert_int_equal(snn_calibration_table_at(c, table).timesteps, 2);
  bytes = slurp(s.other, &n_bytes);
  OK(snn_safetensors_open(bytes, n_bytes, &file, &err));
  assert_memory_equal(snn_safetensors_find(file, "stranger")->bytes, "abc", 3);
  assert_string_equal(snn_safetensors_metadata(file, "someone.else"), "was here");
  snn_safetensors_free(file);
  free(bytes);
  snn_network_free(net);
  snn_calibration_free(first);
  snn_calibration_free(ternary);
  snn_calibration_free(again);
  clear_scene(&s);
}

/* What is refused leaves the file as it was. */
static void test_refused(void **state) {
  (void)state;
  scene s = set_scene(1, SNN_WEIGHTS_F32), alien = set_scene(3, SNN_WEIGHTS_F32);
  snn_calibration *c = calibrate(&s, SNN_NEURON_IF_SIGNED, steps, 2),
                  *of_alien = calibrate(&alien, SNN_NEURON_IF, steps, 2);
  const snn_init matched = SNN_INIT_MATCHED;
  const snn_embed_options quiet = {.init = NULL}, loud = {.init = &matched};
  size_t n[2];
  uint8_t *before = slurp(s.model, &n[0]);
  snn_error err = {0};
  assert_int_equal(snn_calibration_embed(of_alien, s.model, s.model, &quiet, &err), SNN_ERR_ARGUMENT);
  assert_string_equal(err.where, "model");
  err = (snn_error){0};
  assert_int_equal(snn_calibration_embed(c, s.model, s.model, &loud, &err), SNN_ERR_ARGUMENT);
  assert_string_equal(err.where, "init"); /* there is no table for `if` */
  assert_int_equal(snn_calibration_embed(c, s.other, s.model, &quiet, NULL), SNN_ERR_NOT_FOUND);
  assert_int_equal(snn_calibration_embed(c, s.model, "/no/such/folder/model", &quiet, NULL), SNN_ERR_IO);
  uint8_t *after = slurp(s.model, &n[1]);
  assert_int_equal(n[0], n[1]);
  assert_memory_equal(before, after, n[0]);
  free(before);
  free(after);
  snn_calibration_free(c);
  snn_calibration_free(of_alien);
  clear_scene(&s);
  clear_scene(&alien);
}

/* The nearest T counts, wherever it is; of two as near, the table of the run's calibration goes before the model's own,
 * which serve where it has none. What is recommended holds for neurons that have a table. */
static void test_which_table(void **state) {
  (void)state;
  scene s = set_scene(1, SNN_WEIGHTS_F32);
  snn_calibration *both = calibrate(&s, SNN_NEURON_IF, steps, 2), *late = calibrate(&s, SNN_NEURON_IF, steps + 1, 1);
  embed(both, s.model, s.model);
  snn_network *net = load(s.model);
  snn_run_options o = snn_run_defaults(net);
  snn_table_choice choice;
  o.timesteps = 2;
  assert_true(snn_run_table(net, &o, &choice));
  assert_true(choice.is_embedded && choice.key.timesteps == 2 && choice.calibration == snn_network_calibration(net));
  o.calibration = late;
  assert_true(snn_run_table(net, &o, &choice));
  assert_true(choice.is_embedded && choice.key.timesteps == 2); /* what `late` was not made for is as without it */
  o.timesteps = 9;
  assert_true(snn_run_table(net, &o, &choice));
  assert_true(!choice.is_embedded && choice.key.timesteps == 8 && choice.calibration == late);
  o.timesteps = 4; /* the model's 2 and 8 and the other 8 are equally near */
  assert_true(snn_run_table(net, &o, &choice) && !choice.is_embedded);
  o.timesteps = 3;
  assert_true(snn_run_table(net, &o, &choice) && choice.is_embedded);
  o.timesteps = 2;
  snn_calibration *ternary = calibrate(&s, SNN_NEURON_IF_SIGNED, steps, 1);
  o.calibration = ternary;
  assert_true(snn_run_table(net, &o, &choice) && choice.is_embedded);
  o.neuron = SNN_NEURON_IF_SIGNED;
  assert_int_equal(snn_recommended_init(net, &o), SNN_INIT_MATCHED);
  assert_true(snn_run_table(net, &o, &choice) && !choice.is_embedded);
  o.neuron = SNN_NEURON_LIF;
  assert_int_equal(snn_recommended_init(net, &o), SNN_INIT_HALF);
  assert_false(snn_run_table(net, &o, &choice));
  o.init = SNN_INIT_HALF;
  o.neuron = SNN_NEURON_IF;
  assert_false(snn_run_table(net, &o, &choice)); /* needs none */
  assert_int_equal(snn_recommended_init(s.net, &o), SNN_INIT_HALF);
  snn_network_free(net);
  snn_calibration_free(both);
  snn_calibration_free(late);
  snn_calibration_free(ternary);
  clear_scene(&s);
}

/* Factors do what thresholds scaled by hand do, bit for bit (they are powers of two), and are gone with the table. */
static void test_factors(void **state) {
  (void)state;
  static const snn_neuron neurons[] = {SNN_NEURON_IF, SNN_NEURON_SRIF, SNN_NEURON_ASG, SNN_NEURON_IF_SIGNED};
  for (uint64_t number = 1; number <= 6; number++) {
    scene s = set_scene(number, SNN_WEIGHTS_F32);
    snn_session *session_ = session(s.net, 2, 3);
    for (size_t k = 0; k < sizeof neurons / sizeof *neurons; k++) {
      snn_calibration *c = calibrate(&s, neurons[k], steps, 2);
      const float *factors = set_factors(c, 1);
      snn_run_options half = {.timesteps = 8, .neuron = neurons[k], .init = SNN_INIT_HALF};
      snn_run_options matched = {.timesteps = 8, .neuron = neurons[k], .init = SNN_INIT_MATCHED, .calibration = c};
      answers before = run(s.net, session_, s.images, PICTURES, &half);
      answers scaled = run(s.net, session_, s.images, PICTURES, &matched);
      answers after = run(s.net, session_, s.images, PICTURES, &half);
      assert_same(&before, &after);

      snn_network *hand = load(s.model);
      for (uint32_t i = 0; i < hand->n_nodes; i++) {
        snn_neurons *x = &hand->nodes[i].neurons;
        if (hand->nodes[i].kind != SNN_LAYER_NEURON) continue;
        float *theta = snn_arena_alloc(&hand->arena, x->n, sizeof *theta);
        assert_non_null(theta);
        for (uint32_t t = 0; t < x->n; t++) theta[t] = x->theta[t] * factors[i];
        x->theta = x->fire = x->amplitude = theta;
      }
      c->entries[1].factors = NULL;
      snn_session *by_hand = session(hand, 1, 0);
      answers want = run(hand, by_hand, s.images, PICTURES, &matched);
      assert_same(&want, &scaled);
      snn_session_free(by_hand);
      answers plain = run(s.net, session_, s.images, PICTURES, &matched); /* and they do something */
      assert_memory_not_equal(plain.counts, scaled.counts, plain.n_counts * sizeof *plain.counts);
      free_answers(&before);
      free_answers(&scaled);
      free_answers(&after);
      free_answers(&want);
      free_answers(&plain);
      snn_network_free(hand);
      snn_calibration_free(c);
    }
    snn_session_free(session_);
    clear_scene(&s);
  }
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip), cmocka_unit_test(test_beside_what_is_there),
      cmocka_unit_test(test_refused),    cmocka_unit_test(test_which_table),
      cmocka_unit_test(test_factors),
  };
  return cmocka_run_group_tests_name("embedded tables", tests, NULL, NULL);
}
