/* Calibration files: written and read back, bound to their network, refused when broken. The cases of
 * tests/invalid/calibration are read from TESTS_DIR (default: tests). */
#include <dirent.h>

#include "model/safetensors.h"
#include "patience.h"
#include "run.h"

enum { PICTURES = 3, PATH_BYTES = 512 };

static const uint32_t steps[] = {2, 8};

/* A network as its users have it: saved and loaded again, so that it has a digest. */
typedef struct scene {
  char folder[64], model[128], file[128];
  builder built;
  snn_network *net;
  float *images;
  snn_calibration *made;
} scene;

static snn_network *reload(const scene *s, const snn_network *net) {
  snn_network *loaded = NULL;
  snn_error err = {0};
  if (snn_network_save(net, s->model, SNN_WEIGHTS_F32, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  if (snn_network_load(s->model, &loaded, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return loaded;
}

static scene set_scene(snn_granularity granularity) {
  scene s = {.built = dyadic_network(1, 1)};
  const char *tmp = getenv("TMPDIR");
  snprintf(s.folder, sizeof s.folder, "%.40s/calibrationXXXXXX", tmp ? tmp : "/tmp");
  assert_non_null(mkdtemp(s.folder));
  snprintf(s.model, sizeof s.model, "%s/model.safetensors", s.folder);
  snprintf(s.file, sizeof s.file, "%s/calibration.safetensors", s.folder);
  s.net = reload(&s, s.built.net);
  s.images = dyadic_images(&s.built, PICTURES);
  snn_error err = {0};
  snn_calibrate_options opt = {
      .method = SNN_INIT_MATCHED, .timesteps = steps, .n_timesteps = 2, .granularity = granularity};
  if (snn_calibrate(s.net, s.images, PICTURES, &opt, &s.made, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  if (snn_calibration_save(s.made, s.file, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return s;
}

static void clear_scene(scene *s) {
  snn_calibration_free(s->made);
  snn_network_free(s->net);
  snn_network_free(s->built.net);
  remove(s->model);
  remove(s->file);
  assert_int_equal(rmdir(s->folder), 0); /* nothing else was left there */
}

static uint8_t *slurp(const char *path, size_t *n) {
  FILE *f = fopen(path, "rb");
  if (!f) fail_msg("cannot open %s", path);
  assert_int_equal(fseek(f, 0, SEEK_END), 0);
  long size = ftell(f);
  rewind(f);
  assert_true(size >= 0);
  uint8_t *bytes = calloc((size_t)size + 1, 1);
  assert_non_null(bytes);
  *n = fread(bytes, 1, (size_t)size, f);
  assert_int_equal(*n, size);
  fclose(f);
  return bytes;
}

static snn_calibration *load(const scene *s) {
  snn_calibration *c = NULL;
  snn_error err = {0};
  if (snn_calibration_load(s->file, s->net, &c, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return c;
}

static void test_round_trip(void **state) {
  (void)state;
  for (int granularity = SNN_GRAIN_LAYER; granularity <= SNN_GRAIN_NEURON; granularity++) {
    scene s = set_scene((snn_granularity)granularity);
    snn_calibration *loaded = load(&s);
    assert_int_equal(snn_calibration_tables(loaded), 2);
    for (size_t t = 0; t < 2; t++) {
      snn_calibration_table key = snn_calibration_table_at(loaded, t);
      assert_true(key.neuron == SNN_NEURON_IF && key.init == SNN_INIT_MATCHED && key.timesteps == steps[t]);
      for (size_t i = 0; i < snn_network_layers(s.net); i++) {
        size_t n[2] = {0, 0};
        const float *x = snn_calibration_potentials(s.made, t, i, &n[0]);
        const float *y = snn_calibration_potentials(loaded, t, i, &n[1]);
        assert_true((x != NULL) == (snn_network_layer(s.net, i).kind == SNN_LAYER_NEURON));
        assert_true((x != NULL) == (y != NULL) && n[0] == n[1]);
        if (x) assert_memory_equal(x, y, n[0] * sizeof *x);
      }
    }
    /* the same calibration is the same file, made again or read back */
    size_t n[2];
    uint8_t *bytes = slurp(s.file, &n[0]), *again;
    snn_calibration_free(s.made);
    s.made = NULL;
    snn_calibrate_options opt = {.method = SNN_INIT_MATCHED,
                                 .timesteps = steps,
                                 .n_timesteps = 2,
                                 .granularity = (snn_granularity)granularity,
                                 .threads = 3};
    assert_int_equal(snn_calibrate(s.net, s.images, PICTURES, &opt, &s.made, NULL), SNN_OK);
    const snn_calibration *both[] = {s.made, loaded};
    for (int k = 0; k < 2; k++) {
      assert_int_equal(snn_calibration_save(both[k], s.file, NULL), SNN_OK); /* beside the one that is mapped */
      again = slurp(s.file, &n[1]);
      assert_int_equal(n[0], n[1]);
      assert_memory_equal(bytes, again, n[0]);
      free(again);
    }
    free(bytes);
    snn_calibration_free(loaded);
    clear_scene(&s);
  }
}

static void test_runs_are_the_same(void **state) {
  (void)state;
  scene s = set_scene(SNN_GRAIN_NEURON);
  size_t n;
  uint8_t *bytes = slurp(s.file, &n);
  snn_calibration *loaded = load(&s), *borrowed = NULL;
  assert_int_equal(snn_calibration_load_memory(bytes, n, s.net, &borrowed, NULL), SNN_OK);
  snn_session *session_ = session(s.net, 2, 0);
  snn_run_options o = {.timesteps = 8, .init = SNN_INIT_MATCHED, .calibration = s.made};
  answers want = run(s.net, session_, s.images, PICTURES, &o);
  const snn_calibration *others[] = {loaded, borrowed};
  for (int k = 0; k < 2; k++) {
    o.calibration = others[k];
    answers got = run(s.net, session_, s.images, PICTURES, &o);
    assert_same(&want, &got);
    free_answers(&got);
  }
  o.init = SNN_INIT_HALF;
  answers half = run(s.net, session_, s.images, PICTURES, &o);
  assert_memory_not_equal(want.scores, half.scores, want.n_scores * sizeof *want.scores);
  free_answers(&half);
  free_answers(&want);
  snn_session_free(session_);
  snn_calibration_free(loaded);
  snn_calibration_free(borrowed);
  free(bytes);
  clear_scene(&s);
}

/* Every shorter file is refused, whatever was cut off. */
static void test_truncation(void **state) {
  (void)state;
  scene s = set_scene(SNN_GRAIN_CHANNEL);
  size_t n;
  uint8_t *bytes = slurp(s.file, &n);
  for (size_t length = 0; length < n; length++) {
    uint8_t *part = malloc(length ? length : 1); /* exactly, so that a sanitizer sees one step too far */
    assert_non_null(part);
    memcpy(part, bytes, length);
    snn_calibration *c = NULL;
    snn_error err = {0};
    snn_status status = snn_calibration_load_memory(part, length, s.net, &c, &err);
    if (status != SNN_ERR_FORMAT || c || !*err.text) fail_msg("%zu of %zu bytes are not refused", length, n);
    free(part);
  }
  free(bytes);
  clear_scene(&s);
}

static void test_bound_to_its_network(void **state) {
  (void)state;
  scene s = set_scene(SNN_GRAIN_LAYER);
  snn_calibration *c = NULL;
  snn_error err = {0};
  ((float *)(uintptr_t)s.built.net->nodes[1].conv.bias)[0] += 1; /* the same layers, another weight */
  snn_network *other = reload(&s, s.built.net);
  assert_int_equal(snn_calibration_load(s.file, other, &c, &err), SNN_ERR_ARGUMENT);
  assert_string_equal(err.where, "model");
  assert_non_null(strstr(err.text, "another network"));
  assert_null(c);
  snn_network_free(other);

  /* a network that was never saved cannot be told again */
  snn_calibrate_options opt = {.method = SNN_INIT_WEIGHTS, .timesteps = steps, .n_timesteps = 2};
  assert_int_equal(snn_calibrate(s.built.net, NULL, 0, &opt, &c, NULL), SNN_OK);
  err = (snn_error){0};
  char path[160];
  snprintf(path, sizeof path, "%s/never", s.folder);
  assert_int_equal(snn_calibration_save(c, path, &err), SNN_ERR_ARGUMENT);
  assert_string_equal(err.where, "model");
  assert_int_equal(access(path, F_OK), -1);
  snn_calibration_free(c);

  snprintf(path, sizeof path, "%s/no/such/folder", s.folder);
  assert_int_equal(snn_calibration_save(s.made, path, NULL), SNN_ERR_IO);
  err = (snn_error){0};
  c = NULL;
  assert_int_equal(snn_calibration_load(path, s.net, &c, &err), SNN_ERR_NOT_FOUND);
  assert_string_equal(err.where, "folder");
  assert_null(c);
  clear_scene(&s);
}

static void test_cases(void **state) {
  (void)state;
  const char *tests = getenv("TESTS_DIR");
  char root[PATH_BYTES / 2], path[PATH_BYTES];
  snn_network *net = NULL;
  snprintf(root, sizeof root, "%s/invalid/calibration", tests ? tests : "tests");
  snprintf(path, sizeof path, "%s/model.safetensors", root);
  assert_int_equal(snn_network_load(path, &net, NULL), SNN_OK);
  DIR *d = opendir(root);
  assert_non_null(d);
  int n_cases = 0;
  bool saw_valid = false;
  for (const struct dirent *e; (e = readdir(d)) != NULL;) {
    if (strchr(e->d_name, '.')) continue;
    size_t n;
    snprintf(path, sizeof path, "%s/%.200s/expected.txt", root, e->d_name);
    char *expected = (char *)slurp(path, &n), *fragment = strchr(expected, '\n');
    assert_non_null(fragment);
    *fragment++ = 0;
    fragment[strcspn(fragment, "\n")] = 0;
    snprintf(path, sizeof path, "%s/%.200s/calibration.safetensors", root, e->d_name);
    snn_calibration *c = NULL;
    snn_error err = {0};
    snn_status status = snn_calibration_load(path, net, &c, &err);
    char said[sizeof err.where + sizeof err.text + 2];
    snprintf(said, sizeof said, "%s: %s", err.where, err.text);
    if (strcmp(snn_status_name(status), expected) != 0)
      fail_msg("%s: %s, expected %s (%s)", e->d_name, snn_status_name(status), expected, said);
    assert_true((c != NULL) == (status == SNN_OK));
    if (c) /* the file that all others were made from by one change */
      saw_valid = true;
    else if (!fragment[0] || !strstr(said, fragment))
      fail_msg("%s: '%s' lacks '%s'", e->d_name, said, fragment);
    snn_calibration_free(c);
    free(expected);
    n_cases++;
  }
  closedir(d);
  assert_true(saw_valid && n_cases >= 25);
  snn_network_free(net);
}

int main(int argc, char **argv) {
  (void)argc;
  wait_patiently(argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip), cmocka_unit_test(test_runs_are_the_same),
      cmocka_unit_test(test_truncation), cmocka_unit_test(test_bound_to_its_network),
      cmocka_unit_test(test_cases),
  };
  return cmocka_run_group_tests_name("calibration file", tests, NULL, NULL);
}
