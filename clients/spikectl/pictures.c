/* Which files the arguments name, and their bytes. Does not look into them: the server says what is a picture. */
#include <errno.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "spikectl.h"

enum { PICTURE_BYTES_MAX = 64 << 20, PICTURES_MAX = 1000000 };

/* nftw has no context */
static pictures *filling;
static bool naming_others;

static int add(const char *path) {
  if (filling->n == PICTURES_MAX) return ENOMEM;
  if ((filling->n & (filling->n - 1)) == 0) { /* a power of two is full */
    char **grown = realloc(filling->paths, (filling->n ? 2 * filling->n : 1) * sizeof *grown);
    if (!grown) return ENOMEM;
    filling->paths = grown;
  }
  char *copy = strdup(path);
  if (!copy) return ENOMEM;
  filling->paths[filling->n++] = copy;
  return 0;
}

static int visit(const char *path, const struct stat *about, int type, struct FTW *at) {
  (void)about;
  (void)at;
  size_t n = strlen(path);
  if (type == FTW_D || type == FTW_DP) return 0;
  if (n > 4 && strcasecmp(path + n - 4, ".png") == 0)
    return add(path); /* links that lead nowhere too: said when read */
  if (naming_others) fprintf(stderr, "spikectl: %s: left out, not a .png file\n", path);
  return 0;
}

static int by_path(const void *a, const void *b) {
  return strcmp(*(char *const *)a, *(char *const *)b);
}

bool pictures_find(char *const *arguments, size_t n, bool name_others, pictures *out) {
  *out = (pictures){0};
  filling = out;
  naming_others = name_others;
  for (size_t i = 0; i < n; i++) {
    struct stat about;
    size_t before = out->n;
    int failed = 0;
    if (strcmp(arguments[i], "-") != 0 && stat(arguments[i], &about) == 0 && S_ISDIR(about.st_mode)) {
      errno = 0;
      failed = nftw(arguments[i], visit, 32, 0);
      if (failed < 0) failed = errno ? errno : EIO;
      if (!failed && out->n > before) qsort(out->paths + before, out->n - before, sizeof *out->paths, by_path);
      if (!failed && out->n == before) {
        fprintf(stderr, "spikectl: %s: no .png file in it\n", arguments[i]);
        return false;
      }
    } else {
      failed = add(arguments[i]);
    }
    if (failed) {
      fprintf(stderr, "spikectl: %s: %s\n", arguments[i], strerror(failed));
      return false;
    }
  }
  return true;
}

void pictures_free(pictures *p) {
  for (size_t i = 0; i < p->n; i++) free(p->paths[i]);
  free(p->paths);
  *p = (pictures){0};
}

unsigned char *read_picture(const char *path, size_t *n) {
  FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
  unsigned char *bytes = NULL;
  size_t capacity = 0;
  int failed = f ? 0 : errno;
  *n = 0;
  while (f && !failed) {
    if (*n == capacity) {
      capacity = capacity ? 2 * capacity : 65536;
      unsigned char *grown = capacity <= PICTURE_BYTES_MAX ? realloc(bytes, capacity) : NULL;
      if (!grown) {
        failed = capacity > PICTURE_BYTES_MAX ? EFBIG : ENOMEM;
        break;
      }
      bytes = grown;
    }
    size_t got = fread(bytes + *n, 1, capacity - *n, f);
    *n += got;
    if (got == 0) {
      if (ferror(f)) failed = EIO;
      break;
    }
  }
  if (f && f != stdin) fclose(f);
  if (failed) {
    free(bytes);
    errno = failed;
    return NULL;
  }
  return bytes;
}
