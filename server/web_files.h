/* The page's files, embedded in the program at build time. */
#ifndef SERVER_WEB_FILES_H
#define SERVER_WEB_FILES_H

#include <stddef.h>

typedef struct web_file {
  const char *path; /* as a request names it: "/web/style.css"; the pages are "/" and "/operations" */
  const char *content_type;
  const unsigned char *begin, *end;
} web_file;

/* The file at that path, NULL when there is none. */
const web_file *web_file_find(const char *path);

#endif
