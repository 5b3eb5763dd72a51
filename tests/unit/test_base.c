/* The base room: checked sizes, memory, error text, files, the machine. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "base/machine.h"
#include "base/memory.h"
#include "snn/session.h"

/* ---- sizes and memory ---- */

static void test_checked_math(void **state) {
  (void)state;
  size_t n = 7;
  assert_true(snn_mul(SIZE_MAX / 2, 2, &n));
  assert_int_equal(n, SIZE_MAX - 1);
  assert_false(snn_mul(SIZE_MAX / 2 + 1, 2, &n));
  assert_true(snn_mul(SIZE_MAX, 0, &n));
  assert_int_equal(n, 0);
  assert_true(snn_add(SIZE_MAX, 0, &n));
  assert_false(snn_add(SIZE_MAX, 1, &n));
}

static bool all_zero(const unsigned char *p, size_t n) {
  for (size_t i = 0; i < n; i++)
    if (p[i]) return false;
  return true;
}

static void test_alloc_array(void **state) {
  (void)state;
  unsigned char *p = snn_alloc_array(33, 3);
  assert_non_null(p);
  assert_int_equal((uintptr_t)p % 64, 0);
  assert_true(all_zero(p, 99));
  free(p);
  p = snn_alloc_array(0, 8);
  assert_non_null(p);
  free(p);
  assert_null(snn_alloc_array(SIZE_MAX / 4 + 1, 4));
  assert_null(snn_alloc_array(SIZE_MAX, 1)); /* fits, but cannot be rounded up to whole cache lines */
}

static void test_arena(void **state) {
  (void)state;
  snn_arena arena = {0};
  unsigned char *blocks[200];
  size_t sizes[200];
  for (size_t i = 0; i < 200; i++) { /* across many blocks, some larger than a block */
    sizes[i] = i % 50 == 49 ? 40000 : 1 + i * 7;
    blocks[i] = snn_arena_alloc(&arena, sizes[i], 1);
    assert_non_null(blocks[i]);
    assert_int_equal((uintptr_t)blocks[i] % 64, 0);
    assert_true(all_zero(blocks[i], sizes[i]));
    memset(blocks[i], (int)i + 1, sizes[i]);
  }
  for (size_t i = 0; i < 200; i++) /* nobody wrote into another's */
    assert_true(blocks[i][0] == (unsigned char)(i + 1) && blocks[i][sizes[i] - 1] == (unsigned char)(i + 1));
  assert_null(snn_arena_alloc(&arena, SIZE_MAX / 8 + 1, 8));
  assert_null(snn_arena_alloc(&arena, SIZE_MAX - 100, 1));
  assert_null(snn_arena_alloc(&arena, SIZE_MAX - 64, 1));
  void *a = snn_arena_alloc(&arena, 0, 8), *b = snn_arena_alloc(&arena, 0, 8);
  assert_true(a && b && a != b);
  char *text = snn_arena_text(&arena, "spikes", 3);
  assert_string_equal(text, "spi");
  assert_string_equal(snn_arena_text(&arena, "x", 0), "");
  assert_null(snn_arena_text(&arena, "x", SIZE_MAX));
  snn_arena_free(&arena);
  assert_null(arena.blocks);
  snn_arena_free(&arena); /* an empty arena again */
}

/* ---- errors ---- */

static void test_first_error_wins(void **state) {
  (void)state;
  snn_error err = {0};
  assert_int_equal(snn_fail(&err, SNN_ERR_FORMAT, "conv1", "kernel %d", 3), SNN_ERR_FORMAT);
  assert_int_equal(snn_fail(&err, SNN_ERR_IO, "other", "later"), SNN_ERR_IO); /* returned, not recorded */
  assert_int_equal(err.status, SNN_ERR_FORMAT);
  assert_string_equal(err.where, "conv1");
  assert_string_equal(err.text, "kernel 3");
  assert_int_equal(snn_fail(NULL, SNN_ERR_TOO_LARGE, NULL, "%s", "nobody listens"), SNN_ERR_TOO_LARGE);
  err = (snn_error){0};
  assert_int_equal(snn_fail_errno(&err, "file", "cannot open", ENOENT), SNN_ERR_IO);
  assert_string_equal(err.text, "cannot open: No such file or directory");
  err = (snn_error){0};
  assert_int_equal(snn_fail_memory(&err, "weights"), SNN_ERR_NO_MEMORY);
  assert_string_equal(err.where, "");
  assert_string_equal(err.text, "out of memory for weights");
}

