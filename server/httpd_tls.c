/* libmicrohttpd's own TLS, for who has no proxy: reads the two files it wants in memory. GnuTLS's defaults choose
 * versions and ciphers. Does not watch the files: a new certificate needs a restart. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "httpd_internal.h"

enum { PEM_BYTES_MAX = 1 << 20 };

static char *read_text(const char *path, logger *log_to) {
  FILE *f = fopen(path, "re");
  char *text = malloc(PEM_BYTES_MAX + 1);
  size_t n = f && text ? fread(text, 1, PEM_BYTES_MAX + 1, f) : 0;
  bool ok = n > 0 && n <= PEM_BYTES_MAX && !ferror(f) && !memchr(text, 0, n);
  if (!ok)
    log_event(log_to, LOG_ERROR, "tls-file-refused",
              (log_field[]){LOG_TEXT("file", path), LOG_TEXT("reason", f ? "no PEM file" : strerror(errno)), LOG_LAST});
  if (f) fclose(f);
  if (ok) {
    text[n] = 0;
    return text;
  }
  free(text);
  return NULL;
}

bool httpd_tls_read(httpd_tls *t, const config *c, logger *log_to) {
  *t = (httpd_tls){NULL, NULL};
  if (MHD_is_feature_supported(MHD_FEATURE_TLS) != MHD_YES) {
    log_event(log_to, LOG_ERROR, "tls-unsupported",
              (log_field[]){LOG_TEXT("reason", "this libmicrohttpd was built without TLS"), LOG_LAST});
    return false;
  }
  t->certificate = read_text(c->tls_cert, log_to);
  t->key = read_text(c->tls_key, log_to);
  if (t->certificate && t->key) return true;
  httpd_tls_free(t);
  return false;
}

void httpd_tls_free(httpd_tls *t) {
  if (t->key) explicit_bzero(t->key, strlen(t->key));
  free(t->key);
  free(t->certificate);
  *t = (httpd_tls){NULL, NULL};
}
