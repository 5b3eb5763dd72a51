/* The web page, its files, and the sample pictures beside a model. Keeps the invariant that only a plain file with a
 * plain name inside a model's own `samples` folder is ever opened. Does not cache: samples are small and asked rarely.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api.h"
#include "json_info.h"
#include "web_files.h"

enum { SAMPLE_BYTES_MAX = 256 * 1024 };

/* What the page may do: its own files, pictures it made itself, and this server. */
#define PAGE_POLICY                                                                                           \
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; " \
  "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

static void reply_file(request *r, const web_file *file) {
  r->reply.status = 200;
  r->reply.content_type = file->content_type;
  r->reply.constant = file->begin;
  r->reply.n_body = (size_t)(file->end - file->begin);
  reply_add_header(r, "Cache-Control", "no-cache");
  reply_add_header(r, "X-Content-Type-Options", "nosniff");
}

/* A page for who asks for one, the listing for others; takes the listing. */
static void reply_page(request *r, const char *page, char *listing) {
  reply_add_header(r, "Vary", "Accept");
  if (!request_wants_page(r)) {
    reply_json(r, 200, listing);
    return;
  }
  free(listing);
  reply_file(r, web_file_find(page));
  reply_add_header(r, "Content-Security-Policy", "%s", PAGE_POLICY);
  reply_add_header(r, "Referrer-Policy", "no-referrer");
}

void api_index(server *s, request *r) {
  (void)s;
  reply_page(r, "/", json_info_index());
}

void api_admin_index(server *s, request *r) {
  (void)s;
  reply_page(r, "/operations", json_info_admin_index());
}

void api_console_file(server *s, request *r) {
  char path[sizeof r->item + 8];
  (void)s;
  snprintf(path, sizeof path, "/web/%s", r->item);
  const web_file *file = web_file_find(path);
  if (file)
    reply_file(r, file);
  else
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "there is no such file");
}

void api_web_file(server *s, request *r) {
  (void)s;
  const web_file *file = web_file_find(r->path);
  if (file)
    reply_file(r, file);
  else
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "there is no such file");
}

/* Plain names only: a model's name and ".png". */
static bool sample_name(const char *name) {
  size_t n = strlen(name);
  char stem[MODEL_NAME_MAX + 1];
  if (n < 5 || n - 4 > MODEL_NAME_MAX || strcmp(name + n - 4, ".png") != 0) return false;
  snprintf(stem, sizeof stem, "%.*s", (int)(n - 4), name);
  return registry_name_valid(stem);
}

static int samples_folder(const server *s, const char *model) {
  char path[sizeof s->config.models + MODEL_NAME_MAX + 16];
  snprintf(path, sizeof path, "%s/%s/samples", s->config.models, model);
  return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int by_name(const void *a, const void *b) {
  return strcmp(a, b);
}

void api_samples(server *s, request *r) {
  model_entry *entry = api_find_model(s, r);
  if (!entry) return;
  registry_release(entry);
  char names[SAMPLES_MAX][SAMPLE_NAME_MAX + 1];
  size_t n = 0;
  int folder = samples_folder(s, r->model);
  DIR *list = folder < 0 ? NULL : fdopendir(folder);
  if (folder >= 0 && !list) close(folder);
  for (struct dirent *e; list && n < SAMPLES_MAX && (e = readdir(list));)
    if (sample_name(e->d_name)) snprintf(names[n++], sizeof *names, "%.*s", SAMPLE_NAME_MAX, e->d_name);
  if (list) closedir(list);
  qsort(names, n, sizeof *names, by_name);
  reply_json(r, 200, json_info_samples(names, n));
}

/* The whole file in malloc'ed memory; NULL when it is no plain file of a sample's size. */
static char *read_sample(int folder, const char *name, size_t *n) {
  struct stat about;
  char *bytes = NULL;
  int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return NULL;
  if (fstat(fd, &about) == 0 && S_ISREG(about.st_mode) && about.st_size > 0 && about.st_size <= SAMPLE_BYTES_MAX)
    bytes = malloc((size_t)about.st_size);
  *n = 0;
  while (bytes && *n < (size_t)about.st_size) {
    ssize_t got = read(fd, bytes + *n, (size_t)about.st_size - *n);
    if (got <= 0) break;
    *n += (size_t)got;
  }
  if (bytes && *n != (size_t)about.st_size) {
    free(bytes);
    bytes = NULL;
  }
  close(fd);
  return bytes;
}

void api_sample(server *s, request *r) {
  model_entry *entry = api_find_model(s, r);
  if (!entry) return;
  registry_release(entry);
  int folder = sample_name(r->item) ? samples_folder(s, r->model) : -1;
  size_t n = 0;
  char *bytes = folder < 0 ? NULL : read_sample(folder, r->item, &n);
  if (folder >= 0) close(folder);
  if (!bytes) {
    problem_set(&r->problem, PROBLEM_NOT_FOUND, "sample: this model has no sample picture of that name");
    return;
  }
  r->reply.status = 200;
  r->reply.content_type = "image/png";
  r->reply.body = bytes;
  r->reply.n_body = n;
  reply_add_header(r, "X-Content-Type-Options", "nosniff");
}
