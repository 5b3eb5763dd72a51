/* Thirty random gray pictures of 4 x 4 in an IDX file, in a folder of their own, and a listener for progress. */
#ifndef TESTS_UNIT_PICTURES_H
#define TESTS_UNIT_PICTURES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "snn/snn.h"

enum { PICTURES = 30, SIDE = 4, PIXELS = SIDE * SIDE };

static char folder[] = "/tmp/test_pictures.XXXXXX";
static uint8_t pixels[PICTURES][PIXELS];
static snn_dataset *pictures;

static inline char *in_folder(const char *name, char path[256]) {
  snprintf(path, 256, "%s/%s", folder, name);
  return path;
}

static inline void write_file(const char *path, const void *bytes, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static inline int make_pictures(void **state) {
  (void)state;
  if (!mkdtemp(folder)) return -1;
  uint8_t file[16 + sizeof pixels] = {0, 0, 8, 3, 0, 0, 0, PICTURES, 0, 0, 0, SIDE, 0, 0, 0, SIDE};
  uint32_t x = 12345;
  for (size_t i = 0; i < PICTURES; i++)
    for (size_t p = 0; p < PIXELS; p++) {
      x = x * 1664525 + 1013904223;
      pixels[i][p] = (uint8_t)(x >> 24);
    }
  memcpy(file + 16, pixels, sizeof pixels);
  char path[256];
  write_file(in_folder("pictures-idx3-ubyte", path), file, sizeof file);
  return snn_dataset_open(path, NULL, &pictures, NULL) == SNN_OK ? 0 : -1;
}

static inline int remove_pictures(void **state) {
  (void)state;
  char path[256];
  snn_dataset_free(pictures);
  unlink(in_folder("pictures-idx3-ubyte", path));
  return rmdir(folder);
}

typedef struct progress_log {
  size_t calls, last_done, total, stop_at;
} progress_log;

static inline bool note_progress(void *context, const char *phase, size_t done, size_t total) {
  progress_log *log = context;
  assert_true(*phase && done >= log->last_done && done <= total);
  log->calls++;
  log->last_done = done;
  log->total = total;
  return done < log->stop_at;
}

#endif