static void test_error_text_is_printable(void **state) {
  (void)state;
  static const struct {
    const char *raw, *shown;
  } cases[] = {
      {"a\nb\x01\x7f\x1b[0m", "a?b???[0m"},                                                       /* control bytes */
      {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"}, /* good UTF-8 */
      {"\xff\xfe", "??"},                                                                         /* never in UTF-8 */
      {"\xc3(", "?("},                          /* a lead byte without its follower */
      {"\xa9x", "?x"},                          /* a follower alone */
      {"\xc0\xaf", "??"},                       /* overlong */
      {"\xe0\x80\xaf", "???"},                  /* overlong */
      {"\xf0\x80\x80\xaf", "????"},             /* overlong */
      {"\xed\xa0\x80", "???"},                  /* a surrogate */
      {"\xf4\x90\x80\x80", "????"},             /* past U+10FFFF */
      {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"}, /* the last one */
      {"\xf5\x80\x80\x80", "????"},             /* past it */
      {"\xc2\x85", "??"},                       /* a control character of two bytes */
      {"\xe2\x82", "??"},                       /* cut off */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    snn_error err = {0};
    snn_fail(&err, SNN_ERR_FORMAT, cases[i].raw, "%s", cases[i].raw);
    assert_string_equal(err.where, cases[i].shown);
    assert_string_equal(err.text, cases[i].shown);
  }
  char longer[1000];
  for (size_t i = 0; i + 2 < sizeof longer; i += 2) memcpy(longer + i, "\xc3\xa9", 2);
  longer[998] = longer[999] = 0;
  snn_error err = {0};
  snn_fail(&err, SNN_ERR_FORMAT, longer, "%s", longer); /* the buffer's end cuts the last character in two */
  assert_int_equal(strlen(err.where), sizeof err.where - 1);
  assert_int_equal(strlen(err.text), sizeof err.text - 1);
  assert_int_equal(err.where[sizeof err.where - 2], '?');
  assert_int_equal(err.text[sizeof err.text - 2], '?');
  assert_memory_equal(err.text, longer, sizeof err.text - 2);
}

static void test_status_names(void **state) {
  (void)state;
  for (int i = 0; i < SNN_STATUS_COUNT; i++) {
    assert_string_not_equal(snn_status_name((snn_status)i), "unknown");
    for (int j = 0; j < i; j++) assert_string_not_equal(snn_status_name((snn_status)i), snn_status_name((snn_status)j));
  }
  assert_string_equal(snn_status_name(SNN_STATUS_COUNT), "unknown");
}

static void test_sha256(void **state) {
  (void)state;
  char hex[SNN_SHA256_HEX];
  snn_sha256_hex("abc", 3, hex); /* FIPS 180-2, appendix B.1 */
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* ---- files ---- */

static char folder[] = "/tmp/test_base.XXXXXX";

static char *in_folder(const char *name, char path[256]) {
  snprintf(path, 256, "%s/%s", folder, name);
  return path;
}

static int make_folder(void **state) {
  (void)state;
  return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state) {
  (void)state;
  return rmdir(folder);
}

/* Nothing was left behind: temporary files in particular. */
static void assert_folder_is_empty(void) {
  DIR *d = opendir(folder);
  assert_non_null(d);
  for (struct dirent *e; (e = readdir(d));)
    if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) fail_msg("%s was left behind", e->d_name);
  closedir(d);
}

static void write_file(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static void assert_holds(const char *path, const char *text) {
  snn_mapping m;
  assert_int_equal(snn_map_file(path, 1000, &m, NULL), SNN_OK);
  assert_int_equal(m.n_bytes, strlen(text));
  if (m.n_bytes) assert_memory_equal(m.bytes, text, m.n_bytes);
  snn_unmap(&m);
  assert_null(m.bytes);
}

static void test_map_file(void **state) {
  (void)state;
  char path[256], inside[256];
  write_file(in_folder("f", path), "0123456789");
  assert_holds(path, "0123456789");
  const struct {
    const char *path;
    size_t limit;
    snn_status status;
  } refused[] = {
      {in_folder("f/below", inside), 10, SNN_ERR_NOT_FOUND}, {path, 9, SNN_ERR_TOO_LARGE}, {folder, 10, SNN_ERR_IO}};
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
    snn_error err = {0};
    snn_mapping m = {(const uint8_t *)"untouched", 3};
    assert_int_equal(snn_map_file(refused[i].path, refused[i].limit, &m, &err), refused[i].status);
    assert_int_equal(err.status, refused[i].status);
    assert_null(strchr(err.where, '/')); /* never a full path */
    assert_int_equal(m.n_bytes, 3);
  }
  unlink(path);
  snn_error err = {0};
  snn_mapping m;
  assert_int_equal(snn_map_file(path, 10, &m, &err), SNN_ERR_NOT_FOUND);
  assert_string_equal(err.where, "f");
  write_file(path, "");
  assert_holds(path, "");
  unlink(path);
  assert_int_equal(mkfifo(path, 0600), 0);
  alarm(20); /* opening it must not wait for a writer */
  assert_int_equal(snn_map_file(path, 10, &m, NULL), SNN_ERR_IO);
  alarm(0);
  unlink(path);
}

static void test_replace(void **state) {
  (void)state;
  char path[256];
  snn_replace r;
  snn_error err = {0};
  write_file(in_folder("f", path), "old");
  assert_int_equal(snn_replace_begin(path, &r, &err), SNN_OK);
  assert_int_equal(snn_replace_write(&r, "ne", 2, &err), SNN_OK);
  assert_int_equal(snn_replace_write(&r, "w", 1, &err), SNN_OK);
  assert_holds(path, "old"); /* until it is committed */
  assert_int_equal(snn_replace_commit(&r, &err), SNN_OK);
  assert_holds(path, "new");
  snn_replace_abort(&r); /* allowed at any time */
  assert_int_equal(snn_replace_begin(path, &r, &err), SNN_OK);
  assert_int_equal(snn_replace_write(&r, "never", 5, &err), SNN_OK);
  snn_replace_abort(&r);
  assert_holds(path, "new");
  unlink(path);
  assert_folder_is_empty();
}

static void test_replace_keeps_permissions_of_umask(void **state) {
  (void)state;
  char path[256];
  snn_replace r;
  struct stat st;
  mode_t mask = umask(027);
  assert_int_equal(snn_replace_begin(in_folder("g", path), &r, NULL), SNN_OK);
  assert_int_equal(snn_replace_commit(&r, NULL), SNN_OK);
  umask(mask);
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0640);
  unlink(path);
  assert_folder_is_empty();
}

static void test_replace_fails_cleanly(void **state) {
  (void)state;
  char path[256];
  snn_replace r;
  snn_error err = {0};
  assert_int_equal(snn_replace_begin(in_folder("missing/f", path), &r, &err), SNN_ERR_IO);
  assert_string_equal(err.where, "f");
  assert_int_equal(mkdir(in_folder("sub", path), 0700), 0); /* a folder stands where the file should go */
  err = (snn_error){0};
  assert_int_equal(snn_replace_begin(path, &r, &err), SNN_OK);
  assert_int_equal(snn_replace_commit(&r, &err), SNN_ERR_IO);
  assert_int_equal(rmdir(path), 0);
  assert_folder_is_empty();
}

static void test_base_name(void **state) {
  (void)state;
  assert_string_equal(snn_base_name("a/b/c.bin"), "c.bin");
  assert_string_equal(snn_base_name("/c"), "c");
  assert_string_equal(snn_base_name("c"), "c");
}

/* ---- the machine ---- */

static void put_text(const char *at, const char *name, const char *text) {
  char path[600];
  snprintf(path, sizeof path, "%s/%s", at, name);
  FILE *f = fopen(path, "we");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

static void test_control_groups_limit_cpus(void **state) {
  (void)state;
  char root[] = "/tmp/snn-cgroup-XXXXXX", pod[100], app[100], groups[100], first[100], old[100];
  assert_non_null(mkdtemp(root));
  snprintf(pod, sizeof pod, "%s/pod", root);
  snprintf(app, sizeof app, "%s/pod/app", root);
  snprintf(first, sizeof first, "%s/cpu", root);
  snprintf(old, sizeof old, "%s/cpu/old", root);
  snprintf(groups, sizeof groups, "%s/groups", root);
  const char *folders[] = {pod, app, first, old};
  for (int i = 0; i < 4; i++) assert_int_equal(mkdir(folders[i], 0700), 0);

  put_text(root, "groups", "0::/pod/app\n");
  assert_int_equal(snn_cgroup_cpus(root, groups), 0); /* no limit anywhere */
  put_text(app, "cpu.max", "max 100000\n");
  assert_int_equal(snn_cgroup_cpus(root, groups), 0);
  put_text(pod, "cpu.max", "250000 100000\n"); /* a parent's limit counts, and is rounded up */
  assert_int_equal(snn_cgroup_cpus(root, groups), 3);
  put_text(app, "cpu.max", "50000 100000\n"); /* the tightest one does */
  assert_int_equal(snn_cgroup_cpus(root, groups), 1);
  put_text(app, "cpu.max", "nonsense\n");
  assert_int_equal(snn_cgroup_cpus(root, groups), 3);

  put_text(root, "groups", "5:memory:/pod\n4:cpu,cpuacct:/old\n"); /* version 1 */
  put_text(old, "cpu.cfs_quota_us", "-1\n");
  put_text(old, "cpu.cfs_period_us", "100000\n");
  assert_int_equal(snn_cgroup_cpus(root, groups), 0);
  put_text(old, "cpu.cfs_quota_us", "150000\n");
  assert_int_equal(snn_cgroup_cpus(root, groups), 2);

  char command[100];
  snprintf(command, sizeof command, "rm -r %s", root);
  assert_int_equal(system(command), 0);
}

static void test_machine(void **state) {
  (void)state;
  assert_in_range(snn_thread_budget(), 1, (unsigned long)sysconf(_SC_NPROCESSORS_ONLN));
  uint64_t before = snn_clock_ns();
  nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
  uint64_t passed = snn_clock_ns() - before;
  assert_in_range(passed, 2000000, 20000000000); /* nanoseconds, forward */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_checked_math),
      cmocka_unit_test(test_alloc_array),
      cmocka_unit_test(test_arena),
      cmocka_unit_test(test_first_error_wins),
      cmocka_unit_test(test_error_text_is_printable),
      cmocka_unit_test(test_status_names),
      cmocka_unit_test(test_sha256),
      cmocka_unit_test(test_map_file),
      cmocka_unit_test(test_replace),
      cmocka_unit_test(test_replace_keeps_permissions_of_umask),
      cmocka_unit_test(test_replace_fails_cleanly),
      cmocka_unit_test(test_base_name),
      cmocka_unit_test(test_machine),
      cmocka_unit_test(test_control_groups_limit_cpus),
  };
  return cmocka_run_group_tests_name("base", tests, make_folder, remove_folder);
}
