/* Data sets: each format made in a temporary folder, read back, and its broken variants refused by name. */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "snn/dataset.h"
#include "snn/image.h"

enum { MAX_PATH = 1024, RECORD = 3073 };

static char root[256]; /* of this test, made and removed around it */

static int make_root(void **state) {
  (void)state;
  const char *tmp = getenv("TMPDIR");
  snprintf(root, sizeof root, "%s/dataset.XXXXXX", tmp && *tmp ? tmp : "/tmp");
  return mkdtemp(root) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw) {
  (void)st;
  (void)kind;
  (void)ftw;
  return remove(path);
}

static int remove_root(void **state) {
  (void)state;
  return nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static const char *in_root(const char *name) {
  static char path[MAX_PATH];
  snprintf(path, sizeof path, "%s/%s", root, name);
  return path;
}

static void make_folder(const char *name) {
  assert_int_equal(mkdir(in_root(name), 0700), 0);
}

static void write_file(const char *name, const void *bytes, size_t n) {
  FILE *f = fopen(in_root(name), "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

/* A gray PNG of w x h pixels of one value. */
static void write_png(const char *name, uint32_t w, uint32_t h, uint8_t value) {
  uint8_t pixels[64];
  assert_true(w * h <= sizeof pixels);
  memset(pixels, value, sizeof pixels);
  const snn_image image = {w, h, 1, pixels};
  uint8_t *bytes = NULL;
  size_t n = 0;
  assert_int_equal(snn_image_encode_png(&image, &bytes, &n, NULL), SNN_OK);
  write_file(name, bytes, n);
  free(bytes);
}

static snn_dataset *open_or_fail(const char *path, const snn_dataset_options *opt) {
  snn_dataset *d = NULL;
  snn_error err = {0};
  if (snn_dataset_open(path, opt, &d, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  return d;
}

static void check_refused(const char *path, const snn_dataset_options *opt, snn_status status, const char *where,
                          const char *text) {
  snn_dataset *d = NULL;
  snn_error err = {0};
  const snn_status got = snn_dataset_open(path, opt, &d, &err);
  if (got != status) fail_msg("%s, not %s: %s: %s", snn_status_name(got), snn_status_name(status), err.where, err.text);
  assert_null(d);
  assert_string_equal(err.where, where);
  if (!strstr(err.text, text)) fail_msg("\"%s\" does not hold \"%s\"", err.text, text);
}

static void check_item(const snn_dataset *d, size_t i, const char *item, int32_t label, int value) {
  char buf[64];
  assert_string_equal(snn_dataset_item(d, i, buf, sizeof buf), item);
  assert_int_equal(snn_dataset_label(d, i), label);
  uint8_t out[2 * 2];
  snn_error err = {0};
  if (snn_dataset_read(d, i, (snn_shape){1, 2, 2}, 0, out, &err) != SNN_OK) fail_msg("%s: %s", err.where, err.text);
  for (int k = 0; k < 4; k++) assert_int_equal(out[k], value);
}

static void make_tree(void) {
  make_folder("cat");
  make_folder("Ant");
  make_folder(".hidden");
  write_png("cat/10.png", 2, 2, 10);
  write_png("cat/9.PNG", 4, 4, 9);
  write_png("cat/.8.png", 2, 2, 8);
  write_png("Ant/x.png", 1, 1, 77);
  write_file("cat/notes.txt", "hello", 5);
  make_folder("cat/deeper.png");
  assert_int_equal(symlink("..", in_root("cat/up")), 0);
  assert_int_equal(symlink("self", in_root("self")), 0);
  assert_int_equal(symlink("nowhere", in_root("cat/dangling.png")), 0);
}

static void test_class_folders(void **state) {
  (void)state;
  make_tree();
  snn_dataset *d = open_or_fail(root, NULL);
  assert_int_equal(snn_dataset_count(d), 3);
  assert_true(snn_dataset_labelled(d));
  check_item(d, 0, "Ant/x.png", 0, 77); /* byte order: capitals first, "10" before "9" */
  check_item(d, 1, "cat/10.png", 1, 10);
  check_item(d, 2, "cat/9.PNG", 1, 9);
  char buf[8];
  assert_int_equal(snn_dataset_label(d, 3), -1);
  assert_string_equal(snn_dataset_item(d, 3, buf, sizeof buf), "#3");
  assert_string_equal(snn_dataset_item(d, 1, buf, sizeof buf), "cat/10.");
  uint8_t out[12];
  snn_error err = {0};
  assert_int_equal(snn_dataset_read(d, 3, (snn_shape){1, 2, 2}, 0, out, &err), SNN_ERR_ARGUMENT);
  assert_int_equal(snn_dataset_read(d, 0, (snn_shape){2, 1, 1}, 0, out, NULL), SNN_ERR_ARGUMENT);
  assert_int_equal(snn_dataset_read(d, 0, (snn_shape){3, 2, 2}, 0, out, NULL), SNN_OK);
  for (int k = 0; k < 12; k++) assert_int_equal(out[k], 77);
  snn_dataset_free(d);

  char path[MAX_PATH];
  snprintf(path, sizeof path, "%s///", root);
  d = open_or_fail(path, NULL);
  assert_int_equal(snn_dataset_count(d), 3);
  check_item(d, 0, "Ant/x.png", 0, 77);
  snn_dataset_free(d);
}

static void test_class_folders_take_the_models_labels(void **state) {
  (void)state;
  make_tree();
  const char *const labels[] = {"dog", "cat", "bee", "Ant"};
  snn_dataset *d = open_or_fail(root, &(snn_dataset_options){labels, 4});
  check_item(d, 0, "Ant/x.png", 3, 77);
  check_item(d, 1, "cat/10.png", 1, 10);
  snn_dataset_free(d);
  check_refused(root, &(snn_dataset_options){labels, 3}, SNN_ERR_ARGUMENT, "Ant", "\"dog\"");
}

static void test_class_folders_refused(void **state) {
  (void)state;
  make_tree();
  make_folder("empty");
  write_file("empty/readme.txt", "", 0);
  check_refused(root, NULL, SNN_ERR_ARGUMENT, "empty", "no PNG");
  write_png("empty/a.png", 1, 1, 1);
  snn_dataset *d = open_or_fail(root, NULL);
  assert_int_equal(snn_dataset_count(d), 4);

  /* pictures that break or go after opening are named */
  uint8_t out[4];
  snn_error err = {0};
  write_file("cat/10.png", "no picture", 10);
  assert_int_equal(snn_dataset_read(d, 1, (snn_shape){1, 2, 2}, 0, out, &err), SNN_ERR_FORMAT);
  assert_string_equal(err.where, "cat/10.png");
  assert_string_equal(err.text, "not a PNG");
  write_file("cat/10.png", "", 0);
  assert_int_equal(snn_dataset_read(d, 1, (snn_shape){1, 2, 2}, 0, out, NULL), SNN_ERR_FORMAT);
  assert_int_equal(unlink(in_root("cat/10.png")), 0);
  err = (snn_error){0};
  assert_int_equal(snn_dataset_read(d, 1, (snn_shape){1, 2, 2}, 0, out, &err), SNN_ERR_NOT_FOUND);
  assert_string_equal(err.where, "cat/10.png");
  snn_dataset_free(d);

  write_png("stray.png", 1, 1, 1);
  check_refused(root, NULL, SNN_ERR_ARGUMENT, strrchr(root, '/') + 1, "both pictures and folders");
}

static void test_flat_folder(void **state) {
  (void)state;
  write_png("b.png", 1, 1, 2);
  write_png("a.png", 8, 8, 1);
  write_file("data.bin", "x", 1);
  snn_dataset *d = open_or_fail(root, NULL);
  assert_int_equal(snn_dataset_count(d), 2);
  assert_false(snn_dataset_labelled(d));
  check_item(d, 0, "a.png", -1, 1);
  check_item(d, 1, "b.png", -1, 2);
  snn_dataset_free(d);
  check_refused(in_root("a.png"), NULL, SNN_ERR_ARGUMENT, "a.png", "folder");
}

static void test_nothing_there(void **state) {
  (void)state;
  check_refused(root, NULL, SNN_ERR_ARGUMENT, strrchr(root, '/') + 1, "no PNG");
  check_refused(in_root("absent"), NULL, SNN_ERR_NOT_FOUND, "absent", "no such");
  write_file("text", "just some text", 14);
  check_refused(in_root("text"), NULL, SNN_ERR_FORMAT, "text", "neither");
  check_refused(in_root("text/more"), NULL, SNN_ERR_NOT_FOUND, "more", "no such");
  write_file("nothing", "", 0);
  check_refused(in_root("nothing"), NULL, SNN_ERR_FORMAT, "nothing", "neither");
  write_file("t10k-images-idx3-ubyte.gz", "\x1f\x8b\x08\0", 4);
  check_refused(in_root("t10k-images-idx3-ubyte.gz"), NULL, SNN_ERR_UNSUPPORTED, "t10k-images-idx3-ubyte.gz", "gzip");
  assert_int_equal(mkfifo(in_root("fifo"), 0600), 0);
  check_refused(in_root("fifo"), NULL, SNN_ERR_IO, "fifo", "regular");
}

/* n records; the picture of record i is (i + 1, 2i + 2, 100) with its first pixel's red at 255. */
static void write_cifar(const char *name, size_t n, uint8_t label, size_t n_extra) {
  uint8_t *bytes = calloc(n + 1, RECORD);
  assert_non_null(bytes);
  for (size_t i = 0; i < n; i++) {
    uint8_t *p = bytes + i * RECORD;
    p[0] = (uint8_t)(label + i);
    memset(p + 1, (int)(i + 1), 1024);
    memset(p + 1025, (int)(2 * i + 2), 1024);
    memset(p + 2049, 100, 1024);
    p[1] = 255;
  }
  write_file(name, bytes, n * RECORD + n_extra);
  free(bytes);
}

static void test_cifar_file(void **state) {
  (void)state;
  write_cifar("any-name", 3, 7, 0);
  snn_dataset *d = open_or_fail(in_root("any-name"), NULL);
  assert_int_equal(snn_dataset_count(d), 3);
  assert_true(snn_dataset_labelled(d));
  assert_int_equal(snn_dataset_label(d, 0), 7);
  assert_int_equal(snn_dataset_label(d, 2), 9);
  char buf[16];
  assert_string_equal(snn_dataset_item(d, 2, buf, sizeof buf), "#2");
  uint8_t out[32 * 32 * 3];
  assert_int_equal(snn_dataset_read(d, 2, (snn_shape){3, 32, 32}, 0, out, NULL), SNN_OK);
  assert_memory_equal(out, ((uint8_t[]){255, 6, 100, 3, 6, 100}), 6);
  assert_memory_equal(out + sizeof out - 3, ((uint8_t[]){3, 6, 100}), 3);
  assert_int_equal(snn_dataset_read(d, 2, (snn_shape){1, 32, 32}, 0, out, NULL), SNN_OK);
  assert_int_equal(out[1], (19595 * 3 + 38470 * 6 + 7471 * 100 + 32768) >> 16);
  assert_int_equal(snn_dataset_read(d, 1, (snn_shape){3, 1, 1}, 0, out, NULL), SNN_OK);
  assert_memory_equal(out, ((uint8_t[]){2, 4, 100}), 3);
  snn_dataset_free(d);
  const char *const labels[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};
  check_refused(in_root("any-name"), &(snn_dataset_options){labels, 9}, SNN_ERR_ARGUMENT, "any-name", "class 9");
}

static void test_cifar_refused(void **state) {
  (void)state;
  write_cifar("long.bin", 2, 0, 1);
  check_refused(in_root("long.bin"), NULL, SNN_ERR_FORMAT, "long.bin", "6147 bytes");
  write_cifar("empty.bin", 0, 0, 0);
  check_refused(in_root("empty.bin"), NULL, SNN_ERR_FORMAT, "empty.bin", "0 bytes");
  write_cifar("label.bin", 2, 9, 0);
  check_refused(in_root("label.bin"), NULL, SNN_ERR_FORMAT, "label.bin", "label 10");
  check_refused(root, NULL, SNN_ERR_FORMAT, "empty.bin", "0 bytes");
}

static void test_cifar_folder(void **state) {
  (void)state;
  write_cifar("test_batch.bin", 1, 5, 0);
  write_cifar("x.bin", 2, 6, 0);
  write_file("batches.meta.txt", "cat\n", 4);
  snn_dataset *d = open_or_fail(root, NULL);
  assert_int_equal(snn_dataset_count(d), 3); /* no training batches: all files */
  snn_dataset_free(d);
  write_cifar("data_batch_2.bin", 3, 2, 0);
  write_cifar("data_batch_1.bin", 2, 0, 0);
  d = open_or_fail(root, NULL);
  assert_int_equal(snn_dataset_count(d), 5);
  const int labels[] = {0, 1, 2, 3, 4};
  for (size_t i = 0; i < 5; i++) assert_int_equal(snn_dataset_label(d, i), labels[i]);
  char buf[32];
  assert_string_equal(snn_dataset_item(d, 1, buf, sizeof buf), "data_batch_1.bin #1");
  assert_string_equal(snn_dataset_item(d, 2, buf, sizeof buf), "data_batch_2.bin #0");
  uint8_t out[3];
  assert_int_equal(snn_dataset_read(d, 4, (snn_shape){3, 1, 1}, 0, out, NULL), SNN_OK);
  assert_memory_equal(out, ((uint8_t[]){3, 6, 100}), 3);
  snn_dataset_free(d);
}

/* Magic and dimensions, then bytes 0, 1, 2, … */
static void write_idx(const char *name, uint8_t n_dimensions, const uint32_t *dimensions, size_t n_data) {
  uint8_t bytes[512] = {0, 0, 8, n_dimensions};
  size_t n = 4;
  for (size_t k = 0; k < n_dimensions; k++)
    for (int shift = 24; shift >= 0; shift -= 8) bytes[n++] = (uint8_t)(dimensions[k] >> shift);
  assert_true(n + n_data <= sizeof bytes);
  for (size_t i = 0; i < n_data; i++) bytes[n++] = (uint8_t)i;
  write_file(name, bytes, n);
}

static void test_idx_gray(void **state) {
  (void)state;
  write_idx("t-images-idx3-ubyte", 3, (uint32_t[]){3, 2, 4}, 24);
  snn_dataset *d = open_or_fail(in_root("t-images-idx3-ubyte"), NULL);
  assert_int_equal(snn_dataset_count(d), 3);
  assert_false(snn_dataset_labelled(d));
  assert_int_equal(snn_dataset_label(d, 0), -1);
  uint8_t out[24];
  assert_int_equal(snn_dataset_read(d, 2, (snn_shape){1, 2, 4}, 0, out, NULL), SNN_OK);
  assert_memory_equal(out, ((uint8_t[]){16, 17, 18, 19, 20, 21, 22, 23}), 8);
  assert_int_equal(snn_dataset_read(d, 1, (snn_shape){3, 2, 4}, 0, out, NULL), SNN_OK);
  assert_memory_equal(out, ((uint8_t[]){8, 8, 8, 9, 9, 9, 10, 10, 10}), 9);
  assert_int_equal(snn_dataset_read(d, 0, (snn_shape){1, 1, 2}, 0, out, NULL), SNN_OK);
  assert_memory_equal(out, ((uint8_t[]){3, 5}), 2); /* means of 0 1 4 5 and 2 3 6 7: 2.5 and 4.5 */
  snn_dataset_free(d);

  write_idx("t-labels-idx1-ubyte", 1, (uint32_t[]){3}, 3);
  d = open_or_fail(in_root("t-images-idx3-ubyte"), NULL);
  assert_true(snn_dataset_labelled(d));
  for (size_t i = 0; i < 3; i++) assert_int_equal(snn_dataset_label(d, i), i);
  char buf[16];
  assert_string_equal(snn_dataset_item(d, 1, buf, sizeof buf), "#1");
  snn_dataset_free(d);
  const char *const labels[] = {"zero", "one"};
  check_refused(in_root("t-images-idx3-ubyte"), &(snn_dataset_options){labels, 2}, SNN_ERR_ARGUMENT,
                "t-labels-idx1-ubyte", "class 2");
  check_refused(in_root("t-labels-idx1-ubyte"), NULL, SNN_ERR_ARGUMENT, "t-labels-idx1-ubyte", "image file");
}

static void test_idx_rgb(void **state) {
  (void)state;
  write_idx("t.images.idx4", 4, (uint32_t[]){2, 3, 1, 2}, 12);
  write_idx("t.labels.idx1", 1, (uint32_t[]){2}, 2);
  snn_dataset *d = open_or_fail(in_root("t.images.idx4"), NULL);
  assert_int_equal(snn_dataset_count(d), 2);
  assert_int_equal(snn_dataset_label(d, 1), 1);
  uint8_t out[6];
  assert_int_equal(snn_dataset_read(d, 1, (snn_shape){3, 1, 2}, 0, out, NULL), SNN_OK);
  assert_memory_equal(out, ((uint8_t[]){6, 8, 10, 7, 9, 11}), 6);
  snn_dataset_free(d);
  write_idx("t2.images.idx4", 4, (uint32_t[]){2, 2, 1, 2}, 8);
  check_refused(in_root("t2.images.idx4"), NULL, SNN_ERR_UNSUPPORTED, "t2.images.idx4", "2 channels");
}

static void test_idx_refused(void **state) {
  (void)state;
  const struct {
    uint8_t n_dimensions;
    uint32_t dimensions[4];
    size_t n_data;
    snn_status status;
  } bad[] = {{3, {3, 2, 4}, 23, SNN_ERR_FORMAT},
             {3, {3, 2, 4}, 25, SNN_ERR_FORMAT},
             {3, {0, 2, 4}, 0, SNN_ERR_ARGUMENT},
             {3, {1, 0, 4}, 0, SNN_ERR_ARGUMENT},
             {3, {1000001, 1, 1}, 9, SNN_ERR_TOO_LARGE},
             {3, {1, 4097, 1}, 9, SNN_ERR_TOO_LARGE},
             {3, {1, 1, 0xffffffff}, 9, SNN_ERR_TOO_LARGE},
             {3, {1000000, 4096, 4096}, 9, SNN_ERR_FORMAT}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    write_idx("images", bad[i].n_dimensions, bad[i].dimensions, bad[i].n_data);
    check_refused(in_root("images"), NULL, bad[i].status, "images", "");
  }
  write_file("images", "\0\0\x08\x03\0\0\0\1\0\0", 10);
  check_refused(in_root("images"), NULL, SNN_ERR_FORMAT, "images", "truncated");
  write_file("images", "\0\0\x0d\x03\0\0\0\1\0\0", 10); /* floats */
  check_refused(in_root("images"), NULL, SNN_ERR_FORMAT, "images", "neither");

  write_idx("images", 3, (uint32_t[]){3, 1, 1}, 3);
  write_idx("labels", 1, (uint32_t[]){2}, 2);
  check_refused(in_root("images"), NULL, SNN_ERR_FORMAT, "labels", "3 pictures");
  write_idx("labels", 1, (uint32_t[]){3}, 2);
  check_refused(in_root("images"), NULL, SNN_ERR_FORMAT, "labels", "2 bytes");
  write_file("labels", "x", 1);
  check_refused(in_root("images"), NULL, SNN_ERR_FORMAT, "labels", "IDX labels");
}

/* A CIFAR-10 file whose first four bytes look like IDX is CIFAR-10, and an IDX file may be named *.bin. */
static void test_idx_and_cifar_are_told_apart(void **state) {
  (void)state;
  uint8_t record[RECORD] = {0, 0, 8, 3};
  write_file("a.bin", record, sizeof record);
  snn_dataset *d = open_or_fail(in_root("a.bin"), NULL);
  assert_true(snn_dataset_labelled(d));
  assert_int_equal(snn_dataset_count(d), 1);
  snn_dataset_free(d);
  write_idx("b.bin", 3, (uint32_t[]){2, 2, 2}, 8);
  d = open_or_fail(in_root("b.bin"), NULL);
  assert_false(snn_dataset_labelled(d));
  assert_int_equal(snn_dataset_count(d), 2);
  snn_dataset_free(d);
}

static void test_free_null(void **state) {
  (void)state;
  snn_dataset_free(NULL);
}

#define IN_ROOT(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)

int main(void) {
  const struct CMUnitTest tests[] = {
      IN_ROOT(test_class_folders),
      IN_ROOT(test_class_folders_take_the_models_labels),
      IN_ROOT(test_class_folders_refused),
      IN_ROOT(test_flat_folder),
      IN_ROOT(test_nothing_there),
      IN_ROOT(test_cifar_file),
      IN_ROOT(test_cifar_refused),
      IN_ROOT(test_cifar_folder),
      IN_ROOT(test_idx_gray),
      IN_ROOT(test_idx_rgb),
      IN_ROOT(test_idx_refused),
      IN_ROOT(test_idx_and_cifar_are_told_apart),
      cmocka_unit_test(test_free_null),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
