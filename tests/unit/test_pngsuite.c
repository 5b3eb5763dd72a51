/* The PngSuite pictures: each of the 161 good ones decodes, each of the 14 whose name starts with x is refused.
 *
 * They are not in this repository: CORPUS_DIR names the folder that holds pngsuite.tar.xz; without it the test says
 * that it was skipped. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "snn/image.h"

enum { GOOD = 161, BROKEN = 14, MAX_FOLDER = 1024, MAX_PATH = MAX_FOLDER + 1 + 255 + 1, MAX_FILE = 1 << 20 };

/* Run a program and give its exit status. */
static int run(const char *const *arguments) {
  const pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    execvp(arguments[0], (char *const *)(uintptr_t)arguments);
    _exit(127);
  }
  int status = 0;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static bool ends_in_png(const char *name) {
  const size_t n = strlen(name);
  return n > 4 && strcmp(name + n - 4, ".png") == 0;
}

/* Interlaced twins (basi… of basn…, s05i… of s05n…) must show the same picture. */
static void check_twin(const char *folder, const char *name, const snn_image *image) {
  char path[MAX_PATH];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  char *letter = path + strlen(folder) + 1 + 3;
  if (*letter != 'i' || (strncmp(name, "bas", 3) != 0 && name[0] != 's')) return;
  *letter = 'n';
  snn_mapping file = {0};
  snn_image twin = {0};
  assert_int_equal(snn_map_file(path, MAX_FILE, &file, NULL), SNN_OK);
  assert_int_equal(snn_image_decode_png(file.bytes, file.n_bytes, NULL, &twin, NULL), SNN_OK);
  assert_int_equal(twin.width, image->width);
  assert_int_equal(twin.height, image->height);
  assert_int_equal(twin.channels, image->channels);
  assert_memory_equal(twin.pixels, image->pixels, (size_t)twin.width * twin.height * twin.channels);
  snn_image_free(&twin);
  snn_unmap(&file);
}

static void check_folder(const char *folder) {
  int n_good = 0, n_broken = 0;
  DIR *d = opendir(folder);
  assert_non_null(d);
  for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
    if (!ends_in_png(e->d_name)) continue;
    char path[MAX_PATH];
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    snn_mapping file = {0};
    snn_image image = {0};
    snn_error err = {0};
    assert_int_equal(snn_map_file(path, MAX_FILE, &file, NULL), SNN_OK);
    const snn_status status = snn_image_decode_png(file.bytes, file.n_bytes, NULL, &image, &err);
    if (e->d_name[0] == 'x') {
      if (status != SNN_ERR_FORMAT) fail_msg("%s: expected a format error, got %s", e->d_name, snn_status_name(status));
      n_broken++;
    } else {
      if (status != SNN_OK) fail_msg("%s: %s", e->d_name, err.text);
      uint8_t out[32 * 32 * 3];
      assert_int_equal(snn_image_resample(&image, (snn_shape){3, 32, 32}, 255, out, NULL), SNN_OK);
      check_twin(folder, e->d_name, &image);
      n_good++;
    }
    snn_image_free(&image);
    snn_unmap(&file);
  }
  closedir(d);
  assert_int_equal(n_good, GOOD);
  assert_int_equal(n_broken, BROKEN);
}

static void test_pngsuite(void **state) {
  (void)state;
  const char *corpus = getenv("CORPUS_DIR"), *tmp = getenv("TMPDIR");
  if (!corpus || !*corpus) {
    print_message("CORPUS_DIR is not set: PngSuite is skipped\n");
    skip();
  }
  char archive[MAX_PATH], folder[MAX_FOLDER / 2], pictures[MAX_FOLDER];
  snprintf(archive, sizeof archive, "%s/pngsuite.tar.xz", corpus);
  snprintf(folder, sizeof folder, "%s/pngsuite.XXXXXX", tmp && *tmp ? tmp : "/tmp");
  assert_non_null(mkdtemp(folder));
  const char *const unpack[] = {"tar", "-xJf", archive, "-C", folder, NULL};
  const char *const clean[] = {"rm", "-rf", folder, NULL};
  const int unpacked = run(unpack);
  if (unpacked == 0) {
    snprintf(pictures, sizeof pictures, "%s/pngsuite", folder);
    check_folder(pictures);
  }
  assert_int_equal(run(clean), 0);
  assert_int_equal(unpacked, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_pngsuite)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
